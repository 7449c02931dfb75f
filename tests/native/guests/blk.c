/* SPDX-License-Identifier: MIT */
/*
 * The first virtio disk. Words: at=SECTOR count=N choose sectors; read prints their checksum, write
 * fills them (word i of the range is i * 2654435761 + seed), flush, id, bad (requests that must
 * fail), header (write another format's), fill (write until an error comes), zero (write zeroes),
 * flood (several writes at once, registers while they are under way, after a key), poll (no
 * interrupts), wait (for a key at the end), grow (until the disk has another size), again (read
 * after that), wce (switch the write cache off).
 */
#include "virtio.h"

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_ID = 8, T_DISCARD = 11, T_ZEROES = 13 };

static struct virtio v;
static volatile u32 interrupts;
static bool use_interrupts;
static u32 data[8 * 128];

static void on_interrupt(void)
{
	interrupts++;
	virtio_ack(&v);
}

/* One request; its status, or -1 when nothing comes back. */
static int request(u32 type, u64 sector, void *p, u32 len, bool in)
{
	static struct {
		u32 type, ioprio;
		u64 sector;
	} hdr;
	static volatile u8 status;
	struct vq_buf bufs[3] = { { &hdr, 16, false }, { p, len, in }, { &status, 1, true } };
	u32 before = interrupts;

	hdr.type = type;
	hdr.sector = sector;
	status = 0xee;
	if (len) {
		vq_add(&v, 0, bufs, 3);
	} else {
		bufs[1] = bufs[2];
		vq_add(&v, 0, bufs, 2);
	}
	vq_kick(&v, 0);
	while (use_interrupts && interrupts == before)
		arch_wait();
	return vq_wait(&v, 0, NULL) < 0 ? -1 : status;
}

static void do_read(u64 at, u32 count)
{
	u32 sum = 0x811c9dc5;

	for (u32 i = 0; i < count; i += 8) {
		int status = request(T_IN, at + i, data, sizeof(data), true);

		if (status)
			print("read at %lu: status %d\n", at + i, status);
		for (u32 k = 0; k < ARRAY_SIZE(data); k++)
			sum = (sum ^ data[k]) * 0x01000193;
	}
	print("checksum %x\n", sum);
}

static int write_8(u64 at, u32 first, u32 seed)
{
	for (u32 k = 0; k < ARRAY_SIZE(data); k++)
		data[k] = (first + k) * 2654435761u + seed;
	return request(T_OUT, at, data, sizeof(data), false);
}

static void do_write(u64 at, u32 count, u32 seed)
{
	for (u32 i = 0; i < count; i += 8) {
		int status = write_8(at + i, i * 128, seed);

		if (status)
			print("write at %lu: status %d\n", at + i, status);
	}
	print("wrote %u sectors\n", count);
}

/* Until the host has no room: the error comes here, and the disk can still be read. */
static void do_fill(u64 sectors)
{
	int status = 0;
	u64 at = 0;

	while (!status && at < sectors) {
		status = write_8(at, 0, 1);
		at += status ? 0 : 8;
	}
	print("full at %lu: status %d\n", at, status);
	print("read: status %d\n", request(T_IN, 0, data, sizeof(data), true));
}

static void do_bad(u64 sectors)
{
	print("beyond the end: status %d\n", request(T_IN, sectors, data, 512, true));
	print("over the end: status %d\n", request(T_IN, sectors - 1, data, 1024, true));
	print("half a sector: status %d\n", request(T_IN, 0, data, 100, true));
	print("unknown: status %d\n", request(77, 0, data, 512, true));
	print("write: status %d\n", request(T_OUT, 0, data, 512, false));
	print("wild address: ");
	vq_add(&v, 0, &(struct vq_buf){ (void *)0xfffffffff000ULL, 4096, true }, 1);
	vq_kick(&v, 0);
	for (u64 start = arch_cycles(); !(virtio_status(&v) & 0x40) && !arch_hangs(start);)
		arch_pause();
	print("device status %x\n", virtio_status(&v));
}

/* What an image of another format begins with. */
static void do_header(void)
{
	data[0] = 0xfb494651; /* "QFI\xfb" */
	print("header: status %d\n", request(T_OUT, 0, data, 512, false));
}

