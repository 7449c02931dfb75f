/* SPDX-License-Identifier: MIT */
/* The other side of control sockets: machines that run are found by name, and asked. */
#ifndef LKVM_CONTROL_CLIENT_H
#define LKVM_CONTROL_CLIENT_H

#include <sys/types.h>

#include "lkvm/json.h"
#include "lkvm/types.h"

/* The names of sockets in the folder, sorted; those that nobody listens at any more are gone. */
struct machine_names {
	char **names;
	u32 nr;
};

/* Prints; 0 or -errno. Where there is no folder there are no machines. */
int control_find_all(struct machine_names *all) __must_check;
/* @name belongs to the list then. */
void machine_names_add(struct machine_names *all, char *name);
void machine_names_sort(struct machine_names *all);
void machine_names_free(struct machine_names *all);

/* Of a reply. */
#define CONTROL_MAX_VALUES 8192

/* A connection to a machine. */
struct control_link {
	int fd;	    /* -1: none */
	char *name; /* owned */
	pid_t pid;  /* of its lkvm */
	int pidfd;  /* of control_watch_end; -1: none */
	u64 id;	    /* of the last request */
	char *buf;  /* what was read: a reply, and what came after it */
	size_t len, size;
	size_t used;	     /* of @buf: what control_receive_data gave */
	struct json *values; /* of the reply, CONTROL_MAX_VALUES */
};

/* Connect to @name. Prints (what there is instead); 0 or -errno. */
int control_connect(struct control_link *link, const char *name) __must_check;
/* The same for a name that was found, which may be gone by now. Prints nothing but what is wrong
 * with the folder. */
int control_try(struct control_link *link, const char *name) __must_check;
/* Closes it; nothing happens to one that could not connect. */
void control_hang_up(struct control_link *link);

/*
 * Send @command with @args (the text of a JSON object, or NULL). control_receive waits for the
 * reply, at most until @deadline (now_ns's; 0: without an end), and returns its result in *result,
 * which is valid until the next call. Both print, with the machine's name in front; 0 or -errno:
 * -ETIMEDOUT is not printed, -EREMOTEIO is the machine's own error.
 */
int control_send(struct control_link *link, const char *command, const char *args) __must_check;
int control_receive(struct control_link *link, u64 deadline,
		    const struct json **result) __must_check;
/*
 * The same without a deadline, of a command whose reply bytes precede. 1: *data is some of them,
 * valid until the next call; 0: *result.
 */
struct control_bytes {
	u64 offset;
	const char *bytes;
	size_t len;
};
int control_receive_data(struct control_link *link, struct control_bytes *data,
			 const struct json **result) __must_check;
/* After those: the next line, which nobody asked for, without its end. 1; 0: the connection's end;
 * -errno (printed). */
int control_receive_event(struct control_link *link, char **line, size_t *len) __must_check;
/* Both, without a deadline. */
int control_ask(struct control_link *link, const char *command, const char *args,
		const struct json **result) __must_check;
/* The bytes of a line of reply as they came, without its end; for `lkvm ctl`. The link's. */
int control_receive_line(struct control_link *link, u64 deadline, char **line,
			 size_t *len) __must_check;
/*
 * control_watch_end before the machine is asked to end; control_await_end then waits until its
 * process is gone, so that all that it held is free.
 */
void control_watch_end(struct control_link *link);
void control_await_end(struct control_link *link);

#endif
