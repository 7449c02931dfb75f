/* SPDX-License-Identifier: MIT */
/*
 * Arm PrimeCell real-time clock PL031 (Arm DDI 0224B). It counts seconds: the host's UTC plus what
 * the guest set it forward or back. The alarm is the match register.
 */
#include <stdlib.h>
#include <time.h>

#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/fdt.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "primecell.h"

/* DDI 0224B, table 3-1. */
enum {
	RTCDR = 0x00,	/* the time */
	RTCMR = 0x04,	/* match */
	RTCLR = 0x08,	/* load: set the time */
	RTCCR = 0x0c,	/* bit 0: the clock runs */
	RTCIMSC = 0x10, /* bit 0: let the interrupt out */
	RTCRIS = 0x14,
	RTCMIS = 0x18,
	RTCICR = 0x1c, /* bit 0: clear the interrupt */
};

#define PL031_PART 0x031
#define NSEC	   1000000000ULL
/* The host's clock may be set while an alarm is awaited: look again after so long. */
#define ALARM_RECHECK_NS (60 * NSEC)

struct pl031 {
	struct device dev;
	struct arch_place place;
	struct irq_line irq;
	struct event_timer alarm;
	pthread_mutex_t lock;
	u32 offset; /* seconds that the guest's clock is ahead of the host's */
	u32 match, load;
	bool awaited; /* the match lies ahead */
	bool raw, mask;
	bool quiesced; /* the alarm waits for the VM to go on */
};

static u64 host_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (u64)now.tv_sec * NSEC + (u64)now.tv_nsec;
}

static u32 guest_time(const struct pl031 *rtc, u64 host)
{
	return (u32)(host / NSEC) + rtc->offset;
}

static void update_irq(struct pl031 *rtc)
{
	irq_line_set(&rtc->irq, rtc->raw && rtc->mask);
}

/*
 * Has the match come? Else wait for it. What lies more than half of the counter's range ahead is in
 * the past. The timer runs while the interrupt is masked too: the raw status is to be seen.
 */
static void check_alarm(struct pl031 *rtc)
{
	u64 host = host_ns();
	u32 ahead = rtc->match - guest_time(rtc, host);
	u64 wait = 0;

	if (rtc->awaited && !rtc->quiesced && (ahead == 0 || ahead >= BIT(31))) {
		rtc->awaited = false;
		rtc->raw = true;
		update_irq(rtc);
	} else if (rtc->awaited && !rtc->quiesced) {
		wait = MIN(ahead * NSEC - host % NSEC, ALARM_RECHECK_NS);
	}
	event_timer_set(&rtc->alarm, wait);
}

/* The time or the match was set: an alarm in the past will not come. */
static void set_alarm(struct pl031 *rtc)
{
	rtc->awaited = rtc->match - guest_time(rtc, host_ns()) < BIT(31);
	check_alarm(rtc);
}

static void on_alarm(void *opaque)
{
	struct pl031 *rtc = opaque;

	pthread_mutex_lock(&rtc->lock);
	check_alarm(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

static u32 read_register(void *opaque, u32 reg)
{
	struct pl031 *rtc = opaque;

	switch (reg) {
	case RTCDR:
		return guest_time(rtc, host_ns());
	case RTCMR:
		return rtc->match;
	case RTCLR:
		return rtc->load;
	case RTCCR:
		/* 3.3.4: once on, it stays on; and its battery is never empty. */
		return 1;
	case RTCIMSC:
		return rtc->mask;
	case RTCRIS:
		return rtc->raw;
	case RTCMIS:
		return rtc->raw && rtc->mask;
	}
	return 0;
}

static void write_register(void *opaque, u32 reg, u32 value)
{
	struct pl031 *rtc = opaque;

	switch (reg) {
	case RTCMR:
		rtc->match = value;
		set_alarm(rtc);
		break;
	case RTCLR:
		rtc->load = value;
		rtc->offset = value - (u32)(host_ns() / NSEC);
		set_alarm(rtc);
		break;
	case RTCIMSC:
		rtc->mask = value & 1;
		update_irq(rtc);
		break;
	case RTCICR:
		if (value & 1)
			rtc->raw = false;
		update_irq(rtc);
		break;
	}
}

static const struct primecell_ops pl031_registers = {
	.part = PL031_PART,
	.read = read_register,
	.write = write_register,
};

static void pl031_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct pl031 *rtc = opaque;

	pthread_mutex_lock(&rtc->lock);
	primecell_read(&pl031_registers, rtc, offset, data, len);
	pthread_mutex_unlock(&rtc->lock);
}

static void pl031_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct pl031 *rtc = opaque;

	pthread_mutex_lock(&rtc->lock);
	primecell_write(&pl031_registers, rtc, offset, data, len);
	pthread_mutex_unlock(&rtc->lock);
}

