/* SPDX-License-Identifier: MIT */
/* What a core file says of a riscv64 vcpu (include/lkvm/debug.h): registers as Linux has them in one
 * (arch/riscv/include/uapi/asm/ptrace.h). */
#include <elf.h>

#include "lkvm/debug.h"
#include "lkvm/vcpu.h"

/* struct user_regs_struct: pc, and x1 to x31; f0 to f31 and fcsr, with its padding. */
#define REGS_SIZE   (32 * 8)
#define FPREGS_SIZE (32 * 8 + 8)

const struct arch_core arch_core = {
	.machine = EM_RISCV,
	.regs_size = REGS_SIZE,
	.fpregs_size = FPREGS_SIZE,
};

int arch_vcpu_core(struct vcpu *vcpu, u8 *regs, u8 *fpregs, u8 *system)
{
	return -ENOTSUP;
}
