/* SPDX-License-Identifier: MIT */
/*
 * Of vfio/pci*.c: a device of the host's as a function on the guest's PCI.
 *
 * Each bit of configuration space is either emulated (pci.config has it, pci.wmask says whether the
 * guest writes it) or the device's: read from it each time. Bytes of which anything is the device's
 * are forwarded when the guest writes them, and the command register and the power state are both:
 * the device has to follow them, and so do the core and the maps of BARs.
 *
 * Interrupts are pci-intx.c, pci-msi.c and pci-msix.c: they make emulated what they own.
 */
#ifndef VFIO_PCI_H
#define VFIO_PCI_H

#include <stdatomic.h>

#include "lkvm/event.h"
#include "lkvm/pci.h"
#include "lkvm/types.h"
#include "lkvm/vfio-migration.h"
#include "lkvm/vfio.h"
#include "tsm.h"

struct vfio_pci_irqs;

/* A part of a BAR that the guest reaches without a trap. */
struct vfio_pci_map {
	u64 offset, size; /* within the BAR */
	void *hva;	  /* mapped from realize to destroy */
	u64 gpa;	  /* where it is in guest memory, while @added */
	bool added;
};

struct vfio_pci_bar {
	struct vfio_pci *vp;
	unsigned int index;
	u64 size; /* of the region: beyond it reads are all ones */
	u32 nr_maps;
	struct vfio_pci_map *maps;
};

/* An interrupt of VFIO's by which the host tells something of the device. */
struct vfio_pci_notice {
	struct vfio_pci *vp; /* NULL: it does not */
	u32 index;	     /* VFIO_PCI_ERR_IRQ_INDEX, VFIO_PCI_REQ_IRQ_INDEX */
	bool bound, said;
	struct event event;
};
#define VFIO_PCI_NOTICES 2U

struct vfio_pci {
	struct pci_device pci;
	struct vfio_device *dev;
	char *name; /* pci.dev.name: "vfio0" */
	/* For each byte of configuration space. */
	u8 *emulated;  /* bits that pci.config has; the others are the device's */
	u8 *forwarded; /* not 0: what the guest writes goes to the device */
	/* Offsets of capabilities in configuration space; 0: there is none. */
	u8 pm_cap, exp_cap, af_cap, msi_cap, msix_cap;
	struct vfio_pci_bar bars[PCI_NR_BARS];
	/* Under host->update, as all that changes maps. */
	bool asleep;		/* D3hot: no BAR is mapped */
	bool reset_said;	/* why it cannot be */
	atomic_uint nr_removed; /* maps that left guest memory since the last vm_reclaim_memory */
	struct event_post reclaim;
	/* The expansion ROM. */
	struct vfio_pci_rom *rom;
	struct vfio_tsm tsm;
	struct vfio_pci_irqs *irqs; /* of pci-intx.c and pci-msi*.c */
	struct vfio_migration migration;
	struct vfio_pci_notice notices[VFIO_PCI_NOTICES];
};

static inline struct vfio_pci *to_vfio_pci(struct pci_device *pci)
{
	return container_of(pci, struct vfio_pci, pci);
}

/*
 * pci-config.c. vfio_pci_config_init reads the device's configuration space and decides of each bit
 * whose it is; pci_device_init is made by it. Prints; -errno.
 */
int vfio_pci_config_init(struct vfio_pci *vp) __must_check;
void vfio_pci_config_fini(struct vfio_pci *vp);
extern const struct pci_ops vfio_pci_ops;

/* pci-space.c, for the others here. */

/* Before pci_device_add: bytes [offset, offset+len) become emulated and keep what they hold; the
 * guest writes the bits of @wmask (of each byte the same), and nothing goes to the device. */
void vfio_pci_emulate(struct vfio_pci *vp, u32 offset, u32 len, u8 wmask);
/* @len bytes (1, 2 or 4) of the device's own configuration space; all ones when it does not answer.
 * Any thread. */
u32 vfio_pci_config_get(struct vfio_pci *vp, u32 offset, u32 len);
void vfio_pci_config_set(struct vfio_pci *vp, u32 offset, u32 value, u32 len);
/* After vfio_pci_caps_init: the guest does not see capability @what at @at, which is said, and
 * @why. */
void vfio_pci_cut_cap(struct vfio_pci *vp, u32 at, const char *what, const char *why);

