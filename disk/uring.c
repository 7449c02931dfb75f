/* SPDX-License-Identifier: MIT */
/*
 * A queue of disk requests over io_uring (io_uring(7)). What came between two kicks is given to the
 * kernel by one system call, and results are read from shared memory: the loop watches the ring's
 * descriptor for its level and reads nothing from it. Reads that the page cache can serve are done
 * when that call returns.
 *
 * Requests that have not been given to the kernel wait in a list. At most @window are with it,
 * because ending the VM waits for them: it grows as requests end soon and is halved when one takes
 * a quarter of a second. Requests that the ring cannot do (discards, buffers that O_DIRECT does not
 * take, results in part) are the workers' of an inner queue (disk/threads.c).
 *
 * Most file systems cannot tell whether a write to the page cache would wait, so the kernel hands
 * each to a thread of its own, which costs more than the write: while they are quick the loop's
 * thread does them itself.
 *
 * The file is not registered with the ring: the kernel lets go of a ring some time after the
 * process has ended, and the file's lock would last as long.
 *
 * The lock guards what disk_queue_finish needs, which comes from another thread.
 */
#include "uring.h"

#include "lkvm/log.h"
#include "lkvm/thread.h"

#ifndef HAVE_LIBURING

int disk_uring_open(struct disk *disk, const struct disk_uring_ops *ops, int fd, bool buffered,
		    struct event_loop *loop, unsigned int depth, struct disk_queue **out)
{
	return -EOPNOTSUPP;
}

#else

#include <liburing.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>

#include "lkvm/event.h"
#include "lkvm/util.h"

#ifndef IORING_SETUP_COOP_TASKRUN
#define IORING_SETUP_COOP_TASKRUN (1U << 8) /* Linux 5.19 */
#endif

#define FIRST_WINDOW 4
/* The window grows when a request takes no longer than the first, falls at the second. */
#define GROW_NS	     62500000ULL
#define SHRINK_NS    250000000ULL
/* On average below this a write to the page cache is done here; above it they are tried again when
 * those that the kernel's threads did were soon done. */
#define QUICK_NS     64000ULL
#define SOON_NS	     1000000ULL
/* Bytes of one call to the page cache: all of it is copied before the guest hears of any. */
#define CALL_BYTES   (512 * KiB)
/* The kernel had no memory for any request. */
#define RETRY_NS     10000000ULL

struct uring_queue {
	struct disk_queue dq;
	struct disk_queue *rest;
	const struct disk_uring_ops *ops;
	int fd;
	bool buffered;
	bool pumping;
	struct disk_request *head, **tail; /* that wait */
	u64 write_ns;			   /* average of writes here */
	struct event event;
	struct event_loop *loop;
	struct event_look look;
	struct event_timer retry;

	pthread_mutex_t lock;
	struct io_uring ring;
	unsigned int with_host, window, entries;
	bool stop; /* nothing more begins */
	bool here; /* the loop's thread is at a write of its own */
	pthread_cond_t here_done;
};

static struct uring_queue *to_uq(struct disk_queue *dq)
{
	return container_of(dq, struct uring_queue, dq);
}

/* Workers serve it; it has been counted. */
static void hand_over(struct uring_queue *uq, struct disk_request *req)
{
	uq->rest->ops->submit(uq->rest, req);
	uq->rest->ops->kick(uq->rest);
}

/* Results */

struct results {
	struct disk_request *first, **last;
};

static int result_of(const struct disk_request *req, s32 res)
{
	if (req->op == DISK_FLUSH)
		return res;
	if (res < 0)
		return res;
	return (u64)res == req->len ? 0 : -EAGAIN;
}

/* The host has answered @req after @ns. */
static void account(struct uring_queue *uq, const struct disk_request *req, u64 ns)
{
	if (ns >= SHRINK_NS)
		uq->window = MAX(uq->window / 2, 1u);
	else if (ns <= GROW_NS && uq->window < uq->entries)
		uq->window++;
	if (req->op == DISK_WRITE && ns <= SOON_NS)
		uq->write_ns -= uq->write_ns / 8;
}

