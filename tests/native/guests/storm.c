/* SPDX-License-Identifier: MIT */
/*
 * Writes to the first virtio disk without an end, until the host ends it. Operation I is a write of
 * eight sectors at a place that follows from I, each sector beginning with I; every eighth makes
 * zeroes of sixteen times as many. Some are under way at once; after each 32 a flush, and a line
 * with how many are safe. Words: seed=, from= (the number of the first operation).
 */
#include "virtio.h"

enum { T_OUT = 1, T_FLUSH = 4, T_ZEROES = 13, DEPTH = 8, ROUND = 32, SECTORS = 8 };

static struct virtio v;
static u8 data[DEPTH][SECTORS * 512] __attribute__((aligned(16)));
static struct {
	u32 type, ioprio;
	u64 sector;
} hdr[DEPTH + 1];
static volatile u8 status[DEPTH + 1];
static struct {
	u64 sector;
	u32 count, flags;
} range[DEPTH];

/* The same as the test's: where operation @i goes, in units of eight sectors. */
static u64 place(u64 i, u64 seed, u64 units)
{
	u64 x = (i + 1) * 0x9e3779b97f4a7c15ULL + seed * 0xd1b54a32d192ed03ULL;

	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ULL;
	return (x ^ x >> 32) % units;
}

static void wait_all(u32 n)
{
	while (n)
		n -= vq_used(&v, 0, NULL) >= 0;
	for (u32 k = 0; k <= DEPTH; k++)
		if (status[k])
			print("status %u\n", status[k]);
}

static void submit(u32 k, u64 i, u64 at)
{
	struct vq_buf bufs[3] = { { &hdr[k], 16, false },
				  { data[k], sizeof(data[k]), false },
				  { &status[k], 1, true } };

	hdr[k].sector = at;
	hdr[k].type = T_OUT;
	for (u32 s = 0; s < SECTORS; s++)
		*(u64 *)(data[k] + 512 * s) = i;
	if (i % 8 == 7) {
		hdr[k].type = T_ZEROES;
		range[k].sector = at;
		range[k].count = 16 * SECTORS;
		range[k].flags = 1; /* unmap */
		bufs[1] = (struct vq_buf){ &range[k], 16, false };
	}
	vq_add(&v, 0, bufs, 3);
}

static void flush(void)
{
	struct vq_buf bufs[2] = { { &hdr[DEPTH], 16, false }, { &status[DEPTH], 1, true } };

	hdr[DEPTH].type = T_FLUSH;
	vq_add(&v, 0, bufs, 2);
	vq_kick(&v, 0);
	wait_all(1);
}

int guest_main(void)
{
	u64 seed = word_value("seed", 1), units, i = word_value("from", 0);

	if (!virtio_open(&v, VIRTIO_BLK, 0) ||
	    !virtio_negotiate(&v, virtio_offered(&v) & (1 << 6 | 1 << 9 | 1 << 14)) ||
	    !virtio_queue(&v, 0, false))
		return 1;
	/* The zeroes of the last place stay on the disk. */
	units = (read32(v.config) | (u64)read32(v.config + 4) << 32) / SECTORS - 15;
	virtio_driver_ok(&v);
	for (;; i += ROUND) {
		for (u32 n = 0; n < ROUND; n += DEPTH) {
			for (u32 k = 0; k < DEPTH; k++)
				submit(k, i + n + k, place(i + n + k, seed, units) * SECTORS);
			vq_kick(&v, 0);
			wait_all(DEPTH);
		}
		flush();
		print("safe %lu\n", i + ROUND);
	}
}
