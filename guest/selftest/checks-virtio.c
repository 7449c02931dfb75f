/* SPDX-License-Identifier: MIT */
/*
 * Checks of the virtio devices (VIRTIO 1.3, section 5), one after the other, with interrupts. lkvm
 * prepares what stands behind them (selftest/run.c): a disk with a pattern, a network and a console
 * that send back what they get.
 */
#include "selftest.h"

static struct virtio v;
static volatile u32 interrupts[VQ_MAX];
static u64 form; /* of the rings, as far as the device offers it */

/* A line may be seen raised once more before its fall gets through: without a reason it is none. */
static void on_queue(u32 q)
{
	if (!v.line || virtio_ack(&v))
		interrupts[q]++;
}

static void on_queue_0(void)
{
	on_queue(0);
}

static void on_queue_1(void)
{
	on_queue(1);
}

/* By a line all queues share the vector of the first. */
static volatile u32 *counter(u32 q)
{
	return &interrupts[v.line ? 0 : q];
}

static bool start(u32 id, u64 features, u32 queues)
{
	if (!expect("device found", virtio_open(&v, id, 0), true))
		return false;
	for (u32 q = 0; q < VQ_MAX; q++)
		interrupts[q] = 0;
	arch_set_handler(VQ_VECTOR, on_queue_0);
	arch_set_handler(VQ_VECTOR + 1, on_queue_1);
	features = (features | form) & virtio_offered(&v);
	if (!expect("features accepted", virtio_negotiate(&v, features), true))
		return false;
	for (u32 q = 0; q < queues; q++)
		if (!expect("queue accepted", virtio_queue(&v, q, true), true))
			return false;
	virtio_driver_ok(&v);
	return expect("device status", virtio_status(&v), 0xf);
}

/* Kick, and wait for the interrupt and one used buffer: its length, or -1. */
static int transfer(u32 q, const struct vq_buf *bufs, u32 n)
{
	u32 before = *counter(q), len = 0;

	vq_add(&v, q, bufs, n);
	vq_kick(&v, q);
	if (!expect("an interrupt", wait_for(counter(q), before + 1), true))
		return -1;
	if (!expect("buffer comes back", vq_wait(&v, q, &len) >= 0, true))
		return -1;
	return (int)len;
}

/* Interrupts */

static u32 words[32];

static void check_msix(void)
{
	u32 entry = (u32)v.msix;

	expect("MSI-X is there", v.msix != 0, true);
	write32(entry + 12, 1); /* mask: PCI 3.0, 6.8.2.9 */
	vq_add(&v, 0, &(struct vq_buf){ words, sizeof(words), true }, 1);
	vq_kick(&v, 0);
	expect("buffer comes back", vq_wait(&v, 0, NULL), 0);
	let_interrupts_in();
	expect("interrupts while masked", interrupts[0], 0);
	expect("pending bit while masked", read32(v.msix_pending) & 1, 1);
	write32(entry + 12, 0);
	expect("an interrupt", wait_for(&interrupts[0], 1), true);
	expect("pending bit afterwards", read32(v.msix_pending) & 1, 0);
}

static void check_line(void)
{
	expect("bytes", (u64)transfer(0, &(struct vq_buf){ words, sizeof(words), true }, 1),
	       sizeof(words));
	let_interrupts_in();
	expect("interrupts of one buffer", interrupts[0], 1);
	expect("reasons left after the acknowledge", virtio_ack(&v), 0);
}

static const char *check_interrupts(void)
{
	if (!start(VIRTIO_RNG, 0, 1))
		return NULL;
	if (v.line)
		check_line();
	else
		check_msix();
	virtio_reset(&v);
	return NULL;
}

static const char *check_rng(void)
{
	u32 same = 0, first[32];

	if (!start(VIRTIO_RNG, 0, 1))
		return NULL;
	for (u32 round = 0; round < 2; round++) {
		memset(words, 0, sizeof(words));
		expect("bytes", (u64)transfer(0, &(struct vq_buf){ words, sizeof(words), true }, 1),
		       sizeof(words));
		for (u32 i = 0; i < ARRAY_SIZE(words); i++) {
			same += !words[i] || (round && words[i] == first[i]);
			first[i] = words[i];
		}
	}
	/* Two words of 64 are zero or as before once in 2^50 times. */
	expect("words are random", same < 2, true);
	virtio_reset(&v);
	return NULL;
}

/* virtio-blk (5.2) */

enum { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH = 4 };
#define F_BLK_FLUSH (1 << 9)
/* What selftest/run.c puts on the disk, and where it looks for what we wrote. */
#define PATTERN(i, seed) ((u32)(i)*2654435761u + (seed))
#define SECTORS		 2048
#define READ_AT		 0
#define WRITE_AT	 64

static u32 block[8 * 128];

static int blk_request(u32 type, u64 sector, u32 len)
{
	static struct {
		u32 type, ioprio;
		u64 sector;
	} hdr;
	static volatile u8 status;
	struct vq_buf bufs[3] = { { &hdr, 16, false },
				  { block, len, type == BLK_IN },
				  { &status, 1, true } };

	hdr.type = type;
	hdr.sector = sector;
	status = 0xee;
	if (!len)
		bufs[1] = bufs[2];
	return transfer(0, bufs, len ? 3 : 2) < 0 ? -1 : status;
}

