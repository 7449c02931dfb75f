/* SPDX-License-Identifier: MIT */
/*
 * The registers of a virtio device behind each of the four transports, and what a correct driver
 * does with them to set its queues up. Bits of a target's first byte: 0, MMIO instead of PCI; 6,
 * the legacy interface, where the device has one.
 */
#ifndef LKVM_TESTS_FUZZ_TRANSPORT_H
#define LKVM_TESTS_FUZZ_TRANSPORT_H

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>

#include "../unit/vring_driver.h"
#include "../unit/vring_packed.h"
#include "fuzz_vm.h"
#include "lkvm/arch.h"
#include "lkvm/pci.h"
#include "lkvm/virtio.h"

/* Of a target that has more: before this file. */
#ifndef FV_QUEUES
#define FV_QUEUES 3
#define FV_DATA	  0x2000u
#endif
#define FV_RING_STEP 0x800u /* one queue's rings of so many entries */
#define FV_TABLE     64	    /* entries of an indirect table, at most */
#define FV_MAX_OPS   256

#define FV_MMIO	  0x01 /* in the first byte */
#define FV_LEGACY 0x40

/* BAR 0 of virtio/pci-modern.c. */
#define FV_BAR_NOTIFY 0x3000u
#define FV_BAR_MSIX   0x4000u
#define FV_BAR_SIZE   0x8000u

/* Legacy over PCI: rings of a size that the device dictates (made small here), in pages. */
#define FV_OLD_SIZE  32
#define FV_OLD_RINGS 0x6000u
#define FV_OLD_STEP  0x2000u
#define FV_OLD_PAGE  4096u
#define FV_OLD_PORTS 128u /* more than BAR 0 has before the device's configuration ends */

#define FV_ECAM	   0xe0000000ULL
#define FV_CONFIG  (FV_ECAM + (1u << 15))
#define FV_MEM32   0xc0000000ULL
#define FV_MSIXCAP 0x40u /* the first capability */

static const struct arch_pci_layout fv_layout = {
	.ecam_base = FV_ECAM,
	.ecam_size = MiB,
	.mem32_base = FV_MEM32,
	.mem32_size = 0x40000,
	.mem64_size = 0x40000,
	.io_base = 0x1000,
	.io_size = 0x1000,
	.config_ports = true,
	.intx_gsi = { 16, 17, 18, 19 },
};

struct fv_buf {
	u64 gpa;
	u32 len;
	bool in; /* the device writes it */
};

struct fv {
	struct fz_vm v;
	struct virtio_device *vdev;
	bool mmio, legacy;
	bool packed; /* since the last set-up */
	struct vring_driver q[FV_QUEUES];
	struct packed_driver p[FV_QUEUES]; /* over the same descriptors */
	u16 next_desc[FV_QUEUES];
};

/* Registers */

static inline u64 fv_bar(struct fv *d, u32 bar)
{
	return fz_read(&d->v.vm.mmio, FV_CONFIG + PCI_BASE_ADDRESS_0 + 4 * bar, 4);
}

/* Where the registers are, and in which address space. */
static inline struct bus *fv_where(struct fv *d, u64 *base)
{
	if (d->mmio) {
		*base = arch_platform.virtio_mmio_base;
		return &d->v.vm.mmio;
	}
	*base = fv_bar(d, 0) & (d->legacy ? ~3ULL : ~15ULL);
	return d->legacy ? &d->v.vm.pio : &d->v.vm.mmio;
}

static inline void fv_reg(struct fv *d, u32 offset, u32 len, u64 value)
{
	u64 base;
	struct bus *bus = fv_where(d, &base);

	fz_write(bus, base + offset, bus == &d->v.vm.pio ? MIN(len, 4u) : len, value);
}

static inline u64 fv_get(struct fv *d, u32 offset, u32 len)
{
	u64 base;
	struct bus *bus = fv_where(d, &base);

	return fz_read(bus, base + offset, bus == &d->v.vm.pio ? MIN(len, 4u) : len);
}

static inline void fv_config(struct fv *d, u32 reg, u32 len, u32 value)
{
	if (!d->mmio)
		fz_write(&d->v.vm.mmio, FV_CONFIG + reg, len, value);
}

