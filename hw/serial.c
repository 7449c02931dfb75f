/* SPDX-License-Identifier: MIT */
/*
 * 16550A UART (National Semiconductor PC16550D data sheet, 1995, sections 8.0 to 8.8). A line
 * without a baud rate: what is transmitted is gone at once, so the transmitter is always empty, and
 * the receive time-out has always passed.
 */
#include <stdlib.h>

#include "lkvm/bus.h"
#include "lkvm/console.h"
#include "lkvm/device.h"
#include "lkvm/hw.h"
#include "lkvm/irq.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "serial-describe.h"
#include "serial-rx.h"

#define MAX_PORTS SERIAL_MAX_PORTS

enum { /* register numbers */
       REG_DATA = 0,
       REG_IER = 1,
       REG_IIR_FCR = 2,
       REG_LCR = 3,
       REG_MCR = 4,
       REG_LSR = 5,
       REG_MSR = 6,
       REG_SCR = 7,
};

enum {
	IER_RECEIVE = BIT(0),
	IER_TRANSMIT = BIT(1),
	IER_LINE = BIT(2),
	IER_MODEM = BIT(3),
	IER_MASK = 0x0f, /* the higher bits read as zero: Linux tells related chips apart by them */

	IIR_NONE = 0x01,
	IIR_LINE = 0x06,
	IIR_RECEIVE = 0x04,
	IIR_TIMEOUT = 0x0c,
	IIR_TRANSMIT = 0x02,
	IIR_MODEM = 0x00,
	IIR_FIFOS = 0xc0,

	FCR_ENABLE = BIT(0),
	FCR_CLEAR_RX = BIT(1),
	FCR_TRIGGER_SHIFT = 6,

	LCR_BREAK = BIT(6),
	LCR_DLAB = BIT(7),

	MCR_DTR = BIT(0),
	MCR_RTS = BIT(1),
	MCR_OUT1 = BIT(2),
	MCR_OUT2 = BIT(3),
	MCR_LOOP = BIT(4),
	MCR_MASK = 0x1f,

	LSR_READY = BIT(0),
	LSR_OVERRUN = BIT(1),
	LSR_BREAK = BIT(4),
	LSR_EMPTY = BIT(5) | BIT(6), /* transmitter: holding register and shift register */

	MSR_DELTA_MASK = 0x0f,
	MSR_TRAILING_RI = BIT(2),
	MSR_CTS = BIT(4),
	MSR_DSR = BIT(5),
	MSR_RI = BIT(6),
	MSR_DCD = BIT(7),
};

/* Power-on: 9600 baud; nothing depends on it. */
#define CLOCK_HZ	1843200
#define DIVISOR_DEFAULT 12

struct serial {
	struct device dev;
	struct arch_place place;
	u32 reg_shift;
	unsigned int number;
	struct console *con; /* NULL: unconnected */
	struct irq_line irq;

	pthread_mutex_t lock; /* everything below; never held while calling the console */
	u8 ier, fcr, lcr, mcr, scr;
	u8 lsr_errors; /* LSR_OVERRUN, LSR_BREAK; cleared by a read */
	u8 msr_deltas;
	u16 divisor;
	bool transmit_pending; /* the "holding register empty" interrupt, until acknowledged */
	bool raised;	       /* the interrupt condition, for edges */
	struct serial_rx rx;
	bool quiesced; /* the host's input waits */
};

/* Interrupts */

static unsigned int trigger_level(const struct serial *s)
{
	static const u8 levels[] = { 1, 4, 8, 14 };

	return levels[s->fcr >> FCR_TRIGGER_SHIFT];
}

/* Section 8.6.1: IIR without its FIFO bits, by priority. */
static u8 interrupt_source(const struct serial *s)
{
	if (s->ier & IER_LINE && s->lsr_errors)
		return IIR_LINE;
	if (s->ier & IER_RECEIVE && s->rx.count) {
		if (s->fcr & FCR_ENABLE && s->rx.count < trigger_level(s))
			return IIR_TIMEOUT;
		return IIR_RECEIVE;
	}
	if (s->ier & IER_TRANSMIT && s->transmit_pending)
		return IIR_TRANSMIT;
	if (s->ier & IER_MODEM && s->msr_deltas)
		return IIR_MODEM;
	return IIR_NONE;
}

static void update_irq(struct serial *s)
{
	bool raise = interrupt_source(s) != IIR_NONE;

	/* In a PC, OUT2 is the gate between the chip and the interrupt line. */
	if (s->place.pio && !(s->mcr & MCR_OUT2))
		raise = false;
	if (!s->irq.edge)
		irq_line_set(&s->irq, raise);
	else if (raise && !s->raised)
		irq_line_pulse(&s->irq);
	s->raised = raise;
}

