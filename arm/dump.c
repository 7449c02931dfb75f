/* SPDX-License-Identifier: MIT */
/* The registers of a vcpu in words, and the instructions at its program counter. */
#include <stdio.h>

#include "arm.h"
#include "lkvm/arch.h"
#include "lkvm/coco.h"
#include "lkvm/kvm.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* What KVM does not tell shows as zero. */
static u64 get(const struct vcpu *vcpu, u64 id)
{
	u64 value = 0;

	return vcpu_get_reg(vcpu, id, &value) ? 0 : value;
}

static void dump_regs(FILE *out, const struct vcpu *vcpu, const struct debug_reg *regs)
{
	for (size_t i = 0; i < ARM_EL_REGS; i++)
		fprintf(out, "%s%-9s %016llx%s", i % 4 ? " " : "  ", regs[i].name,
			get(vcpu, regs[i].where), i % 4 == 3 ? "\n" : "");
}

static void dump_general(FILE *out, const struct vcpu *vcpu)
{
	/* A register of 64 bits takes two of the steps in which KVM counts. */
	const u64 x0 = ARM_CORE_REG(regs.regs[0]), step = ARM_CORE_REG(regs.regs[1]) - x0;

	for (u32 i = 0; i < 31; i++)
		fprintf(out, "%sx%-2u %016llx%s", i % 4 ? " " : "  ", i, get(vcpu, x0 + i * step),
			i % 4 == 3 || i == 30 ? "\n" : "");
}

static void dump_code(FILE *out, struct vcpu *vcpu, u64 pc)
{
	if (vcpu->vm->coco)
		fprintf(out, "  code %llx: the guest's own\n", pc);
	else
		vcpu_dump_code(vcpu, out, 4, pc);
}

/* SPSel is PSTATE's last bit. KVM has the pointer of EL0, and of EL1. */
static void dump_stack(FILE *out, struct vcpu *vcpu, u64 pstate)
{
	bool el1 = PSTATE_EL(pstate) == 1 && (pstate & 1);

	if (vcpu->vm->coco || pstate & PSTATE_AARCH32 || PSTATE_EL(pstate) > 1)
		return;
	vcpu_dump_stack(vcpu, out, get(vcpu, el1 ? ARM_CORE_REG(sp_el1) : ARM_CORE_REG(regs.sp)),
			8);
}

void arch_vcpu_dump(struct vcpu *vcpu, FILE *out)
{
	struct kvm_mp_state mp = { 0 };
	u64 pc, pstate;
	int ret;

	if (vcpu->vm->coco && vcpu->vm->coco->private_memory) {
		fprintf(out, "vcpu %u: the registers of a realm are not the host's to see\n",
			vcpu->id);
		return;
	}
	ret = vcpu_get_reg(vcpu, ARM_CORE_REG(regs.pc), &pc);
	if (ret) {
		fprintf(out, "vcpu %u: cannot read its registers: %s\n", vcpu->id, strerror(-ret));
		return;
	}
	pstate = get(vcpu, ARM_CORE_REG(regs.pstate));
	fprintf(out, "vcpu %u:\n", vcpu->id);
	fprintf(out, "  pc %016llx sp_el0 %016llx pstate %08llx EL%u%s%s\n", pc,
		get(vcpu, ARM_CORE_REG(regs.sp)), pstate,
		pstate & PSTATE_AARCH32 ? (pstate & 0xf ? 1U : 0U) : PSTATE_EL(pstate),
		pstate & PSTATE_AARCH32 ? " AArch32" : "",
		xioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) >= 0 && mp.mp_state == KVM_MP_STATE_STOPPED
			? ", switched off"
			: "");
	dump_general(out, vcpu);
	dump_regs(out, vcpu, arm_el_regs[0]);
	if (vcpu->vm->cfg->arm.nested)
		dump_regs(out, vcpu, arm_el_regs[1]);
	dump_code(out, vcpu, pc);
	dump_stack(out, vcpu, pstate);
}
