/* SPDX-License-Identifier: MIT */
/*
 * Directories of the host that guests share, by 9P2000.L. A share is a directory, opened once. A
 * session serves one client of it: messages come and go as lists of byte ranges, and nothing here
 * knows how they travel.
 *
 * A session lives on an event loop: requests are given to it on the loop's thread, and their done()
 * runs there too. Several are with the host at once, on threads of the session, and end in any
 * order. A request waits (the host has not begun it), is under way, or is the caller's.
 */
#ifndef LKVM_FS_H
#define LKVM_FS_H

#include <stdatomic.h>
#include <sys/uio.h>

#include "lkvm/types.h"

struct event_loop;
struct p9;
struct share;
struct share_config;

/* Buffers of one message in one direction, at most. */
#define P9_MAX_SEGS 128
/* Requests with the host at once. */
#define P9_WORKERS 16

/*
 * Open the directory that @cfg names, one of @nr_shares that share the descriptors which this
 * process may have. Prints what is wrong: missing, no directory, no /proc. 0 or -errno; *out is
 * owned by the caller.
 */
int share_open(const struct share_config *cfg, u32 nr_shares, struct share **out) __must_check;
/* One that is only described: nothing is opened, and nobody uses it. */
struct share *share_stub(const struct share_config *cfg) __must_check;
void share_close(struct share *share);
/* For messages, and what the guest mounts it by. */
const char *share_path(const struct share *share);
const char *share_tag(const struct share *share);

/* One message and the room for its answer; the caller's until p9_submit, and again from done() on.
 * No range is empty, and all stay valid and unchanged in between. */
struct p9_request {
	struct iovec *out, *in; /* what the client wrote; what it reads */
	unsigned int nr_out, nr_in;
	size_t out_len, in_len;
	/*
	 * On the loop's thread, possibly before p9_submit returns. @ret: the length of the answer;
	 * 0: the client flushed it and gets none; -ECANCELED: it was not begun (p9_cancel);
	 * -EPROTO: it cannot be answered, having no header or no room.
	 */
	void (*done)(struct p9_request *req, int ret);

	/* Of the session. */
	struct p9_request *next;
	struct p9_request *flushes; /* that wait until this one is over */
	int ret;
	u16 tag;
	atomic_bool canceled; /* its calls of the host are interrupted, and end it */
};

/*
 * Begin a session of @share on @loop. Takes the descriptors and the one thread that it needs at
 * least; @workers 0: there is none, and everything is served inside p9_submit, for tests. @ended
 * (or NULL) is called after requests that were done outside of a call of the caller's. Prints; 0 or
 * -errno. Called before @loop runs or on its thread, and so is p9_close.
 */
int p9_open(struct share *share, struct event_loop *loop, unsigned int workers,
	    void (*ended)(void *opaque), void *opaque, struct p9 **out) __must_check;
/* All that follow: on the loop's thread, or while it does not run. */
void p9_submit(struct p9 *p9, struct p9_request *req);
/* No more come for now: let the threads begin. */
void p9_kick(struct p9 *p9);
/* Requests that were submitted and are not done. */
unsigned int p9_busy(const struct p9 *p9);
/* The request that was submitted last, if it waits: it is the caller's again, without done(). NULL:
 * none, or an earlier one is the last that waits. */
struct p9_request *p9_take_back(struct p9 *p9);
/* What waits is done with -ECANCELED, now; what is under way is hurried (interrupted). */
void p9_cancel(struct p9 *p9);
/* The client is gone: forget its files. Nothing is under way. */
void p9_reset(struct p9 *p9);
/* Has the client files of ours? Any thread. */
bool p9_in_use(struct p9 *p9);
/* The process is about to end: wait for what is under way, some seconds at most, and begin nothing
 * more. Any thread. */
void p9_finish(struct p9 *p9);
/* Nothing is under way, and another loop takes over: @loop, or none for now (NULL). 0 or what epoll
 * says. */
int p9_use_loop(struct p9 *p9, struct event_loop *loop) __must_check;
/* Cancel, wait for what is under way (its done() runs here), free everything. */
void p9_close(struct p9 *p9);

#endif
