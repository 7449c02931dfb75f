/* SPDX-License-Identifier: MIT */
/*
 * Raw disks: a regular file or a block device read and written in place. O_DIRECT wants buffers,
 * offsets and lengths aligned; a request that is not goes through a bounce buffer, its first and
 * last block read, changed and written back.
 */
#include "raw.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define SECTOR 512u
#define BOUNCE (256 * KiB)
#define ZEROES (64 * KiB)

struct raw_disk {
	struct disk disk;
	int fd;
	bool blockdev;
	bool no_zero_range; /* the kernel refused once: do not ask again */
	u32 offset_align;   /* of O_DIRECT; 0: buffered */
	u32 mem_align;
	u8 *bounce; /* O_DIRECT: BOUNCE bytes, aligned */
	struct iovec rest[IOV_MAX];
};

static struct raw_disk *to_raw(struct disk *disk)
{
	return container_of(disk, struct raw_disk, disk);
}

typedef ssize_t (*rw_fn)(int fd, const struct iovec *iov, int count, off_t offset);

/* Drop @done bytes from the front of the list that @count and the result describe. */
static struct iovec *iov_advance(struct iovec *iov, int *count, size_t done)
{
	while (*count && done >= iov->iov_len) {
		done -= iov->iov_len;
		iov++;
		(*count)--;
	}
	if (*count) {
		iov->iov_base = (u8 *)iov->iov_base + done;
		iov->iov_len -= done;
	}
	return iov;
}

