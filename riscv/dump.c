/* SPDX-License-Identifier: MIT */
/* The registers of a vcpu in words, the instructions at its program counter, the stack. */
#include <stdio.h>

#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/vcpu.h"
#include "riscv.h"

#define PARCEL 2U /* bytes, of which instructions have one or more (Volume I, 1.5) */

/* What KVM does not tell shows as zero. */
static void dump_regs(FILE *out, const struct vcpu *vcpu, const struct debug_reg *regs, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		fprintf(out, "%s%-10s %016llx%s", i % 4 ? " " : "  ", regs[i].name,
			riscv_get(vcpu, regs[i].where), i % 4 == 3 || i == nr - 1 ? "\n" : "");
}

void arch_vcpu_dump(struct vcpu *vcpu, FILE *out)
{
	struct kvm_mp_state mp = { 0 };
	u64 pc, mode;
	int ret = vcpu_get_reg(vcpu, RISCV_CORE_REG(RISCV_CORE_PC), &pc);

	if (ret) {
		fprintf(out, "vcpu %u: cannot read its registers: %s\n", vcpu->id, strerror(-ret));
		return;
	}
	mode = riscv_get(vcpu, RISCV_CORE_REG(RISCV_CORE_MODE));
	fprintf(out, "vcpu %u:\n", vcpu->id);
	fprintf(out, "  pc %016llx %s%s%s\n", pc, mode ? "S-mode" : "U-mode",
		xioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) >= 0 && mp.mp_state == KVM_MP_STATE_STOPPED
			? ", stopped"
			: "",
		vcpu_sleeps(vcpu) ? ", suspended" : "");
	dump_regs(out, vcpu, riscv_x_regs + 1, RISCV_X_REGS - 2);
	dump_regs(out, vcpu, riscv_csrs, RISCV_CSRS);
	vcpu_dump_code(vcpu, out, PARCEL, pc);
	vcpu_dump_stack(vcpu, out, riscv_get(vcpu, RISCV_CORE_REG(RISCV_CORE_SP)), 8);
}
