/* SPDX-License-Identifier: MIT */
/* arm64 guests: this CPU: its level, index and affinity, waiting. Needs nothing else. */
#include "arm.h"

#define PAUSE_NS 500

u64 arm_entry_el;

u32 arm_el(void)
{
	return sysreg_read("CurrentEL") >> 2;
}

u32 arch_cpu_index(void)
{
	return (u32)sysreg_read("tpidr_el1");
}

/* MPIDR_EL1's affinity fields */
u64 arch_cpu_id(void)
{
	return sysreg_read("mpidr_el1") & 0xff00ffffffULL;
}

/* By the clock: a hint takes a nanosecond on one CPU and a trap on the other. */
void arch_pause(void)
{
	static u64 ticks;
	u64 start;

	if (!ticks)
		ticks = sysreg_read("cntfrq_el0") * PAUSE_NS / 1000000000 + 1;
	start = sysreg_read("cntvct_el0");
	do {
		__asm__ volatile("yield" : : : "memory");
		isb();
	} while (sysreg_read("cntvct_el0") - start < ticks);
}

u64 arch_cycles(void)
{
	isb();
	return sysreg_read("cntvct_el0");
}

bool arch_hangs(u64 since)
{
	return arch_cycles() - since > 30 * sysreg_read("cntfrq_el0");
}

/* WFI ends by what is masked too, so none is missed. */
void arch_wait(void)
{
	__asm__ volatile("dsb sy; wfi; msr daifclr, #2; isb; msr daifset, #2" : : : "memory");
}
