/* SPDX-License-Identifier: MIT */
/*
 * A tiny client of 9P2000.L on the first shared directory. Words: read prints the checksum of the
 * file "data", write makes the file "made" of count=N words, escape asks for what is not below the
 * share, ro what a read-only one refuses, loop=N reads the file N times over, attributes=N asks for
 * its attributes N times, bad sends what is no message, wait keeps the session until a key comes.
 */
#include "virtio.h"

enum {
	LERROR = 6,
	LOPEN = 12,
	LCREATE = 14,
	GETATTR = 24,
	MKDIR = 72,
	UNLINKAT = 76,
	VERSION = 100,
	ATTACH = 104,
	WALK = 110,
	READ = 116,
	WRITE = 118,
	CLUNK = 120
};

#define VIRTIO_9P 9
#define ROOT	  1
#define FILE	  2
#define IO_SIZE	  (64 * 1024)

static struct virtio v;
static volatile u32 interrupts;
static u8 out[256];
static u32 at;
static u8 in[256];
static u32 data[IO_SIZE / 4];

static void on_interrupt(void)
{
	interrupts++;
	virtio_ack(&v);
}

static void put(u32 bytes, u64 value)
{
	while (bytes--) {
		out[at++] = (u8)value;
		value >>= 8;
	}
}

static u32 get(const u8 *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24;
}

static void put_string(const char *s)
{
	u32 len = 0;

	while (s[len])
		len++;
	put(2, len);
	for (u32 i = 0; i < len; i++)
		out[at++] = (u8)s[i];
}

static void begin(u8 type)
{
	at = 4;
	put(1, type);
	put(2, 5);
}

/* Send what was put, with @more bytes after it, and room for @into bytes after the header of the
 * answer. 0, or the error that came back. */
static int send(u32 more, u32 into)
{
	u32 len = at, before = interrupts, got = 0, n = 1;
	struct vq_buf bufs[4] = { { out, at, false } };

	at = 0;
	put(4, len + more);
	if (more)
		bufs[n++] = (struct vq_buf){ data, more, false };
	bufs[n++] = (struct vq_buf){ in, into ? 11 : sizeof(in), true };
	if (into)
		bufs[n++] = (struct vq_buf){ data, into, true };
	vq_add(&v, 0, bufs, n);
	vq_kick(&v, 0);
	while (interrupts == before)
		arch_wait();
	if (vq_wait(&v, 0, &got) < 0 || got < 7)
		return -1;
	return in[4] == LERROR + 1 ? (int)get(in + 7) : 0;
}

static int walk(u32 from, u32 fid, const char *a, const char *b)
{
	begin(WALK);
	put(4, from);
	put(4, fid);
	put(2, a ? b ? 2 : 1 : 0);
	if (a)
		put_string(a);
	if (b)
		put_string(b);
	return send(0, 0);
}

static int simple(u8 type, u32 fid, u32 width, u64 value)
{
	begin(type);
	put(4, fid);
	put(width, value);
	return send(0, 0);
}

static int named(u8 type, const char *name, u32 a, u32 b, u32 c)
{
	begin(type);
	put(4, type == LCREATE ? FILE : ROOT);
	put_string(name);
	put(4, a);
	if (type != UNLINKAT)
		put(4, b);
	if (type == LCREATE)
		put(4, c);
	return send(0, 0);
}

static int read_at(u64 offset, u32 count)
{
	begin(READ);
	put(4, FILE);
	put(8, offset);
	put(4, count);
	return send(0, count);
}

static void do_read(u32 rounds, bool show)
{
	u32 sum = 0x811c9dc5;
	u64 offset = 0, total = 0;
	int status = walk(ROOT, FILE, "data", NULL);

	if (!status)
		status = simple(LOPEN, FILE, 4, 0);
	for (u32 i = 0; i < rounds && !status; i++) {
		for (offset = 0; !(status = read_at(offset, IO_SIZE)) && get(in + 7);) {
			offset += get(in + 7);
			for (u32 k = 0; show && k < get(in + 7) / 4; k++)
				sum = (sum ^ data[k]) * 0x01000193;
		}
		total += offset;
	}
	print("read: status %d, %lu bytes, checksum %x\n", status, total, sum);
	simple(CLUNK, FILE, 0, 0);
}

