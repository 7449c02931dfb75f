/* SPDX-License-Identifier: MIT */
/*
 * A driver's rings (VIRTIO 1.3, 2.7 and 2.8); see virtio.h. Chains are built in a table of their
 * own, @chain, which is copied into a ring of descriptors, or is the indirect table.
 */
#include "virtio.h"

enum { NEXT = 1, WRITE = 2, INDIRECT = 4, AVAIL = 1 << 7, USED = 1 << 15, WRAP = 1 << 15 };
enum { ENABLE, DISABLE, DESC }; /* 2.8.14 */

struct desc {
	u64 addr;
	u32 len;
	u16 a, b; /* split: flags, next; packed: id, flags */
};

static struct {
	struct desc desc[VQ_SIZE];
	union {
		volatile struct {
			u16 flags, idx, ring[VQ_SIZE + 1]; /* and the event index */
		} avail;
		volatile struct {
			u16 place, flags;
		} wish;
	};
	union {
		volatile struct {
			u16 flags, idx;
			struct {
				u32 id, len;
			} ring[VQ_SIZE + 1];
		} used;
		volatile struct {
			u16 place, flags;
		} device_wish;
	};
	struct desc chain[2 * VQ_SIZE]; /* from a head on, past the end of the ring */
	u16 flags[2 * VQ_SIZE];		/* of each: NEXT and WRITE */
} __attribute__((aligned(4096))) rings[VQ_RINGS];

static bool has(const struct virtio *v, u64 feature)
{
	return v->features & feature;
}

void vq_begin(struct virtio *v, u32 q)
{
	memset(&rings[v->ring + q], 0, sizeof(rings[0]));
	memset(&v->q[q], 0, sizeof(v->q[q]));
	v->q[q].index = (u16)q;
	if (has(v, VIRTIO_PACKED))
		v->q[q].avail = v->q[q].last_used = v->q[q].kicked = WRAP;
}

void vq_parts(struct virtio *v, u32 q, const volatile void *parts[3])
{
	parts[0] = rings[v->ring + q].desc;
	parts[1] = &rings[v->ring + q].avail;
	parts[2] = &rings[v->ring + q].used;
}

/* Behind the entries of the other side's ring; they are as many as the queue has. */
static volatile u16 *used_event(struct virtio *v, u32 q)
{
	return &rings[v->ring + q].avail.ring[v->q[q].size];
}

static volatile u16 *avail_event(struct virtio *v, u32 q)
{
	return (volatile u16 *)&rings[v->ring + q].used.ring[v->q[q].size];
}

/* Of packed rings */

static u16 forward(const struct vq *vq, u16 place, u32 n)
{
	u32 to = (place & (WRAP - 1u)) + n;

	if (to < vq->size)
		return (u16)(place + n);
	return (u16)((place & WRAP) ^ WRAP) | (u16)(to - vq->size);
}

static u32 distance(const struct vq *vq, u16 from, u16 to)
{
	u32 n = 0;

	while (from != to && n < 2u * vq->size) {
		from = forward(vq, from, 1);
		n++;
	}
	return n;
}

static void put_packed(struct virtio *v, u32 q, u16 head, const struct desc *from, u16 flags)
{
	struct vq *vq = &v->q[q];
	struct desc *d = &rings[v->ring + q].desc[vq->avail & (WRAP - 1)];

	d->addr = from->addr;
	d->len = from->len;
	d->a = head;
	*(volatile u16 *)&d->b = (u16)(flags | (vq->avail & WRAP ? AVAIL : USED));
	vq->avail = forward(vq, vq->avail, 1);
}

