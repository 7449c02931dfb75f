/* SPDX-License-Identifier: MIT */
/* Unix sockets with a name in the file system (unix(7)): listening, connecting. */
#ifndef LKVM_UNIX_H
#define LKVM_UNIX_H

#include <sys/types.h>

#include "lkvm/types.h"

/* A socket that listens. fd is -1 where there is none. */
struct unix_listener {
	int fd;
	const char *path; /* the caller's, outlives it */
	dev_t dev;	  /* of the name that was made here */
	ino_t ino;
};

/*
 * Listen at @path for stream connections; neither the listener nor what accept4 is asked for waits.
 * A socket there that nobody listens to any more is replaced. Prints, after @what (the option):
 * somebody listens there, the name is taken by something else or too long, what bind said. 0 or
 * -errno, fd is -1 then.
 */
int unix_listen(struct unix_listener *l, const char *path, const char *what) __must_check;
/* The same without a message, and what a message says of its error. */
int unix_listen_quietly(struct unix_listener *l, const char *path) __must_check;
const char *unix_reason(int ret);
/* Close it and remove the name, if that is still the one that was made. Nothing happens to one
 * whose fd is -1. */
void unix_listener_close(struct unix_listener *l);
/* Remove the name alone: the process is about to end. Async-signal-safe. */
void unix_listener_forget(const struct unix_listener *l);
/*
 * The next who came to the listener @fd: a descriptor that does not wait. -EAGAIN: nobody (any
 * more); other -errno: the host lacks something (descriptors, memory), and who came waits: a loop
 * must not watch the listener for a while. Prints nothing.
 */
int unix_accept(int fd) __must_check;
/*
 * A stream connection to @path: a descriptor that does not wait, or -errno: -ENAMETOOLONG, -EAGAIN
 * (those who wait to be accepted are too many already), what connect says. Prints nothing.
 */
int unix_connect(const char *path) __must_check;

#endif
