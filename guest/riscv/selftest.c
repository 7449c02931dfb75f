/* SPDX-License-Identifier: MIT */
/*
 * The built-in guest's riscv64 part: the device tree, the real-time clock, timers by the SBI and by
 * Sstc, calls that leave the guest, the ends. Checks of harts and of the SBI are in files of their
 * own.
 */
#include "selftest-parts.h"

const u64 arch_nowhere = RISCV_NOWHERE;

u32 arch_cycles_khz(void)
{
	return (u32)(riscv_timebase / 1000);
}

void arch_interrupts(bool on)
{
	if (on)
		csr_set("sstatus", SSTATUS_SIE);
	else
		csr_clear("sstatus", SSTATUS_SIE);
}

/* Description: the bindings of what is named */

/* riscv/cpus.yaml, riscv/extensions.yaml, interrupt-controller/riscv,cpu-intc.yaml */
static void check_cpu_nodes(void)
{
	u32 n = 0, with_isa = 0, with_mmu = 0, with_controller = 0, node;

	for (; (node = fdt_find("device_type", "cpu", n)) != FDT_NONE; n++) {
		with_isa += fdt_prop(node, "riscv,isa", NULL) ||
			    fdt_prop(node, "riscv,isa-extensions", NULL);
		with_mmu += fdt_prop(node, "mmu-type", NULL) != NULL;
	}
	for (u32 i = 0; fdt_compatible("riscv,cpu-intc", i) != FDT_NONE; i++) {
		u32 phandle = fdt_u32(fdt_compatible("riscv,cpu-intc", i), "phandle", 0);

		with_controller += hart_of_controller(phandle) < MAX_CPUS;
	}
	expect("cpu nodes", n, arch_nr_cpus());
	expect("cpu nodes with an ISA", with_isa, n);
	expect("cpu nodes with a mode of paging", with_mmu, n);
	expect("cpu nodes with an interrupt controller", with_controller, n);
	expect("frequency of the clock",
	       fdt_u32(fdt_child_of_root("cpus"), "timebase-frequency", 0) != 0, true);
}

static void check_interrupt_controller(void)
{
	if (!expect("a PLIC, or IMSICs and an APLIC", riscv_irqchip != IRQCHIP_NONE, true))
		return;
	if (riscv_irqchip != IRQCHIP_AIA)
		return;
	expect("the extension that IMSICs need", hart_has("ssaia"), true);
	expect("identities", fdt_u32(imsic_node(), "riscv,num-ids", 0) >= IMSIC_IDS, true);
	for (u32 i = 0; i < arch_nr_cpus(); i++)
		expect("where messages to each hart go", imsic_file(i) != 0, true);
}

/* power/reset/syscon-poweroff.yaml and syscon-reboot.yaml: a register of a node beside it */
static void check_syscon(const char *compatible)
{
	u32 node = fdt_compatible(compatible, 0), syscon;
	u64 base, size;

	if (node == FDT_NONE)
		return;
	syscon = fdt_phandle(fdt_u32(node, "regmap", 0));
	expect("syscon: what its regmap is", fdt_has_string(syscon, "compatible", "syscon"), true);
	expect("syscon: where it is", fdt_reg(syscon, 0, &base, &size), true);
	expect("syscon: the register", fdt_u32(node, "offset", 0) + 4 <= size, true);
	expect("syscon: what is written", fdt_prop(node, "value", NULL) != NULL, true);
}

const char *arch_check_description(void)
{
	if (!check_tree(TEXT_OFFSET, riscv_irqchip == IRQCHIP_AIA))
		return NULL;
	check_cpu_nodes();
	check_interrupt_controller();
	check_syscon("syscon-poweroff");
	check_syscon("syscon-reboot");
	return NULL;
}

/* The goldfish clock (Linux drivers/rtc/rtc-goldfish.c has its registers): nanoseconds in halves,
 * of which the low one latches the high one; an alarm and its interrupt. */

