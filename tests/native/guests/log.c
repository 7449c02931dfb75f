/* SPDX-License-Identifier: MIT */
/*
 * A log of many lines: kib=N of them, 64 bytes each, by the serial port, byte after byte; or with
 * the word virtio by a virtio console, size=N bytes in a buffer, one buffer at a time and, with the
 * word irq, an interrupt for each. The word tail adds one line without an end. Ends with status 0
 * at once.
 */
#include "virtio.h"

#define LINE 64

static struct virtio v;
static volatile u32 interrupts;

static void on_interrupt(void)
{
	if (v.line)
		virtio_ack(&v);
	interrupts++;
}

/* "0000012 ..." and CR LF, as a terminal wants it. */
static void make_line(char *line, u32 n)
{
	memset(line, '.', LINE);
	for (u32 i = 7; i--; n /= 10)
		line[i] = (char)('0' + n % 10);
	line[7] = ' ';
	line[LINE - 2] = '\r';
	line[LINE - 1] = '\n';
}

static void by_serial(const char *p, u32 len)
{
	for (u32 i = 0; i < len; i++)
		if (p[i] != '\r') /* comes by itself */
			arch_putc(p[i]);
}

static void by_virtio(const char *p, u32 len)
{
	u32 size = (u32)word_value("size", LINE);

	for (u32 at = 0; at < len; at += size) {
		vq_add(&v, 1, &(struct vq_buf){ p + at, len - at < size ? len - at : size, false },
		       1);
		vq_kick(&v, 1);
		while (vq_used(&v, 1, NULL) < 0)
			arch_pause();
	}
}

static bool open_virtio(void)
{
	if (!virtio_open(&v, VIRTIO_CONSOLE, 0) || !virtio_negotiate(&v, 0))
		return false;
	for (u32 q = 0; q < 2; q++)
		arch_set_handler(VQ_VECTOR + q, on_interrupt);
	if (!virtio_queue(&v, 0, false) || !virtio_queue(&v, 1, has_word("irq")))
		return false;
	virtio_driver_ok(&v);
	return true;
}

int guest_main(void)
{
	static char line[LINE];
	u32 lines = (u32)word_value("kib", 64) * 1024 / LINE;
	void (*say)(const char *p, u32 len) = by_serial;

	if (has_word("virtio")) {
		if (!open_virtio())
			return 1;
		say = by_virtio;
	}
	for (u32 i = 0; i < lines; i++) {
		make_line(line, i);
		say(line, LINE);
	}
	if (has_word("tail"))
		say("tail", 4);
	return 0;
}
