/* SPDX-License-Identifier: MIT */
/*
 * virtio/console.c behind both transports, over a console in memory. The first byte of the input:
 * bit 0, MMIO instead of PCI.
 */
#include "fuzz_virtio.h"
#include "lkvm/console.h"

static const struct console_client *client;
static u32 checksum; /* every byte of output is looked at */
/* What the reader takes until the next step, and whether it took less than was offered. */
static size_t space;
static bool refused;

static void mem_write(struct console *con, const u8 *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		checksum += buf[i];
}

static size_t mem_offer(struct console *con, const u8 *buf, size_t len)
{
	size_t n = MIN(len, space);

	fz_check(len);
	mem_write(con, buf, n);
	space -= n;
	refused = n < len;
	return n;
}

static void mem_set_client(struct console *con, const struct console_client *c)
{
	client = c;
}

/* A terminal with nothing to say still asks what there is room for. */
static void mem_input_ready(struct console *con)
{
	client->room(client->opaque);
}

static const struct console_ops mem_ops = {
	.write = mem_write,
	.set_client = mem_set_client,
	.input_ready = mem_input_ready,
	.offer = mem_offer,
};

static void own(struct fv *d, struct fz *f)
{
	u8 how = fz_u8(f);
	size_t len, room;
	const u8 *bytes;

	/* Nothing, a little of a piece, or more than one. */
	space = (size_t)how << (how & 7) & ~0x1fUL;
	if (refused && space) {
		refused = false;
		client->writable(client->opaque);
	}
	if (how & 0x80) {
		client->resized(client->opaque, fz_u8(f), fz_u8(f));
		return;
	}
	room = client->room(client->opaque);
	/* A buffer of before a reset is none. */
	fz_check(!room || d->vdev->queues[0].vq.in_flight);
	bytes = fz_bytes(f, how, &len);
	if (room)
		client->input(client->opaque, bytes, MIN(len, room));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	struct console con = { .ops = &mem_ops };
	struct virtio_device *vdev;
	static struct fv d;

	space = 1024;
	refused = false;
	fv_begin(&d, fz_u8(&f) & 1);
	fz_check(!virtio_console_new(&d.v.vm, &con, &vdev));
	fv_run(&d, vdev, &f, own);
	fz_check(!client);
	return 0;
}
