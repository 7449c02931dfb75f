/* SPDX-License-Identifier: MIT */
/*
 * Frames per second of the first virtio network card (VIRTIO 1.3, 5.1), as an operating system
 * moves them: as many as the queues hold under way, interrupts only while there is nothing to do.
 * Words: send (instead of receive), frames=N, bytes=N of each (above a page they are TCP's, to be
 * cut by the receiver), pairs=N of queues (1, 2). Says "@net COUNT MICROSECONDS INTERRUPTS", or
 * "@failed" with the reason.
 */
#include "bench.h"

enum { RX = 0, TX = 1, CTRL = 4 };
#define HDR	  12
#define ETHER	  14
#define PROTO	  0xb588 /* IEEE 802 local experimental 1, 0x88b5, in network order */
#define PROTO_IP  0x0008
#define BUF_SIZE  2048	      /* of those that receive */
#define DATA_BASE 0x1000000UL /* free RAM */
#define MAX_BYTES 65535u
#define MAX_PAIRS 2
#define SEGMENT	  1448 /* bytes of TCP's in a frame of 1500 */

#define F_CSUM	     (1ULL << 0)
#define F_GUEST_CSUM (1ULL << 1)
#define F_GUEST_TSO4 (1ULL << 7)
#define F_HOST_TSO4  (1ULL << 11)
#define F_MRG_RXBUF  (1ULL << 15)
#define F_CTRL_VQ    (1ULL << 17)
#define F_MQ	     (1ULL << 22)

struct frame {
	struct { /* 5.1.6 */
		u8 flags, gso_type;
		u16 hdr_len, gso_size, csum_start, csum_offset, num_buffers;
	} virtio;
	u8 to[6], from[6];
	u16 proto;
	u8 ip[20], tcp[20];
};

static struct virtio v;
static u32 pairs, room; /* of a slot */
static bool large;
static u32 rest; /* buffers of the frame that is being looked at */

static struct frame *frame(u32 q, u32 slot)
{
	return (void *)(DATA_BASE + ((u64)(q / 2) * VQ_SIZE + slot) * room);
}

/* 5.1.6.5.5: without it the others of several pairs are not used. */
static void use_pairs(void)
{
	static const struct {
		u8 class, command;
	} set = { 4, 0 };
	static u16 number;
	static volatile u8 ack = 0xff;
	struct vq_buf bufs[] = { { &set, sizeof(set), false },
				 { &number, sizeof(number), false },
				 { &ack, 1, true } };

	number = (u16)pairs;
	vq_add(&v, CTRL, bufs, 3);
	vq_kick(&v, CTRL);
	if (vq_wait(&v, CTRL, NULL) < 0 || ack)
		give_up("the card does not take several pairs");
}

static void open_card(void)
{
	u64 wanted = VIRTIO_EVENT_IDX;

	if (large)
		wanted |= F_CSUM | F_GUEST_CSUM | F_GUEST_TSO4 | F_HOST_TSO4 | F_MRG_RXBUF;
	if (pairs > 1)
		wanted |= F_CTRL_VQ | F_MQ;
	if (!virtio_open(&v, VIRTIO_NET, 0))
		give_up("there is no virtio network card");
	count_interrupts(&v);
	if ((virtio_offered(&v) & wanted) != wanted || !virtio_negotiate(&v, wanted))
		give_up("the card has not what it takes");
	for (u32 q = 0; q < 2 * pairs; q++)
		if (!virtio_queue(&v, q, true))
			give_up("the card does not take its queues");
	if (pairs > 1 && !virtio_queue(&v, CTRL, false))
		give_up("the card does not take its queues");
}

/* One descriptor for each slot of the queue. */
static void fill_queue(u32 q, u32 bytes)
{
	for (u32 i = 0; i < v.q[q].size; i++) {
		struct vq_buf buf = { frame(q, i), bytes, q % 2 == RX };

		vq_chain(&v, q, (u16)i, &buf, 1);
	}
}

