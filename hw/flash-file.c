/* SPDX-License-Identifier: MIT */
/* The image behind a flash: opened before there is a VM, or only measured for a description. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/access.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/magic.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

static int open_failed(const char *path, int error)
{
	char why[ACCESS_WHY_LEN];

	if (error == -EACCES || error == -EPERM)
		err("--flash %s: cannot open: %s; %s", path, strerror(-error),
		    access_why("", NULL, path, R_OK, -error, why, sizeof(why)));
	else
		err("--flash %s: cannot open: %s%s", path, strerror(-error),
		    error == -ENOENT ? "; make one with: truncate -s 16M FILE" : limit_hint(error));
	return error;
}

/* Its contents are the chip's: what is in another format would be destroyed by the guest. */
static int check_format(const struct flash_file *file, u64 size)
{
	const struct file_magic *m = magic_find_fd(file->fd, size);

	if (!m || (m->kind != MAGIC_DISK && m->kind != MAGIC_PACKED))
		return 0;
	err("--flash %s: is in the format of %s, not a raw image; make it one with: %s", file->path,
	    m->name, m->tool);
	return -EINVAL;
}

static int open_file(struct flash_file *file)
{
	/* O_NONBLOCK: a FIFO is refused below instead of waited for. */
	file->fd = open(file->path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM)) {
		file->readonly = true;
		file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (file->fd >= 0)
			warn("--flash %s: is read-only; the guest's writes are refused",
			     file->path);
	}
	if (file->fd < 0)
		return open_failed(file->path, -errno);
	/* Where there are no locks, the user's images are the user's business. */
	if (lock_file(file->fd, !file->readonly) == -EBUSY) {
		err("--flash %s: locked by another process; give each VM a file of its own",
		    file->path);
		return -EBUSY;
	}
	return 0;
}

static int take_size(struct flash_file *file, const struct stat *st, u64 max)
{
	char size[32], limit[32];

	if (!S_ISREG(st->st_mode)) {
		err("--flash %s: is not a regular file", file->path);
		return -EINVAL;
	}
	file->size = (u64)st->st_size;
	format_size(file->size, size, sizeof(size));
	format_size(max, limit, sizeof(limit));
	if (!file->size || file->size % FLASH_BLOCK_SIZE) {
		err("--flash %s: its size, %s, is not a multiple of the block size, 64K; extend it "
		    "with: truncate -s %s FILE",
		    file->path, size, file->size ? "%64K" : limit);
		return -EINVAL;
	}
	if (file->size > max) {
		err("--flash %s: %s is too large; the maximum is %s", file->path, size, limit);
		return -EFBIG;
	}
	/* A chip's size can only be told as a power of two; the rest stays unseen, as in kvmtool.
	 */
	file->size = 1ULL << (63 - __builtin_clzll(file->size));
	if (file->size != (u64)st->st_size)
		info("--flash %s: the guest sees the first %s of %s, a power of two", file->path,
		     format_size(file->size, limit, sizeof(limit)), size);
	return 0;
}

int flash_file_open(struct flash_file *file, const char *path, u64 max)
{
	struct stat st;
	int ret;

	*file = (struct flash_file){ .path = path, .fd = -1 };
	ret = open_file(file);
	if (!ret && fstat(file->fd, &st) < 0)
		ret = open_failed(path, -errno);
	if (!ret)
		ret = check_format(file, (u64)st.st_size);
	if (!ret)
		ret = take_size(file, &st, max);
	if (ret)
		flash_file_close(file);
	return ret;
}

int flash_file_measure(struct flash_file *file, const char *path, u64 max)
{
	struct stat st;
	int ret;

	*file = (struct flash_file){ .path = path, .fd = -1 };
	ret = stat(path, &st) < 0 ? open_failed(path, -errno) : take_size(file, &st, max);
	if (ret)
		file->path = NULL;
	return ret;
}

void flash_file_close(struct flash_file *file)
{
	if (file->path && file->fd >= 0)
		close(file->fd);
	*file = (struct flash_file){ .fd = -1 };
}
