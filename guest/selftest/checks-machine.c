/* SPDX-License-Identifier: MIT */
/* Checks of what every machine has: description, serial port, memory, timers, CPUs, addresses. */
#include "selftest.h"

#define GIB (1ULL << 30)

/* The serial port: a 16550A (PC16550D data sheet, section 8) */

enum { DATA = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, SCR = 7 };
#define THRE	 0x02 /* IER: the transmitter is empty */
#define OUT	 0x0b /* MCR: DTR, RTS, and OUT2, which lets interrupts out */
#define LOOP	 0x10 /* MCR */
#define READY	 0x01 /* LSR: a byte has come in */
#define OVERRUN	 0x02 /* LSR */
#define FIFO_LEN 16

static const char *check_serial(void)
{
	u8 mcr = arch_uart_read(MCR);

	arch_uart_write(SCR, 0x5a);
	expect("scratch register", arch_uart_read(SCR), 0x5a);
	arch_uart_write(FCR, 0x07); /* FIFOs on and empty */
	expect("IIR: FIFOs are on", arch_uart_read(IIR) >> 6, 3);
	arch_uart_write(MCR, LOOP);
	expect("LSR: nothing came in", arch_uart_read(LSR) & READY, 0);
	for (u32 i = 0; i < FIFO_LEN; i++)
		arch_uart_write(DATA, (u8)(0xa0 + i));
	expect("LSR: 16 bytes fit", arch_uart_read(LSR) & (READY | OVERRUN), READY);
	arch_uart_write(DATA, 0);
	expect("LSR: a 17th does not", arch_uart_read(LSR) & OVERRUN, OVERRUN);
	for (u32 i = 0; i < FIFO_LEN; i++)
		expect("looped byte", arch_uart_read(DATA), 0xa0 + i);
	expect("LSR: empty again", arch_uart_read(LSR) & READY, 0);
	arch_uart_write(FCR, 0x07);
	arch_uart_write(MCR, mcr);
	return NULL;
}

static volatile u32 serials;

/* 8.6.4: reading IIR clears THRE. */
static void on_serial(void)
{
	arch_uart_read(IIR);
	serials++;
}

static const char *check_serial_interrupt(void)
{
	u8 mcr = arch_uart_read(MCR);
	bool edge;
	u32 irq;

	if (!arch_uart_irq(&irq, &edge))
		return "its interrupt is not described";
	serials = 0;
	arch_set_handler(SERIAL_VECTOR, on_serial);
	arch_route_irq(irq, SERIAL_VECTOR, edge);
	arch_uart_write(MCR, OUT);
	let_interrupts_in();
	expect("interrupts while none is enabled", serials, 0);
	arch_uart_write(IER, THRE);
	expect("interrupt when it is enabled", wait_for(&serials, 1), true);
	arch_uart_write(DATA, '\r'); /* of which lkvm takes no notice */
	expect("interrupt when a byte is out", wait_for(&serials, 2), true);
	expect("interrupts", serials, 2);
	arch_mask_irq(irq);
	arch_uart_write(IER, 0);
	arch_uart_write(IER, THRE);
	let_interrupts_in();
	expect("interrupts while masked", serials, 2);
	arch_uart_write(IER, 0);
	arch_uart_read(IIR);
	arch_uart_write(MCR, mcr);
	return NULL;
}

/* Memory */

static u64 points[64];
static u32 nr_points;

static void add_point(u64 gpa)
{
	if (gpa >= boot.keep && gpa < boot.keep_end)
		return;
	if (nr_points < ARRAY_SIZE(points))
		points[nr_points++] = gpa & ~7ULL;
}

/* The ends of a range and both sides of each GiB. */
static void add_range(u64 base, u64 end)
{
	add_point(base ? base : 0x1000);
	for (u64 p = (base + GIB) & ~(GIB - 1); p < end; p += GIB) {
		add_point(p - 8);
		add_point(p);
	}
	add_point(end - 8);
}

static void check_points(void)
{
	for (u32 i = 0; i < nr_points; i++)
		*(volatile u64 *)points[i] = points[i] * 0x9e3779b97f4a7c15ULL;
	for (u32 i = 0; i < nr_points; i++)
		expect("word", *(volatile u64 *)points[i], points[i] * 0x9e3779b97f4a7c15ULL);
}

static u64 add_ranges(u64 from, u64 to)
{
	u64 sum = 0;

	nr_points = 0;
	for (u32 i = 0; i < boot.nr_ranges; i++) {
		const struct guest_range *r = &boot.map[i];
		u64 base = r->base > from ? r->base : from;
		u64 end = r->base + r->size < to ? r->base + r->size : to;

		if (r->type != GUEST_RAM || base >= end)
			continue;
		add_range(base, end);
		sum += end - base;
	}
	return sum;
}

static const char *check_low_memory(void)
{
	expect("there is memory", add_ranges(0, 4 * GIB) != 0, true);
	check_points();
	return NULL;
}

