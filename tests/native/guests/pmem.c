/* SPDX-License-Identifier: MIT */
/*
 * Persistent memory. Words: nth=N chooses one; at=BYTE count=BYTES a part; read prints its
 * checksum, write fills it (word i is i * 2654435761 + seed), flush, flood (of flushes), bad
 * (requests that must fail), reset (with flushes left behind), out and in (write the first disk
 * from the part, and read it there), short (a request without room for an answer), wait (for a
 * key), later (in, after that), again (read after that).
 */
#include "virtio.h"

#define PMEM 27
#define GIB  (1ULL << 30)

static struct virtio v, disk;
static u64 start, size;

static volatile u32 *part(void)
{
	return (volatile u32 *)(start + word_value("at", 0));
}

static u32 words(void)
{
	return (u32)word_value("count", 4096) / 4;
}

static void do_read(void)
{
	print("checksum %x\n", checksum((const void *)part(), words() * 4ULL));
}

static void do_write(void)
{
	u32 seed = (u32)word_value("seed", 0);

	for (u32 i = 0; i < words(); i++)
		part()[i] = i * 2654435761u + seed;
	print("wrote %u bytes\n", words() * 4);
}

/* The answer, or -1: nothing comes back. */
static int request(u32 type, u32 len, u32 room)
{
	static u32 req;
	static volatile u32 resp;
	struct vq_buf bufs[2] = { { &req, len, false }, { &resp, room, true } };

	req = type;
	resp = 0xeeeeeeee;
	vq_add(&v, 0, len ? bufs : bufs + 1, len ? 2 : 1);
	vq_kick(&v, 0);
	return vq_wait(&v, 0, NULL) < 0 ? -1 : (int)resp;
}

/* As many at once as the queue has places for. */
static void do_flood(void)
{
	static u32 req;
	static volatile u32 resp[VQ_SIZE];
	u32 n = v.q[0].size / 2, bad = 0;

	for (u32 turn = 0; turn < 3; turn++) {
		for (u32 i = 0; i < n; i++) {
			struct vq_buf bufs[2] = { { &req, 4, false }, { &resp[i], 4, true } };

			resp[i] = 0xeeeeeeee;
			vq_add(&v, 0, bufs, 2);
			vq_notify(&v, 0);
		}
		for (u32 i = 0; i < n; i++)
			bad += vq_wait(&v, 0, NULL) < 0;
		for (u32 i = 0; i < n; i++)
			bad += resp[i] != 0;
	}
	print("flood of %u: %u bad\n", n, bad);
}

static bool start_queue(void)
{
	if (!virtio_negotiate(&v, 0) || !virtio_queue(&v, 0, false)) {
		print("the device does not agree\n");
		return false;
	}
	virtio_driver_ok(&v);
	return true;
}

/* Flushes are left behind; the device is as new afterwards. */
static void do_reset(u32 nth)
{
	static u32 req;
	static volatile u32 resp;
	struct vq_buf bufs[2] = { { &req, 4, false }, { &resp, 4, true } };

	for (u32 i = 0; i < 8; i++)
		vq_add(&v, 0, bufs, 2);
	vq_notify(&v, 0);
	if (virtio_open(&v, PMEM, nth) && start_queue())
		print("after a reset: flush %d\n", request(0, 4, 4));
}

/* A sector of the first disk, to or from the part. */
static void do_disk(bool in)
{
	static struct {
		u32 type, ioprio;
		u64 sector;
	} hdr;
	static volatile u8 status;
	struct vq_buf bufs[3] = { { &hdr, 16, false }, { part(), 512, in }, { &status, 1, true } };

	disk.ring = VQ_MAX;
	hdr.type = !in;
	status = 0xee;
	if (!virtio_open(&disk, VIRTIO_BLK, 0) || !virtio_negotiate(&disk, 0) ||
	    !virtio_queue(&disk, 0, false)) {
		print("no disk\n");
		return;
	}
	virtio_driver_ok(&disk);
	vq_add(&disk, 0, bufs, 3);
	vq_kick(&disk, 0);
	while (vq_used(&disk, 0, NULL) < 0 && !(virtio_status(&disk) & VIRTIO_NEEDS_RESET))
		arch_pause();
	if (virtio_status(&disk) & VIRTIO_NEEDS_RESET)
		print("disk %s: nothing, status %x\n", in ? "in" : "out", virtio_status(&disk));
	else
		print("disk %s: status %u\n", in ? "in" : "out", status);
}

static void wait_for_key(void)
{
	while (arch_getc() < 0)
		arch_pause();
}

int guest_main(void)
{
	u32 nth = (u32)word_value("nth", 0);

	if (!virtio_open(&v, PMEM, nth)) {
		print("no pmem\n");
		return 1;
	}
	start = read32(v.config) | (u64)read32(v.config + 4) << 32;
	size = read32(v.config + 8) | (u64)read32(v.config + 12) << 32;
	print("pmem on %s: %lu at %lx\n", v.pci ? "pci" : "mmio", size, start);
	if (!start_queue())
		return 1;
	arch_map_gib(start & ~(GIB - 1));
	if (has_word("read"))
		do_read();
	if (has_word("write"))
		do_write();
	if (has_word("flush"))
		print("flush %d\n", request(0, 4, 4));
	if (has_word("flood"))
		do_flood();
	if (has_word("bad"))
		print("unknown %d, no type %d, half a type %d\n", request(7, 4, 4),
		      request(0, 0, 4), request(0, 2, 4));
	if (has_word("reset"))
		do_reset(nth);
	if (has_word("out"))
		do_disk(false);
	if (has_word("in"))
		do_disk(true);
	if (has_word("short")) {
		vq_add(&v, 0, &(struct vq_buf){ &size, 4, false }, 1);
		vq_kick(&v, 0);
		while (!(virtio_status(&v) & VIRTIO_NEEDS_RESET))
			arch_pause();
		print("short: status %x\n", virtio_status(&v));
	}
	if (has_word("wait")) {
		print("waiting\n");
		wait_for_key();
	}
	if (has_word("later"))
		do_disk(true);
	if (has_word("again"))
		do_read();
	print("end\n");
	return 0;
}
