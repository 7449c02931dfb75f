/* SPDX-License-Identifier: MIT */
/*
 * The control socket of a running machine: JSON lines, a request and its reply at a time, which
 * bytes may precede (docs/control.md). It is served by the main loop, without a thread and without
 * ever waiting for a client; what can be asked for is a table of whoever made it, so that it knows
 * no machine.
 */
#ifndef LKVM_CONTROL_H
#define LKVM_CONTROL_H

#include <signal.h>

#include "lkvm/event.h"
#include "lkvm/json.h"
#include "lkvm/types.h"
#include "lkvm/unix.h"

/* Of the protocol: the member "lkvm" of every line. */
#define CONTROL_VERSION 1
/* A request's line, with its end. */
#define CONTROL_MAX_LINE 4096
/* A reply's: the registers of some thousand vcpus. */
#define CONTROL_MAX_REPLY (8 * MiB)
/* Connections; one more takes the place of the one that has been silent for longest. */
#define CONTROL_MAX_CLIENTS 16

/* Events that a client has not read; what does not fit is lost to it. */
#define CONTROL_MAX_EVENTS (16 * KiB)

struct control;
struct control_call;

struct control_arg {
	const char *name; /* NULL: the end of the list */
	enum json_type type;
	bool required;
	const char *help;
};

struct control_command {
	const char *name; /* NULL: the end of the table */
	const char *help;
	const struct control_arg *args; /* NULL: none */
	/*
	 * On the main loop. Writes members of the result to @call->result and returns 0, or returns
	 * what control_fail returned; or CONTROL_LATER, after which somebody calls control_finish
	 * on the main loop.
	 */
	int (*run)(struct control_call *call, void *opaque);
};
#define CONTROL_LATER 1

/* A request under way; each client has one at most. */
struct control_call {
	const struct json *args; /* only as long as run() runs; checked by the row */
	struct json_out *result; /* an object that is open */
	void *priv;		 /* the command's own */
	/* The client has gone, after CONTROL_LATER: the call is no more. May be NULL. */
	void (*gone)(struct control_call *call);
	/*
	 * Set by run() before it returns CONTROL_LATER: bytes precede the reply. Called, then, on
	 * the main loop whenever the client has taken what came before, instead of
	 * control_finish. Calls control_data any times and returns CONTROL_LATER, or
	 * control_end_data and then as run(); works for some milliseconds at most.
	 */
	int (*more)(struct control_call *call);
};

/* The argument @name, or NULL. */
static inline const struct json *control_arg(const struct control_call *call, const char *name)
{
	return json_member(call->args, name);
}
/* Answer by an error: a @code out of docs/control.md, and what a user is told. Returns -EINVAL. */
int control_fail(struct control_call *call, const char *code, const char *fmt, ...) __printf(3, 4);
/* The call that was put off is answered: as run() would have returned @ret (0 or control_fail's).
 */
void control_finish(struct control_call *call, int ret);
/* Of control_call.more: @len bytes, which belong at @offset of whatever they are a part of. */
void control_data(struct control_call *call, u64 offset, const void *bytes, size_t len);
void control_end_data(struct control_call *call);

/*
 * From now on the caller's client is sent events, too, between replies; for a command's run().
 * control_event sends one to all of these, never waiting: @members are members of the event's
 * object as JSON, with a comma in front of each ("": none). Main thread, in the loop or outside.
 */
void control_subscribe(struct control_call *call);
void control_event(struct control *c, const char *event, const char *members);

/* What a machine can be asked. */
struct control_table {
	const struct control_command *commands;
	void *opaque; /* of their run() */
};

struct control {
	struct unix_listener listener; /* fd -1: there is none */
	char *path;		       /* NULL: nothing was opened */
	struct event_loop *loop;
	struct control_table table;
	struct event accept_ev;
	struct event_timer accept_retry;
	struct control_client *clients;
	u32 nr_clients;
	u64 turn; /* counts what clients do, so that the most silent one is known */
};

/*
 * Serve the machine called @name, a valid name, on @loop, which does not run yet. The name goes,
 * too, where one of the signals in @ending ends the process by its default action; a process has
 * one such machine. @given: the user chose the name, and what is wrong is an error; else it is a
 * message of the debug level, and the machine has no socket. 0 or -errno (printed).
 */
int control_open(struct control *c, struct event_loop *loop, const char *name, bool given,
		 const struct control_table *table, const sigset_t *ending) __must_check;
/* Take the name away alone: the process is about to end. Nothing happens where there is none. */
void control_end(struct control *c);
/* Close everything; clients see an end. Nothing happens where there is nothing (zeroes). */
void control_close(struct control *c);

/*
 * control-folder.c: where the sockets are: $XDG_RUNTIME_DIR/lkvm; without the variable /run/lkvm
 * for root, /run/user/UID/lkvm for others.
 */

#define CONTROL_SUFFIX ".sock"

/* The folder; NULL: there is none, since no environment says so. To be freed. */
char *control_folder(void) __must_check;
/*
 * Open @folder, which must be the caller's alone; @make: make it where there is none. A descriptor,
 * or -errno with the reason in words in *why.
 */
int control_folder_open(const char *folder, bool make, const char **why) __must_check;
/* @folder/@name.sock, to be freed. */
char *control_path(const char *folder, const char *name) __must_check;
/*
 * Listen at @path in the folder that is open as @folder_fd, or take a name away that nobody listens
 * at. Of several who do so at once one wins: control_listen locks the folder for as long as
 * @folder_fd is open. 0 or -errno (-EADDRINUSE: somebody listens there).
 */
int control_listen(int folder_fd, struct unix_listener *l, const char *path) __must_check;
void control_clean(int folder_fd, const char *path);

#endif