/* As many GiB as arch_map_gib has tables for. */
static const char *check_high_memory(void)
{
	u64 size = add_ranges(4 * GIB, ~0ULL);

	if (!size)
		return "this machine has no memory there (--mem gives it more)";
	for (u64 g = 0; g < size && g < 4 * GIB; g += GIB)
		arch_map_gib(4 * GIB + g);
	if (size > 4 * GIB) {
		nr_points = 0;
		add_range(4 * GIB, 8 * GIB);
	}
	check_points();
	return NULL;
}

/* Timers */

static volatile u32 timer_fired;
static volatile u64 timer_at;

static void on_timer(void)
{
	timer_at = arch_cycles();
	timer_fired++;
}

#define TIMER_NS 2000000

static const struct arch_timer *timer;

static const char *check_timer(void)
{
	const struct arch_timer *t = timer;
	u64 khz = arch_cycles_khz(), start, least = khz * (TIMER_NS / 1000000);
	const char *missing = t->missing();

	if (missing)
		return missing;
	arch_set_handler(TIMER_VECTOR, on_timer);
	timer_fired = 0;
	start = arch_cycles();
	t->arm(TIMER_NS);
	if (expect("an interrupt", wait_for(&timer_fired, 1), true) && khz)
		expect("not before its time", timer_at - start >= least - least / 20, true);
	expect("interrupts", timer_fired, 1);
	if (timer_fired) {
		/* Out of the deepest sleep, which may end early (Arm ARM, D1.7.2). */
		t->arm(TIMER_NS);
		for (u32 i = 0; i < 100 && timer_fired < 2; i++)
			arch_wait();
		expect("interrupts, one of them out of a halt", timer_fired, 2);
	}
	t->disarm();
	return NULL;
}

u32 check_timers(void)
{
	for (timer = arch_timers; timer < arch_timers + arch_nr_timers; timer++)
		run_checks(&(struct check){ timer->name, check_timer }, 1);
	return arch_nr_timers;
}

/* CPUs */

static u32 cpus_up, cpu_work;
static volatile u32 ipis[GUEST_MAX_CPUS], answers;
static struct spinlock cpu_lock;
static u32 counted;

#define ROUNDS 50

/* Counts under a lock, then answers every IPI with one to the first CPU. */
static void other_cpu(u32 index)
{
	for (u32 i = 0; i < ROUNDS; i++) {
		spin_lock(&cpu_lock);
		counted++;
		spin_unlock(&cpu_lock);
	}
	atomic_add(&cpu_work, 1);
	for (u32 seen = 0;; seen++) {
		while (atomic_read((const u32 *)&ipis[index]) == seen)
			arch_wait();
		arch_send_ipi(0, IPI_VECTOR);
	}
}

static void on_ipi(void)
{
	u32 index = arch_cpu_index();

	if (index)
		atomic_add((u32 *)&ipis[index], 1);
	else
		answers++;
}

static const char *check_cpus(void)
{
	u32 described = arch_nr_cpus();

	arch_set_handler(IPI_VECTOR, on_ipi);
	if (described < 2)
		return "this machine has one (--cpus gives it more)";
	cpus_up = arch_start_cpus(other_cpu);
	expect("CPUs that came up", cpus_up + 1, described);
	wait_for(&cpu_work, cpus_up);
	expect("CPUs that worked", cpu_work, cpus_up);
	expect("counted together under a lock", counted, cpus_up * ROUNDS);
	return NULL;
}

static const char *check_ipis(void)
{
	if (!cpus_up)
		return "this machine has one CPU (--cpus gives it more)";
	for (u32 i = 1; i <= cpus_up; i++) {
		u32 before = answers;

		arch_send_ipi(i, IPI_VECTOR);
		expect("an answer", wait_for(&answers, before + 1), true);
		expect("interrupts of that CPU", ipis[i], 1);
	}
	expect("answers", answers, cpus_up);
	return NULL;
}

/* Addresses where nothing is, whatever the width. */
static const char *check_mmio(void)
{
	expect("8 bits from nowhere", read8(arch_nowhere), 0xff);
	expect("16 bits from nowhere", read16(arch_nowhere), 0xffff);
	expect("32 bits from nowhere", read32(arch_nowhere), 0xffffffff);
	expect("64 bits from nowhere", read64(arch_nowhere), ~0ULL);
	write32(arch_nowhere, 0);
	expect("32 bits after a write there", read32(arch_nowhere), 0xffffffff);
	return NULL;
}

const struct check machine_checks[] = {
	{ "the machine's description", arch_check_description },
	{ "serial port: FIFO and loopback", check_serial },
	{ "serial port: its interrupt, and its mask", check_serial_interrupt },
	{ "memory below 4 GiB, at its edges", check_low_memory },
	{ "memory above 4 GiB, at its edges", check_high_memory },
	{ "MMIO where nothing is", check_mmio },
};
const u32 nr_machine_checks = ARRAY_SIZE(machine_checks);

const struct check cpu_checks[] = {
	{ "every CPU comes up", check_cpus },
	{ "interrupts from CPU to CPU", check_ipis },
};
const u32 nr_cpu_checks = ARRAY_SIZE(cpu_checks);
