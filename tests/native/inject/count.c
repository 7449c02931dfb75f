/* SPDX-License-Identifier: MIT */
/*
 * Linked into lkvm by a test, with the linker's --wrap for each function below. Told in file
 * $COUNT_LOG: each signal to a thread, from the moment when somebody asks for the end of the VM;
 * and once the main loop has ended, which until then goes on with what came in, each call that
 * would release something.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* X(name, parameters, arguments), of functions that return an int */
#define FUNCTIONS(X)                                                                             \
	X(close, (int fd), (fd))                                                                 \
	X(munmap, (void *p, size_t n), (p, n))                                                   \
	X(madvise, (void *p, size_t n, int what), (p, n, what))                                  \
	X(epoll_ctl, (int ep, int op, int fd, struct epoll_event *e), (ep, op, fd, e))           \
	X(timerfd_settime,                                                                       \
	  (int fd, int how, const struct itimerspec *new, struct itimerspec *old),               \
	  (fd, how, new, old))                                                                   \
	X(sigaction, (int n, const struct sigaction *new, struct sigaction *old), (n, new, old)) \
	X(pthread_kill, (pthread_t thread, int sig), (thread, sig))                              \
	X(pthread_join, (pthread_t thread, void **result), (thread, result))

static atomic_bool asked, ended;

static void tell(const char *name)
{
	bool counts = atomic_load(strcmp(name, "pthread_kill") ? &ended : &asked);
	const char *path = getenv("COUNT_LOG");
	char line[64];
	int fd;

	if (!counts || !path)
		return;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
			  0600);
	strcpy(line, name);
	strcat(line, "\n");
	if (fd < 0 || syscall(SYS_write, fd, line, strlen(line)) < 0)
		_exit(99);
	syscall(SYS_close, fd);
}

#define WRAP(name, parameters, arguments)       \
	int __real_##name parameters;           \
	int __wrap_##name parameters;           \
	int __wrap_##name parameters            \
	{                                       \
		tell(#name);                    \
		return __real_##name arguments; \
	}
FUNCTIONS(WRAP)

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	/* By which vcpus come out of the guest. */
	if (request != KVM_RUN)
		tell("ioctl");
	return __real_ioctl(fd, request, arg);
}

struct vm;
void __real_vm_request_stop(struct vm *vm, int stop, int status, int vcpu);
void __wrap_vm_request_stop(struct vm *vm, int stop, int status, int vcpu);
void __wrap_vm_request_stop(struct vm *vm, int stop, int status, int vcpu)
{
	atomic_store(&asked, true);
	__real_vm_request_stop(vm, stop, status, vcpu);
}

/* The main thread's first step after its loop. */
void __real_vm_park(struct vm *vm);
void __wrap_vm_park(struct vm *vm);
void __wrap_vm_park(struct vm *vm)
{
	atomic_store(&ended, true);
	__real_vm_park(vm);
}