static void write_frame(struct frame *f, u32 bytes)
{
	memset(f, 0, sizeof(*f));
	memset(f->to, 0xff, sizeof(f->to));
	f->from[0] = 2; /* locally administered */
	f->proto = PROTO;
	if (!large)
		return;
	f->proto = PROTO_IP;
	f->virtio.flags = 1; /* NEEDS_CSUM */
	f->virtio.gso_type = 1;
	f->virtio.hdr_len = ETHER + sizeof(f->ip) + sizeof(f->tcp);
	f->virtio.gso_size = SEGMENT;
	f->virtio.csum_start = ETHER + sizeof(f->ip);
	f->virtio.csum_offset = 16;
	f->ip[0] = 0x45;
	f->ip[2] = (u8)((bytes - ETHER) >> 8);
	f->ip[3] = (u8)(bytes - ETHER);
	f->ip[9] = 6;
	f->tcp[12] = 0x50;
}

/* Is it the first of one of the flood's? Others are the host's own business. */
static bool counts(u32 q, u32 slot)
{
	const struct frame *f = frame(q, slot);

	if (q % 2 == TX)
		return true;
	if (large && rest) {
		rest--;
		return false;
	}
	if (large)
		rest = f->virtio.num_buffers - 1u;
	return large ? f->virtio.gso_type == 1 : f->proto == PROTO;
}

/* What came back to queue @q is offered again: true if there was something. */
static bool collect(u32 q, u32 *done, u32 *left, u64 *start)
{
	bool offered = false;
	int head;

	while ((head = vq_used(&v, q, NULL)) >= 0) {
		if (counts(q, (u32)head) && !(*done)++ && q % 2 == RX)
			*start = arch_cycles();
		if (!*left)
			continue;
		--*left;
		vq_offer(&v, q, (u16)head);
		offered = true;
	}
	if (offered)
		vq_kick(&v, q);
	return offered;
}

static void want_interrupts(u32 way, bool on)
{
	for (u32 q = way; q < 2 * pairs; q += 2)
		vq_interrupts(&v, q, on);
}

/* Moves frames until @frames came by; microseconds from the first on. */
static u64 run(u32 way, u32 frames)
{
	u32 done = 0, left = way == TX ? frames - pairs * v.q[way].size : ~0U;
	bool waited = false;
	u64 start;

	begin_measure();
	start = arch_cycles();
	for (u32 q = way; q < 2 * pairs; q += 2) {
		for (u32 i = 0; i < v.q[q].size; i++)
			vq_offer(&v, q, (u16)i);
		vq_kick(&v, q);
	}
	while (done < frames) {
		bool some = false;

		for (u32 q = way; q < 2 * pairs; q += 2)
			some |= collect(q, &done, &left, &start);
		if (some) {
			if (waited)
				want_interrupts(way, false);
			waited = false;
			continue;
		}
		/* What came before they were on is seen by one more look. */
		if (waited && done < frames)
			arch_wait();
		want_interrupts(way, true);
		waited = true;
	}
	return microseconds_since(start);
}

void measure_net(void)
{
	u32 way = has_word("send") ? TX : RX, frames = (u32)word_value("frames", 10000);
	u32 bytes = (u32)word_value("bytes", 1514);
	u64 took;

	pairs = (u32)word_value("pairs", 1);
	if (bytes < 60 || bytes > MAX_BYTES)
		give_up("bytes is 60 to 65535");
	if (!pairs || pairs > MAX_PAIRS)
		give_up("pairs is 1 or 2");
	large = bytes > 2 * BUF_SIZE - HDR;
	room = way == TX && large ? 68 * 1024 : 2 * BUF_SIZE;
	open_card();
	if (frames < pairs * v.q[way].size)
		give_up("there are fewer frames than the queues hold");
	for (u32 q = way; q < 2 * pairs; q += 2) {
		for (u32 i = 0; i < v.q[q].size && way == TX; i++)
			write_frame(frame(q, i), bytes);
		fill_queue(q, way == TX ? HDR + bytes : BUF_SIZE);
	}
	virtio_driver_ok(&v);
	if (pairs > 1)
		use_pairs();
	took = run(way, frames);
	print("@net %u %lu %u\n", frames, took, interrupts);
	end_measure();
}