/* Whole transfers. The common case, one call, copies nothing. */
static int transfer(struct raw_disk *raw, rw_fn fn, const struct iovec *iov, int count, u64 offset)
{
	size_t left = iov_len(iov, (unsigned int)count);
	struct iovec *rest = NULL;

	while (left) {
		ssize_t n = fn(raw->fd, rest ? rest : iov, count, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -EIO; /* the file was cut short behind our back */
		left -= (size_t)n;
		if (!left)
			break;
		offset += (u64)n;
		if (!rest) {
			memcpy(raw->rest, iov, (size_t)count * sizeof(*iov));
			rest = raw->rest;
		}
		rest = iov_advance(rest, &count, (size_t)n);
	}
	return 0;
}

static bool aligned(const struct raw_disk *raw, const struct iovec *iov, int count, u64 offset)
{
	u64 all = offset;

	if (!raw->offset_align)
		return true;
	for (int i = 0; i < count; i++) {
		if (!IS_ALIGNED((uintptr_t)iov[i].iov_base, (uintptr_t)raw->mem_align))
			return false;
		all |= iov[i].iov_len;
	}
	return IS_ALIGNED(all, (u64)raw->offset_align);
}

static int bounce_io(struct raw_disk *raw, rw_fn fn, u64 offset, size_t len)
{
	struct iovec iov = { .iov_base = raw->bounce, .iov_len = len };

	return transfer(raw, fn, &iov, 1, offset);
}

/* One window of an unaligned request: [pos, pos+n) of the disk, which is @done bytes into @iov. */
static int bounce_window(struct raw_disk *raw, const struct iovec *iov, int count, bool write,
			 u64 pos, size_t n, size_t done)
{
	u64 align = raw->offset_align;
	u64 lo = ALIGN_DOWN(pos, align), hi = ALIGN_UP(pos + n, align);
	size_t head = (size_t)(pos - lo);
	int ret = 0;

	if (!write || head || hi != pos + n)
		ret = bounce_io(raw, preadv, lo, (size_t)(hi - lo));
	if (ret)
		return ret;
	if (!write) {
		iov_from_buf(iov, (unsigned int)count, done, raw->bounce + head, n);
		return 0;
	}
	iov_to_buf(iov, (unsigned int)count, done, raw->bounce + head, n);
	return bounce_io(raw, pwritev, lo, (size_t)(hi - lo));
}

static int bounce_rw(struct raw_disk *raw, const struct iovec *iov, int count, u64 offset,
		     bool write)
{
	size_t total = iov_len(iov, (unsigned int)count), done = 0;

	while (done < total) {
		u64 pos = offset + done;
		u64 room = BOUNCE - pos % raw->offset_align;
		size_t n = MIN(total - done, (size_t)room);
		int ret = bounce_window(raw, iov, count, write, pos, n, done);

		if (ret)
			return ret;
		done += n;
	}
	return 0;
}

static int raw_readv(struct disk *disk, const struct iovec *iov, int count, u64 offset)
{
	struct raw_disk *raw = to_raw(disk);

	if (!aligned(raw, iov, count, offset))
		return bounce_rw(raw, iov, count, offset, false);
	return transfer(raw, preadv, iov, count, offset);
}

static int raw_writev(struct disk *disk, const struct iovec *iov, int count, u64 offset)
{
	struct raw_disk *raw = to_raw(disk);

	if (!aligned(raw, iov, count, offset))
		return bounce_rw(raw, iov, count, offset, true);
	return transfer(raw, pwritev, iov, count, offset);
}

static int raw_flush(struct disk *disk)
{
	return fdatasync(to_raw(disk)->fd) < 0 ? -errno : 0;
}

static int try_fallocate(struct raw_disk *raw, int mode, u64 offset, u64 len)
{
	int ret;

	do {
		ret = fallocate(raw->fd, mode, (off_t)offset, (off_t)len);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

static int try_range_ioctl(struct raw_disk *raw, unsigned long request, u64 offset, u64 len)
{
	u64 range[2] = { offset, len };

	return ioctl(raw->fd, request, range) < 0 ? -errno : 0;
}

static int raw_discard(struct disk *disk, u64 offset, u64 len)
{
	struct raw_disk *raw = to_raw(disk);
	int ret;

	if (raw->blockdev)
		ret = try_range_ioctl(raw, BLKDISCARD, offset, len);
	else
		ret = try_fallocate(raw, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
	return ret == -ENOSYS || ret == -ENODEV || ret == -ENOTTY ? -EOPNOTSUPP : ret;
}

/* What every file system can do. */
static int write_zero_bytes(struct raw_disk *raw, u64 offset, u64 len)
{
	/* Never written; not const, so that it takes no room in the binary. */
	static u8 zeroes[ZEROES] __attribute__((aligned(4096)));

	while (len) {
		struct iovec iov = {
			.iov_base = zeroes,
			.iov_len = MIN(len, ZEROES),
		};
		int ret = raw_writev(&raw->disk, &iov, 1, offset);

		if (ret)
			return ret;
		offset += iov.iov_len;
		len -= iov.iov_len;
	}
	return 0;
}

static int raw_write_zeroes(struct disk *disk, u64 offset, u64 len, bool may_unmap)
{
	struct raw_disk *raw = to_raw(disk);
	int ret = -EOPNOTSUPP;

	/* A hole reads as zeroes in a file; what a discarded block reads as only its maker knows.
	 */
	if (may_unmap && !raw->blockdev && raw->disk.min_discard)
		ret = raw_discard(disk, offset, len);
	if (ret && !raw->no_zero_range) {
		if (raw->blockdev)
			ret = try_range_ioctl(raw, BLKZEROOUT, offset, len);
		else
			ret = try_fallocate(raw, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset,
					    len);
		raw->no_zero_range = ret == -EOPNOTSUPP || ret == -ENOSYS || ret == -ENOTTY;
	}
	/* -EINVAL: a range that the device's own blocks do not divide. */
	if (raw->no_zero_range || ret == -EINVAL)
		ret = write_zero_bytes(raw, offset, len);
	return ret;
}

static void raw_close(struct disk *disk)
{
	struct raw_disk *raw = to_raw(disk);

	close(raw->fd);
	free(raw->bounce);
	free(raw);
}

static const struct disk_ops raw_ops = {
	.readv = raw_readv,
	.writev = raw_writev,
	.flush = raw_flush,
	.discard = raw_discard,
	.write_zeroes = raw_write_zeroes,
	.close = raw_close,
};

/* A number that sysfs tells of block device @dev, or 0. A partition has no queue of its own. */
static u64 queue_limit(dev_t dev, const char *name)
{
	unsigned long long value = 0;
	char path[96];
	FILE *f;

	for (unsigned int up = 0; up < 2; up++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/%s", major(dev),
			 minor(dev), up ? "../" : "", name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%llu", &value) != 1)
			value = 0;
		fclose(f);
		break;
	}
	return value;
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

static void describe_file(struct raw_disk *raw, const struct stat *st)
{
	u64 end = ALIGN_UP((u64)st->st_size, (u64)st->st_blksize);

	raw->disk.size = (u64)st->st_size;
	raw->disk.block_size = SECTOR;
	raw->disk.phys_block = (u32)st->st_blksize;
	/* Can the file system punch holes? One after the end of the file changes nothing. */
	if (!raw->disk.readonly &&
	    !try_fallocate(raw, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end, 4096))
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
	}
#endif
	if (offset > BOUNCE || (offset & (offset - 1)) || (mem & (mem - 1)))
		return -EINVAL;
	raw->offset_align = MAX(offset, SECTOR);
	raw->mem_align = MAX(mem, 1u);
	raw->disk.phys_block = MAX(raw->disk.phys_block, raw->offset_align);
	raw->bounce = aligned_alloc(MAX(raw->mem_align, 4096u), BOUNCE);
	return raw->bounce ? 0 : -ENOMEM;
}

/* Make what the kernel said sane, and the size a multiple of the block. */
static int check_geometry(struct raw_disk *raw)
{
	struct disk *d = &raw->disk;
	u64 unit, odd;

	if (d->block_size < SECTOR || d->block_size > 4096 ||
	    (d->block_size & (d->block_size - 1))) {
		err("--disk %s: has blocks of %u bytes; they must be 512 to 4096", d->path,
		    d->block_size);
		return -EINVAL;
	}
	if (d->phys_block < d->block_size || d->phys_block > 64 * KiB ||
	    (d->phys_block & (d->phys_block - 1)))
		d->phys_block = d->block_size;
	/* O_DIRECT cannot write half a block at the end without making the file longer. */
	unit = MAX(d->block_size, raw->offset_align);
	odd = d->size % unit;
	if (d->size < unit) {
		err("--disk %s: %s; give it a size with: truncate -s 1G FILE", d->path,
		    d->size ? "is smaller than one block" : "is empty");
		return -EINVAL;
	}
	if (odd)
		warn("--disk %s: %llu bytes is not a multiple of %llu; the guest does not see the "
		     "last %llu",
		     d->path, d->size, unit, odd);
	d->size -= odd;
	return 0;
}

int raw_disk_create(const struct disk_config *cfg, int fd, const struct stat *st, struct disk **out)
{
	struct raw_disk *raw = xcalloc(1, sizeof(*raw));
	int ret = 0;

	raw->disk.ops = &raw_ops;
	raw->disk.path = cfg->path;
	raw->disk.readonly = cfg->readonly;
	raw->fd = fd;
	raw->blockdev = S_ISBLK(st->st_mode);
	if (raw->blockdev)
		ret = describe_blockdev(raw, st);
	else
		describe_file(raw, st);
	if (!ret && cfg->direct)
		ret = prepare_direct(raw);
	if (ret) {
		err("--disk %s: cannot be used: %s", cfg->path, strerror(-ret));
		goto fail;
	}
	ret = check_geometry(raw);
	if (ret)
		goto fail;
	*out = &raw->disk;
	return 0;
fail:
	free(raw->bounce);
	free(raw);
	return ret;
}
