/* SPDX-License-Identifier: MIT */
/*
 * A session's requests: they wait in one list, in the order in which they came, and a few threads
 * take them from there, so that a slow one (another machine's disk, a file system in user space)
 * holds nothing else up. One thread is there from the beginning; others are started by the loop's
 * when there are requests for them.
 *
 * A flush is served on the loop itself. A request that waits is dropped; one that is under way is
 * interrupted until the host gives it up, for the client's buffers are in use until then, and then
 * the flush is answered.
 *
 * The lock guards the lists; it is never held while the host works.
 */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "lkvm/event.h"
#include "lkvm/log.h"
#include "lkvm/signals.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "p9.h"

/* A signal that comes just before a call of the host does not interrupt it: it is sent again. */
#define INTERRUPT_NS 20000000L
/* At the end of the process. */
#define LAST_WAIT_NS 2000000000ULL

struct request_list {
	struct p9_request *head, **tail;
};

struct worker {
	struct p9 *p9;
	pthread_t thread;
	struct p9_request *req; /* under the lock: what it does */
	struct p9_op op;
};

struct p9 {
	struct share *share;
	struct event_loop *loop;
	void (*ended)(void *opaque);
	void *opaque;
	struct fid_table fids;
	atomic_uint msize;
	struct p9_op *here; /* without threads */

	pthread_mutex_t lock;
	pthread_cond_t work;
	struct request_list waiting, finished;
	struct p9_request *last; /* that waits */
	unsigned int nr_waiting, nr_busy, nr_idle;
	bool stop;

	struct event on_finished; /* an eventfd, unread: the workers have filled an empty list */
	struct event_timer interrupt;
	/* Of the loop's thread. */
	unsigned int nr_requests, nr_workers, max_workers;
	struct worker *workers[P9_WORKERS];
};

static void list_init(struct request_list *list)
{
	list->head = NULL;
	list->tail = &list->head;
}

static void list_append(struct request_list *list, struct p9_request *req)
{
	req->next = NULL;
	*list->tail = req;
	list->tail = &req->next;
}

/* Under the lock. */
static void remove_waiting(struct p9 *p9, struct p9_request *req)
{
	struct p9_request **p = &p9->waiting.head, *before = NULL;

	while (*p != req) {
		before = *p;
		p = &(*p)->next;
	}
	*p = req->next;
	if (!*p) {
		p9->waiting.tail = p;
		p9->last = before;
	}
	p9->nr_waiting--;
}

static void begin(struct p9 *p9, struct p9_op *op, struct p9_request *req)
{
	op->share = p9->share;
	op->fids = &p9->fids;
	op->msize = &p9->msize;
	op->req = req;
	pthread_mutex_lock(&p9->fids.lock);
	op->generation = p9->fids.generation;
	pthread_mutex_unlock(&p9->fids.lock);
}

/* Serving, on the workers */

/* Under the lock. */
static void serve_next(struct p9 *p9, struct worker *w)
{
	struct p9_request *req = p9->waiting.head;
	bool first;

	remove_waiting(p9, req);
	w->req = req;
	p9->nr_busy++;
	pthread_mutex_unlock(&p9->lock);
	begin(p9, &w->op, req);
	req->ret = p9_serve(&w->op);
	pthread_mutex_lock(&p9->lock);
	w->req = NULL;
	p9->nr_busy--;
	first = !p9->finished.head;
	list_append(&p9->finished, req);
	if (first)
		eventfd_raise(p9->on_finished.fd);
	if (p9->stop)
		pthread_cond_broadcast(&p9->work);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct p9 *p9 = w->p9;
	sigset_t interrupts;

	thread_name("9p");
	sigemptyset(&interrupts);
	sigaddset(&interrupts, THREAD_KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &interrupts, NULL);
	pthread_mutex_lock(&p9->lock);
	for (;;) {
		while (!p9->stop && !p9->nr_waiting) {
			p9->nr_idle++;
			pthread_cond_wait(&p9->work, &p9->lock);
			p9->nr_idle--;
		}
		if (p9->stop)
			break;
		serve_next(p9, w);
	}
	pthread_mutex_unlock(&p9->lock);
	return NULL;
}

