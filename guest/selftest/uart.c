/* SPDX-License-Identifier: MIT */
/* The serial port of machines with a device tree, for the checks: a 16550 in memory. */
#include "selftest.h"

u8 arch_uart_read(u32 reg)
{
	return read8(arch_uart + reg);
}

void arch_uart_write(u32 reg, u8 value)
{
	write8(arch_uart + reg, value);
}

bool arch_uart_irq(u32 *irq, bool *edge)
{
	return tree_irq(fdt_compatible("ns16550a", 0), 0, irq, edge);
}
