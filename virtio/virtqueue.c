/* SPDX-License-Identifier: MIT */
/*
 * Virtqueues: checking of chains, translation of buffers, and the books about what is in flight
 * (VIRTIO 1.3, 2.6 to 2.8; see include/lkvm/virtqueue.h). Where things lie in the ring is the
 * layout's (ring.h). The driver may change ring and descriptors at any moment, so each descriptor
 * is copied once and only the copy is looked at.
 */
#include "lkvm/virtqueue.h"

#include <linux/virtio_ring.h>

#include "lkvm/log.h"
#include "ring.h"

/* 2.7.5.2: a chain describes at most 2^32 bytes. */
#define CHAIN_MAX_BYTES (1ULL << 32)
/* An entry of an indirect table, in either layout. */
#define DESC_SIZE 16u

static bool running(const struct virtqueue *vq)
{
	return vq->enabled && !vq->broken;
}

/* What runs, back to its beginning. */
static void clear(struct virtqueue *vq)
{
	u16 begin = vq->layout ? vq->layout->begin : 0;

	vq->broken = false;
	vq->last_avail = begin;
	vq->used_idx = begin;
	vq->signalled_used = begin;
	vq->signalled_valid = false;
	vq->unpublished = false;
	vq->order_in = 0;
	vq->order_out = 0;
	memset(vq->landed, 0, sizeof(vq->landed));
	vq->in_flight = 0;
	memset(vq->flying, 0, sizeof(vq->flying));
}

static void unmap(struct virtqueue *vq)
{
	vq->desc = NULL;
	vq->avail = NULL;
	vq->used = NULL;
}

static void choose_layout(struct virtqueue *vq)
{
	vq->layout = vq->packed ? &virtq_packed : &virtq_split;
}

int virtq_enable(struct virtqueue *vq)
{
	const char *why;

	choose_layout(vq);
	why = vq->layout->map(vq);
	if (why) {
		unmap(vq);
		guest_warn("%s: queue %u cannot be enabled: %s", vq->name, vq->index, why);
		return -EINVAL;
	}
	clear(vq);
	vq->signalled_valid = true;
	vq->enabled = true;
	return 0;
}

void virtq_reset(struct virtqueue *vq)
{
	unmap(vq);
	vq->layout = NULL;
	vq->enabled = false;
	vq->size = vq->max_size;
	vq->desc_gpa = 0;
	vq->avail_gpa = 0;
	vq->used_gpa = 0;
	vq->packed = false;
	vq->event_idx = false;
	vq->indirect = false;
	vq->in_order = false;
	clear(vq);
}

static int ring_broken(struct virtqueue *vq, const char *why)
{
	vq->broken = true;
	guest_warn("%s: queue %u is broken: %s", vq->name, vq->index, why);
	return -EPROTO;
}

int virtq_remap(struct virtqueue *vq)
{
	if (!running(vq) || !vq->layout->map(vq))
		return 0;
	unmap(vq);
	ring_broken(vq, "it is no longer in RAM");
	return -EFAULT;
}

int virtq_restore(struct virtqueue *vq)
{
	choose_layout(vq);
	unmap(vq);
	return virtq_remap(vq);
}

/* In flight */

static bool flying(const struct virtqueue *vq, u16 head)
{
	return head < vq->size && vq->flying[head / 64] & BIT_ULL(head % 64);
}

static void take_off(struct virtqueue *vq, const struct virtq_request *req, u16 span)
{
	u16 head = req->head;

	vq->flying[head / 64] |= BIT_ULL(head % 64);
	vq->flights[head].span = span;
	vq->in_flight++;
	if (!vq->in_order)
		return;
	vq->flights[head].len = (u32)MIN(req->in_len, (size_t)UINT32_MAX);
	vq->flights[vq->order_in++ % VIRTQ_MAX_SIZE].order = head;
}

static void land(struct virtqueue *vq, u16 head)
{
	vq->flying[head / 64] &= ~BIT_ULL(head % 64);
	vq->in_flight--;
}

/* In order */

static bool landed(const struct virtqueue *vq, u16 head)
{
	return vq->landed[head / 64] & BIT_ULL(head % 64);
}

