/* SPDX-License-Identifier: MIT */
/*
 * Arm PrimeCell GPIO PL061 (Arm DDI 0190B): eight pins, one of which is the machine's power key
 * (Linux Documentation/devicetree/bindings/input/gpio-keys.yaml). A guest that asked for the key's
 * interrupt looks at the pin some time after that, to be sure that it no longer bounces, and a busy
 * one late: so the key stays down until it has looked.
 */
#include <linux/input-event-codes.h>
#include <stdlib.h>

#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/fdt.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "primecell.h"

/* DDI 0190B, table 3-1. Bits 9:2 of the address select the pins that an access of the data sees. */
enum {
	GPIODATA_END = 0x400,
	GPIODIR = 0x400,   /* 1: output */
	GPIOIS = 0x404,	   /* 1: interrupt by level, 0: by edge */
	GPIOIBE = 0x408,   /* by both edges */
	GPIOIEV = 0x40c,   /* 1: high level or rising edge */
	GPIOIE = 0x410,	   /* 1: let the interrupt out */
	GPIORIS = 0x414,   /* raw status */
	GPIOMIS = 0x418,   /* masked status */
	GPIOIC = 0x41c,	   /* clear edges */
	GPIOAFSEL = 0x420, /* nothing else is behind these pins */
};

#define PL061_PART 0x061
#define POWER_PIN  3
/* How long the key stays down after it was seen, or where nobody listens: longer than the 5 ms for
 * which Linux's driver waits until a key no longer bounces. */
#define PRESS_NS 100000000ULL

struct pl061 {
	struct device dev;
	struct arch_place place;
	struct irq_line irq;
	struct event_timer release;
	pthread_mutex_t lock;
	u8 latch; /* what the guest wrote, driven where dir says so */
	u8 input; /* what comes from outside */
	u8 dir, is, ibe, iev, ie, afsel;
	u8 edges;		/* seen and not cleared */
	bool quiesced, pressed; /* a press that comes in a pause waits */
	bool seen;		/* the guest read the key's pin since it was pressed */
};

static u8 pins(const struct pl061 *g)
{
	return (g->latch & g->dir) | (g->input & (u8)~g->dir);
}

/* Outputs raise no interrupts. */
static u8 raw_status(const struct pl061 *g)
{
	u8 active = (u8) ~(pins(g) ^ g->iev);

	return g->edges | (active & g->is & (u8)~g->dir);
}

static void update_irq(struct pl061 *g)
{
	irq_line_set(&g->irq, raw_status(g) & g->ie);
}

static bool is_down(const struct pl061 *g)
{
	return g->input & BIT(POWER_PIN);
}

/* Is there an interrupt when the key is pressed, so that the guest will look? */
static bool listens(const struct pl061 *g)
{
	u8 raised = g->iev | (g->ibe & (u8)~g->is);

	return raised & g->ie & (u8)~g->dir & BIT(POWER_PIN);
}

static u8 read_pins(struct pl061 *g, u8 select)
{
	/* The first time it is down. */
	if (is_down(g) && !g->seen && (select & (u8)~g->dir & BIT(POWER_PIN))) {
		g->seen = true;
		event_timer_set(&g->release, PRESS_NS);
	}
	return pins(g) & select;
}

static u32 read_register(void *opaque, u32 reg)
{
	struct pl061 *g = opaque;

	if (reg < GPIODATA_END)
		return read_pins(g, (u8)(reg >> 2));
	switch (reg) {
	case GPIODIR:
		return g->dir;
	case GPIOIS:
		return g->is;
	case GPIOIBE:
		return g->ibe;
	case GPIOIEV:
		return g->iev;
	case GPIOIE:
		return g->ie;
	case GPIORIS:
		return raw_status(g);
	case GPIOMIS:
		return raw_status(g) & g->ie;
	case GPIOAFSEL:
		return g->afsel;
	}
	return 0;
}

