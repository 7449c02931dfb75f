/* SPDX-License-Identifier: MIT */
/*
 * The built-in guest's arm64 part: the device tree, the real-time clock, the generic timer by its
 * virtual and its physical half, instructions that leave the guest, PSCI.
 */
#include "../selftest/selftest.h"
#include "arm.h"

/* Between the boot-time mark and the flash. */
const u64 arch_nowhere = 0x01f00000;

u32 arch_cycles_khz(void)
{
	return (u32)(sysreg_read("cntfrq_el0") / 1000);
}

void arch_interrupts(bool on)
{
	if (on)
		__asm__ volatile("msr daifclr, #2; isb" : : : "memory");
	else
		__asm__ volatile("msr daifset, #2; isb" : : : "memory");
}

/* Description: Devicetree Specification 0.4, and the bindings of what is named */

static u32 timer_node(void)
{
	return fdt_compatible("arm,armv8-timer", 0);
}

static void check_cpu_nodes(void)
{
	u32 n = 0, with_psci = 0, node;

	for (; (node = fdt_find("device_type", "cpu", n)) != FDT_NONE; n++)
		with_psci += fdt_has_string(node, "enable-method", "psci");
	expect("cpu nodes", n, arch_nr_cpus());
	if (n > 1)
		expect("cpu nodes that PSCI enables", with_psci, n);
}

static void check_firmware_node(void)
{
	u32 psci = fdt_compatible("arm,psci-0.2", 0);

	if (!expect("psci node", psci != FDT_NONE, true))
		return;
	/* The guest's own EL2 would take an HVC. */
	expect("psci: its method",
	       fdt_has_string(psci, "method", arm_entry_el == 2 ? "smc" : "hvc"), true);
	expect("psci: version 0.2 or later", arm_psci(PSCI_VERSION, 0, 0, 0) >= 2, true);
}

static void check_timer_node(void)
{
	u32 intid, n = 0;
	bool edge;

	while (tree_irq(timer_node(), n, &intid, &edge)) {
		expect("timer: a private interrupt", intid >= 16 && intid < 32, true);
		n++;
	}
	expect("timer: interrupts", n >= (arm_entry_el == 2 ? 5 : 4), true);
	expect("frequency of the counter", arch_cycles_khz() > 0, true);
}

static void check_interrupt_controller(void)
{
	u32 intid, node = fdt_compatible("arm,gic-v3", 0);
	bool edge;
	u64 its, size;

	if (!expect("GICv2 or GICv3", gic_version != 0, true))
		return;
	if (arm_entry_el == 2)
		expect("the maintenance interrupt", tree_irq(node, 0, &intid, &edge), true);
	if (gic_version == 3)
		expect("redistributor of this CPU", gic_redistributor() != 0, true);
	if (fdt_reg(fdt_compatible("arm,gic-v3-its", 0), 0, &its, &size))
		expect("ITS: physical LPIs", read32(its + 0x8) & 1, 1); /* GITS_TYPER */
}

const char *arch_check_description(void)
{
	bool messages = fdt_compatible("arm,gic-v3-its", 0) != FDT_NONE ||
			fdt_compatible("arm,gic-v2m-frame", 0) != FDT_NONE;

	if (!check_tree(0, messages))
		return NULL;
	check_cpu_nodes();
	check_firmware_node();
	check_timer_node();
	check_interrupt_controller();
	return NULL;
}

/* PL031 (Arm DDI 0224B, chapter 3): identification, the time, an alarm and its interrupt. */

enum { RTCDR = 0x00, RTCMR = 0x04, RTCLR = 0x08, RTCIMSC = 0x10, RTCRIS = 0x14, RTCICR = 0x1c };

static u64 rtc;
static volatile u32 alarms;

static void on_alarm(void)
{
	write32(rtc + RTCICR, 1);
	alarms++;
}

/* The match is now; once more if a second has just passed. */
static void check_alarm(u32 node)
{
	u32 irq;
	bool edge;

	if (!expect("interrupt described", tree_irq(node, 0, &irq, &edge), true))
		return;
	arch_set_handler(SERIAL_VECTOR, on_alarm);
	arch_route_irq(irq, SERIAL_VECTOR, edge);
	write32(rtc + RTCIMSC, 1);
	alarms = 0;
	for (u32 i = 0; i < 3 && !alarms; i++) {
		write32(rtc + RTCMR, read32(rtc + RTCDR));
		let_interrupts_in();
	}
	expect("interrupt of the alarm", alarms, 1);
	expect("raw status after it", read32(rtc + RTCRIS), 0);
	write32(rtc + RTCIMSC, 0);
	arch_mask_irq(irq);
}

static const char *check_rtc(void)
{
	u32 node = fdt_compatible("arm,pl031", 0), now;
	u64 size;

	if (!fdt_reg(node, 0, &rtc, &size))
		return "this machine has none";
	expect("PeriphID0", read32(rtc + 0xfe0), 0x31);
	expect("PeriphID1", read32(rtc + 0xfe4), 0x10);
	expect("PCellID0", read32(rtc + 0xff0), 0x0d);
	now = read32(rtc + RTCDR);
	expect("seconds since 1970, at least those of 2020", now > 1577836800, true);
	write32(rtc + RTCLR, 1000);
	expect("the time is set", read32(rtc + RTCDR) - 1000 <= 1, true);
	write32(rtc + RTCLR, now);
	check_alarm(node);
	return NULL;
}