/* All that the driver had room for was written: it need not be told of this one by itself. */
#define FULL 0x8000u

static void land_in_order(struct virtqueue *vq, u16 head, u32 len)
{
	struct virtq_flight *f = &vq->flights[head];

	vq->landed[head / 64] |= BIT_ULL(head % 64);
	if (f->len == len)
		f->span |= FULL;
	f->len = len;
}

/* The oldest request has landed. It leaves the books: its head. */
static u16 retire_one(struct virtqueue *vq)
{
	u16 head = vq->flights[vq->order_out++ % VIRTQ_MAX_SIZE].order;

	vq->landed[head / 64] &= ~BIT_ULL(head % 64);
	land(vq, head);
	return head;
}

static bool oldest_landed(const struct virtqueue *vq)
{
	return vq->order_out != vq->order_in &&
	       landed(vq, vq->flights[vq->order_out % VIRTQ_MAX_SIZE].order);
}

/* One used entry for as many requests as it can stand for: the ones before the last are taken as
 * written in full. */
static void retire(struct virtqueue *vq)
{
	u16 span = 0;

	while (oldest_landed(vq)) {
		u16 head = retire_one(vq);
		struct virtq_flight *f = &vq->flights[head];

		span = (u16)(span + (f->span & ~FULL));
		if (f->span & FULL && oldest_landed(vq))
			continue;
		vq->layout->put_used(vq, head, f->len, span);
		span = 0;
	}
}

/* Chains */

struct chain {
	struct virtq_request *req;
	unsigned int max;
	bool too_big;  /* for @max; not yet for VIRTQ_MAX_SEGS */
	bool writable; /* the buffers are the device's to write from here on */
};

/* Append the buffer of @d. NULL, or what is wrong with it. */
static const char *add_buffer(struct virtqueue *vq, struct chain *c, const struct virtq_desc *d)
{
	struct virtq_request *req = c->req;
	unsigned int n = req->nr_out + req->nr_in;
	void *host;

	if (d->flags & VRING_DESC_F_WRITE)
		c->writable = true;
	else if (c->writable)
		return "a readable buffer follows a writable one"; /* 2.7.4.2 */
	if (!d->len)
		return NULL;
	if (n == VIRTQ_MAX_SEGS)
		return "a chain has too many buffers";
	if (n == c->max) {
		c->too_big = true;
		return "a chain has more buffers than the device supports";
	}
	if ((u64)req->out_len + req->in_len + d->len > CHAIN_MAX_BYTES)
		return "a chain is longer than 4 GiB";
	host = memory_ptr(vq->mem, d->addr, d->len);
	if (!host && !c->writable)
		host = (void *)memory_source(vq->mem, d->addr, d->len);
	if (!host)
		return "a buffer is not in RAM";
	req->iov[n].iov_base = host;
	req->iov[n].iov_len = d->len;
	if (c->writable) {
		req->nr_in++;
		req->in_len += d->len;
	} else {
		req->nr_out++;
		req->out_len += d->len;
	}
	return NULL;
}

/* 2.7.5.3, 2.8.7: replace the descriptor @d by the table that it points to. */
static const char *enter_indirect(struct virtqueue *vq, const struct virtq_desc *d,
				  struct virtq_walk *walk)
{
	if (walk->indirect)
		return "an indirect table within an indirect table";
	if (!vq->indirect)
		return "an indirect descriptor without the feature";
	if (d->flags & VRING_DESC_F_NEXT)
		return "an indirect descriptor has a next one"; /* 2.7.5.3.1 */
	if (!d->len || d->len % DESC_SIZE)
		return "an indirect table is empty or has half an entry";
	if (d->len / DESC_SIZE > VIRTQ_MAX_SEGS)
		return "an indirect table is too long";
	/* 2.8.19: in a packed ring it is all of the chain. */
	if (walk->span > 1)
		return "an indirect table in a chain of a packed ring";
	walk->table = memory_ptr(vq->mem, d->addr, d->len);
	walk->entries = walk->room = d->len / DESC_SIZE;
	walk->next = 0;
	walk->indirect = true;
	return walk->table ? NULL : "an indirect table is not in RAM";
}

