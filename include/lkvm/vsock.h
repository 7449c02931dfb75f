/* SPDX-License-Identifier: MIT */
/*
 * What stands behind a virtio-vsock device: stream sockets of the host, one for each connection.
 * The back end opens them and ends them; the device, which knows the guest's protocol, moves the
 * bytes.
 */
#ifndef LKVM_VSOCK_H
#define LKVM_VSOCK_H

#include <sys/types.h>

#include "lkvm/types.h"

struct vsock_backend;
struct vsock_config;

/* On the device's loop, but for close and finish. None waits. */
struct vsock_backend_ops {
	/* The guest wants to reach @port. The connected socket (non-blocking, the caller's);
	 * -EAGAIN: it is there, and busy: ask again in a while; other -errno: refused. */
	int (*connect)(struct vsock_backend *vb, u32 port);
	/* The next program that came to listen_fd: its socket (non-blocking, the caller's).
	 * -EAGAIN: none; other -errno: not now, the host lacks something. */
	int (*accept)(struct vsock_backend *vb);
	/* Which of the guest's ports does the program at @fd, which was accepted, want? 0; -EAGAIN:
	 * it has not said all yet; other -errno: it said something else, or left. */
	int (*asked)(struct vsock_backend *vb, int fd, u32 *port);
	/* Tell it that the guest took the connection, whose port on this side is @port. 0 or
	 * -errno. */
	int (*answer)(struct vsock_backend *vb, int fd, u32 port);
	/* The machine ends: nobody is to come any more. May be called twice. */
	void (*finish)(struct vsock_backend *vb);
	void (*close)(struct vsock_backend *vb);
};

struct vsock_backend {
	const struct vsock_backend_ops *ops;
	int listen_fd;	  /* readable when a program waits; borrowed */
	const char *name; /* for messages */
};

/*
 * vsock/unix.c: @cfg->path is a unix socket. A program that connects to it and writes
 * "CONNECT PORT\n" reaches the guest's port, and is answered "OK PORT\n"; what the guest wants of
 * port P goes to the socket "PATH_P". Prints what is wrong; *out is owned by the caller
 * (ops->close).
 */
int vsock_unix_open(const struct vsock_config *cfg, struct vsock_backend **out) __must_check;

#endif
