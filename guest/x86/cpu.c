/* SPDX-License-Identifier: MIT */
/* x86-64 guests: exceptions, interrupts, local APIC, IOAPIC, other CPUs. */
#include "x86.h"

/* What trap.S leaves on the stack. */
struct frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error, rip, cs, rflags, rsp, ss;
};

/* Intel SDM volume 3, 6.14.1 */
struct gate {
	u16 offset0, selector;
	u8 ist, type;
	u16 offset1;
	u32 offset2, zero;
};

#define GATE_INTERRUPT	0x8e
#define SPURIOUS_VECTOR 0x4f

/* Intel SDM volume 3, 10.4.4, 10.12 */
#define MSR_APIC_BASE 0x1b
#define APIC_BASE_X2  (1 << 10)
#define MSR_X2APIC    0x800
/* Ids up to 254 need no x2APIC; machines with more CPUs than this show that it works. */
#define MAX_XAPIC_CPUS 64

static struct gate idt[NR_VECTORS];
static void (*handlers[NR_VECTORS])(void);

/* trap.S, ap.S */
extern char trap_stubs[], ap_begin[], ap_end[];
extern void (*trap_handler)(struct frame *f);
extern void (*ap_main)(u32 index);
extern u64 ap_cr3;

static void on_trap(struct frame *f)
{
	u64 cr2;

	if (f->vector >= 0x20) {
		if (handlers[f->vector])
			handlers[f->vector]();
		if (f->vector != SPURIOUS_VECTOR)
			lapic_write(LAPIC_EOI, 0);
		return;
	}
	__asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
	print("exception %lu, error 0x%lx, rip 0x%lx, rsp 0x%lx, cr2 0x%lx\n", f->vector, f->error,
	      f->rip, f->rsp, cr2);
	arch_exit(99);
}

static void load_idt(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (u64)idt };

	__asm__ volatile("lidt %0" : : "m"(idtr));
}

void x86_setup_traps(void)
{
	for (u32 i = 0; i < NR_VECTORS; i++) {
		u64 stub = (u64)trap_stubs + i * 16;

		idt[i] = (struct gate){
			.offset0 = (u16)stub,
			.selector = SEL_CODE64,
			.type = GATE_INTERRUPT,
			.offset1 = (u16)(stub >> 16),
			.offset2 = (u32)(stub >> 32),
		};
	}
	trap_handler = on_trap;
	load_idt();
}

void arch_set_handler(u32 vector, void (*fn)(void))
{
	handlers[vector] = fn;
}

static bool x2apic;

u32 lapic_read(u32 reg)
{
	return x2apic ? (u32)rdmsr(MSR_X2APIC + (reg >> 4)) : read32(LAPIC_BASE + reg);
}

void lapic_write(u32 reg, u32 v)
{
	if (x2apic)
		wrmsr(MSR_X2APIC + (reg >> 4), v);
	else
		write32(LAPIC_BASE + reg, v);
}

u32 lapic_id(void)
{
	return x2apic ? lapic_read(LAPIC_ID) : lapic_read(LAPIC_ID) >> 24;
}

/* Before the first CPU uses its APIC; others follow it in run_ap. */
static void choose_apic_mode(void)
{
	static bool chosen;
	u32 r[4];

	if (chosen)
		return;
	chosen = true;
	cpuid(1, r);
	x2apic = arch_nr_cpus() > MAX_XAPIC_CPUS && (r[2] >> 21 & 1);
}

void lapic_enable(void)
{
	choose_apic_mode();
	if (x2apic)
		wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_X2);
	/* The 8259s are out of use: each of their inputs is masked. */
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	lapic_write(LAPIC_SPIV, 0x100 | SPURIOUS_VECTOR);
}

static u32 irq_target;

void x86_lead_irqs_to(u32 id)
{
	irq_target = id;
}

/*
 * Bits 8 to 14 of an id, which the interrupt formats have no place for, lie beside its bits 0 to 7
 * (KVM_FEATURE_MSI_EXT_DEST_ID: Linux Documentation/virt/kvm/x86/cpuid.rst): in bits 49 to 55 of a
 * pin's entry, in bits 5 to 11 of a message's address.
 */
void ioapic_route(u32 pin, u32 vector, u32 flags)
{
	write32(IOAPIC_BASE, 0x10 + 2 * pin + 1);
	write32(IOAPIC_BASE + 0x10, irq_target << 24 | (irq_target >> 8) << 17);
	write32(IOAPIC_BASE, 0x10 + 2 * pin);
	write32(IOAPIC_BASE + 0x10, vector | flags);
}

