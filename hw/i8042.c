/* SPDX-License-Identifier: MIT */
/*
 * The PC's keyboard controller with nothing plugged in (IBM PS/2 Hardware Interface Technical
 * Reference, "Keyboard and Auxiliary Device Controller"), and system control port A. What guests
 * want of it is the reset line; the rest answers at once, so that no probe waits for a timeout.
 */
#include <stdlib.h>

#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/hw.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

#define PORT_DATA    0x60
#define PORT_COMMAND 0x64
#define PORT_A	     0x92

enum { /* status register; bit 1, input buffer full, is never seen: every write is taken at once */
       STATUS_OUTPUT_FULL = BIT(0),
       STATUS_SYSTEM = BIT(2),
       STATUS_COMMAND = BIT(3), /* the last write went to the command port */
       STATUS_UNLOCKED = BIT(4),
       STATUS_TIMEOUT = BIT(6),
};

enum { /* controller commands */
       CMD_READ_MODE = 0x20,
       CMD_WRITE_MODE = 0x60,
       CMD_AUX_DISABLE = 0xa7,
       CMD_AUX_ENABLE = 0xa8,
       CMD_AUX_TEST = 0xa9,
       CMD_SELF_TEST = 0xaa,
       CMD_KBD_TEST = 0xab,
       CMD_KBD_DISABLE = 0xad,
       CMD_KBD_ENABLE = 0xae,
       CMD_READ_INPUT = 0xc0,
       CMD_READ_OUTPUT = 0xd0,
       CMD_WRITE_OUTPUT = 0xd1,
       CMD_WRITE_KBD_BUFFER = 0xd2,
       CMD_WRITE_AUX_BUFFER = 0xd3,
       CMD_WRITE_AUX = 0xd4,
       CMD_PULSE = 0xf0, /* and up: pulses each output line whose bit is zero */
};

enum { /* mode byte ("controller command byte") */
       MODE_SYSTEM = BIT(2),
       MODE_KBD_DISABLE = BIT(4),
       MODE_AUX_DISABLE = BIT(5),
       MODE_RESET = MODE_SYSTEM | MODE_KBD_DISABLE | MODE_AUX_DISABLE,
};

enum { /* output port: the reset line (active low) and gate A20 */
       OUTPUT_NO_RESET = BIT(0),
       OUTPUT_A20 = BIT(1),
       OUTPUT_IDLE = 0xc0, /* clock and data towards the keyboard */
};

#define SELF_TEST_OK	0x55
#define LINE_STUCK_HIGH 0x02 /* interface test: nothing pulls the clock down */
#define REPLY_RESEND	0xfe /* what the controller makes of a device that does not answer */

struct i8042 {
	struct device dev;
	pthread_mutex_t lock;
	u8 status;
	u8 output; /* the output buffer, when STATUS_OUTPUT_FULL */
	u8 mode;
	u8 pending; /* command that waits for its data byte, or 0 */
	u8 port_a;
};

static void reply(struct i8042 *k, u8 value)
{
	k->output = value;
	k->status |= STATUS_OUTPUT_FULL;
	k->status &= (u8)~STATUS_TIMEOUT;
}

/* True when the guest asks for a reset. */
static bool run_command(struct i8042 *k, u8 command)
{
	k->pending = 0;
	k->status |= STATUS_COMMAND;
	if (command >= CMD_PULSE)
		return !(command & OUTPUT_NO_RESET);
	switch (command) {
	case CMD_READ_MODE:
		reply(k, k->mode);
		break;
	case CMD_SELF_TEST:
		k->mode = MODE_RESET;
		reply(k, SELF_TEST_OK);
		break;
	case CMD_KBD_TEST:
	case CMD_AUX_TEST:
		reply(k, LINE_STUCK_HIGH);
		break;
	case CMD_READ_INPUT:
		reply(k, 0);
		break;
	case CMD_READ_OUTPUT:
		reply(k, OUTPUT_IDLE | OUTPUT_A20 | OUTPUT_NO_RESET);
		break;
	case CMD_AUX_DISABLE:
		k->mode |= MODE_AUX_DISABLE;
		break;
	case CMD_AUX_ENABLE:
		k->mode &= (u8)~MODE_AUX_DISABLE;
		break;
	case CMD_KBD_DISABLE:
		k->mode |= MODE_KBD_DISABLE;
		break;
	case CMD_KBD_ENABLE:
		k->mode &= (u8)~MODE_KBD_DISABLE;
		break;
	case CMD_WRITE_MODE:
	case CMD_WRITE_OUTPUT:
	case CMD_WRITE_KBD_BUFFER:
	case CMD_WRITE_AUX_BUFFER:
	case CMD_WRITE_AUX:
		k->pending = command;
		break;
	}
	return false;
}