static void do_write(u32 words)
{
	int status = walk(ROOT, FILE, NULL, NULL);
	u64 offset = 0;

	if (!status)
		status = named(LCREATE, "made", 2, 0640, 0);
	while (!status && offset < words * 4u) {
		u32 len = words * 4 - (u32)offset;

		len = len < IO_SIZE ? len : IO_SIZE;
		for (u32 i = 0; i < len / 4; i++)
			data[i] = ((u32)offset / 4 + i) * 2654435761u;
		begin(WRITE);
		put(4, FILE);
		put(8, offset);
		put(4, len);
		status = send(len, 0);
		offset += len;
	}
	print("wrote: status %d\n", status);
	simple(CLUNK, FILE, 0, 0);
}

static void do_escape(void)
{
	print("beside: status %d\n", walk(ROOT, 3, "..", "secret"));
	print("beside: %u of 2 names\n", in[7]);
	print("path: status %d\n", walk(ROOT, 3, "../secret", NULL));
	print("link: status %d\n", walk(ROOT, 3, "out", NULL));
	print("open of the link: status %d\n", simple(LOPEN, 3, 4, 0));
}

static void do_readonly(void)
{
	walk(ROOT, FILE, NULL, NULL);
	print("create: status %d\n", named(LCREATE, "made", 2, 0640, 0));
	print("mkdir: status %d\n", named(MKDIR, "dir", 0755, 0, 0));
	print("unlink: status %d\n", named(UNLINKAT, "data", 0, 0, 0));
	simple(CLUNK, FILE, 0, 0);
}

static void do_attributes(u32 n)
{
	int status = walk(ROOT, FILE, "data", NULL);

	for (u32 i = 0; i < n && !status; i++)
		status = simple(GETATTR, FILE, 8, 0x7ff);
	print("attributes: status %d\n", status);
	simple(CLUNK, FILE, 0, 0);
}

static void do_bad(void)
{
	vq_add(&v, 0, &(struct vq_buf){ out, 3, false }, 1);
	vq_kick(&v, 0);
	while (!(virtio_status(&v) & 0x40))
		arch_pause();
	print("device status %x\n", virtio_status(&v));
}

static bool start(void)
{
	char tag[17] = "";
	u32 msize;

	if (!virtio_open(&v, VIRTIO_9P, 0)) {
		print("no share\n");
		return false;
	}
	for (u32 i = 0; i < 16 && i < read8(v.config); i++)
		tag[i] = (char)read8(v.config + 2 + i);
	arch_set_handler(VQ_VECTOR, on_interrupt);
	if (!virtio_negotiate(&v, 1) || !virtio_queue(&v, 0, true)) {
		print("the device does not agree\n");
		return false;
	}
	virtio_driver_ok(&v);
	begin(VERSION);
	put(4, IO_SIZE + 24);
	put_string("9P2000.L");
	if (send(0, 0))
		return false;
	msize = get(in + 7);
	begin(ATTACH);
	put(4, ROOT);
	put(4, ~0u);
	put_string("user");
	put_string("");
	put(4, 0);
	print("share '%s', messages of %u bytes, attach: status %d\n", tag, msize, send(0, 0));
	return true;
}

int guest_main(void)
{
	if (!start())
		return 1;
	if (has_word("read"))
		do_read(1, true);
	if (has_word("write"))
		do_write((u32)word_value("count", 100000));
	if (has_word("escape"))
		do_escape();
	if (has_word("ro"))
		do_readonly();
	if (word_value("loop", 0))
		do_read((u32)word_value("loop", 0), false);
	if (word_value("attributes", 0))
		do_attributes((u32)word_value("attributes", 0));
	if (has_word("bad"))
		do_bad();
	if (has_word("wait"))
		while (arch_getc() < 0)
			arch_pause();
	return 0;
}