/*
 * The interrupt half. init: after vfio_pci_config_init and the BARs' sizes are known, before
 * pci_device_add; finds msi_cap and msix_cap in pci.config, checks them (a table beyond its BAR: a
 * warning, and the capability is cut out) and makes them emulated. plugged: after pci_device_add,
 * before the guest starts: takes fds and the INTx line. Both print; -errno.
 */
int vfio_pci_irqs_init(struct vfio_pci *vp) __must_check;
int vfio_pci_irqs_plugged(struct vfio_pci *vp) __must_check;
/* Any offset; from pci_ops.config_read, under host->lock. */
void vfio_pci_irqs_config_read(struct vfio_pci *vp, u32 offset, u32 len);
/* Any offset; under host->update. The command register's too. */
void vfio_pci_irqs_config_written(struct vfio_pci *vp, u32 offset, u32 len);
/* The function was reset, by a reboot (vcpus are parked) or by the guest (under host->update):
 * before the device is reset, all of its interrupts are off. The next vfio_pci_irqs_config_written
 * switches INTx on, as it is at power-on. */
void vfio_pci_irqs_reset(struct vfio_pci *vp);
/* Safe when neither init nor plugged was called, twice too. Before pci_device_fini. */
void vfio_pci_irqs_fini(struct vfio_pci *vp);
/* Where the MSI-X table (@part 0) and the pending bits (1) are; false: there is none. After init.
 */
bool vfio_pci_msix_part(const struct vfio_pci *vp, unsigned int part, u32 *bar, u64 *offset,
			u64 *size);
/* Does the access touch either? Then these two serve it, all of it. */
bool vfio_pci_msix_covers(const struct vfio_pci *vp, u32 bar, u64 offset, u32 len);
void vfio_pci_msix_read(struct vfio_pci *vp, u32 bar, u64 offset, void *data, u32 len);
void vfio_pci_msix_write(struct vfio_pci *vp, u32 bar, u64 offset, const void *data, u32 len);

/* pci-bar.c. init: after vfio_pci_config_init: sizes and kinds of BARs. map: after
 * vfio_pci_irqs_init, what of them may be mapped. Both print; -errno. */
int vfio_pci_bars_init(struct vfio_pci *vp) __must_check;
int vfio_pci_bars_map(struct vfio_pci *vp) __must_check;
void vfio_pci_bars_fini(struct vfio_pci *vp);
/* The maps follow bars[bar].mapped and @asleep. Under host->update, with vfio_pci_sleep. */
void vfio_pci_bar_moved(struct pci_device *pci, unsigned int bar);
void vfio_pci_sleep(struct vfio_pci *vp, bool asleep);

/* pci-caps.c: what the guest sees of the chains of capabilities. */
void vfio_pci_caps_init(struct vfio_pci *vp);
/*
 * For who adds an extended capability (PASID): room for @len bytes (a multiple of 4) that no known
 * capability covers, from the end of the 4 KiB down; 0: there is none, or no extended configuration
 * space. And link one that lies at @offset into the chain, its header made of @id and @version;
 * @len bytes become emulated and read-only zeroes behind it. Before pci_device_add.
 */
u32 vfio_pci_ext_cap_room(const struct vfio_pci *vp, u32 len);
/* Has a capability that the guest sees any of these registers? */
bool vfio_pci_ext_cap_covers(const struct vfio_pci *vp, u32 offset, u32 len);
void vfio_pci_ext_cap_link(struct vfio_pci *vp, u32 offset, u32 len, u16 id, u8 version);

/* pci-notice.c: say what the host tells of the device: that it wants it back, or that it had an
 * error. After pci_device_add; what cannot be heard of is left out. fini is safe without init, and
 * twice. */
void vfio_pci_notices_init(struct vfio_pci *vp);
void vfio_pci_notices_fini(struct vfio_pci *vp);

/* pci-pasid.c: pasid=on. After vfio_pci_config_init. Prints; -errno. */
int vfio_pci_pasid_init(struct vfio_pci *vp) __must_check;

/* pci-rom.c: rom=, or the device's. After vfio_pci_bars_init. Prints; -errno. */
int vfio_pci_rom_init(struct vfio_pci *vp) __must_check;
void vfio_pci_rom_fini(struct vfio_pci *vp);

/* pci-reset.c: the device as after power-on: VFIO_DEVICE_RESET, or a reset of its bus when all that
 * hangs there is ours; a warning when there is neither. vcpus are parked, or not started. */
void vfio_pci_device_reset(struct vfio_pci *vp);

#endif
