/* SPDX-License-Identifier: MIT */
/*
 * The interval timer of the split irqchip (Intel 8254 data sheet, September 1993) and the PC's port
 * 0x61, which gates counter 2 and shows its output. Systems without KVM's clock and ACPI's timer
 * count by it how fast others are; nothing runs but while counter 0 is to interrupt, at the
 * IOAPIC's pin 0, as its routes to KVM's PIT are (irqchip.c).
 */
#include <pthread.h>
#include <stdlib.h>

#include "layout.h"
#include "lkvm/device.h"
#include "lkvm/event.h"
#include "lkvm/irq.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "stopwatch.h"

#define PORTS	 4U /* three counters and the control word */
#define CONTROL	 3U
#define COUNTERS 3U
#define HZ	 1193182ULL
/* Faster ticks are this far apart: no guest may keep the main loop busy. */
#define MIN_PERIOD_NS 200000ULL

/* The control word, and the status that a counter shows. */
#define CTL_COUNTER(v)	((v) >> 6)
#define CTL_READ_BACK	3U
#define CTL_ACCESS(v)	((v) >> 4 & 3) /* 0: latch the count */
#define CTL_MODE(v)	((v) >> 1 & 7)
#define CTL_BCD		BIT(0)
#define BACK_NO_COUNT	BIT(5)
#define BACK_NO_STATUS	BIT(4)
#define STATUS_OUT	BIT(7)
#define STATUS_NO_COUNT BIT(6)
#define STATUS_CONTROL	0x3f

enum { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };

#define P61_GATE2   BIT(0)
#define P61_SPEAKER BIT(1)
#define P61_REFRESH BIT(4) /* changes with each refresh of memory, about every 15 us */
#define P61_OUT2    BIT(5)

struct counter {
	u8 control;  /* access, mode and BCD as they were written */
	bool loaded; /* counts: the last control word was followed by a count */
	bool gate;
	u32 initial; /* 1 to 0x10000, or to 10000 */
	u8 low;	     /* written; the high byte is to come */
	bool write_high, read_high;
	bool latched, status_latched;
	u16 latch;
	u8 status;
	u64 start_ns; /* when the initial count was loaded, on the timer's clock */
	u64 held_ns;  /* since when the gate is closed */
};

struct x86_pit {
	struct device dev;
	struct irq_line irq;
	pthread_mutex_t lock;
	struct event_timer timer; /* counter 0's next interrupt */
	struct counter counters[COUNTERS];
	bool one_shot; /* counter 0's only interrupt is still to come */
	u8 port61;
	struct x86_stopwatch clock;
};

static u64 clock_ns(const struct x86_pit *pit)
{
	return x86_stopwatch_ns(&pit->clock);
}

/* Rounded up: by then that many ticks have passed. */
static u64 to_ns(u64 ticks)
{
	return ticks / HZ * X86_NSEC + (ticks % HZ * X86_NSEC + HZ - 1) / HZ;
}

/* Modes 6 and 7 are 2 and 3. */
static u32 mode_of(const struct counter *c)
{
	u32 mode = CTL_MODE(c->control);

	return mode > 5 ? mode - 4 : mode;
}

static bool is_periodic(const struct counter *c)
{
	return mode_of(c) == 2 || mode_of(c) == 3;
}

/* A rising gate alone begins the count; a gate that falls does not hold it. */
static bool is_triggered(const struct counter *c)
{
	return mode_of(c) == 1 || mode_of(c) == 5;
}

static u32 modulus(const struct counter *c)
{
	return c->control & CTL_BCD ? 10000 : 0x10000;
}

static u64 elapsed(const struct counter *c, u64 now)
{
	bool runs = c->gate || is_triggered(c);

	return x86_ns_to_ticks((runs ? now : c->held_ns) - c->start_ns, HZ);
}

static bool output(const struct counter *c, u64 now)
{
	u64 ticks = elapsed(c, now);

	if (!c->loaded)
		return mode_of(c) != 0;
	switch (mode_of(c)) {
	case 0:
	case 1: /* low from the trigger to the end of the count */
		return ticks >= c->initial;
	case 2:
		return !c->gate || ticks % c->initial != c->initial - 1;
	case 3:
		return !c->gate || ticks % c->initial < (c->initial + 1) / 2;
	default:
		return ticks != c->initial;
	}
}

