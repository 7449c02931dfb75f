/* SPDX-License-Identifier: MIT */
/*
 * The 8259s of the split irqchip (Intel 8259A data sheet, December 1988): registers that nothing is
 * wired to. Systems that use the IOAPIC first look whether there are 8259s, by a mask that reads
 * back, and then mask them; where Linux finds none it leaves ISA's interrupts alone, the timer's
 * and the serial port's at the IOAPIC too.
 */
#include <pthread.h>
#include <stdlib.h>

#include "layout.h"
#include "lkvm/device.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "platform.h"

#define CHIPS	 2U
#define INPUTS	 8U
#define CASCADE	 BIT(2) /* the master's input for the slave */
#define ICW1	 BIT(4) /* written to the first port: begins an initialization */
#define ICW1_ONE BIT(1) /* no slave, no ICW3 */
#define ICW1_4	 BIT(0) /* ICW4 comes */

struct pic {
	u8 mask;
	u8 elcr;
	u8 words; /* of the initialization that are to come */
};

struct x86_pic {
	struct device dev;
	pthread_mutex_t lock;
	struct pic chips[CHIPS];
};

static const u64 ports[CHIPS] = { X86_PORT_PIC, X86_PORT_PIC2 };

static void write_mask(struct x86_pic *pic, u32 chip, u8 value)
{
	u8 opened = pic->chips[chip].mask & (u8)~value & (u8) ~(chip ? 0 : CASCADE);

	pic->chips[chip].mask = value;
	if (opened)
		guest_warn("8259: the guest waits for interrupt %u, but --irqchip split delivers "
			   "by the IOAPIC alone; use --irqchip full if it hangs",
			   chip * INPUTS + (u32)__builtin_ctz(opened));
}

static void write_register(struct x86_pic *pic, u32 chip, bool data, u8 value)
{
	struct pic *c = &pic->chips[chip];

	if (!data) {
		if (!(value & ICW1))
			return;
		c->mask = 0xff; /* cleared by the chip, but what is not wired is masked */
		c->words = (u8)(1 + !(value & ICW1_ONE) + !!(value & ICW1_4));
	} else if (c->words) {
		c->words--;
	} else {
		write_mask(pic, chip, value);
	}
}

static void pic_read(struct x86_pic *pic, u32 chip, u64 offset, u8 *bytes, u32 len)
{
	pthread_mutex_lock(&pic->lock);
	/* The first port has requests or interrupts in service: never one. */
	for (u32 i = 0; i < len; i++)
		bytes[i] = offset + i == 1 ? pic->chips[chip].mask : 0;
	pthread_mutex_unlock(&pic->lock);
}

static void pic_write(struct x86_pic *pic, u32 chip, u64 offset, const u8 *bytes, u32 len)
{
	pthread_mutex_lock(&pic->lock);
	for (u32 i = 0; i < len; i++)
		write_register(pic, chip, offset + i == 1, bytes[i]);
	pthread_mutex_unlock(&pic->lock);
}

static void master_read(void *opaque, u64 offset, void *data, u32 len)
{
	pic_read(opaque, 0, offset, data, len);
}

static void master_write(void *opaque, u64 offset, const void *data, u32 len)
{
	pic_write(opaque, 0, offset, data, len);
}

static void slave_read(void *opaque, u64 offset, void *data, u32 len)
{
	pic_read(opaque, 1, offset, data, len);
}

static void slave_write(void *opaque, u64 offset, const void *data, u32 len)
{
	pic_write(opaque, 1, offset, data, len);
}

static void elcr_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct x86_pic *pic = opaque;
	u8 *bytes = data;

	pthread_mutex_lock(&pic->lock);
	for (u32 i = 0; i < len; i++)
		bytes[i] = pic->chips[offset + i].elcr;
	pthread_mutex_unlock(&pic->lock);
}

static void elcr_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct x86_pic *pic = opaque;
	const u8 *bytes = data;

	pthread_mutex_lock(&pic->lock);
	for (u32 i = 0; i < len; i++)
		pic->chips[offset + i].elcr = bytes[i];
	pthread_mutex_unlock(&pic->lock);
}

static const struct bus_ops pic_ops[CHIPS] = {
	{ .read = master_read, .write = master_write },
	{ .read = slave_read, .write = slave_write },
};
static const struct bus_ops elcr_ops = { .read = elcr_read, .write = elcr_write };

static void pic_reset(struct device *dev)
{
	struct x86_pic *pic = container_of(dev, struct x86_pic, dev);

	pthread_mutex_lock(&pic->lock);
	for (u32 i = 0; i < CHIPS; i++)
		pic->chips[i] = (struct pic){ .mask = 0xff };
	pthread_mutex_unlock(&pic->lock);
}

static void release_ports(struct device *dev)
{
	bus_remove(&dev->vm->pio, X86_PORT_ELCR);
	for (u32 i = 0; i < CHIPS; i++)
		bus_remove(&dev->vm->pio, ports[i]);
}

static int pic_realize(struct device *dev, struct vm *vm)
{
	struct x86_pic *pic = container_of(dev, struct x86_pic, dev);
	int ret = device_claim_pio(dev, X86_PORT_ELCR, CHIPS, &elcr_ops, pic);

	for (u32 i = 0; i < CHIPS && !ret; i++)
		ret = device_claim_pio(dev, ports[i], 2, &pic_ops[i], pic);
	if (ret)
		release_ports(dev);
	return ret;
}

static void pic_destroy(struct device *dev)
{
	struct x86_pic *pic = container_of(dev, struct x86_pic, dev);

	release_ports(dev);
	pthread_mutex_destroy(&pic->lock);
	free(pic);
}

static const struct state_field chip_fields[] = {
	STATE_VALUE(struct pic, mask),
	STATE_VALUE(struct pic, elcr),
	STATE_UP_TO(struct pic, words, 3),
};
static const struct device_state chip_state = { .version = 1, STATE_TABLE(chip_fields) };

static const struct state_field pic_fields[] = {
	STATE_PARTS(struct x86_pic, chips, &chip_state),
};

static const struct device_state pic_state = {
	.version = 1,
	STATE_TABLE(pic_fields),
	.device_at = offsetof(struct x86_pic, dev),
};

static const struct device_ops pic_device_ops = {
	.realize = pic_realize,
	.reset = pic_reset,
	.state = &pic_state,
	.destroy = pic_destroy,
};

int x86_pic_create(struct vm *vm)
{
	struct x86_pic *pic = xcalloc(1, sizeof(*pic));
	int ret;

	pic->dev.name = "pic";
	pic->dev.ops = &pic_device_ops;
	pthread_mutex_init(&pic->lock, NULL);
	pic_reset(&pic->dev);
	ret = device_add(vm, &pic->dev);
	if (ret) {
		pthread_mutex_destroy(&pic->lock);
		free(pic);
	}
	return ret;
}
