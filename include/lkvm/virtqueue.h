/* SPDX-License-Identifier: MIT */
/*
 * Virtqueues (VIRTIO 1.3, 2.6), split (2.7) and packed (2.8), with indirect descriptors (2.7.5.3,
 * 2.8.7) and event-idx (2.7.7, 2.7.10, 2.8.9).
 *
 * This is the one place that reads descriptors. virtq_pop copies each descriptor of a chain once,
 * validates the copy and hands out host addresses, in room that the caller gives: a device never
 * sees a descriptor and never reads guest memory twice for one decision. A ring that breaks the
 * rules is marked broken (the device then needs a reset) and gives nothing more.
 *
 * A request is named by its head: the index of its first descriptor, in a packed ring its buffer
 * id. Which heads are in flight (popped, not yet pushed) is kept here, a bit for each, so a driver
 * cannot offer a request a second time before it has it back, and a push of what is not in flight
 * (after a reset of the queue, for example) writes nothing.
 *
 * In order (2.7.9, 2.8.9): a push only lands the request; used entries are written, for several
 * requests at once where that tells all, when none before them is under way.
 *
 * Locks: none. Until it is enabled a queue belongs to whoever holds the device's registers; from
 * then on to the loop that serves it, until that loop resets it.
 */
#ifndef LKVM_VIRTQUEUE_H
#define LKVM_VIRTQUEUE_H

#include <sys/uio.h>

#include "lkvm/memory.h"
#include "lkvm/types.h"

#define VIRTQ_MAX_SIZE 1024 /* entries; what queues offer is at most this */
#define VIRTQ_MAX_SEGS 1024 /* descriptors of one chain, indirect ones included */

struct virtq_layout; /* virtio/ring.h */

/* A request in flight, by its head, but for @order: that is a place in the queue of heads. */
struct virtq_flight {
	u32 len;  /* in order: bytes that may be written, or, after the push, were */
	u16 span; /* places that it has in the ring */
	u16 order;
};

struct virtqueue {
	struct guest_memory *mem;
	const char *name; /* of the device, for messages */
	u16 index;
	/* Set by the transport while the queue is not enabled. */
	u16 max_size;
	u16 size;
	u64 desc_gpa, avail_gpa, used_gpa;
	bool enabled;
	bool packed;
	bool event_idx;
	bool indirect;
	bool in_order;
	/* Running state. The parts in host memory, from virtq_enable to virtq_reset. */
	const struct virtq_layout *layout;
	void *desc, *avail, *used;
	bool broken;
	/* Split: indices that count without end. Packed: an offset, and the wrap counter as bit 15.
	 */
	u16 last_avail;
	u16 used_idx;
	u16 signalled_used;
	bool signalled_valid;
	/* Packed: the first used descriptor that the driver does not see yet, and its flags. */
	bool unpublished;
	u16 unpublished_at, unpublished_flags;
	u16 in_flight; /* bits that are set in @flying */
	u64 flying[VIRTQ_MAX_SIZE / 64];
	struct virtq_flight flights[VIRTQ_MAX_SIZE];
	/* In order: which of them were pushed and wait for those before them, and the heads in the
	 * order of their pops, between two indices that count without end. */
	u64 landed[VIRTQ_MAX_SIZE / 64];
	u16 order_in, order_out;
};

/*
 * One request. iov[0..nr_out) is what the driver wrote for us to read, iov[nr_out..nr_out+nr_in)
 * what we may write; @iov is the room that was given to virtq_pop. To push a request only @head is
 * needed.
 */
struct virtq_request {
	struct iovec *iov;
	u16 head;
	u16 nr_out;
	u16 nr_in;
	size_t out_len;
	size_t in_len;
};

static inline struct iovec *virtq_out(const struct virtq_request *req)
{
	return req->iov;
}
static inline struct iovec *virtq_in(const struct virtq_request *req)
{
	return req->iov + req->nr_out;
}

/*
 * Check sizes, alignment (2.7: 16, 2, 4; 2.8: 16, 4, 4) and that each of the three parts lies in
 * one RAM region; 0 or -EINVAL (said in a rate-limited line).
 */
int virtq_enable(struct virtqueue *vq) __must_check;
/* Regions of guest memory came or went: translate the parts again. 0, or -EFAULT when the ring is
 * not RAM any more: the queue is broken. */
int virtq_remap(struct virtqueue *vq) __must_check;
/* What the driver set and what ran was loaded: translate the parts. 0, or -EFAULT: broken. */
int virtq_restore(struct virtqueue *vq) __must_check;
/* Forget everything that the driver set and that ran: not enabled, size back to max_size. */
void virtq_reset(struct virtqueue *vq);

/*
 * The next request, its buffers in @iov[0..@max): 1 filled, 0 none waiting, -EPROTO the ring is
 * (now) broken or not enabled; the rule that was broken is said in a rate-limited line. -E2BIG: it
 * has more than @max buffers and was not taken; this never comes with room for VIRTQ_MAX_SEGS.
 * Descriptors of zero bytes are omitted from the request, so it may have no buffer at all.
 */
int virtq_pop(struct virtqueue *vq, struct virtq_request *req, struct iovec *iov,
	      unsigned int max) __must_check;
/* Give the last popped request back unread: the next virtq_pop returns it again. Several go back in
 * reverse order. */
void virtq_unpop(struct virtqueue *vq, const struct virtq_request *req);
/*
 * Split rings that somebody else served who is gone: virtio/ring-lost.c. virtq_mark_new: the queue
 * is new, nothing of it was used yet: for virtq_find_lost to know its first lap. virtq_find_lost: the queue is
 * back. The heads of all requests that were not returned, the oldest first, in @heads (room for
 * vq->size); their number. !*all: there are others of which nothing is known. The queue goes on
 * behind them. virtq_adopt: take the chain at one of these heads as if virtq_pop had found it: 0,
 * or -EPROTO: the ring is (now) broken.
 */
void virtq_mark_new(struct virtqueue *vq);
int virtq_find_lost(struct virtqueue *vq, u16 *heads, bool *all);
int virtq_adopt(struct virtqueue *vq, u16 head, struct virtq_request *req,
		struct iovec *iov) __must_check;
/*
 * Return @req with @len bytes written. Visible to the driver at once; interrupts are the caller's:
 * virtq_should_signal. Without effect when it is not in flight.
 */
void virtq_push(struct virtqueue *vq, const struct virtq_request *req, u32 len);
/* The same, but not visible before the next virtq_push or virtq_publish: for buffers that the
 * driver must see together (5.1.6.4: those of one packet). */
void virtq_push_later(struct virtqueue *vq, const struct virtq_request *req, u32 len);
void virtq_publish(struct virtqueue *vq);
/* Does the driver want an interrupt for what was pushed since the last one? */
bool virtq_should_signal(struct virtqueue *vq);
/*
 * Ask the driver for notifications, or tell it that none are needed. After asking, look again:
 * true means that a request came in between.
 */
bool virtq_enable_notify(struct virtqueue *vq);
void virtq_disable_notify(struct virtqueue *vq);

#endif
