/* SPDX-License-Identifier: MIT */
/*
 * Split virtqueues (VIRTIO 1.3, 2.7; see include/lkvm/virtqueue.h): the one place that reads
 * descriptors. The driver may change ring and descriptors at any moment, so each is copied once and
 * only the copy is looked at.
 */
#include "lkvm/virtqueue.h"

#include <linux/virtio_ring.h>
#include <stdatomic.h>

#include "lkvm/log.h"

/* 2.7.5 */
struct virtq_desc {
	__le64 addr;
	__le32 len;
	__le16 flags;
	__le16 next;
};

/* 2.7.8 */
struct virtq_used_elem {
	__le32 id;
	__le32 len;
};

/* Bytes before the entries of both rings (flags, idx) and behind them (the event index). */
#define RING_HEAD 4u
#define RING_TAIL 2u

/* 2.7.5.2: a chain describes at most 2^32 bytes. */
#define CHAIN_MAX_BYTES (1ULL << 32)

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

static struct virtq_used_elem *used_entry(const struct virtqueue *vq, u16 i)
{
	return (struct virtq_used_elem *)((u8 *)vq->used + RING_HEAD) + (i & (vq->size - 1));
}

/* ...and behind the used entries we say when we want a notification (2.7.10). */
static __le16 *avail_event(const struct virtqueue *vq)
{
	return (__le16 *)used_entry(vq, (u16)(vq->size - 1)) + sizeof(struct virtq_used_elem) / 2;
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

int virtq_enable(struct virtqueue *vq)
{
	const char *why;
	u64 size = vq->size;

	why = "its size is no power of two within its limits";
	if (!size || (size & (size - 1)) || size > vq->max_size || size > VIRTQ_MAX_SIZE)
		goto refuse;
	why = "its address is not aligned";
	if (!IS_ALIGNED(vq->desc_gpa, 16) || !IS_ALIGNED(vq->avail_gpa, 2) ||
	    !IS_ALIGNED(vq->used_gpa, 4))
		goto refuse;
	why = "it does not lie in RAM";
	vq->desc = memory_ptr(vq->mem, vq->desc_gpa, size * sizeof(struct virtq_desc));
	vq->avail = memory_ptr(vq->mem, vq->avail_gpa, RING_HEAD + size * 2 + RING_TAIL);
	vq->used = memory_ptr(vq->mem, vq->used_gpa,
			    RING_HEAD + size * sizeof(struct virtq_used_elem) + RING_TAIL);
	if (!vq->desc || !vq->avail || !vq->used)
		goto refuse;
	vq->broken = false;
	vq->last_avail = 0;
	vq->used_idx = 0;
	vq->signalled_used = 0;
	vq->signalled_valid = true;
	vq->in_flight = 0;
	vq->enabled = true;
	return 0;
refuse:
	vq->desc = NULL;
	vq->avail = NULL;
	vq->used = NULL;
	guest_warn("%s: queue %u cannot be enabled: %s", vq->name, vq->index, why);
	return -EINVAL;
}

void virtq_reset(struct virtqueue *vq)
{
	vq->enabled = false;
	vq->desc = NULL;
	vq->avail = NULL;
	vq->used = NULL;
	vq->size = vq->max_size;
	vq->desc_gpa = 0;
	vq->avail_gpa = 0;
	vq->used_gpa = 0;
	vq->event_idx = false;
	vq->indirect = false;
	vq->broken = false;
	vq->last_avail = 0;
	vq->used_idx = 0;
	vq->signalled_used = 0;
	vq->signalled_valid = false;
	vq->in_flight = 0;
}

static int ring_broken(struct virtqueue *vq, const char *why)
{
	vq->broken = true;
	guest_warn("%s: queue %u is broken: %s", vq->name, vq->index, why);
	return -EPROTO;
}

/* The one read of a descriptor. Behind the barrier the compiler may not fetch a field again. */
static struct virtq_desc copy_desc(const struct virtq_desc *from)
{
	struct virtq_desc d;

	memcpy(&d, from, sizeof(d));
	__asm__ volatile("" : "+m"(d));
	d.addr = le64_to_cpu(d.addr);
	d.len = le32_to_cpu(d.len);
	d.flags = le16_to_cpu(d.flags);
	d.next = le16_to_cpu(d.next);
	return d;
}

/* Append the buffer of @d. NULL, or what is wrong with it. */
static const char *add_buffer(struct virtqueue *vq, struct virtq_chain *c,
			      const struct virtq_desc *d, bool *writable)
{
	unsigned int n = c->nr_out + c->nr_in;
	void *host;

	if (d->flags & VRING_DESC_F_WRITE)
		*writable = true;
	else if (*writable)
		return "a readable buffer follows a writable one"; /* 2.7.4.2 */
	if (!d->len)
		return NULL;
	if (n == VIRTQ_MAX_SEGS)
		return "a chain has too many buffers";
	if ((u64)c->out_len + c->in_len + d->len > CHAIN_MAX_BYTES)
		return "a chain is longer than 4 GiB";
	host = memory_ptr(vq->mem, d->addr, d->len);
	if (!host)
		return "a buffer does not lie in RAM";
	c->iov[n].iov_base = host;
	c->iov[n].iov_len = d->len;
	if (*writable) {
		c->nr_in++;
		c->in_len += d->len;
	} else {
		c->nr_out++;
		c->out_len += d->len;
	}
	return NULL;
}

/* 2.7.5.3: replace the descriptor @d by the table that it points to. */
static const char *enter_indirect(struct virtqueue *vq, const struct virtq_desc *d,
				  const u8 **table, u32 *entries)
{
	if (!vq->indirect)
		return "an indirect descriptor without the feature";
	if (d->flags & VRING_DESC_F_NEXT)
		return "an indirect descriptor has a next one"; /* 2.7.5.3.1 */
	if (!d->len || d->len % sizeof(struct virtq_desc))
		return "an indirect table is empty or has half an entry";
	if (d->len / sizeof(struct virtq_desc) > VIRTQ_MAX_SEGS)
		return "an indirect table is too long";
	*table = memory_ptr(vq->mem, d->addr, d->len);
	if (!*table)
		return "an indirect table does not lie in RAM";
	*entries = d->len / (u32)sizeof(struct virtq_desc);
	return NULL;
}

/* Walk the chain from c->head. NULL, or the rule that it breaks. */
static const char *walk_chain(struct virtqueue *vq, struct virtq_chain *c)
{
	const u8 *table = (const u8 *)vq->desc;
	u32 entries = vq->size, seen = 0, i = c->head;
	bool indirect = false, writable = false;

	for (;;) {
		struct virtq_desc d;
		const char *why;

		if (i >= entries)
			return "a descriptor index is beyond its table";
		/* A table of n entries has no chain longer than n, except one with a loop. */
		if (seen++ == entries)
			return "a chain has a loop";
		d = copy_desc((const void *)(table + i * sizeof(d)));
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (indirect)
				return "an indirect table within an indirect table";
			why = enter_indirect(vq, &d, &table, &entries);
			if (why)
				return why;
			indirect = true;
			seen = 0;
			i = 0;
			continue;
		}
		why = add_buffer(vq, c, &d, &writable);
		if (why)
			return why;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return NULL;
		i = d.next;
	}
}

