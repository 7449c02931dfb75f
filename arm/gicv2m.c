/* SPDX-License-Identifier: MIT */
/*
 * GICv2m: a frame of registers that turns messages into shared interrupts (Arm Server Base System
 * Architecture, appendix E). The messages of devices are routes and never come here; a vcpu that
 * writes to the frame does.
 */
#include <stdlib.h>

#include "arm.h"
#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

#define MSI_TYPER   0x008U /* first interrupt id << 16 | how many */
#define MSI_SETSPI  0x040U /* MSI_SETSPI_NS */
#define MSI_IIDR    0xfccU /* JEDEC code of Arm, as hardware of other makers has it too */
#define IIDR_ARM    0x43bU
#define FRAME_SIZE  (4 * KiB)
#define FIRST_INTID (ARM_FIRST_SPI + ARM_GSI_V2M)

struct gicv2m {
	struct device dev;
	u64 base;
};

int arm_gicv2m_gsi(u64 base, u64 addr, u32 data)
{
	if (addr != base + MSI_SETSPI || data < FIRST_INTID || data - FIRST_INTID >= ARM_NR_V2M)
		return -EINVAL;
	return (int)(data - ARM_FIRST_SPI);
}

static void gicv2m_read(void *opaque, u64 offset, void *data, u32 len)
{
	u32 value = 0;

	if (offset == MSI_TYPER)
		value = FIRST_INTID << 16 | ARM_NR_V2M;
	else if (offset == MSI_IIDR)
		value = IIDR_ARM;
	put_le(data, len, value);
}

static void gicv2m_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct gicv2m *frame = opaque;
	struct irqs *irqs = &frame->dev.vm->irqs;
	int gsi;

	if (len != 4)
		return;
	gsi = arm_gicv2m_gsi(frame->base, frame->base + offset, (u32)get_le(data, len));
	if (gsi < 0)
		return;
	irqs->ops->set_level(irqs->opaque, (u32)gsi, true);
	irqs->ops->set_level(irqs->opaque, (u32)gsi, false);
}

static const struct bus_ops gicv2m_bus_ops = { gicv2m_read, gicv2m_write };

static int gicv2m_realize(struct device *dev, struct vm *vm)
{
	struct gicv2m *frame = container_of(dev, struct gicv2m, dev);

	return device_claim_mmio(dev, frame->base, FRAME_SIZE, &gicv2m_bus_ops, frame);
}

static void gicv2m_destroy(struct device *dev)
{
	struct gicv2m *frame = container_of(dev, struct gicv2m, dev);

	bus_remove(&dev->vm->mmio, frame->base);
	free(frame);
}

static const struct device_ops gicv2m_ops = {
	.realize = gicv2m_realize,
	.state = &no_state,
	.destroy = gicv2m_destroy,
};

int arm_gicv2m_create(struct vm *vm, u64 base)
{
	struct gicv2m *frame = xcalloc(1, sizeof(*frame));
	int ret;

	frame->dev.name = "gicv2m";
	frame->dev.ops = &gicv2m_ops;
	frame->base = base;
	ret = device_add(vm, &frame->dev);
	if (ret)
		free(frame);
	return ret;
}
