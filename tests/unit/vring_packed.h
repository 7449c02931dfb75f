/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of a packed virtqueue (VIRTIO 1.3, 2.8) over a plain buffer, for unit tests and
 * fuzzers: it writes what it is told, right or wrong.
 */
#ifndef TEST_VRING_PACKED_H
#define TEST_VRING_PACKED_H

#include <linux/virtio_ring.h>

#include "lkvm/types.h"

#define PVQ_AVAIL BIT(VRING_PACKED_DESC_F_AVAIL)
#define PVQ_USED  BIT(VRING_PACKED_DESC_F_USED)
#define PVQ_WRAP  BIT(VRING_PACKED_EVENT_F_WRAP_CTR)

struct packed_driver {
	u8 *ram; /* host address of guest address 0 */
	u16 size;
	u64 desc, driver, device; /* guest addresses */
	/* Where the next available and used descriptors are, and the parity of the lap. */
	u16 next, used;
	bool wrap, used_wrap;
	u16 span[1024]; /* of each buffer under way, by id */
};

/* Lay the parts out from @at (4 KiB aligned); returns the first address after them. */
static inline u64 pdrv_setup(struct packed_driver *d, u8 *ram, u64 at, u16 size)
{
	memset(d, 0, sizeof(*d));
	d->ram = ram;
	d->size = size;
	d->desc = at;
	d->driver = d->desc + 16ULL * size;
	d->device = d->driver + 4;
	d->wrap = d->used_wrap = true;
	memset(ram + at, 0, 16ULL * size + 8);
	return ALIGN_UP(d->device + 4, 16ULL);
}

/* An entry of any table. */
static inline void pdrv_write(struct packed_driver *d, u64 table, u32 i, u64 addr, u32 len, u16 id,
			      u16 flags)
{
	u8 *p = d->ram + table + 16ULL * i;

	put_le(p, 8, addr);
	put_le(p + 8, 4, len);
	put_le(p + 12, 2, id);
	__atomic_store_n((__le16 *)(p + 14), cpu_to_le16(flags), __ATOMIC_RELEASE);
}

static inline u16 pdrv_avail_flags(const struct packed_driver *d, u16 flags)
{
	return (u16)(flags | (d->wrap ? PVQ_AVAIL : PVQ_USED));
}

/* Write the next descriptor of the ring with @flags, which become those of an available one, and
 * go on. Its place. */
static inline u16 pdrv_desc(struct packed_driver *d, u64 addr, u32 len, u16 id, u16 flags)
{
	u16 at = d->next;

	pdrv_write(d, d->desc, at, addr, len, id, pdrv_avail_flags(d, flags));
	if (++d->next == d->size) {
		d->next = 0;
		d->wrap = !d->wrap;
	}
	return at;
}

/* The next used descriptor, whose buffer had @span of them; or false. */
static inline bool pdrv_take_used(struct packed_driver *d, u16 *id, u32 *len)
{
	const u8 *p = d->ram + d->desc + 16ULL * d->used;
	u16 flags = le16_to_cpu(__atomic_load_n((const __le16 *)(p + 14), __ATOMIC_ACQUIRE));

	if (!!(flags & PVQ_AVAIL) != d->used_wrap || !!(flags & PVQ_USED) != d->used_wrap)
		return false;
	*id = (u16)get_le(p + 12, 2);
	*len = flags & VRING_DESC_F_WRITE ? (u32)get_le(p + 8, 4) : 0;
	d->used = (u16)(d->used + d->span[*id % ARRAY_SIZE(d->span)]);
	if (d->used >= d->size) {
		d->used = (u16)(d->used - d->size);
		d->used_wrap = !d->used_wrap;
	}
	return true;
}

static inline void pdrv_want(struct packed_driver *d, u16 event, u16 flags)
{
	put_le(d->ram + d->driver, 2, event);
	put_le(d->ram + d->driver + 2, 2, flags);
}

static inline u16 pdrv_device_event(const struct packed_driver *d)
{
	return (u16)get_le(d->ram + d->device, 2);
}

static inline u16 pdrv_device_flags(const struct packed_driver *d)
{
	return (u16)get_le(d->ram + d->device + 2, 2);
}

#endif
