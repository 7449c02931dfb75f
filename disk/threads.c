/* SPDX-License-Identifier: MIT */
/*
 * A queue of disk requests over calls that block. Requests wait in one list, in the order in which
 * they came; whoever serves (the loop's thread, or one of a few workers) takes the first.
 *
 * Handing a request to another thread and its result back costs about as much as a read from the
 * page cache. So the loop's thread serves by itself what the host has lately answered quickly, and
 * a request that is alone unless the host takes long, but does not wait for the storage: a request
 * that the host cannot serve from memory (serve_now) goes to the workers, and nothing else waits
 * for it. Where the host cannot tell (most file systems, of writes) it serves such as are quick and
 * alone: no result of another request can wait then, only requests that come later (or, where
 * workers would wait for each other anyway, several that are quick). The rest is the workers', so
 * that several are with the host at once. Fast and slow are moving averages of the host's time, one
 * for each kind of request.
 *
 * One worker is there from the beginning, so the disk works with what there is before the guest
 * starts. Others are started by the loop's thread when there is a request for them; where the host
 * has no more threads then, fewer requests are with it at once.
 *
 * At most @window requests are with the host. It grows as requests end soon, and falls to one when
 * a single one takes a quarter of a second: ending the VM waits for what is under way, and such a
 * disk would gain little from more.
 *
 * The lock guards the lists and the figures; it is never held while the host works.
 */
#include "threads.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lkvm/event.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

/* On average below this: a hand-over would cost as much as it gains. */
#define QUICK_NS 64000ULL
/* On average above this, not even a request that is alone is served on the loop. */
#define LONG_NS 1000000ULL
/* The window grows when a request takes no longer than the first, falls at the second. */
#define GROW_NS	  62500000ULL
#define SHRINK_NS 250000000ULL

struct request_list {
	struct disk_request *head, **tail;
};

struct worker {
	struct thread_queue *tq;
	pthread_t thread;
	void *room;
};

struct thread_queue {
	struct disk_queue dq;
	struct disk_queue *front; /* the queue that its caller sees: @dq, or one that uses this */
	const struct disk_blocking_ops *ops;
	/* Of the loop's thread. */
	void *room;
	bool serving; /* that thread is in begin() */
	bool kicked;  /* nothing more comes for now: one that waits is alone */

	pthread_mutex_t lock;
	pthread_cond_t work;
	struct request_list waiting, finished;
	unsigned int nr_waiting, busy, idle, window;
	unsigned int offered; /* the first of those that wait: workers may take them */
	u64 average_ns[DISK_NR_OPS];
	bool untold[DISK_NR_OPS]; /* serve_now cannot tell whether it would wait */
	bool stop;		  /* nothing more begins */

	struct event on_finished; /* an eventfd, unread: the workers have filled an empty list */
	/* Of the loop's thread, but for the limit of the window, under the lock. */
	unsigned int nr_workers, max_workers;
	struct worker workers[DISK_WORKERS];
};

static struct thread_queue *to_tq(struct disk_queue *dq)
{
	return container_of(dq, struct thread_queue, dq);
}

static void list_init(struct request_list *list)
{
	list->head = NULL;
	list->tail = &list->head;
}

static void list_append(struct request_list *list, struct disk_request *req)
{
	req->next = NULL;
	*list->tail = req;
	list->tail = &req->next;
}

/* The whole list, unlinked. */
static struct disk_request *list_take(struct request_list *list)
{
	struct disk_request *first = list->head;

	list_init(list);
	return first;
}

/* A write that has to reach the medium costs what a flush costs. */
static enum disk_op kind_of(const struct disk_request *req)
{
	return req->flags & DISK_FUA ? DISK_FLUSH : req->op;
}

/* Under the lock: how many requests workers may begin. */
static unsigned int room_for(const struct thread_queue *tq)
{
	return tq->window > tq->busy ? MIN(tq->window - tq->busy, tq->offered) : 0;
}