enum {
	RTC_TIME_LOW = 0x00,
	RTC_TIME_HIGH = 0x04,
	RTC_ALARM_LOW = 0x08,
	RTC_ALARM_HIGH = 0x0c,
	RTC_IRQ_ENABLED = 0x10,
	RTC_CLEAR_ALARM = 0x14,
	RTC_ALARM_STATUS = 0x18,
	RTC_CLEAR_INTERRUPT = 0x1c,
};

#define SECOND 1000000000ULL

static u64 rtc;
static volatile u32 alarms;

static u64 rtc_time(void)
{
	u64 low = read32(rtc + RTC_TIME_LOW);

	return low | (u64)read32(rtc + RTC_TIME_HIGH) << 32;
}

static void rtc_set_alarm(u64 at)
{
	write32(rtc + RTC_ALARM_HIGH, (u32)(at >> 32));
	write32(rtc + RTC_ALARM_LOW, (u32)at);
}

static void on_alarm(void)
{
	write32(rtc + RTC_CLEAR_INTERRUPT, 1);
	alarms++;
}

/* The clock's interrupts are counted, once the line is routed. */
static bool begin_alarms(u32 node, u32 *irq, bool *edge)
{
	if (!expect("interrupt described", tree_irq(node, 0, irq, edge), true))
		return false;
	alarms = 0;
	arch_set_handler(SERIAL_VECTOR, on_alarm);
	write32(rtc + RTC_IRQ_ENABLED, 1);
	return true;
}

static void end_alarms(u32 irq)
{
	write32(rtc + RTC_IRQ_ENABLED, 0);
	arch_mask_irq(irq);
}

static void check_alarm(u32 node)
{
	u32 irq;
	bool edge;

	if (!begin_alarms(node, &irq, &edge))
		return;
	arch_route_irq(irq, SERIAL_VECTOR, edge);
	rtc_set_alarm(rtc_time() + 3600 * SECOND);
	expect("an alarm is set", read32(rtc + RTC_ALARM_STATUS), 1);
	let_interrupts_in();
	expect("interrupts before its time", alarms, 0);
	rtc_set_alarm(rtc_time() + SECOND / 1000);
	expect("interrupt of the alarm", wait_for(&alarms, 1), true);
	expect("the alarm is over", read32(rtc + RTC_ALARM_STATUS), 0);
	rtc_set_alarm(rtc_time() + 3600 * SECOND);
	write32(rtc + RTC_CLEAR_ALARM, 1);
	expect("the alarm is cleared", read32(rtc + RTC_ALARM_STATUS), 0);
	end_alarms(irq);
	expect("interrupts", alarms, 1);
}

static const char *check_rtc(void)
{
	u32 node = fdt_compatible("google,goldfish-rtc", 0);
	u64 size, before;

	if (!fdt_reg(node, 0, &rtc, &size))
		return "this machine has none";
	before = rtc_time();
	expect("time since 1970, at least that of 2020", before > 1577836800 * SECOND, true);
	arch_pause();
	expect("the time goes on", rtc_time() > before, true);
	check_alarm(node);
	return NULL;
}

/*
 * All other harts are stopped. The alarm wakes this one, even if it comes before the sleep; its
 * interrupt is taken afterwards.
 */
static void check_sleep(u32 node)
{
	u64 saved[SAVED_WORDS], at;
	u32 irq;
	bool edge;

	if (!begin_alarms(node, &irq, &edge))
		return;
	at = rtc_time() + SECOND / 50;
	rtc_set_alarm(at);
	expect("a sleep", (u64)riscv_suspend(saved), 0);
	expect("until the alarm", rtc_time() >= at, true);
	expect("interrupts are off", csr_read("sstatus") & SSTATUS_SIE, 0);
	expect("paging is off", csr_read("satp"), 0);
	arch_cpu_init(0);
	arch_route_irq(irq, SERIAL_VECTOR, edge);
	expect("interrupt of the alarm", wait_for(&alarms, 1), true);
	end_alarms(irq);
}

