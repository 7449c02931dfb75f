/* SPDX-License-Identifier: MIT */
/* The console of machines with a device tree: a 16550 in memory, its registers a byte apart. */
#include "guest.h"

void arch_putc(char c)
{
	if (c == '\n')
		arch_putc('\r');
	while (!(read8(arch_uart + 5) & 0x20)) /* LSR.THRE */
		arch_pause();
	write8(arch_uart, (u8)c);
}

int arch_getc(void)
{
	return read8(arch_uart + 5) & 1 ? read8(arch_uart) : -1;
}
