/* SPDX-License-Identifier: MIT */
/*
 * A network card with two pairs of queues. Word "rss": packets are spread by RSS with a table of
 * 0 1 1 0 and a key of 1, 2, 3...; else by the host. Says of each UDP packet its source port, the
 * pair that it came to and (if the card reports them) its hash, and echoes it by that pair; "all=N"
 * of them.
 */
#include "virtio.h"

#define F_CTRL_VQ     17
#define F_MQ	      22
#define F_HASH_REPORT 57
#define F_RSS	      60
#define CTRL	      4
#define CLASS_MQ      4
#define NR_BUFS	      16
#define KEY	      40

struct frame {
	u8 bytes[20 + 1514];
};

static struct virtio v;
static struct frame rx[2][NR_BUFS];
static u8 command[2 + 8 + 4 * 2 + 3 + KEY];
static volatile u8 ack;
static u32 hdr = 12;

static bool control(u32 len)
{
	struct vq_buf bufs[2] = { { command, len, false }, { &ack, 1, true } };

	ack = 0xff;
	vq_add(&v, CTRL, bufs, 2);
	vq_kick(&v, CTRL);
	return vq_wait(&v, CTRL, NULL) >= 0 && !ack;
}

static bool ask_for_pairs(void)
{
	command[0] = CLASS_MQ;
	command[1] = 0; /* VQ_PAIRS_SET */
	command[2] = 2;
	return control(4);
}

static bool ask_for_rss(void)
{
	static const u8 table[] = { 0, 1, 1, 0 };
	u8 *p = command + 2;

	command[0] = CLASS_MQ;
	command[1] = 1; /* RSS_CONFIG */
	p[0] = 4;	/* UDPv4 */
	p[4] = 3;	/* mask */
	p += 8;
	for (u32 i = 0; i < 4; i++, p += 2)
		p[0] = table[i];
	p[0] = 2; /* senders */
	p[2] = KEY;
	for (u32 i = 0; i < KEY; i++)
		p[3 + i] = (u8)(i + 1);
	return control(sizeof(command));
}

static void give(u32 pair, u32 i)
{
	v.q[2 * pair].next = (u16)i;
	vq_add(&v, 2 * pair, &(struct vq_buf){ &rx[pair][i], sizeof(rx[0][0]), true }, 1);
	vq_kick(&v, 2 * pair);
}

/* Is there a packet of ours in the pair? */
static bool look(u32 pair)
{
	u32 len;
	int i = vq_used(&v, 2 * pair, &len);
	u8 *f, *eth;
	bool ours;

	if (i < 0)
		return false;
	f = rx[pair][i].bytes;
	eth = f + hdr;
	ours = eth[12] == 8 && !eth[13] && eth[23] == 17 && eth[36] == 0x12 && eth[37] == 0x34;
	if (ours) {
		print("port %u pair %u hash %x\n", eth[34] << 8 | eth[35], pair,
		      hdr == 20 ? f[12] | f[13] << 8 | f[14] << 16 | (u32)f[15] << 24 : 0);
		memset(f, 0, hdr);
		eth[36] = 0x56; /* to another port, back */
		v.q[2 * pair + 1].next = 0;
		vq_add(&v, 2 * pair + 1, &(struct vq_buf){ f, len, false }, 1);
		vq_kick(&v, 2 * pair + 1);
		if (vq_wait(&v, 2 * pair + 1, NULL) < 0)
			print("the card keeps the packet\n");
	}
	give(pair, (u32)i);
	return ours;
}

int guest_main(void)
{
	u32 all = word_value("all", 1), seen = 0;
	u64 wanted, offered;

	if (!virtio_open(&v, VIRTIO_NET, 0))
		return 1;
	offered = virtio_offered(&v);
	print("offered%s%s%s\n", offered >> F_MQ & 1 ? " mq" : "",
	      offered >> F_RSS & 1 ? " rss" : "", offered >> F_HASH_REPORT & 1 ? " hash" : "");
	wanted = 1ULL << 5 | 1ULL << F_CTRL_VQ | 1ULL << F_MQ;
	if (has_word("rss"))
		wanted |= 1ULL << F_RSS | 1ULL << F_HASH_REPORT;
	if (!virtio_negotiate(&v, wanted & offered))
		return 2;
	if (wanted & offered & 1ULL << F_HASH_REPORT)
		hdr = 20;
	for (u32 q = 0; q <= CTRL; q++)
		if (!virtio_queue(&v, q, false))
			return 3;
	virtio_driver_ok(&v);
	for (u32 i = 0; i < 2 * NR_BUFS; i++)
		give(i % 2, i / 2);
	if (!(has_word("rss") ? ask_for_rss() : ask_for_pairs()))
		return 4;
	print("ready\n");
	while (seen < all)
		seen += look(0) + look(1);
	return 0;
}
