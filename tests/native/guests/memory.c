/* SPDX-License-Identifier: MIT */
/*
 * For tests/native/memory.c, which adds and removes the memory at `comes` all the time: each CPU
 * checks RAM of its own, uses that memory, and rings at `bell`; the first fetches random bytes,
 * too. Ends when the word at `stop` is set.
 */
#include "virtio.h"

#define WORDS 32

static struct virtio v;
static u32 own[2][WORDS];
static u32 wrong, done, kept;
static volatile u32 *stop, *bell;
static volatile u64 *comes;

static bool fetch(void)
{
	static u8 bytes[64];
	struct vq_buf buf = { bytes, sizeof(bytes), true };
	u32 len;

	vq_add(&v, 0, &buf, 1);
	vq_kick(&v, 0);
	return vq_wait(&v, 0, &len) >= 0 && len;
}

static void work(u32 index)
{
	u32 *mine = own[index & 1], n = 0;

	while (!*stop) {
		volatile u64 *word = comes + 8 * (index & 1) + (n & 1 ? 512 : 0);

		for (u32 i = 0; i < WORDS; i++)
			mine[i] = n + i;
		/* Where nothing is, ones are read. What is there was new and is written by us. */
		*word = n;
		if (*word == n)
			atomic_add(&kept, 1);
		*bell = index;
		for (u32 i = 0; i < WORDS; i++)
			if (mine[i] != n + i)
				atomic_add(&wrong, 1);
		if (!index && !fetch())
			atomic_add(&wrong, 1);
		n++;
	}
	atomic_add(&done, 1);
}

int guest_main(void)
{
	u32 cpus;

	stop = (volatile u32 *)word_value("stop", 0);
	bell = (volatile u32 *)word_value("bell", 0);
	comes = (volatile u64 *)word_value("comes", 0);
	if (!virtio_open(&v, VIRTIO_RNG, 0) || !virtio_negotiate(&v, 0) ||
	    !virtio_queue(&v, 0, false))
		return 2;
	virtio_driver_ok(&v);
	cpus = arch_start_cpus(work) + 1;
	work(0);
	while (atomic_read(&done) < cpus)
		arch_pause();
	print("%u cpus, %u wrong, the memory was there %s\n", cpus, wrong,
	      kept ? "at times" : "never");
	return wrong || !kept ? 1 : 0;
}