static int start_worker(struct p9 *p9)
{
	struct worker *w = malloc(sizeof(*w));
	int ret;

	if (!w)
		return -ENOMEM;
	w->p9 = p9;
	w->req = NULL;
	p9->workers[p9->nr_workers] = w;
	ret = thread_start(&w->thread, THREAD_WORKER, worker_main, w);
	if (ret) {
		free(w);
		return ret;
	}
	p9->nr_workers++;
	return 0;
}

/* Under the lock, on the loop's thread. */
static void find_workers(struct p9 *p9)
{
	while (!p9->stop && p9->nr_waiting > p9->nr_workers - p9->nr_busy &&
	       p9->nr_workers < p9->max_workers) {
		int ret = start_worker(p9);

		if (!ret)
			continue;
		guest_warn("--9p %s: cannot start another thread: %s%s; %u requests are served at "
			   "once",
			   p9->share->path, strerror(-ret), limit_hint(ret), p9->nr_workers);
		p9->max_workers = p9->nr_workers;
	}
	for (unsigned int n = MIN(p9->nr_waiting, p9->nr_idle); n; n--)
		pthread_cond_signal(&p9->work);
}

/* Flushing, on the loop */

/* The answer to a flush, which says nothing but that. */
static void answer_flush(struct p9 *p9, struct p9_request *req)
{
	u8 answer[P9_HEADER];

	put_le(answer, 4, P9_HEADER);
	answer[4] = P9_TFLUSH + 1;
	put_le(answer + 5, 2, req->tag);
	iov_from_buf(req->in, req->nr_in, 0, answer, sizeof(answer));
	p9->nr_requests--;
	req->done(req, P9_HEADER);
}

static void end_request(struct p9 *p9, struct p9_request *req, int ret)
{
	struct p9_request *flush = req->flushes, *next;

	p9->nr_requests--;
	req->done(req, ret);
	for (; flush; flush = next) {
		next = flush->next;
		answer_flush(p9, flush);
	}
}

/* Under the lock: interrupt what is under way and canceled. */
static bool interrupt_canceled(struct p9 *p9)
{
	bool any = false;

	for (unsigned int i = 0; i < p9->nr_workers; i++) {
		const struct worker *w = p9->workers[i];

		if (!w->req || !atomic_load(&w->req->canceled))
			continue;
		pthread_kill(w->thread, THREAD_KICK_SIGNAL);
		any = true;
	}
	return any;
}

static void on_interrupt(void *opaque)
{
	struct p9 *p9 = opaque;
	bool any;

	pthread_mutex_lock(&p9->lock);
	any = interrupt_canceled(p9);
	pthread_mutex_unlock(&p9->lock);
	if (any)
		event_timer_set(&p9->interrupt, INTERRUPT_NS);
}

/* Under the lock: what is under way by that tag; NULL: nothing. */
static struct p9_request *under_way(struct p9 *p9, u16 tag)
{
	for (unsigned int i = 0; i < p9->nr_workers; i++)
		if (p9->workers[i]->req && p9->workers[i]->req->tag == tag)
			return p9->workers[i]->req;
	for (struct p9_request *req = p9->finished.head; req; req = req->next)
		if (req->tag == tag)
			return req;
	return NULL;
}

