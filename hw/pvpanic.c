/* SPDX-License-Identifier: MIT */
/*
 * pvpanic: one byte through which a guest says that its kernel panicked (QEMU,
 * docs/specs/pvpanic.rst; events: Linux include/uapi/misc/pvpanic.h). Linux finds it by the ACPI
 * name QEMU0001.
 */
#include <stdlib.h>

#include "lkvm/aml.h"
#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

enum {
	PVPANIC_PANICKED = BIT(0),     /* the guest is lost */
	PVPANIC_CRASH_LOADED = BIT(1), /* it panicked, but its own crash kernel takes over */
	PVPANIC_SHUTDOWN = BIT(2),     /* an orderly power-off */
};

#define PVPANIC_EVENTS (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED | PVPANIC_SHUTDOWN)

struct pvpanic {
	struct device dev;
	struct arch_place place;
};

static struct bus *pvpanic_bus(struct pvpanic *p)
{
	return p->place.pio ? &p->dev.vm->pio : &p->dev.vm->mmio;
}

/* The register says which events this machine understands. */
static void pvpanic_read(void *opaque, u64 offset, void *data, u32 len)
{
	put_le(data, len, offset ? 0 : PVPANIC_EVENTS);
}

static void pvpanic_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct pvpanic *p = opaque;
	u8 events = *(const u8 *)data;

	if (offset)
		return;
	if (events & PVPANIC_PANICKED)
		vm_request(p->dev.vm, VM_EVENT_PANIC, 0, -1);
	else if (events & PVPANIC_CRASH_LOADED)
		guest_warn("pvpanic: the guest's kernel panicked; its crash kernel takes over");
	else if (events & PVPANIC_SHUTDOWN)
		vm_request(p->dev.vm, VM_EVENT_POWEROFF, 0, -1);
}

static const struct bus_ops pvpanic_bus_ops = {
	.read = pvpanic_read,
	.write = pvpanic_write,
};

static int pvpanic_realize(struct device *dev, struct vm *vm)
{
	struct pvpanic *p = container_of(dev, struct pvpanic, dev);
	int ret = bus_add(pvpanic_bus(p), p->place.base, p->place.size, &pvpanic_bus_ops, p,
			  dev->name);

	if (ret)
		err("%s: cannot claim address 0x%llx: %s", dev->name, p->place.base,
		    strerror(-ret));
	return ret;
}

static void pvpanic_describe_acpi(struct device *dev, struct aml *aml)
{
	struct pvpanic *p = container_of(dev, struct pvpanic, dev);
	size_t device = aml_device(aml, "PEVT");
	size_t resources;

	aml_name_string(aml, "_HID", "QEMU0001");
	resources = aml_name_resources(aml, "_CRS");
	if (p->place.pio)
		aml_res_io(aml, (u16)p->place.base, (u16)p->place.size);
	else
		aml_res_memory32(aml, (u32)p->place.base, (u32)p->place.size, true);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

static void pvpanic_destroy(struct device *dev)
{
	struct pvpanic *p = container_of(dev, struct pvpanic, dev);

	bus_remove(pvpanic_bus(p), p->place.base);
	free(p);
}

static const struct device_ops pvpanic_ops = {
	.realize = pvpanic_realize,
	.describe_acpi = pvpanic_describe_acpi,
	.destroy = pvpanic_destroy,
};

int pvpanic_create(struct vm *vm, const struct arch_place *place)
{
	struct pvpanic *p = xcalloc(1, sizeof(*p));
	int ret;

	p->dev.name = "pvpanic";
	p->dev.ops = &pvpanic_ops;
	p->place = *place;
	ret = device_add(vm, &p->dev);
	if (ret)
		free(p);
	return ret;
}
