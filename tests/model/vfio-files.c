/* SPDX-License-Identifier: MIT */
/* What the C library is asked to do with VFIO's descriptors and with files of its tree. */
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "model-files.h"
#include "vfio.h"

const char *model_path(const char *path, char *buf)
{
	return vfio_settings.on ? vtree_path(path, buf) : path;
}

const char *model_host_path(const char *path)
{
	return vtree_strip(path);
}

/* A file of the tree that is open for writing: what is written has its effect. */
void model_opened(int fd)
{
	char link[64], path[PATH_MAX];
	long n;

	if (!vfio_settings.on || fd < 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, -100, link, path, sizeof(path) - 1);
	if (n <= 0)
		return;
	path[n] = 0;
	if (vtree_strip(path) && !strncmp(vtree_strip(path), "/sys/", 5))
		model_register(fd, MODEL_VFIO_SYSFS);
}

static ssize_t write_sysfs(int fd, const void *buf, size_t len)
{
	char link[64], path[PATH_MAX], text[128];
	long n, ret;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, -100, link, path, sizeof(path) - 1);
	if (n <= 0)
		return -EIO;
	path[n] = 0;
	snprintf(text, sizeof(text), "%.*s", (int)(len < 100 ? len : 100), (const char *)buf);
	ret = vtree_write(vtree_strip(path), text);
	return ret ? ret : (ssize_t)len;
}

ssize_t model_write_file(int fd, const void *buf, size_t len)
{
	struct model_file *f = model_file(fd);
	ssize_t ret = MODEL_PASS;

	if (!vfio_settings.on || f->type < MODEL_VFIO_SYSFS)
		return MODEL_PASS;
	pthread_mutex_lock(&model_lock);
	model_report_open();
	if (f->type == MODEL_VFIO_SYSFS)
		ret = write_sysfs(fd, buf, len);
	pthread_mutex_unlock(&model_lock);
	return ret;
}

ssize_t model_read_file(int fd)
{
	struct model_file *f = model_file(fd);
	ssize_t ret;

	if (!vfio_settings.on || f->type != MODEL_VFIO_DATA)
		return MODEL_PASS;
	pthread_mutex_lock(&model_lock);
	ret = vmig_may_read(f, fd);
	pthread_mutex_unlock(&model_lock);
	return ret ? ret : MODEL_PASS;
}

ssize_t model_pread(int fd, void *buf, size_t len, u64 offset)
{
	struct model_file *f = model_file(fd);
	ssize_t ret;

	if (f->type != MODEL_VFIO_DEVICE)
		return MODEL_PASS;
	pthread_mutex_lock(&model_lock);
	ret = vdev_read(f->vfio, buf, len, offset);
	pthread_mutex_unlock(&model_lock);
	return ret;
}

ssize_t model_pwrite(int fd, const void *buf, size_t len, u64 offset)
{
	struct model_file *f = model_file(fd);
	ssize_t ret;

	if (f->type != MODEL_VFIO_DEVICE)
		return MODEL_PASS;
	pthread_mutex_lock(&model_lock);
	ret = vdev_write(f->vfio, buf, len, offset);
	pthread_mutex_unlock(&model_lock);
	return ret;
}

bool model_mmap(void **out, void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	struct model_file *f = model_file(fd);

	if (f->type != MODEL_VFIO_DEVICE)
		return false;
	pthread_mutex_lock(&model_lock);
	*out = vdev_mmap(f->vfio, at, len, prot, flags, (u64)offset);
	pthread_mutex_unlock(&model_lock);
	return true;
}

void model_unmapped(const void *at, size_t len)
{
	if (!vfio_settings.on)
		return;
	pthread_mutex_lock(&model_lock);
	vspace_unmapped((u64)(uintptr_t)at, len);
	pthread_mutex_unlock(&model_lock);
}
