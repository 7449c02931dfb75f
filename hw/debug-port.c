/* SPDX-License-Identifier: MIT */
/*
 * A port for messages of firmware, as QEMU's isa-debugcon and Bochs have it: bytes written become
 * lines of lkvm's log. Reading gives 0xe9, by which firmware knows that somebody listens.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

#define PRESENT	  0xe9
#define SHOWN_MAX 200U
#define BYTES_MAX (1U << 20) /* until the next reset: a guest may write for ever */

struct debug_port {
	struct device dev;
	u16 port;
	pthread_mutex_t lock; /* of what follows */
	char line[SHOWN_MAX + 5];
	u32 len;
	u32 bytes;
};

static void flush(struct debug_port *d)
{
	if (!d->len)
		return;
	debug("firmware: %.*s", (int)d->len, d->line);
	d->len = 0;
}

static void put(struct debug_port *d, u8 c)
{
	if (d->bytes > BYTES_MAX)
		return;
	if (d->bytes++ == BYTES_MAX) {
		flush(d);
		debug("debug port %#x: %u bytes were shown; the rest is dropped until a reset",
		      d->port, BYTES_MAX);
		return;
	}
	if (c == '\n') {
		flush(d);
		return;
	}
	if (c == '\r')
		return;
	if (c >= 0x20 && c < 0x7f)
		d->line[d->len++] = (char)c;
	else
		d->len += (u32)snprintf(d->line + d->len, 5, "\\x%02x", c);
	if (d->len >= SHOWN_MAX)
		flush(d);
}

static void debug_port_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct debug_port *d = opaque;

	pthread_mutex_lock(&d->lock);
	put(d, *(const u8 *)data);
	pthread_mutex_unlock(&d->lock);
}

static void debug_port_read(void *opaque, u64 offset, void *data, u32 len)
{
	put_le(data, len, PRESENT);
}

static const struct bus_ops debug_port_bus_ops = {
	.read = debug_port_read,
	.write = debug_port_write,
};

static int debug_port_realize(struct device *dev, struct vm *vm)
{
	struct debug_port *d = container_of(dev, struct debug_port, dev);

	return device_claim_pio(dev, d->port, 1, &debug_port_bus_ops, d);
}

static void debug_port_reset(struct device *dev)
{
	struct debug_port *d = container_of(dev, struct debug_port, dev);

	pthread_mutex_lock(&d->lock);
	flush(d);
	d->bytes = 0;
	pthread_mutex_unlock(&d->lock);
}

/* A line without its end. */
static void debug_port_finish(struct device *dev)
{
	flush(container_of(dev, struct debug_port, dev));
}

static void debug_port_destroy(struct device *dev)
{
	struct debug_port *d = container_of(dev, struct debug_port, dev);

	bus_remove(&dev->vm->pio, d->port);
	debug_port_finish(dev);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static const struct device_ops debug_port_ops = {
	.realize = debug_port_realize,
	.reset = debug_port_reset,
	.state = &no_state,
	.finish = debug_port_finish,
	.destroy = debug_port_destroy,
};

int debug_port_create(struct vm *vm, u16 port)
{
	struct debug_port *d = xcalloc(1, sizeof(*d));
	int ret;

	d->dev.name = "debug-port";
	d->dev.ops = &debug_port_ops;
	d->port = port;
	pthread_mutex_init(&d->lock, NULL);
	ret = device_add(vm, &d->dev);
	if (ret) {
		pthread_mutex_destroy(&d->lock);
		free(d);
	}
	return ret;
}