static const struct bus_ops pl031_bus_ops = {
	.read = pl031_read,
	.write = pl031_write,
};

/* The battery keeps the time that the guest set. */
static void pl031_reset(struct device *dev)
{
	struct pl031 *rtc = container_of(dev, struct pl031, dev);

	pthread_mutex_lock(&rtc->lock);
	rtc->match = 0;
	rtc->load = 0;
	rtc->awaited = false;
	rtc->raw = false;
	rtc->mask = false;
	update_irq(rtc);
	event_timer_set(&rtc->alarm, 0);
	pthread_mutex_unlock(&rtc->lock);
}

static int pl031_realize(struct device *dev, struct vm *vm)
{
	struct pl031 *rtc = container_of(dev, struct pl031, dev);
	int ret;

	ret = device_claim_irq(dev, &rtc->irq, rtc->place.gsi, false);
	if (ret)
		return ret;
	event_timer_init(&rtc->alarm, &vm->loop, on_alarm, rtc);
	ret = device_claim(dev, &rtc->place, &pl031_bus_ops, rtc);
	if (!ret)
		return 0;
	event_timer_destroy(&rtc->alarm);
	irq_line_destroy(&rtc->irq);
	return ret;
}

static void pl031_describe_fdt(struct device *dev, struct fdtw *fdt)
{
	const struct pl031 *rtc = container_of(dev, struct pl031, dev);

	fdtw_node(fdt, "rtc@%llx", rtc->place.base);
	primecell_describe(fdt, "arm,pl031", &rtc->place);
	fdtw_close(fdt);
}

static void pl031_free(struct pl031 *rtc)
{
	pthread_mutex_destroy(&rtc->lock);
	free(rtc);
}

static void pl031_destroy(struct device *dev)
{
	struct pl031 *rtc = container_of(dev, struct pl031, dev);

	device_release(dev, &rtc->place);
	event_timer_destroy(&rtc->alarm);
	irq_line_destroy(&rtc->irq);
	pl031_free(rtc);
}

static void set_quiesced(struct pl031 *rtc, bool quiesced)
{
	pthread_mutex_lock(&rtc->lock);
	rtc->quiesced = quiesced;
	check_alarm(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

static void pl031_quiesce(struct device *dev)
{
	set_quiesced(container_of(dev, struct pl031, dev), true);
}

static void pl031_resume(struct device *dev)
{
	set_quiesced(container_of(dev, struct pl031, dev), false);
}

static int pl031_load(void *obj)
{
	struct pl031 *rtc = obj;

	update_irq(rtc);
	check_alarm(rtc);
	return 0;
}

/* The time is the host's, also where the state is loaded: an alarm that passed comes at once. */
static const struct state_field pl031_fields[] = {
	STATE_VALUE(struct pl031, offset), STATE_VALUE(struct pl031, match),
	STATE_VALUE(struct pl031, load),   STATE_BOOL(struct pl031, awaited),
	STATE_BOOL(struct pl031, raw),	   STATE_BOOL(struct pl031, mask),
};

static const struct device_state pl031_state = {
	.version = 1,
	STATE_TABLE(pl031_fields),
	.device_at = offsetof(struct pl031, dev),
	.load = pl031_load,
};

static const struct device_ops pl031_ops = {
	.realize = pl031_realize,
	.reset = pl031_reset,
	.quiesce = pl031_quiesce,
	.resume = pl031_resume,
	.state = &pl031_state,
	.describe_fdt = pl031_describe_fdt,
	.destroy = pl031_destroy,
};

int pl031_create(struct vm *vm, const struct arch_place *place)
{
	struct pl031 *rtc = xcalloc(1, sizeof(*rtc));
	int ret;

	rtc->dev.name = "rtc";
	rtc->dev.ops = &pl031_ops;
	rtc->place = *place;
	rtc->place.edge = false; /* the interrupt stays until it is cleared */
	pthread_mutex_init(&rtc->lock, NULL);
	ret = device_add(vm, &rtc->dev);
	if (ret)
		pl031_free(rtc);
	return ret;
}
