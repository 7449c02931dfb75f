/* SPDX-License-Identifier: MIT */
/*
 * riscv64 guests: vectors over the interrupts of a CPU and the controller that the tree names.
 * Where there are IMSICs, a vector is an identity and CPUs send messages to each other; with a PLIC
 * firmware sends a software interrupt, and memory says which vectors it stands for.
 */
#include "riscv.h"

#define NR_VECTORS   0x50
#define FIRST_VECTOR 0x20
#define IDENTITY(v)  ((v)-FIRST_VECTOR + 1)
#define NR_SOURCES   1024

enum irqchip riscv_irqchip;
static void (*handlers[NR_VECTORS])(void);
static u8 vectors_of[NR_SOURCES]; /* PLIC */
static u64 software[MAX_CPUS];	  /* vectors from FIRST_VECTOR on that wait */
static u32 timer_vector;
static void (*timer_quiet)(void);

enum irqchip irq_init(void)
{
	if (imsic_init() && aplic_init())
		riscv_irqchip = IRQCHIP_AIA;
	else if (plic_init())
		riscv_irqchip = IRQCHIP_PLIC;
	return riscv_irqchip;
}

void arch_cpu_init(u32 index)
{
	if (riscv_irqchip == IRQCHIP_AIA)
		imsic_cpu_init();
	else if (riscv_irqchip == IRQCHIP_PLIC)
		plic_cpu_init(index);
	csr_set("sie", 1 << IRQ_SOFTWARE | 1 << IRQ_EXTERNAL);
}

/* Bindings riscv,aplic (number, flags: 1 and 2 are edges) and sifive,plic-1.0.0 (number). */
u32 arch_irq_cells(void)
{
	return riscv_irqchip == IRQCHIP_AIA ? 2 : 1;
}

u32 arch_irq_number(const void *cells, bool *edge)
{
	*edge = riscv_irqchip == IRQCHIP_AIA && (fdt_cell(cells, 1) & 3);
	return fdt_cell(cells, 0);
}

void arch_set_handler(u32 vector, void (*fn)(void))
{
	handlers[vector] = fn;
}

void arch_mask_irq(u32 irq)
{
	if (riscv_irqchip == IRQCHIP_AIA)
		aplic_mask(irq);
	else if (riscv_irqchip == IRQCHIP_PLIC)
		plic_enable(irq, false);
}

void arch_route_irq(u32 irq, u32 vector, bool edge)
{
	if (riscv_irqchip == IRQCHIP_AIA) {
		aplic_route(irq, IDENTITY(vector), edge);
	} else if (riscv_irqchip == IRQCHIP_PLIC && irq < NR_SOURCES) {
		vectors_of[irq] = (u8)vector;
		plic_enable(irq, true);
	}
}

bool arch_msi_message(u32 vector, u32 requester, u64 *addr, u32 *data)
{
	(void)requester;
	*addr = imsic_file(0);
	*data = IDENTITY(vector);
	return riscv_irqchip == IRQCHIP_AIA;
}

void irq_enable_timer(u32 vector, void (*quiet)(void))
{
	timer_vector = vector;
	timer_quiet = quiet;
	csr_set("sie", 1 << IRQ_TIMER);
}

/* SBI 3.0, 7.1: a mask of one hart, from that hart on. */
long irq_send_by_sbi(u32 index, u32 vector)
{
	__atomic_fetch_or(&software[index], 1ULL << (vector - FIRST_VECTOR), __ATOMIC_SEQ_CST);
	fence();
	return sbi_call(SBI_IPI, 0, 1, cpus_id(index), 0).error;
}

void arch_send_ipi(u32 index, u32 vector)
{
	if (riscv_irqchip == IRQCHIP_AIA)
		write32(imsic_file(index), IDENTITY(vector));
	else
		irq_send_by_sbi(index, vector);
}

static void deliver(u32 vector)
{
	if (vector < NR_VECTORS && handlers[vector])
		handlers[vector]();
}

static void take_software(void)
{
	u64 waiting;

	csr_clear("sip", 1 << IRQ_SOFTWARE);
	fence();
	waiting = __atomic_exchange_n(&software[arch_cpu_index()], 0, __ATOMIC_SEQ_CST);
	for (u32 v = FIRST_VECTOR; waiting; v++, waiting >>= 1)
		if (waiting & 1)
			deliver(v);
}

static void take_external(void)
{
	u32 n = riscv_irqchip == IRQCHIP_AIA ? imsic_claim() : plic_claim();

	if (!n)
		return;
	fence();
	if (riscv_irqchip == IRQCHIP_AIA) {
		deliver(n + FIRST_VECTOR - 1);
		if (n <= IMSIC_IDS)
			aplic_again(n);
		return;
	}
	deliver(n < NR_SOURCES ? vectors_of[n] : NR_VECTORS);
	plic_complete(n);
}

void irq_dispatch(u64 cause)
{
	switch (cause) {
	case IRQ_SOFTWARE:
		take_software();
		return;
	case IRQ_EXTERNAL:
		take_external();
		return;
	case IRQ_TIMER:
		if (timer_quiet)
			timer_quiet();
		deliver(timer_vector);
		return;
	}
}