/* Under the lock: what the kernel is through with, to @out. */
static void collect(struct uring_queue *uq, struct results *out)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;
	u64 now = 0;

	io_uring_for_each_cqe(&uq->ring, head, cqe)
	{
		struct disk_request *req = io_uring_cqe_get_data(cqe);

		req->ret = result_of(req, cqe->res);
		req->next = NULL;
		*out->last = req;
		out->last = &req->next;
		now = now ? now : now_ns();
		account(uq, req, now - req->begun_ns);
		n++;
	}
	io_uring_cq_advance(&uq->ring, n);
	uq->with_host -= n;
}

/* Give results to their owner. What the kernel did in part, or would not do this way, is done
 * again as a whole by a worker, who finds out what is wrong. */
static void complete(struct uring_queue *uq, struct disk_request *req)
{
	struct disk_request *next;

	for (; req; req = next) {
		next = req->next;
		uq->ops->ring_end(uq->dq.disk, req);
		switch (req->ret) {
		case -EAGAIN:
		case -EINTR:
		case -EINVAL:
		case -EOPNOTSUPP:
		case -ECANCELED: /* the thread that submitted it has ended */
			hand_over(uq, req);
			break;
		default:
			disk_request_done(&uq->dq, req, req->ret);
		}
	}
}

/* Requests to the kernel */

static void prepare(struct uring_queue *uq, struct io_uring_sqe *sqe, struct disk_request *req)
{
	switch (req->op) {
	case DISK_READ:
		io_uring_prep_readv(sqe, uq->fd, req->iov, (unsigned int)req->iovcnt, req->offset);
		break;
	case DISK_WRITE:
		io_uring_prep_writev(sqe, uq->fd, req->iov, (unsigned int)req->iovcnt, req->offset);
		if (req->flags & DISK_FUA)
			sqe->rw_flags = RWF_DSYNC;
		break;
	default:
		io_uring_prep_fsync(sqe, uq->fd, IORING_FSYNC_DATASYNC);
	}
	io_uring_sqe_set_data(sqe, req);
}

static struct disk_request *take_first(struct uring_queue *uq)
{
	struct disk_request *req = uq->head;

	uq->head = req->next;
	if (!uq->head)
		uq->tail = &uq->head;
	return req;
}

static bool ring_takes(struct uring_queue *uq, const struct disk_request *req)
{
	switch (req->op) {
	case DISK_READ:
	case DISK_WRITE:
		return req->iovcnt <= IOV_MAX && uq->ops->ring_begin(uq->dq.disk, req);
	case DISK_FLUSH:
		return uq->ops->ring_begin(uq->dq.disk, req);
	default:
		return false;
	}
}

/* Is the first that waits a write which is better done here? */
static bool better_here(const struct uring_queue *uq)
{
	const struct disk_request *req = uq->head;

	return uq->buffered && uq->dq.may_wait && req->op == DISK_WRITE &&
	       !(req->flags & DISK_FUA) && uq->write_ns < QUICK_NS;
}

/* False: nothing begins any more. */
static bool write_here(struct uring_queue *uq)
{
	struct disk_request *req;
	u64 begun, ns;

	pthread_mutex_lock(&uq->lock);
	uq->here = !uq->stop;
	pthread_mutex_unlock(&uq->lock);
	if (!uq->here)
		return false;
	req = take_first(uq);
	begun = now_ns();
	req->ret = uq->ops->rest->serve(uq->dq.disk, NULL, req);
	ns = now_ns() - begun;
	uq->write_ns += ns / 8 - uq->write_ns / 8;
	pthread_mutex_lock(&uq->lock);
	uq->here = false;
	pthread_cond_broadcast(&uq->here_done);
	pthread_mutex_unlock(&uq->lock);
	disk_request_done(&uq->dq, req, req->ret);
	return true;
}

/* Under the lock: fill the ring; those that it does not take to @others. */
static unsigned int fill(struct uring_queue *uq, struct results *others)
{
	unsigned int n = 0;
	u64 now = 0, bytes = 0;

	while (uq->head && uq->with_host < uq->window && (!uq->buffered || bytes < CALL_BYTES) &&
	       !better_here(uq)) {
		struct disk_request *req = take_first(uq);

		if (!ring_takes(uq, req)) {
			req->next = NULL;
			*others->last = req;
			others->last = &req->next;
			continue;
		}
		now = now ? now : now_ns();
		req->begun_ns = now;
		/* Never empty: it has more entries than requests are with the host. */
		prepare(uq, io_uring_get_sqe(&uq->ring), req);
		uq->with_host++;
		bytes += req->len;
		n++;
	}
	return n;
}