static u32 wrong_words(u32 first, u32 seed)
{
	u32 wrong = 0;

	for (u32 i = 0; i < ARRAY_SIZE(block); i++)
		wrong += block[i] != PATTERN(first + i, seed);
	return wrong;
}

static const char *check_blk(void)
{
	if (!start(VIRTIO_BLK, F_BLK_FLUSH, 1))
		return NULL;
	expect("sectors", read32(v.config), SECTORS);
	expect("flush is offered", virtio_offered(&v) & F_BLK_FLUSH, F_BLK_FLUSH);
	memset(block, 0, sizeof(block));
	expect("status of a read", (u64)blk_request(BLK_IN, READ_AT, sizeof(block)), 0);
	expect("words read that are wrong", wrong_words(READ_AT * 128, 1), 0);
	for (u32 i = 0; i < ARRAY_SIZE(block); i++)
		block[i] = PATTERN(WRITE_AT * 128 + i, 2);
	expect("status of a write", (u64)blk_request(BLK_OUT, WRITE_AT, sizeof(block)), 0);
	expect("status of a flush", (u64)blk_request(BLK_FLUSH, 0, 0), 0);
	virtio_reset(&v);
	return check_disk_survives();
}

const char *check_disk_survives(void)
{
	u32 sum = 0x811c9dc5;

	if (!start(VIRTIO_BLK, F_BLK_FLUSH, 1))
		return NULL;
	for (u32 i = 0; i < ARRAY_SIZE(block); i++)
		sum = (sum ^ PATTERN(WRITE_AT * 128 + i, 2)) * 0x01000193;
	memset(block, 0, sizeof(block));
	expect("status of a read", (u64)blk_request(BLK_IN, WRITE_AT, sizeof(block)), 0);
	expect("checksum of what was written", checksum(block, sizeof(block)), sum);
	virtio_reset(&v);
	return NULL;
}

/* virtio-net (5.1) */

enum { RX, TX };
#define NET_HDR 12

struct frame {
	u8 virtio[NET_HDR];
	u32 data[380]; /* 1520 bytes */
};

static struct frame sent, got[4];

static void check_frame(u32 round, u32 len)
{
	u32 before = *counter(RX), in = 0, wrong = 0;
	int head;

	memset(sent.virtio, 0, NET_HDR);
	for (u32 i = 0; i < (len + 3) / 4; i++)
		sent.data[i] = PATTERN(i, round + 3);
	if (transfer(TX, &(struct vq_buf){ &sent, NET_HDR + len, false }, 1) < 0)
		return;
	wait_for(counter(RX), before + 1);
	head = vq_wait(&v, RX, &in);
	if (!expect("frame comes back", head >= 0, true))
		return;
	expect("length of the frame", in, NET_HDR + len);
	expect("buffers of the frame", got[head].virtio[10], 1);
	for (u32 i = 0; i < len / 4; i++)
		wrong += got[head].data[i] != sent.data[i];
	expect("words of the frame that are wrong", wrong, 0);
}

static const char *check_net(void)
{
	static const u32 lengths[] = { 60, 64, 592, 1512 };

	if (!start(VIRTIO_NET, 1 << 5 | 1 << 15, 2)) /* MAC, MRG_RXBUF */
		return NULL;
	expect("address is one card's", read8(v.config) & 1, 0);
	for (u32 i = 0; i < ARRAY_SIZE(got); i++)
		vq_add(&v, RX, &(struct vq_buf){ &got[i], sizeof(got[i]), true }, 1);
	vq_kick(&v, RX);
	for (u32 i = 0; i < ARRAY_SIZE(lengths); i++)
		check_frame(i, lengths[i]);
	virtio_reset(&v);
	return NULL;
}

/* virtio-console (5.3) */

static const char *check_console(void)
{
	static const char text[] = "The quick brown fox jumps over the lazy dog.\n";
	static char back[64];
	u32 n = 0, len;

	if (!start(VIRTIO_CONSOLE, 0, 2))
		return NULL;
	transfer(TX, &(struct vq_buf){ text, sizeof(text) - 1, false }, 1);
	/* It comes back in any number of pieces. */
	while (n < sizeof(text) - 1) {
		vq_add(&v, RX, &(struct vq_buf){ back + n, (u32)sizeof(back) - n, true }, 1);
		vq_kick(&v, RX);
		if (!expect("text comes back", vq_wait(&v, RX, &len) >= 0, true))
			break;
		n += len;
	}
	expect("length of the text", n, sizeof(text) - 1);
	expect("the text is the same", memcmp(text, back, sizeof(text) - 1) == 0, true);
	virtio_reset(&v);
	return NULL;
}

/* A ring in the other form (2.8), all over */
static const char *check_packed(void)
{
	form = VIRTIO_PACKED | VIRTIO_EVENT_IDX | VIRTIO_INDIRECT;
	check_rng();
	form = 0;
	return NULL;
}

const struct check virtio_checks[] = {
	{ "interrupts of a device: masked, pending, delivered", check_interrupts },
	{ "virtio-rng", check_rng },
	{ "virtio-blk: read, write, flush", check_blk },
	{ "virtio-net: frames come back", check_net },
	{ "virtio-console: text comes back", check_console },
	{ "virtio-rng with a packed ring", check_packed },
};
const u32 nr_virtio_checks = ARRAY_SIZE(virtio_checks);