/* Under the lock: wake as many workers as may begin something. */
static void wake_workers(struct thread_queue *tq)
{
	unsigned int room = room_for(tq);

	for (unsigned int n = MIN(room, tq->idle); n; n--)
		pthread_cond_signal(&tq->work);
}

/* Under the lock, for the next to serve: it is with the host from here on. */
static struct disk_request *begin_next(struct thread_queue *tq)
{
	struct disk_request *req = tq->waiting.head;

	tq->waiting.head = req->next;
	if (!req->next)
		tq->waiting.tail = &tq->waiting.head;
	tq->nr_waiting--;
	tq->offered -= tq->offered > 0;
	tq->busy++;
	return req;
}

static u64 read_clock(struct thread_queue *tq)
{
	return tq->ops->now ? tq->ops->now() : now_ns();
}

/* Under the lock: one request less is with the host. Whoever waits to stop hears of the last. */
static void left_host(struct thread_queue *tq)
{
	if (!--tq->busy && tq->stop)
		pthread_cond_broadcast(&tq->work);
}

/* Under the lock: the host has answered. */
static void account(struct thread_queue *tq, enum disk_op kind, u64 ns)
{
	u64 *average = &tq->average_ns[kind];

	left_host(tq);
	ns = MAX(ns, 1ULL); /* 0 says that nothing is known */
	*average = *average ? MAX(*average - *average / 8 + ns / 8, 1ULL) : ns;
	if (ns >= SHRINK_NS)
		tq->window = 1;
	else if (ns <= GROW_NS && tq->window < tq->max_workers)
		tq->window++;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct thread_queue *tq = w->tq;

	thread_name("disk");
	pthread_mutex_lock(&tq->lock);
	for (;;) {
		struct disk_request *req;
		bool first;
		u64 start, ns;

		while (!tq->stop && (!tq->offered || tq->busy >= tq->window)) {
			tq->idle++;
			pthread_cond_wait(&tq->work, &tq->lock);
			tq->idle--;
		}
		if (tq->stop)
			break;
		req = begin_next(tq);
		pthread_mutex_unlock(&tq->lock);
		start = read_clock(tq);
		req->ret = tq->ops->serve(tq->dq.disk, w->room, req);
		ns = read_clock(tq) - start;
		pthread_mutex_lock(&tq->lock);
		account(tq, kind_of(req), ns);
		first = !tq->finished.head;
		list_append(&tq->finished, req);
		wake_workers(tq);
		if (first)
			eventfd_raise(tq->on_finished.fd);
	}
	pthread_mutex_unlock(&tq->lock);
	return NULL;
}

static int start_worker(struct thread_queue *tq)
{
	struct worker *w = &tq->workers[tq->nr_workers];
	int ret;

	w->tq = tq;
	ret = tq->ops->room_create(tq->dq.disk, &w->room);
	if (ret)
		return ret;
	ret = thread_start(&w->thread, THREAD_WORKER, worker_main, w);
	if (ret) {
		tq->ops->room_destroy(w->room);
		return ret;
	}
	tq->nr_workers++;
	return 0;
}

/* Under the lock, on the loop's thread: wake those that may begin something, or start some. */
static void find_workers(struct thread_queue *tq)
{
	if (tq->stop)
		return;
	/* Who is not with the host takes what is offered, if it waits already or not. */
	while (room_for(tq) > tq->nr_workers - tq->busy && tq->nr_workers < tq->max_workers) {
		int ret = start_worker(tq);

		if (!ret)
			continue;
		guest_warn("--disk %s: cannot start another thread: %s%s; it serves %u requests at "
			   "once",
			   tq->dq.disk->path, strerror(-ret), limit_hint(ret), tq->nr_workers);
		tq->max_workers = tq->nr_workers;
		tq->window = MIN(tq->window, tq->max_workers);
	}
	wake_workers(tq);
}