/* Receiver */

static unsigned int receiver_room(const struct serial *s)
{
	return s->quiesced ? 0 : serial_rx_room(&s->rx);
}

static void receive(struct serial *s, u8 byte)
{
	if (!serial_rx_put(&s->rx, byte))
		s->lsr_errors |= LSR_OVERRUN;
}

/* Tell the receiver what the registers say of it. */
static void update_receiver(struct serial *s)
{
	s->rx.size = s->fcr & FCR_ENABLE ? SERIAL_FIFO_SIZE : 1;
	s->rx.interrupts = s->ier & IER_RECEIVE;
	s->rx.loop = s->mcr & MCR_LOOP;
}

static size_t serial_room(void *opaque)
{
	struct serial *s = opaque;
	size_t room;

	pthread_mutex_lock(&s->lock);
	room = receiver_room(s);
	pthread_mutex_unlock(&s->lock);
	return room;
}

static void serial_input(void *opaque, const u8 *buf, size_t len)
{
	struct serial *s = opaque;

	pthread_mutex_lock(&s->lock);
	if (!serial_rx_input(&s->rx, buf, len))
		s->lsr_errors |= LSR_OVERRUN;
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

/*
 * A break, and the key (Linux drivers/tty/serial/8250: uart_handle_break). The break is told by a
 * bit for all that was received, so that nothing else may be there.
 */
static int serial_sysrq(void *opaque, u8 key)
{
	struct serial *s = opaque;
	bool ready;

	pthread_mutex_lock(&s->lock);
	ready = receiver_room(s) && !s->rx.count && !s->rx.waiting;
	if (ready) {
		receive(s, 0);
		s->lsr_errors |= LSR_BREAK;
		serial_rx_input(&s->rx, &key, 1);
		update_irq(s);
	}
	pthread_mutex_unlock(&s->lock);
	return ready ? 0 : -EAGAIN;
}

/* Registers */

/* Section 8.8: the modem's lines are always up; in loopback they are the chip's own outputs. */
static u8 modem_lines(const struct serial *s)
{
	if (!(s->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
	       (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void write_mcr(struct serial *s, u8 value)
{
	u8 before = modem_lines(s), after, changed;

	/* In loopback the FIFO is the chip's own. */
	if (value & ~s->mcr & MCR_LOOP)
		serial_rx_take_back(&s->rx);
	s->mcr = value & MCR_MASK;
	update_receiver(s);
	after = modem_lines(s);
	changed = before ^ after;
	s->msr_deltas |= (u8)((changed & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4);
	if (changed & before & MSR_RI)
		s->msr_deltas |= MSR_TRAILING_RI;
}

static void write_fcr(struct serial *s, u8 value)
{
	bool toggled;

	/* Section 8.4: without bit 0 the others are not programmed; a change of it clears. */
	if (!(value & FCR_ENABLE))
		value = 0;
	toggled = (value ^ s->fcr) & FCR_ENABLE;
	serial_rx_set_up(&s->rx);
	if (toggled)
		serial_rx_take_back(&s->rx);
	if (toggled || value & FCR_CLEAR_RX)
		serial_rx_clear(&s->rx);
	s->fcr = value & (u8)(FCR_ENABLE | 3 << FCR_TRIGGER_SHIFT);
	update_receiver(s);
}

static void write_ier(struct serial *s, u8 value)
{
	/* The transmitter is empty: enabling its interrupt raises it, each time anew. */
	if (value & ~s->ier & IER_TRANSMIT)
		s->transmit_pending = true;
	s->ier = value & IER_MASK;
	update_receiver(s);
	serial_rx_set_up(&s->rx);
}

/* True when @byte leaves the chip. */
static bool transmit(struct serial *s, u8 byte)
{
	/* Full for no time at all, then empty again: a new interrupt, and a new edge. */
	s->transmit_pending = false;
	if (s->irq.edge)
		update_irq(s);
	s->transmit_pending = true;
	if (!(s->mcr & MCR_LOOP))
		return true;
	receive(s, byte);
	return false;
}

static void write_lcr(struct serial *s, u8 value)
{
	/* In loopback the receiver sees its own break: a zero byte. */
	if (value & ~s->lcr & LCR_BREAK && s->mcr & MCR_LOOP) {
		receive(s, 0);
		s->lsr_errors |= LSR_BREAK;
	}
	s->lcr = value;
	serial_rx_set_up(&s->rx);
}

static bool write_register(struct serial *s, unsigned int reg, u8 value)
{
	switch (reg) {
	case REG_DATA:
		if (!(s->lcr & LCR_DLAB))
			return transmit(s, value);
		s->divisor = (u16)((s->divisor & 0xff00) | value);
		break;
	case REG_IER:
		if (s->lcr & LCR_DLAB)
			s->divisor = (u16)((s->divisor & 0xff) | value << 8);
		else
			write_ier(s, value);
		break;
	case REG_IIR_FCR:
		write_fcr(s, value);
		break;
	case REG_LCR:
		write_lcr(s, value);
		break;
	case REG_MCR:
		write_mcr(s, value);
		break;
	case REG_SCR:
		s->scr = value;
		break;
	}
	return false;
}

static u8 read_iir(struct serial *s)
{
	u8 source = interrupt_source(s);

	/* Section 8.6.1: reading it acknowledges the transmitter's interrupt when it is that. */
	if (source == IIR_TRANSMIT)
		s->transmit_pending = false;
	return source | (s->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static u8 read_lsr(struct serial *s)
{
	u8 value;

	serial_rx_look(&s->rx);
	value = LSR_EMPTY | s->lsr_errors | (s->rx.count ? LSR_READY : 0);
	s->lsr_errors = 0;
	return value;
}

static u8 read_register(struct serial *s, unsigned int reg)
{
	u8 value = 0;

	switch (reg) {
	case REG_DATA:
		return s->lcr & LCR_DLAB ? (u8)s->divisor : serial_rx_get(&s->rx);
	case REG_IER:
		return s->lcr & LCR_DLAB ? (u8)(s->divisor >> 8) : s->ier;
	case REG_IIR_FCR:
		return read_iir(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return read_lsr(s);
	case REG_MSR:
		value = modem_lines(s) | s->msr_deltas;
		s->msr_deltas = 0;
		return value;
	case REG_SCR:
		return s->scr;
	}
	return value;
}

/* Accesses */

/* The register at byte @offset, or -1 where there is none. */
static int register_at(const struct serial *s, u64 offset)
{
	u64 reg = offset >> s->reg_shift;

	return !(offset & (BIT_ULL(s->reg_shift) - 1)) && reg <= REG_SCR ? (int)reg : -1;
}

/* Has the device taken in what it had, or begun to listen? Then the console has a turn. */
static bool wants_input(const struct serial *s, unsigned int room_before, unsigned int count_before)
{
	return receiver_room(s) && (!room_before || (count_before && !s->rx.count));
}

static void serial_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct serial *s = opaque;
	unsigned int room, count;
	bool ready;

	pthread_mutex_lock(&s->lock);
	room = receiver_room(s);
	count = s->rx.count;
	/* A wide access is one of each byte, as the ISA bus does it. */
	for (u32 i = 0; i < len; i++) {
		int reg = register_at(s, offset + i);

		((u8 *)data)[i] = reg < 0 ? 0 : read_register(s, (unsigned int)reg);
	}
	serial_rx_arrive(&s->rx);
	update_irq(s);
	ready = wants_input(s, room, count);
	pthread_mutex_unlock(&s->lock);
	if (ready && s->con)
		s->con->ops->input_ready(s->con);
}

static void serial_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct serial *s = opaque;
	unsigned int room, count;
	bool ready, out = false;
	u8 byte = 0;

	pthread_mutex_lock(&s->lock);
	room = receiver_room(s);
	count = s->rx.count;
	for (u32 i = 0; i < len; i++) {
		int reg = register_at(s, offset + i);

		if (reg < 0 || !write_register(s, (unsigned int)reg, ((const u8 *)data)[i]))
			continue;
		byte = ((const u8 *)data)[i];
		out = true;
	}
	serial_rx_arrive(&s->rx);
	update_irq(s);
	ready = wants_input(s, room, count);
	pthread_mutex_unlock(&s->lock);
	if (!s->con)
		return;
	if (out)
		s->con->ops->write(s->con, &byte, 1);
	if (ready)
		s->con->ops->input_ready(s->con);
}

static const struct bus_ops serial_bus_ops = {
	.read = serial_read,
	.write = serial_write,
};

/* The device */

static void serial_reset(struct device *dev)
{
	struct serial *s = container_of(dev, struct serial, dev);

	pthread_mutex_lock(&s->lock);
	s->ier = s->fcr = s->lcr = s->mcr = 0;
	s->lsr_errors = 0;
	s->msr_deltas = 0;
	s->divisor = DIVISOR_DEFAULT;
	s->transmit_pending = false;
	update_receiver(s);
	/* What was not read is the next system's. */
	serial_rx_set_up(&s->rx);
	serial_rx_clear(&s->rx);
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

static int serial_realize(struct device *dev, struct vm *vm)
{
	struct serial *s = container_of(dev, struct serial, dev);
	const struct console_client client = {
		.room = serial_room,
		.input = serial_input,
		.opaque = s,
	};
	int ret;

	ret = device_claim_irq(dev, &s->irq, s->place.gsi, s->place.edge);
	if (ret)
		return ret;
	serial_reset(dev);
	ret = device_claim(dev, &s->place, &serial_bus_ops, s);
	if (ret) {
		irq_line_destroy(&s->irq);
		return ret;
	}
	if (s->con)
		s->con->ops->set_client(s->con, &client);
	if (s->con && !vm->sysrq.send)
		vm->sysrq = (struct vm_sysrq){ .send = serial_sysrq, .opaque = s };
	return 0;
}

static void serial_acpi(struct device *dev, struct aml *aml)
{
	const struct serial *s = container_of(dev, struct serial, dev);

	serial_describe_acpi(aml, &s->place, s->number);
}

static void serial_fdt(struct device *dev, struct fdtw *fdt)
{
	const struct serial *s = container_of(dev, struct serial, dev);

	serial_describe_fdt(fdt, &s->place, s->reg_shift, CLOCK_HZ);
}

static void serial_free(struct serial *s)
{
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void serial_destroy(struct device *dev)
{
	struct serial *s = container_of(dev, struct serial, dev);

	if (dev->vm->sysrq.opaque == s)
		dev->vm->sysrq = (struct vm_sysrq){ 0 };
	if (s->con)
		s->con->ops->set_client(s->con, NULL);
	device_release(dev, &s->place);
	irq_line_destroy(&s->irq);
	serial_free(s);
}

static void serial_quiesce(struct device *dev)
{
	struct serial *s = container_of(dev, struct serial, dev);

	pthread_mutex_lock(&s->lock);
	s->quiesced = true;
	pthread_mutex_unlock(&s->lock);
}

static void serial_resume(struct device *dev)
{
	struct serial *s = container_of(dev, struct serial, dev);

	pthread_mutex_lock(&s->lock);
	s->quiesced = false;
	pthread_mutex_unlock(&s->lock);
	if (s->con && serial_room(s))
		s->con->ops->input_ready(s->con);
}

/* A level follows from the registers; an edge was sent before the state was saved. */
static int serial_load(void *obj)
{
	struct serial *s = obj;

	update_receiver(s);
	if (!s->irq.edge)
		update_irq(s);
	return 0;
}

static const struct state_field serial_fields[] = {
	STATE_UP_TO(struct serial, ier, IER_MASK),
	STATE_VALUE(struct serial, fcr),
	STATE_VALUE(struct serial, lcr),
	STATE_UP_TO(struct serial, mcr, MCR_MASK),
	STATE_VALUE(struct serial, scr),
	STATE_VALUE(struct serial, lsr_errors),
	STATE_UP_TO(struct serial, msr_deltas, MSR_DELTA_MASK),
	STATE_VALUE(struct serial, divisor),
	STATE_BOOL(struct serial, transmit_pending),
	STATE_BOOL(struct serial, raised),
	STATE_PART(struct serial, rx, &serial_rx_state),
};

static const struct device_state serial_state = {
	.version = 2,
	STATE_TABLE(serial_fields),
	.device_at = offsetof(struct serial, dev),
	.load = serial_load,
};

static const struct device_ops serial_ops = {
	.realize = serial_realize,
	.reset = serial_reset,
	.quiesce = serial_quiesce,
	.resume = serial_resume,
	.state = &serial_state,
	.describe_fdt = serial_fdt,
	.describe_acpi = serial_acpi,
	.destroy = serial_destroy,
};

int serial_create(struct vm *vm, const struct arch_place *place, u32 reg_shift, struct console *con)
{
	static const char *const names[MAX_PORTS] = { "serial0", "serial1", "serial2", "serial3" };
	unsigned int number = 0;
	struct serial *s;
	int ret;

	for (struct device *dev = vm->devices; dev; dev = dev->next)
		number += dev->ops == &serial_ops;
	if (number >= MAX_PORTS) {
		err("a VM has at most %u serial ports", MAX_PORTS);
		return -ENOSPC;
	}
	s = xcalloc(1, sizeof(*s));
	s->dev.name = names[number];
	s->dev.ops = &serial_ops;
	s->place = *place;
	s->reg_shift = reg_shift;
	s->number = number;
	s->con = con;
	pthread_mutex_init(&s->lock, NULL);
	ret = device_add(vm, &s->dev);
	if (ret)
		serial_free(s);
	return ret;
}
