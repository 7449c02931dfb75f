/* SPDX-License-Identifier: MIT */
/*
 * An event loop over epoll; who runs it, and when (see include/lkvm/event.h). Timers and posts are
 * lists that the runner looks through before it sleeps: they cost the host nothing but the end of
 * the sleep, and who adds to them wakes the runner only when it sleeps, and too long.
 */
#include "lkvm/event.h"

#include <limits.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

#define NEVER UINT64_MAX

/* Posts and timers */

/* Those that are there now: what comes meanwhile lets other events have a turn first. */
static bool run_posts(struct event_loop *loop)
{
	unsigned int n = 0;
	bool any;

	pthread_mutex_lock(&loop->lock);
	for (const struct event_post *p = loop->posts; p; p = p->next)
		n++;
	pthread_mutex_unlock(&loop->lock);
	any = n;
	while (n--) {
		struct event_post *post;

		pthread_mutex_lock(&loop->lock);
		post = loop->posts;
		if (post) {
			loop->posts = post->next;
			post->queued = false;
		}
		pthread_mutex_unlock(&loop->lock);
		if (!post)
			break;
		post->fn(post->opaque);
	}
	return any;
}

/* The first timer that is due at @now is not set any more; NULL: there is none. */
static struct event_timer *take_due(struct event_loop *loop, u64 now)
{
	struct event_timer *t;

	pthread_mutex_lock(&loop->lock);
	t = loop->timers;
	if (t && t->due_ns <= now) {
		loop->timers = t->next;
		t->due_ns = 0;
	} else {
		t = NULL;
	}
	pthread_mutex_unlock(&loop->lock);
	return t;
}

static bool run_timers(struct event_loop *loop)
{
	struct event_timer *t;
	bool any = false;
	u64 now;

	pthread_mutex_lock(&loop->lock);
	/* What is set meanwhile waits for the next turn, however soon it is due. */
	now = loop->timers ? now_ns() : 0;
	pthread_mutex_unlock(&loop->lock);
	while (now && (t = take_due(loop, now))) {
		t->fn(t->opaque);
		any = true;
	}
	return any;
}

/* The runner is about to sleep, for so many milliseconds (-1: without an end). */
static int fall_asleep(struct event_loop *loop)
{
	u64 now, ms;
	int ret = -1;

	pthread_mutex_lock(&loop->lock);
	loop->asleep_until = NEVER;
	if (loop->posts) {
		ret = 0;
	} else if (loop->timers) {
		loop->asleep_until = loop->timers->due_ns;
		now = now_ns();
		ms = now < loop->asleep_until ? (loop->asleep_until - now - 1) / 1000000 + 1 : 0;
		ret = (int)MIN(ms, (u64)INT_MAX);
	}
	if (!ret)
		loop->asleep_until = 0;
	pthread_mutex_unlock(&loop->lock);
	return ret;
}

/* Under the lock: there is something to do at @when. True: the caller raises wake_fd, without it.
 */
static bool must_wake(struct event_loop *loop, u64 when)
{
	bool sleeps = when < loop->asleep_until;

	/* Who comes after need not wake it again. */
	if (sleeps)
		loop->asleep_until = 0;
	return sleeps;
}

/* Edge-triggered: nobody reads it, and it wakes nevertheless. */
static void on_wake(void *opaque, u32 events) {}

int event_loop_init(struct event_loop *loop, const char *name)
{
	int ret;

	memset(loop, 0, sizeof(*loop));
	loop->name = name;
	loop->wake_fd = -1;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return -errno;
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0) {
		ret = -errno;
		goto fail;
	}
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->idle, NULL);
	loop->wake = (struct event){
		.fd = loop->wake_fd,
		.events = EPOLLIN | EPOLLET,
		.fn = on_wake,
		.opaque = loop,
	};
	ret = event_add(loop, &loop->wake);
	if (!ret)
		return 0;
	pthread_cond_destroy(&loop->idle);
	pthread_mutex_destroy(&loop->lock);
	close(loop->wake_fd);
fail:
	close(loop->epoll_fd);
	loop->epoll_fd = -1;
	return ret;
}

void event_loop_destroy(struct event_loop *loop)
{
	if (loop->epoll_fd < 0 || !loop->wake.loop)
		return;
	event_loop_stop_thread(loop);
	close(loop->epoll_fd);
	close(loop->wake_fd);
	pthread_cond_destroy(&loop->idle);
	pthread_mutex_destroy(&loop->lock);
	loop->epoll_fd = -1;
	loop->wake.loop = NULL;
}

/* Be the runner, once nobody else is. */
static void enter(struct event_loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	while (loop->has_runner)
		pthread_cond_wait(&loop->idle, &loop->lock);
	loop->has_runner = true;
	loop->runner = pthread_self();
	pthread_mutex_unlock(&loop->lock);
}

