/* SPDX-License-Identifier: MIT */
/*
 * Requests per second of the first virtio disk (VIRTIO 1.3, 5.2): random 4 KiB, a constant number
 * of them under way, with interrupts, as an operating system does it. Words: requests=N, depth=N (1
 * to 32), write (instead of reads), seed=N. Says "@disk COUNT MICROSECONDS INTERRUPTS", or
 * "@failed" with the reason. What is on the disk is overwritten.
 */
#include "selftest.h"

enum { BLK_IN = 0, BLK_OUT = 1 };
#define F_FLUSH	     (1 << 9) /* without it every write is one to the medium: 5.2.6.2 */
#define BYTES	     4096
#define SECTORS	     (BYTES / 512)
#define MAX_DEPTH    32
#define CHAIN	     3 /* descriptors of a request */
#define STATUS_UNSET 0xee

/* One request under way. Its descriptors never change, its sector does. */
static struct slot {
	struct {
		u32 type, ioprio;
		u64 sector;
	} header;
	volatile u8 status;
} slots[MAX_DEPTH];
static u8 data[MAX_DEPTH][BYTES] __attribute__((aligned(4096)));

static struct virtio v;
static volatile u32 interrupts;
static u32 random_state;

static void on_interrupt(void)
{
	if (!v.line || virtio_ack(&v))
		interrupts++;
}

/* xorshift: G. Marsaglia, Xorshift RNGs (2003) */
static u32 next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

static void offer(u32 slot, u32 blocks)
{
	slots[slot].header.sector = (u64)(next_random() % blocks) * SECTORS;
	slots[slot].status = STATUS_UNSET;
	vq_offer(&v, 0, (u16)(slot * CHAIN));
}

/* The reason why it cannot be measured, or NULL. */
static const char *open_disk(u32 depth, bool write)
{
	if (!virtio_open(&v, VIRTIO_BLK, 0))
		return "there is no virtio disk";
	arch_set_handler(VQ_VECTOR, on_interrupt);
	if (!virtio_negotiate(&v, virtio_offered(&v) & F_FLUSH) || !virtio_queue(&v, 0, true))
		return "the disk does not take its queue";
	if (v.q[0].size < depth * CHAIN)
		return "the disk's queue is too short";
	for (u32 i = 0; i < depth; i++) {
		struct slot *s = &slots[i];
		struct vq_buf bufs[CHAIN] = { { &s->header, sizeof(s->header), false },
					      { data[i], BYTES, !write },
					      { &s->status, 1, true } };

		s->header.type = write ? BLK_OUT : BLK_IN;
		vq_chain(&v, 0, (u16)(i * CHAIN), bufs, CHAIN);
	}
	virtio_driver_ok(&v);
	return NULL;
}

/* Offer again what came back while there is more to do; false: a request failed. */
static bool collect(u32 *done, u32 *left, u32 blocks)
{
	bool offered = false;
	int head;

	while ((head = vq_used(&v, 0, NULL)) >= 0) {
		u32 slot = (u32)head / CHAIN;

		if (slots[slot].status)
			return false;
		++*done;
		if (!*left)
			continue;
		--*left;
		offer(slot, blocks);
		offered = true;
	}
	if (offered)
		vq_kick(&v, 0);
	return true;
}

static const char *run(u32 requests, u32 depth, u32 blocks)
{
	u32 done = 0, left = requests - depth;
	u64 start = arch_cycles();

	for (u32 i = 0; i < depth; i++)
		offer(i, blocks);
	vq_kick(&v, 0);
	for (;;) {
		if (!collect(&done, &left, blocks))
			return "a request failed";
		if (done == requests)
			break;
		/* They are off here: one that came since the last look is pending and ends the
		 * wait. */
		arch_wait();
	}
	print("@disk %u %lu %u\n", requests, (arch_cycles() - start) * 1000 / arch_cycles_khz(),
	      interrupts);
	return NULL;
}

void measure_disk(void)
{
	u32 requests = (u32)word_value("requests", 1000), depth = (u32)word_value("depth", 1);
	const char *why;
	u32 blocks = 0;

	random_state = (u32)word_value("seed", 1) | 1;
	if (!depth || depth > MAX_DEPTH || requests < depth)
		why = "depth is 1 to 32, and no more than requests";
	else
		why = open_disk(depth, has_word("write"));
	if (!why) {
		blocks = read32(v.config) / SECTORS;
		why = !blocks || read32(v.config + 4) ? "the disk is too small or too large" : NULL;
	}
	if (!why && !arch_cycles_khz())
		why = "the clock's frequency is not known";
	if (!why)
		why = run(requests, depth, blocks);
	if (why)
		print("@failed %s\n", why);
	arch_exit(why ? 1 : 0);
}
