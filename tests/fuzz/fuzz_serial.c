/* SPDX-License-Identifier: MIT */
/*
 * hw/serial.c: registers at every width, and a terminal that types. The first byte of the input:
 * bit 0, a level interrupt; bit 1, memory-mapped with a register shift; bit 2, unconnected.
 */
#include "fuzz_vm.h"
#include "lkvm/console.h"
#include "lkvm/hw.h"

#define MAX_OPS 1024
#define GSI	4

static struct fz_vm v;
static const struct console_client *client;
static struct console_client client_copy;

static void con_write(struct console *con, const u8 *buf, size_t len)
{
	fz_check(len);
	/* A console that wants to know more must not meet the device's lock. */
	client->room(client->opaque);
}

static void con_set_client(struct console *con, const struct console_client *c)
{
	if (c)
		client_copy = *c;
	client = c ? &client_copy : NULL;
}

static void con_input_ready(struct console *con)
{
	fz_check(client->room(client->opaque) <= 16);
}

static const struct console_ops con_ops = {
	.write = con_write,
	.set_client = con_set_client,
	.input_ready = con_input_ready,
};

static void type(struct fz *f, u8 op)
{
	size_t room = client->room(client->opaque), len;
	const u8 *bytes = fz_bytes(f, op >> 3, &len);

	fz_check(room <= 16);
	if (room)
		client->input(client->opaque, bytes, MIN(len, room));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	u8 how = fz_u8(&f);
	u32 shift = how & 2 ? how >> 3 & 3 : 0;
	struct arch_place place = { .pio = !(how & 2),
				    .base = 0x3f8,
				    .size = 8ULL << shift,
				    .gsi = GSI,
				    .edge = !(how & 1) };
	struct console con = { .ops = &con_ops };
	struct bus *bus;

	fz_vm_init(&v);
	client = NULL;
	bus = place.pio ? &v.vm.pio : &v.vm.mmio;
	fz_check(!serial_create(&v.vm, &place, shift, how & 4 ? NULL : &con));
	for (int i = 0; i < MAX_OPS && fz_more(&f); i++) {
		u8 op = fz_u8(&f);
		u32 len = op & 0x40 ? fz_width(&f) : 1, reg = (op >> 3) % 8;
		u64 addr = place.base + (op & 0x40 ? fz_u8(&f) % (8u << shift) : reg << shift);

		if (op % 8 == 0 && client)
			type(&f, op);
		else if (op == 1)
			vm_reset_devices(&v.vm);
		else if (op & 0x80)
			fz_read(bus, addr, len);
		else
			fz_write(bus, addr, len, fz_le(&f, len));
	}
	fz_vm_destroy(&v);
	fz_check(!client);
	return 0;
}
