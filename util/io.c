/* SPDX-License-Identifier: MIT */
/* Whole reads and writes, eventfds, and the clock. */
#include <time.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"

/* At *@offset, which moves on, or at the file's own position when it is NULL. */
static int read_all(int fd, u8 *p, size_t len, off_t *offset)
{
	while (len) {
		ssize_t n = offset ? pread(fd, p, len, *offset) : read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -ENODATA;
		p += n;
		len -= (size_t)n;
		if (offset)
			*offset += n;
	}
	return 0;
}

static int write_all(int fd, const u8 *p, size_t len, off_t *offset)
{
	while (len) {
		ssize_t n = offset ? pwrite(fd, p, len, *offset) : write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -EIO; /* would never end */
		p += n;
		len -= (size_t)n;
		if (offset)
			*offset += n;
	}
	return 0;
}

int read_full(int fd, void *buf, size_t len)
{
	return read_all(fd, buf, len, NULL);
}

int write_full(int fd, const void *buf, size_t len)
{
	return write_all(fd, buf, len, NULL);
}

int pread_full(int fd, void *buf, size_t len, off_t offset)
{
	return read_all(fd, buf, len, &offset);
}

int pwrite_full(int fd, const void *buf, size_t len, off_t offset)
{
	return write_all(fd, buf, len, &offset);
}

void eventfd_raise(int fd)
{
	u64 one = 1;
	bool again = true;

	/*
	 * A full counter means that whoever reads it has something to read anyway. Of other errors
	 * eventfd(2) knows none but a signal's; one that comes all the same is not to be lost in
	 * silence, since whoever sleeps on the fd waits for ever.
	 */
	while (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
		if (errno != EINTR && !again) {
			guest_warn("cannot write to an eventfd: %s; what waits for it hangs",
				   strerror(errno));
			return;
		}
		again = again && errno == EINTR;
	}
}

void eventfd_drain(int fd)
{
	u64 count;
	ssize_t n __maybe_unused = read(fd, &count, sizeof(count));
}

u64 now_ns(void)
{
	struct timespec ts;

	/* Cannot fail: the clock exists and the pointer is good (clock_gettime(2)). */
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ULL + (u64)ts.tv_nsec;
}
