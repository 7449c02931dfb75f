/* SPDX-License-Identifier: MIT */
/*
 * Programs that lkvm starts and that serve one machine (virtiofsd, passt). One is started in the
 * open stage, by the thread that lives as long as the machine; it ends with that thread, also where
 * lkvm is killed (PR_SET_PDEATHSIG). What it says becomes messages of lkvm, a line each.
 */
#ifndef LKVM_CHILD_H
#define LKVM_CHILD_H

#include <sys/types.h>

#include "lkvm/event.h"
#include "lkvm/types.h"

struct child_spec {
	const char *what; /* the option that asks for it, for messages */
	const char *hint; /* the end of the message when it cannot be started, or NULL:
			     "; install the package passt" */
	char *const *argv;
	/* Become descriptors 3, 4, ... of the program, which has no others but standard input
	 * (/dev/null), output and error. They stay the caller's. */
	const int *fds;
	unsigned int nr_fds;
	/* It ended without child_stop. On the loop, after all that it said; the child is no more.
	 * @status is that of wait(2). The text says what it means ("exit status 1", "signal 9
	 * (Killed)"). May be NULL. */
	void (*ended)(void *opaque, int status, const char *text);
	void *opaque;
};

struct child {
	const char *name;  /* argv[0] without its directories; owned */
	pid_t pid;	   /* 0: there is none */
	struct event end;  /* a pidfd */
	struct event said; /* its standard output and error */
	void (*ended)(void *opaque, int status, const char *text);
	void *opaque;
	char line[256];
	size_t len;
};

/*
 * Where the program @name is: a path with '/' itself; else in the directories of PATH, then in
 * those of @more (NULL-terminated, or NULL). Owned by the caller; NULL: nowhere.
 */
char *child_find(const char *name, const char *const *more) __must_check;
/*
 * Start @spec->argv, whose first word is a path; all signals have their default action or are
 * ignored as they were here. In a session of its own, so that keys at the terminal do not end it.
 * @c lives in @loop from then on. 0 or -errno (printed); there is nothing to stop then.
 */
int child_start(struct child *c, struct event_loop *loop,
		const struct child_spec *spec) __must_check;
/*
 * End it: SIGTERM, and SIGKILL where it is still there after @patience_ms. What it said last is
 * printed; ended() is not called. On the loop's thread, or while the loop does not run. Nothing
 * happens where there is none (zeroes).
 */
void child_stop(struct child *c, unsigned int patience_ms);

#endif
