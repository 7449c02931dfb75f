/* SPDX-License-Identifier: MIT */
/*
 * The built-in guest's x86-64 part: ACPI, ports, the local APIC's timer in both its modes, the time
 * stamp counter, instructions that leave the guest.
 */
#include "../selftest/selftest.h"
#include "x86.h"

/* Between the IOAPIC and the local APIC; a PC has its HPET elsewhere. */
const u64 arch_nowhere = 0xfed80000;

static void timer_arm(u64 ns);
static void timer_disarm(void);

/* Hypervisors' leaf 0x40000010, where there is one. EAX: the TSC, EBX: the APIC's bus, in kHz. */
static bool timing_leaf(u32 r[4])
{
	cpuid(0x40000000, r);
	if (r[0] < 0x40000010 || r[0] >= 0x40000100)
		return false;
	cpuid(0x40000010, r);
	return true;
}

/* What the local APIC's timer counts: under KVM, if nothing is said, nanoseconds. */
static u32 apic_khz(void)
{
	static u32 khz;
	u32 r[4];

	if (!khz)
		khz = timing_leaf(r) && r[1] ? r[1] : 1000000;
	return khz;
}

/* By the local APIC's timer, in 5 ms. */
static u32 measured_khz(void)
{
	u64 start;
	u32 left;

	timer_arm(50000000);
	left = lapic_read(LAPIC_TMCCT);
	start = arch_cycles();
	while (left - lapic_read(LAPIC_TMCCT) < 5 * apic_khz())
		arch_pause();
	start = arch_cycles() - start;
	timer_disarm();
	return (u32)(start / 5);
}

/* As hypervisors say it, else it is measured. */
u32 arch_cycles_khz(void)
{
	static u32 khz;
	u32 r[4];

	if (khz)
		return khz;
	if (timing_leaf(r))
		khz = r[0];
	if (!khz)
		khz = measured_khz();
	return khz;
}

void arch_interrupts(bool on)
{
	if (on)
		__asm__ volatile("sti; nop" : : : "memory");
	else
		__asm__ volatile("cli" : : : "memory");
}

/* Description: ACPI 6.5, 5.2 */

const char *arch_check_description(void)
{
	const u8 *fadt = acpi_find("FACP");
	u32 described = 0, found = 0, irq;
	u64 base;

	if (!expect("RSDP", boot.rsdp != 0, true))
		return NULL;
	if (expect("FADT", fadt != NULL, true))
		expect("FADT: hardware-reduced", *(const u32 *)(fadt + 112) >> 20 & 1, 1);
	expect("DSDT", acpi_dsdt() != NULL, true);
	expect("MADT with this CPU", arch_nr_cpus() > 0, true);
	if (acpi_find("MCFG"))
		return NULL;
	/* Without PCI the DSDT says where virtio devices are, and they are there. */
	for (; acpi_virtio_mmio(described, &base, &irq); described++)
		found += read32(base) == 0x74726976;
	expect("virtio-mmio devices described", described > 0, true);
	expect("virtio-mmio devices found", found, described);
	return NULL;
}

#define PCI_ADDRESS 0xcf8
#define PCI_DATA    0xcfc
#define NO_PORT	    0x5f0

static const char *check_ports(void)
{
	static const u8 out[4] = { 0x11, 0x22, 0x33, 0x44 };
	const u8 *from = out;
	u64 count = sizeof(out);

	outb(COM1 + 7, 0x5a);
	expect("8 bits", inb(COM1 + 7), 0x5a);
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(COM1 + 7) : "memory");
	expect("the last of a string", inb(COM1 + 7), 0x44);
	expect("8 bits from nowhere", inb(NO_PORT), 0xff);
	expect("16 bits from nowhere", inw(NO_PORT), 0xffff);
	expect("32 bits from nowhere", inl(NO_PORT), 0xffffffff);
	if (!acpi_find("MCFG"))
		return NULL;
	outl(PCI_ADDRESS, 0x80000000);
	expect("32 bits: PCI's address port", inl(PCI_ADDRESS), 0x80000000);
	/* Configuration space by ports is the one by memory. */
	expect("32 bits: PCI device 0", inl(PCI_DATA),
	       read32(*(const u64 *)((const u8 *)acpi_find("MCFG") + 44)));
	return NULL;
}

