/* SPDX-License-Identifier: MIT */
/*
 * Between the timers of x86/ that guests count by (pit.c, pm1.c): a clock that stands still while
 * the VM does, so that a saved machine goes on where it was. Its owner's lock guards it;
 * zeroed and started it begins at 0.
 */
#ifndef LKVM_X86_STOPWATCH_H
#define LKVM_X86_STOPWATCH_H

#include "lkvm/state.h"
#include "lkvm/types.h"
#include "lkvm/util.h"

#define X86_NSEC 1000000000ULL

struct x86_stopwatch {
	u64 zero_ns;	/* the host's clock at 0 of this one, while it runs */
	u64 elapsed_ns; /* what it shows, while it stands still; all that is saved of it */
	bool stopped;
};

#define X86_STOPWATCH_STATE(type, member) STATE_CLOCK(type, member.elapsed_ns)

static inline u64 x86_stopwatch_ns(const struct x86_stopwatch *w)
{
	return w->stopped ? w->elapsed_ns : now_ns() - w->zero_ns;
}

static inline void x86_stopwatch_start(struct x86_stopwatch *w)
{
	w->zero_ns = now_ns() - w->elapsed_ns;
	w->stopped = false;
}

static inline void x86_stopwatch_stop(struct x86_stopwatch *w)
{
	w->elapsed_ns = x86_stopwatch_ns(w);
	w->stopped = true;
}

/* Whole periods of @hz in @ns. */
static inline u64 x86_ns_to_ticks(u64 ns, u64 hz)
{
	return ns / X86_NSEC * hz + ns % X86_NSEC * hz / X86_NSEC;
}

#endif