static u16 to_bcd(u32 value)
{
	return (u16)(value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 |
		     value / 1000 % 10 << 12);
}

static u16 current_count(const struct counter *c, u64 now)
{
	u64 ticks = c->loaded ? elapsed(c, now) : 0;
	u32 value;

	if (mode_of(c) == 3) /* by two: the count is even */
		value = (c->initial & ~1U) - (u32)(2 * ticks % MAX(c->initial & ~1U, 2U));
	else if (mode_of(c) == 2)
		value = c->initial - (u32)(ticks % c->initial);
	else
		value = (c->initial + modulus(c) - (u32)(ticks % modulus(c))) % modulus(c);
	value %= modulus(c);
	return c->control & CTL_BCD ? to_bcd(value) : (u16)value;
}

/* Counter 0's interrupt */

/* When counter 0's output rises next, at @now; 0: not again. Its gate is always open. */
static u64 next_interrupt(const struct x86_pit *pit, u64 now)
{
	const struct counter *c = &pit->counters[0];

	if (!c->loaded)
		return 0;
	if (is_periodic(c))
		return c->start_ns + to_ns((elapsed(c, now) / c->initial + 1) * c->initial);
	return pit->one_shot ? c->start_ns + to_ns(c->initial) : 0;
}

/* Under the lock. */
static void arm(struct x86_pit *pit)
{
	u64 now = clock_ns(pit), next = next_interrupt(pit, now), wait;

	if (pit->clock.stopped)
		return;
	wait = next > now ? next - now : 1;
	if (is_periodic(&pit->counters[0]))
		wait = MAX(wait, MIN_PERIOD_NS);
	event_timer_set(&pit->timer, next ? wait : 0);
}

/* The main loop. Ticks that it missed are lost, as where interrupts are off for long. */
static void on_timer(void *opaque)
{
	struct x86_pit *pit = opaque;
	struct counter *c = &pit->counters[0];
	u64 now;

	pthread_mutex_lock(&pit->lock);
	now = clock_ns(pit);
	/* The guest may have set it anew, or the VM been paused, after the loop woke. */
	if (!pit->clock.stopped && c->loaded &&
	    (is_periodic(c) || (pit->one_shot && elapsed(c, now) >= c->initial))) {
		pit->one_shot = false;
		irq_line_pulse(&pit->irq);
		arm(pit);
	}
	pthread_mutex_unlock(&pit->lock);
}

/* Registers; all under the lock */

static void load_count(struct x86_pit *pit, struct counter *c, u32 count)
{
	if (c->control & CTL_BCD)
		count = (count & 15) + (count >> 4 & 15) * 10 + (count >> 8 & 15) * 100 +
			(count >> 12 & 15) * 1000;
	c->initial = count ? MIN(count, modulus(c)) : modulus(c);
	c->start_ns = c->held_ns = clock_ns(pit);
	c->loaded = !is_triggered(c);
	if (c != &pit->counters[0])
		return;
	pit->one_shot = c->loaded && !is_periodic(c);
	arm(pit);
}

static void latch_count(struct x86_pit *pit, struct counter *c)
{
	if (c->latched)
		return;
	c->latch = current_count(c, clock_ns(pit));
	c->latched = true;
	c->read_high = false;
}

static void latch_status(struct x86_pit *pit, struct counter *c)
{
	if (c->status_latched)
		return;
	c->status = (c->control & STATUS_CONTROL) | (output(c, clock_ns(pit)) ? STATUS_OUT : 0) |
		    (c->loaded ? 0 : STATUS_NO_COUNT);
	c->status_latched = true;
}

static void write_control(struct x86_pit *pit, u8 value)
{
	struct counter *c;

	if (CTL_COUNTER(value) == CTL_READ_BACK) {
		for (u32 i = 0; i < COUNTERS; i++) {
			if (!(value & BIT(i + 1)))
				continue;
			if (!(value & BACK_NO_COUNT))
				latch_count(pit, &pit->counters[i]);
			if (!(value & BACK_NO_STATUS))
				latch_status(pit, &pit->counters[i]);
		}
		return;
	}
	c = &pit->counters[CTL_COUNTER(value)];
	if (CTL_ACCESS(value) == ACCESS_LATCH) {
		latch_count(pit, c);
		return;
	}
	c->control = value & STATUS_CONTROL;
	c->loaded = c->write_high = c->read_high = c->latched = c->status_latched = false;
	if (c == &pit->counters[0])
		arm(pit);
}

