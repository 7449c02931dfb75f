/* SPDX-License-Identifier: MIT */
/*
 * virtio/pmem.c behind both transports, over a disk that flushes at once or later. The first byte
 * of the input, beside what fuzz_transport.h reads of it: bit 1, read-only; bit 2, flushes wait for
 * an operation that ends them, and a stop finds them begun or not; bit 3, they fail.
 */
#include <linux/virtio_pmem.h>

#include "fuzz_virtio.h"
#include "lkvm/disk.h"
#include "lkvm/pmem.h"

#define ANSWER (FV_DATA + 0x100)

static struct disk_queue queue;
static struct disk_request *kept;
static bool later, begun, fails;

static void on_submit(struct disk_queue *dq, struct disk_request *req)
{
	/* One at a time, and nothing else. */
	fz_check(req->op == DISK_FLUSH && !kept && dq->inflight == 1);
	if (later)
		kept = req;
	else
		disk_request_done(dq, req, fails ? -EIO : 0);
}

static void end(int ret)
{
	struct disk_request *req = kept;

	kept = NULL;
	if (req)
		disk_request_done(&queue, req, ret);
}

static void on_kick(struct disk_queue *dq) {}

static void on_cancel(struct disk_queue *dq)
{
	end(!begun ? -ECANCELED : fails ? -EIO : 0);
}

static void on_close(struct disk_queue *dq)
{
	end(0);
	fz_check(!dq->inflight);
}

static const struct disk_queue_ops queue_ops = {
	.submit = on_submit,
	.kick = on_kick,
	.cancel = on_cancel,
	.close = on_close,
};

static int queue_open(struct disk *disk, struct event_loop *loop, unsigned int depth,
		      struct disk_queue **out)
{
	queue = (struct disk_queue){ .ops = &queue_ops, .disk = disk };
	*out = &queue;
	return 0;
}

static const struct disk_ops disk_ops = { .queue_open = queue_open };
static struct disk disk = { .ops = &disk_ops, .path = "fuzz" };

/* The host is through with it. */
static void end_flush(void)
{
	if (!kept)
		return;
	end(fails ? -EIO : 0);
	if (queue.ended)
		queue.ended(queue.opaque);
}

static void own(struct fv *d, struct fz *f)
{
	u8 how = fz_u8(f);
	struct fv_buf bufs[2] = { { FV_DATA, 4, false }, { ANSWER, 4, true } };

	switch (how & 7) {
	case 0:
		end_flush();
		return;
	case 1:
		begun = !begun;
		return;
	case 2:
		fails = !fails;
		return;
	case 3:
		bufs[0].len = fz_u8(f) % 9;
		bufs[1].len = fz_u8(f) % 9;
		break;
	}
	memset(d->v.ram + FV_DATA, how >> 5, 1);
	fv_offer(d, 0, bufs, 2);
	if (how & 8)
		fv_kick(d, 0);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	struct virtio_device *vdev;
	static struct fv d;
	struct pmem pmem = { .what = (char *)"--pmem fuzz", .gpa = 4 * GiB, .size = 2 * MiB };
	u8 first = fz_u8(&f);

	fv_begin(&d, first);
	pmem.disk = first & 2 ? NULL : &disk;
	later = first & 4;
	fails = first & 8;
	begun = false;
	kept = NULL;
	fz_check(!virtio_pmem_new(&d.v.vm, &pmem, 0, &vdev));
	fv_run(&d, vdev, &f, own);
	return 0;
}
