/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into lkvm by a test: the $CRASH_AT-th change of file $CRASH_DISK (a write, a hole, a
 * flush) is the last; of a long write the first half is done. With $CRASH_POWER the power fails,
 * not lkvm: of what was written since the last flush each change is lost or not, by chance.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct change {
	struct change *before;
	off_t offset;
	size_t len;
	char old[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct change *unsafe; /* the last first */
static struct stat disk;
static long left;
static int power;

static void *real(const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name);

	if (!fn)
		_exit(99);
	return fn;
}

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fdatasync)(int);
static int (*real_fallocate)(int, int, off_t, off_t);

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("CRASH_DISK"), *at = getenv("CRASH_AT");

	*(void **)&real_pwrite = real("pwrite");
	*(void **)&real_pwritev = real("pwritev");
	*(void **)&real_fdatasync = real("fdatasync");
	*(void **)&real_fallocate = real("fallocate");
	if (!path || !at || stat(path, &disk))
		return;
	left = atol(at);
	power = getenv("CRASH_POWER") != NULL;
	srandom((unsigned int)left);
}

static int is_disk(int fd)
{
	struct stat st;

	return left && !fstat(fd, &st) && st.st_ino == disk.st_ino && st.st_dev == disk.st_dev;
}

static void crash(int fd)
{
	for (struct change *c = unsafe; power && c; c = c->before)
		if (random() & 1 && real_pwrite(fd, c->old, c->len, c->offset) < 0)
			_exit(99);
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* Under the lock: what a change of [offset, offset+len) would have to undo. */
static void note(int fd, off_t offset, size_t len)
{
	struct change *c;

	if (!power)
		return;
	c = calloc(1, sizeof(*c) + len);
	if (!c || pread(fd, c->old, len, offset) < 0)
		_exit(99);
	c->offset = offset;
	c->len = len;
	c->before = unsafe;
	unsafe = c;
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	ssize_t n;

	if (!is_disk(fd))
		return real_pwrite(fd, buf, len, offset);
	pthread_mutex_lock(&lock);
	note(fd, offset, len);
	if (!--left) {
		if (len > 512 && real_pwrite(fd, buf, len / 2, offset) < 0)
			_exit(99);
		crash(fd);
	}
	n = real_pwrite(fd, buf, len, offset);
	pthread_mutex_unlock(&lock);
	return n;
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	size_t len = 0;
	ssize_t n;

	if (!is_disk(fd))
		return real_pwritev(fd, iov, count, offset);
	for (int i = 0; i < count; i++)
		len += iov[i].iov_len;
	pthread_mutex_lock(&lock);
	note(fd, offset, len);
	if (!--left)
		crash(fd);
	n = real_pwritev(fd, iov, count, offset);
	pthread_mutex_unlock(&lock);
	return n;
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	int ret;

	if (!is_disk(fd))
		return real_fallocate(fd, mode, offset, len);
	pthread_mutex_lock(&lock);
	if (mode)
		note(fd, offset, (size_t)len);
	if (!--left)
		crash(fd);
	ret = real_fallocate(fd, mode, offset, len);
	pthread_mutex_unlock(&lock);
	return ret;
}

int fdatasync(int fd)
{
	int ret;

	if (!is_disk(fd))
		return real_fdatasync(fd);
	pthread_mutex_lock(&lock);
	if (!--left)
		crash(fd);
	/* Nothing is lost but by the test's will: the host's own flush is not needed. */
	ret = 0;
	while (unsafe) {
		struct change *c = unsafe;

		unsafe = c->before;
		free(c);
	}
	pthread_mutex_unlock(&lock);
	return ret;
}
