/* SPDX-License-Identifier: MIT */
/*
 * What signals do to this process. What was ignored when it started (nohup, a script's '&') stays
 * ignored; every other signal ends it, or stops it, as it ends any program. Two things are added:
 * signals that lkvm raises itself without meaning an end, and what is put back before an end.
 */
#ifndef LKVM_SIGNALS_H
#define LKVM_SIGNALS_H

#include <signal.h>

#include "lkvm/types.h"

/*
 * For programs that run machines, before anything is written: a write to a reader that has gone, or
 * beyond 'ulimit -f', is an error of that write (EPIPE, EFBIG), not the end of the machine.
 */
void signals_init(void);
/*
 * From now on @sig does nothing when this process raises it (and interrupts system calls where
 * @interrupts); when another one sends it, it ends this one as ever. 0 or -errno.
 */
int signals_own(int sig, bool interrupts);
/*
 * Have @mend called when a mapping has no memory at @addr (SIGBUS): true, now there is some. It
 * must be async-signal-safe. False: the signal ends the process as any other. 0 or -errno.
 */
int signals_mend(bool (*mend)(void *addr));
/*
 * Have every signal that would end this process call @restore first, on whatever thread it comes
 * up; it must be async-signal-safe. The process then ends by that signal. A signal that is ignored,
 * or caught by somebody else, is left alone. NULL: no more.
 */
void signals_guard(void (*restore)(void));
/*
 * Have the signals of @set, which end this process so far, and those that signals_guard guards,
 * call @forget first; async-signal-safe. NULL: nothing is called any more.
 */
void signals_forget(const sigset_t *set, void (*forget)(void));

#endif
