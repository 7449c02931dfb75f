/* SPDX-License-Identifier: MIT */
/*
 * Linked into lkvm by a test, with the linker's --wrap for each function below: the call that the
 * environment names fails, once, as the host may refuse it. INJECT=FUNCTION:N:ERRNO, or
 * INJECT=list, which only tells each call and, as a number, the place that it came from; either is
 * told in file $INJECT_LOG. With INJECT=count that file has records instead, of the calls of each
 * function since the guest began to run.
 */
#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

/* X(returned, value of a failure, name, parameters, arguments) */
#define FUNCTIONS(X)                                                                              \
	X(FILE *, NULL, fopen, (const char *p, const char *m), (p, m))                            \
	X(DIR *, NULL, opendir, (const char *p), (p))                                             \
	X(DIR *, NULL, fdopendir, (int fd), (fd))                                                 \
	X(FILE *, NULL, open_memstream, (char **p, size_t *n), (p, n))                            \
	X(ssize_t, -1, read, (int fd, void *p, size_t n), (fd, p, n))                             \
	X(ssize_t, -1, readv, (int fd, const struct iovec *v, int n), (fd, v, n))                 \
	X(ssize_t, -1, pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))              \
	X(ssize_t, -1, preadv, (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at))  \
	X(ssize_t, -1, preadv2, (int fd, const struct iovec *v, int n, off_t at, int how),        \
	  (fd, v, n, at, how))                                                                    \
	X(ssize_t, -1, write, (int fd, const void *p, size_t n), (fd, p, n))                      \
	X(ssize_t, -1, writev, (int fd, const struct iovec *v, int n), (fd, v, n))                \
	X(ssize_t, -1, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))       \
	X(ssize_t, -1, pwritev, (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at)) \
	X(ssize_t, -1, pwritev2, (int fd, const struct iovec *v, int n, off_t at, int how),       \
	  (fd, v, n, at, how))                                                                    \
	X(void *, MAP_FAILED, mmap, (void *p, size_t n, int prot, int how, int fd, off_t at),     \
	  (p, n, prot, how, fd, at))                                                              \
	X(int, -1, madvise, (void *p, size_t n, int what), (p, n, what))                          \
	X(int, -1, eventfd, (unsigned int n, int how), (n, how))                                  \
	X(int, -1, epoll_create1, (int how), (how))                                               \
	X(int, -1, epoll_ctl, (int ep, int op, int fd, struct epoll_event *e), (ep, op, fd, e))   \
	X(int, -1, signalfd, (int fd, const sigset_t *set, int how), (fd, set, how))              \
	X(void *, NULL, malloc, (size_t n), (n))                                                  \
	X(void *, NULL, calloc, (size_t n, size_t m), (n, m))                                     \
	X(void *, NULL, realloc, (void *p, size_t n), (p, n))                                     \
	X(void *, NULL, aligned_alloc, (size_t a, size_t n), (a, n))                              \
	X(char *, NULL, strdup, (const char *s), (s))                                             \
	X(int, -1, fstat, (int fd, struct stat *st), (fd, st))                                    \
	X(int, -1, stat, (const char *p, struct stat *st), (p, st))                               \
	X(int, -1, ftruncate, (int fd, off_t n), (fd, n))                                         \
	X(int, -1, fallocate, (int fd, int how, off_t at, off_t n), (fd, how, at, n))             \
	X(int, -1, memfd_create, (const char *name, unsigned int how), (name, how))               \
	X(int, -1, pipe2, (int fds[2], int how), (fds, how))                                      \
	X(int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol))        \
	X(ssize_t, -1, getrandom, (void *p, size_t n, unsigned int how), (p, n, how))             \
	X(int, -1, mkostemp, (char *p, int how), (p, how))                                        \
	X(int, -1, rename, (const char *from, const char *to), (from, to))                        \
	X(int, -1, fdatasync, (int fd), (fd))                                                     \
	X(int, -1, setrlimit, (__rlimit_resource_t what, const struct rlimit *l), (what, l))      \
	X(int, -1, sigaction, (int n, const struct sigaction *new, struct sigaction *old),        \
	  (n, new, old))                                                                          \
	X(int, -1, tcgetattr, (int fd, struct termios *t), (fd, t))

enum {
#define NUMBER(type, bad, name, parameters, arguments) FN_##name,
	FUNCTIONS(NUMBER) FN_open,
	FN_openat,
	FN_fcntl,
	FN_ioctl,
	FN_KVM_RUN, /* an ioctl that is told apart */
	FN_pthread_create,
	FN_epoll_wait, /* counted alone */
	NR_FUNCTIONS
};

static const char *const names[] = {
#define NAME(type, bad, name, parameters, arguments) [FN_##name] = #name,
	FUNCTIONS(NAME)[FN_open] = "open",
	[FN_openat] = "openat",
	[FN_fcntl] = "fcntl",
	[FN_ioctl] = "ioctl",
	[FN_KVM_RUN] = "KVM_RUN",
	[FN_pthread_create] = "pthread_create",
	[FN_epoll_wait] = "epoll_wait",
};

