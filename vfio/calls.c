/* SPDX-License-Identifier: MIT */
/* The system's own calls, as VFIO's code makes them (see include/lkvm/vfio.h). */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lkvm/vfio.h"

static int host_open(void *opaque, const char *path, int flags)
{
	int fd;

	do
		fd = open(path, flags | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static void host_close(void *opaque, int fd)
{
	close(fd);
}

static int host_ioctl(void *opaque, int fd, unsigned long request, void *arg)
{
	int ret;

	do
		ret = ioctl(fd, request, arg);
	while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

static ssize_t host_pread(void *opaque, int fd, void *buf, size_t len, u64 offset)
{
	ssize_t n = pread(fd, buf, len, (off_t)offset);

	return n < 0 ? -errno : n;
}

static ssize_t host_pwrite(void *opaque, int fd, const void *buf, size_t len, u64 offset)
{
	ssize_t n = pwrite(fd, buf, len, (off_t)offset);

	return n < 0 ? -errno : n;
}

static ssize_t host_read(void *opaque, int fd, void *buf, size_t len)
{
	ssize_t n;

	do
		n = read(fd, buf, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t host_write(void *opaque, int fd, const void *buf, size_t len)
{
	ssize_t n;

	do
		n = write(fd, buf, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void *host_mmap(void *opaque, size_t len, int prot, int fd, u64 offset)
{
	void *p = mmap(NULL, len, prot, MAP_SHARED, fd, (off_t)offset);

	return p == MAP_FAILED ? NULL : p;
}

static void host_munmap(void *opaque, void *p, size_t len)
{
	munmap(p, len);
}

const struct vfio_calls vfio_host_calls = {
	.open = host_open,
	.close = host_close,
	.ioctl = host_ioctl,
	.pread = host_pread,
	.pwrite = host_pwrite,
	.read = host_read,
	.write = host_write,
	.mmap = host_mmap,
	.munmap = host_munmap,
};
