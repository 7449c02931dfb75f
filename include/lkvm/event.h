/* SPDX-License-Identifier: MIT */
/*
 * An event loop over epoll: file descriptors, timers and functions posted from other threads.
 * The main thread runs one (console, signals, requests); a queue of a device has one with a thread
 * of its own.
 *
 * At any moment a loop has one runner or none. What belongs to a loop (its events' state, a queue
 * that it serves) is touched by its runner alone and needs no lock. The runner is the thread inside
 * event_loop_run; while there is none (before the start, after the end, the main loop while the VM
 * is being paused or reset), event_call_sync makes the caller the runner for the time of the call.
 * So a synchronous call never waits for a loop that has stopped, and never runs beside one that
 * runs. Who makes one holds no lock that the loop may want and is not the runner of another loop.
 * A runner that has to wait for threads which may make one steps aside meanwhile.
 */
#ifndef LKVM_EVENT_H
#define LKVM_EVENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "lkvm/types.h"

struct event_loop;

/* An fd in a loop; embedded in its owner, zeroed before event_add. */
struct event {
	int fd;
	u32 events; /* EPOLLIN, EPOLLOUT; with EPOLLET each write to an eventfd is one, unread */
	/* Runs on the loop's thread. May call event_del on any event, its own included. */
	void (*fn)(void *opaque, u32 events);
	void *opaque;
	struct event_loop *loop; /* NULL while not added */
};

/*
 * The sleep of a loop's thread ended, and no event did it: the kernel may have done work for this
 * thread that has a result to look at (io_uring_setup(2), IORING_SETUP_COOP_TASKRUN), so nobody has
 * to sleep again to hear of that. Embedded in its owner.
 */
struct event_look {
	void (*fn)(void *opaque); /* on the loop's thread; adds and takes away no others */
	void *opaque;
	struct event_look *next;
};

struct event_post {
	void (*fn)(void *opaque);
	void *opaque;
	struct event_post *next;
	bool queued;
};

/* A one-shot timer on a loop. */
struct event_timer {
	struct event_loop *loop; /* NULL: not initialized, or destroyed */
	void (*fn)(void *opaque);
	void *opaque;
	struct event_timer *next;
	u64 due_ns; /* 0: not set */
};

struct event_loop {
	const char *name;
	int epoll_fd;
	int wake_fd;
	atomic_bool stop;
	pthread_mutex_t lock; /* guards posts, timers, current[] and the runner */
	pthread_cond_t idle;  /* the runner left, or a synchronous call is done */
	pthread_t runner;
	bool has_runner;
	struct event_post *posts;
	struct event_timer *timers; /* that are set, by time */
	struct event_look *looks;   /* the runner's */
	u64 asleep_until;	    /* the runner, in epoll_wait; 0: it looks before it sleeps */
	struct event *current[64];  /* the batch being dispatched: event_del clears its entry */
	unsigned int nr_current;
	struct event wake;
	pthread_t thread;
	bool has_thread;
};

int event_loop_init(struct event_loop *loop, const char *name) __must_check;
void event_loop_destroy(struct event_loop *loop);
/* Run on the calling thread until event_loop_stop; returns at once when already stopped. Waits for
 * a synchronous call that is under way. */
void event_loop_run(struct event_loop *loop);
/* Run what is ready now, once, whether the loop was stopped or not; on the calling thread. False:
 * nothing was. */
bool event_loop_drain(struct event_loop *loop);
/* From any thread, and async-signal-safe. */
void event_loop_stop(struct event_loop *loop);
/* Let a stopped loop run again. */
void event_loop_rearm(struct event_loop *loop);
/* Run the loop on a thread of its own (THREAD_LOOP), named @loop->name; stop joins it. 0 or -errno;
 * prints nothing. */
int event_loop_start_thread(struct event_loop *loop) __must_check;
void event_loop_stop_thread(struct event_loop *loop);

/*
 * In a function that the loop runs, around waiting for other threads: synchronous calls are made by
 * their callers meanwhile, as if the loop had stopped. Both do nothing on a thread that is not the
 * runner; event_loop_step_back takes what event_loop_step_aside returned.
 */
bool event_loop_step_aside(struct event_loop *loop) __must_check;
void event_loop_step_back(struct event_loop *loop, bool aside);

/*
 * Watch @ev->fd, level-triggered unless it says EPOLLET. 0 or epoll's -errno (-EPERM: a regular
 * file, always ready). After event_del returns on the loop's own thread, or while the loop does not
 * run, @fn is not called again; from another thread a call may be in progress: use event_call_sync
 * then.
 */
int event_add(struct event_loop *loop, struct event *ev) __must_check;
int event_mod(struct event *ev, u32 events);
void event_del(struct event *ev);
/* On the loop's thread, or while it does not run. Taking away what was not added does nothing. */
void event_look_add(struct event_loop *loop, struct event_look *look);
void event_look_del(struct event_loop *loop, struct event_look *look);
/* Run @post->fn once on the loop's thread, soon. Posting twice before it ran is one run. Any
 * thread. */
void event_loop_post(struct event_loop *loop, struct event_post *post);
/* Take back what has not begun to run. Nothing happens when it was not posted. */
void event_loop_unpost(struct event_loop *loop, struct event_post *post);
/*
 * Run @fn as the loop's runner and wait until it returned: on the loop's thread, or here when this
 * is that thread or nobody runs the loop (also when it stops meanwhile). Any thread; see above.
 */
void event_call_sync(struct event_loop *loop, void (*fn)(void *opaque), void *opaque);

/* Initialized, a timer holds nothing; @fn runs on the loop's thread. */
void event_timer_init(struct event_timer *t, struct event_loop *loop, void (*fn)(void *),
		      void *opaque);
/* Fires once, @ns from now or up to a millisecond later; 0 disarms. Any thread. */
void event_timer_set(struct event_timer *t, u64 ns);
/* While the loop is still there; a call of @fn may be in progress where event_del's may. Nothing
 * happens where it was not initialized (zeroes). */
void event_timer_destroy(struct event_timer *t);

#endif
