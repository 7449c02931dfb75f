/* SPDX-License-Identifier: MIT */
/*
 * virtio/blk.c behind both transports, over disk/raw.c and a file in memory. The first byte of the
 * input: bit 0, MMIO instead of PCI; bit 1, read-only; bit 2, as with O_DIRECT (bounced).
 */
#include <linux/virtio_blk.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../disk/raw.h"
#include "fuzz_virtio.h"
#include "lkvm/util.h"

#define DISK_SIZE (128 * KiB)
#define HEADER	  (FV_DATA - 0x20)
#define STATUS	  (FV_DATA - 0x10)

static int disk_fd = -1;
static const struct disk_ops *raw_ops;

/* The device has to ask for what lies on the disk, and not to change a read-only one. */
static void check(struct disk *disk, u64 offset, u64 len, bool write)
{
	fz_check(range_within(offset, len, 0, disk->size));
	fz_check(!write || !disk->readonly);
}

static int checked_readv(struct disk *disk, const struct iovec *iov, int count, u64 offset)
{
	check(disk, offset, iov_len(iov, (unsigned int)count), false);
	return raw_ops->readv(disk, iov, count, offset);
}

static int checked_writev(struct disk *disk, const struct iovec *iov, int count, u64 offset)
{
	check(disk, offset, iov_len(iov, (unsigned int)count), true);
	return raw_ops->writev(disk, iov, count, offset);
}

static int checked_flush(struct disk *disk)
{
	return raw_ops->flush(disk);
}

static int checked_discard(struct disk *disk, u64 offset, u64 len)
{
	fz_check(len);
	check(disk, offset, len, true);
	return raw_ops->discard(disk, offset, len);
}

static int checked_write_zeroes(struct disk *disk, u64 offset, u64 len, bool may_unmap)
{
	fz_check(len);
	check(disk, offset, len, true);
	return raw_ops->write_zeroes(disk, offset, len, may_unmap);
}

static void checked_close(struct disk *disk)
{
	raw_ops->close(disk);
}

static const struct disk_ops checked_ops = {
	.readv = checked_readv,
	.writev = checked_writev,
	.flush = checked_flush,
	.discard = checked_discard,
	.write_zeroes = checked_write_zeroes,
	.close = checked_close,
};

static struct disk *open_disk(bool readonly, bool direct)
{
	struct disk_config cfg = { .path = (char *)"fuzz", .readonly = readonly, .direct = direct };
	struct disk *disk = NULL;
	struct stat st;

	if (disk_fd < 0)
		disk_fd = memfd_create("fuzz", MFD_CLOEXEC);
	/* Zeroes again, whatever the last run wrote. */
	fz_check(!ftruncate(disk_fd, 0) && !ftruncate(disk_fd, DISK_SIZE));
	fz_check(!fstat(disk_fd, &st));
	fz_check(!raw_disk_create(&cfg, dup(disk_fd), &st, &disk));
	raw_ops = disk->ops;
	disk->ops = &checked_ops;
	return disk;
}

/* A request as a driver makes it: header, up to three data buffers, status. */
static void own(struct fv *d, struct fz *f)
{
	u8 how = fz_u8(f), type = fz_u8(f);
	u32 n = how & 3;
	struct fv_buf bufs[5] = { { .gpa = HEADER, .len = 16 } };
	u8 *header = d->v.ram + HEADER;

	put_le(header, 4, type % 16);
	put_le(header + 8, 8, how & 4 ? fz_u64(f) : fz_u8(f));
	for (u32 i = 1; i <= n; i++) {
		bufs[i] = fv_random_buf(f);
		if (!(how & 8))
			bufs[i].len = ALIGN_DOWN(bufs[i].len, 512u);
		bufs[i].in = type % 16 == VIRTIO_BLK_T_IN || type % 16 == VIRTIO_BLK_T_GET_ID;
	}
	/* The list of ranges of discard and write-zeroes. */
	if (type % 16 >= VIRTIO_BLK_T_DISCARD && n) {
		u8 *range = d->v.ram + FV_DATA;

		put_le(range, 8, fz_u8(f));
		put_le(range + 8, 4, fz_u8(f));
		put_le(range + 12, 4, how & 16 ? fz_u8(f) : 0);
		bufs[1] = (struct fv_buf){ .gpa = FV_DATA, .len = 16 * (how & 32 ? fz_u8(f) : n) };
		n = 1;
	}
	bufs[n + 1] = (struct fv_buf){ .gpa = STATUS, .len = 1, .in = true };
	fv_offer(d, 0, bufs, n + 2);
	if (!(how & 0x80)) {
		fv_kick(d, 0);
		fz_pump(&d->v);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	u8 how = fz_u8(&f);
	struct virtio_device *vdev;
	static struct fv d;
	struct disk *disk;

	fv_begin(&d, how & 1);
	disk = open_disk(how & 2, how & 4);
	fz_check(!virtio_blk_new(&d.v.vm, disk, 0, &vdev));
	fv_run(&d, vdev, &f, own);
	disk->ops->close(disk);
	return 0;
}