/* The interval timer: 82C54 data sheet, control word and mode 0 */

#define PIT_VECTOR	0x24 /* beside those of arch.h */
#define PIT_COUNTER0	0x40
#define PIT_CONTROL	0x43
#define PIT_ONE_SHOT	0x30 /* counter 0, low byte then high byte, mode 0 */
#define PIT_TICKS	2386 /* of 1193182 Hz: 2 ms */
#define MADT_STRUCTURES 44

/* ACPI 6.5, 5.2.12.5: ISA's interrupt 0 is pin 0 unless an override says otherwise. */
static u32 pit_pin(const u8 *madt)
{
	const u8 *end = madt + *(const u32 *)(madt + 4);

	for (const u8 *p = madt + MADT_STRUCTURES; p + 2 <= end && p[1]; p += p[1])
		if (p[0] == 2 && p[3] == 0)
			return *(const u32 *)(p + 4);
	return 0;
}

static volatile u32 pit_fired;

static void on_pit(void)
{
	pit_fired++;
}

static const char *check_pit(void)
{
	u32 pin = pit_pin(acpi_find("APIC"));

	pit_fired = 0;
	arch_set_handler(PIT_VECTOR, on_pit);
	arch_route_irq(pin, PIT_VECTOR, true);
	outb(PIT_CONTROL, PIT_ONE_SHOT);
	outb(PIT_COUNTER0, PIT_TICKS & 0xff);
	outb(PIT_COUNTER0, PIT_TICKS >> 8);
	expect("an interrupt at the pin that the MADT says", wait_for(&pit_fired, 1), true);
	let_interrupts_in();
	expect("interrupts", pit_fired, 1);
	arch_mask_irq(pin);
	return NULL;
}

/* The MP table: Intel MultiProcessor Specification 1.4, 4 */

static bool adds_up(const u8 *p, u32 n)
{
	u8 sum = 0;

	while (n--)
		sum = (u8)(sum + *p++);
	return !sum;
}

/* By the pointer in the first KiB of the EBDA, whose segment is at 0x40e. */
static const u8 *find_mp_table(void)
{
	u64 word = 0x40e, ebda;

	/* The compiler is not to know how near to 0 that is. */
	__asm__("" : "+r"(word));
	ebda = *(const u16 *)word * 16UL;
	for (u64 p = ebda; p < ebda + 1024; p += 16) {
		const u8 *mp = (const u8 *)p;

		if (!memcmp(mp, "_MP_", 4) && mp[8] == 1 && adds_up(mp, 16))
			return (const u8 *)(uintptr_t) * (const u32 *)(mp + 4);
	}
	return NULL;
}

static const char *check_mp_table(void)
{
	const u8 *table = find_mp_table(), *p, *end;
	u32 cpus = 0, entries = 0, pit = ~0U, com1 = ~0U, ioapics = 0;
	u32 described = arch_nr_cpus() > 255 ? 255 : arch_nr_cpus();

	if (!expect("its pointer", table != NULL, true))
		return NULL;
	end = table + *(const u16 *)(table + 4);
	expect("its sum", adds_up(table, (u32)(end - table)), true);
	for (p = table + 44; p < end; p += *p ? 8 : 20, entries++) {
		cpus += p[0] == 0;
		ioapics += p[0] == 2 && *(const u32 *)(p + 4) == IOAPIC_BASE;
		/* Level and low is PCI's, the bus's own way is ISA's. */
		if (p[0] == 3 && p[2] == 0 && p[5] == 0)
			pit = p[7];
		if (p[0] == 3 && p[2] == 0 && p[5] == 4)
			com1 = p[7];
	}
	expect("its entries", entries, *(const u16 *)(table + 34));
	expect("CPUs", cpus, described);
	expect("IOAPIC", ioapics, 1);
	expect("pin of COM1", com1, 4);
	expect("pin of the interval timer", pit, pit_pin(acpi_find("APIC")));
	return NULL;
}

