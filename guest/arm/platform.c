/* SPDX-License-Identifier: MIT */
/* arm64 guests: what start.S calls. */
#include "arm.h"

u64 arch_uart = ARM_UART;

void arm_start(const void *tree, u64 secondary_entry);

/* With the address that other CPUs start at. */
void arm_start(const void *tree, u64 secondary_entry)
{
	tree_read(tree);
	psci_init(secondary_entry);
	gic_init();
	cpus_read();
	arch_cpu_init(0);
	arch_exit(guest_main());
}
