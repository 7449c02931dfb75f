/* SPDX-License-Identifier: MIT */
/* arm64 guests: what trap.S calls. */
#include "arm.h"

/* Number of a vector in trap.S: IRQ from this exception level, by its own stack pointer. */
#define TRAP_IRQ 5

/* What trap.S leaves on the stack. */
struct frame {
	u64 x[31], elr, spsr, unused;
};

void arm_trap(u64 vector, const struct frame *f);

void arm_trap(u64 vector, const struct frame *f)
{
	if (vector == TRAP_IRQ) {
		gic_dispatch();
		return;
	}
	print("exception %lu at EL%u, ESR 0x%lx, ELR 0x%lx, FAR 0x%lx, LR 0x%lx, SPSR 0x%lx\n",
	      vector, arm_el(), sysreg_read("esr_el1"), f->elr, sysreg_read("far_el1"), f->x[30],
	      f->spsr);
	arch_exit(99);
}