/* The first descriptor last: with it all are available. */
static void offer_packed(struct virtio *v, u32 q, u16 head)
{
	struct vq *vq = &v->q[q];
	u16 first = vq->avail, after;
	const struct desc *chain = &rings[v->ring + q].chain[head];
	const u16 *flags = &rings[v->ring + q].flags[head];
	u32 n = vq->span[head];
	struct desc table = { .addr = (u64)(uintptr_t)chain };

	if (has(v, VIRTIO_INDIRECT)) {
		table.len = n * (u32)sizeof(*chain);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		put_packed(v, q, head, &table, INDIRECT);
		return;
	}
	vq->avail = forward(vq, first, 1);
	for (u32 i = 1; i < n; i++)
		put_packed(v, q, head, &chain[i], flags[i]);
	after = vq->avail;
	vq->avail = first;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	put_packed(v, q, head, chain, flags[0]);
	vq->avail = after;
}

/* Places that a request has in the ring. */
static u16 places(const struct virtio *v, const struct vq *vq, u16 head)
{
	if (!has(v, VIRTIO_PACKED) || has(v, VIRTIO_INDIRECT))
		return 1;
	return vq->span[head];
}

/* Of split ones */

static void offer_split(struct virtio *v, u32 q, u16 head)
{
	struct vq *vq = &v->q[q];
	struct desc *d = &rings[v->ring + q].desc[head];

	if (has(v, VIRTIO_INDIRECT))
		*d = (struct desc){ (u64)(uintptr_t)&rings[v->ring + q].chain[head],
				    vq->span[head] * (u32)sizeof(*d), INDIRECT, 0 };
	rings[v->ring + q].avail.ring[vq->avail++ & (vq->size - 1)] = head;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	rings[v->ring + q].avail.idx = vq->avail;
}

/* Requests */

void vq_chain(struct virtio *v, u32 q, u16 head, const struct vq_buf *bufs, u32 n)
{
	struct vq *vq = &v->q[q];

	vq->span[head] = (u16)n;
	vq->room[head] = 0;
	for (u32 i = 0; i < n; i++) {
		struct desc *d = &rings[v->ring + q].chain[head + i];
		u16 flags = (u16)((bufs[i].in ? WRITE : 0) | (i + 1 < n ? NEXT : 0));

		if (bufs[i].in)
			vq->room[head] += bufs[i].len;
		d->addr = (u64)(uintptr_t)bufs[i].p;
		d->len = bufs[i].len;
		rings[v->ring + q].flags[head + i] = flags;
		if (has(v, VIRTIO_PACKED)) {
			d->a = 0;
			d->b = flags & WRITE;
			continue;
		}
		d->a = flags;
		d->b = (u16)(i + 1);
		if (!has(v, VIRTIO_INDIRECT)) {
			d->b = (u16)((head + i + 1) & (vq->size - 1));
			rings[v->ring + q].desc[(head + i) & (vq->size - 1)] = *d;
		}
	}
}

