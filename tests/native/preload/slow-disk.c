/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into lkvm by a test: each write to and each flush of file $SLOW_DISK says "begun" in
 * file $SLOW_LOG and then waits for a byte from FIFO $SLOW_GATE. An "x" means that the device has
 * gone: that write fails, and so do all that come later, at once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int log_fd = -1, gate_fd = -1;
static struct stat disk;
static atomic_bool gone;

/* The first line tells that preloading works: it does not with a static binary. */
__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("SLOW_DISK"), *log = getenv("SLOW_LOG"),
		   *gate = getenv("SLOW_GATE");

	if (!path || !log || !gate || stat(path, &disk))
		return;
	log_fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	/* For writing too: it never ends. */
	gate_fd = open(gate, O_RDWR | O_CLOEXEC);
	if (log_fd < 0 || write(log_fd, "loaded\n", 7) != 7)
		_exit(99);
}

static int is_slow(int fd)
{
	struct stat st;

	return log_fd >= 0 && !fstat(fd, &st) && st.st_ino == disk.st_ino &&
	       st.st_dev == disk.st_dev;
}

/* False: the device has gone. */
static bool pass(int fd)
{
	char c = 0;

	if (!is_slow(fd))
		return true;
	if (write(log_fd, "begun\n", 6) != 6)
		_exit(99);
	while (!gone && read(gate_fd, &c, 1) != 1)
		;
	if (c == 'x')
		gone = true;
	if (gone)
		errno = ENODEV;
	return !gone;
}

static void *real(const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name);

	if (!fn)
		_exit(99);
	return fn;
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	static ssize_t (*next)(int, const struct iovec *, int, off_t);

	if (!next)
		*(void **)&next = real("pwritev");
	return pass(fd) ? next(fd, iov, count, offset) : -1;
}

/* With RWF_NOWAIT: it would wait. */
ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	static ssize_t (*next)(int, const struct iovec *, int, off_t, int);

	if (!next)
		*(void **)&next = real("pwritev2");
	if (is_slow(fd)) {
		errno = EAGAIN;
		return -1;
	}
	return next(fd, iov, count, offset, flags);
}

int fdatasync(int fd)
{
	static int (*next)(int);

	if (!next)
		*(void **)&next = real("fdatasync");
	return pass(fd) ? next(fd) : -1;
}
