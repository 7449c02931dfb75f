/* SPDX-License-Identifier: MIT */
/*
 * The memory balloon: writes to 16 MiB, hands a quarter over and reports another as free, then
 * takes the first back; waits for a key between the steps.
 */
#include "virtio.h"

#define BALLOON 5
#define AT	(32ULL << 20)
#define QUARTER (4U << 20)

static struct virtio v;
static u32 pfns[256];

static void next(const char *what)
{
	print("%s\n", what);
	while (arch_getc() < 0)
		arch_pause();
}

static bool pass(u32 q, u64 at, bool backwards)
{
	for (u32 done = 0; done < QUARTER / 4096; done += ARRAY_SIZE(pfns)) {
		for (u32 i = 0; i < ARRAY_SIZE(pfns); i++) {
			u32 n = backwards ? ARRAY_SIZE(pfns) - 1 - i : i;

			pfns[i] = (u32)(at / 4096) + done + n;
		}
		vq_add(&v, q, &(struct vq_buf){ pfns, sizeof(pfns), false }, 1);
		vq_kick(&v, q);
		if (vq_wait(&v, q, NULL) < 0)
			return false;
	}
	return true;
}

int guest_main(void)
{
	volatile u8 *p = (volatile u8 *)AT;

	if (!virtio_open(&v, BALLOON, 0)) {
		print("no balloon\n");
		return 1;
	}
	/* DEFLATE_ON_OOM and REPORTING: without statistics Linux has the reports in queue 2. */
	if (!virtio_negotiate(&v, virtio_offered(&v) & (1 << 2 | 1 << 5)) ||
	    !virtio_queue(&v, 0, false) || !virtio_queue(&v, 1, false) ||
	    !virtio_queue(&v, 2, false))
		return 1;
	virtio_driver_ok(&v);
	print("asked for %u pages\n", read32(v.config));
	for (u32 i = 0; i < 4 * QUARTER; i += 4096)
		p[i] = 1;
	next("written");
	if (!pass(0, AT, false))
		return 1;
	write32(v.config + 4, QUARTER / 4096);
	next("inflated");
	vq_add(&v, 2, &(struct vq_buf){ p + QUARTER, QUARTER, true }, 1);
	vq_kick(&v, 2);
	if (vq_wait(&v, 2, NULL) < 0)
		return 1;
	next("reported");
	if (!pass(1, AT, true))
		return 1;
	if (p[0] || p[QUARTER - 4096] || p[QUARTER] || p[2 * QUARTER] != 1 ||
	    p[4 * QUARTER - 4096] != 1)
		return 1;
	/* Pages that are not there harm nobody. */
	pfns[0] = ~0u;
	pfns[1] = 0x80000;
	vq_add(&v, 0, &(struct vq_buf){ pfns, 8, false }, 1);
	vq_kick(&v, 0);
	if (vq_wait(&v, 0, NULL) < 0)
		return 1;
	print("done\n");
	return 0;
}
