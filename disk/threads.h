/* SPDX-License-Identifier: MIT */
/* A queue for disks whose host interface blocks: see disk/threads.c. */
#ifndef LKVM_DISK_THREADS_H
#define LKVM_DISK_THREADS_H

#include "lkvm/disk.h"

/* As many requests as are with the host at once. */
#define DISK_WORKERS 4

struct disk_blocking_ops {
	/* What one thread needs while it serves (buffers): 0 or -errno. */
	int (*room_create)(struct disk *disk, void **room);
	void (*room_destroy)(void *room); /* NULL too */
	/* Serve @req and return its result. Called by several threads, each with a room of its
	 * own. */
	int (*serve)(struct disk *disk, void *room, const struct disk_request *req);
	/*
	 * The same for a READ, or a WRITE without DISK_FUA, on the loop's thread, and without
	 * waiting for the storage: -EAGAIN, it would have to (what was done until then is done
	 * again by serve); -EOPNOTSUPP, the host cannot tell and is not asked again about this
	 * kind. NULL: workers serve all.
	 */
	int (*serve_now)(struct disk *disk, const struct disk_request *req);
	/* Of what serve_now cannot tell, workers would wait for each other: quick ones are served
	 * on the loop's thread, several one after the other, unless a worker is at something. */
	bool one_by_one;
	/* Nanoseconds, by which requests are judged slow or fast; NULL: the monotonic clock. */
	u64 (*now)(void);
};

/* disk_queue_open for such a disk. */
int disk_threads_open(struct disk *disk, const struct disk_blocking_ops *ops,
		      struct event_loop *loop, unsigned int depth,
		      struct disk_queue **out) __must_check;
/* The same behind @front (NULL: nothing), a queue that hands some of its requests to this one's
 * ops; it counts them, and they end as its own. */
int disk_threads_behind(struct disk *disk, const struct disk_blocking_ops *ops,
			struct event_loop *loop, unsigned int depth, struct disk_queue *front,
			struct disk_queue **out) __must_check;

#endif