static void write_counter(struct x86_pit *pit, struct counter *c, u8 value)
{
	switch (CTL_ACCESS(c->control)) {
	case ACCESS_LOW:
		load_count(pit, c, value);
		break;
	case ACCESS_HIGH:
		load_count(pit, c, (u32)value << 8);
		break;
	default:
		if (c->write_high)
			load_count(pit, c, c->low | (u32)value << 8);
		else
			c->low = value;
		c->write_high = !c->write_high;
	}
}

static u8 read_counter(struct x86_pit *pit, struct counter *c)
{
	u32 access = CTL_ACCESS(c->control);
	bool high = access == ACCESS_HIGH || (access == ACCESS_BOTH && c->read_high);
	u16 count;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	count = c->latched ? c->latch : current_count(c, clock_ns(pit));
	if (access == ACCESS_BOTH)
		c->read_high = !c->read_high;
	/* A latch holds until all of it was read. */
	if (access != ACCESS_BOTH || high)
		c->latched = false;
	return (u8)(high ? count >> 8 : count);
}

static void set_gate(struct x86_pit *pit, struct counter *c, bool gate)
{
	u64 now = clock_ns(pit);

	if (c->gate == gate)
		return;
	if (!gate)
		c->held_ns = now;
	else if (mode_of(c) == 0 || mode_of(c) == 4)
		c->start_ns += now - c->held_ns; /* it goes on */
	else
		c->start_ns = now; /* it begins anew */
	if (gate && is_triggered(c))
		c->loaded = true;
	c->gate = gate;
}

static void pit_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct x86_pit *pit = opaque;
	u8 *bytes = data;

	pthread_mutex_lock(&pit->lock);
	for (u32 i = 0; i < len; i++)
		bytes[i] = offset + i < COUNTERS ? read_counter(pit, &pit->counters[offset + i])
						 : 0xff;
	pthread_mutex_unlock(&pit->lock);
}

static void pit_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct x86_pit *pit = opaque;
	const u8 *bytes = data;

	pthread_mutex_lock(&pit->lock);
	for (u32 i = 0; i < len; i++) {
		if (offset + i == CONTROL)
			write_control(pit, bytes[i]);
		else
			write_counter(pit, &pit->counters[offset + i], bytes[i]);
	}
	pthread_mutex_unlock(&pit->lock);
}

static void port61_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct x86_pit *pit = opaque;
	u64 now;
	u8 value;

	pthread_mutex_lock(&pit->lock);
	now = clock_ns(pit);
	value = pit->port61 | (output(&pit->counters[2], now) ? P61_OUT2 : 0) |
		(now / 15000 & 1 ? P61_REFRESH : 0);
	pthread_mutex_unlock(&pit->lock);
	put_le(data, len, value);
}

static void port61_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct x86_pit *pit = opaque;

	pthread_mutex_lock(&pit->lock);
	pit->port61 = *(const u8 *)data & (P61_GATE2 | P61_SPEAKER);
	set_gate(pit, &pit->counters[2], pit->port61 & P61_GATE2);
	pthread_mutex_unlock(&pit->lock);
}

static const struct bus_ops pit_bus_ops = { .read = pit_read, .write = pit_write };
static const struct bus_ops port61_bus_ops = { .read = port61_read, .write = port61_write };

/* The device */

static void pit_reset(struct device *dev)
{
	struct x86_pit *pit = container_of(dev, struct x86_pit, dev);

	pthread_mutex_lock(&pit->lock);
	pit->port61 = 0;
	pit->one_shot = false;
	for (u32 i = 0; i < COUNTERS; i++)
		pit->counters[i] = (struct counter){
			.control = ACCESS_BOTH << 4,
			.gate = i != 2,
			.initial = 0x10000,
		};
	arm(pit);
	pthread_mutex_unlock(&pit->lock);
}