static void flush(struct p9 *p9, struct p9_request *req, u16 old_tag)
{
	struct p9_request *old;
	bool waits;

	pthread_mutex_lock(&p9->lock);
	for (old = p9->waiting.head; old && old->tag != old_tag; old = old->next)
		;
	waits = old;
	if (waits) {
		remove_waiting(p9, old);
	} else {
		old = under_way(p9, old_tag);
		if (old) {
			req->next = old->flushes;
			old->flushes = req;
			atomic_store(&old->canceled, true);
			interrupt_canceled(p9);
		}
	}
	pthread_mutex_unlock(&p9->lock);
	if (waits)
		end_request(p9, old, 0);
	if (waits || !old)
		answer_flush(p9, req);
	else
		event_timer_set(&p9->interrupt, INTERRUPT_NS);
}

/* The session's interface */

void p9_submit(struct p9 *p9, struct p9_request *req)
{
	u8 head[P9_HEADER + 2] = { 0 };
	size_t len = iov_to_buf(req->out, req->nr_out, 0, head, sizeof(head));

	req->flushes = NULL;
	atomic_init(&req->canceled, false);
	req->tag = (u16)get_le(head + 5, 2);
	p9->nr_requests++;
	if (len == sizeof(head) && head[4] == P9_TFLUSH && req->in_len >= P9_HEADER) {
		flush(p9, req, (u16)get_le(head + 7, 2));
	} else if (p9->here) {
		begin(p9, p9->here, req);
		end_request(p9, req, p9_serve(p9->here));
	} else {
		pthread_mutex_lock(&p9->lock);
		list_append(&p9->waiting, req);
		p9->last = req;
		p9->nr_waiting++;
		pthread_mutex_unlock(&p9->lock);
	}
}

void p9_kick(struct p9 *p9)
{
	pthread_mutex_lock(&p9->lock);
	find_workers(p9);
	pthread_mutex_unlock(&p9->lock);
}

unsigned int p9_busy(const struct p9 *p9)
{
	return p9->nr_requests;
}

struct p9_request *p9_take_back(struct p9 *p9)
{
	struct p9_request *req;

	pthread_mutex_lock(&p9->lock);
	req = p9->last;
	if (req) {
		remove_waiting(p9, req);
		p9->nr_requests--;
	}
	pthread_mutex_unlock(&p9->lock);
	return req;
}

/* Under the lock: interrupt everything that is under way. */
static bool hurry(struct p9 *p9)
{
	for (unsigned int i = 0; i < p9->nr_workers; i++)
		if (p9->workers[i]->req)
			atomic_store(&p9->workers[i]->req->canceled, true);
	return interrupt_canceled(p9);
}

void p9_cancel(struct p9 *p9)
{
	struct p9_request *req;
	bool any;

	while ((req = p9_take_back(p9)))
		req->done(req, -ECANCELED);
	pthread_mutex_lock(&p9->lock);
	any = hurry(p9);
	pthread_mutex_unlock(&p9->lock);
	if (any)
		event_timer_set(&p9->interrupt, INTERRUPT_NS);
}

void p9_reset(struct p9 *p9)
{
	fids_clear(&p9->fids);
	atomic_store(&p9->msize, P9_MSIZE_MIN);
}

bool p9_in_use(struct p9 *p9)
{
	bool used;

	pthread_mutex_lock(&p9->fids.lock);
	used = p9->fids.count > 0;
	pthread_mutex_unlock(&p9->fids.lock);
	return used;
}

/* Begin nothing more, and wait for what is under way: until @until_ns, or (0) as long as it takes.
 */
static void wait_idle(struct p9 *p9, u64 until_ns)
{
	struct timespec t;

	pthread_mutex_lock(&p9->lock);
	p9->stop = true;
	while (p9->nr_busy && (!until_ns || now_ns() < until_ns)) {
		hurry(p9);
		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += INTERRUPT_NS;
		t.tv_sec += t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&p9->work, &p9->lock, &t);
	}
	pthread_mutex_unlock(&p9->lock);
}

/*
 * Local file systems finish what they began. Another machine's may not answer, and some of their
 * calls end with the process alone.
 */
void p9_finish(struct p9 *p9)
{
	wait_idle(p9, now_ns() + LAST_WAIT_NS);
}

