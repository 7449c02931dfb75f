/* SPDX-License-Identifier: MIT */
/* A queue for disks whose reads and writes are those of one file: see disk/uring.c. */
#ifndef LKVM_DISK_URING_H
#define LKVM_DISK_URING_H

#include "lkvm/disk.h"
#include "threads.h"

struct disk_uring_ops {
	/*
	 * May the kernel do @req as it is, at the same offset of the file? False: workers serve it.
	 * After true comes ring_end, when the kernel is through, on whatever thread.
	 */
	bool (*ring_begin)(struct disk *disk, const struct disk_request *req);
	void (*ring_end)(struct disk *disk, const struct disk_request *req);
	/* What the ring does not do, and what it did in part. */
	const struct disk_blocking_ops *rest;
};

/*
 * disk_queue_open over @fd, which stays the caller's; @buffered: writes go to the page cache.
 * -EOPNOTSUPP: this build, the kernel or a policy of the host has no io_uring, which nobody has
 * been told yet. Other errors are printed.
 */
int disk_uring_open(struct disk *disk, const struct disk_uring_ops *ops, int fd, bool buffered,
		    struct event_loop *loop, unsigned int depth,
		    struct disk_queue **out) __must_check;

/* Was liburing there when this was built? */
#ifdef HAVE_LIBURING
#define disk_uring_built true
#else
#define disk_uring_built false
#endif

#endif
