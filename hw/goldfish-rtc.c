/* SPDX-License-Identifier: MIT */
/*
 * The real-time clock of Android's goldfish machine (QEMU, hw/rtc/goldfish_rtc.c; Linux
 * Documentation/devicetree/bindings/rtc/google,goldfish-rtc.yaml). It counts nanoseconds: the
 * host's UTC plus what the guest set it forward or back. The alarm also wakes a guest that sleeps.
 */
#include <stdlib.h>
#include <time.h>

#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/fdt.h"
#include "lkvm/hw.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* Of 32 bits each. */
enum {
	TIME_LOW = 0x00,  /* a read keeps the other half for a read of */
	TIME_HIGH = 0x04, /* this one */
	ALARM_LOW = 0x08, /* a write sets the alarm, with the half that was written before to */
	ALARM_HIGH = 0x0c,
	IRQ_ENABLED = 0x10, /* bit 0: let the interrupt out */
	CLEAR_ALARM = 0x14,
	ALARM_STATUS = 0x18, /* the alarm is set */
	CLEAR_INTERRUPT = 0x1c,
};

#define NSEC	 1000000000ULL
#define LOW_HALF 0xffffffffULL
/* The host's clock may be set while an alarm is awaited: look again after so long. */
#define ALARM_RECHECK_NS (60 * NSEC)

struct goldfish_rtc {
	struct device dev;
	struct arch_place place;
	struct irq_line irq;
	struct event_timer timer;
	pthread_mutex_t lock; /* everything below */
	u64 offset;	      /* nanoseconds that the guest's clock is ahead of the host's */
	u64 alarm;
	u32 time_high; /* of the last read of TIME_LOW */
	bool set;      /* the alarm is awaited */
	bool pending, enabled;
	bool quiesced; /* the alarm waits for the VM to go on */
};

static u64 guest_time(const struct goldfish_rtc *rtc)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (u64)now.tv_sec * NSEC + (u64)now.tv_nsec + rtc->offset;
}

static bool rings(const struct goldfish_rtc *rtc)
{
	return rtc->pending && rtc->enabled;
}

static void update_irq(struct goldfish_rtc *rtc)
{
	irq_line_set(&rtc->irq, rings(rtc));
}

/* Has it come? Else wait for it. One in the past comes at once. */
static void check_alarm(struct goldfish_rtc *rtc)
{
	u64 wait = 0, now;

	if (rtc->set && !rtc->quiesced) {
		now = guest_time(rtc);
		if (rtc->alarm > now)
			wait = MIN(rtc->alarm - now, ALARM_RECHECK_NS);
		rtc->set = wait;
		rtc->pending |= !wait;
		update_irq(rtc);
		if (rings(rtc))
			vm_wake(rtc->dev.vm);
	}
	event_timer_set(&rtc->timer, wait);
}

static void on_timer(void *opaque)
{
	struct goldfish_rtc *rtc = opaque;

	pthread_mutex_lock(&rtc->lock);
	check_alarm(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

static u32 read_register(struct goldfish_rtc *rtc, u64 reg)
{
	u64 now;

	switch (reg) {
	case TIME_LOW:
		now = guest_time(rtc);
		rtc->time_high = (u32)(now >> 32);
		return (u32)now;
	case TIME_HIGH:
		return rtc->time_high;
	case ALARM_LOW:
		return (u32)rtc->alarm;
	case ALARM_HIGH:
		return (u32)(rtc->alarm >> 32);
	case IRQ_ENABLED:
		return rtc->enabled;
	case ALARM_STATUS:
		return rtc->set;
	}
	return 0;
}

/* Each half takes effect by itself: guests write them in either order. */
static void set_time(struct goldfish_rtc *rtc, u64 half, u32 shift)
{
	u64 now = guest_time(rtc);
	u64 wanted = (now & ~(LOW_HALF << shift)) | half << shift;

	rtc->offset += wanted - now;
	check_alarm(rtc);
}

static void write_register(struct goldfish_rtc *rtc, u64 reg, u32 value)
{
	switch (reg) {
	case TIME_LOW:
		set_time(rtc, value, 0);
		break;
	case TIME_HIGH:
		set_time(rtc, value, 32);
		break;
	case ALARM_LOW:
		rtc->alarm = (rtc->alarm & ~LOW_HALF) | value;
		rtc->set = true;
		check_alarm(rtc);
		break;
	case ALARM_HIGH:
		rtc->alarm = (rtc->alarm & LOW_HALF) | (u64)value << 32;
		break;
	case IRQ_ENABLED:
		rtc->enabled = value & 1;
		update_irq(rtc);
		break;
	case CLEAR_ALARM:
		rtc->set = false;
		check_alarm(rtc);
		break;
	case CLEAR_INTERRUPT:
		rtc->pending = false;
		update_irq(rtc);
		break;
	}
}

/* Its registers have one width: another sees zeroes, and writes nothing. */
static void rtc_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct goldfish_rtc *rtc = opaque;
	u32 value = 0;

	pthread_mutex_lock(&rtc->lock);
	if (len == sizeof(value))
		value = read_register(rtc, offset);
	pthread_mutex_unlock(&rtc->lock);
	put_le(data, len, value);
}

static void rtc_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct goldfish_rtc *rtc = opaque;

	if (len != sizeof(u32))
		return;
	pthread_mutex_lock(&rtc->lock);
	write_register(rtc, offset, (u32)get_le(data, len));
	pthread_mutex_unlock(&rtc->lock);
}

