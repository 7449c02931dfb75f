/* SPDX-License-Identifier: MIT */
/*
 * virtio/blk.c behind each transport, over disk/raw-io.c and a file in memory. The first byte of
 * the input: of the transport (fuzz_transport.h); bit 1, read-only; bit 2, as with O_DIRECT
 * (bounced); bit 3, two queues; bit 4, write-through.
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
#define MAX_QUEUES 2

static struct disk_queue dq[MAX_QUEUES];
static unsigned int nr_dq;
static void *room;

/* The device has to ask for what lies on the disk, and not to change a read-only one. Served at
 * once: threads would make runs differ. */
static void checked_submit(struct disk_queue *q, struct disk_request *req)
{
	bool change = req->op != DISK_READ && req->op != DISK_FLUSH;

	fz_check(range_within(req->offset, req->len, 0, q->disk->size));
	fz_check(!change || !q->disk->readonly);
	fz_check(req->len || (req->op != DISK_DISCARD && req->op != DISK_WRITE_ZEROES));
	if (req->op == DISK_READ || req->op == DISK_WRITE)
		fz_check(req->len == iov_len(req->iov, (unsigned int)req->iovcnt));
	disk_request_done(q, req, raw_serve(q->disk, room, req));
}

static void checked_kick(struct disk_queue *q) {}

static void checked_close(struct disk_queue *q)
{
	fz_check(!disk_queue_busy(q));
	if (--nr_dq)
		return;
	raw_room_destroy(room);
}

static const struct disk_queue_ops checked_queue_ops = {
	.submit = checked_submit,
	.kick = checked_kick,
	.cancel = checked_kick,
	.close = checked_close,
};

static int checked_queue_open(struct disk *disk, struct event_loop *loop, unsigned int depth,
			      struct disk_queue **out)
{
	*out = &dq[nr_dq];
	**out = (struct disk_queue){ .ops = &checked_queue_ops, .disk = disk };
	return nr_dq++ ? 0 : raw_room_create(disk, &room);
}

static void checked_disk_close(struct disk *disk)
{
	raw_ops->close(disk);
}

static const struct disk_ops checked_ops = {
	.queue_open = checked_queue_open,
	.close = checked_disk_close,
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
	u32 n = how & 3, q;
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
	q = d->vdev->nr_queues > 1 ? type >> 7 : 0;
	fv_offer(d, q, bufs, n + 2);
	if (!(how & 0x80)) {
		fv_kick(d, q);
		fz_pump(&d->v);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	u8 how = fz_u8(&f);
	struct virtio_device *vdev;
	struct disk *disk;
	static struct fv d;

	fv_begin(&d, how);
	disk = open_disk(how & 2, how & 4);
	disk->queues = how & 8 ? MAX_QUEUES : 1;
	disk->writethrough = how & 16;
	fz_check(!virtio_blk_new(&d.v.vm, disk, 0, &vdev));
	fv_run(&d, vdev, &f, own);
	disk_close(disk);
	return 0;
}