/* The bytes that the registers lie in. */
static inline u32 fv_window(const struct fv *d)
{
	return !d->mmio && d->legacy ? FV_OLD_PORTS : FV_BAR_SIZE;
}

static inline void fv_status(struct fv *d, u8 status)
{
	if (d->mmio)
		fv_reg(d, VIRTIO_MMIO_STATUS, 4, status);
	else if (d->legacy)
		fv_reg(d, VIRTIO_PCI_STATUS, 1, status);
	else
		fv_reg(d, VIRTIO_PCI_COMMON_STATUS, 1, status);
}

static inline void fv_features(struct fv *d, u64 features)
{
	if (!d->mmio && d->legacy) {
		fv_reg(d, VIRTIO_PCI_GUEST_FEATURES, 4, (u32)features);
		return;
	}
	for (u32 word = 0; word < 2; word++) {
		u32 half = (u32)(features >> (32 * word));

		if (d->mmio) {
			fv_reg(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 4, word);
			fv_reg(d, VIRTIO_MMIO_DRIVER_FEATURES, 4, half);
		} else {
			fv_reg(d, VIRTIO_PCI_COMMON_GFSELECT, 4, word);
			fv_reg(d, VIRTIO_PCI_COMMON_GF, 4, half);
		}
	}
}

static inline void fv_kick(struct fv *d, u32 q)
{
	if (d->mmio)
		fv_reg(d, VIRTIO_MMIO_QUEUE_NOTIFY, 4, q);
	else if (d->legacy)
		fv_reg(d, VIRTIO_PCI_QUEUE_NOTIFY, 2, q);
	else
		fv_reg(d, FV_BAR_NOTIFY + 4 * (q & 0x3ff), 2, q);
}

/* Queues */

static inline void fv_queue_mmio(struct fv *d, u16 i, const struct vring_driver *q)
{
	fv_reg(d, VIRTIO_MMIO_QUEUE_SEL, 4, i);
	fv_reg(d, VIRTIO_MMIO_QUEUE_NUM, 4, q->size);
	if (d->legacy) { /* the used ring where vdrv_setup puts it */
		fv_reg(d, 0x28, 4, FV_RING_STEP);
		fv_reg(d, 0x3c, 4, 4);
		fv_reg(d, 0x40, 4, q->desc / FV_RING_STEP);
		return;
	}
	fv_reg(d, VIRTIO_MMIO_QUEUE_DESC_LOW, 4, q->desc);
	fv_reg(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, 4, q->avail);
	fv_reg(d, VIRTIO_MMIO_QUEUE_USED_LOW, 4, q->used);
	fv_reg(d, VIRTIO_MMIO_QUEUE_READY, 4, 1);
}

