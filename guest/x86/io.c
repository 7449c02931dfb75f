/* SPDX-License-Identifier: MIT */
/* x86-64 guests: the serial port, the way out, waiting. Needs nothing else. */
#include "x86.h"

void arch_putc(char c)
{
	if (c == '\n')
		arch_putc('\r');
	while (!(inb(COM1 + 5) & 0x20)) /* LSR.THRE */
		arch_pause();
	outb(COM1, (u8)c);
}

int arch_getc(void)
{
	return inb(COM1 + 5) & 1 ? inb(COM1) : -1;
}

void arch_exit(int status)
{
	outb(DEBUG_EXIT, (u8)status);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void arch_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

void arch_wait(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}
