/* SPDX-License-Identifier: MIT */
/*
 * The PM1a registers of ACPI's fixed hardware (ACPI 6.5, 4.8.3.1 and 4.8.3.2), for simple systems
 * that know no sleep control register, and for machines that are not described as hardware-reduced;
 * and the power management timer (4.8.3.3), by which systems learn the speed of the TSC that do not
 * use KVM's clock. No fixed event ever happens: the power button is the Generic Event Device's
 * (pm.c).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "layout.h"
#include "lkvm/aml.h"
#include "lkvm/device.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "stopwatch.h"
#include "x86.h"

#define PORTS (X86_PM1A_EVENT + X86_PM1A_EVENT_LEN - X86_PM1A_CONTROL)
/* Offsets of the bytes. */
#define CONTROL	 0U
#define TIMER	 (X86_PM_TIMER - X86_PM1A_CONTROL)
#define TIMER_HZ 3579545U
#define ENABLE	 (X86_PM1A_EVENT - X86_PM1A_CONTROL + X86_PM1A_EVENT_LEN / 2)

#define SCI_EN		BIT(0) /* PM1_CNT: in ACPI mode, always */
#define SLEEP_ENABLE_HI BIT(5) /* bit 13, in the upper byte */

struct x86_pm1 {
	struct device dev;
	atomic_uchar enable[2]; /* drivers read back what they wrote; nothing follows from it */
	pthread_mutex_t lock;	/* for what follows */
	struct x86_stopwatch timer;
};

static u32 timer_ticks(struct x86_pm1 *pm1)
{
	u64 ns;

	pthread_mutex_lock(&pm1->lock);
	ns = x86_stopwatch_ns(&pm1->timer);
	pthread_mutex_unlock(&pm1->lock);
	return (u32)x86_ns_to_ticks(ns, TIMER_HZ);
}

static void pm1_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct x86_pm1 *pm1 = opaque;
	u8 *bytes = data;

	if (offset == TIMER) {
		put_le(data, len, timer_ticks(pm1));
		return;
	}
	for (u32 i = 0; i < len; i++) {
		u64 at = offset + i;

		bytes[i] = at == CONTROL ? SCI_EN : 0;
		if (at >= ENABLE && at < ENABLE + sizeof(pm1->enable))
			bytes[i] = atomic_load(&pm1->enable[at - ENABLE]);
	}
}

static void pm1_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct x86_pm1 *pm1 = opaque;
	const u8 *bytes = data;

	for (u32 i = 0; i < len; i++) {
		u64 at = offset + i;

		if (at >= ENABLE && at < ENABLE + sizeof(pm1->enable))
			atomic_store(&pm1->enable[at - ENABLE], bytes[i]);
		/*
		 * Whatever the type: S5 is the only state there is, and who writes here without
		 * reading \_S5 uses the type of another machine.
		 */
		if (at == CONTROL + 1 && (bytes[i] & SLEEP_ENABLE_HI))
			vm_request_stop(pm1->dev.vm, VM_STOP_POWEROFF, 0, -1);
	}
}

static const struct bus_ops pm1_bus_ops = {
	.read = pm1_read,
	.write = pm1_write,
};

static int pm1_realize(struct device *dev, struct vm *vm)
{
	return device_claim_pio(dev, X86_PM1A_CONTROL, PORTS, &pm1_bus_ops,
				container_of(dev, struct x86_pm1, dev));
}

static void pm1_reset(struct device *dev)
{
	struct x86_pm1 *pm1 = container_of(dev, struct x86_pm1, dev);

	for (u32 i = 0; i < ARRAY_SIZE(pm1->enable); i++)
		atomic_store(&pm1->enable[i], 0);
}

/* To systems without a better clock the timer is the time. */
static void pm1_quiesce(struct device *dev)
{
	struct x86_pm1 *pm1 = container_of(dev, struct x86_pm1, dev);

	pthread_mutex_lock(&pm1->lock);
	x86_stopwatch_stop(&pm1->timer);
	pthread_mutex_unlock(&pm1->lock);
}

static void pm1_resume(struct device *dev)
{
	struct x86_pm1 *pm1 = container_of(dev, struct x86_pm1, dev);

	pthread_mutex_lock(&pm1->lock);
	x86_stopwatch_start(&pm1->timer);
	pthread_mutex_unlock(&pm1->lock);
}

/* The registers belong to no driver. */
static void pm1_describe_acpi(struct device *dev, struct aml *aml)
{
	x86_describe_ports(aml, "PM1A", "acpi-pm1", X86_PM1A_CONTROL, PORTS);
}

static void pm1_destroy(struct device *dev)
{
	struct x86_pm1 *pm1 = container_of(dev, struct x86_pm1, dev);

	bus_remove(&dev->vm->pio, X86_PM1A_CONTROL);
	pthread_mutex_destroy(&pm1->lock);
	free(pm1);
}

static const struct state_field pm1_fields[] = {
	STATE_VALUE(struct x86_pm1, enable[0]),
	STATE_VALUE(struct x86_pm1, enable[1]),
	X86_STOPWATCH_STATE(struct x86_pm1, timer),
};

static const struct device_state pm1_state = {
	.version = 1,
	STATE_TABLE(pm1_fields),
	.device_at = offsetof(struct x86_pm1, dev),
};

static const struct device_ops pm1_device_ops = {
	.realize = pm1_realize,
	.reset = pm1_reset,
	.quiesce = pm1_quiesce,
	.resume = pm1_resume,
	.state = &pm1_state,
	.describe_acpi = pm1_describe_acpi,
	.destroy = pm1_destroy,
};

int x86_pm1_create(struct vm *vm)
{
	struct x86_pm1 *pm1 = xcalloc(1, sizeof(*pm1));
	int ret;

	pm1->dev.name = "acpi-pm1";
	pm1->dev.ops = &pm1_device_ops;
	pthread_mutex_init(&pm1->lock, NULL);
	x86_stopwatch_start(&pm1->timer);
	ret = device_add(vm, &pm1->dev);
	if (ret) {
		pthread_mutex_destroy(&pm1->lock);
		free(pm1);
	}
	return ret;
}
