/* SPDX-License-Identifier: MIT */
/*
 * Numbered frames of an experimental protocol, both ways: waits for a key before its driver starts,
 * sends a hundred at once, only then gives buffers to receive into, and takes all=N frames, of
 * which none may be missing.
 */
#include "virtio.h"

#define HDR   12
#define PROTO 0xb588 /* IEEE 802 local experimental 1, 0x88b5, in network order */
#define RX    0
#define TX    1
#define SENT  100

struct frame {
	u8 virtio[HDR];
	u8 to[6], from[6];
	u16 proto;
	char text[6];
	u8 number[4];
	char rest[1490];
};

static struct virtio v;
static struct frame rx[8], tx;

static void send(u32 n)
{
	memset(&tx, 0, sizeof(tx));
	memset(tx.to, 0xff, 6);
	tx.from[0] = 2;
	tx.proto = PROTO;
	memcpy(tx.text, "number", 6);
	memcpy(tx.number, &n, 4);
	vq_add(&v, TX, &(struct vq_buf){ &tx, HDR + 60, false }, 1);
	vq_kick(&v, TX);
	while (vq_used(&v, TX, NULL) < 0)
		arch_pause();
}

/* The next frame of ours; other ones are the host's own business. */
static u32 receive(void)
{
	for (;;) {
		int head = vq_used(&v, RX, NULL);
		struct frame *f;
		bool ours;
		u32 n;

		if (head < 0) {
			arch_pause();
			continue;
		}
		f = &rx[head];
		ours = f->proto == PROTO && !memcmp(f->text, "number", 6);
		memcpy(&n, f->number, 4);
		v.q[RX].next = (u16)head;
		vq_add(&v, RX, &(struct vq_buf){ f, sizeof(*f), true }, 1);
		vq_kick(&v, RX);
		if (ours)
			return n;
	}
}

int guest_main(void)
{
	u32 all = word_value("all", 1);

	print("before the driver\n");
	while (arch_getc() < 0)
		arch_pause();
	if (!virtio_open(&v, VIRTIO_NET, 0) || !virtio_negotiate(&v, 0) ||
	    !virtio_queue(&v, RX, false) || !virtio_queue(&v, TX, false)) {
		print("no card\n");
		return 1;
	}
	virtio_driver_ok(&v);
	for (u32 n = 0; n < SENT; n++)
		send(n);
	for (u32 i = 0; i < ARRAY_SIZE(rx); i++)
		vq_add(&v, RX, &(struct vq_buf){ &rx[i], sizeof(rx[i]), true }, 1);
	vq_kick(&v, RX);
	for (u32 n = 0; n < all; n++) {
		u32 got = receive();

		if (got != n) {
			print("frame %u came instead of %u\n", got, n);
			return 2;
		}
	}
	print("%u frames in order\n", all);
	return 0;
}
