/* SPDX-License-Identifier: MIT */
/*
 * The boot mark: a byte that the guest writes when it has come somewhere, and lkvm says how long
 * that took. And two of others that only leave a mark (include/lkvm/marks.h): Firecracker's boot
 * timer (its src/vmm/src/devices/pseudo/boot_timer.rs) and a PC's port for POST codes.
 */
#include <stdlib.h>

#include "lkvm/aml.h"
#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/fdt.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/marks.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

struct boot_mark {
	struct device dev;
	struct arch_place place;
	const struct bus_ops *bus_ops;
	_Atomic u64 since; /* when the VM was reset, now_ns(); 0: never */
	_Atomic u32 last;  /* POST code, and NO_CODE before the first */
};

#define TIMER_VALUE 123
#define NO_CODE	    0x100

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

static void boot_timer_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct boot_mark *b = opaque;

	if (!offset && *(const u8 *)data == TIMER_VALUE)
		marks_add(b->dev.vm->marks, MARK_TIMER, 0);
}

static const struct bus_ops boot_timer_bus_ops = {
	.write = boot_timer_write,
};

static void post_code_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct boot_mark *b = opaque;
	u8 code = *(const u8 *)data;

	if (!offset && atomic_exchange(&b->last, code) != code)
		marks_add(b->dev.vm->marks, MARK_POST, code);
}

static const struct bus_ops post_code_bus_ops = {
	.write = post_code_write,
};

static int boot_mark_realize(struct device *dev, struct vm *vm)
{
	struct boot_mark *b = container_of(dev, struct boot_mark, dev);

	return device_claim(dev, &b->place, b->bus_ops, b);
}

static void boot_mark_reset(struct device *dev)
{
	struct boot_mark *b = container_of(dev, struct boot_mark, dev);

	atomic_store(&b->since, now_ns());
	atomic_store(&b->last, NO_CODE);
}

static void boot_mark_destroy(struct device *dev)
{
	struct boot_mark *b = container_of(dev, struct boot_mark, dev);

	device_release(dev, &b->place);
	free(b);
}

/* A guest finds the mark by this; where the others are it knows. */
static bool is_described(const struct boot_mark *b)
{
	return b->bus_ops == &boot_mark_bus_ops;
}

static void boot_mark_describe_acpi(struct device *dev, struct aml *aml)
{
	struct boot_mark *b = container_of(dev, struct boot_mark, dev);
	size_t device, resources;

	if (!is_described(b))
		return;
	device = aml_device(aml, "MARK");
	aml_name_string(aml, "_HID", "LKVM0001");
	resources = aml_name_resources(aml, "_CRS");
	device_describe_place(aml, &b->place);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

static void boot_mark_describe_fdt(struct device *dev, struct fdtw *fdt)
{
	struct boot_mark *b = container_of(dev, struct boot_mark, dev);

	if (!is_described(b) || b->place.pio)
		return;
	fdtw_node(fdt, "boot-mark@%llx", b->place.base);
	fdtw_string(fdt, "compatible", "lkvm,boot-mark");
	fdtw_reg(fdt, b->place.base, b->place.size);
	fdtw_close(fdt);
}

static const struct device_ops boot_mark_ops = {
	.realize = boot_mark_realize,
	.reset = boot_mark_reset,
	.state = &no_state, /* when this process began is nothing of the guest's */
	.describe_acpi = boot_mark_describe_acpi,
	.describe_fdt = boot_mark_describe_fdt,
	.destroy = boot_mark_destroy,
};

static int create(struct vm *vm, const struct arch_place *place, const char *name,
		  const struct bus_ops *bus_ops)
{
	struct boot_mark *b = xcalloc(1, sizeof(*b));
	int ret;

	b->dev.name = name;
	b->dev.ops = &boot_mark_ops;
	b->place = *place;
	b->bus_ops = bus_ops;
	b->last = NO_CODE;
	ret = device_add(vm, &b->dev);
	if (ret)
		free(b);
	return ret;
}

int boot_mark_create(struct vm *vm, const struct arch_place *place)
{
	return create(vm, place, "boot-mark", &boot_mark_bus_ops);
}

int boot_timer_create(struct vm *vm, const struct arch_place *place)
{
	return create(vm, place, "boot-timer", &boot_timer_bus_ops);
}

int post_code_create(struct vm *vm, const struct arch_place *place)
{
	return create(vm, place, "post-code", &post_code_bus_ops);
}