/* Give the kernel all that is in the ring. Where it has no memory the rest goes with the next
 * call: after a result, or in a while if none will come. */
static void enter(struct uring_queue *uq)
{
	int ret;

	do {
		ret = io_uring_submit(&uq->ring);
	} while (ret == -EINTR);
	if (ret < 0 && ret != -EAGAIN && ret != -EBUSY)
		guest_warn("--disk %s: io_uring: %s", uq->dq.disk->path, strerror(-ret));
	if (uq->with_host && io_uring_sq_ready(&uq->ring) == uq->with_host)
		event_timer_set(&uq->retry, RETRY_NS);
}

/* One call with what fits, and its results. False: there was nothing to do. *ended becomes true
 * when there were results. */
static bool turn(struct uring_queue *uq, bool *ended)
{
	struct results done = { .last = &done.first }, others = { .last = &others.first };
	struct disk_request *next;
	bool more = false;

	if (uq->head && better_here(uq)) {
		if (!write_here(uq))
			return false;
		*ended = true;
		return true;
	}
	pthread_mutex_lock(&uq->lock);
	if (!uq->stop) {
		more = uq->head && fill(uq, &others);
		if (io_uring_sq_ready(&uq->ring))
			enter(uq);
		collect(uq, &done);
		/* What one call was too short for, whether or not that one had a result. */
		more = more && uq->head && uq->with_host < uq->window;
	}
	pthread_mutex_unlock(&uq->lock);
	for (struct disk_request *req = others.first; req; req = next) {
		next = req->next;
		hand_over(uq, req);
	}
	*ended = *ended || done.first;
	complete(uq, done.first);
	return done.first || others.first || more;
}

/* Until nothing more can be begun or is there. True: some have ended. */
static bool pump(struct uring_queue *uq)
{
	bool ended = false;

	/* A done() that submits: the caller goes on with it. */
	if (uq->pumping)
		return false;
	uq->pumping = true;
	while (turn(uq, &ended))
		;
	uq->pumping = false;
	return ended;
}

static void uq_submit(struct disk_queue *dq, struct disk_request *req)
{
	struct uring_queue *uq = to_uq(dq);

	req->next = NULL;
	*uq->tail = req;
	uq->tail = &req->next;
}

static void uq_kick(struct disk_queue *dq)
{
	pump(to_uq(dq));
}

static void on_results(void *opaque, u32 events)
{
	struct uring_queue *uq = opaque;

	if (pump(uq) && uq->dq.ended)
		uq->dq.ended(uq->dq.opaque);
}

/* Something may have come, or the kernel has memory again. */
static void on_look(void *opaque)
{
	on_results(opaque, 0);
}

static void uq_cancel(struct disk_queue *dq)
{
	struct uring_queue *uq = to_uq(dq);
	struct disk_request *req = uq->head, *next;

	uq->head = NULL;
	uq->tail = &uq->head;
	for (; req; req = next) {
		next = req->next;
		disk_request_done(dq, req, -ECANCELED);
	}
	uq->rest->ops->cancel(uq->rest);
}

/* Under the lock: until the kernel is through with all. The results go to @out. */
static void wait_for_host(struct uring_queue *uq, struct results *out)
{
	struct io_uring_cqe *cqe;

	while (uq->with_host) {
		int ret = io_uring_submit_and_wait(&uq->ring, 1);

		if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY &&
		    io_uring_peek_cqe(&uq->ring, &cqe))
			break;
		collect(uq, out);
	}
}

