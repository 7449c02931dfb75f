/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into lkvm: a line for each call that makes something, to the file CALLS. The main
 * thread's alone, and only until a vcpu runs: what the others do depends on who comes first.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

static atomic_bool runs;
static int out = -1;

static void note(const char *what, unsigned long number)
{
	char line[64];
	int n = snprintf(line, sizeof(line), number ? "%s 0x%lx\n" : "%s\n", what, number);

	if (out < 0 && getenv("CALLS"))
		out = open(getenv("CALLS"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (gettid() == getpid() && !runs && write(out, line, (size_t)n) < 0)
		abort();
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == KVM_RUN)
		runs = true;
	else
		note("ioctl", request);
	return REAL(ioctl)(fd, request, arg);
}

int eventfd(unsigned int count, int flags)
{
	note("eventfd", 0);
	return REAL(eventfd)(count, flags);
}

int epoll_create1(int flags)
{
	note("epoll_create1", 0);
	return REAL(epoll_create1)(flags);
}

int epoll_ctl(int fd, int op, int what, struct epoll_event *e)
{
	note("epoll_ctl", (unsigned long)op);
	return REAL(epoll_ctl)(fd, op, what, e);
}

int timerfd_create(int clock, int flags)
{
	note("timerfd_create", 0);
	return REAL(timerfd_create)(clock, flags);
}

int madvise(void *at, size_t len, int advice)
{
	note("madvise", (unsigned long)advice);
	return REAL(madvise)(at, len, advice);
}

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	note("pread", 0);
	return REAL(pread)(fd, buf, len, offset);
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t offset)
{
	note("pread", 0);
	return REAL(pread64)(fd, buf, len, offset);
}

int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	note("sigaction", (unsigned long)sig);
	return REAL(sigaction)(sig, act, old);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	note("pthread_create", 0);
	return REAL(pthread_create)(thread, attr, fn, arg);
}

int pthread_setname_np(pthread_t thread, const char *name)
{
	note("pthread_setname_np", 0);
	return REAL(pthread_setname_np)(thread, name);
}
