/* SPDX-License-Identifier: MIT */
/* Signals of job control and of the terminal's size, read by the main loop while it runs. */
#ifndef LKVM_CONSOLE_JOBS_H
#define LKVM_CONSOLE_JOBS_H

#include <signal.h>

#include "lkvm/event.h"

struct jobs {
	struct event ev;
	sigset_t signals; /* SIGTSTP, SIGCONT, SIGWINCH */
	sigset_t blocked; /* what jobs_begin added to the thread's mask */
	struct sigaction old_ttin, old_ttou;
	void (*fn)(void *opaque, int sig); /* on the loop's thread */
	void *opaque;
};

/* From here on, too, terminal input and output from the background fail instead of stopping us. 0
 * or -errno. */
int jobs_init(struct jobs *jobs, struct event_loop *loop, void (*fn)(void *opaque, int sig),
	      void *opaque) __must_check;
void jobs_destroy(struct jobs *jobs);
/* On the loop's thread, around its run: outside, the signals act in their default way, so that who
 * waits for a slow image may stop lkvm. */
void jobs_begin(struct jobs *jobs);
void jobs_end(struct jobs *jobs);
/* For SIGTSTP: what it does outside the loop. Returns when the process goes on. */
void jobs_suspend(void);

#endif
