/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing raw disks, on whatever thread calls. O_DIRECT wants buffers, offsets and
 * lengths aligned; a request that is not goes through the thread's bounce buffer, its first and
 * last block read, changed and written back.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lkvm/util.h"
#include "raw.h"

#define SECTOR 512u
#define ZEROES (64 * KiB)
/* Entries of a list that are given to the host at once after it took a part of the whole. */
#define PART 64

#ifndef __GLIBC__
/* musl has them since 1.2.5. The offset's upper half comes by itself, which is empty here. */
#include <sys/syscall.h>

static ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	return syscall(SYS_preadv2, fd, iov, count, offset, 0L, flags);
}

static ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	return syscall(SYS_pwritev2, fd, iov, count, offset, 0L, flags);
}
#endif

typedef ssize_t (*rw_fn)(int fd, const struct iovec *iov, int count, off_t offset);

/* The first entries of what is left of @iov after @done bytes. */
static int iov_rest(const struct iovec *iov, int count, size_t done, struct iovec part[PART])
{
	int n = 0;

	for (int i = 0; i < count && n < PART; i++) {
		if (done >= iov[i].iov_len) {
			done -= iov[i].iov_len;
			continue;
		}
		part[n].iov_base = (u8 *)iov[i].iov_base + done;
		part[n++].iov_len = iov[i].iov_len - done;
		done = 0;
	}
	return n;
}

