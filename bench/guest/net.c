/* SPDX-License-Identifier: MIT */
/*
 * Frames per second of the first virtio network card (VIRTIO 1.3, 5.1), as an operating system
 * moves them: as many as the queue holds under way, interrupts only while there is nothing to do.
 * Words: send (instead of receive), frames=N, bytes=N of each that is sent. Says "@net COUNT
 * MICROSECONDS INTERRUPTS", or "@failed" with the reason.
 */
#include "bench.h"

enum { RX = 0, TX = 1 };
#define HDR	  12
#define PROTO	  0xb588 /* IEEE 802 local experimental 1, 0x88b5, in network order */
#define BUF_SIZE  2048
#define DATA_BASE 0x1000000UL /* free RAM */

struct frame {
	u8 virtio[HDR], to[6], from[6];
	u16 proto;
};

static struct virtio v;

static struct frame *frame(u32 slot)
{
	return (void *)(DATA_BASE + (u64)slot * BUF_SIZE);
}

static void open_card(void)
{
	if (!virtio_open(&v, VIRTIO_NET, 0))
		give_up("there is no virtio network card");
	count_interrupts(&v);
	if (!virtio_negotiate(&v, 0) || !virtio_queue(&v, RX, true) || !virtio_queue(&v, TX, true))
		give_up("the card does not take its queues");
}

/* One descriptor for each slot of the queue. */
static void fill_queue(u32 q, u32 bytes)
{
	for (u32 i = 0; i < v.q[q].size; i++) {
		struct vq_buf buf = { frame(i), bytes, q == RX };

		vq_chain(&v, q, (u16)i, &buf, 1);
	}
}

/* Is it one of the flood's? Others are the host's own business. */
static bool counts(u32 q, u32 slot)
{
	return q == TX || frame(slot)->proto == PROTO;
}

/* Moves frames until @frames came by; microseconds from the first on. */
static u64 run(u32 q, u32 frames)
{
	u32 done = 0, left = q == TX ? frames - v.q[q].size : ~0U;
	u64 start = arch_cycles();
	bool waited = false;

	for (u32 i = 0; i < v.q[q].size; i++)
		vq_offer(&v, q, (u16)i);
	vq_kick(&v, q);
	while (done < frames) {
		bool offered = false;
		int head;

		while ((head = vq_used(&v, q, NULL)) >= 0) {
			if (counts(q, (u32)head) && !done++ && q == RX)
				start = arch_cycles();
			if (!left)
				continue;
			left--;
			vq_offer(&v, q, (u16)head);
			offered = true;
		}
		if (offered) {
			vq_kick(&v, q);
			if (waited)
				vq_interrupts(&v, q, false);
			waited = false;
			continue;
		}
		/* What came before they were on is seen by one more look. */
		if (waited && done < frames)
			arch_wait();
		vq_interrupts(&v, q, true);
		waited = true;
	}
	return microseconds_since(start);
}

void measure_net(void)
{
	u32 q = has_word("send") ? TX : RX, frames = (u32)word_value("frames", 10000);
	u32 bytes = (u32)word_value("bytes", 1514);
	u64 took;

	if (bytes < 60 || bytes > BUF_SIZE - HDR)
		give_up("bytes is 60 to 2036");
	open_card();
	if (frames < v.q[q].size)
		give_up("there are fewer frames than the queue holds");
	for (u32 i = 0; i < v.q[q].size && q == TX; i++) {
		memset(frame(i), 0, sizeof(struct frame));
		memset(frame(i)->to, 0xff, sizeof(frame(i)->to));
		frame(i)->from[0] = 2; /* locally administered */
		frame(i)->proto = PROTO;
	}
	fill_queue(q, q == TX ? HDR + bytes : BUF_SIZE);
	virtio_driver_ok(&v);
	took = run(q, frames);
	print("@net %u %lu %u\n", frames, took, interrupts);
	arch_exit(0);
}
