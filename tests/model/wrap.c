/* SPDX-License-Identifier: MIT */
/* The calls of the C library that the model stands in front of. */
/* All else of the library is hidden. */
#pragma GCC visibility push(default)
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "model-files.h"
#include "model.h"

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Fortified callers; no header declares them. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

int model_libc_open(const char *path, int flags)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0666);
}

long model_libc_ioctl(int fd, unsigned long request, unsigned long arg)
{
	long ret = syscall(SYS_ioctl, fd, request, arg);

	return ret < 0 ? -errno : ret;
}

int model_libc_close(int fd)
{
	return (int)syscall(SYS_close, fd);
}

void *model_libc_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	return REAL(mmap)(at, len, prot, flags, fd, offset);
}

static int answer(long ret)
{
	if (ret >= 0)
		return (int)ret;
	errno = (int)-ret;
	return -1;
}

static int open_any(int dir, const char *path, int flags, mode_t mode)
{
	long fd = model_open(path, flags);
	char buf[PATH_MAX];

	if (fd != MODEL_PASS)
		return answer(fd);
	fd = syscall(SYS_openat, dir, model_path(path, buf), flags, mode);
	if (flags & (O_WRONLY | O_RDWR))
		model_opened((int)fd);
	return (int)fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define OPEN(name)                                            \
	int name(const char *path, int flags, ...)            \
	{                                                     \
		va_list ap;                                   \
		mode_t mode;                                  \
		va_start(ap, flags);                          \
		mode = mode_of(flags, ap);                    \
		va_end(ap);                                   \
		return open_any(AT_FDCWD, path, flags, mode); \
	}
#define OPENAT(name)                                        \
	int name(int dir, const char *path, int flags, ...) \
	{                                                   \
		va_list ap;                                 \
		mode_t mode;                                \
		va_start(ap, flags);                        \
		mode = mode_of(flags, ap);                  \
		va_end(ap);                                 \
		return open_any(dir, path, flags, mode);    \
	}
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int __open_2(const char *path, int flags)
{
	return open_any(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
	return open_any(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir, const char *path, int flags)
{
	return open_any(dir, path, flags, 0);
}

int __openat64_2(int dir, const char *path, int flags)
{
	return open_any(dir, path, flags, 0);
}

FILE *fopen(const char *path, const char *mode)
{
	long fd = model_open(path, O_RDONLY | O_CLOEXEC);
	char buf[PATH_MAX];

	if (fd == MODEL_PASS)
		return REAL(fopen)(model_path(path, buf), mode);
	return answer(fd) < 0 ? NULL : fdopen((int)fd, "r");
}

FILE *fopen64(const char *path, const char *mode)
{
	return fopen(path, mode);
}

int access(const char *path, int mode)
{
	long known = model_exists(path);
	char buf[PATH_MAX];

	return known == MODEL_PASS ? REAL(access)(model_path(path, buf), mode) : answer(known);
}

/* Only whether it is there: nobody looks at more of such a file. */
int stat(const char *path, struct stat *st)
{
	long known = model_exists(path);
	char buf[PATH_MAX];

	if (known == MODEL_PASS)
		return REAL(stat)(model_path(path, buf), st);
	return known ? answer(known) : REAL(stat)("/dev/null", st);
}

int stat64(const char *path, struct stat64 *st)
{
	return stat(path, (struct stat *)st);
}

int ioctl(int fd, unsigned long request, ...)
{
	unsigned long arg;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	return answer(model_ioctl(fd, request, arg));
}

int close(int fd)
{
	model_close(fd);
	return model_libc_close(fd);
}

int fcntl(int fd, int command, ...)
{
	unsigned long arg;
	va_list ap;
	long ret;

	va_start(ap, command);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	ret = syscall(SYS_fcntl, fd, command, arg);
	if (ret >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC))
		model_dup(fd, (int)ret);
	return (int)ret;
}

int fcntl64(int fd, int command, ...)
{
	unsigned long arg;
	va_list ap;

	va_start(ap, command);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	return fcntl(fd, command, arg);
}

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	long ret = fd >= 0 ? model_may_map(fd, flags) : 0;
	void *p;

	if (!ret && fd >= 0 && model_mmap(&p, at, len, prot, flags, fd, offset))
		return p;
	if (ret) {
		errno = (int)-ret;
		return MAP_FAILED;
	}
	return REAL(mmap)(at, len, prot, flags, fd, offset);
}

void *mmap64(void *at, size_t len, int prot, int flags, int fd, off64_t offset)
{
	return mmap(at, len, prot, flags, fd, offset);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	long ret = model_may_allocate(fd, mode, (u64)offset, (u64)len);

	return ret ? answer(ret) : REAL(fallocate)(fd, mode, offset, len);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	return fallocate(fd, mode, offset, len);
}

/* A broken rule is the status, whatever lkvm thought of it. */
static int status_of(int status)
{
	if (!model.kind)
		return status;
	model_report_end();
	return model_is_broken() ? MODEL_STATUS : status;
}

void _exit(int status)
{
	syscall(SYS_exit_group, status_of(status));
	__builtin_unreachable();
}

void _Exit(int status)
{
	_exit(status);
}

/* After main has returned, and everything that it registered has run. */
__attribute__((destructor)) static void end(void)
{
	if (!model.kind)
		return;
	model_report_end();
	if (!model_is_broken())
		return;
	fflush(NULL);
	syscall(SYS_exit_group, MODEL_STATUS);
}