/*
 * Intel SDM volume 2A, CPUID: leaf 0x15 (the TSC is ECX * EBX / EAX Hz; Linux takes ECX for the
 * APIC's bus) and 0x16 (MHz), as far as they say anything, against the hypervisor's leaf.
 */
static const char *check_clocks(void)
{
	u32 max[4], timing[4], r[4];
	u64 hz;

	cpuid(0, max);
	if (!timing_leaf(timing))
		return NULL;
	if (max[0] >= 0x15) {
		cpuid(0x15, r);
		if (r[0] && r[1] && r[2]) {
			expect("leaf 0x15: kHz of the APIC's bus", (r[2] + 500) / 1000, timing[1]);
			hz = (u64)r[2] / 1000 * r[1] / r[0];
			expect("it fits 32 bits", (u64)r[2] / 1000 * r[1] >> 32, 0);
			/* A fraction of small numbers. */
			hz = hz > timing[0] ? hz - timing[0] : timing[0] - hz;
			expect("leaf 0x15: the TSC", hz <= timing[0] / 8000, true);
		}
	}
	if (max[0] >= 0x16) {
		cpuid(0x16, r);
		if (r[2] && timing[1] != 1000000)
			expect("leaf 0x16: MHz of the APIC's bus", r[2], (timing[1] + 500) / 1000);
	}
	return NULL;
}

/* CPUID, by "LEAF.INDEX.REGISTER.MASK.VALUE", hexadecimal numbers with commas between */

static u32 hex(const char **s)
{
	u32 v = 0;

	for (; **s > ' ' && **s != '.' && **s != ','; (*s)++)
		v = v << 4 | (u32)(**s >= 'a' ? **s - 'a' + 10 : **s - '0');
	if (**s == '.' || **s == ',')
		(*s)++;
	return v;
}

/* Beyond the last one the CPU may say anything: there is no such leaf. */
static void read_leaf(u32 leaf, u32 index, u32 r[4])
{
	cpuid(leaf & 0xf0000000, r);
	if (leaf > r[0])
		memset(r, 0, 4 * sizeof(r[0]));
	else
		cpuid_index(leaf, index, r);
}

static const char *check_cpuid(void)
{
	const char *s = word_text("cpuid");
	u32 wrong = 0, own[4];

	/* KVM's id of the vcpu, and what CPUID says of it. */
	cpuid(1, own);
	expect("initial APIC id", own[1] >> 24, lapic_id() & 0xff);
	while (s && *s > ' ') {
		u32 leaf = hex(&s), index = hex(&s), reg = hex(&s) & 3;
		u32 mask = hex(&s), value = hex(&s), r[4];

		read_leaf(leaf, index, r);
		if ((r[reg] & mask) == value)
			continue;
		wrong++;
		print("# leaf 0x%x.%u: e%cx & 0x%x is 0x%x, not 0x%x\n", leaf, index, "abcd"[reg],
		      mask, r[reg] & mask, value);
	}
	expect("registers that are not as --cpu asks", wrong, 0);
	return NULL;
}

const struct check arch_checks[] = {
	{ "CPUID: its APIC id, and what --cpu asks", check_cpuid },
	{ "port I/O", check_ports },
	{ "CPUID: its leaves of frequencies agree", check_clocks },
	{ "interval timer at the pin of the MADT", check_pit },
	{ "MP table: the same machine as ACPI's", check_mp_table },
};
const u32 arch_nr_checks = ARRAY_SIZE(arch_checks);

u8 arch_uart_read(u32 reg)
{
	return inb((u16)(COM1 + reg));
}

void arch_uart_write(u32 reg, u8 value)
{
	outb((u16)(COM1 + reg), value);
}

bool arch_uart_irq(u32 *irq, bool *edge)
{
	*irq = 4; /* ISA's, to the same pin of the IOAPIC */
	*edge = true;
	return true;
}

/* Timers: Intel SDM volume 3, 11.5.4 */

#define MSR_TSC_DEADLINE 0x6e0
#define LVTT_DEADLINE	 (2 << 17)
#define LVT_MASKED	 (1 << 16)

static const char *timer_missing(void)
{
	return NULL;
}

