/* SPDX-License-Identifier: MIT */
/* The VM's list of devices, and what all of them do alike (see include/lkvm/device.h). */
#include "lkvm/device.h"

#include <assert.h>

#include "lkvm/aml.h"
#include "lkvm/arch.h"
#include "lkvm/bus.h"
#include "lkvm/irq.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/vm.h"

int device_add(struct vm *vm, struct device *dev)
{
	int ret;

	assert(dev->ops->state);
	dev->vm = vm;
	dev->next = NULL;
	ret = dev->ops->realize(dev, vm);
	if (ret)
		return ret;
	*vm->devices_tail = dev;
	vm->devices_tail = &dev->next;
	return 0;
}

void vm_reset_devices(struct vm *vm)
{
	for (struct device *dev = vm->devices; dev; dev = dev->next)
		if (dev->ops->reset)
			dev->ops->reset(dev);
}

/* Backwards, so that the end of a device that another hangs on is the last. */
static void quiesce_from(struct device *dev)
{
	if (!dev)
		return;
	quiesce_from(dev->next);
	if (dev->ops->quiesce)
		dev->ops->quiesce(dev);
}

void vm_quiesce_devices(struct vm *vm)
{
	quiesce_from(vm->devices);
}

void vm_resume_devices(struct vm *vm)
{
	for (struct device *dev = vm->devices; dev; dev = dev->next)
		if (dev->ops->resume)
			dev->ops->resume(dev);
}

/* Backwards, as they are destroyed. */
static void finish_from(struct device *dev)
{
	if (!dev)
		return;
	finish_from(dev->next);
	if (dev->ops->finish)
		dev->ops->finish(dev);
}

void vm_finish_devices(struct vm *vm)
{
	finish_from(vm->devices);
}

/* Backwards: a device goes before what it hangs on. */
void vm_destroy_devices(struct vm *vm)
{
	struct device *reversed = NULL, *dev, *next;

	for (dev = vm->devices; dev; dev = next) {
		next = dev->next;
		dev->next = reversed;
		reversed = dev;
	}
	for (dev = reversed; dev; dev = next) {
		next = dev->next;
		if (dev->ops->destroy)
			dev->ops->destroy(dev);
	}
	vm->devices = NULL;
	vm->devices_tail = &vm->devices;
}

static int claim(struct device *dev, bool pio, u64 base, u64 size, const struct bus_ops *ops,
		 void *opaque)
{
	struct bus *bus = pio ? &dev->vm->pio : &dev->vm->mmio;
	int ret = bus_add(bus, base, size, ops, opaque, dev->name);

	if (ret)
		err("%s: cannot claim %s 0x%llx: %s", dev->name, pio ? "port" : "address", base,
		    strerror(-ret));
	return ret;
}

int device_claim_pio(struct device *dev, u64 base, u64 size, const struct bus_ops *ops,
		     void *opaque)
{
	return claim(dev, true, base, size, ops, opaque);
}

int device_claim_mmio(struct device *dev, u64 base, u64 size, const struct bus_ops *ops,
		      void *opaque)
{
	return claim(dev, false, base, size, ops, opaque);
}

int device_claim(struct device *dev, const struct arch_place *place, const struct bus_ops *ops,
		 void *opaque)
{
	return claim(dev, place->pio, place->base, place->size, ops, opaque);
}

void device_release(struct device *dev, const struct arch_place *place)
{
	bus_remove(place->pio ? &dev->vm->pio : &dev->vm->mmio, place->base);
}

void device_describe_place(struct aml *aml, const struct arch_place *place)
{
	if (place->pio)
		aml_res_io(aml, (u16)place->base, (u16)place->size);
	else
		aml_res_memory32(aml, (u32)place->base, (u32)place->size, true);
}

int device_claim_irq(struct device *dev, struct irq_line *line, u32 gsi, bool edge)
{
	int ret = irq_line_init(line, &dev->vm->irqs, gsi, edge);

	if (ret)
		err("%s: cannot claim interrupt %u: %s", dev->name, gsi, strerror(-ret));
	return ret;
}

static void *object(struct device *dev)
{
	return (char *)dev - dev->ops->state->device_at;
}

int device_save(struct device *dev, struct state_buf *out)
{
	return state_save(dev->ops->state, dev->name, object(dev), out);
}

int device_load(struct device *dev, struct state_reader *in)
{
	return state_load(dev->ops->state, dev->name, object(dev), in);
}
