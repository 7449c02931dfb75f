/* SPDX-License-Identifier: MIT */
/*
 * What KVM's unit tests (kvm-unit-tests, lib/x86 and x86/) do things to: the test device of QEMU's
 * PC (hw/misc/pc-testdev.c says where its parts lie), and 8259s as a BIOS leaves them. It has four
 * bytes of scratch, in ports of any width and again in ports of a byte, a page to be flushed, the
 * pins of the interrupt controllers, and scratch in MMIO.
 */
#include <pthread.h>
#include <stdlib.h>

#include "layout.h"
#include "lkvm/device.h"
#include "lkvm/irq.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/memory.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "x86.h"

#define SCRATCH	      4U
#define PORT_SCRATCH  X86_PORT_TEST
#define PORT_FLUSH    (X86_PORT_TEST + 4) /* write an address, 32 bits */
#define PORT_BYTES    (X86_PORT_TEST + 8)
#define PAGE_OF(addr) ((addr) & ~0xfffU)

struct x86_testdev {
	struct device dev;
	pthread_mutex_t lock; /* of what follows */
	u8 scratch[SCRATCH];
	u32 lines; /* those that are raised */
	struct irq_line pins[X86_IOAPIC_PINS];
	u8 memory[X86_TEST_MEM_SIZE];
};

static void scratch_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct x86_testdev *t = opaque;

	pthread_mutex_lock(&t->lock);
	memcpy(data, t->scratch + offset, len);
	pthread_mutex_unlock(&t->lock);
}

static void scratch_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct x86_testdev *t = opaque;

	pthread_mutex_lock(&t->lock);
	memcpy(t->scratch + offset, data, len);
	pthread_mutex_unlock(&t->lock);
}

/* An address without RAM has no mapping to take away. */
static void flush_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct x86_testdev *t = opaque;
	u64 gpa = PAGE_OF((u32)get_le(data, len));
	int ret;

	if (offset || len != 4)
		return;
	ret = memory_flush_page(&t->dev.vm->mem, gpa);
	if (ret && ret != -EFAULT)
		guest_warn("testdev: cannot flush the page at %#llx: %s", gpa, strerror(-ret));
}

/* Under the lock: of two vcpus that drive a pin the last one is the last for the chip, too. */
static void set_line(struct x86_testdev *t, u32 pin, bool level)
{
	t->lines = level ? t->lines | BIT(pin) : t->lines & ~BIT(pin);
	irq_line_set(&t->pins[pin], level);
}

static void line_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct x86_testdev *t = opaque;

	if (len != 1)
		return;
	pthread_mutex_lock(&t->lock);
	set_line(t, (u32)offset, *(const u8 *)data);
	pthread_mutex_unlock(&t->lock);
}

static void memory_read_test(void *opaque, u64 offset, void *data, u32 len)
{
	struct x86_testdev *t = opaque;

	pthread_mutex_lock(&t->lock);
	memcpy(data, t->memory + offset, len);
	pthread_mutex_unlock(&t->lock);
}

static void memory_write_test(void *opaque, u64 offset, const void *data, u32 len)
{
	struct x86_testdev *t = opaque;

	pthread_mutex_lock(&t->lock);
	memcpy(t->memory + offset, data, len);
	pthread_mutex_unlock(&t->lock);
}

static const struct bus_ops scratch_ops = { .read = scratch_read, .write = scratch_write };
static const struct bus_ops flush_ops = { .write = flush_write };
static const struct bus_ops line_ops = { .write = line_write };
static const struct bus_ops memory_ops = { .read = memory_read_test, .write = memory_write_test };

static const struct {
	u16 port, count;
	const struct bus_ops *ops;
} ports[] = {
	{ PORT_SCRATCH, SCRATCH, &scratch_ops },
	{ PORT_FLUSH, 4, &flush_ops },
	{ PORT_BYTES, SCRATCH, &scratch_ops },
	{ X86_PORT_TEST_IRQ, X86_IOAPIC_PINS, &line_ops },
};

/*
 * A BIOS has led the 8259s' inputs to vectors 8 and 0x70, where programs in real mode wait for
 * them, and opened those that devices may use; 11 is one that a test may. KVM's begin at vector 0.
 */