void vq_offer(struct virtio *v, u32 q, u16 head)
{
	struct vq *vq = &v->q[q];

	if (has(v, VIRTIO_IN_ORDER))
		vq->order[vq->order_in++ & (VQ_SIZE - 1)] = head;
	if (has(v, VIRTIO_PACKED))
		offer_packed(v, q, head);
	else
		offer_split(v, q, head);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void vq_add(struct virtio *v, u32 q, const struct vq_buf *bufs, u32 n)
{
	struct vq *vq = &v->q[q];
	u16 head = vq->next;

	vq->next = (u16)((head + n) & (vq->size - 1));
	vq_chain(v, q, head, bufs, n);
	vq_offer(v, q, head);
}

/* Is what became available since the last look what the device waits for? */
static bool wants_to_know(struct virtio *v, u32 q)
{
	struct vq *vq = &v->q[q];
	u16 old = vq->kicked, now = vq->avail;

	vq->kicked = now;
	if (has(v, VIRTIO_PACKED)) {
		u16 place = rings[v->ring + q].device_wish.place;
		u16 flags = rings[v->ring + q].device_wish.flags;

		if (flags != DESC)
			return flags != DISABLE;
		return distance(vq, place, now) - 1 < distance(vq, old, now);
	}
	if (!has(v, VIRTIO_EVENT_IDX))
		return !(rings[v->ring + q].used.flags & 1); /* NO_NOTIFY */
	return (u16)(now - *avail_event(v, q) - 1) < (u16)(now - old);
}

void vq_kick(struct virtio *v, u32 q)
{
	if (wants_to_know(v, q))
		vq_notify(v, q);
}

void vq_notify(struct virtio *v, u32 q)
{
	if (has(v, VIRTIO_NOTIFY_DATA))
		write32(v->q[q].notify_addr, q | (u32)v->q[q].avail << 16);
	else if (v->q[q].wide)
		write32(v->q[q].notify_addr, q);
	else
		write16(v->q[q].notify_addr, (u16)q);
}

/* Say for which used buffer an interrupt is wanted: the next, or none. */
static void wish(struct virtio *v, u32 q)
{
	struct vq *vq = &v->q[q];

	if (has(v, VIRTIO_PACKED)) {
		rings[v->ring + q].wish.place = vq->last_used;
		rings[v->ring + q].wish.flags = !vq->interrupts		   ? DISABLE
						: has(v, VIRTIO_EVENT_IDX) ? DESC
									   : ENABLE;
	} else {
		rings[v->ring + q].avail.flags = !vq->interrupts; /* NO_INTERRUPT */
		if (has(v, VIRTIO_EVENT_IDX))
			*used_event(v, q) =
				(u16)(vq->interrupts ? vq->last_used : vq->last_used - 1);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void vq_interrupts(struct virtio *v, u32 q, bool on)
{
	v->q[q].interrupts = on;
	wish(v, q);
}

/* The next used entry: its head, or -1. */
static int look(struct virtio *v, u32 q, u32 *len)
{
	struct vq *vq = &v->q[q];
	const volatile struct desc *d;
	u16 at = vq->last_used & (WRAP - 1);
	bool lap = vq->last_used & WRAP;

	if (!has(v, VIRTIO_PACKED)) {
		at = vq->last_used & (vq->size - 1u);
		if (rings[v->ring + q].used.idx == vq->last_used)
			return -1;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		*len = rings[v->ring + q].used.ring[at].len;
		return (int)rings[v->ring + q].used.ring[at].id;
	}
	d = &rings[v->ring + q].desc[at];
	if (!!(d->b & AVAIL) != lap || !!(d->b & USED) != lap)
		return -1;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*len = d->b & WRITE ? d->len : 0;
	return d->a;
}

/* In order one entry may stand for several, which were written in full but for the last. */
static int next_in_order(struct virtio *v, u32 q, u32 *len)
{
	struct vq *vq = &v->q[q];
	u16 head;

	if (!vq->batch) {
		int last = look(v, q, &vq->batch_len);

		if (last < 0)
			return -1;
		vq->batch = true;
		vq->batch_last = (u16)last;
	}
	head = vq->order[vq->order_out++ & (VQ_SIZE - 1)];
	vq->batch = head != vq->batch_last;
	*len = vq->batch ? vq->room[head] : vq->batch_len;
	return head;
}

int vq_used(struct virtio *v, u32 q, u32 *len)
{
	struct vq *vq = &v->q[q];
	u32 written;
	int head = has(v, VIRTIO_IN_ORDER) ? next_in_order(v, q, &written) : look(v, q, &written);

	if (head < 0)
		return -1;
	if (len)
		*len = written;
	if (has(v, VIRTIO_PACKED))
		vq->last_used = forward(vq, vq->last_used, places(v, vq, (u16)head));
	else
		vq->last_used++;
	if (vq->interrupts && has(v, VIRTIO_EVENT_IDX))
		wish(v, q);
	return head;
}

int vq_wait(struct virtio *v, u32 q, u32 *len)
{
	const u64 start = arch_cycles();
	int head;

	while ((head = vq_used(v, q, len)) < 0 && !arch_hangs(start))
		arch_pause();
	return head;
}