/* Whole transfers. The common case, one call, copies nothing. */
static int transfer(struct raw_disk *raw, rw_fn fn, const struct iovec *iov, int count, u64 offset)
{
	size_t len = iov_len(iov, (unsigned int)count), done = 0;
	struct iovec part[PART];

	while (done < len) {
		bool whole = !done && count <= IOV_MAX;
		int n_part = whole ? count : iov_rest(iov, count, done, part);
		ssize_t n = fn(raw->fd, whole ? iov : part, n_part, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -EIO; /* the file was cut short behind our back */
		done += (size_t)n;
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

/* Can a change be one of a part of a block? Requests are whole sectors. */
static bool has_parts(const struct raw_disk *raw)
{
	return raw->offset_align > SECTOR;
}

/* What changes the disk is under way between these two; @part: a part of a block. */
static void change_begin(struct raw_disk *raw, bool part)
{
	if (!has_parts(raw))
		return;
	pthread_mutex_lock(&raw->lock);
	raw->want_alone += part;
	while (raw->alone || (part ? raw->changes : raw->want_alone))
		pthread_cond_wait(&raw->changed, &raw->lock);
	raw->want_alone -= part;
	raw->alone = part;
	raw->changes += !part;
	pthread_mutex_unlock(&raw->lock);
}

/* Without waiting. */
static bool change_try(struct raw_disk *raw)
{
	bool ok;

	if (!has_parts(raw))
		return true;
	pthread_mutex_lock(&raw->lock);
	ok = !raw->alone && !raw->want_alone;
	raw->changes += ok;
	pthread_mutex_unlock(&raw->lock);
	return ok;
}

static void change_end(struct raw_disk *raw)
{
	if (!has_parts(raw))
		return;
	pthread_mutex_lock(&raw->lock);
	if (raw->alone)
		raw->alone = false;
	else
		raw->changes--;
	pthread_cond_broadcast(&raw->changed);
	pthread_mutex_unlock(&raw->lock);
}

static int bounce_io(struct raw_disk *raw, rw_fn fn, u8 *bounce, u64 offset, size_t len)
{
	struct iovec iov = { .iov_base = bounce, .iov_len = len };

	return transfer(raw, fn, &iov, 1, offset);
}

/* One window of an unaligned request: [pos, pos+n) of the disk, which is @done bytes into @iov. */
static int bounce_window(struct raw_disk *raw, u8 *bounce, const struct iovec *iov, int count,
			 bool write, u64 pos, size_t n, size_t done)
{
	u64 align = raw->offset_align;
	u64 lo = ALIGN_DOWN(pos, align), hi = ALIGN_UP(pos + n, align);
	size_t head = (size_t)(pos - lo);
	bool part = head || hi != pos + n;
	int ret = 0;

	if (!write) {
		ret = bounce_io(raw, preadv, bounce, lo, (size_t)(hi - lo));
		if (!ret)
			iov_from_buf(iov, (unsigned int)count, done, bounce + head, n);
		return ret;
	}
	change_begin(raw, part);
	if (part)
		ret = bounce_io(raw, preadv, bounce, lo, (size_t)(hi - lo));
	if (!ret) {
		iov_to_buf(iov, (unsigned int)count, done, bounce + head, n);
		ret = bounce_io(raw, pwritev, bounce, lo, (size_t)(hi - lo));
	}
	change_end(raw);
	return ret;
}

static int bounce_rw(struct raw_disk *raw, u8 *bounce, const struct iovec *iov, int count,
		     u64 offset, bool write)
{
	size_t total = iov_len(iov, (unsigned int)count), done = 0;

	while (done < total) {
		u64 pos = offset + done;
		u64 room = RAW_BOUNCE - pos % raw->offset_align;
		size_t n = MIN(total - done, (size_t)room);
		int ret = bounce_window(raw, bounce, iov, count, write, pos, n, done);

		if (ret)
			return ret;
		done += n;
	}
	return 0;
}

static int raw_rw(struct raw_disk *raw, u8 *bounce, const struct iovec *iov, int count, u64 offset,
		  bool write)
{
	int ret;

	if (!aligned(raw, iov, count, offset))
		return bounce_rw(raw, bounce, iov, count, offset, write);
	if (!write)
		return transfer(raw, preadv, iov, count, offset);
	change_begin(raw, false);
	ret = transfer(raw, pwritev, iov, count, offset);
	change_end(raw);
	return ret;
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

/* Give the host [offset, offset+len) back: 0, -EOPNOTSUPP where it cannot, -errno. */
static int discard(struct raw_disk *raw, u64 offset, u64 len)
{
	int ret;

	if (atomic_load(&raw->no_discard))
		return -EOPNOTSUPP;
	change_begin(raw, false);
	if (raw->blockdev)
		ret = try_range_ioctl(raw, BLKDISCARD, offset, len);
	else
		ret = try_fallocate(raw, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
	change_end(raw);
	if (ret == -ENOSYS || ret == -ENODEV || ret == -ENOTTY)
		ret = -EOPNOTSUPP;
	if (ret == -EOPNOTSUPP)
		atomic_store(&raw->no_discard, true);
	return ret;
}

static int zero_range(struct raw_disk *raw, u64 offset, u64 len)
{
	int ret;

	change_begin(raw, false);
	if (raw->blockdev)
		ret = try_range_ioctl(raw, BLKZEROOUT, offset, len);
	else
		ret = try_fallocate(raw, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, len);
	change_end(raw);
	if (ret == -ENOSYS || ret == -ENOTTY)
		ret = -EOPNOTSUPP;
	if (ret == -EOPNOTSUPP)
		atomic_store(&raw->no_zero_range, true);
	return ret;
}

/* What every file system can do. */
static int write_zero_bytes(struct raw_disk *raw, u8 *bounce, u64 offset, u64 len)
{
	/* Never written; not const, so that it takes no room in the binary. */
	static u8 zeroes[ZEROES] __attribute__((aligned(4096)));

	while (len) {
		struct iovec iov = {
			.iov_base = zeroes,
			.iov_len = MIN(len, ZEROES),
		};
		int ret = raw_rw(raw, bounce, &iov, 1, offset, true);

		if (ret)
			return ret;
		offset += iov.iov_len;
		len -= iov.iov_len;
	}
	return 0;
}

static int raw_write_zeroes(struct raw_disk *raw, u8 *bounce, u64 offset, u64 len, bool may_unmap)
{
	int ret = -EOPNOTSUPP;

	/* A hole reads as zeroes in a file; what a discarded block reads as only its maker knows.
	 */
	if (may_unmap && !raw->blockdev && raw->disk.min_discard && !discard(raw, offset, len))
		return 0;
	if (!atomic_load(&raw->no_zero_range))
		ret = zero_range(raw, offset, len);
	/* -EINVAL: a range that the device's own blocks do not divide. */
	if (ret == -EOPNOTSUPP || ret == -EINVAL)
		ret = write_zero_bytes(raw, bounce, offset, len);
	return ret;
}

int raw_serve(struct disk *disk, void *room, const struct disk_request *req)
{
	struct raw_disk *raw = to_raw(disk);
	int ret = -EOPNOTSUPP;

	switch (req->op) {
	case DISK_READ:
		return raw_rw(raw, room, req->iov, req->iovcnt, req->offset, false);
	case DISK_WRITE:
		ret = raw_rw(raw, room, req->iov, req->iovcnt, req->offset, true);
		break;
	case DISK_WRITE_ZEROES:
		ret = raw_write_zeroes(raw, room, req->offset, req->len,
				       req->flags & DISK_MAY_UNMAP);
		break;
	case DISK_DISCARD:
		ret = discard(raw, req->offset, req->len);
		return ret == -EOPNOTSUPP ? 0 : ret;
	case DISK_FLUSH:
		return fdatasync(raw->fd) < 0 ? -errno : 0;
	case DISK_NR_OPS:
		break;
	}
	if (!ret && req->flags & DISK_FUA && fdatasync(raw->fd) < 0)
		ret = -errno;
	return ret;
}

/*
 * RWF_NOWAIT (preadv2(2)): the page cache has it, or -EAGAIN; file systems that cannot tell say
 * -EOPNOTSUPP, as most do of writes. With O_DIRECT the flag does not save from waiting.
 */
int raw_serve_now(struct disk *disk, const struct disk_request *req)
{
	struct raw_disk *raw = to_raw(disk);
	ssize_t n;

	if (raw->offset_align || req->iovcnt > IOV_MAX)
		return -EAGAIN;
	if (req->op == DISK_READ)
		n = preadv2(raw->fd, req->iov, req->iovcnt, (off_t)req->offset, RWF_NOWAIT);
	else
		n = pwritev2(raw->fd, req->iov, req->iovcnt, (off_t)req->offset, RWF_NOWAIT);
	if (n < 0)
		return errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS ? -EOPNOTSUPP
										 : -EAGAIN;
	return (u64)n == req->len ? 0 : -EAGAIN;
}

bool raw_ring_begin(struct disk *disk, const struct disk_request *req)
{
	struct raw_disk *raw = to_raw(disk);

	if (req->op == DISK_FLUSH)
		return true;
	if (!aligned(raw, req->iov, req->iovcnt, req->offset))
		return false;
	return req->op != DISK_WRITE || change_try(raw);
}

void raw_ring_end(struct disk *disk, const struct disk_request *req)
{
	if (req->op == DISK_WRITE)
		change_end(to_raw(disk));
}

int raw_room_create(struct disk *disk, void **room)
{
	const struct raw_disk *raw = to_raw(disk);

	*room = NULL;
	if (raw->offset_align)
		*room = aligned_alloc(MAX(raw->mem_align, 4096u), RAW_BOUNCE);
	return raw->offset_align && !*room ? -ENOMEM : 0;
}

void raw_room_destroy(void *room)
{
	free(room);
}
