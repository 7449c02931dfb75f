/* SPDX-License-Identifier: MIT */
/* For tests of single devices: a VM without KVM whose interrupt lines are recorded. */
#ifndef TEST_DEVVM_H
#define TEST_DEVVM_H

#include "unit.h"

#include "lkvm/aml.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/vm.h"

#define DEVVM_LINES 32

struct devvm {
	struct vm vm;
	struct vm_config cfg;
	bool level[DEVVM_LINES];
	u32 rises[DEVVM_LINES];
};

static inline void devvm_set_level(void *opaque, u32 gsi, bool level)
{
	struct devvm *d = opaque;

	assert_true(gsi < DEVVM_LINES);
	if (level && !d->level[gsi])
		d->rises[gsi]++;
	d->level[gsi] = level;
}

static const struct irq_chip_ops devvm_chip_ops = {
	.set_level = devvm_set_level,
};

static inline void devvm_init(struct devvm *d)
{
	memset(d, 0, sizeof(*d));
	assert_int_equal(vm_init(&d->vm, &d->cfg), 0);
	assert_int_equal(irq_init(&d->vm.irqs, &devvm_chip_ops, d), 0);
}

static inline u32 devvm_in(struct devvm *d, u16 port, u32 len)
{
	u8 data[4];

	bus_read(&d->vm.pio, port, data, len);
	return (u32)get_le(data, len);
}

static inline void devvm_out(struct devvm *d, u16 port, u32 value, u32 len)
{
	u8 data[4];

	put_le(data, len, value);
	bus_write(&d->vm.pio, port, data, len);
}

/* A register of 32 bits, which must be there. */
static inline u32 devvm_get(struct devvm *d, u64 addr)
{
	u8 data[4];

	assert_true(bus_read(&d->vm.mmio, addr, data, 4));
	return (u32)get_le(data, 4);
}

static inline void devvm_put(struct devvm *d, u64 addr, u32 value)
{
	u8 data[4];

	put_le(data, 4, value);
	assert_true(bus_write(&d->vm.mmio, addr, data, 4));
}

/* Every port from @first to @last with every width and many values, from one seed. */
static inline void devvm_batter(struct devvm *d, struct bus *bus, u64 first, u64 last, int rounds)
{
	u64 x = 0x9e3779b97f4a7c15ULL;

	for (int i = 0; i < rounds; i++) {
		u64 addr;
		u32 len;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		addr = first + (x >> 8) % (last - first + 1);
		len = 1U << (x & 3);
		if (x & 4) {
			u8 data[8];

			bus_read(bus, addr, data, len);
		} else {
			u64 value = x >> 20;

			bus_write(bus, addr, &value, len);
		}
	}
}

static inline bool devvm_aml_has(struct devvm *d, const void *bytes, size_t len)
{
	struct aml aml;
	bool found;

	aml_init(&aml);
	for (struct device *dev = d->vm.devices; dev; dev = dev->next)
		if (dev->ops->describe_acpi)
			dev->ops->describe_acpi(dev, &aml);
	found = aml.data && memmem(aml.data, aml.len, bytes, len);
	aml_free(&aml);
	return found;
}

#endif
