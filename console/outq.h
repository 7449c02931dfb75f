/* SPDX-License-Identifier: MIT */
/*
 * Guest output on its way to a file descriptor of the host: gathered into lines, never blocking the
 * main loop, holding the guest's own threads back while the reader is slow.
 */
#ifndef LKVM_CONSOLE_OUTQ_H
#define LKVM_CONSOLE_OUTQ_H

#include <pthread.h>

#include "lkvm/event.h"
#include "lkvm/types.h"

struct outq {
	struct event_loop *loop;
	pthread_t main; /* the thread that runs the loop: never waits */
	int fd;		/* -1: none */
	bool owned;	/* opened here, does not block */
	bool socket;
	bool paced; /* may block: ask poll first, and write little */

	pthread_mutex_t lock;
	bool dead;    /* it cannot be written, and never will be: output is dropped */
	bool failing; /* the last write failed: one message is enough */
	bool blocked; /* the last write would have blocked */
	bool refused; /* outq_offer took less than it was given */
	u64 dropped;  /* bytes, while it fails */
	bool once;    /* the first failure is the last */
	int error;    /* of it */
	size_t low;   /* what was refused is asked for again when no more is left */
	bool timer_armed;
	bool busy; /* more came since it was armed */
	struct event ready;
	struct event_timer timer;
	struct event_post room; /* the owner's: there is some again */
	bool (*wanted)(void *opaque);
	u8 *buf; /* a ring */
	size_t head, len;
};

/* What the owner does and says. */
struct outq_owner {
	/* On the loop: what outq_offer refused would be taken now. */
	void (*room)(void *opaque);
	/* Any thread, the queue's lock held: whoever writes is not to wait any more. */
	bool (*wanted)(void *opaque);
	/* The first failure is the end, and nothing is said of it: room is called, and outq_lost
	 * tells. */
	bool once;
	void *opaque;
};

/* Output to @fd, which stays the caller's; where it is not open, output is dropped. 0 or -errno. */
int outq_init(struct outq *q, struct event_loop *loop, int fd,
	      const struct outq_owner *owner) __must_check;
/* Any thread. Waits for a slow reader, but on the loop's thread, and for who is wanted elsewhere:
 * there the rest is dropped when the queue is full. */
void outq_write(struct outq *q, const u8 *buf, size_t len);
/* Any thread. Never waits: the number of bytes that were taken, from the first on. */
size_t outq_offer(struct outq *q, const u8 *buf, size_t len);
/* How many bytes outq_offer would take; when it is not all that it could be, room follows. */
size_t outq_room(struct outq *q);
/* What made it take no more, an errno; 0: nothing did. Of a queue that fails once. */
int outq_lost(struct outq *q);
/* Is all written that ever will be? Else room is called when it is. */
bool outq_drained(struct outq *q);
/* Write what can be written now. */
void outq_flush(struct outq *q);
/* Writes what is left, as long as the reader takes it: for when nobody writes more. */
void outq_finish(struct outq *q);
/* The same, and frees it. */
void outq_destroy(struct outq *q);

#endif
