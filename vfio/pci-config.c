/* SPDX-License-Identifier: MIT */
/*
 * Configuration space of a function that is passed through (PCI Local Bus 3.0, 6.1; see pci.h). The
 * kernel's driver guards the device: what must not reach it (BARs, MSI) it keeps to itself. Here is
 * decided what the guest sees, and what follows from its writes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "pci.h"
#include "vfio-abi.h"

/* Command bits that the core knows of; the device has the others to itself. */
#define COMMAND_DECODE	 (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)
#define COMMAND_EMULATED (COMMAND_DECODE | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)

/* Which bits of the header are the device's: of all but these two registers none. */
static void decide_header(struct vfio_pci *vp)
{
	memset(vp->emulated, 0xff, PCI_STD_HEADER_SIZEOF);
	put_le(vp->emulated + PCI_COMMAND, 2, COMMAND_EMULATED);
	/* 6.2.3: most bits are cleared by writing a 1; the device knows whether it raises INTx. */
	put_le(vp->emulated + PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	memset(vp->forwarded + PCI_STATUS, 1, 2);
	/* What the kernel has of these is about the host's bus. */
	memset(vp->pci.config + PCI_CACHE_LINE_SIZE, 0, 2);
	vp->pci.config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_NORMAL;
	vp->pci.config[PCI_BIST] = 0;
	memset(vp->pci.config + PCI_BASE_ADDRESS_0, 0, 4 * PCI_NR_BARS);
	memset(vp->pci.config + PCI_ROM_ADDRESS, 0, 4);
	put_le(vp->pci.config + PCI_COMMAND, 2, 0);
	put_le(vp->pci.config + PCI_STATUS, 2,
	       get_le(vp->pci.config + PCI_STATUS, 2) & ~(u64)PCI_STATUS_INTERRUPT);
	/* The slot decides. */
	vp->pci.no_intx = !vp->dev->irqs[VFIO_PCI_INTX_IRQ_INDEX].count;
	memset(vp->pci.config + PCI_INTERRUPT_LINE, 0, 2);
}

int vfio_pci_config_init(struct vfio_pci *vp)
{
	static const struct pci_ident nobody;
	u64 room = vp->dev->regions[VFIO_PCI_CONFIG_REGION_INDEX].size;
	u32 size = room >= PCI_CFG_SPACE_EXP_SIZE ? PCI_CFG_SPACE_EXP_SIZE : PCI_CFG_SPACE_SIZE;
	/* The last bytes may be missing (Linux samples/vfio-mdev/mtty.c has 255): they are 0. */
	u32 real = room < size ? (u32)room : size, whole = real & ~3U;
	struct pci_device *pci = &vp->pci;
	int ret;

	pci_device_init(pci, &nobody, size);
	vp->emulated = xcalloc(1, size);
	vp->forwarded = xcalloc(1, size);
	ret = -ENODEV;
	if (real >= PCI_STD_HEADER_SIZEOF)
		ret = vfio_device_read(vp->dev, VFIO_PCI_CONFIG_REGION_INDEX, 0, pci->config, real);
	if (!ret && get_le(pci->config, 4) == 0xffffffff)
		ret = -ENODEV;
	if (ret) {
		err("--vfio %s: its configuration space cannot be read: %s", vp->dev->name.id,
		    strerror(-ret));
		return ret;
	}
	if ((pci->config[PCI_HEADER_TYPE] & 0x7f) != PCI_HEADER_TYPE_NORMAL) {
		err("--vfio %s: is a bridge; pass the devices behind it through", vp->dev->name.id);
		return -EINVAL;
	}
	memset(vp->forwarded + PCI_STD_HEADER_SIZEOF, 1, whole - PCI_STD_HEADER_SIZEOF);
	memset(vp->emulated + whole, 0xff, size - whole);
	decide_header(vp);
	vfio_pci_caps_init(vp);
	return 0;
}

void vfio_pci_config_fini(struct vfio_pci *vp)
{
	free(vp->emulated);
	free(vp->forwarded);
	vp->emulated = NULL;
	vp->forwarded = NULL;
}

/* Reads */

/* Under host->lock. */
static void config_read(struct pci_device *pci, u32 offset, u32 len)
{
	struct vfio_pci *vp = to_vfio_pci(pci);
	u8 data[4];
	bool any = false;

	vfio_pci_irqs_config_read(vp, offset, len);
	for (u32 i = 0; i < len; i++)
		any |= vp->emulated[offset + i] != 0xff;
	if (!any)
		return;
	put_le(data, len, vfio_pci_config_get(vp, offset, len));
	for (u32 i = 0; i < len; i++) {
		u8 own = vp->emulated[offset + i];

		pci->config[offset + i] = (u8)((pci->config[offset + i] & own) | (data[i] & ~own));
	}
}

/* Writes. All under host->update. */

/* Byte @at of a write, or @old when it is not written. */
static u8 written_byte(u32 at, u32 offset, u32 value, u32 len, u8 old)
{
	return at >= offset && at - offset < len ? (u8)(value >> (8 * (at - offset))) : old;
}

/* Is byte @at written, with all of @bits? */
static bool sets_bits(u32 at, u32 offset, u32 value, u32 len, u8 bits)
{
	return (written_byte(at, offset, value, len, 0) & bits) == bits;
}

/* In pieces as large and aligned as the guest's, without what is not the device's. */
static void forward(struct vfio_pci *vp, u32 offset, u32 value, u32 len)
{
	for (u32 i = 0, step; i < len; i += step) {
		u32 at = offset + i;

		step = 1;
		if (!vp->forwarded[at])
			continue;
		while (i + 2 * step <= len && at % (2 * step) == 0) {
			bool all = true;

			for (u32 k = step; k < 2 * step; k++)
				all &= vp->forwarded[at + k] != 0;
			if (!all)
				break;
			step *= 2;
		}
		vfio_pci_config_set(vp, at, value >> (8 * i), step);
	}
}

/* Without bus mastering while the core has it off, which also a bridge above does. */
static u32 allowed(const struct vfio_pci *vp, u32 command)
{
	return atomic_load(&vp->pci.bus_master) ? command : command & ~(u32)PCI_COMMAND_MASTER;
}

/* The core's bits of the command register, and of @device what are the device's. */
static u32 whole_command(const struct vfio_pci *vp, u32 device)
{
	return ((u32)get_le(vp->pci.config + PCI_COMMAND, 2) & COMMAND_EMULATED) |
	       (device & ~(u32)COMMAND_EMULATED);
}

/*
 * The device decodes what the guest can reach: from before it is mapped until after it is unmapped,
 * because a map of a BAR that is not decoded ends who touches it.
 */
static void before_command(struct vfio_pci *vp, u32 offset, u32 value, u32 len)
{
	u32 old = whole_command(vp, vfio_pci_config_get(vp, PCI_COMMAND, 2));
	u32 command = written_byte(PCI_COMMAND, offset, value, len, (u8)old) |
		      (u32)written_byte(PCI_COMMAND + 1, offset, value, len, (u8)(old >> 8)) << 8;

	vfio_pci_config_set(vp, PCI_COMMAND, allowed(vp, command) | (old & COMMAND_DECODE), 2);
}

static void after_command(struct vfio_pci *vp)
{
	u32 now = vfio_pci_config_get(vp, PCI_COMMAND, 2);
	u32 command = allowed(vp, whole_command(vp, now));

	if (now != command)
		vfio_pci_config_set(vp, PCI_COMMAND, command, 2);
}

/* Does the write ask for a function level reset (PCI Express 5.0, 7.5.3.4; PCI Advanced
 * Capabilities ECN for conventional functions), and can the device do it? */
static bool asks_for_reset(const struct vfio_pci *vp, u32 offset, u32 value, u32 len)
{
	/* Not what a vcpu that reads refreshes meanwhile. */
	const u8 *config = vp->pci.initial;

	if (vp->exp_cap && get_le(config + vp->exp_cap + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR &&
	    sets_bits(vp->exp_cap + PCI_EXP_DEVCTL + 1u, offset, value, len,
		      PCI_EXP_DEVCTL_BCR_FLR >> 8))
		return true;
	return vp->af_cap && config[vp->af_cap + PCI_AF_CAP] & PCI_AF_CAP_FLR &&
	       sets_bits(vp->af_cap + PCI_AF_CTRL, offset, value, len, PCI_AF_CTRL_FLR);
}

/* The kernel saves and restores the device around it; the guest has to find what a reset leaves. */
static void reset_by_guest(struct vfio_pci *vp, u32 offset, u32 value, u32 len)
{
	vfio_pci_irqs_reset(vp);
	vfio_tsm_unbind(&vp->tsm);
	pci_function_reset(&vp->pci);
	vfio_pci_sleep(vp, false);
	forward(vp, offset, value, len);
	vfio_migration_was_reset(&vp->migration);
	after_command(vp);
	(void)vfio_tsm_bind(&vp->tsm);
}

static void config_write(struct pci_device *pci, u32 offset, u32 value, u32 len)
{
	struct vfio_pci *vp = to_vfio_pci(pci);
	u32 pm = vp->pm_cap + (u32)PCI_PM_CTRL;
	bool power = vp->pm_cap && ranges_overlap(offset, len, pm, 1);
	bool sleeps = power && (written_byte(pm, offset, value, len, 0) & PCI_PM_CTRL_STATE_MASK);

	if (asks_for_reset(vp, offset, value, len)) {
		reset_by_guest(vp, offset, value, len);
		return;
	}
	/* PCI Power Management 1.2, 5.4.1: in D3hot no BAR answers. */
	if (sleeps)
		vfio_pci_sleep(vp, true);
	if (ranges_overlap(offset, len, PCI_COMMAND, 2))
		before_command(vp, offset, value, len);
	forward(vp, offset, value, len);
	if (power && !sleeps)
		vfio_pci_sleep(vp, false);
}

static void config_written(struct pci_device *pci, u32 offset, u32 len)
{
	struct vfio_pci *vp = to_vfio_pci(pci);

	if (ranges_overlap(offset, len, PCI_COMMAND, 2))
		after_command(vp);
	vfio_pci_irqs_config_written(vp, offset, len);
}

const struct pci_ops vfio_pci_ops = {
	.config_read = config_read,
	.config_write = config_write,
	.config_written = config_written,
	.bar_moved = vfio_pci_bar_moved,
};