/* Under the lock: the first of those that wait goes back there, for a worker. */
static void hand_over(struct thread_queue *tq, struct disk_request *req)
{
	left_host(tq);
	req->next = tq->waiting.head;
	if (!req->next)
		tq->waiting.tail = &req->next;
	tq->waiting.head = req;
	tq->nr_waiting++;
	tq->offered = 1;
	find_workers(tq);
}

/* Under the lock, which is let go meanwhile: the loop's thread serves the first that waits. */
static void serve_here(struct thread_queue *tq)
{
	struct disk_request *req = begin_next(tq);
	enum disk_op kind = kind_of(req);
	bool told = !tq->untold[kind];
	u64 start, ns;

	pthread_mutex_unlock(&tq->lock);
	start = read_clock(tq);
	if (told)
		req->ret = tq->ops->serve_now(tq->dq.disk, req);
	else
		req->ret = tq->ops->serve(tq->dq.disk, tq->room, req);
	ns = read_clock(tq) - start;
	pthread_mutex_lock(&tq->lock);
	if (told && (req->ret == -EAGAIN || req->ret == -EOPNOTSUPP)) {
		tq->untold[kind] = req->ret == -EOPNOTSUPP;
		hand_over(tq, req);
		return;
	}
	account(tq, kind, ns);
	pthread_mutex_unlock(&tq->lock);
	disk_request_done(tq->front, req, req->ret);
	pthread_mutex_lock(&tq->lock);
}

/* Under the lock: should the loop's thread serve the first that waits? */
static bool better_here(const struct thread_queue *tq)
{
	enum disk_op kind;
	bool alone;
	u64 average;

	/* What was offered is the workers'. */
	if (tq->stop || !tq->front->may_wait || !tq->ops->serve_now || !tq->nr_waiting ||
	    tq->offered || tq->busy >= tq->window)
		return false;
	kind = kind_of(tq->waiting.head);
	if (kind != DISK_READ && kind != DISK_WRITE)
		return false;
	average = tq->average_ns[kind];
	/* Nothing is known yet. */
	if (!average)
		return false;
	alone = tq->kicked && tq->nr_waiting == 1 && !tq->busy;
	if (tq->untold[kind])
		return (alone || (tq->ops->one_by_one && !tq->busy)) && average < QUICK_NS;
	return average < QUICK_NS || (alone && average < LONG_NS);
}

static void begin(struct thread_queue *tq)
{
	/* A done() that submits: the loop below goes on with it. */
	if (tq->serving)
		return;
	tq->serving = true;
	pthread_mutex_lock(&tq->lock);
	while (better_here(tq))
		serve_here(tq);
	if (tq->kicked) {
		tq->offered = tq->nr_waiting;
		find_workers(tq);
	}
	pthread_mutex_unlock(&tq->lock);
	tq->kicked = false;
	tq->serving = false;
}

static void tq_submit(struct disk_queue *dq, struct disk_request *req)
{
	struct thread_queue *tq = to_tq(dq);

	pthread_mutex_lock(&tq->lock);
	list_append(&tq->waiting, req);
	tq->nr_waiting++;
	pthread_mutex_unlock(&tq->lock);
	begin(tq);
}

static void tq_kick(struct disk_queue *dq)
{
	struct thread_queue *tq = to_tq(dq);

	tq->kicked = true;
	begin(tq);
}

static void complete_all(struct thread_queue *tq, struct disk_request *req)
{
	struct disk_request *next;

	for (; req; req = next) {
		next = req->next;
		disk_request_done(tq->front, req, req->ret);
	}
}

static struct disk_request *take_finished(struct thread_queue *tq)
{
	struct disk_request *first;

	pthread_mutex_lock(&tq->lock);
	first = list_take(&tq->finished);
	/* The window may have grown. */
	find_workers(tq);
	pthread_mutex_unlock(&tq->lock);
	return first;
}

static void on_finished(void *opaque, u32 events)
{
	struct thread_queue *tq = opaque;
	struct disk_request *first = take_finished(tq);

	complete_all(tq, first);
	if (first && tq->front->ended)
		tq->front->ended(tq->front->opaque);
}