void arch_route_irq(u32 irq, u32 vector, bool edge)
{
	lapic_enable();
	ioapic_route(irq, vector, edge ? 0 : 1 << 15);
}

void arch_mask_irq(u32 irq)
{
	ioapic_route(irq, 0x20, 1 << 16);
}

bool arch_msi_message(u32 vector, u32 requester, u64 *addr, u32 *data)
{
	lapic_enable();
	*addr = LAPIC_BASE | (irq_target & 0xff) << 12 | (irq_target >> 8) << 5;
	*data = vector;
	return true;
}

/* ACPI 6.5, 5.2.12: enabled local APICs, as xAPIC or x2APIC entries. */
static u32 madt_cpus(u32 *ids)
{
	const u8 *madt = acpi_find("APIC"), *p;
	u32 n = 0, length;

	if (!madt)
		return 0;
	length = *(const u32 *)(madt + 4);
	for (p = madt + 44; p + 2 <= madt + length && p[1]; p += p[1]) {
		if (p[0] == 0 && (p[4] & 1) && n < MAX_CPUS)
			ids[n++] = p[3];
		else if (p[0] == 9 && (p[8] & 1) && n < MAX_CPUS)
			ids[n++] = *(const u32 *)(p + 4);
	}
	return n;
}

static u32 apic_ids[MAX_CPUS], nr_cpus;

u32 arch_nr_cpus(void)
{
	if (!nr_cpus)
		nr_cpus = madt_cpus(apic_ids);
	return nr_cpus;
}

static void (*ap_fn)(u32 index);
static u32 aps_online;
static u32 cpu_ids[MAX_CPUS]; /* by index, see arch_start_cpus */

static void run_ap(u32 index)
{
	load_idt();
	lapic_enable();
	cpu_ids[index] = lapic_id();
	atomic_add(&aps_online, 1);
	ap_fn(index);
}

/* 10.12.9: the x2APIC's command register is one MSR, and is never busy. */
static void write_icr(u32 id, u32 what)
{
	if (x2apic) {
		__asm__ volatile("mfence" : : : "memory"); /* 10.12.3: before the MSR */
		wrmsr(MSR_X2APIC + (LAPIC_ICR >> 4), (u64)id << 32 | what);
	} else {
		lapic_write(LAPIC_ICR_HI, id << 24);
		lapic_write(LAPIC_ICR, what);
	}
}

void send_ipi(u32 id, u32 what)
{
	write_icr(id, what);
	for (u32 i = 0; i < 1000 && !x2apic && (lapic_read(LAPIC_ICR) & 0x1000); i++)
		arch_pause();
}

u32 arch_cpu_index(void)
{
	u32 id = lapic_id(), index = 0;

	while (index < MAX_CPUS - 1 && cpu_ids[index] != id)
		index++;
	return index;
}

void arch_send_ipi(u32 index, u32 vector)
{
	write_icr(cpu_ids[index], vector);
}

static bool wait_online(u32 n)
{
	const u64 start = arch_cycles();

	while (atomic_read(&aps_online) < n) {
		if (arch_hangs(start))
			return false;
		arch_pause();
	}
	return true;
}

u32 arch_start_cpus(void (*fn)(u32 index))
{
	u32 n = arch_nr_cpus(), me;

	lapic_enable();
	me = lapic_id();
	cpu_ids[0] = me;
	ap_fn = fn;
	ap_main = run_ap;
	__asm__ volatile("movq %%cr3, %0" : "=r"(ap_cr3));
	memcpy((void *)AP_START, ap_begin, (size_t)(ap_end - ap_begin));
	for (u32 i = 0; i < n; i++) {
		u32 want = atomic_read(&aps_online) + 1;

		if (apic_ids[i] == me)
			continue;
		/* 11.6.1: INIT, then SIPI, a second one if the first was lost. */
		send_ipi(apic_ids[i], 0x4500);
		send_ipi(apic_ids[i], 0x4600 | AP_START >> 12);
		if (wait_online(want))
			continue;
		send_ipi(apic_ids[i], 0x4600 | AP_START >> 12);
		if (!wait_online(want))
			print("cpu with APIC id %u does not start\n", apic_ids[i]);
	}
	return atomic_read(&aps_online);
}