/* Walk the chain from its head. NULL, or the rule that it breaks. */
static const char *walk_chain(struct virtqueue *vq, struct chain *c, struct virtq_walk *walk)
{
	struct virtq_desc d;
	const char *why;

	do {
		why = vq->layout->copy(walk, &d);
		if (why)
			return why;
		if (d.flags & VRING_DESC_F_INDIRECT) {
			why = enter_indirect(vq, &d, walk);
			d.flags = VRING_DESC_F_NEXT;
		} else {
			why = add_buffer(vq, c, &d);
		}
		if (why)
			return why;
	} while (d.flags & VRING_DESC_F_NEXT);
	return NULL;
}

int virtq_pop(struct virtqueue *vq, struct virtq_request *req, struct iovec *iov, unsigned int max)
{
	struct chain c = { .req = req, .max = max };
	struct virtq_walk walk;
	const char *why = NULL;
	int ret;

	*req = (struct virtq_request){ .iov = iov };
	if (!running(vq))
		return -EPROTO;
	ret = vq->layout->peek(vq, &walk, &why);
	if (!ret)
		return 0;
	if (!why)
		why = walk_chain(vq, &c, &walk);
	if (c.too_big)
		return -E2BIG;
	if (!why && walk.head >= vq->size)
		why = "the id of a request is beyond the size of the ring";
	if (!why && flying(vq, walk.head))
		why = "a request is offered again before it came back";
	if (why)
		return ring_broken(vq, why);
	req->head = walk.head;
	vq->layout->take(vq, walk.span);
	take_off(vq, req, walk.span);
	return 1;
}

int virtq_adopt(struct virtqueue *vq, u16 head, struct virtq_request *req, struct iovec *iov)
{
	struct chain c = { .req = req, .max = VIRTQ_MAX_SEGS };
	struct virtq_walk walk = {
		.table = vq->desc,
		.entries = vq->size,
		.room = vq->size,
		.next = head,
		.span = 1,
	};
	const char *why;

	*req = (struct virtq_request){ .iov = iov, .head = head };
	if (!running(vq) || vq->packed)
		return -EPROTO;
	why = walk_chain(vq, &c, &walk);
	if (!why && flying(vq, head))
		why = "a request is offered again before it came back";
	if (why)
		return ring_broken(vq, why);
	take_off(vq, req, walk.span);
	return 0;
}

/* Is @req still the device's? */
static bool ours(const struct virtqueue *vq, const struct virtq_request *req)
{
	return running(vq) && flying(vq, req->head) && !landed(vq, req->head);
}

void virtq_unpop(struct virtqueue *vq, const struct virtq_request *req)
{
	if (!ours(vq, req))
		return;
	vq->layout->untake(vq, vq->flights[req->head].span);
	land(vq, req->head);
	if (vq->in_order)
		vq->order_in--;
}

void virtq_push_later(struct virtqueue *vq, const struct virtq_request *req, u32 len)
{
	if (!ours(vq, req))
		return;
	if (vq->in_order) {
		land_in_order(vq, req->head, len);
		return;
	}
	land(vq, req->head);
	vq->layout->put_used(vq, req->head, len, vq->flights[req->head].span);
}

void virtq_push(struct virtqueue *vq, const struct virtq_request *req, u32 len)
{
	if (!ours(vq, req))
		return;
	virtq_push_later(vq, req, len);
	virtq_publish(vq);
}

void virtq_publish(struct virtqueue *vq)
{
	if (!running(vq))
		return;
	if (vq->in_order)
		retire(vq);
	vq->layout->publish(vq);
}

bool virtq_should_signal(struct virtqueue *vq)
{
	return running(vq) && vq->layout->should_signal(vq);
}

bool virtq_enable_notify(struct virtqueue *vq)
{
	return running(vq) && vq->layout->enable_notify(vq);
}

void virtq_disable_notify(struct virtqueue *vq)
{
	if (running(vq))
		vq->layout->disable_notify(vq);
}
