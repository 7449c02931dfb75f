/* SPDX-License-Identifier: MIT */
/*
 * Split virtqueues (VIRTIO 1.3, 2.7), with indirect descriptors (2.7.5.3) and event-idx
 * (2.7.7, 2.7.10).
 *
 * This is the one place that reads descriptors. virtq_pop copies a whole chain once, validates the
 * copy and hands out host addresses: a device never sees a descriptor and never reads guest memory
 * twice for one decision. A ring that breaks the rules is marked broken (the device then needs a
 * reset) and gives nothing more.
 */
#ifndef LKVM_VIRTQUEUE_H
#define LKVM_VIRTQUEUE_H

#include <sys/uio.h>

#include "lkvm/memory.h"
#include "lkvm/types.h"

#define VIRTQ_MAX_SIZE 1024 /* entries; what queues offer is at most this */
#define VIRTQ_MAX_SEGS 1024 /* descriptors of one chain, indirect ones included */

struct virtq_desc; /* of virtqueue.c */

struct virtqueue {
	struct guest_memory *mem;
	const char *name; /* of the device, for messages */
	u16 index;
	/* Set by the transport while the queue is not enabled. */
	u16 max_size;
	u16 size;
	u64 desc_gpa, avail_gpa, used_gpa;
	bool enabled;
	bool event_idx;
	bool indirect;
	/* Running state. The parts in host memory, from virtq_enable to virtq_reset. */
	struct virtq_desc *desc;
	void *avail, *used;
	bool broken;
	u16 last_avail;
	u16 used_idx;
	u16 signalled_used;
	bool signalled_valid;
	u16 in_flight; /* popped, not yet pushed: never more than size */
};

/*
 * One request. iov[0..nr_out) is what the driver wrote for us to read, iov[nr_out..nr_out+nr_in)
 * what we may write. The caller provides the room: a chain is large, keep one per queue, not on the
 * stack.
 */
struct virtq_chain {
	u16 head;
	u16 nr_out;
	u16 nr_in;
	size_t out_len;
	size_t in_len;
	struct iovec iov[VIRTQ_MAX_SEGS];
};

static inline struct iovec *virtq_out(struct virtq_chain *c)
{
	return c->iov;
}
static inline struct iovec *virtq_in(struct virtq_chain *c)
{
	return c->iov + c->nr_out;
}

/*
 * Check sizes, alignment (2.7: 16, 2, 4) and that each of the three parts lies in one RAM region; 0
 * or -EINVAL (said in a rate-limited line).
 */
int virtq_enable(struct virtqueue *vq) __must_check;
/* Forget everything that the driver set and that ran: not enabled, size back to max_size. */
void virtq_reset(struct virtqueue *vq);

/*
 * The next request: 1 filled, 0 none waiting, -EPROTO the ring is (now) broken or not enabled; the
 * rule that was broken is said in a rate-limited line. Descriptors of zero bytes are left out of
 * the chain, so a request may have no buffer at all.
 */
int virtq_pop(struct virtqueue *vq, struct virtq_chain *chain) __must_check;
/* Give the last popped chain back unread: the next virtq_pop returns it again. */
void virtq_unpop(struct virtqueue *vq);
/* Return @head with @len bytes written. Visible to the driver at once; interrupts are the caller's:
 * virtq_should_signal. Without effect when the queue was reset meanwhile. */
void virtq_push(struct virtqueue *vq, u16 head, u32 len);
/* The same, but not visible before the next virtq_push: for buffers that the driver must see
 * together (5.1.6.4: those of one packet). */
void virtq_push_later(struct virtqueue *vq, u16 head, u32 len);
/* Does the driver want an interrupt for what was pushed since the last one? */
bool virtq_should_signal(struct virtqueue *vq);
/*
 * Ask the driver for notifications, or tell it that none are needed. After asking, look again:
 * true means that a request came in between.
 */
bool virtq_enable_notify(struct virtqueue *vq);
void virtq_disable_notify(struct virtqueue *vq);

#endif
