/* SPDX-License-Identifier: MIT */
/* riscv64 guests: what trap.S calls, exceptions that are expected, and the way out. */
#include "riscv.h"

#define CAUSE_INTERRUPT (1ULL << 63)

static volatile bool expected;
static volatile u64 seen_cause, seen_value;

void riscv_trap(u64 ra);

void trap_expect(void)
{
	seen_cause = NO_TRAP;
	expected = true;
}

u64 trap_seen(u64 *value)
{
	expected = false;
	if (value)
		*value = seen_value;
	return seen_cause;
}

/* An instruction whose two lowest bits are not ones has 16 bits. */
static void skip(void)
{
	u64 pc = csr_read("sepc");

	seen_cause = csr_read("scause");
	seen_value = csr_read("stval");
	csr_write("sepc", pc + ((*(const u16 *)pc & 3) == 3 ? 4 : 2));
}

void riscv_trap(u64 ra)
{
	u64 cause = csr_read("scause");

	if (cause & CAUSE_INTERRUPT) {
		irq_dispatch(cause & ~CAUSE_INTERRUPT);
		return;
	}
	if (expected && !arch_cpu_index()) {
		skip();
		return;
	}
	print("exception %lu on cpu %u, sepc 0x%lx, stval 0x%lx, ra 0x%lx, sstatus 0x%lx\n", cause,
	      arch_cpu_index(), csr_read("sepc"), csr_read("stval"), ra, csr_read("sstatus"));
	arch_exit(99);
}

/* Other machines have no debug-exit device: the write goes nowhere there, or traps. */
void arch_exit(int status)
{
	trap_expect();
	write8(RISCV_DEBUG_EXIT, (u8)status);
	sbi_call(SBI_SRST, 0, SRST_SHUTDOWN, 0, 0);
	for (;;)
		__asm__ volatile("wfi");
}
