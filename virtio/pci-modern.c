/* SPDX-License-Identifier: MIT */
/*
 * The registers of virtio over PCI since VIRTIO 1.0 (VIRTIO 1.3, 4.1): five capabilities that point
 * into one memory BAR of 32 KiB.
 */
#include <linux/virtio_pci.h>

#include "lkvm/util.h"
#include "pci.h"

#define VIRTIO_PCI_DEVICE_MODERN 0x1040 /* 4.1.2, plus the device type */
#define VIRTIO_PCI_REVISION	 1

/* The BAR, a page for each part. */
#define BAR_NR	       0
#define BAR_SIZE       0x8000
#define BAR_PAGE       0x1000
#define BAR_COMMON     0x0000
#define BAR_ISR	       0x1000
#define BAR_DEVICE     0x2000
#define BAR_NOTIFY     0x3000
#define BAR_MSIX_TABLE 0x4000
#define BAR_MSIX_PBA   0x5000

/* The BAR. @len is at most 8 and the access lies inside; each part checks its own end. */

static void bar_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct virtio_pci *vp = opaque;
	u32 at = offset % BAR_PAGE;

	memset(data, 0, len);
	switch (offset - at) {
	case BAR_COMMON:
		if (range_within(at, len, 0, VPCI_COMMON_SIZE))
			vpci_common_read(vp, at, data, len);
		break;
	case BAR_ISR:
		if (!at)
			*(u8 *)data = vpci_take_isr(vp);
		break;
	case BAR_DEVICE:
		virtio_config_read(vp->vdev, at, data, len);
		break;
	case BAR_MSIX_TABLE:
		msix_table_read(&vp->msix, at, data, len);
		break;
	case BAR_MSIX_PBA:
		msix_pba_read(&vp->msix, at, data, len);
		break;
	}
}

static void bar_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct virtio_pci *vp = opaque;
	u32 at = offset % BAR_PAGE;

	switch (offset - at) {
	case BAR_COMMON:
		vpci_common_write(vp, at, get_le(data, len), len);
		break;
	case BAR_DEVICE:
		virtio_config_write(vp->vdev, at, data, len);
		break;
	case BAR_NOTIFY:
		/* 4.1.4.4.1: the address alone says which queue. */
		if (!(at % VPCI_NOTIFY_STRIDE))
			virtio_kick(vp->vdev, at / VPCI_NOTIFY_STRIDE);
		break;
	case BAR_MSIX_TABLE:
		msix_table_write(&vp->msix, at, data, len);
		break;
	}
}

static const struct bus_ops bar_ops = { bar_read, bar_write };

/* Configuration space: read under host->lock, written under host->update */

/*
 * The window of 4.1.4.9: bar, offset and length say which bytes of the BAR an access of
 * pci_cfg_data stands for. They are the guest's, and checked here. MSI-X is no part of what the
 * capabilities describe: its lock may be held for as long as KVM takes to change routes, and
 * host->lock is not to wait for that.
 */
static bool window_target(const struct virtio_pci *vp, u32 *offset, u32 *len)
{
	const u8 *cap = vp->pci.config + vp->window_cap;

	*offset = (u32)get_le(cap + VIRTIO_PCI_CAP_OFFSET, 4);
	*len = (u32)get_le(cap + VIRTIO_PCI_CAP_LENGTH, 4);
	return cap[VIRTIO_PCI_CAP_BAR] == BAR_NR && (*len == 1 || *len == 2 || *len == 4) &&
	       !(*offset % *len) && range_within(*offset, *len, 0, BAR_MSIX_TABLE);
}

static bool touches_window(const struct virtio_pci *vp, u32 offset, u32 len)
{
	return ranges_overlap(offset, len, vp->window_cap + sizeof(struct virtio_pci_cap), 4);
}

static void config_read(struct virtio_pci *vp, u32 offset, u32 len)
{
	u32 target, size;

	if (touches_window(vp, offset, len) && window_target(vp, &target, &size))
		bar_read(vp, target,
			 vp->pci.config + vp->window_cap + sizeof(struct virtio_pci_cap), size);
}

