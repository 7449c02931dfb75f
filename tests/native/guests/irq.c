/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: the local APIC's timer, one CPU to another, the serial port's edge through the
 * IOAPIC, and its mask; with "storm" many of those, each to another CPU;
 * with "directed" the end of an interrupt that only the IOAPIC is told of.
 */
#include "x86.h"

#define TIMER_VECTOR  0x21
#define SERIAL_VECTOR 0x22
#define IPI_VECTOR    0x23
#define STORM_VECTOR  0x30 /* and the next ones, in turn */
#define STORM_VECTORS 16
#define STORM	      400
#define STORM_CPUS    8
#define IOAPIC_MASK   (1u << 16)

static volatile u32 timers, serials, ipis;
static u32 ap_ready;

static void on_timer(void)
{
	timers++;
}

/* THRE: reading IIR clears it (16550A data sheet, 8.6.4). */
static void on_serial(void)
{
	inb(COM1 + 2);
	serials++;
}

static void on_ipi(void)
{
	atomic_add((u32 *)&ipis, 1);
}

static void ap(u32 index)
{
	atomic_add(&ap_ready, 1);
	for (;;)
		arch_wait();
}

static void test_timer(void)
{
	arch_set_handler(TIMER_VECTOR, on_timer);
	lapic_write(LAPIC_TDCR, 0xb);			 /* divide by 1 */
	lapic_write(LAPIC_LVTT, TIMER_VECTOR | 1 << 17); /* periodic */
	lapic_write(LAPIC_TMICT, 5000000);		 /* 5 ms at KVM's 1 GHz */
	while (timers < 5)
		arch_wait();
	lapic_write(LAPIC_TMICT, 0);
	lapic_write(LAPIC_LVTT, 1 << 16);
	print("timer: %s\n", timers >= 5 ? "ok" : "no");
}

static void test_serial(void)
{
	u32 before;

	arch_set_handler(SERIAL_VECTOR, on_serial);
	ioapic_route(4, SERIAL_VECTOR, 0);
	outb(COM1 + 4, 0x0b); /* DTR, RTS, OUT2: the interrupt gets out */
	outb(COM1 + 1, 0x02); /* THRE, which is true now: one edge */
	while (!serials)
		arch_wait();
	before = serials;
	outb(COM1, '.');
	while (serials == before)
		arch_wait();
	outb(COM1 + 1, 0);
	before = serials;
	ioapic_route(4, SERIAL_VECTOR, IOAPIC_MASK);
	outb(COM1 + 1, 0x02);
	__asm__ volatile("sti");
	for (u32 i = 0; i < 30000; i++)
		arch_pause();
	__asm__ volatile("cli");
	outb(COM1 + 1, 0);
	print("\nserial: ok, masked: %s\n", serials == before ? "ok" : "no");
}

static void test_ipi(void)
{
	u32 n = arch_start_cpus(ap);

	arch_set_handler(IPI_VECTOR, on_ipi);
	for (u64 start = arch_cycles(); atomic_read(&ap_ready) < n && !arch_hangs(start);)
		arch_pause();
	lapic_write(LAPIC_ICR_HI, 0);
	lapic_write(LAPIC_ICR, 0xc0000 | IPI_VECTOR); /* all but me */
	for (u64 start = arch_cycles(); ipis < n && !arch_hangs(start);)
		arch_pause();
	print("ipi: %u of %u cpus\n", ipis, n);
}

static u32 hits[STORM_CPUS];

static void on_storm(void)
{
	inb(COM1 + 2);
	atomic_add(&hits[lapic_id() % STORM_CPUS], 1);
}

/* The pin is masked while it is led elsewhere, as systems do. */
static void lead_to(u32 cpu, u32 vector)
{
	ioapic_route(4, vector, IOAPIC_MASK);
	write32(IOAPIC_BASE, 0x10 + 2 * 4 + 1);
	write32(IOAPIC_BASE + 0x10, cpu << 24);
	write32(IOAPIC_BASE, 0x10 + 2 * 4);
	write32(IOAPIC_BASE + 0x10, vector);
}

/* One that is lost is waited for in vain; one too many is counted. */
static void test_storm(void)
{
	u32 cpus = arch_nr_cpus();

	for (u32 i = 0; i < STORM_VECTORS; i++)
		arch_set_handler(STORM_VECTOR + i, on_storm);
	outb(COM1 + 4, 0x0b);
	for (u32 i = 0; i < STORM; i++) {
		u32 cpu = i % cpus, before = atomic_read(&hits[cpu]);

		lead_to(cpu, STORM_VECTOR + i / cpus % STORM_VECTORS);
		outb(COM1 + 1, 0x02); /* one edge */
		while (atomic_read(&hits[cpu]) == before)
			if (cpu)
				arch_pause();
			else
				arch_wait();
		outb(COM1 + 1, 0);
	}
	for (u32 i = 0; i < cpus; i++)
		print("storm: %u to cpu %u\n", hits[i], i);
}

#define LAPIC_VERSION	  0x30
#define DIRECTED_EOI	  (1u << 24)
#define SPIV_NO_BROADCAST (1u << 12)
#define RTE_LEVEL	  (1u << 15)
#define RTE_REMOTE_IRR	  (1u << 14)

static bool serial_pin_waits(void)
{
	write32(IOAPIC_BASE, 0x10 + 2 * 4);
	return read32(IOAPIC_BASE + 0x10) & RTE_REMOTE_IRR;
}

/* A level-triggered interrupt has ended for the local APIC; for the IOAPIC when it is told so. */
static void test_directed_eoi(void)
{
	bool waits;

	if (!(lapic_read(LAPIC_VERSION) & DIRECTED_EOI)) {
		print("directed: no\n");
		return;
	}
	lapic_write(LAPIC_SPIV, lapic_read(LAPIC_SPIV) | SPIV_NO_BROADCAST);
	arch_set_handler(STORM_VECTOR, on_storm);
	ioapic_route(4, STORM_VECTOR, RTE_LEVEL);
	outb(COM1 + 4, 0x0b);
	outb(COM1 + 1, 0x02);
	while (!hits[0])
		arch_wait();
	waits = serial_pin_waits();
	write32(IOAPIC_BASE + 0x40, STORM_VECTOR);
	print("directed: %u, then %u\n", waits, serial_pin_waits());
}

int guest_main(void)
{
	lapic_enable();
	if (has_word("directed")) {
		test_directed_eoi();
		return 0;
	}
	test_timer();
	test_serial();
	test_ipi();
	if (has_word("storm"))
		test_storm();
	return 0;
}
