/* SPDX-License-Identifier: MIT */
/* util/marks.c: when a machine came where, from the start of lkvm to the end of the guest. */
#ifndef LKVM_MARKS_H
#define LKVM_MARKS_H

#include <pthread.h>
#include <stdio.h>

#include "lkvm/types.h"

enum mark_kind {
	MARK_EXEC,	/* lkvm began */
	MARK_GUEST,	/* the first instruction of the guest comes next: of each boot */
	MARK_CONSOLE,	/* the first byte on a console, in each boot */
	MARK_INIT,	/* Linux said that it runs init, the first time in each boot */
	MARK_GUEST_SET, /* the guest's own, by the boot mark: with its value */
	MARK_TIMER,	/* Firecracker's boot timer */
	MARK_POST,	/* a POST code: with its value */
	MARK_END,	/* the guest has ended, or was ended */
	MARK_KINDS,
};

#define MARKS_MAX 64

struct marks {
	pthread_mutex_t lock;
	u64 start_ns; /* now_ns() */
	u32 had;      /* kinds, as bits, in this boot */
	u32 nr;
	u32 lost; /* for which there was no room */
	struct mark {
		enum mark_kind kind;
		u8 value;
		u64 ns; /* since the start */
	} list[MARKS_MAX];
};

/* The first mark is lkvm's start, @start_ns by now_ns(). */
void marks_init(struct marks *m, u64 start_ns);
/* Now, if it is to be kept. Any thread; nothing happens where @m is NULL. */
void marks_add(struct marks *m, enum mark_kind kind, u8 value);
/* What a mark is called: "guest", "mark.7". @buf is returned. */
const char *mark_name(const struct mark *mark, char *buf, size_t len);
/* All of them in one line, without its end: "exec=0 guest=11873402 ..." in nanoseconds. When nobody
 * adds more. */
void marks_print(const struct marks *m, FILE *out);

#endif
