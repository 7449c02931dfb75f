/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a test and into all that it starts: a thread loses the CPU around a call of the
 * host now and then, for milliseconds and sometimes for much longer, as on a machine that is far
 * too busy. JITTER=N: around one call of N.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000LL

/* Those that a guest makes for every byte, and that all make: seldom, or nothing gets anywhere. */
#define SELDOM	    10
#define VERY_SELDOM 20

/* passt's own filter of system calls kills it for a sleep; prove is not what is tried. */
static bool is_spared(void)
{
	const char *name = program_invocation_short_name;

	return !strncmp(name, "passt", 5) || !strcmp(name, "prove");
}

static uint64_t random_number(void)
{
	static __thread uint64_t state;

	while (!state) {
		struct timespec t;

		syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
		state = (uint64_t)t.tv_nsec * 2654435761U ^ (uint64_t)gettid() << 32;
	}
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 16;
}

static void jitter(unsigned int seldom)
{
	static unsigned long rate;
	const int saved = errno;
	long long ns;

	if (!rate) {
		const char *word = getenv("JITTER");

		rate = is_spared() ? 0 : word ? strtoul(word, NULL, 10) : 0;
		rate = rate ? rate : ~0UL / VERY_SELDOM;
	}
	if (random_number() % (rate * seldom))
		return;
	ns = (long long)(random_number() % 20) * MS;
	if (random_number() % 16 == 0)
		ns *= 20;
	/* Not by the library: tests have functions of their own in its place. */
	syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0,
		&(struct timespec){ ns / (1000 * MS), ns % (1000 * MS) }, NULL);
	errno = saved;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WRAP(type, name, parameters, arguments, seldom) \
	type name parameters                            \
	{                                               \
		static __typeof__(&name) real;          \
		type ret;                               \
                                                        \
		if (!real)                              \
			real = REAL(name);              \
		jitter(seldom);                         \
		ret = real arguments;                   \
		jitter(seldom);                         \
		return ret;                             \
	}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*real)(int, unsigned long, void *);
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!real)
		real = (int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");
	jitter(SELDOM);
	ret = real(fd, request, arg);
	jitter(SELDOM);
	return ret;
}

WRAP(ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len), 1)
WRAP(ssize_t, write, (int fd, const void *buf, size_t len), (fd, buf, len), 1)
WRAP(ssize_t, pread64, (int fd, void *buf, size_t len, off64_t at), (fd, buf, len, at), 1)
WRAP(ssize_t, pwrite64, (int fd, const void *buf, size_t len, off64_t at), (fd, buf, len, at), 1)
WRAP(ssize_t, send, (int fd, const void *buf, size_t len, int flags), (fd, buf, len, flags), 1)
WRAP(ssize_t, recv, (int fd, void *buf, size_t len, int flags), (fd, buf, len, flags), 1)
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags), (fd, msg, flags), 1)
WRAP(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags), (fd, msg, flags), 1)
WRAP(int, poll, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms), 1)
WRAP(int, epoll_wait, (int fd, struct epoll_event *ev, int n, int ms), (fd, ev, n, ms), 1)
WRAP(int, epoll_pwait2,
     (int fd, struct epoll_event *ev, int n, const struct timespec *t, const sigset_t *set),
     (fd, ev, n, t, set), 1)
WRAP(int, close, (int fd), (fd), 1)
WRAP(int, listen, (int fd, int backlog), (fd, backlog), 1)
WRAP(int, pthread_cond_wait, (pthread_cond_t * cond, pthread_mutex_t *mutex), (cond, mutex), 1)
WRAP(int, pthread_mutex_unlock, (pthread_mutex_t * mutex), (mutex), VERY_SELDOM)
