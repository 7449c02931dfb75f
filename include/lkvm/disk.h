/* SPDX-License-Identifier: MIT */
/*
 * What stands behind a virtio-blk device. A back end knows no virtio; a device knows no file.
 *
 * A disk is opened once. Whoever sends it requests opens a queue on an event loop: a request is
 * given to the queue on the loop's thread, and its done() runs there too. Several requests are
 * under way at once and end in any order. A request is in one of three states: it waits (the host
 * has not begun it, it can be canceled), it is under way with the host (nothing can hurry it), or
 * it is the caller's. The formats of disks are tables: struct disk_ops for the disk,
 * struct disk_queue_ops for its queues.
 */
#ifndef LKVM_DISK_H
#define LKVM_DISK_H

#include <sys/types.h>
#include <sys/uio.h>

#include "lkvm/types.h"

struct disk_config;
struct disk;
struct disk_queue;
struct event_loop;

enum disk_op {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,   /* writes that were done before it was submitted survive a power failure */
	DISK_DISCARD, /* a hint: done as well where the host cannot */
	DISK_WRITE_ZEROES,
	DISK_NR_OPS,
};

#define DISK_FUA       BIT(0) /* WRITE, WRITE_ZEROES: on the medium when it is done */
#define DISK_MAY_UNMAP BIT(1) /* WRITE_ZEROES: the host may give the room back */
#define DISK_TOLD      BIT(2) /* set when it is done: it failed, and the user has been told why */

/*
 * One request, owned by the caller until disk_submit and again from done() on. What it points to
 * stays valid and unchanged in between. READ and WRITE transfer the whole of @iov, which is @len
 * bytes, at byte @offset; the caller has checked that the range lies on the disk, and does not
 * change a read-only one.
 */
struct disk_request {
	enum disk_op op;
	u32 flags; /* DISK_FUA, DISK_MAY_UNMAP */
	u64 offset, len;
	const struct iovec *iov;
	int iovcnt;
	/*
	 * On the loop's thread, possibly before disk_submit returns. @ret is 0 or -errno:
	 * -ECANCELED (never begun), -EIO for a file that ends inside the request, or what the host
	 * said. May submit again, this request included, and then kicks.
	 */
	void (*done)(struct disk_request *req, int ret);

	/* Of the queue that serves it. */
	struct disk_request *next;
	int ret;
};

struct disk_ops {
	/* See disk_queue_open. */
	int (*queue_open)(struct disk *disk, struct event_loop *loop, unsigned int depth,
			  struct disk_queue **out);
	/* All its queues are closed. */
	void (*close)(struct disk *disk);
};

struct disk {
	const struct disk_ops *ops;
	const char *path; /* for messages; owned by the configuration */
	u64 size;	  /* bytes */
	u32 block_size;	  /* logical, 512 or 4096 */
	u32 phys_block;	  /* a power of two, at least block_size: what is fast to write at once */
	u32 min_discard;  /* discard granularity in bytes, 0: cannot discard */
	bool readonly;
	bool guarded; /* its format was found out: no write may make it look like another's */
};

/* What the functions of the same names below do; disk_request_done ends each request. */
struct disk_queue_ops {
	void (*submit)(struct disk_queue *dq, struct disk_request *req);
	void (*kick)(struct disk_queue *dq);
	void (*cancel)(struct disk_queue *dq);
	void (*finish)(struct disk_queue *dq);
	void (*close)(struct disk_queue *dq);
};

struct disk_queue {
	const struct disk_queue_ops *ops;
	struct disk *disk;
	unsigned int inflight; /* submitted, not yet done */
	/* Set by the caller: disk_submit and disk_queue_kick may serve one request after the other
	 * on this thread, as long as none has to wait for the storage. */
	bool may_wait;
	/* Set by the caller, may be NULL: requests were done, one or several, and not inside a call
	 * of the caller's. */
	void (*ended)(void *opaque);
	void *opaque;
};

/*
 * Open what @cfg names: a regular file or a block device, raw or qcow2, with the files that it
 * stands on; locked against lkvm, QEMU and others (shared for read-only). Prints what is wrong:
 * missing, a directory, locked, no permission, empty, damaged. 0 or -errno; *out is owned by the
 * caller (disk_close).
 */
int disk_open(const struct disk_config *cfg, struct disk **out) __must_check;

static inline void disk_close(struct disk *disk)
{
	disk->ops->close(disk);
}

/*
 * A queue for requests of @loop's thread, about @depth of them at once. Takes every descriptor that
 * it will ever need, and one thread; more of them when requests come for them. Prints which limit
 * stands in the way; 0 or -errno. Called before @loop runs or on its thread; so is
 * disk_queue_close. The rest: on its thread alone, or while it does not run.
 */
static inline __must_check int disk_queue_open(struct disk *disk, struct event_loop *loop,
					       unsigned int depth, struct disk_queue **out)
{
	return disk->ops->queue_open(disk, loop, depth, out);
}

/* disk/guard.c: a write to a disk that is guarded, counted already. */
void disk_guard_submit(struct disk_queue *dq, struct disk_request *req);

/* Give @req away: it begins at the next kick, if not at once. */
static inline void disk_submit(struct disk_queue *dq, struct disk_request *req)
{
	dq->inflight++;
	if (dq->disk->guarded && req->op == DISK_WRITE)
		disk_guard_submit(dq, req);
	else
		dq->ops->submit(dq, req);
}

/* No more requests come for now: begin all that the host should have. */
static inline void disk_queue_kick(struct disk_queue *dq)
{
	dq->ops->kick(dq);
}

/* Requests that were submitted and are not done. */
static inline unsigned int disk_queue_busy(const struct disk_queue *dq)
{
	return dq->inflight;
}

/* Whatever the host has not begun is done with -ECANCELED, now; the rest ends by itself. */
static inline void disk_queue_cancel(struct disk_queue *dq)
{
	dq->ops->cancel(dq);
}

/*
 * The process is about to end: wait for what is under way with the host, so that no write is cut in
 * two, and begin nothing more: requests that wait, or that are submitted after this, never end. Any
 * thread. Only disk_queue_close may follow.
 */
static inline void disk_queue_finish(struct disk_queue *dq)
{
	dq->ops->finish(dq);
}

/* Cancel, wait for what is under way with the host (its done() runs here), and free the queue. */
static inline void disk_queue_close(struct disk_queue *dq)
{
	dq->ops->close(dq);
}

/* For back ends, on the loop's thread. */
static inline void disk_request_done(struct disk_queue *dq, struct disk_request *req, int ret)
{
	dq->inflight--;
	req->done(req, ret);
}

#endif
