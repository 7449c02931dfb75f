/* SPDX-License-Identifier: MIT */
/*
 * A virtio device behind its real transport, driven by a byte stream of operations: a driver that
 * sets up queues correctly and offers well-formed chains, and one that writes anything anywhere.
 * A target gives the device and one operation of its own (a request, a packet, a key).
 */
#ifndef LKVM_TESTS_FUZZ_VIRTIO_H
#define LKVM_TESTS_FUZZ_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>

#include "../unit/vring_driver.h"
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

/* BAR 0 of virtio/pci.c. */
#define FV_BAR_NOTIFY 0x3000u
#define FV_BAR_MSIX   0x4000u
#define FV_BAR_SIZE   0x8000u

#define FV_ECAM	   0xe0000000ULL
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

struct fv {
	struct fz_vm v;
	struct virtio_device *vdev;
	bool mmio;
	struct vring_driver q[FV_QUEUES];
	u16 next_desc[FV_QUEUES];
};

struct fv_buf {
	u64 gpa;
	u32 len;
	bool in; /* the device writes it */
};

/* Registers */

static inline u64 fv_base(struct fv *d)
{
	if (d->mmio)
		return arch_platform.virtio_mmio_base;
	return fz_read(&d->v.vm.mmio, FV_ECAM + (1u << 15) + PCI_BASE_ADDRESS_0, 4) & ~15ULL;
}

static inline void fv_reg(struct fv *d, u32 offset, u32 len, u64 value)
{
	fz_write(&d->v.vm.mmio, fv_base(d) + offset, len, value);
}

static inline u64 fv_get(struct fv *d, u32 offset, u32 len)
{
	return fz_read(&d->v.vm.mmio, fv_base(d) + offset, len);
}

static inline void fv_config(struct fv *d, u32 reg, u32 len, u32 value)
{
	if (!d->mmio)
		fz_write(&d->v.vm.mmio, FV_ECAM + (1u << 15) + reg, len, value);
}

static inline void fv_status(struct fv *d, u8 status)
{
	if (d->mmio)
		fv_reg(d, VIRTIO_MMIO_STATUS, 4, status);
	else
		fv_reg(d, VIRTIO_PCI_COMMON_STATUS, 1, status);
}

