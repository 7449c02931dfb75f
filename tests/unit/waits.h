/* SPDX-License-Identifier: MIT */
/* Counts how often this process waits for something, or looks whether it is there: who spins does
 * so without end, on any machine. */
#ifndef TEST_WAITS_H
#define TEST_WAITS_H

#include <dlfcn.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/epoll.h>

static atomic_uint nr_epoll_waits, nr_polls;

/* Both in place of the C library's. */
int epoll_wait(int epoll, struct epoll_event *events, int max, int ms)
{
	int (*real)(int, struct epoll_event *, int, int) = dlsym(RTLD_NEXT, "epoll_wait");

	atomic_fetch_add(&nr_epoll_waits, 1);
	return real(epoll, events, max, ms);
}

/* By the linker's name: headers may have an inline one. */
int counted_poll(struct pollfd *fds, nfds_t n, int ms) __asm__("poll");
int counted_poll(struct pollfd *fds, nfds_t n, int ms)
{
	int (*real)(struct pollfd *, nfds_t, int) = dlsym(RTLD_NEXT, "poll");

	atomic_fetch_add(&nr_polls, 1);
	return real(fds, n, ms);
}

static inline unsigned int nr_waits(void)
{
	return atomic_load(&nr_epoll_waits) + atomic_load(&nr_polls);
}

#endif
