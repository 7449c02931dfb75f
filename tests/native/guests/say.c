/* SPDX-License-Identifier: MIT */
/*
 * Says what is in its initrd, byte by byte as it is: on the serial port, or with the word hvc on a
 * virtio console, in pieces of piece=N. Then reboot (once), hang, or status exit=N; mark=N: that
 * boot mark before, and the next one after it. timer, post=N: Firecracker's boot timer, old and
 * new, and a POST code, before that too.
 */
#include "virtio.h"
#include "x86.h"

static struct virtio v;

static void say_virtio(const u8 *text, u64 len)
{
	u64 piece = word_value("piece", len);

	if (!virtio_open(&v, VIRTIO_CONSOLE, 0) || !virtio_negotiate(&v, 0) ||
	    !virtio_queue(&v, 0, false) || !virtio_queue(&v, 1, false))
		arch_exit(200);
	virtio_driver_ok(&v);
	for (u64 at = 0; at < len; at += piece) {
		u32 n = (u32)(len - at < piece ? len - at : piece);

		vq_add(&v, 1, &(struct vq_buf){ text + at, n, false }, 1);
		vq_kick(&v, 1);
		vq_wait(&v, 1, NULL);
	}
}

static void say_serial(const u8 *text, u64 len)
{
	for (u64 i = 0; i < len; i++)
		outb(COM1, text[i]);
}

int guest_main(void)
{
	u64 mark = word_value("mark", 0);

	if (has_word("timer")) {
		write8(0xd0000000, 123);
		write8(0xc0000000, 123);
	}
	if (word_value("post", 0))
		outb(0x80, (u8)word_value("post", 0));
	if (mark)
		outb(BOOT_MARK, (u8)mark);
	if (has_word("hvc"))
		say_virtio((const u8 *)boot.modules[0].base, boot.modules[0].size);
	else
		say_serial((const u8 *)boot.modules[0].base, boot.modules[0].size);
	if (mark)
		outb(BOOT_MARK, (u8)(mark + 1));
	if (has_word("reboot"))
		outb(0x64, 0xfe);
	while (has_word("hang"))
		arch_pause();
	return (int)word_value("exit", 0);
}
