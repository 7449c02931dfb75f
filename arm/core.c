/* SPDX-License-Identifier: MIT */
/* What a core file says of an arm64 vcpu (include/lkvm/debug.h): registers as Linux has them in one
 * (arch/arm64/include/uapi/asm/ptrace.h). */
#include <elf.h>

#include "lkvm/debug.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* struct user_pt_regs: X0 to X30, SP, PC, PSTATE; struct user_fpsimd_state: V0 to V31, FPSR, FPCR,
 * and two words that are reserved. */
#define REGS_SIZE   (34 * 8)
#define FPREGS_SIZE (32 * 16 + 16)

const struct arch_core arch_core = {
	.machine = EM_AARCH64,
	.regs_size = REGS_SIZE,
	.fpregs_size = FPREGS_SIZE,
};

/* The registers of a debugger's feature, one after the other, a slot of @slot bytes for each. */
static int put_feature(struct vcpu *vcpu, const struct debug_feature *feature, u8 *out, u32 slot)
{
	u8 value[DEBUG_REG_MAX];

	for (u32 i = 0; i < feature->nr_regs; i++) {
		const struct debug_reg *reg = &feature->regs[i];

		for (u32 k = 0; k < debug_reg_count(reg); k++) {
			int ret = arch_debug_get(vcpu, reg, k, value);

			if (ret)
				return ret;
			memcpy(out, value, reg->bytes);
			out += MAX((u32)reg->bytes, slot);
		}
	}
	return 0;
}

int arch_vcpu_core(struct vcpu *vcpu, u8 *regs, u8 *fpregs, u8 *system)
{
	u32 nr;
	/* Core registers, then those of vectors: both in Linux's order. */
	const struct debug_feature *f = arch_debug_features(vcpu->vm, &nr);
	int ret = put_feature(vcpu, &f[0], regs, 8);

	return ret ? ret : put_feature(vcpu, &f[1], fpregs, 4);
}