static void set_runner(struct event_loop *loop, pthread_t thread)
{
	pthread_mutex_lock(&loop->lock);
	loop->runner = thread;
	pthread_mutex_unlock(&loop->lock);
}

/* Nobody is the runner from now on. */
static void leave(struct event_loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->has_runner = false;
	pthread_cond_broadcast(&loop->idle);
	pthread_mutex_unlock(&loop->lock);
}

static bool is_runner(struct event_loop *loop)
{
	bool is;

	pthread_mutex_lock(&loop->lock);
	is = loop->has_runner && pthread_equal(loop->runner, pthread_self());
	pthread_mutex_unlock(&loop->lock);
	return is;
}

bool event_loop_step_aside(struct event_loop *loop)
{
	bool aside = is_runner(loop);

	/* The batch that is being dispatched stays: events of it may be deleted meanwhile. */
	if (aside)
		leave(loop);
	return aside;
}

void event_loop_step_back(struct event_loop *loop, bool aside)
{
	if (aside)
		enter(loop);
}

/* The runner is awake, with these events. True: there was something to do. */
static bool dispatch(struct event_loop *loop, const struct epoll_event *batch, unsigned int n)
{
	bool any = n;

	pthread_mutex_lock(&loop->lock);
	loop->asleep_until = 0;
	for (unsigned int i = 0; i < n; i++)
		loop->current[i] = batch[i].data.ptr;
	loop->nr_current = n;
	pthread_mutex_unlock(&loop->lock);
	for (unsigned int i = 0; i < n; i++) {
		struct event *ev;

		pthread_mutex_lock(&loop->lock);
		ev = loop->current[i];
		pthread_mutex_unlock(&loop->lock);
		if (ev)
			ev->fn(ev->opaque, batch[i].events);
	}
	pthread_mutex_lock(&loop->lock);
	loop->nr_current = 0;
	pthread_mutex_unlock(&loop->lock);
	any |= run_timers(loop);
	any |= run_posts(loop);
	return any;
}

static void run(struct event_loop *loop)
{
	struct epoll_event batch[ARRAY_SIZE(loop->current)];

	while (!atomic_load(&loop->stop)) {
		int ms = fall_asleep(loop);
		int n = epoll_wait(loop->epoll_fd, batch, ARRAY_SIZE(batch), ms);

		if (n < 0 && errno != EINTR) {
			err("event loop '%s': epoll_wait: %s", loop->name, strerror(errno));
			break;
		}
		dispatch(loop, batch, n > 0 ? (unsigned int)n : 0);
		for (struct event_look *look = n < 0 ? loop->looks : NULL; look; look = look->next)
			look->fn(look->opaque);
	}
	leave(loop);
}

void event_loop_run(struct event_loop *loop)
{
	enter(loop);
	run(loop);
}

bool event_loop_drain(struct event_loop *loop)
{
	struct epoll_event batch[ARRAY_SIZE(loop->current)];
	bool any;
	int n;

	enter(loop);
	n = epoll_wait(loop->epoll_fd, batch, ARRAY_SIZE(batch), 0);
	any = dispatch(loop, batch, n > 0 ? (unsigned int)n : 0);
	leave(loop);
	return any;
}

void event_loop_stop(struct event_loop *loop)
{
	atomic_store(&loop->stop, true);
	eventfd_raise(loop->wake_fd);
}

void event_loop_rearm(struct event_loop *loop)
{
	atomic_store(&loop->stop, false);
}

static void *loop_thread(void *arg)
{
	struct event_loop *loop = arg;

	thread_name(loop->name);
	set_runner(loop, pthread_self());
	run(loop);
	return NULL;
}

int event_loop_start_thread(struct event_loop *loop)
{
	int ret;

	/* The new thread is the runner from now on, not only once it has begun to run. */
	enter(loop);
	ret = thread_start(&loop->thread, THREAD_LOOP, loop_thread, loop);
	loop->has_thread = !ret;
	if (ret)
		leave(loop);
	else
		set_runner(loop, loop->thread);
	return ret;
}

void event_loop_stop_thread(struct event_loop *loop)
{
	if (!loop->has_thread)
		return;
	event_loop_stop(loop);
	pthread_join(loop->thread, NULL);
	loop->has_thread = false;
}

int event_add(struct event_loop *loop, struct event *ev)
{
	struct epoll_event e = { .events = ev->events, .data.ptr = ev };

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, ev->fd, &e) < 0)
		return -errno;
	ev->loop = loop;
	return 0;
}

int event_mod(struct event *ev, u32 events)
{
	struct epoll_event e = { .events = events, .data.ptr = ev };

	if (!ev->loop)
		return -EINVAL;
	if (ev->events == events)
		return 0;
	if (epoll_ctl(ev->loop->epoll_fd, EPOLL_CTL_MOD, ev->fd, &e) < 0)
		return -errno;
	ev->events = events;
	return 0;
}

