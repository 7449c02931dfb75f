/* SPDX-License-Identifier: MIT */
/* What a terminal needs besides bytes: raw mode and its certain end, the job's place, the size. */
#ifndef LKVM_CONSOLE_TTY_H
#define LKVM_CONSOLE_TTY_H

#include "lkvm/types.h"

/*
 * Are we the job in the foreground of terminal @fd? A terminal that does not control our session
 * knows no jobs: true.
 */
bool tty_foreground(int fd);
/*
 * Raw mode on terminal @fd until term_restore; again, when a shell has changed the modes meanwhile.
 * 0 or -errno.
 */
int tty_enter_raw(int fd);
/* The terminal belongs to another job now: leave its modes alone. */
void tty_forget_raw(void);
/* While it is raw: let its interrupt key, or @key where that is not 0, send SIGINT. */
void tty_obey_interrupt(char key);
/*
 * Have signals that end or stop the process call term_restore first (signals.h), where they have
 * their default action; and undo it.
 */
void tty_guard(void);
void tty_unguard(void);
/*
 * A terminal with a person behind it. The other side of one, a pseudo-terminal's master, is a
 * stream; opened anew it would be another pseudo-terminal.
 */
bool tty_is_terminal(int fd);
/* False when it has none. */
bool tty_size(int fd, u16 *cols, u16 *rows);

/*
 * Standard input or output @fd, opened anew without O_NONBLOCK's being shared with the processes
 * that have it too. -errno where that cannot be done (a socket, a terminal of another user): use
 * @fd itself then.
 */
int tty_reopen(int fd, int flags);
/* Was @fd there when the program started? What lkvm opens itself closes on exec, it could not. */
bool tty_inherited(int fd);

#endif
