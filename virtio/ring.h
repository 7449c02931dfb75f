/* SPDX-License-Identifier: MIT */
/*
 * Between virtqueue.c, which checks and keeps the books, and the files that know how a ring lies in
 * guest memory (ring-split.c; ring-packed.c; VIRTIO 1.3, 2.7 and 2.8).
 */
#ifndef LKVM_VIRTIO_RING_H
#define LKVM_VIRTIO_RING_H

#include "lkvm/virtqueue.h"

/* A descriptor as it was copied, once, in the host's byte order. The flags of both layouts are the
 * same: VRING_DESC_F_*. */
struct virtq_desc {
	u64 addr;
	u32 len;
	u16 flags;
};

/* Where in a chain we are. */
struct virtq_walk {
	const u8 *table; /* the queue's own, or an indirect one */
	u32 entries;
	u32 next; /* the entry to copy */
	u32 room; /* entries of this table that the rest of the chain may have */
	u16 head; /* what names the request; it may be known at the end only, and be anything */
	u16 span; /* places in the ring that the request takes, so far */
	bool indirect;
};

/*
 * A layout. All are called on the queue's loop while the queue is enabled and not broken, except
 * map. They touch the ring alone: no buffer, no indirect table but through @table.
 */
struct virtq_layout {
	u16 begin; /* what last_avail and its like are in a new queue */
	/* Check size and alignment, translate the parts. NULL, or why it cannot be. */
	const char *(*map)(struct virtqueue *vq);
	/* Is there a request? 1: *walk stands before its first descriptor; 0; or -EPROTO with *why.
	 * Does not take it. */
	int (*peek)(struct virtqueue *vq, struct virtq_walk *walk, const char **why);
	/* Copy the entry walk->next and go on to the one after it. NULL, or the rule that it
	 * breaks. */
	const char *(*copy)(struct virtq_walk *walk, struct virtq_desc *desc);
	/* Take what peek found, which has @span places, or give the last one taken back. */
	void (*take)(struct virtqueue *vq, u16 span);
	void (*untake)(struct virtqueue *vq, u16 span);
	/* Write a used entry, and skip the places of what it stands for; show all that were
	 * written.
	 */
	void (*put_used)(struct virtqueue *vq, u16 head, u32 len, u16 span);
	void (*publish)(struct virtqueue *vq);
	bool (*should_signal)(struct virtqueue *vq);
	bool (*enable_notify)(struct virtqueue *vq);
	void (*disable_notify)(struct virtqueue *vq);
};

extern const struct virtq_layout virtq_split;
extern const struct virtq_layout virtq_packed;

#endif
