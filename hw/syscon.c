/* SPDX-License-Identifier: MIT */
/*
 * One register that switches the machine off or resets it, for guests that ask no firmware for that
 * (Linux Documentation/devicetree/bindings/power/reset/syscon-poweroff.yaml and
 * syscon-reboot.yaml). The values are those of SiFive's test device, which QEMU's machine has.
 */
#include <stdlib.h>

#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/fdt.h"
#include "lkvm/hw.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

#define VALUE_POWEROFF 0x5555
#define VALUE_REBOOT   0x7777

struct syscon {
	struct device dev;
	struct arch_place place;
};

static void syscon_read(void *opaque, u64 offset, void *data, u32 len)
{
	memset(data, 0, len);
}

static void syscon_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct syscon *s = opaque;

	if (offset || len != sizeof(u32))
		return;
	switch (get_le(data, len)) {
	case VALUE_POWEROFF:
		vm_request_stop(s->dev.vm, VM_STOP_POWEROFF, 0, -1);
		break;
	case VALUE_REBOOT:
		vm_request_stop(s->dev.vm, VM_STOP_RESET, 0, -1);
		break;
	}
}

static const struct bus_ops syscon_bus_ops = { .read = syscon_read, .write = syscon_write };

static int syscon_realize(struct device *dev, struct vm *vm)
{
	struct syscon *s = container_of(dev, struct syscon, dev);

	return device_claim(dev, &s->place, &syscon_bus_ops, s);
}

static void describe_use(struct fdtw *fdt, const char *name, const char *compatible, u32 syscon,
			 u32 value)
{
	fdtw_node(fdt, "%s", name);
	fdtw_string(fdt, "compatible", compatible);
	fdtw_u32(fdt, "regmap", syscon);
	fdtw_u32(fdt, "offset", 0);
	fdtw_u32(fdt, "value", value);
	fdtw_close(fdt);
}

static void syscon_describe_fdt(struct device *dev, struct fdtw *fdt)
{
	const struct syscon *s = container_of(dev, struct syscon, dev);
	u32 phandle = fdtw_phandle(fdt);

	fdtw_node(fdt, "syscon@%llx", s->place.base);
	fdtw_string(fdt, "compatible", "syscon");
	fdtw_reg(fdt, s->place.base, s->place.size);
	fdtw_u32(fdt, "phandle", phandle);
	fdtw_close(fdt);
	describe_use(fdt, "poweroff", "syscon-poweroff", phandle, VALUE_POWEROFF);
	describe_use(fdt, "reboot", "syscon-reboot", phandle, VALUE_REBOOT);
}

static void syscon_destroy(struct device *dev)
{
	struct syscon *s = container_of(dev, struct syscon, dev);

	device_release(dev, &s->place);
	free(s);
}

static const struct device_ops syscon_ops = {
	.realize = syscon_realize,
	.state = &no_state,
	.describe_fdt = syscon_describe_fdt,
	.destroy = syscon_destroy,
};

int syscon_create(struct vm *vm, const struct arch_place *place)
{
	struct syscon *s = xcalloc(1, sizeof(*s));
	int ret;

	s->dev.name = "syscon";
	s->dev.ops = &syscon_ops;
	s->place = *place;
	ret = device_add(vm, &s->dev);
	if (ret)
		free(s);
	return ret;
}
