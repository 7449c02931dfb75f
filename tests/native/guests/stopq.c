/* SPDX-License-Identifier: MIT */
/*
 * A queue that the driver takes back: gives receive buffers to the console (word con) or the
 * network card (net), stops the queue, uses the memory for something else, lets the host send, and
 * gives other buffers. What comes must be in those, and the first ones must be untouched.
 */
#include "virtio.h"

#define RX	   0
#define TX	   1
#define NR	   4
#define SIZE	   2048
#define RING_RESET (1UL << 40)

/* 4.1.4.3 and 4.2.2 */
enum { C_Q_SELECT = 22, C_Q_RESET = 58, M_Q_SELECT = 0x30, M_Q_READY = 0x44 };

static struct virtio v;
static volatile u8 first[NR][SIZE], second[NR][SIZE];
static u8 frame[12 + 60];

static bool stopped(void)
{
	return v.pci ? !read16(v.common + C_Q_RESET) : !read32(v.common + M_Q_READY);
}

static void stop(void)
{
	if (v.pci) {
		write16(v.common + C_Q_SELECT, RX);
		write16(v.common + C_Q_RESET, 1);
	} else {
		write32(v.common + M_Q_SELECT, RX);
		write32(v.common + M_Q_READY, 0);
	}
	while (!stopped())
		arch_pause();
}

static void give(volatile u8 (*bufs)[SIZE])
{
	for (u32 i = 0; i < NR; i++)
		vq_add(&v, RX, &(struct vq_buf){ bufs[i], SIZE, true }, 1);
	vq_notify(&v, RX);
}

static u32 touched(void)
{
	u32 n = 0;

	for (u32 i = 0; i < NR; i++)
		for (u32 k = 0; k < SIZE; k++)
			n += first[i][k] != 0x5a;
	return n;
}

/* Asks whoever listens to send something; a frame or a line. */
static void ask(bool net)
{
	static const char line[] = "stopped\n";

	if (net) {
		memset(frame + 12, 0xff, 6);
		frame[12 + 12] = 0x88; /* IEEE 802 local experimental */
		frame[12 + 13] = 0xb5;
		memcpy(frame + 26, "ping 0", 6);
		vq_add(&v, TX, &(struct vq_buf){ frame, sizeof(frame), false }, 1);
	} else {
		vq_add(&v, TX, &(struct vq_buf){ line, sizeof(line) - 1, false }, 1);
	}
	vq_kick(&v, TX);
	vq_wait(&v, TX, NULL);
}

int guest_main(void)
{
	bool net = has_word("net");

	if (!virtio_open(&v, net ? VIRTIO_NET : VIRTIO_CONSOLE, 0) ||
	    !virtio_negotiate(&v, RING_RESET) || !virtio_queue(&v, RX, false) ||
	    !virtio_queue(&v, TX, false))
		return 11;
	virtio_driver_ok(&v);
	give(first);
	/* Time for the device to take some of them; right or wrong does not depend on it. */
	for (u32 i = 0; i < 20000; i++)
		arch_pause();
	stop();
	for (u32 i = 0; i < NR; i++)
		memset((void *)first[i], 0x5a, SIZE);
	ask(net);
	/* Nor on this: the host's answer comes, most likely while the queue is stopped. */
	for (u32 i = 0; i < 10 && !touched(); i++)
		for (u32 k = 0; k < 1000; k++)
			arch_pause();
	if (touched())
		return 12;
	v.q[RX].next = v.q[RX].avail = v.q[RX].last_used = 0;
	if (!virtio_queue(&v, RX, false))
		return 13;
	give(second);
	while (vq_used(&v, RX, NULL) < 0)
		arch_pause();
	if (touched())
		return 14;
	return 20;
}