static void end_finished(struct p9 *p9)
{
	struct p9_request *req, *next;

	pthread_mutex_lock(&p9->lock);
	req = p9->finished.head;
	list_init(&p9->finished);
	pthread_mutex_unlock(&p9->lock);
	for (; req; req = next) {
		next = req->next;
		end_request(p9, req, req->ret);
	}
}

static void on_finished(void *opaque, u32 events)
{
	struct p9 *p9 = opaque;

	end_finished(p9);
	if (p9->ended)
		p9->ended(p9->opaque);
}

static void free_session(struct p9 *p9)
{
	wait_idle(p9, 0);
	pthread_mutex_lock(&p9->lock);
	pthread_cond_broadcast(&p9->work);
	pthread_mutex_unlock(&p9->lock);
	for (unsigned int i = 0; i < p9->nr_workers; i++)
		pthread_join(p9->workers[i]->thread, NULL);
	end_finished(p9);
	for (unsigned int i = 0; i < p9->nr_workers; i++)
		free(p9->workers[i]);
	event_timer_destroy(&p9->interrupt);
	event_del(&p9->on_finished);
	if (p9->on_finished.fd >= 0)
		close(p9->on_finished.fd);
	if (p9->fids.buckets)
		fids_destroy(&p9->fids);
	pthread_cond_destroy(&p9->work);
	pthread_mutex_destroy(&p9->lock);
	free(p9->here);
	free(p9);
}

void p9_close(struct p9 *p9)
{
	p9_cancel(p9);
	free_session(p9);
}

int p9_use_loop(struct p9 *p9, struct event_loop *loop)
{
	event_timer_destroy(&p9->interrupt);
	event_del(&p9->on_finished);
	if (!loop)
		return 0;
	event_timer_init(&p9->interrupt, loop, on_interrupt, p9);
	return p9->on_finished.fd < 0 ? 0 : event_add(loop, &p9->on_finished);
}

static int start(struct p9 *p9)
{
	int ret = fids_init(&p9->fids);

	if (ret)
		return ret;
	if (!p9->max_workers) {
		p9->here = calloc(1, sizeof(*p9->here));
		return p9->here ? 0 : -ENOMEM;
	}
	p9->on_finished.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p9->on_finished.fd < 0)
		return -errno;
	ret = event_add(p9->loop, &p9->on_finished);
	/* Without a handler the signal would end lkvm. */
	if (!ret)
		ret = signals_own(THREAD_KICK_SIGNAL, true);
	pthread_mutex_lock(&p9->lock);
	if (!ret)
		ret = start_worker(p9);
	pthread_mutex_unlock(&p9->lock);
	return ret;
}

int p9_open(struct share *share, struct event_loop *loop, unsigned int workers,
	    void (*ended)(void *opaque), void *opaque, struct p9 **out)
{
	struct p9 *p9 = xcalloc(1, sizeof(*p9));
	int ret;

	p9->share = share;
	p9->loop = loop;
	p9->ended = ended;
	p9->opaque = opaque;
	p9->max_workers = MIN(workers, (unsigned int)P9_WORKERS);
	atomic_init(&p9->msize, P9_MSIZE_MIN);
	list_init(&p9->waiting);
	list_init(&p9->finished);
	pthread_mutex_init(&p9->lock, NULL);
	pthread_cond_init(&p9->work, NULL);
	event_timer_init(&p9->interrupt, loop, on_interrupt, p9);
	p9->on_finished = (struct event){
		.fd = -1,
		.events = EPOLLIN | EPOLLET,
		.fn = on_finished,
		.opaque = p9,
	};
	ret = start(p9);
	if (ret) {
		err("--9p %s: cannot start its threads: %s%s", share->path, strerror(-ret),
		    limit_hint(ret));
		free_session(p9);
		return ret;
	}
	*out = p9;
	return 0;
}