static bool take_data(struct i8042 *k, u8 value)
{
	u8 command = k->pending;

	k->pending = 0;
	k->status &= (u8)~STATUS_COMMAND;
	switch (command) {
	case CMD_WRITE_MODE:
		k->mode = value;
		return false;
	case CMD_WRITE_OUTPUT: /* A20 is always open */
		return !(value & OUTPUT_NO_RESET);
	case CMD_WRITE_KBD_BUFFER:
	case CMD_WRITE_AUX_BUFFER: /* not marked as auxiliary: there is no such port */
		reply(k, value);
		return false;
	}
	/* For a device, and there is none. */
	reply(k, REPLY_RESEND);
	k->status |= STATUS_TIMEOUT;
	return false;
}

static void data_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct i8042 *k = opaque;

	pthread_mutex_lock(&k->lock);
	*(u8 *)data = k->output;
	k->status &= (u8) ~(STATUS_OUTPUT_FULL | STATUS_TIMEOUT);
	pthread_mutex_unlock(&k->lock);
}

static void data_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct i8042 *k = opaque;
	bool reset;

	pthread_mutex_lock(&k->lock);
	reset = take_data(k, *(const u8 *)data);
	pthread_mutex_unlock(&k->lock);
	if (reset)
		vm_request_stop(k->dev.vm, VM_STOP_RESET, 0, -1);
}

static void command_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct i8042 *k = opaque;

	pthread_mutex_lock(&k->lock);
	*(u8 *)data = k->status | (k->mode & MODE_SYSTEM ? STATUS_SYSTEM : 0);
	pthread_mutex_unlock(&k->lock);
}

static void command_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct i8042 *k = opaque;
	bool reset;

	pthread_mutex_lock(&k->lock);
	reset = run_command(k, *(const u8 *)data);
	pthread_mutex_unlock(&k->lock);
	if (reset)
		vm_request_stop(k->dev.vm, VM_STOP_RESET, 0, -1);
}

/* System control port A: bit 0 resets as it rises, bit 1 is gate A20. */
static void port_a_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct i8042 *k = opaque;

	pthread_mutex_lock(&k->lock);
	*(u8 *)data = k->port_a | OUTPUT_A20;
	pthread_mutex_unlock(&k->lock);
}

static void port_a_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct i8042 *k = opaque;
	u8 value = *(const u8 *)data;
	bool reset;

	pthread_mutex_lock(&k->lock);
	reset = value & ~k->port_a & BIT(0);
	k->port_a = value;
	pthread_mutex_unlock(&k->lock);
	if (reset)
		vm_request_stop(k->dev.vm, VM_STOP_RESET, 0, -1);
}

static const struct i8042_port {
	u64 port;
	struct bus_ops ops;
} ports[] = {
	{ PORT_DATA, { .read = data_read, .write = data_write } },
	{ PORT_COMMAND, { .read = command_read, .write = command_write } },
	{ PORT_A, { .read = port_a_read, .write = port_a_write } },
};

static void i8042_reset(struct device *dev)
{
	struct i8042 *k = container_of(dev, struct i8042, dev);

	pthread_mutex_lock(&k->lock);
	k->status = STATUS_UNLOCKED;
	k->output = 0;
	k->mode = MODE_RESET;
	k->pending = 0;
	k->port_a = 0;
	pthread_mutex_unlock(&k->lock);
}

static int i8042_realize(struct device *dev, struct vm *vm)
{
	struct i8042 *k = container_of(dev, struct i8042, dev);

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		int ret = device_claim_pio(dev, ports[i].port, 1, &ports[i].ops, k);

		if (!ret)
			continue;
		while (i--)
			bus_remove(&vm->pio, ports[i].port);
		return ret;
	}
	i8042_reset(dev);
	return 0;
}

static void i8042_free(struct i8042 *k)
{
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static void i8042_destroy(struct device *dev)
{
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
		bus_remove(&dev->vm->pio, ports[i].port);
	i8042_free(container_of(dev, struct i8042, dev));
}

static const struct state_field i8042_fields[] = {
	STATE_VALUE(struct i8042, status), STATE_VALUE(struct i8042, output),
	STATE_VALUE(struct i8042, mode),   STATE_VALUE(struct i8042, pending),
	STATE_VALUE(struct i8042, port_a),
};

static const struct device_state i8042_state = {
	.version = 1,
	STATE_TABLE(i8042_fields),
	.device_at = offsetof(struct i8042, dev),
};

/*
 * Not described in ACPI, and the FADT says that there is none: Linux then leaves the ports alone
 * until it reboots.
 */
static const struct device_ops i8042_ops = {
	.realize = i8042_realize,
	.reset = i8042_reset,
	.state = &i8042_state,
	.destroy = i8042_destroy,
};

int i8042_create(struct vm *vm)
{
	struct i8042 *k = xcalloc(1, sizeof(*k));
	int ret;

	k->dev.name = "i8042";
	k->dev.ops = &i8042_ops;
	pthread_mutex_init(&k->lock, NULL);
	ret = device_add(vm, &k->dev);
	if (ret)
		i8042_free(k);
	return ret;
}
