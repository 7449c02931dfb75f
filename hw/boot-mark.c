/* SPDX-License-Identifier: MIT */
/*
 * The boot mark: a byte that the guest writes when it has come somewhere, and lkvm says how long
 * that took, as Firecracker's boot timer does (there the byte is 123, in MMIO).
 */
#include <stdlib.h>

#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/marks.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

struct boot_mark {
	struct device dev;
	struct arch_place place;
	_Atomic u64 since; /* when the VM was reset, now_ns(); 0: never */
};

static void boot_mark_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct boot_mark *b = opaque;
	u64 reset = atomic_load(&b->since);
	u64 tenths;

	if (offset)
		return;
	marks_add(b->dev.vm->marks, MARK_GUEST_SET, *(const u8 *)data);
	tenths = (now_ns() - (reset ? reset : b->dev.vm->start_ns)) / 100000;
	guest_log(LOG_INFO, "boot mark %u: %llu.%llu ms after %s", *(const u8 *)data, tenths / 10,
		  tenths % 10, reset ? "the reset" : "start");
}

static const struct bus_ops boot_mark_bus_ops = {
	.write = boot_mark_write,
};

static int boot_mark_realize(struct device *dev, struct vm *vm)
{
	struct boot_mark *b = container_of(dev, struct boot_mark, dev);

	return device_claim(dev, &b->place, &boot_mark_bus_ops, b);
}

static void boot_mark_reset(struct device *dev)
{
	atomic_store(&container_of(dev, struct boot_mark, dev)->since, now_ns());
}

static void boot_mark_destroy(struct device *dev)
{
	struct boot_mark *b = container_of(dev, struct boot_mark, dev);

	device_release(dev, &b->place);
	free(b);
}

static const struct device_ops boot_mark_ops = {
	.realize = boot_mark_realize,
	.reset = boot_mark_reset,
	.state = &no_state, /* when this process began is nothing of the guest's */
	.destroy = boot_mark_destroy,
};

int boot_mark_create(struct vm *vm, const struct arch_place *place)
{
	struct boot_mark *b = xcalloc(1, sizeof(*b));
	int ret;

	b->dev.name = "boot-mark";
	b->dev.ops = &boot_mark_ops;
	b->place = *place;
	ret = device_add(vm, &b->dev);
	if (ret)
		free(b);
	return ret;
}