static void write_register(void *opaque, u32 reg, u32 value)
{
	struct pl061 *g = opaque;
	u8 bits = (u8)value, select = (u8)(reg >> 2);

	if (reg < GPIODATA_END) {
		g->latch = (g->latch & (u8)~select) | (bits & select);
		return;
	}
	switch (reg) {
	case GPIODIR:
		g->dir = bits;
		break;
	case GPIOIS:
		g->is = bits;
		break;
	case GPIOIBE:
		g->ibe = bits;
		break;
	case GPIOIEV:
		g->iev = bits;
		break;
	case GPIOIE:
		g->ie = bits;
		break;
	case GPIOIC:
		g->edges &= (u8)~bits;
		break;
	case GPIOAFSEL:
		g->afsel = bits;
		break;
	}
	update_irq(g);
	/* It may have left off listening. */
	if (is_down(g) && !g->seen && !listens(g))
		event_timer_set(&g->release, PRESS_NS);
}

static const struct primecell_ops pl061_registers = {
	.part = PL061_PART,
	.read = read_register,
	.write = write_register,
};

static void pl061_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct pl061 *g = opaque;

	pthread_mutex_lock(&g->lock);
	primecell_read(&pl061_registers, g, offset, data, len);
	pthread_mutex_unlock(&g->lock);
}

static void pl061_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct pl061 *g = opaque;

	pthread_mutex_lock(&g->lock);
	primecell_write(&pl061_registers, g, offset, data, len);
	pthread_mutex_unlock(&g->lock);
}

static const struct bus_ops pl061_bus_ops = {
	.read = pl061_read,
	.write = pl061_write,
};

/* The power key */

static void set_power_key(struct pl061 *g, bool down)
{
	u8 before = g->input;
	u8 wanted;

	if (down)
		g->input |= BIT(POWER_PIN);
	else
		g->input &= (u8)~BIT(POWER_PIN);
	wanted = g->ibe | (u8) ~(g->input ^ g->iev);
	g->edges |= (before ^ g->input) & wanted & (u8) ~(g->is | g->dir);
	update_irq(g);
}

/* Under the lock. A guest that never looks has edges of the next press, too. */
static void press(struct pl061 *g)
{
	g->pressed = g->quiesced;
	if (g->quiesced)
		return;
	set_power_key(g, false);
	set_power_key(g, true);
	g->seen = false;
	event_timer_set(&g->release, PRESS_NS);
}

static void on_release(void *opaque)
{
	struct pl061 *g = opaque;

	pthread_mutex_lock(&g->lock);
	if (!g->quiesced && (g->seen || !listens(g)))
		set_power_key(g, false);
	pthread_mutex_unlock(&g->lock);
}

void pl061_press(struct device *dev)
{
	struct pl061 *g = container_of(dev, struct pl061, dev);

	pthread_mutex_lock(&g->lock);
	press(g);
	pthread_mutex_unlock(&g->lock);
}

/* The device */

static void pl061_reset(struct device *dev)
{
	struct pl061 *g = container_of(dev, struct pl061, dev);

	pthread_mutex_lock(&g->lock);
	g->latch = g->input = g->edges = 0;
	g->pressed = g->seen = false;
	g->dir = g->is = g->ibe = g->iev = g->ie = g->afsel = 0;
	event_timer_set(&g->release, 0);
	update_irq(g);
	pthread_mutex_unlock(&g->lock);
}

static int pl061_realize(struct device *dev, struct vm *vm)
{
	struct pl061 *g = container_of(dev, struct pl061, dev);
	int ret;

	ret = device_claim_irq(dev, &g->irq, g->place.gsi, false);
	if (ret)
		return ret;
	event_timer_init(&g->release, &vm->loop, on_release, g);
	ret = device_claim(dev, &g->place, &pl061_bus_ops, g);
	if (!ret)
		return 0;
	event_timer_destroy(&g->release);
	irq_line_destroy(&g->irq);
	return ret;
}