static void tq_cancel(struct disk_queue *dq)
{
	struct thread_queue *tq = to_tq(dq);
	struct disk_request *first;

	pthread_mutex_lock(&tq->lock);
	first = list_take(&tq->waiting);
	tq->nr_waiting = 0;
	tq->offered = 0;
	pthread_mutex_unlock(&tq->lock);
	for (struct disk_request *req = first; req; req = req->next)
		req->ret = -ECANCELED;
	complete_all(tq, first);
}

/* Workers that wait sleep on: the end of the process needs no more of them. */
static void tq_finish(struct disk_queue *dq)
{
	struct thread_queue *tq = to_tq(dq);

	pthread_mutex_lock(&tq->lock);
	tq->stop = true;
	while (tq->busy)
		pthread_cond_wait(&tq->work, &tq->lock);
	pthread_mutex_unlock(&tq->lock);
}

static void free_queue(struct thread_queue *tq)
{
	pthread_mutex_lock(&tq->lock);
	tq->stop = true;
	pthread_cond_broadcast(&tq->work);
	pthread_mutex_unlock(&tq->lock);
	for (unsigned int i = 0; i < tq->nr_workers; i++) {
		pthread_join(tq->workers[i].thread, NULL);
		tq->ops->room_destroy(tq->workers[i].room);
	}
	complete_all(tq, take_finished(tq));
	event_del(&tq->on_finished);
	if (tq->on_finished.fd >= 0)
		close(tq->on_finished.fd);
	tq->ops->room_destroy(tq->room);
	pthread_cond_destroy(&tq->work);
	pthread_mutex_destroy(&tq->lock);
	free(tq);
}

static void tq_close(struct disk_queue *dq)
{
	tq_cancel(dq);
	free_queue(to_tq(dq));
}

static const struct disk_queue_ops thread_queue_ops = {
	.submit = tq_submit,
	.kick = tq_kick,
	.cancel = tq_cancel,
	.finish = tq_finish,
	.close = tq_close,
};

static int start_queue(struct thread_queue *tq, struct event_loop *loop)
{
	int ret;

	tq->on_finished.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (tq->on_finished.fd < 0)
		return -errno;
	ret = event_add(loop, &tq->on_finished);
	if (!ret)
		ret = tq->ops->room_create(tq->dq.disk, &tq->room);
	if (ret)
		return ret;
	pthread_mutex_lock(&tq->lock);
	ret = start_worker(tq);
	pthread_mutex_unlock(&tq->lock);
	return ret;
}

int disk_threads_behind(struct disk *disk, const struct disk_blocking_ops *ops,
			struct event_loop *loop, unsigned int depth, struct disk_queue *front,
			struct disk_queue **out)
{
	struct thread_queue *tq = xcalloc(1, sizeof(*tq));
	int ret;

	tq->dq.ops = &thread_queue_ops;
	tq->dq.disk = disk;
	tq->front = front ? front : &tq->dq;
	tq->ops = ops;
	tq->window = 1;
	list_init(&tq->waiting);
	list_init(&tq->finished);
	pthread_mutex_init(&tq->lock, NULL);
	pthread_cond_init(&tq->work, NULL);
	tq->on_finished = (struct event){
		.events = EPOLLIN | EPOLLET,
		.fn = on_finished,
		.opaque = tq,
	};
	tq->max_workers = MIN(depth, (unsigned int)DISK_WORKERS);
	ret = start_queue(tq, loop);
	if (ret) {
		err("--disk %s: cannot start its threads: %s%s", disk->path, strerror(-ret),
		    limit_hint(ret));
		free_queue(tq);
		return ret;
	}
	*out = &tq->dq;
	return 0;
}

int disk_threads_open(struct disk *disk, const struct disk_blocking_ops *ops,
		      struct event_loop *loop, unsigned int depth, struct disk_queue **out)
{
	return disk_threads_behind(disk, ops, loop, depth, NULL, out);
}
