/* SPDX-License-Identifier: MIT */
/*
 * virtio/console.c behind each transport, over a console in memory. The first byte of the input:
 * the transport (fuzz_transport.h); bit 7, three ports.
 */
#include "fuzz_virtio.h"
#include "lkvm/console.h"

#define PORTS 3

static struct side {
	struct console con;
	const struct console_client *client;
	bool refused; /* it took less than was offered */
} sides[PORTS];

static u32 checksum; /* every byte of output is looked at */
/* What readers take until the next step. */
static size_t space;

static struct side *to_side(struct console *con)
{
	return container_of(con, struct side, con);
}

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
	to_side(con)->refused = n < len;
	return n;
}

static void mem_set_client(struct console *con, const struct console_client *c)
{
	to_side(con)->client = c;
}

/* A terminal with nothing to say still asks what there is room for. */
static void mem_input_ready(struct console *con)
{
	const struct console_client *client = to_side(con)->client;

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
	bool several = d->vdev->nr_queues > 2;
	u8 how = fz_u8(f), which = several ? fz_u8(f) : 0;
	struct side *side = &sides[(which & 0x7f) % (several ? PORTS : 1)];
	const struct console_client *client = side->client;
	size_t len, room;
	const u8 *bytes;

	/* Nothing, a little of a piece, or more than one. */
	space = (size_t)how << (how & 7) & ~0x1fUL;
	if (side->refused && space) {
		side->refused = false;
		client->writable(client->opaque);
	}
	if (which & 0x80) {
		client->connected(client->opaque, how & 1);
		return;
	}
	if (how & 0x80) {
		client->resized(client->opaque, fz_u8(f), fz_u8(f));
		return;
	}
	room = client->room(client->opaque);
	/* A buffer of before a reset is none. */
	fz_check(!room || d->vdev->queues[side == sides ? 0 : 2 * (side - sides) + 2].vq.in_flight);
	bytes = fz_bytes(f, how, &len);
	if (room)
		client->input(client->opaque, bytes, MIN(len, room));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct virtio_console_port ports[PORTS] = {
		{ .con = &sides[0].con, .is_console = true },
		{ .con = &sides[1].con, .name = "one", .is_console = true },
		{ .con = &sides[2].con, .name = "two" },
	};
	struct fz f = fz_begin(data, size);
	struct virtio_device *vdev;
	static struct fv d;
	u8 first;

	space = 1024;
	for (int i = 0; i < PORTS; i++)
		sides[i] = (struct side){ .con.ops = &mem_ops };
	first = fz_u8(&f);
	fv_begin(&d, first);
	fz_check(!virtio_console_new(&d.v.vm, ports, first & 0x80 ? PORTS : 1, &vdev));
	fv_run(&d, vdev, &f, own);
	for (int i = 0; i < PORTS; i++)
		fz_check(!sides[i].client);
	return 0;
}