static void config_written(struct virtio_pci *vp, u32 offset, u32 len)
{
	u32 target, size;
	u8 data[4];

	if (!touches_window(vp, offset, len) || !window_target(vp, &target, &size))
		return;
	pci_config_copy(&vp->pci, vp->window_cap + (u32)sizeof(struct virtio_pci_cap), data, size);
	bar_write(vp, target, data, size);
}

/* The function */

/* A capability of 4.1.4, and @extra bytes after it. */
static u8 add_cap(struct virtio_pci *vp, u8 type, u32 offset, u32 length, u8 extra)
{
	u8 size = (u8)(sizeof(struct virtio_pci_cap) + extra);
	u8 at = pci_add_capability(&vp->pci, PCI_CAP_ID_VNDR, size);
	u8 *cap = vp->pci.config + at;

	cap[VIRTIO_PCI_CAP_LEN] = size;
	cap[VIRTIO_PCI_CAP_CFG_TYPE] = type;
	cap[VIRTIO_PCI_CAP_BAR] = BAR_NR;
	put_le(cap + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	put_le(cap + VIRTIO_PCI_CAP_LENGTH, 4, length);
	return at;
}

static void add_caps(struct virtio_pci *vp)
{
	struct virtio_device *vdev = vp->vdev;
	u8 at;

	add_cap(vp, VIRTIO_PCI_CAP_COMMON_CFG, BAR_COMMON, VPCI_COMMON_SIZE, 0);
	at = add_cap(vp, VIRTIO_PCI_CAP_NOTIFY_CFG, BAR_NOTIFY,
		     (u32)vdev->nr_queues * VPCI_NOTIFY_STRIDE, 4);
	put_le(vp->pci.config + at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, VPCI_NOTIFY_STRIDE);
	add_cap(vp, VIRTIO_PCI_CAP_ISR_CFG, BAR_ISR, 1, 0);
	/* 4.1.4.6: only where there is something to configure. */
	if (vdev->ops->config_len)
		add_cap(vp, VIRTIO_PCI_CAP_DEVICE_CFG, BAR_DEVICE, vdev->ops->config_len, 0);
	at = add_cap(vp, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 4);
	vp->window_cap = at;
	vp->pci.wmask[at + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(vp->pci.wmask + at + VIRTIO_PCI_CAP_OFFSET, 0xff, 12);
}

static void build(struct virtio_pci *vp)
{
	struct virtio_device *vdev = vp->vdev;
	struct pci_ident ident = {
		.vendor = VIRTIO_PCI_VENDOR,
		.device = (u16)(VIRTIO_PCI_DEVICE_MODERN + vdev->ops->id),
		.subsystem_vendor = VIRTIO_PCI_VENDOR,
		.subsystem = (u16)(VIRTIO_PCI_DEVICE_MODERN + vdev->ops->id),
		.class = (u16)vdev->ops->pci_class,
		.revision = VIRTIO_PCI_REVISION,
	};

	pci_device_init(&vp->pci, &ident, PCI_CFG_SPACE_SIZE);
	pci_set_bar(&vp->pci, BAR_NR, BAR_SIZE, PCI_BASE_ADDRESS_SPACE_MEMORY, &bar_ops, vp);
	msix_init(&vp->msix, &vp->pci, (u16)(vdev->nr_queues + 1), BAR_NR, BAR_MSIX_TABLE,
		  BAR_MSIX_PBA);
	add_caps(vp);
}

static const struct vpci_regs modern_regs = {
	.notify = { .bar = BAR_NR, .offset = BAR_NOTIFY, .stride = VPCI_NOTIFY_STRIDE },
	.build = build,
	.config_read = config_read,
	.config_written = config_written,
};

int virtio_pci_attach(struct virtio_device *vdev)
{
	return vpci_attach(vdev, &modern_regs);
}