static atomic_ulong calls[NR_FUNCTIONS];
/* Of INJECT=count: a mapped file, so that it does not matter how lkvm ends. */
static struct record {
	char name[24];
	atomic_ulong n;
} * records;
static atomic_bool runs; /* the guest */
static bool lists;
static const char *log_path;
static int victim = -1, error;
static unsigned long nth;

static void tell(const char *name, unsigned long n, unsigned long detail)
{
	char line[128];
	int len = snprintf(line, sizeof(line), "%s %lu %#lx %s\n", name, n, detail,
			   atomic_load(&runs) ? "running" : "starting");
	/* Not through what is wrapped; and lkvm closes what it did not open. */
	int fd = (int)syscall(SYS_openat, AT_FDCWD, log_path,
			      O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || syscall(SYS_write, fd, line, (size_t)len) != len)
		_exit(99);
	syscall(SYS_close, fd);
}

/* By whom lkvm's functions were called on the way here, the same in each run. */
static unsigned long place(void)
{
	extern const char __executable_start, etext;
	uintptr_t start = (uintptr_t)&__executable_start, end = (uintptr_t)&etext;
	void *frames[32];
	unsigned long hash = 0;
	int n = backtrace(frames, 32);

	for (int i = 0; i < n; i++)
		if ((uintptr_t)frames[i] - start < end - start)
			hash = hash * 31 + ((uintptr_t)frames[i] - start);
	return hash;
}

static void make_records(void)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, log_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	size_t size = NR_FUNCTIONS * sizeof(*records);
	long p;

	if (fd < 0 || syscall(SYS_ftruncate, fd, size) < 0)
		_exit(99);
	p = syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == -1)
		_exit(99);
	syscall(SYS_close, fd);
	records = (struct record *)p;
	for (int i = 0; i < NR_FUNCTIONS; i++)
		snprintf(records[i].name, sizeof(records[i].name), "%s", names[i]);
}

static void count(int fn)
{
	if (records && atomic_load(&runs))
		atomic_fetch_add(&records[fn].n, 1);
}

__attribute__((constructor)) static void begin(void)
{
	const char *what = getenv("INJECT"), *log = getenv("INJECT_LOG");
	char name[32];

	if (!what || !log)
		return;
	log_path = log;
	lists = !strcmp(what, "list");
	if (lists)
		return;
	if (!strcmp(what, "count")) {
		make_records();
		return;
	}
	if (sscanf(what, "%31[a-zA-Z_0-9]:%lu:%d", name, &nth, &error) != 3)
		_exit(99);
	for (victim = 0; victim < NR_FUNCTIONS && strcmp(names[victim], name);)
		victim++;
}

static bool fails(int fn, unsigned long detail)
{
	unsigned long n = 1 + atomic_fetch_add(&calls[fn], 1);

	count(fn);
	if (lists)
		tell(names[fn], n, place());
	if (fn != victim || n != nth)
		return false;
	tell(names[fn], n, detail);
	errno = error;
	return true;
}

#define WRAP(type, bad, name, parameters, arguments)                          \
	type __real_##name parameters;                                        \
	type __wrap_##name parameters;                                        \
	type __wrap_##name parameters                                         \
	{                                                                     \
		return fails(FN_##name, 0) ? (bad) : __real_##name arguments; \
	}
FUNCTIONS(WRAP)

/* Those that take what they like. */

int __real_open(const char *path, int how, ...);
int __wrap_open(const char *path, int how, ...);
int __wrap_open(const char *path, int how, ...)
{
	va_list ap;
	int mode;

	va_start(ap, how);
	mode = va_arg(ap, int);
	va_end(ap);
	return fails(FN_open, 0) ? -1 : __real_open(path, how, mode);
}

int __real_openat(int at, const char *path, int how, ...);
int __wrap_openat(int at, const char *path, int how, ...);
int __wrap_openat(int at, const char *path, int how, ...)
{
	va_list ap;
	int mode;

	va_start(ap, how);
	mode = va_arg(ap, int);
	va_end(ap);
	return fails(FN_openat, 0) ? -1 : __real_openat(at, path, how, mode);
}

int __real_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, what);
	arg = va_arg(ap, void *);
	va_end(ap);
	return fails(FN_fcntl, (unsigned long)what) ? -1 : __real_fcntl(fd, what, arg);
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == KVM_RUN)
		atomic_store(&runs, true);
	return fails(request == KVM_RUN ? FN_KVM_RUN : FN_ioctl, request)
		       ? -1
		       : __real_ioctl(fd, request, arg);
}

int __real_epoll_wait(int ep, struct epoll_event *e, int max, int ms);
int __wrap_epoll_wait(int ep, struct epoll_event *e, int max, int ms);
int __wrap_epoll_wait(int ep, struct epoll_event *e, int max, int ms)
{
	count(FN_epoll_wait);
	return __real_epoll_wait(ep, e, max, ms);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	return fails(FN_pthread_create, 0) ? error : __real_pthread_create(thread, attr, fn, arg);
}
