/* SPDX-License-Identifier: MIT */
/* arm64 guests: PSCI (Arm DEN0022F) by the conduit that the tree names, and the way out. */
#include "arm.h"

static bool by_smc;
static u64 entry;

void psci_init(u64 secondary_entry)
{
	u32 node = fdt_compatible("arm,psci-0.2", 0);

	entry = secondary_entry;
	if (node == FDT_NONE)
		node = fdt_compatible("arm,psci-1.0", 0);
	by_smc = fdt_has_string(node, "method", "smc");
}

long arm_psci(u32 function, u64 a, u64 b, u64 c)
{
	register u64 x0 __asm__("x0") = function;
	register u64 x1 __asm__("x1") = a;
	register u64 x2 __asm__("x2") = b;
	register u64 x3 __asm__("x3") = c;

	/* SMC Calling Convention (DEN0028), 2.6: X4 to X17 are the callee's before version 1.1. */
#define CLOBBERS                                                                             \
	"x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", \
		"x17", "memory"
	if (by_smc)
		__asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : CLOBBERS);
	else
		__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : CLOBBERS);
	return (long)x0;
}

/* With its index, which start.S expects. */
long arch_cpu_start(u64 id, u32 index)
{
	dsb();
	return arm_psci(PSCI_CPU_ON, id, entry, index);
}

/* Other machines have no debug-exit device: the write goes nowhere there. */
void arch_exit(int status)
{
	write8(ARM_DEBUG_EXIT, (u8)status);
	arm_psci(PSCI_SYSTEM_OFF, 0, 0, 0);
	for (;;)
		__asm__ volatile("wfi");
}