static int leave_pic(const struct vm *vm, u32 chip, u8 vector, u8 mask)
{
	struct kvm_irqchip state = { .chip_id = chip };
	int ret = xioctl(vm->kvm.vm_fd, KVM_GET_IRQCHIP, &state);

	if (ret < 0)
		return ret;
	state.chip.pic.irq_base = vector;
	state.chip.pic.imr = mask;
	ret = xioctl(vm->kvm.vm_fd, KVM_SET_IRQCHIP, &state);
	return MIN(ret, 0);
}

/* 0 where none delivers: with the split irqchip, and without KVM. */
static int leave_pics(const struct vm *vm)
{
	const u8 cascade = BIT(2), irq11 = BIT(11 - 8);
	int ret;

	if (vm->arch->split_irqchip || vm->kvm.vm_fd < 0)
		return 0;
	ret = leave_pic(vm, KVM_IRQCHIP_PIC_MASTER, 8, (u8)~cascade);
	if (!ret)
		ret = leave_pic(vm, KVM_IRQCHIP_PIC_SLAVE, 0x70, (u8)~irq11);
	if (ret)
		err("--testdev: cannot set up the 8259s: %s", strerror(-ret));
	return ret;
}

static void release(struct x86_testdev *t)
{
	struct vm *vm = t->dev.vm;

	bus_remove(&vm->mmio, X86_TEST_MEM);
	for (u32 i = 0; i < ARRAY_SIZE(ports); i++)
		bus_remove(&vm->pio, ports[i].port);
	for (u32 i = 0; i < X86_IOAPIC_PINS; i++)
		irq_line_destroy(&t->pins[i]);
}

static int testdev_realize(struct device *dev, struct vm *vm)
{
	struct x86_testdev *t = container_of(dev, struct x86_testdev, dev);
	int ret = device_claim_mmio(dev, X86_TEST_MEM, X86_TEST_MEM_SIZE, &memory_ops, t);

	for (u32 i = 0; i < ARRAY_SIZE(ports) && !ret; i++)
		ret = device_claim_pio(dev, ports[i].port, ports[i].count, ports[i].ops, t);
	for (u32 i = 0; i < X86_IOAPIC_PINS && !ret; i++)
		ret = device_claim_irq(dev, &t->pins[i], i, false);
	if (!ret)
		ret = leave_pics(vm);
	if (ret)
		release(t);
	return ret;
}

/* The irqchip was reset before: it comes first in the list. What cannot be done was said. */
static void testdev_reset(struct device *dev)
{
	struct x86_testdev *t = container_of(dev, struct x86_testdev, dev);
	int ret;

	pthread_mutex_lock(&t->lock);
	for (u32 i = 0; i < X86_IOAPIC_PINS; i++)
		set_line(t, i, false);
	memset(t->scratch, 0, sizeof(t->scratch));
	memset(t->memory, 0, sizeof(t->memory));
	pthread_mutex_unlock(&t->lock);
	ret = leave_pics(dev->vm);
	(void)ret;
}

static int testdev_load(void *obj)
{
	struct x86_testdev *t = obj;

	pthread_mutex_lock(&t->lock);
	for (u32 i = 0; i < X86_IOAPIC_PINS; i++)
		set_line(t, i, t->lines & BIT(i));
	pthread_mutex_unlock(&t->lock);
	return 0;
}

static void testdev_destroy(struct device *dev)
{
	struct x86_testdev *t = container_of(dev, struct x86_testdev, dev);

	release(t);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static const struct state_field testdev_fields[] = {
	STATE_ARRAY(struct x86_testdev, scratch),
	STATE_UP_TO(struct x86_testdev, lines, BIT(X86_IOAPIC_PINS) - 1),
	STATE_ARRAY(struct x86_testdev, memory),
};

static const struct device_state testdev_state = {
	.version = 1,
	STATE_TABLE(testdev_fields),
	.device_at = offsetof(struct x86_testdev, dev),
	.load = testdev_load,
};

static const struct device_ops testdev_ops = {
	.realize = testdev_realize,
	.reset = testdev_reset,
	.state = &testdev_state,
	.destroy = testdev_destroy,
};

int x86_testdev_create(struct vm *vm)
{
	struct x86_testdev *t = xcalloc(1, sizeof(*t));
	int ret;

	t->dev.name = "testdev";
	t->dev.ops = &testdev_ops;
	pthread_mutex_init(&t->lock, NULL);
	ret = device_add(vm, &t->dev);
	if (ret) {
		pthread_mutex_destroy(&t->lock);
		free(t);
	}
	return ret;
}
