/* SPDX-License-Identifier: MIT */
/* Raw disks: a regular file or a block device, used in place; its geometry and its table. */
#include "raw.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/scan.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "threads.h"

#define SECTOR 512u

static const struct disk_blocking_ops raw_blocking_ops = {
	.room_create = raw_room_create,
	.room_destroy = raw_room_destroy,
	.serve = raw_serve,
	.serve_now = raw_serve_now,
};

static int raw_queue_open(struct disk *disk, struct event_loop *loop, unsigned int depth,
			  struct disk_queue **out)
{
	return disk_threads_open(disk, &raw_blocking_ops, loop, depth, out);
}

static void raw_close(struct disk *disk)
{
	struct raw_disk *raw = to_raw(disk);

	close(raw->fd);
	pthread_rwlock_destroy(&raw->blocks);
	pthread_mutex_destroy(&raw->turn);
	free(raw);
}

static const struct disk_ops raw_ops = {
	.queue_open = raw_queue_open,
	.close = raw_close,
};

/* A number that sysfs has for block device @dev, or 0. A partition has no queue of its own. */
static u64 queue_limit(dev_t dev, const char *name)
{
	char path[96];
	s64 value;
	int ret;

	for (unsigned int up = 0; up < 2; up++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/%s", major(dev),
			 minor(dev), up ? "../" : "", name);
		ret = read_number(path, &value);
		if (!ret && value > 0)
			return (u64)value;
		if (ret != -ENOENT)
			break;
	}
	return 0;
}

/* The discard granularity of block device @dev, or 0. */
static u32 device_discard(dev_t dev)
{
	u64 granularity = queue_limit(dev, "discard_granularity");

	if (!queue_limit(dev, "discard_max_bytes") || granularity > GiB)
		return 0;
	return MAX((u32)granularity, SECTOR);
}

static int describe_blockdev(struct raw_disk *raw, const struct stat *st)
{
	unsigned int phys = 0;
	u64 size = 0;
	int logical = 0;

	if (ioctl(raw->fd, BLKGETSIZE64, &size) < 0 || ioctl(raw->fd, BLKSSZGET, &logical) < 0)
		return -errno;
	if (ioctl(raw->fd, BLKPBSZGET, &phys) < 0)
		phys = (unsigned int)logical;
	raw->disk.size = size;
	raw->disk.block_size = (u32)logical;
	raw->disk.phys_block = phys;
	if (!raw->disk.readonly)
		raw->disk.min_discard = device_discard(st->st_rdev);
	return 0;
}

/*
 * Nothing is tried out on the file: even a hole behind its end would change its time, and make and
 * backups go by that. A file system that cannot punch holes says so at the first discard.
 */
static void describe_file(struct raw_disk *raw, const struct stat *st)
{
	raw->disk.size = (u64)st->st_size;
	raw->disk.block_size = SECTOR;
	raw->disk.phys_block = (u32)st->st_blksize;
	if (!raw->disk.readonly)
		raw->disk.min_discard = raw->disk.phys_block;
}

/* What O_DIRECT wants of buffers and offsets; 4096 satisfies everyone who does not say. */
static int prepare_direct(struct raw_disk *raw)
{
	u32 mem = 4096, offset = 4096;
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (!statx(raw->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) &&
	    (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_offset_align) {
		mem = stx.stx_dio_mem_align;
		offset = stx.stx_dio_offset_align;
		if (offset > RAW_BOUNCE || (offset & (offset - 1)) || (mem & (mem - 1)))
			return -EINVAL;
	}
#endif
	raw->offset_align = MAX(offset, SECTOR);
	raw->mem_align = MAX(mem, 1u);
	raw->disk.phys_block = MAX(raw->disk.phys_block, raw->offset_align);
	return 0;
}

/* Make what the kernel said sane. */
static int check_blocks(struct raw_disk *raw)
{
	struct disk *d = &raw->disk;

	if (d->block_size < SECTOR || d->block_size > 4096 ||
	    (d->block_size & (d->block_size - 1))) {
		err("--disk %s: has blocks of %u bytes; they must be 512 to 4096", d->path,
		    d->block_size);
		return -EINVAL;
	}
	if (d->phys_block < d->block_size || d->phys_block > 64 * KiB ||
	    (d->phys_block & (d->phys_block - 1)))
		d->phys_block = d->block_size;
	return 0;
}

/* Make the size a multiple of the block. */
static int check_size(struct raw_disk *raw)
{
	struct disk *d = &raw->disk;
	u64 unit, odd;

	/* O_DIRECT cannot write half a block at the end without making the file longer. */
	unit = MAX(d->block_size, raw->offset_align);
	odd = d->size % unit;
	if (d->size < unit) {
		err("--disk %s: %s; %s", d->path,
		    d->size ? "is smaller than one block" : "is empty",
		    raw->blockdev ? "does the device have a medium, or a file behind it?"
				  : "give it a size with: truncate -s 1G FILE");
		return -EINVAL;
	}
	if (odd)
		warn("--disk %s: %llu bytes is not a multiple of %llu; the guest does not see the "
		     "last %llu",
		     d->path, d->size, unit, odd);
	d->size -= odd;
	return 0;
}

/* @file: of whatever size, for a format that lies in it. */
static int create(const struct disk_config *cfg, int fd, const struct stat *st, bool file,
		  struct disk **out)
{
	struct raw_disk *raw = xcalloc(1, sizeof(*raw));
	int ret = 0;

	raw->disk.ops = &raw_ops;
	raw->disk.path = cfg->path;
	raw->disk.readonly = cfg->readonly;
	pthread_rwlock_init(&raw->blocks, NULL);
	pthread_mutex_init(&raw->turn, NULL);
	raw->fd = fd;
	raw->blockdev = S_ISBLK(st->st_mode);
	if (raw->blockdev)
		ret = describe_blockdev(raw, st);
	else
		describe_file(raw, st);
	if (!ret && cfg->direct)
		ret = prepare_direct(raw);
	if (ret) {
		err("--disk %s: cannot use it: %s%s", cfg->path, strerror(-ret), limit_hint(ret));
		goto fail;
	}
	ret = check_blocks(raw);
	if (!ret && !file)
		ret = check_size(raw);
	if (ret)
		goto fail;
	*out = &raw->disk;
	return 0;
fail:
	pthread_rwlock_destroy(&raw->blocks);
	pthread_mutex_destroy(&raw->turn);
	free(raw);
	return ret;
}

int raw_disk_create(const struct disk_config *cfg, int fd, const struct stat *st, struct disk **out)
{
	return create(cfg, fd, st, false, out);
}

int raw_file_create(const struct disk_config *cfg, int fd, const struct stat *st, struct disk **out)
{
	return create(cfg, fd, st, true, out);
}
