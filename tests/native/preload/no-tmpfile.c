/* SPDX-License-Identifier: MIT */
/* Preloaded into lkvm: no file system can make files without a name, as some cannot. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

static int make(const char *function, const char *path, int flags, mode_t mode)
{
	int (*next)(const char *, int, mode_t) =
		(int (*)(const char *, int, mode_t))dlsym(RTLD_NEXT, function);

	if ((flags & O_TMPFILE) != O_TMPFILE)
		return next(path, flags, mode);
	errno = EOPNOTSUPP;
	return -1;
}

int open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	return make("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	return make("open64", path, flags, mode);
}
