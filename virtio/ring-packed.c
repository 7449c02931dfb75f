/* SPDX-License-Identifier: MIT */
/*
 * The packed layout (VIRTIO 1.3, 2.8): one ring, which both sides go around. The driver makes a
 * descriptor available by two flags that equal (and differ from) the parity of its lap, and we
 * write used descriptors over what was available, with both flags equal to the parity of ours.
 * Buffers have ids, since they may come back in another order. The driver may change all of it at
 * any moment: what is read is read once.
 *
 * Positions (last_avail, used_idx, signalled_used) are as 2.8.9 has them for events: 15 bits of
 * offset and, above, the wrap counter, which begins as 1.
 */
#include <linux/virtio_ring.h>
#include <stdatomic.h>

#include "lkvm/log.h"
#include "ring.h"

/* 2.8.13 */
struct packed_desc {
	__le64 addr;
	__le32 len;
	__le16 id;
	__le16 flags;
};

#define F_AVAIL BIT(VRING_PACKED_DESC_F_AVAIL)
#define F_USED	BIT(VRING_PACKED_DESC_F_USED)
#define WRAP	BIT(VRING_PACKED_EVENT_F_WRAP_CTR)

/* 2.8.14: desc_event_off and _wrap in the lower 16 bits, the flags in the upper. */
#define EVENT_SIZE	   4u
#define EVENT_FLAGS(event) ((event) >> 16 & 3)
#define EVENT(pos, flags)  ((u32)(flags) << 16 | (pos))

static u32 offset_of(u16 pos)
{
	return pos & (WRAP - 1u);
}

/* A position as a number below twice the size: two laps, then all is as before. */
static u32 on_two_laps(const struct virtqueue *vq, u16 pos)
{
	return offset_of(pos) + (pos & WRAP ? 0 : vq->size);
}

static u32 distance(const struct virtqueue *vq, u16 from, u16 to)
{
	u32 laps = 2u * vq->size;
	u32 n = on_two_laps(vq, to) + laps - on_two_laps(vq, from);

	return n < laps ? n : n - laps;
}

static u16 forward(const struct virtqueue *vq, u16 pos, u32 n)
{
	u32 to = offset_of(pos) + n;

	return to < vq->size ? (u16)(pos + n) : (u16)((pos & WRAP) ^ WRAP) | (u16)(to - vq->size);
}

static u16 back(const struct virtqueue *vq, u16 pos, u32 n)
{
	u32 from = offset_of(pos);

	return from >= n ? (u16)(pos - n) : (u16)((pos & WRAP) ^ WRAP) | (u16)(from + vq->size - n);
}

static struct packed_desc *entry(const struct virtqueue *vq, u16 pos)
{
	return (struct packed_desc *)vq->desc + offset_of(pos);
}

static const char *packed_map(struct virtqueue *vq)
{
	u64 size = vq->size;

	/* Any size will do (2.8). */
	if (!size || size > vq->max_size || size > VIRTQ_MAX_SIZE)
		return "its size is not within its limits";
	if (!IS_ALIGNED(vq->desc_gpa, 16) || !IS_ALIGNED(vq->avail_gpa, 4) ||
	    !IS_ALIGNED(vq->used_gpa, 4))
		return "its address is not aligned";
	vq->desc = memory_ptr(vq->mem, vq->desc_gpa, size * sizeof(struct packed_desc));
	vq->avail = memory_ptr(vq->mem, vq->avail_gpa, EVENT_SIZE);
	vq->used = memory_ptr(vq->mem, vq->used_gpa, EVENT_SIZE);
	return vq->desc && vq->avail && vq->used ? NULL : "it is not in RAM";
}

/* 2.8.1: available is what has the flag of our lap, and the other one not. The rest of it is
 * visible after this load. */
static bool is_available(const struct virtqueue *vq)
{
	u16 flags =
		le16_to_cpu(__atomic_load_n(&entry(vq, vq->last_avail)->flags, __ATOMIC_ACQUIRE));
	bool lap = vq->last_avail & WRAP;

	return !!(flags & F_AVAIL) == lap && !!(flags & F_USED) != lap;
}

static int packed_peek(struct virtqueue *vq, struct virtq_walk *walk, const char **why)
{
	if (!is_available(vq))
		return 0;
	/* Each request holds its descriptors until it comes back (2.8.21). */
	*walk = (struct virtq_walk){
		.table = vq->desc,
		.entries = vq->size,
		.next = offset_of(vq->last_avail),
		.room = vq->size - distance(vq, vq->used_idx, vq->last_avail),
	};
	return 1;
}

