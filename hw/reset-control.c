/* SPDX-License-Identifier: MIT */
/*
 * The reset control register at port 0xcf9 of PC chipsets (Intel 82371SB data sheet, 2.4.1): bit 1
 * says how hard, a write with bit 2 set resets. The port is a byte in the middle of those of PCI's
 * configuration: where there is PCI, its host bridge has the register (pci/host.c), else the device
 * below.
 */
#include <stdlib.h>

#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/hw.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

#define RESET_CPU BIT(2)
#define KEPT	  (BIT(1) | BIT(3)) /* hard reset, and (in later chipsets) with a power cycle */

void reset_control_write(struct vm *vm, atomic_uint *reg, u8 value)
{
	atomic_store(reg, value & KEPT);
	if (value & RESET_CPU)
		vm_request_stop(vm, VM_STOP_RESET, 0, -1);
}

struct reset_control {
	struct device dev;
	atomic_uint reg;
};

static void port_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct reset_control *r = opaque;

	put_le(data, len, atomic_load(&r->reg));
}

static void port_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct reset_control *r = opaque;

	reset_control_write(r->dev.vm, &r->reg, *(const u8 *)data);
}

static const struct bus_ops port_ops = { port_read, port_write };

static struct reset_control *to_reset_control(struct device *dev)
{
	return container_of(dev, struct reset_control, dev);
}

static int realize(struct device *dev, struct vm *vm)
{
	return device_claim_pio(dev, PORT_RESET_CONTROL, 1, &port_ops, to_reset_control(dev));
}

static void reset(struct device *dev)
{
	atomic_store(&to_reset_control(dev)->reg, 0);
}

static void destroy(struct device *dev)
{
	bus_remove(&dev->vm->pio, PORT_RESET_CONTROL);
	free(to_reset_control(dev));
}

static const struct state_field fields[] = {
	STATE_UP_TO(struct reset_control, reg, KEPT),
};

static const struct device_state state = {
	.version = 1,
	STATE_TABLE(fields),
	.device_at = offsetof(struct reset_control, dev),
};

static const struct device_ops ops = {
	.realize = realize,
	.reset = reset,
	.state = &state,
	.destroy = destroy,
};

int reset_control_create(struct vm *vm)
{
	struct reset_control *r = xcalloc(1, sizeof(*r));
	int ret;

	r->dev.name = "reset-control";
	r->dev.ops = &ops;
	ret = device_add(vm, &r->dev);
	if (ret)
		free(r);
	return ret;
}
