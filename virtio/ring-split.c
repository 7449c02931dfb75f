/* SPDX-License-Identifier: MIT */
/*
 * The split layout (VIRTIO 1.3, 2.7): a table of descriptors that link to each other, a ring in
 * which the driver makes heads of chains available and one in which we return them. The driver may
 * change all of it at any moment: what is read is read once.
 */
#include <linux/virtio_ring.h>
#include <stdatomic.h>

#include "lkvm/log.h"
#include "ring.h"

/* 2.7.5 */
struct split_desc {
	__le64 addr;
	__le32 len;
	__le16 flags;
	__le16 next;
};

/* 2.7.8 */
struct split_used_elem {
	__le32 id;
	__le32 len;
};

/* Bytes before the entries of both rings (flags, idx) and after them (the event index). */
#define RING_HEAD 4u
#define RING_TAIL 2u

static __le16 *ring_flags(void *ring)
{
	return ring;
}

static __le16 *ring_idx(void *ring)
{
	return (__le16 *)ring + 1;
}

static __le16 *avail_entry(const struct virtqueue *vq, u16 i)
{
	return (__le16 *)vq->avail + 2 + (i & (vq->size - 1));
}

/* Behind the avail entries the driver says when it wants an interrupt (2.7.7)... */
static __le16 *used_event(const struct virtqueue *vq)
{
	return (__le16 *)vq->avail + 2 + vq->size;
}

static struct split_used_elem *used_entry(const struct virtqueue *vq, u16 i)
{
	return (struct split_used_elem *)((u8 *)vq->used + RING_HEAD) + (i & (vq->size - 1));
}

/* ...and after the used entries we say when we want a notification (2.7.10). */
static __le16 *avail_event(const struct virtqueue *vq)
{
	return (__le16 *)used_entry(vq, (u16)(vq->size - 1)) + sizeof(struct split_used_elem) / 2;
}

static u16 load16(const __le16 *p)
{
	return le16_to_cpu(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static void store16(__le16 *p, u16 v)
{
	__atomic_store_n(p, cpu_to_le16(v), __ATOMIC_RELAXED);
}

/* The entries that the driver wrote before it moved the index are visible after this load. */
static u16 load_avail_idx(const struct virtqueue *vq)
{
	return le16_to_cpu(__atomic_load_n(ring_idx(vq->avail), __ATOMIC_ACQUIRE));
}

static const char *split_map(struct virtqueue *vq)
{
	u64 size = vq->size;

	if (!size || (size & (size - 1)) || size > vq->max_size || size > VIRTQ_MAX_SIZE)
		return "its size is not a power of two within its limits";
	if (!IS_ALIGNED(vq->desc_gpa, 16) || !IS_ALIGNED(vq->avail_gpa, 2) ||
	    !IS_ALIGNED(vq->used_gpa, 4))
		return "its address is not aligned";
	vq->desc = memory_ptr(vq->mem, vq->desc_gpa, size * sizeof(struct split_desc));
	vq->avail = memory_ptr(vq->mem, vq->avail_gpa, RING_HEAD + size * 2 + RING_TAIL);
	vq->used = memory_ptr(vq->mem, vq->used_gpa,
			      RING_HEAD + size * sizeof(struct split_used_elem) + RING_TAIL);
	return vq->desc && vq->avail && vq->used ? NULL : "it is not in RAM";
}

static int split_peek(struct virtqueue *vq, struct virtq_walk *walk, const char **why)
{
	u16 waiting = (u16)(load_avail_idx(vq) - vq->last_avail);

	if (!waiting)
		return 0;
	/* Each request holds a descriptor, so no honest driver has more of them under way. */
	if (waiting > vq->size) {
		*why = "the index of the avail ring jumped";
		return -EPROTO;
	}
	walk->table = vq->desc;
	walk->entries = walk->room = vq->size;
	walk->head = load16(avail_entry(vq, vq->last_avail));
	walk->next = walk->head;
	walk->span = 1;
	walk->indirect = false;
	return 1;
}

/* The one read of a descriptor. After the barrier the compiler may not fetch a field again. */
static const char *split_copy(struct virtq_walk *walk, struct virtq_desc *desc)
{
	struct split_desc d;

	if (walk->next >= walk->entries)
		return "a descriptor index is beyond its table";
	/* A table of n entries has no chain longer than n, except one with a loop. */
	if (!walk->room--)
		return "a chain has a loop";
	memcpy(&d, walk->table + walk->next * sizeof(d), sizeof(d));
	__asm__ volatile("" : "+m"(d));
	desc->addr = le64_to_cpu(d.addr);
	desc->len = le32_to_cpu(d.len);
	desc->flags = le16_to_cpu(d.flags);
	walk->next = le16_to_cpu(d.next);
	return NULL;
}

static void split_take(struct virtqueue *vq, u16 span)
{
	vq->last_avail += span;
}

static void split_untake(struct virtqueue *vq, u16 span)
{
	vq->last_avail -= span;
}

static void split_put_used(struct virtqueue *vq, u16 head, u32 len, u16 span)
{
	struct split_used_elem *e = used_entry(vq, vq->used_idx);

	__atomic_store_n(&e->id, cpu_to_le32(head), __ATOMIC_RELAXED);
	__atomic_store_n(&e->len, cpu_to_le32(len), __ATOMIC_RELAXED);
	/* A whole lap of the index without a signal: should_signal has lost its base. */
	if ((u16)(vq->used_idx - vq->signalled_used) + (u32)span > 0xffff)
		vq->signalled_valid = false;
	vq->used_idx += span;
}

/* The driver that sees the index sees the entry, and the data before it. */
static void split_publish(struct virtqueue *vq)
{
	__atomic_store_n(ring_idx(vq->used), cpu_to_le16(vq->used_idx), __ATOMIC_RELEASE);
}

static bool split_should_signal(struct virtqueue *vq)
{
	u16 old = vq->signalled_used, now = vq->used_idx;
	bool valid = vq->signalled_valid;

	if (valid && old == now)
		return false;
	/* Our used index must be out before the driver's wish is read: it writes its wish and then
	 * reads our index. */
	atomic_thread_fence(memory_order_seq_cst);
	vq->signalled_used = now;
	vq->signalled_valid = true;
	if (!vq->event_idx)
		return !(load16(ring_flags(vq->avail)) & VRING_AVAIL_F_NO_INTERRUPT);
	/* 2.7.7.2: when one of the entries old..now-1 is the one that it waits for. */
	return !valid || (u16)(now - load16(used_event(vq)) - 1) < (u16)(now - old);
}

static bool split_enable_notify(struct virtqueue *vq)
{
	if (vq->event_idx)
		store16(avail_event(vq), vq->last_avail);
	else
		store16(ring_flags(vq->used), 0);
	/* The mirror of split_should_signal: the wish is out before we look again. */
	atomic_thread_fence(memory_order_seq_cst);
	return load_avail_idx(vq) != vq->last_avail;
}

static void split_disable_notify(struct virtqueue *vq)
{
	/* With event-idx an index in the past is the same as no request (2.7.10.1). */
	if (!vq->event_idx)
		store16(ring_flags(vq->used), VRING_USED_F_NO_NOTIFY);
}

const struct virtq_layout virtq_split = {
	.map = split_map,
	.peek = split_peek,
	.copy = split_copy,
	.take = split_take,
	.untake = split_untake,
	.put_used = split_put_used,
	.publish = split_publish,
	.should_signal = split_should_signal,
	.enable_notify = split_enable_notify,
	.disable_notify = split_disable_notify,
};