int virtq_pop(struct virtqueue *vq, struct virtq_chain *chain)
{
	const char *why;
	u16 waiting;

	if (!vq->enabled || vq->broken)
		return -EPROTO;
	waiting = (u16)(load_avail_idx(vq) - vq->last_avail);
	if (!waiting)
		return 0;
	/* Each request holds a descriptor, so no honest driver has more of them under way. */
	if (waiting > vq->size)
		return ring_broken(vq, "the index of the avail ring jumped");
	if (vq->in_flight >= vq->size)
		return ring_broken(vq, "more requests than descriptors");
	chain->head = load16(avail_entry(vq, vq->last_avail));
	chain->nr_out = 0;
	chain->nr_in = 0;
	chain->out_len = 0;
	chain->in_len = 0;
	why = walk_chain(vq, chain);
	if (why)
		return ring_broken(vq, why);
	vq->last_avail++;
	vq->in_flight++;
	return 1;
}

void virtq_unpop(struct virtqueue *vq)
{
	if (!vq->enabled || !vq->in_flight)
		return;
	vq->last_avail--;
	vq->in_flight--;
}

void virtq_push_later(struct virtqueue *vq, u16 head, u32 len)
{
	struct virtq_used_elem *e;

	if (!vq->enabled || vq->broken || !vq->in_flight)
		return;
	vq->in_flight--;
	e = used_entry(vq, vq->used_idx);
	__atomic_store_n(&e->id, cpu_to_le32(head), __ATOMIC_RELAXED);
	__atomic_store_n(&e->len, cpu_to_le32(len), __ATOMIC_RELAXED);
	vq->used_idx++;
	/* A whole lap of the index without a signal: virtq_should_signal has lost its base. */
	if (vq->used_idx == vq->signalled_used)
		vq->signalled_valid = false;
}

void virtq_push(struct virtqueue *vq, u16 head, u32 len)
{
	if (!vq->enabled || vq->broken || !vq->in_flight)
		return;
	virtq_push_later(vq, head, len);
	/* The driver that sees the index sees the entry, and the data before it. */
	__atomic_store_n(ring_idx(vq->used), cpu_to_le16(vq->used_idx), __ATOMIC_RELEASE);
}

bool virtq_should_signal(struct virtqueue *vq)
{
	u16 old = vq->signalled_used, now = vq->used_idx;
	bool valid = vq->signalled_valid;

	if (!vq->enabled || vq->broken || (valid && old == now))
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

bool virtq_enable_notify(struct virtqueue *vq)
{
	if (!vq->enabled || vq->broken)
		return false;
	if (vq->event_idx)
		store16(avail_event(vq), vq->last_avail);
	else
		store16(ring_flags(vq->used), 0);
	/* The mirror of virtq_should_signal: the wish is out before we look again. */
	atomic_thread_fence(memory_order_seq_cst);
	return load_avail_idx(vq) != vq->last_avail;
}

void virtq_disable_notify(struct virtqueue *vq)
{
	/* With event-idx an index that lies behind is as good as no wish (2.7.10.1). */
	if (vq->enabled && !vq->broken && !vq->event_idx)
		store16(ring_flags(vq->used), VRING_USED_F_NO_NOTIFY);
}
