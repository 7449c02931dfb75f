/* SPDX-License-Identifier: MIT */
/* virtio console and virtio rng: a greeting, an echo of one line, the size; eight random words. */
#include "virtio.h"

static struct virtio v;

static void say(const char *text)
{
	vq_add(&v, 1, &(struct vq_buf){ text, (u32)strlen(text), false }, 1);
	vq_kick(&v, 1);
	vq_wait(&v, 1, NULL);
}

static void test_rng(void)
{
	static u32 words[8];
	u32 len = 0, zero = 0;

	if (!virtio_open(&v, VIRTIO_RNG, 0) || !virtio_negotiate(&v, 0) ||
	    !virtio_queue(&v, 0, false)) {
		print("no rng\n");
		return;
	}
	virtio_driver_ok(&v);
	vq_add(&v, 0, &(struct vq_buf){ words, sizeof(words), true }, 1);
	vq_kick(&v, 0);
	vq_wait(&v, 0, &len);
	for (u32 i = 0; i < 8; i++)
		zero += !words[i];
	print("random: %u bytes, %s\n", len, zero > 1 ? "not random" : "ok");
	virtio_reset(&v);
}

static void test_console(void)
{
	static char line[64], c;
	u32 n = 0;

	if (!virtio_open(&v, VIRTIO_CONSOLE, 0) || !virtio_negotiate(&v, 1) ||
	    !virtio_queue(&v, 0, false) || !virtio_queue(&v, 1, false)) {
		print("no virtio console\n");
		return;
	}
	virtio_driver_ok(&v);
	say("virtio says hello\n");
	while (has_word("flood"))
		say("0123456789012345678901234567890123456789012345678901234567890123456789\n");
	while (c != '\n' && c != '\r' && n < sizeof(line) - 1) {
		vq_add(&v, 0, &(struct vq_buf){ &c, 1, true }, 1);
		vq_kick(&v, 0);
		while (vq_used(&v, 0, NULL) < 0)
			arch_pause();
		line[n++] = c;
	}
	if (arch_getc() >= 0)
		say("a key came by the serial port\n");
	say("you said ");
	say(line);
	if (word_value("size", 0)) {
		say(read16(v.config) == 132 && read16(v.config + 2) == 43 ? "size 132x43\n"
									  : "other size\n");
	}
}

int guest_main(void)
{
	print("serial says hello\n");
	if (has_word("rng"))
		test_rng();
	if (has_word("con") || has_word("flood"))
		test_console();
	return 0;
}
