/* SPDX-License-Identifier: MIT */
/* Whole reads and writes, and the clock. */
#include <time.h>
#include <unistd.h>

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

u64 now_ns(void)
{
	struct timespec ts;

	/* Cannot fail: the clock exists and the pointer is good (clock_gettime(2)). */
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ULL + (u64)ts.tv_nsec;
}