static void pl061_describe_fdt(struct device *dev, struct fdtw *fdt)
{
	const struct pl061 *g = container_of(dev, struct pl061, dev);
	u32 key[3] = { 0, POWER_PIN, 0 }; /* active high */

	key[0] = fdtw_phandle(fdt);
	fdtw_node(fdt, "gpio@%llx", g->place.base);
	primecell_describe(fdt, "arm,pl061", &g->place);
	fdtw_empty(fdt, "gpio-controller");
	fdtw_u32(fdt, "#gpio-cells", 2);
	fdtw_empty(fdt, "interrupt-controller");
	fdtw_u32(fdt, "#interrupt-cells", 2);
	fdtw_u32(fdt, "#address-cells", 0);
	fdtw_u32(fdt, "phandle", key[0]);
	fdtw_close(fdt);

	fdtw_node(fdt, "gpio-keys");
	fdtw_string(fdt, "compatible", "gpio-keys");
	fdtw_node(fdt, "power");
	fdtw_string(fdt, "label", "power");
	fdtw_u32(fdt, "linux,code", KEY_POWER);
	fdtw_cells(fdt, "gpios", key, ARRAY_SIZE(key));
	fdtw_close(fdt);
	fdtw_close(fdt);
}

static void pl061_free(struct pl061 *g)
{
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static void pl061_destroy(struct device *dev)
{
	struct pl061 *g = container_of(dev, struct pl061, dev);

	device_release(dev, &g->place);
	event_timer_destroy(&g->release);
	irq_line_destroy(&g->irq);
	pl061_free(g);
}

static void pl061_quiesce(struct device *dev)
{
	struct pl061 *g = container_of(dev, struct pl061, dev);

	pthread_mutex_lock(&g->lock);
	g->quiesced = true;
	event_timer_set(&g->release, 0);
	pthread_mutex_unlock(&g->lock);
}

static void pl061_resume(struct device *dev)
{
	struct pl061 *g = container_of(dev, struct pl061, dev);

	pthread_mutex_lock(&g->lock);
	g->quiesced = false;
	if (g->pressed)
		press(g);
	else if (is_down(g))
		event_timer_set(&g->release, PRESS_NS);
	pthread_mutex_unlock(&g->lock);
}

static int pl061_load(void *obj)
{
	update_irq(obj);
	return 0;
}

static const struct state_field pl061_fields[] = {
	STATE_VALUE(struct pl061, latch), STATE_VALUE(struct pl061, input),
	STATE_VALUE(struct pl061, dir),	  STATE_VALUE(struct pl061, is),
	STATE_VALUE(struct pl061, ibe),	  STATE_VALUE(struct pl061, iev),
	STATE_VALUE(struct pl061, ie),	  STATE_VALUE(struct pl061, afsel),
	STATE_VALUE(struct pl061, edges), STATE_BOOL(struct pl061, pressed),
	STATE_BOOL(struct pl061, seen),
};

static const struct device_state pl061_state = {
	.version = 2,
	STATE_TABLE(pl061_fields),
	.device_at = offsetof(struct pl061, dev),
	.load = pl061_load,
};

static const struct device_ops pl061_ops = {
	.realize = pl061_realize,
	.reset = pl061_reset,
	.quiesce = pl061_quiesce,
	.resume = pl061_resume,
	.state = &pl061_state,
	.describe_fdt = pl061_describe_fdt,
	.destroy = pl061_destroy,
};

int pl061_create(struct vm *vm, const struct arch_place *place, struct device **out)
{
	struct pl061 *g = xcalloc(1, sizeof(*g));
	int ret;

	g->dev.name = "gpio";
	g->dev.ops = &pl061_ops;
	g->place = *place;
	g->place.edge = false; /* the interrupt stays until the guest clears its cause */
	pthread_mutex_init(&g->lock, NULL);
	ret = device_add(vm, &g->dev);
	if (ret)
		pl061_free(g);
	*out = ret ? NULL : &g->dev;
	return ret;
}
