/* SPDX-License-Identifier: MIT */
/*
 * A virtio device behind its real transport, driven by a byte stream of operations: a driver that
 * sets up queues correctly and offers well-formed chains, and one that writes anything anywhere,
 * also between two reads of the device. A target gives the device and one operation of its own (a
 * request, a packet, a key).
 */
#ifndef LKVM_TESTS_FUZZ_VIRTIO_H
#define LKVM_TESTS_FUZZ_VIRTIO_H

#include "fuzz_transport.h"

/* Requests */

/* Where the next descriptor goes, or -1 before any set-up. */
static inline int fv_next_desc(struct fv *d, u32 q)
{
	if (!d->q[q].size)
		return -1;
	return d->next_desc[q]++ % d->q[q].size;
}

/* The same for a packed ring, where descriptors follow each other. */
static inline void fv_offer_packed(struct fv *d, u32 q, const struct fv_buf *bufs, u32 n)
{
	u16 id = (u16)fv_next_desc(d, q);

	for (u32 i = 0; i < n && d->q[q].size; i++)
		pdrv_desc(&d->p[q], bufs[i].gpa, bufs[i].len, id,
			  (u16)((bufs[i].in ? VRING_DESC_F_WRITE : 0) |
				(i + 1 < n ? VRING_DESC_F_NEXT : 0)));
}

/* Offer one chain; it may overwrite descriptors that are in use, as a careless driver does. */
static inline void fv_offer(struct fv *d, u32 q, const struct fv_buf *bufs, u32 n)
{
	int head = -1, last = -1;

	if (d->packed) {
		fv_offer_packed(d, q, bufs, n);
		return;
	}
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
	for (u32 i = 0; i < n && d->packed; i++)
		pdrv_write(&d->p[q], table, i, bufs[i % given].gpa, bufs[i % given].len, 0,
			   bufs[i % given].in ? VRING_DESC_F_WRITE : 0);
	for (u32 i = 0; i < n && !d->packed; i++)
		vdrv_write_desc(&d->q[q], table, i, bufs[i % given].gpa, bufs[i % given].len,
				(bufs[i % given].in ? VRING_DESC_F_WRITE : 0) |
					(i + 1 < n ? VRING_DESC_F_NEXT : 0),
				(u16)(i + 1));
	if (d->packed) {
		pdrv_desc(&d->p[q], table, n * 16, (u16)at, VRING_DESC_F_INDIRECT);
		return;
	}
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

/* The same of a packed ring: a descriptor with any flags, the driver's wish, a lap too many. */
static inline void fv_poke_packed(struct fv *d, struct fz *f, u8 how)
{
	struct packed_driver *p = &d->p[(how & 3) % FV_QUEUES];

	if (how & 8)
		pdrv_desc(p, fz_u64(f), fz_u32(f), fz_u16(f), fz_u16(f));
	else if (how & 16)
		pdrv_want(p, fz_u16(f), fz_u16(f));
	else if (how & 32)
		p->wrap = !p->wrap;
	else
		p->next = fz_u8(f) % p->size;
}

/* A descriptor, or an entry or index of the avail ring. */
static inline void fv_poke_ring(struct fv *d, struct fz *f)
{
	u8 how = fz_u8(f);
	struct vring_driver *q = &d->q[(how & 3) % FV_QUEUES];

	if (!q->size)
		return;
	if (d->packed && !(how & 4)) {
		fv_poke_packed(d, f, how);
	} else if (how & 4) {
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
		fv_get(d, offset % fv_window(d), len);
	else
		fv_reg(d, offset % fv_window(d), len, how & 8 ? fz_u8(f) : fz_le(f, len));
}

static inline void fv_pci(struct fv *d, struct fz *f)
{
	u8 how = fz_u8(f), reg = fz_u8(f);
	u32 len = 1U << (how & 3) % 3;

	if (d->mmio)
		return;
	if (how & 0x80)
		fz_read(&d->v.vm.mmio, FV_CONFIG + reg, len);
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
	case 15:
		fz_meanwhile(f);
		break;
	default:
		own(d, f);
		break;
	}
}

/* Attach @vdev, let the input drive it, take all down. */
static inline void fv_run(struct fv *d, struct virtio_device *vdev, struct fz *f,
			  void (*own)(struct fv *d, struct fz *f))
{
	fv_attach(d, vdev);
	for (int i = 0; i < FV_MAX_OPS && fz_more(f); i++) {
		fv_step(d, f, own);
		fv_invariants(d);
	}
	fz_pump(&d->v);
	fv_invariants(d);
	fz_meanwhile_forget();
	fz_vm_destroy(&d->v);
}

#endif
