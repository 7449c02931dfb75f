/* SPDX-License-Identifier: MIT */
/*
 * The first virtio network card: sends "ping N" frames of an experimental protocol until "pong"
 * comes back, says from whom and how long it was; or until a key comes, or there were as many as
 * "pings" says.
 */
#include "virtio.h"

#define HDR   12
#define PROTO 0xb588 /* IEEE 802 local experimental 1, 0x88b5, in network order */
#define RX    0
#define TX    1

struct frame {
	u8 virtio[HDR];
	u8 to[6], from[6];
	u16 proto;
	char text[1500];
};

static struct virtio v;
static struct frame rx[4], tx;

/* Answers "pong"; other frames are the host's own business. */
static bool look(void)
{
	u32 len;
	int head = vq_used(&v, RX, &len);
	struct frame *f;

	if (head < 0)
		return false;
	f = &rx[head];
	if (f->proto == PROTO && !memcmp(f->text, "pong", 4)) {
		print("pong of %u bytes, %u buffer, sum %x\n", len - HDR,
		      f->virtio[10] | f->virtio[11] << 8, checksum(f->text, 64));
		return true;
	}
	v.q[RX].next = (u16)head;
	vq_add(&v, RX, &(struct vq_buf){ f, sizeof(*f), true }, 1);
	vq_kick(&v, RX);
	return false;
}

static void ping(u32 n)
{
	memset(&tx, 0, HDR);
	memset(tx.to, 0xff, 6);
	for (u32 i = 0; i < 6; i++)
		tx.from[i] = read8(v.config + i);
	tx.proto = PROTO;
	memcpy(tx.text, "ping ", 5);
	tx.text[5] = (char)('0' + n % 10);
	memset(tx.text + 6, 'x', 58);
	vq_add(&v, TX, &(struct vq_buf){ &tx, HDR + 14 + 64, false }, 1);
	vq_kick(&v, TX);
	if (vq_wait(&v, TX, NULL) < 0)
		print("the card keeps the packet\n");
}

/* Say nothing to anybody, and what becomes of the @link that was said last, until a key. */
static void watch(u32 link)
{
	u32 now;

	while (arch_getc() < 0) {
		now = read16(v.config + 6);
		if (now != link)
			print("link is %u\n", now);
		link = now;
		arch_pause();
	}
}

int guest_main(void)
{
	u32 pings = word_value("pings", 0xffffffff);
	u64 offered;
	u32 link;

	if (!virtio_open(&v, VIRTIO_NET, 0)) {
		print("no card\n");
		return 1;
	}
	offered = virtio_offered(&v);
	if (!virtio_negotiate(&v, offered & (1 << 3 | 1 << 5 | 1 << 15 | 1 << 16)) ||
	    !virtio_queue(&v, RX, false) || !virtio_queue(&v, TX, false)) {
		print("the card does not agree\n");
		return 1;
	}
	virtio_driver_ok(&v);
	link = read16(v.config + 6);
	print("card %x:%x:%x:%x:%x:%x mtu %u link %u\n", read8(v.config), read8(v.config + 1),
	      read8(v.config + 2), read8(v.config + 3), read8(v.config + 4), read8(v.config + 5),
	      read16(v.config + 10), link);
	for (u32 i = 0; i < ARRAY_SIZE(rx); i++)
		vq_add(&v, RX, &(struct vq_buf){ &rx[i], sizeof(rx[i]), true }, 1);
	vq_kick(&v, RX);
	if (word_value("watch", 0)) {
		watch(link);
		return 0;
	}
	for (u32 n = 0; n < pings; n++) {
		ping(n);
		for (u32 i = 0; i < 20000; i++) {
			if (look())
				return 0;
			if (arch_getc() >= 0) {
				print("no pong\n");
				return 1;
			}
			arch_pause();
		}
	}
	print("no pong\n");
	return 1;
}