static inline void fv_features(struct fv *d, u64 features)
{
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

static inline void fv_queue(struct fv *d, u16 i, u16 size)
{
	struct vring_driver *q = &d->q[i];

	vdrv_setup(q, d->v.ram, i * FV_RING_STEP, size);
	d->next_desc[i] = 0;
	if (d->mmio) {
		fv_reg(d, VIRTIO_MMIO_QUEUE_SEL, 4, i);
		fv_reg(d, VIRTIO_MMIO_QUEUE_NUM, 4, size);
		fv_reg(d, VIRTIO_MMIO_QUEUE_DESC_LOW, 4, q->desc);
		fv_reg(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, 4, q->avail);
		fv_reg(d, VIRTIO_MMIO_QUEUE_USED_LOW, 4, q->used);
		fv_reg(d, VIRTIO_MMIO_QUEUE_READY, 4, 1);
		return;
	}
	fv_reg(d, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
	fv_reg(d, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	fv_reg(d, VIRTIO_PCI_COMMON_Q_MSIX, 2, i + 1u);
	fv_reg(d, VIRTIO_PCI_COMMON_Q_DESCLO, 8, q->desc);
	fv_reg(d, VIRTIO_PCI_COMMON_Q_AVAILLO, 8, q->avail);
	fv_reg(d, VIRTIO_PCI_COMMON_Q_USEDLO, 8, q->used);
	fv_reg(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

/* What a correct driver does from reset to DRIVER_OK (VIRTIO 1.3, 3.1.1). */
static inline void fv_setup(struct fv *d, struct fz *f)
{
	u8 how = fz_u8(f);
	u64 features = virtio_offered(d->vdev);
	u16 size = (u16)(1u << (how >> 4) % 7);

	if (how & 1)
		features &= ~BIT_ULL(VIRTIO_RING_F_EVENT_IDX);
	if (how & 2)
		features &= fz_u64(f) | BIT_ULL(VIRTIO_F_VERSION_1);
	if (!d->mmio) {
		fv_config(d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		fv_config(d, FV_MSIXCAP + PCI_MSIX_FLAGS, 2, how & 4 ? PCI_MSIX_FLAGS_ENABLE : 0);
		for (u32 v = 0; v < 4 && how & 4; v++) {
			fv_reg(d, FV_BAR_MSIX + 16 * v, 8, 0xfee00000);
			fv_reg(d, FV_BAR_MSIX + 16 * v + 8, 8, 0x40 + v);
		}
	}
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

static inline void fv_kick(struct fv *d, u32 q)
{
	if (d->mmio)
		fv_reg(d, VIRTIO_MMIO_QUEUE_NOTIFY, 4, q);
	else
		fv_reg(d, FV_BAR_NOTIFY + 4 * (q & 0x3ff), 2, q);
}

/* Requests */

/* Where the next descriptor goes, or -1 before any set-up. */
static inline int fv_next_desc(struct fv *d, u32 q)
{
	if (!d->q[q].size)
		return -1;
	return d->next_desc[q]++ % d->q[q].size;
}

/* Offer one chain; it may overwrite descriptors that are in use, as a careless driver does. */
static inline void fv_offer(struct fv *d, u32 q, const struct fv_buf *bufs, u32 n)
{
	int head = -1, last = -1;

	for (u32 i = 0; i < n; i++) {
		int at = fv_next_desc(d, q);

		if (at < 0)
			return;
		vdrv_desc(&d->q[q], (u32)at, bufs[i].gpa, bufs[i].len,
			  bufs[i].in ? VRING_DESC_F_WRITE : 0, 0);
		if (last >= 0) {
			u8 *flags = d->v.ram + d->q[q].desc + 16u * (u32)last + 12;

			put_le(flags, 2, get_le(flags, 2) | VRING_DESC_F_NEXT);
			put_le(flags + 2, 2, (u32)at);
		}
		last = at;
		if (head < 0)
			head = at;
	}
	if (head >= 0)
		vdrv_offer(&d->q[q], (u16)head);
}

/* A range of RAM, or (rarely) of anything. */
static inline struct fv_buf fv_random_buf(struct fz *f)
{
	u8 how = fz_u8(f);
	struct fv_buf b = { .in = how & 1 };

	if ((how & 0xf0) == 0xf0) {
		b.gpa = fz_u64(f);
		b.len = fz_u32(f);
	} else {
		u32 base = how & 2 ? FZ_HIGH_GPA : FV_DATA;
		u32 size = how & 2 ? FZ_HIGH_SIZE : FZ_RAM_SIZE - FV_DATA;
		u32 at = how & 4 ? 0 : fz_u16(f) % size;

		b.gpa = base + at;
		b.len = (how & 8 ? fz_u16(f) : fz_u8(f)) % (size - at + 1);
	}
	return b;
}

/* An indirect table at @table whose @n entries repeat the @given buffers; offer it. */
static inline void fv_offer_table(struct fv *d, u32 q, const struct fv_buf *bufs, u32 given, u32 n)
{
	u32 table = FZ_RAM_SIZE - 16 * FV_TABLE;
	int at = fv_next_desc(d, q);

	if (at < 0)
		return;
	for (u32 i = 0; i < n; i++)
		vdrv_write_desc(&d->q[q], table, i, bufs[i % given].gpa, bufs[i % given].len,
				(bufs[i % given].in ? VRING_DESC_F_WRITE : 0) |
					(i + 1 < n ? VRING_DESC_F_NEXT : 0),
				(u16)(i + 1));
	vdrv_desc(&d->q[q], (u32)at, table, n * 16, VRING_DESC_F_INDIRECT, 0);
	vdrv_offer(&d->q[q], (u16)at);
}

/* A chain of random buffers, direct or through an indirect table at the end of low RAM. */
static inline void fv_chain(struct fv *d, struct fz *f)
{
	u8 how = fz_u8(f), where = fz_u8(f);
	u32 q = where % FV_QUEUES, given = 1 + how % 8;
	struct fv_buf bufs[8];

	for (u32 i = 0; i < given; i++)
		bufs[i] = fv_random_buf(f);
	if (how & 0x10) {
		/* The whole table can be one chain, the same buffers again and again. */
		fv_offer_table(d, q, bufs, given, how & 0x20 ? FV_TABLE : given);
	} else {
		fv_offer(d, q, bufs, given);
	}
	if (!(how & 0x80)) {
		fv_kick(d, q);
		fz_pump(&d->v);
	}
}

/* Hostile operations */

static inline void fv_poke(struct fv *d, struct fz *f)
{
	u32 gpa = fz_u16(f);
	size_t len;
	const u8 *bytes = fz_bytes(f, fz_u8(f) % 64, &len);

	if (len && range_within(gpa, len, 0, FZ_RAM_SIZE))
		memcpy(d->v.ram + gpa, bytes, len);
}

/* A descriptor, or an entry or index of the avail ring. */
static inline void fv_poke_ring(struct fv *d, struct fz *f)
{
	u8 how = fz_u8(f);
	struct vring_driver *q = &d->q[(how & 3) % FV_QUEUES];

	if (!q->size)
		return;
	if (how & 4) {
		u16 i = fz_u8(f) % q->size;

		vdrv_desc(q, i, fz_u64(f), fz_u32(f), fz_u16(f), fz_u16(f));
	} else if (how & 8) {
		vdrv_offer(q, fz_u16(f));
	} else if (how & 16) {
		vdrv_set_used_event(q, fz_u16(f));
	} else if (how & 32) {
		vdrv_set_avail_flags(q, fz_u16(f));
	} else {
		vdrv_set_avail_idx(q, (u16)(q->avail_idx + (s8)fz_u8(f)));
	}
}

static inline void fv_access(struct fv *d, struct fz *f, bool write)
{
	u8 how = fz_u8(f);
	u32 len = 1U << (how & 3);
	/* A part of the BAR, and a place in it; most parts have few registers. */
	u32 offset = how & 4 ? fz_u16(f) : fz_u8(f);

	if (!d->mmio && !(how & 4))
		offset += (how >> 4) % 8 * 0x1000u;
	if (!write)
		fv_get(d, offset % FV_BAR_SIZE, len);
	else
		fv_reg(d, offset % FV_BAR_SIZE, len, how & 8 ? fz_u8(f) : fz_le(f, len));
}

static inline void fv_pci(struct fv *d, struct fz *f)
{
	u8 how = fz_u8(f), reg = fz_u8(f);
	u32 len = 1U << (how & 3) % 3;

	if (d->mmio)
		return;
	if (how & 0x80)
		fz_read(&d->v.vm.mmio, FV_ECAM + (1u << 15) + reg, len);
	else if (how & 0x40) /* within the window, or not */
		fv_config(d, PCI_BASE_ADDRESS_0, 4, (u32)FV_MEM32 + FV_BAR_SIZE * (reg % 10));
	else
		fv_config(d, reg, len, (u32)fz_le(f, len));
}

/* What holds between any two operations. */
static inline void fv_invariants(struct fv *d)
{
	const struct virtio_device *vdev = d->vdev;

	for (u16 i = 0; i < vdev->nr_queues; i++) {
		const struct virtqueue *vq = &vdev->queues[i].vq;

		fz_check(!vq->enabled || vq->in_flight <= vq->size);
	}
	fz_check(!vdev->active || vdev->status & VIRTIO_CONFIG_S_DRIVER_OK);
	fz_check(!(vdev->features & ~vdev->host_features));
	if (d->mmio)
		fz_check(d->v.level[arch_platform.virtio_mmio_gsi] ==
			 (fv_get(d, VIRTIO_MMIO_INTERRUPT_STATUS, 4) != 0));
}

static inline void fv_step(struct fv *d, struct fz *f, void (*own)(struct fv *d, struct fz *f))
{
	switch (fz_u8(f) % 16) {
	case 0:
		fv_setup(d, f);
		break;
	case 1:
	case 2:
		fv_chain(d, f);
		break;
	case 3:
		fv_poke_ring(d, f);
		break;
	case 4:
		fv_kick(d, fz_u8(f));
		break;
	case 5:
		fz_pump(&d->v);
		break;
	case 6:
		fv_poke(d, f);
		break;
	case 7:
		fv_access(d, f, true);
		break;
	case 8:
		fv_access(d, f, false);
		break;
	case 9:
		fv_pci(d, f);
		break;
	case 10:
		fv_status(d, fz_u8(f));
		break;
	case 11:
		vm_reset_devices(&d->v.vm);
		break;
	default:
		own(d, f);
		break;
	}
}

/* Make the VM; the caller then makes the device. */
static inline void fv_begin(struct fv *d, bool mmio)
{
	memset(d, 0, sizeof(*d));
	fz_vm_init(&d->v);
	fz_vm_add_ram(&d->v);
	d->mmio = mmio;
	d->v.cfg.transport = mmio ? TRANSPORT_MMIO : TRANSPORT_PCI;
	if (!mmio)
		fz_check(!pci_host_add(&d->v.vm, &fv_layout, 0x800000000ULL));
}

/* Attach @vdev, let the input drive it, take all down. */
static inline void fv_run(struct fv *d, struct virtio_device *vdev, struct fz *f,
			  void (*own)(struct fv *d, struct fz *f))
{
	d->vdev = vdev;
	/* One thread does all: threads of the device's own would make runs differ. */
	fz_check(!virtio_use_loop(vdev, &d->v.vm.loop));
	fz_check(!virtio_attach(vdev));
	for (int i = 0; i < FV_MAX_OPS && fz_more(f); i++) {
		fv_step(d, f, own);
		fv_invariants(d);
	}
	fz_pump(&d->v);
	fv_invariants(d);
	fz_vm_destroy(&d->v);
}

#endif
