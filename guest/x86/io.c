/* SPDX-License-Identifier: MIT */
/* x86-64 guests: ports, the serial port, the way out, waiting. Needs nothing else. */
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

u32 arch_port_read(u32 port, u32 len)
{
	u16 p = (u16)port;

	return len == 1 ? inb(p) : len == 2 ? inw(p) : inl(p);
}

void arch_port_write(u32 port, u32 len, u32 value)
{
	if (len == 1)
		outb((u16)port, (u8)value);
	else if (len == 2)
		outw((u16)port, (u16)value);
	else
		outl((u16)port, value);
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

u64 arch_cycles(void)
{
	u32 low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low | (u64)high << 32;
}

/* At 4 GHz; its frequency is not known to everybody who waits. */
bool arch_hangs(u64 since)
{
	return arch_cycles() - since > 30 * 4000000000ULL;
}

void arch_wait(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}