void event_del(struct event *ev)
{
	struct event_loop *loop = ev->loop;

	if (!loop)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, ev->fd, NULL);
	/* It may stand further down in the batch that is being dispatched. */
	pthread_mutex_lock(&loop->lock);
	for (unsigned int i = 0; i < loop->nr_current; i++)
		if (loop->current[i] == ev)
			loop->current[i] = NULL;
	pthread_mutex_unlock(&loop->lock);
	ev->loop = NULL;
}

void event_look_add(struct event_loop *loop, struct event_look *look)
{
	look->next = loop->looks;
	loop->looks = look;
}

void event_look_del(struct event_loop *loop, struct event_look *look)
{
	struct event_look **p = &loop->looks;

	while (*p && *p != look)
		p = &(*p)->next;
	if (*p)
		*p = look->next;
}

void event_loop_post(struct event_loop *loop, struct event_post *post)
{
	struct event_post **tail;
	bool wake;

	pthread_mutex_lock(&loop->lock);
	if (!post->queued) {
		post->queued = true;
		post->next = NULL;
		for (tail = &loop->posts; *tail; tail = &(*tail)->next)
			;
		*tail = post;
	}
	wake = must_wake(loop, 0);
	pthread_mutex_unlock(&loop->lock);
	if (wake)
		eventfd_raise(loop->wake_fd);
}

/* Under the lock. */
static void unpost(struct event_loop *loop, struct event_post *post)
{
	for (struct event_post **p = &loop->posts; *p; p = &(*p)->next) {
		if (*p == post) {
			*p = post->next;
			post->queued = false;
			return;
		}
	}
}

void event_loop_unpost(struct event_loop *loop, struct event_post *post)
{
	pthread_mutex_lock(&loop->lock);
	unpost(loop, post);
	pthread_mutex_unlock(&loop->lock);
}

struct sync_call {
	struct event_post post;
	struct event_loop *loop;
	void (*fn)(void *opaque);
	void *opaque;
	bool done; /* under loop->lock */
};

static void run_sync_call(void *opaque)
{
	struct sync_call *call = opaque;
	struct event_loop *loop = call->loop;

	call->fn(call->opaque);
	pthread_mutex_lock(&loop->lock);
	call->done = true;
	pthread_cond_broadcast(&loop->idle);
	pthread_mutex_unlock(&loop->lock);
}

void event_call_sync(struct event_loop *loop, void (*fn)(void *opaque), void *opaque)
{
	struct sync_call call = { .loop = loop, .fn = fn, .opaque = opaque };

	if (is_runner(loop)) {
		fn(opaque);
		return;
	}
	call.post = (struct event_post){ .fn = run_sync_call, .opaque = &call };
	event_loop_post(loop, &call.post);
	pthread_mutex_lock(&loop->lock);
	while (!call.done && loop->has_runner)
		pthread_cond_wait(&loop->idle, &loop->lock);
	if (!call.done) {
		/* Nobody runs the loop, or nobody any more: this thread does it in its place. */
		unpost(loop, &call.post);
		loop->has_runner = true;
		loop->runner = pthread_self();
		pthread_mutex_unlock(&loop->lock);
		fn(opaque);
		leave(loop);
		return;
	}
	pthread_mutex_unlock(&loop->lock);
}

void event_timer_init(struct event_timer *t, struct event_loop *loop, void (*fn)(void *),
		      void *opaque)
{
	*t = (struct event_timer){ .loop = loop, .fn = fn, .opaque = opaque };
}

/* Under the lock. */
static void disarm(struct event_timer *t)
{
	for (struct event_timer **p = &t->loop->timers; t->due_ns && *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			t->due_ns = 0;
			return;
		}
	}
}

static void arm(struct event_timer *t, u64 due_ns)
{
	struct event_timer **p = &t->loop->timers;

	while (*p && (*p)->due_ns <= due_ns)
		p = &(*p)->next;
	t->due_ns = due_ns;
	t->next = *p;
	*p = t;
}

void event_timer_set(struct event_timer *t, u64 ns)
{
	struct event_loop *loop = t->loop;
	u64 now = ns ? now_ns() : 0;
	bool wake = false;

	pthread_mutex_lock(&loop->lock);
	disarm(t);
	if (ns) {
		arm(t, ns < NEVER - now ? now + ns : NEVER);
		wake = must_wake(loop, t->due_ns);
	}
	pthread_mutex_unlock(&loop->lock);
	if (wake)
		eventfd_raise(loop->wake_fd);
}

void event_timer_destroy(struct event_timer *t)
{
	if (t->loop)
		event_timer_set(t, 0);
	t->loop = NULL;
}
