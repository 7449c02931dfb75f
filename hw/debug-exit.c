/* SPDX-License-Identifier: MIT */
/*
 * The debug-exit port: a write of N ends lkvm with status N & 0xff. It follows no specification;
 * docs/lkvm.1 describes it for test guests.
 */
#include <stdlib.h>

#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/hw.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

struct debug_exit {
	struct device dev;
	struct arch_place place;
};

static void debug_exit_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct debug_exit *d = opaque;

	/* A byte in the middle of a wider port is not a status. */
	if (offset)
		return;
	vm_request_stop(d->dev.vm, VM_STOP_DEBUG_EXIT, *(const u8 *)data, -1);
}

static const struct bus_ops debug_exit_bus_ops = {
	.write = debug_exit_write,
};

static int debug_exit_realize(struct device *dev, struct vm *vm)
{
	struct debug_exit *d = container_of(dev, struct debug_exit, dev);

	return device_claim(dev, &d->place, &debug_exit_bus_ops, d);
}

static void debug_exit_destroy(struct device *dev)
{
	struct debug_exit *d = container_of(dev, struct debug_exit, dev);

	device_release(dev, &d->place);
	free(d);
}

static const struct device_ops debug_exit_ops = {
	.realize = debug_exit_realize,
	.state = &no_state,
	.destroy = debug_exit_destroy,
};

int debug_exit_create(struct vm *vm, const struct arch_place *place)
{
	struct debug_exit *d = xcalloc(1, sizeof(*d));
	int ret;

	d->dev.name = "debug-exit";
	d->dev.ops = &debug_exit_ops;
	d->place = *place;
	ret = device_add(vm, &d->dev);
	if (ret)
		free(d);
	return ret;
}