static const struct bus_ops rtc_bus_ops = { .read = rtc_read, .write = rtc_write };

bool goldfish_rtc_rings(struct device *dev)
{
	struct goldfish_rtc *rtc = container_of(dev, struct goldfish_rtc, dev);
	bool ret;

	pthread_mutex_lock(&rtc->lock);
	ret = rings(rtc);
	pthread_mutex_unlock(&rtc->lock);
	return ret;
}

/* The battery keeps the time that the guest set. */
static void rtc_reset(struct device *dev)
{
	struct goldfish_rtc *rtc = container_of(dev, struct goldfish_rtc, dev);

	pthread_mutex_lock(&rtc->lock);
	rtc->alarm = 0;
	rtc->time_high = 0;
	rtc->set = rtc->pending = rtc->enabled = false;
	update_irq(rtc);
	check_alarm(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

static int rtc_realize(struct device *dev, struct vm *vm)
{
	struct goldfish_rtc *rtc = container_of(dev, struct goldfish_rtc, dev);
	int ret = device_claim_irq(dev, &rtc->irq, rtc->place.gsi, false);

	if (ret)
		return ret;
	event_timer_init(&rtc->timer, &vm->loop, on_timer, rtc);
	ret = device_claim(dev, &rtc->place, &rtc_bus_ops, rtc);
	if (!ret)
		return 0;
	event_timer_destroy(&rtc->timer);
	irq_line_destroy(&rtc->irq);
	return ret;
}

static void rtc_describe_fdt(struct device *dev, struct fdtw *fdt)
{
	const struct goldfish_rtc *rtc = container_of(dev, struct goldfish_rtc, dev);

	fdtw_node(fdt, "rtc@%llx", rtc->place.base);
	fdtw_string(fdt, "compatible", "google,goldfish-rtc");
	fdtw_reg(fdt, rtc->place.base, rtc->place.size);
	fdtw_irq(fdt, rtc->place.gsi, false);
	fdtw_close(fdt);
}

static void rtc_free(struct goldfish_rtc *rtc)
{
	pthread_mutex_destroy(&rtc->lock);
	free(rtc);
}

static void rtc_destroy(struct device *dev)
{
	struct goldfish_rtc *rtc = container_of(dev, struct goldfish_rtc, dev);

	device_release(dev, &rtc->place);
	event_timer_destroy(&rtc->timer);
	irq_line_destroy(&rtc->irq);
	rtc_free(rtc);
}

static void set_quiesced(struct device *dev, bool quiesced)
{
	struct goldfish_rtc *rtc = container_of(dev, struct goldfish_rtc, dev);

	pthread_mutex_lock(&rtc->lock);
	rtc->quiesced = quiesced;
	check_alarm(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

static void rtc_quiesce(struct device *dev)
{
	set_quiesced(dev, true);
}

static void rtc_resume(struct device *dev)
{
	set_quiesced(dev, false);
}

static int rtc_load(void *obj)
{
	update_irq(obj);
	check_alarm(obj);
	return 0;
}

/* The time is the host's, also where the state is loaded: an alarm that passed comes at once. */
static const struct state_field rtc_fields[] = {
	STATE_VALUE(struct goldfish_rtc, offset),    STATE_VALUE(struct goldfish_rtc, alarm),
	STATE_VALUE(struct goldfish_rtc, time_high), STATE_BOOL(struct goldfish_rtc, set),
	STATE_BOOL(struct goldfish_rtc, pending),    STATE_BOOL(struct goldfish_rtc, enabled),
};

static const struct device_state rtc_state = {
	.version = 1,
	STATE_TABLE(rtc_fields),
	.device_at = offsetof(struct goldfish_rtc, dev),
	.load = rtc_load,
};

static const struct device_ops rtc_ops = {
	.realize = rtc_realize,
	.reset = rtc_reset,
	.quiesce = rtc_quiesce,
	.resume = rtc_resume,
	.state = &rtc_state,
	.describe_fdt = rtc_describe_fdt,
	.destroy = rtc_destroy,
};

int goldfish_rtc_create(struct vm *vm, const struct arch_place *place, struct device **out)
{
	struct goldfish_rtc *rtc = xcalloc(1, sizeof(*rtc));
	int ret;

	rtc->dev.name = "rtc";
	rtc->dev.ops = &rtc_ops;
	rtc->place = *place;
	pthread_mutex_init(&rtc->lock, NULL);
	ret = device_add(vm, &rtc->dev);
	if (ret)
		rtc_free(rtc);
	*out = ret ? NULL : &rtc->dev;
	return ret;
}