/* The one read of a descriptor. After the barrier the compiler may not fetch a field again. */
static const char *packed_copy(struct virtq_walk *walk, struct virtq_desc *desc)
{
	struct packed_desc d;

	if (!walk->room--)
		return "a chain has descriptors that did not come back";
	memcpy(&d, walk->table + walk->next * sizeof(d), sizeof(d));
	__asm__ volatile("" : "+m"(d));
	desc->addr = le64_to_cpu(d.addr);
	desc->len = le32_to_cpu(d.len);
	desc->flags = le16_to_cpu(d.flags);
	walk->next++;
	if (walk->indirect) {
		/* 2.8.7: a table is used as a whole; but for WRITE its flags mean nothing. */
		desc->flags &= VRING_DESC_F_WRITE;
		desc->flags |= walk->room ? VRING_DESC_F_NEXT : 0;
		return NULL;
	}
	if (walk->next == walk->entries)
		walk->next = 0;
	/* 2.8.6: the id of a chain is that of its last descriptor. */
	walk->head = le16_to_cpu(d.id);
	walk->span++;
	return NULL;
}

static void packed_take(struct virtqueue *vq, u16 span)
{
	vq->last_avail = forward(vq, vq->last_avail, span);
}

static void packed_untake(struct virtqueue *vq, u16 span)
{
	vq->last_avail = back(vq, vq->last_avail, span);
}

static void packed_put_used(struct virtqueue *vq, u16 head, u32 len, u16 span)
{
	struct packed_desc *d = entry(vq, vq->used_idx);
	/* 2.8.5: WRITE says that the length means something. */
	u16 flags = (u16)((vq->used_idx & WRAP ? F_AVAIL | F_USED : 0) |
			  (len ? VRING_DESC_F_WRITE : 0));

	__atomic_store_n(&d->len, cpu_to_le32(len), __ATOMIC_RELAXED);
	__atomic_store_n(&d->id, cpu_to_le16(head), __ATOMIC_RELAXED);
	/* The driver goes from one to the next: without the first it sees none. */
	if (!vq->unpublished) {
		vq->unpublished = true;
		vq->unpublished_at = vq->used_idx;
		vq->unpublished_flags = flags;
	} else {
		__atomic_store_n(&d->flags, cpu_to_le16(flags), __ATOMIC_RELAXED);
	}
	/* Two whole laps without a signal: should_signal has lost its base. */
	if (distance(vq, vq->signalled_used, vq->used_idx) + span >= 2u * vq->size)
		vq->signalled_valid = false;
	vq->used_idx = forward(vq, vq->used_idx, span);
}

static void packed_publish(struct virtqueue *vq)
{
	if (vq->unpublished)
		__atomic_store_n(&entry(vq, vq->unpublished_at)->flags,
				 cpu_to_le16(vq->unpublished_flags), __ATOMIC_RELEASE);
	vq->unpublished = false;
}

static bool packed_should_signal(struct virtqueue *vq)
{
	u32 moved = distance(vq, vq->signalled_used, vq->used_idx), event;
	bool valid = vq->signalled_valid;

	if (valid && !moved)
		return false;
	/* The used flags must be out before the driver's wish is read: it writes its wish and then
	 * looks at the flags. */
	atomic_thread_fence(memory_order_seq_cst);
	vq->signalled_used = vq->used_idx;
	vq->signalled_valid = true;
	event = le32_to_cpu(__atomic_load_n((__le32 *)vq->avail, __ATOMIC_RELAXED));
	if (EVENT_FLAGS(event) == VRING_PACKED_EVENT_FLAG_DISABLE)
		return false;
	if (EVENT_FLAGS(event) != VRING_PACKED_EVENT_FLAG_DESC || !vq->event_idx)
		return true;
	/* 2.8.9: when one of the descriptors that were passed is the one that it waits for. One
	 * beyond the ring is no descriptor. */
	return !valid || offset_of((u16)event) >= vq->size ||
	       distance(vq, (u16)event, vq->used_idx) - 1 < moved;
}

static void write_wish(struct virtqueue *vq, u32 event)
{
	__atomic_store_n((__le32 *)vq->used, cpu_to_le32(event), __ATOMIC_RELAXED);
}

static bool packed_enable_notify(struct virtqueue *vq)
{
	if (vq->event_idx)
		write_wish(vq, EVENT(vq->last_avail, VRING_PACKED_EVENT_FLAG_DESC));
	else
		write_wish(vq, EVENT(0, VRING_PACKED_EVENT_FLAG_ENABLE));
	/* The mirror of packed_should_signal: the wish is out before we look again. */
	atomic_thread_fence(memory_order_seq_cst);
	return is_available(vq);
}

static void packed_disable_notify(struct virtqueue *vq)
{
	/* With event-idx a descriptor that was passed is the same as no request. */
	if (!vq->event_idx)
		write_wish(vq, EVENT(0, VRING_PACKED_EVENT_FLAG_DISABLE));
}

const struct virtq_layout virtq_packed = {
	.begin = WRAP,
	.map = packed_map,
	.peek = packed_peek,
	.copy = packed_copy,
	.take = packed_take,
	.untake = packed_untake,
	.put_used = packed_put_used,
	.publish = packed_publish,
	.should_signal = packed_should_signal,
	.enable_notify = packed_enable_notify,
	.disable_notify = packed_disable_notify,
};
