/* SPDX-License-Identifier: MIT */
/*
 * Every virtio disk: the first word of its first sector is its number, from 0 to count=N - 1. Each
 * is asked by a notification and answers by an interrupt (poll: none); none stands for two. Each is
 * reset before the next one uses its ring: a device may look there whenever it likes.
 */
#include "virtio.h"

static struct virtio v;
static volatile u32 interrupts;
static u8 seen[4096];
static u32 data[128];

static void on_interrupt(void)
{
	interrupts++;
	virtio_ack(&v);
}

static bool read_first(bool poll)
{
	static const struct {
		u32 type, ioprio;
		u64 sector;
	} hdr;
	static volatile u8 status;
	const struct vq_buf bufs[3] = { { &hdr, 16, false },
					{ data, 512, true },
					{ &status, 1, true } };
	u32 before = interrupts;

	status = 0xee;
	vq_add(&v, 0, bufs, 3);
	vq_kick(&v, 0);
	while (!poll && interrupts == before)
		arch_wait();
	return vq_wait(&v, 0, NULL) >= 0 && !status;
}

int guest_main(void)
{
	u32 count = (u32)word_value("count", 0), n;
	bool poll = has_word("poll");

	arch_set_handler(VQ_VECTOR, on_interrupt);
	for (n = 0; virtio_open(&v, VIRTIO_BLK, n); n++) {
		if (!virtio_negotiate(&v, 0) || !virtio_queue(&v, 0, !poll)) {
			print("disk %u does not agree\n", n);
			return 1;
		}
		virtio_driver_ok(&v);
		if (!read_first(poll)) {
			print("disk %u: no sector\n", n);
			return 1;
		}
		if (data[0] >= count || data[0] >= sizeof(seen) || seen[data[0]]++) {
			print("disk %u says that it is %u\n", n, data[0]);
			return 1;
		}
		virtio_reset(&v);
	}
	print("%u disks, each once\n", n);
	return n != count;
}
