/* SPDX-License-Identifier: MIT */
/*
 * virtio/balloon.c behind each transport (the first byte of the input: fuzz_transport.h): page
 * numbers and ranges that the guest does not have, statistics of every shape, and somebody who
 * asks.
 */
#define FV_QUEUES 5
#define FV_DATA	  0x3000u
#include "fuzz_virtio.h"
#include "lkvm/balloon.h"

static void own(struct fv *d, struct fz *f)
{
	struct balloon_stats stats;
	struct fv_buf buf;
	u8 how = fz_u8(f);
	u16 q = how % 5;

	switch (how >> 6) {
	case 0:
		balloon_set_target(d->vdev, (u64)fz_u8(f) << (how & 31));
		fz_check(balloon_target(d->vdev) % 4096 == 0);
		(void)balloon_actual(d->vdev);
		return;
	case 1:
		(void)balloon_ask_stats(d->vdev);
		balloon_get_stats(d->vdev, &stats);
		fz_check(stats.known < BIT(BALLOON_NR_STATS));
		return;
	default:
		buf = fv_random_buf(f);
		/* Reported ranges are buffers that the device may write. */
		buf.in = how & 0x40;
		fv_offer(d, q, &buf, 1);
		fv_kick(d, q);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	struct virtio_device *vdev;
	static struct fv d;

	fv_begin(&d, fz_u8(&f));
	fz_check(!virtio_balloon_new(&d.v.vm, 64 * KiB, &vdev));
	fv_run(&d, vdev, &f, own);
	return 0;
}
