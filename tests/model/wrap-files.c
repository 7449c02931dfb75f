/* SPDX-License-Identifier: MIT */
/* The calls of the C library about names and bytes of files, which only VFIO's tree and devices
 * need (vfio-files.c). */
/* All else of the library is hidden. */
#pragma GCC visibility push(default)
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "model-files.h"
#include "model.h"

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Fortified callers; no header declares them. */
ssize_t __pread_chk(int fd, void *buf, size_t len, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t len, off_t offset, size_t room);
ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);
ssize_t __readlink_chk(const char *path, char *buf, size_t len, size_t room);
ssize_t __readlinkat_chk(int dir, const char *path, char *buf, size_t len, size_t room);
char *__realpath_chk(const char *path, char *out, size_t room);

static ssize_t answer(ssize_t ret)
{
	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

DIR *opendir(const char *path)
{
	char buf[PATH_MAX];

	return REAL(opendir)(model_path(path, buf));
}

int lstat(const char *path, struct stat *st)
{
	char buf[PATH_MAX];

	return REAL(lstat)(model_path(path, buf), st);
}

int lstat64(const char *path, struct stat64 *st)
{
	return lstat(path, (struct stat *)st);
}

int fstatat(int dir, const char *path, struct stat *st, int flags)
{
	char buf[PATH_MAX];

	return REAL(fstatat)(dir, model_path(path, buf), st, flags);
}

int fstatat64(int dir, const char *path, struct stat64 *st, int flags)
{
	return fstatat(dir, path, (struct stat *)st, flags);
}

int faccessat(int dir, const char *path, int mode, int flags)
{
	char buf[PATH_MAX];

	return REAL(faccessat)(dir, model_path(path, buf), mode, flags);
}

ssize_t readlinkat(int dir, const char *path, char *out, size_t len)
{
	char buf[PATH_MAX];

	return syscall(SYS_readlinkat, dir, model_path(path, buf), out, len);
}

ssize_t readlink(const char *path, char *out, size_t len)
{
	return readlinkat(AT_FDCWD, path, out, len);
}

ssize_t __readlink_chk(const char *path, char *out, size_t len, size_t room)
{
	return readlinkat(AT_FDCWD, path, out, len);
}

ssize_t __readlinkat_chk(int dir, const char *path, char *out, size_t len, size_t room)
{
	return readlinkat(dir, path, out, len);
}

/* Where the tree is must not be seen. */
char *realpath(const char *path, char *out)
{
	char buf[PATH_MAX];
	char *(*real)(const char *, char *) = dlvsym(RTLD_NEXT, "realpath", "GLIBC_2.3");
	char *found = (real ? real : REAL(realpath))(model_path(path, buf), out);
	const char *host = found ? model_host_path(found) : NULL;

	if (host)
		memmove(found, host, strlen(host) + 1);
	return found;
}

char *__realpath_chk(const char *path, char *out, size_t room)
{
	return realpath(path, out);
}

ssize_t write(int fd, const void *buf, size_t len)
{
	ssize_t ret = model_write_file(fd, buf, len);

	return ret == MODEL_PASS ? syscall(SYS_write, fd, buf, len) : answer(ret);
}

ssize_t read(int fd, void *buf, size_t len)
{
	ssize_t ret = model_read_file(fd);

	return ret == MODEL_PASS ? syscall(SYS_read, fd, buf, len) : answer(ret);
}

ssize_t __read_chk(int fd, void *buf, size_t len, size_t room)
{
	return read(fd, buf, len);
}

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	ssize_t ret = model_pread(fd, buf, len, (u64)offset);

	return ret == MODEL_PASS ? syscall(SYS_pread64, fd, buf, len, offset) : answer(ret);
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t offset)
{
	return pread(fd, buf, len, offset);
}

ssize_t __pread_chk(int fd, void *buf, size_t len, off_t offset, size_t room)
{
	return pread(fd, buf, len, offset);
}

ssize_t __pread64_chk(int fd, void *buf, size_t len, off_t offset, size_t room)
{
	return pread(fd, buf, len, offset);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	ssize_t ret = model_pwrite(fd, buf, len, (u64)offset);

	return ret == MODEL_PASS ? syscall(SYS_pwrite64, fd, buf, len, offset) : answer(ret);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	return pwrite(fd, buf, len, offset);
}

int munmap(void *at, size_t len)
{
	model_unmapped(at, len);
	return (int)syscall(SYS_munmap, at, len);
}