/* ID_AA64DFR0_EL1.PMUVer: 0 none, 15 one that is not Arm's */
static const char *check_pmu(void)
{
	u32 version = sysreg_read("id_aa64dfr0_el1") >> 8 & 0xf;
	u64 before;

	if (!version || version == 15)
		return "this machine has none (--pmu gives it some)";
	expect("a pmu node", fdt_compatible("arm,armv8-pmuv3", 0) != FDT_NONE, true);
	sysreg_write("pmccfiltr_el0", arm_el() == 2 ? 1 << 27 : 0); /* NSH: at EL2 too */
	sysreg_write("pmcntenset_el0", 1u << 31);
	sysreg_write("pmcr_el0", sysreg_read("pmcr_el0") | 1 << 6 | 1); /* 64 bits, enabled */
	isb();
	before = sysreg_read("pmccntr_el0");
	for (u32 i = 0; i < 20; i++)
		arch_pause();
	isb();
	expect("cycles are counted", sysreg_read("pmccntr_el0") > before, true);
	sysreg_write("pmcr_el0", sysreg_read("pmcr_el0") & ~1ULL);
	return NULL;
}

const struct check arch_checks[] = {
	{ "real-time clock: the time, an alarm", check_rtc },
	{ "performance counters", check_pmu },
};
const u32 arch_nr_checks = ARRAY_SIZE(arch_checks);

/*
 * Timers: Arm ARM, D12. With E2H the names of the EL1 and EL0 timers are those of EL2's own, whose
 * interrupts are others.
 */

#define CTL_ENABLE 1
#define CTL_MASKED 3
/* Positions in the node's interrupts */
#define PHYS	 1
#define VIRT	 2
#define HYP_PHYS 3
#define HYP_VIRT 4

static u32 timer_irq(u32 el1, u32 el2)
{
	u32 intid;
	bool edge;

	return tree_irq(timer_node(), arm_el() == 2 ? el2 : el1, &intid, &edge) ? intid : 0;
}

static const char *virtual_missing(void)
{
	return timer_irq(VIRT, HYP_VIRT) ? NULL : "its interrupt is not described";
}

static void virtual_quiet(void)
{
	sysreg_write("cntv_ctl_el0", CTL_MASKED);
	isb();
}

static void virtual_arm(u64 ns)
{
	static bool ready;

	if (!ready)
		gic_enable_private(timer_irq(VIRT, HYP_VIRT), TIMER_VECTOR, virtual_quiet);
	ready = true;
	sysreg_write("cntv_cval_el0", arch_cycles() + ns * arch_cycles_khz() / 1000000);
	sysreg_write("cntv_ctl_el0", CTL_ENABLE);
	isb();
}

static void virtual_disarm(void)
{
	sysreg_write("cntv_ctl_el0", 0);
	isb();
}

static const char *physical_missing(void)
{
	return timer_irq(PHYS, HYP_PHYS) ? NULL : "its interrupt is not described";
}

static void physical_quiet(void)
{
	sysreg_write("cntp_ctl_el0", CTL_MASKED);
	isb();
}

static void physical_arm(u64 ns)
{
	static bool ready;

	if (!ready)
		gic_enable_private(timer_irq(PHYS, HYP_PHYS), TIMER_VECTOR, physical_quiet);
	ready = true;
	isb();
	sysreg_write("cntp_cval_el0", sysreg_read("cntpct_el0") + ns * arch_cycles_khz() / 1000000);
	sysreg_write("cntp_ctl_el0", CTL_ENABLE);
	isb();
}

static void physical_disarm(void)
{
	sysreg_write("cntp_ctl_el0", 0);
	isb();
}

const struct arch_timer arch_timers[] = {
	{ "virtual timer", virtual_missing, virtual_arm, virtual_disarm },
	{ "physical timer", physical_missing, physical_arm, physical_disarm },
};
const u32 arch_nr_timers = ARRAY_SIZE(arch_timers);

/* Exits */

/* KVM shows its own version of the ID registers: each read comes to it. */
static void run_sysreg(void)
{
	sysreg_read("id_aa64pfr0_el1");
}

static const char *no_gic(void)
{
	return gic_version ? NULL : "this machine has no known GIC";
}

const struct arch_exit arch_exits[] = {
	{ "sysreg", NULL, run_sysreg },
	{ "sgi", no_gic, gic_send_to_nobody },
};
const u32 arch_nr_exits = ARRAY_SIZE(arch_exits);

const char *arch_hypercall_missing(void)
{
	return NULL;
}

void arch_hypercall(void)
{
	arm_psci(PSCI_VERSION, 0, 0, 0);
}

void arch_reset(void)
{
	arm_psci(PSCI_SYSTEM_RESET, 0, 0, 0);
}

void arch_power_off(void)
{
	arm_psci(PSCI_SYSTEM_OFF, 0, 0, 0);
}
