/* SPDX-License-Identifier: MIT */
/*
 * A command in the guest: this process's standard streams, signals and terminal are its own, and
 * its exit status is ours. console/guest-command.c is the host's side of the link with the guest's
 * init (lkvm/guest-link.h), which speaks by a port of virtio-console. All on the main loop's
 * thread.
 */
#ifndef LKVM_GUEST_COMMAND_H
#define LKVM_GUEST_COMMAND_H

#include "lkvm/console.h"

struct guest_command;

/*
 * @term, the standard input that the command gets, is borrowed and gets a client. @ended is called
 * once: the command, or the init before it, ended with that status, what had failed was printed,
 * and all its output is with the host. *out is the caller's. 0 or -errno; prints nothing.
 */
int guest_command_create(struct event_loop *loop, struct console *term,
			 void (*ended)(void *opaque, int status), void *opaque,
			 struct guest_command **out) __must_check;
/* What stands behind the port. */
struct console *guest_command_port(struct guest_command *gc);
/*
 * Send signal @sig to the command. False: it is not there to get it, or was sent one already: then
 * whoever sent it means us.
 */
bool guest_command_signal(struct guest_command *gc, int sig);
/* Ask the command to end, by SIGTERM, as often as somebody does. False: none is running. */
bool guest_command_ask(struct guest_command *gc);
/* The status that it ended with; -1: it has not. */
int guest_command_status(const struct guest_command *gc);
/* Was it started? */
bool guest_command_is_running(const struct guest_command *gc);
/* The process is about to end: all output goes out. */
void guest_command_finish(struct guest_command *gc);
/* Also of NULL. */
void guest_command_destroy(struct guest_command *gc);

/*
 * console/kept.c: the console of a guest that nobody looks at. Its last words are kept, for when it
 * ends as it should not. @live: they go to standard error as they come.
 */
struct console *kept_console_new(bool live);
/* Print what was kept to standard error. */
void kept_console_show(struct console *con);
/* Did Linux say there that it panicked? */
bool kept_console_panicked(struct console *con);

#endif