static const char *check_suspend(void)
{
	const char *missing = check_sbi_sleep_errors();
	u32 node = fdt_compatible("google,goldfish-rtc", 0);
	u64 size;

	if (missing)
		return missing;
	if (!fdt_reg(node, 0, &rtc, &size))
		return "this machine has no clock that ends it";
	check_sleep(node);
	return NULL;
}

const struct check arch_checks[] = {
	{ "extensions that the tree names", check_isa },
	{ "CSRs that are there and some that are not", check_csrs },
	{ "entropy by a CSR", check_seed },
	{ "floating-point registers survive exits", check_fp },
	{ "vector registers survive exits", check_vector },
	{ "misaligned addresses", check_misaligned },
	{ "paging", check_paging },
	{ "SBI: base, extensions, errors", check_sbi_base },
	{ "SBI: debug console and its errors", check_sbi_console },
	{ "SBI: console of version 0.1", check_sbi_old_console },
	{ "SBI: harts start and stop", check_sbi_harts },
	{ "SBI: interrupts", check_sbi_ipi },
	{ "SBI: performance counters", check_sbi_counters },
	{ "SBI: firmware features", check_sbi_features },
	{ "SBI: suspend, until the clock's alarm", check_suspend },
	{ "SBI: reset, its errors", check_sbi_reset },
	{ "real-time clock: the time, an alarm", check_rtc },
};
const u32 arch_nr_checks = ARRAY_SIZE(arch_checks);

/* Timers: SBI 3.0, chapter 6; Privileged Architecture, Sstc. All ones is never. */

static u64 ticks(u64 ns)
{
	return arch_cycles() + ns * arch_cycles_khz() / 1000000;
}

static const char *sbi_missing(void)
{
	return sbi_has(SBI_TIME) ? NULL : "this machine has none";
}

static void sbi_disarm(void)
{
	sbi_call(SBI_TIME, 0, ~0ULL, 0, 0);
}

static void sbi_arm(u64 ns)
{
	irq_enable_timer(TIMER_VECTOR, sbi_disarm);
	sbi_call(SBI_TIME, 0, ticks(ns), 0, 0);
}

static const char *sstc_missing(void)
{
	return hart_has("sstc") ? NULL : "this machine has none";
}

static void sstc_disarm(void)
{
	csr_write(CSR_STIMECMP, ~0ULL);
}

static void sstc_arm(u64 ns)
{
	irq_enable_timer(TIMER_VECTOR, sstc_disarm);
	csr_write(CSR_STIMECMP, ticks(ns));
}

const struct arch_timer arch_timers[] = {
	{ "timer by the SBI", sbi_missing, sbi_arm, sbi_disarm },
	{ "timer by stimecmp", sstc_missing, sstc_arm, sstc_disarm },
};
const u32 arch_nr_timers = ARRAY_SIZE(arch_timers);

/* Exits */

/* An empty mask: KVM looks for harts, and lkvm hears nothing of it. */
static void run_ipi_to_nobody(void)
{
	sbi_call(SBI_IPI, 0, 0, 0, 0);
}

static const char *no_console(void)
{
	return sbi_has(SBI_DBCN) ? NULL : "this machine has no console by the SBI";
}

/* lkvm's to answer, though nothing is written */
static void run_console(void)
{
	sbi_call(SBI_DBCN, 0, 0, boot.keep, 0);
}

const struct arch_exit arch_exits[] = {
	{ "sbi-ipi", NULL, run_ipi_to_nobody },
	{ "sbi-user", no_console, run_console },
};
const u32 arch_nr_exits = ARRAY_SIZE(arch_exits);

const char *arch_hypercall_missing(void)
{
	return NULL;
}

void arch_hypercall(void)
{
	sbi_call(SBI_BASE, BASE_SPEC_VERSION, 0, 0, 0);
}

void arch_reset(void)
{
	sbi_call(SBI_SRST, 0, SRST_COLD_REBOOT, 0, 0);
}

void arch_power_off(void)
{
	sbi_call(SBI_SRST, 0, SRST_SHUTDOWN, 0, 0);
}