static void uq_finish(struct disk_queue *dq)
{
	struct uring_queue *uq = to_uq(dq);
	struct results done = { .last = &done.first };

	pthread_mutex_lock(&uq->lock);
	uq->stop = true;
	while (uq->here)
		pthread_cond_wait(&uq->here_done, &uq->lock);
	wait_for_host(uq, &done);
	/* They end no more, but a worker may be waiting for them. */
	for (struct disk_request *req = done.first; req; req = req->next)
		uq->ops->ring_end(dq->disk, req);
	pthread_mutex_unlock(&uq->lock);
	uq->rest->ops->finish(uq->rest);
}

static void free_queue(struct uring_queue *uq)
{
	event_del(&uq->event);
	event_look_del(uq->loop, &uq->look);
	event_timer_destroy(&uq->retry);
	io_uring_queue_exit(&uq->ring);
	pthread_cond_destroy(&uq->here_done);
	pthread_mutex_destroy(&uq->lock);
	free(uq);
}

static void uq_close(struct disk_queue *dq)
{
	struct uring_queue *uq = to_uq(dq);
	struct results done = { .last = &done.first };

	uq_cancel(dq);
	pthread_mutex_lock(&uq->lock);
	wait_for_host(uq, &done);
	pthread_mutex_unlock(&uq->lock);
	complete(uq, done.first);
	/* Its workers end what was handed over. */
	disk_queue_close(uq->rest);
	free_queue(uq);
}

static const struct disk_queue_ops uring_queue_ops = {
	.submit = uq_submit,
	.kick = uq_kick,
	.cancel = uq_cancel,
	.finish = uq_finish,
	.close = uq_close,
};

/* -EOPNOTSUPP: none here. */
static int make_ring(struct uring_queue *uq, unsigned int depth)
{
	int ret = io_uring_queue_init(depth, &uq->ring, IORING_SETUP_COOP_TASKRUN);

	if (ret == -EINVAL)
		ret = io_uring_queue_init(depth, &uq->ring, 0);
	switch (ret) {
	case -ENOSYS: /* the kernel has none */
	case -EPERM:  /* kernel.io_uring_disabled, or a filter of system calls */
	case -EACCES:
	case -EINVAL:
	case -ENOMEM: /* RLIMIT_MEMLOCK, before Linux 5.12 */
		debug("--disk %s: no io_uring: %s", uq->dq.disk->path, strerror(-ret));
		return -EOPNOTSUPP;
	}
	if (ret)
		err("--disk %s: cannot set up io_uring: %s%s", uq->dq.disk->path, strerror(-ret),
		    limit_hint(ret));
	else
		uq->entries = MIN(depth, uq->ring.sq.ring_entries);
	return ret;
}

static int start_queue(struct uring_queue *uq, struct event_loop *loop)
{
	int ret;

	uq->event = (struct event){
		.fd = uq->ring.ring_fd,
		.events = EPOLLIN,
		.fn = on_results,
		.opaque = uq,
	};
	ret = event_add(loop, &uq->event);
	if (ret)
		err("--disk %s: cannot watch its io_uring: %s%s", uq->dq.disk->path, strerror(-ret),
		    limit_hint(ret));
	uq->look = (struct event_look){ .fn = on_look, .opaque = uq };
	event_look_add(loop, &uq->look);
	event_timer_init(&uq->retry, loop, on_look, uq);
	return ret;
}

int disk_uring_open(struct disk *disk, const struct disk_uring_ops *ops, int fd, bool buffered,
		    struct event_loop *loop, unsigned int depth, struct disk_queue **out)
{
	struct uring_queue *uq = xcalloc(1, sizeof(*uq));
	int ret;

	uq->dq.ops = &uring_queue_ops;
	uq->dq.disk = disk;
	uq->ops = ops;
	uq->fd = fd;
	uq->buffered = buffered;
	uq->loop = loop;
	uq->window = FIRST_WINDOW;
	uq->tail = &uq->head;
	ret = make_ring(uq, depth);
	if (ret) {
		free(uq);
		return ret;
	}
	pthread_mutex_init(&uq->lock, NULL);
	pthread_cond_init(&uq->here_done, NULL);
	ret = start_queue(uq, loop);
	if (!ret)
		ret = disk_threads_behind(disk, ops->rest, loop, depth, &uq->dq, &uq->rest);
	if (ret)
		free_queue(uq);
	else
		*out = &uq->dq;
	return ret;
}

#endif