static inline void fv_queue_pci(struct fv *d, u16 i, const struct vring_driver *q)
{
	fv_reg(d, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
	fv_reg(d, VIRTIO_PCI_COMMON_Q_SIZE, 2, q->size);
	fv_reg(d, VIRTIO_PCI_COMMON_Q_MSIX, 2, i + 1u);
	fv_reg(d, VIRTIO_PCI_COMMON_Q_DESCLO, 8, q->desc);
	fv_reg(d, VIRTIO_PCI_COMMON_Q_AVAILLO, 8, q->avail);
	fv_reg(d, VIRTIO_PCI_COMMON_Q_USEDLO, 8, q->used);
	fv_reg(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

/* The ring in one piece, its used part on the next page. */
static inline void fv_queue_ports(struct fv *d, u16 i)
{
	struct vring_driver *q = &d->q[i];
	u16 size = d->vdev->queues[i].vq.max_size;

	vdrv_setup(q, d->v.ram, FV_OLD_RINGS + i * FV_OLD_STEP, size);
	q->used = ALIGN_UP(q->avail + 2 * (3 + (u64)size), (u64)FV_OLD_PAGE);
	memset(d->v.ram + q->used, 0, 6 + 8 * (size_t)size);
	fv_reg(d, VIRTIO_PCI_QUEUE_SEL, 2, i);
	fv_reg(d, VIRTIO_MSI_QUEUE_VECTOR, 2, i + 1u);
	fv_reg(d, VIRTIO_PCI_QUEUE_PFN, 4, q->desc / FV_OLD_PAGE);
}

static inline void fv_queue(struct fv *d, u16 i, u16 size)
{
	struct vring_driver *q = &d->q[i];

	vdrv_setup(q, d->v.ram, i * FV_RING_STEP, size);
	pdrv_setup(&d->p[i], d->v.ram, i * FV_RING_STEP, size);
	if (!d->legacy)
		q->avail = ALIGN_UP(q->avail, 4ULL);
	d->p[i].driver = q->avail;
	d->p[i].device = q->used;
	d->next_desc[i] = 0;
	if (d->mmio)
		fv_queue_mmio(d, i, q);
	else if (d->legacy)
		fv_queue_ports(d, i);
	else
		fv_queue_pci(d, i, q);
}

static inline void fv_bus(struct fv *d, bool msix)
{
	u64 table;

	if (d->mmio)
		return;
	fv_config(d, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	fv_config(d, FV_MSIXCAP + PCI_MSIX_FLAGS, 2, msix ? PCI_MSIX_FLAGS_ENABLE : 0);
	table = d->legacy ? fv_bar(d, 1) & ~15ULL : (fv_bar(d, 0) & ~15ULL) + FV_BAR_MSIX;
	for (u32 v = 0; v < 4 && msix; v++) {
		fz_write(&d->v.vm.mmio, table + 16 * v, 8, 0xfee00000);
		fz_write(&d->v.vm.mmio, table + 16 * v + 8, 8, 0x40 + v);
	}
}

/* What a correct driver does from reset to DRIVER_OK (VIRTIO 1.3, 3.1.1). */
static inline void fv_setup(struct fv *d, struct fz *f)
{
	u8 how = fz_u8(f);
	u64 features = virtio_offered(d->vdev);
	u16 size = (u16)(1u << (how >> 4) % 7);

	if (how & 1)
		features &= ~(BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | BIT_ULL(VIRTIO_F_IN_ORDER));
	if (!(how & 0x80))
		features &= ~BIT_ULL(VIRTIO_F_RING_PACKED);
	if (how & 2)
		features &= fz_u64(f) | BIT_ULL(VIRTIO_F_VERSION_1);
	fv_bus(d, how & 4);
	d->packed = features & BIT_ULL(VIRTIO_F_RING_PACKED);
	fv_status(d, 0);
	fv_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	fv_features(d, features);
	fv_status(d, 11);
	for (u16 i = 0; i < MIN(d->vdev->nr_queues, (u16)FV_QUEUES); i++)
		fv_queue(d, i, MIN(size, d->vdev->queues[i].vq.max_size));
	fv_status(d, 15);
	if (!(how & 8))
		fz_pump(&d->v);
}

/* Make the VM, as the first byte of the input says; the caller then makes the device. */
static inline void fv_begin(struct fv *d, u8 first)
{
	bool mmio = first & FV_MMIO, legacy = first & FV_LEGACY;

	memset(d, 0, sizeof(*d));
	fz_vm_init(&d->v);
	fz_vm_add_ram(&d->v);
	d->mmio = mmio;
	d->v.cfg.virtio_in_order = true;
	d->v.cfg.virtio_notification_data = true;
	if (legacy)
		d->v.cfg.transport = mmio ? TRANSPORT_MMIO_LEGACY : TRANSPORT_PCI_LEGACY;
	else
		d->v.cfg.transport = mmio ? TRANSPORT_MMIO : TRANSPORT_PCI;
	if (!mmio)
		fz_check(!pci_host_add(&d->v.vm, &fv_layout, 0x800000000ULL));
}

static inline void fv_attach(struct fv *d, struct virtio_device *vdev)
{
	d->vdev = vdev;
	/* One thread does all: threads of the device's own would make runs differ. */
	fz_check(!virtio_use_loop(vdev, &d->v.vm.loop));
	for (u16 i = 0; i < vdev->nr_queues && d->v.cfg.transport == TRANSPORT_PCI_LEGACY; i++) {
		struct virtqueue *vq = &vdev->queues[i].vq;

		vq->size = vq->max_size = MIN(vq->max_size, (u16)FV_OLD_SIZE);
	}
	fz_check(!virtio_attach(vdev));
	d->legacy = vdev->legacy;
}

#endif