static void do_zeroes(u64 at, u32 count)
{
	static struct {
		u64 sector;
		u32 count, flags;
	} range;

	range.sector = at;
	range.count = count;
	print("zeroes: status %d\n", request(T_ZEROES, 0, &range, 16, false));
	print("discard: status %d\n", request(T_DISCARD, 0, &range, 16, false));
}

/* Writes that the host holds until the test lets them go. */
static void do_flood(void)
{
	enum { N = 5 };
	static struct {
		u32 type, ioprio;
		u64 sector;
	} hdr[N];
	static volatile u8 status[N];
	u32 before = interrupts, bad = 0;

	for (u32 i = 0; i < N; i++) {
		struct vq_buf bufs[3] = { { &hdr[i], 16, false },
					  { data, 512, false },
					  { &status[i], 1, true } };

		hdr[i].type = T_OUT;
		hdr[i].sector = i;
		status[i] = 0xee;
		vq_add(&v, 0, bufs, 3);
	}
	vq_kick(&v, 0);
	while (arch_getc() < 0)
		arch_pause();
	virtio_ack(&v);
	print("registers answer: status %x, sectors %u\n", virtio_status(&v), read32(v.config));
	for (u32 i = 0; i < N; i++) {
		while (vq_used(&v, 0, NULL) < 0)
			arch_pause();
		while (!i && use_interrupts && interrupts == before)
			arch_wait();
		print("done %u\n", i + 1);
	}
	for (u32 i = 0; i < N; i++)
		bad += status[i] != 0;
	print("%u of %u failed, the last: status %u\n", bad, N, status[N - 1]);
}

static bool start(u64 *sectors)
{
	u64 offered, wce = has_word("wce");

	if (!virtio_open(&v, VIRTIO_BLK, 0)) {
		print("no disk\n");
		return false;
	}
	offered = virtio_offered(&v);
	*sectors = read32(v.config) | (u64)read32(v.config + 4) << 32;
	print("disk on %s: %lu sectors, blocks of %u, %s\n", v.pci ? "pci" : "mmio", *sectors,
	      read32(v.config + 20), offered & 1 << 5 ? "ro" : "rw");
	use_interrupts = !has_word("poll");
	arch_set_handler(VQ_VECTOR, on_interrupt);
	/* RO, BLK_SIZE, FLUSH, CONFIG_WCE, DISCARD, WRITE_ZEROES */
	if (!virtio_negotiate(
		    &v, offered & (1 << 5 | 1 << 6 | 1 << 9 | wce << 11 | 1 << 13 | 1 << 14)) ||
	    !virtio_queue(&v, 0, use_interrupts)) {
		print("the disk does not agree\n");
		return false;
	}
	virtio_driver_ok(&v);
	if (wce) {
		print("write cache %u\n", read8(v.config + 32));
		write8(v.config + 32, 0);
		print("write cache %u\n", read8(v.config + 32));
	}
	return true;
}

int guest_main(void)
{
	u64 at = word_value("at", 0), sectors;
	u32 count = (u32)word_value("count", 8);

	if (!start(&sectors))
		return 1;
	if (has_word("header"))
		do_header();
	if (has_word("id")) {
		request(T_ID, 0, data, 20, true);
		print("id '%s'\n", (char *)data);
	}
	if (has_word("read"))
		do_read(at, count);
	if (has_word("write"))
		do_write(at, count, (u32)word_value("seed", 0));
	if (has_word("zero"))
		do_zeroes(at, count);
	if (has_word("flood"))
		do_flood();
	if (has_word("fill"))
		do_fill(sectors);
	if (has_word("flush"))
		print("flush: status %d\n", request(T_FLUSH, 0, NULL, 0, false));
	if (has_word("bad"))
		do_bad(sectors);
	print("interrupts %s\n", interrupts ? "came" : "none");
	if (has_word("wait"))
		while (arch_getc() < 0)
			arch_pause();
	while (has_word("grow") && read32(v.config) == sectors)
		arch_pause();
	if (has_word("grow"))
		print("%u sectors now\n", read32(v.config));
	if (has_word("again")) {
		print("again\n");
		do_read(at, count);
	}
	return 0;
}