static void timer_arm(u64 ns)
{
	static bool ready;

	if (!ready) {
		lapic_enable();
		lapic_write(LAPIC_TDCR, 0xb); /* divide by 1 */
		ready = true;
	}
	ns = ns * apic_khz() / 1000000;
	lapic_write(LAPIC_LVTT, TIMER_VECTOR); /* one shot */
	lapic_write(LAPIC_TMICT, ns ? (u32)ns : 1);
}

static void timer_disarm(void)
{
	lapic_write(LAPIC_TMICT, 0);
	lapic_write(LAPIC_LVTT, LVT_MASKED);
}

static const char *deadline_missing(void)
{
	u32 r[4];

	cpuid(1, r);
	return r[2] >> 24 & 1 ? NULL : "this CPU has no TSC deadline";
}

static void deadline_arm(u64 ns)
{
	lapic_enable();
	lapic_write(LAPIC_LVTT, TIMER_VECTOR | LVTT_DEADLINE);
	__asm__ volatile("mfence" : : : "memory"); /* 11.5.4.1: before the MSR */
	wrmsr(MSR_TSC_DEADLINE, arch_cycles() + arch_cycles_khz() * ns / 1000000 + 1);
}

static void deadline_disarm(void)
{
	wrmsr(MSR_TSC_DEADLINE, 0);
	lapic_write(LAPIC_LVTT, LVT_MASKED);
}

const struct arch_timer arch_timers[] = {
	{ "timer", timer_missing, timer_arm, timer_disarm },
	{ "timer by deadline", deadline_missing, deadline_arm, deadline_disarm },
};
const u32 arch_nr_timers = ARRAY_SIZE(arch_timers);

/* Exits */

static void run_cpuid(void)
{
	u32 r[4];

	cpuid(0, r);
}

/* The serial port's scratch register. */
static void run_pio(void)
{
	inb(COM1 + 7);
}

/* IA32_APIC_BASE: no KVM lets a guest read it by itself. */
static void run_msr(void)
{
	rdmsr(0x1b);
}

const struct arch_exit arch_exits[] = {
	{ "cpuid", NULL, run_cpuid },
	{ "msr", NULL, run_msr },
	{ "pio", NULL, run_pio },
};
const u32 arch_nr_exits = ARRAY_SIZE(arch_exits);

/* Linux Documentation/virt/kvm/x86/cpuid.rst: "KVMKVMKVM". */
const char *arch_hypercall_missing(void)
{
	u32 r[4];

	cpuid(0x40000000, r);
	if (r[1] == 0x4b4d564b && r[2] == 0x564b4d56 && r[3] == 0x4d)
		return NULL;
	return "the hypervisor does not say that it is KVM";
}

/* KVM_HC_VAPIC_POLL_IRQ (documentation/virt/kvm/x86/hypercalls.rst), which does nothing. AMD and
 * Hygon have an instruction of their own. */
void arch_hypercall(void)
{
	u64 rax = 1;
	u32 r[4];
	static bool known, amd;

	if (!known) {
		cpuid(0, r);
		amd = r[1] == 0x68747541 || r[1] == 0x6f677948;
		known = true;
	}
	if (amd)
		__asm__ volatile("vmmcall" : "+a"(rax) : : "memory");
	else
		__asm__ volatile("vmcall" : "+a"(rax) : : "memory");
}

/* The ways out: ACPI 6.5, 4.8.3.6 (reset register), 4.8.3.7 (sleep control), 7.4.2 (\_S5) */

void arch_reset(void)
{
	const u8 *fadt = acpi_find("FACP");

	if (fadt)
		outb(*(const u16 *)(fadt + 116 + 4), fadt[128]);
}

void arch_power_off(void)
{
	const u8 *fadt = acpi_find("FACP"), *p = acpi_dsdt(), *end;

	if (!fadt || !p)
		return;
	end = p + *(const u32 *)(p + 4);
	for (; p + 10 < end; p++) {
		if (memcmp(p, "_S5_\x12", 5))
			continue;
		/* Package, its length and count, then SLP_TYP: BytePrefix, or ZeroOp, OneOp. */
		outb(*(const u16 *)(fadt + 244 + 4),
		     (u8)(1 << 5 | (p[7] == 0x0a ? p[8] : p[7]) << 2));
		return;
	}
}
