/* SPDX-License-Identifier: MIT */
/*
 * Requests per second of the first virtio disk (VIRTIO 1.3, 5.2): a constant number of them under
 * way, with interrupts, as an operating system does it. Words: requests=N, bytes=N (of each, 4096),
 * depth=N (1 to 32, of all queues together), queues=N (1 to 4), write (instead of reads),
 * sequential (instead of random), seed=N. Says "@disk COUNT MICROSECONDS INTERRUPTS", or "@failed"
 * with the reason. What is on the disk is overwritten.
 */
#include "bench.h"

enum { BLK_IN = 0, BLK_OUT = 1 };
#define F_FLUSH	     (1 << 9) /* without it every write is one to the medium: 5.2.6.2 */
#define F_MQ	     (1 << 12)
#define MAX_QUEUES   4
#define MAX_BYTES    (128 * 1024)
#define MAX_DEPTH    32
#define DATA_BASE    0x1000000UL /* free RAM: the buffers would make a large image */
#define CHAIN	     3		 /* descriptors of a request */
#define STATUS_UNSET 0xee

/* One request under way. Its descriptors never change, its sector does. */
static struct slot {
	struct {
		u32 type, ioprio;
		u64 sector;
	} header;
	volatile u8 status;
} slots[MAX_DEPTH];

static struct virtio v;
static u32 random_state, bytes, next_block, queues;
static bool sequential;

/* xorshift: G. Marsaglia, Xorshift RNGs (2003) */
static u32 next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

/* Every queue has the descriptors of all, and offers its own. */
static u32 queue_of(u32 slot)
{
	return slot % queues;
}

static void offer(u32 slot, u32 blocks)
{
	u32 block = (sequential ? next_block++ : next_random()) % blocks;

	slots[slot].header.sector = (u64)block * (bytes / 512);
	slots[slot].status = STATUS_UNSET;
	vq_offer(&v, queue_of(slot), (u16)(slot * CHAIN));
}

static void open_disk(u32 depth, bool write)
{
	if (!virtio_open(&v, VIRTIO_BLK, 0))
		give_up("there is no virtio disk");
	count_interrupts(&v);
	if (!virtio_negotiate(&v, virtio_offered(&v) & (F_FLUSH | F_MQ | VIRTIO_EVENT_IDX)))
		give_up("the disk does not take its driver");
	for (u32 q = 0; q < queues; q++)
		if (!virtio_queue(&v, q, true) || v.q[q].size < depth * CHAIN)
			give_up("the disk does not take its queues");
	for (u32 i = 0; i < depth; i++) {
		struct slot *s = &slots[i];
		struct vq_buf bufs[CHAIN] = { { &s->header, sizeof(s->header), false },
					      { (void *)(DATA_BASE + (u64)i * bytes), bytes,
						!write },
					      { &s->status, 1, true } };

		s->header.type = write ? BLK_OUT : BLK_IN;
		vq_chain(&v, queue_of(i), (u16)(i * CHAIN), bufs, CHAIN);
	}
	virtio_driver_ok(&v);
}

/* Offer again what came back to a queue while there is more to do. */
static void collect(u32 q, u32 *done, u32 *left, u32 blocks)
{
	bool offered = false;
	int head;

	while ((head = vq_used(&v, q, NULL)) >= 0) {
		u32 slot = (u32)head / CHAIN;

		if (slots[slot].status)
			give_up("a request failed");
		++*done;
		if (!*left)
			continue;
		--*left;
		offer(slot, blocks);
		offered = true;
	}
	if (offered)
		vq_kick(&v, q);
}

static void run(u32 requests, u32 depth, u32 blocks)
{
	u32 done = 0, left = requests - depth;
	u64 start;

	begin_measure();
	start = arch_cycles();
	for (u32 i = 0; i < depth; i++)
		offer(i, blocks);
	for (u32 q = 0; q < queues; q++)
		vq_kick(&v, q);
	for (;;) {
		for (u32 q = 0; q < queues; q++)
			collect(q, &done, &left, blocks);
		if (done == requests)
			break;
		/* They are off here: one that came since the last look is pending and ends the
		 * wait. */
		arch_wait();
	}
	print("@disk %u %lu %u\n", requests, microseconds_since(start), interrupts);
}

void measure_disk(void)
{
	u32 requests = (u32)word_value("requests", 1000), depth = (u32)word_value("depth", 1);
	u32 blocks;

	random_state = (u32)word_value("seed", 1) | 1;
	bytes = (u32)word_value("bytes", 4096);
	queues = (u32)word_value("queues", 1);
	sequential = has_word("sequential");
	if (!bytes || bytes % 512 || bytes > MAX_BYTES)
		give_up("bytes is a multiple of 512 up to 131072");
	if (!depth || depth > MAX_DEPTH || requests < depth)
		give_up("depth is 1 to 32, and no more than requests");
	if (!queues || queues > MAX_QUEUES)
		give_up("queues is 1 to 4");
	open_disk(depth, has_word("write"));
	blocks = read32(v.config) / (bytes / 512);
	if (!blocks || read32(v.config + 4))
		give_up("the disk is too small or too large");
	run(requests, depth, blocks);
	end_measure();
}
