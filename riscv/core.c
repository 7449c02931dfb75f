/* SPDX-License-Identifier: MIT */
/* What a core file says of a riscv64 vcpu (include/lkvm/debug.h): registers as Linux has them in
 * one (arch/riscv/include/uapi/asm/ptrace.h). */
#include <elf.h>

#include "lkvm/debug.h"
#include "lkvm/vcpu.h"
#include "riscv.h"

/* struct user_regs_struct: pc, and x1 to x31; struct __riscv_d_ext_state: f0 to f31 and fcsr, with
 * its padding. */
#define NR_REGS	    32
#define REGS_SIZE   (NR_REGS * 8)
#define FPREGS_SIZE (NR_REGS * 8 + 8)

/* RISC-V ELF psABI specification, File Header, e_flags: RVC, and the ABI with doubles in registers.
 * gdb takes from it, where it has no symbols, which registers there are. */
#define EF_RVC_DOUBLE 0x0005U

const struct arch_core arch_core = {
	.flags = EF_RVC_DOUBLE,
	.machine = EM_RISCV,
	.regs_size = REGS_SIZE,
	.fpregs_size = FPREGS_SIZE,
};

int arch_vcpu_core(struct vcpu *vcpu, u8 *regs, u8 *fpregs, u8 *system)
{
	u64 value;
	u32 fcsr;
	int ret = 0;

	/* KVM has Linux's order. */
	for (u32 i = 0; i < NR_REGS && !ret; i++) {
		ret = vcpu_get_reg(vcpu, RISCV_CORE_REG(i), &value);
		if (!ret)
			memcpy(regs + i * sizeof(value), &value, sizeof(value));
	}
	/* A vcpu may have none of these. */
	for (u32 i = 0; i < NR_REGS && !ret; i++)
		if (!vcpu_get_reg(vcpu, RISCV_FP_REG(i), &value))
			memcpy(fpregs + i * sizeof(value), &value, sizeof(value));
	if (!ret && !vcpu_get_reg(vcpu, RISCV_FCSR, &fcsr))
		memcpy(fpregs + NR_REGS * sizeof(value), &fcsr, sizeof(fcsr));
	return ret;
}
