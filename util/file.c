/* SPDX-License-Identifier: MIT */
/* Files that are there whole or not at all, and files that are locked. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/util.h"

#define NEW_FILE_MODE 0666 /* less the umask, as any program's files */

static int write_through(const char *path, const void *buf, size_t len)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write_full(fd, buf, len);
	if (close(fd) && !ret)
		ret = -errno;
	return ret;
}

static int fill(int fd, const void *buf, size_t len)
{
	int ret = write_full(fd, buf, len);
	mode_t mask = umask(0);

	umask(mask);
	if (!ret && fchmod(fd, NEW_FILE_MODE & ~mask))
		ret = -errno;
	return ret;
}

int write_file(const char *path, const void *buf, size_t len)
{
	struct stat st;
	char *name;
	int fd, ret;

	/* A link stays one: /dev/stdout too, when standard output is a file. */
	if (!lstat(path, &st) && !S_ISREG(st.st_mode))
		return write_through(path, buf, len);
	/* In the same folder: a rename does not leave its file system. */
	name = xasprintf("%s.XXXXXX", path);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0) {
		ret = -errno;
		free(name);
		return ret;
	}
	ret = fill(fd, buf, len);
	if (close(fd) && !ret)
		ret = -errno;
	if (!ret && rename(name, path))
		ret = -errno;
	if (ret)
		unlink(name);
	free(name);
	return ret;
}

/* Linux without CONFIG_FILE_LOCKING refuses every lock by EACCES, and to look at one by EINVAL. */
static bool is_held(int fd, struct flock lock)
{
	return !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
}

static int lock_range(int fd, struct flock lock)
{
	int error;

	if (!fcntl(fd, F_OFD_SETLK, &lock))
		return 0;
	error = errno;
	if (error == EAGAIN || (error == EACCES && is_held(fd, lock)))
		return -EBUSY;
	return -error;
}

static struct flock file_lock(bool exclusive, off_t start, off_t len)
{
	return (struct flock){
		.l_type = exclusive ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = len,
	};
}

int lock_file(int fd, bool exclusive)
{
	return lock_range(fd, file_lock(exclusive, 0, 0));
}

int lock_byte(int fd, off_t byte, bool exclusive)
{
	return lock_range(fd, file_lock(exclusive, byte, 1));
}

bool lock_is_taken(int fd, off_t byte)
{
	return is_held(fd, file_lock(true, byte, 1));
}
