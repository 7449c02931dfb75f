/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of a split virtqueue (VIRTIO 1.3, 2.7) over a plain buffer, for unit tests and
 * fuzzers: it writes what it is told, right or wrong.
 */
#ifndef TEST_VRING_DRIVER_H
#define TEST_VRING_DRIVER_H

#include <linux/virtio_ring.h>

#include "lkvm/types.h"

struct vring_driver {
	u8 *ram; /* host address of guest address 0 */
	u16 size;
	u64 desc, avail, used; /* guest addresses */
	u16 avail_idx;
	u16 used_seen;
};

/* Lay the three parts out from @at (4 KiB aligned); returns the first address after them. */
static inline u64 vdrv_setup(struct vring_driver *d, u8 *ram, u64 at, u16 size)
{
	memset(d, 0, sizeof(*d));
	d->ram = ram;
	d->size = size;
	d->desc = at;
	d->avail = d->desc + 16ULL * size;
	d->used = ALIGN_UP(d->avail + 6 + 2ULL * size, 4ULL);
	memset(ram + at, 0, d->used + 6 + 8ULL * size - at);
	return ALIGN_UP(d->used + 6 + 8ULL * size, 16ULL);
}

/* A descriptor anywhere: entry @i of the table at guest address @table. */
static inline void vdrv_write_desc(struct vring_driver *d, u64 table, u32 i, u64 addr, u32 len,
				   u16 flags, u16 next)
{
	u8 *p = d->ram + table + 16ULL * i;

	put_le(p, 8, addr);
	put_le(p + 8, 4, len);
	put_le(p + 12, 2, flags);
	put_le(p + 14, 2, next);
}

static inline void vdrv_desc(struct vring_driver *d, u32 i, u64 addr, u32 len, u16 flags, u16 next)
{
	vdrv_write_desc(d, d->desc, i, addr, len, flags, next);
}

static inline void vdrv_set_avail_idx(struct vring_driver *d, u16 idx)
{
	d->avail_idx = idx;
	__atomic_store_n((__le16 *)(d->ram + d->avail + 2), cpu_to_le16(idx), __ATOMIC_RELEASE);
}

static inline void vdrv_offer(struct vring_driver *d, u16 head)
{
	put_le(d->ram + d->avail + 4 + 2 * (d->avail_idx % d->size), 2, head);
	vdrv_set_avail_idx(d, (u16)(d->avail_idx + 1));
}

static inline u16 vdrv_used_idx(const struct vring_driver *d)
{
	return le16_to_cpu(
		__atomic_load_n((const __le16 *)(d->ram + d->used + 2), __ATOMIC_ACQUIRE));
}

/* The next used entry, or false. */
static inline bool vdrv_take_used(struct vring_driver *d, u32 *id, u32 *len)
{
	const u8 *e = d->ram + d->used + 4 + 8 * (d->used_seen % d->size);

	if (vdrv_used_idx(d) == d->used_seen)
		return false;
	*id = (u32)get_le(e, 4);
	*len = (u32)get_le(e + 4, 4);
	d->used_seen++;
	return true;
}

static inline void vdrv_set_avail_flags(struct vring_driver *d, u16 flags)
{
	put_le(d->ram + d->avail, 2, flags);
}

static inline void vdrv_set_used_event(struct vring_driver *d, u16 event)
{
	put_le(d->ram + d->avail + 4 + 2 * d->size, 2, event);
}

static inline u16 vdrv_used_flags(const struct vring_driver *d)
{
	return (u16)get_le(d->ram + d->used, 2);
}

static inline u16 vdrv_avail_event(const struct vring_driver *d)
{
	return (u16)get_le(d->ram + d->used + 4 + 8 * d->size, 2);
}

/* xorshift64*: the same numbers everywhere. */
static inline u64 vdrv_random(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

#endif
