/* SPDX-License-Identifier: MIT */
/*
 * Smoke tests: what a guest says on its consoles is looked through for what should come, what
 * should not, and what kernels say when they break; and what became of it is reported. Knows no
 * machine.
 */
#ifndef LKVM_SMOKE_H
#define LKVM_SMOKE_H

#include <pthread.h>
#include <stdio.h>

#include "lkvm/marks.h"
#include "lkvm/pattern.h"
#include "lkvm/types.h"

enum smoke_kind {
	SMOKE_EXPECT,
	SMOKE_FAIL,
	SMOKE_ALLOW, /* a line that has it is no crash */
	SMOKE_CRASH,
	SMOKE_CRASH_END, /* the last line of what a kernel says of it */
	SMOKE_INIT,	 /* Linux runs init */
};

/* A rule that a user gave, or one of ours. */
struct smoke_stream;
struct smoke_rule {
	enum smoke_kind kind;
	const char *text; /* the expression; its owner's */
	bool seen;
	u64 ns;			 /* since the start */
	struct smoke_stream *in; /* where it was seen */
	char *line;		 /* the line, as far as it came; printable */
	bool told;
};

/* How it ended; by position in smoke_verdict_names[]. */
enum smoke_verdict {
	SMOKE_OPEN, /* not yet */
	SMOKE_PASSED,
	SMOKE_FAILED,
	SMOKE_TIMEOUT,
	SMOKE_INTERRUPTED, /* by a signal */
	SMOKE_ERROR,	   /* there was no test: the machine did not start */
};
extern const char *const smoke_verdict_names[];

/* A line of a console that has not ended. */
#define SMOKE_LINE 512

struct smoke_stream {
	struct smoke *smoke;
	struct pattern_stream search;
	u8 state; /* of escape sequences */
	u8 skipped;
	bool cr; /* and what follows decides what it was */
	bool allowed;
	bool news;		  /* a rule was seen in this line */
	struct smoke_rule *crash; /* in this line */
	char line[SMOKE_LINE];	  /* the end of it */
	u32 len;
};

/* What is kept of the consoles for a report. */
#define SMOKE_TAIL (64 * KiB)

struct smoke {
	/* The user's wishes, before smoke_ready. */
	bool in_order;	/* --expect: as they were given */
	bool until_end; /* the guest ends the test */
	/*
	 * The test is over: end the machine, at once (0) or in so many nanoseconds; a later call
	 * replaces an earlier one. Any thread, a lock held.
	 */
	void (*stop)(void *opaque, u64 ns);
	void *opaque;
	struct marks *marks; /* may be NULL */
	int log_fd;	     /* where all output goes as well; -1: nowhere */

	struct pattern_set set;
	struct smoke_rule *rules; /* in the order of the set */
	u32 nr, nr_expected;
	struct smoke_stream *streams;
	u32 nr_streams;

	pthread_mutex_t lock; /* of all below, and the streams */
	enum smoke_verdict verdict;
	struct smoke_rule *cause;    /* that decided it, or NULL */
	char reason[160];	     /* in words */
	u64 ns;			     /* when it was decided */
	u32 nr_seen;		     /* of the expected */
	struct smoke_stream *ending; /* the line that is still let through */
	int log_error;
	char log_buf[4096];
	u32 log_len;
	char *tail;  /* a ring; NULL: nobody wants it */
	u64 tail_at; /* bytes that came, all together */
};

/* smoke/rules.c: of zeroes, and the wishes. */
void smoke_init(struct smoke *s);
/* Add a rule, whose text stays the caller's. 0; or -EINVAL, and *why is the end of a
 * message. */
int smoke_add(struct smoke *s, enum smoke_kind kind, const char *text,
	      const char **why) __must_check;
/* Those that know how kernels break, and also warnings. */
void smoke_add_crashes(struct smoke *s, bool warnings);
void smoke_destroy(struct smoke *s);

/* smoke/watch.c: after the rules, for so many consoles; @tail: keep the end of what they say. */
void smoke_ready(struct smoke *s, u32 consoles, bool tail);
/* Output of a console. Any thread, one at a time for each console. */
void smoke_output(void *opaque, u32 console, const u8 *buf, size_t len);
/* Decide, unless it is decided: what the guest says from now on changes nothing. True: it was not.
 * Any thread. */
bool smoke_decide(struct smoke *s, enum smoke_verdict verdict, const char *fmt, ...) __printf(3, 4);
/* No more output comes: lines that did not end have ended, the log is written. */
void smoke_finish(struct smoke *s);
/* The kept output, NUL-terminated; to be freed, NULL: there is none. After smoke_finish. */
char *smoke_tail(const struct smoke *s) __must_check;

/* smoke/report.c: what is reported of a test that was decided. */
struct smoke_report {
	const struct smoke *smoke;
	const char *kernel; /* what was booted: names the test */
	const char *end;    /* how the guest ended, in words */
	int status;	    /* lkvm's exit status */
	u32 timeout;	    /* seconds; 0: none */
	bool crashes;	    /* crashes were looked for */
};
enum smoke_format { SMOKE_JUNIT, SMOKE_JSON, SMOKE_TAP };
extern const char *const smoke_format_names[];
/* To @out, whose own errors are the caller's to look for. 0 or -ENOMEM. */
int smoke_report_print(const struct smoke_report *r, enum smoke_format format,
		       FILE *out) __must_check;
/* "3.214" */
const char *smoke_seconds(u64 ns, char *buf, size_t len);

#endif