static int pit_realize(struct device *dev, struct vm *vm)
{
	struct x86_pit *pit = container_of(dev, struct x86_pit, dev);
	int ret = device_claim_irq(dev, &pit->irq, X86_GSI_PIT, true);

	if (ret)
		return ret;
	ret = device_claim_pio(dev, X86_PORT_PIT, PORTS, &pit_bus_ops, pit);
	if (!ret)
		ret = device_claim_pio(dev, X86_PORT_61, 1, &port61_bus_ops, pit);
	if (ret) {
		bus_remove(&vm->pio, X86_PORT_PIT);
		irq_line_destroy(&pit->irq);
	}
	return ret;
}

static void pit_quiesce(struct device *dev)
{
	struct x86_pit *pit = container_of(dev, struct x86_pit, dev);

	pthread_mutex_lock(&pit->lock);
	x86_stopwatch_stop(&pit->clock);
	pthread_mutex_unlock(&pit->lock);
}

static void pit_resume(struct device *dev)
{
	struct x86_pit *pit = container_of(dev, struct x86_pit, dev);

	pthread_mutex_lock(&pit->lock);
	x86_stopwatch_start(&pit->clock);
	arm(pit);
	pthread_mutex_unlock(&pit->lock);
}

static void pit_destroy(struct device *dev)
{
	struct x86_pit *pit = container_of(dev, struct x86_pit, dev);

	bus_remove(&dev->vm->pio, X86_PORT_PIT);
	bus_remove(&dev->vm->pio, X86_PORT_61);
	event_timer_destroy(&pit->timer);
	irq_line_destroy(&pit->irq);
	pthread_mutex_destroy(&pit->lock);
	free(pit);
}

#define COUNTER(member)	     STATE_VALUE(struct counter, member)
#define COUNTER_BOOL(member) STATE_BOOL(struct counter, member)
static const struct state_field counter_fields[] = {
	STATE_UP_TO(struct counter, control, STATUS_CONTROL),
	COUNTER_BOOL(loaded),
	COUNTER_BOOL(gate),
	COUNTER(initial),
	COUNTER(low),
	COUNTER_BOOL(write_high),
	COUNTER_BOOL(read_high),
	COUNTER_BOOL(latched),
	COUNTER_BOOL(status_latched),
	COUNTER(latch),
	COUNTER(status),
	COUNTER(start_ns),
	COUNTER(held_ns),
};
static const struct device_state counter_state = { .version = 1, STATE_TABLE(counter_fields) };

static const struct state_field pit_fields[] = {
	STATE_PARTS(struct x86_pit, counters, &counter_state),
	STATE_BOOL(struct x86_pit, one_shot),
	STATE_UP_TO(struct x86_pit, port61, P61_GATE2 | P61_SPEAKER),
	X86_STOPWATCH_STATE(struct x86_pit, clock),
};

/* Nothing divides by what others wrote to a file. */
static int pit_load(void *obj)
{
	struct x86_pit *pit = obj;

	for (u32 i = 0; i < COUNTERS; i++) {
		struct counter *c = &pit->counters[i];

		if (!c->initial || c->initial > modulus(c))
			c->initial = modulus(c);
	}
	return 0;
}

static const struct device_state pit_state = {
	.version = 1,
	STATE_TABLE(pit_fields),
	.device_at = offsetof(struct x86_pit, dev),
	.load = pit_load,
};

static const struct device_ops pit_device_ops = {
	.realize = pit_realize,
	.reset = pit_reset,
	.quiesce = pit_quiesce,
	.resume = pit_resume,
	.state = &pit_state,
	.destroy = pit_destroy,
};

int x86_pit_create(struct vm *vm)
{
	struct x86_pit *pit = xcalloc(1, sizeof(*pit));
	int ret;

	pit->dev.name = "pit";
	pit->dev.ops = &pit_device_ops;
	x86_stopwatch_start(&pit->clock);
	pthread_mutex_init(&pit->lock, NULL);
	event_timer_init(&pit->timer, &vm->loop, on_timer, pit);
	pit_reset(&pit->dev);
	ret = device_add(vm, &pit->dev);
	if (ret) {
		pthread_mutex_destroy(&pit->lock);
		free(pit);
	}
	return ret;
}
