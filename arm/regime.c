/* SPDX-License-Identifier: MIT */
/*
 * The registers of the exception levels, and the translation regime that a vcpu is in by them (Arm
 * DDI 0487, D8.1 and D24.2).
 */
#include "arm.h"
#include "lkvm/debug.h"
#include "lkvm/page-walk.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define SCTLR_M		BIT_ULL(0)
#define HCR_VM		BIT_ULL(0)
#define HCR_TGE		BIT_ULL(27)
#define HCR_E2H		BIT_ULL(34)
#define HCR_EL2		ARM64_SYS_REG(3, 4, 1, 1, 0)
#define TCR_EL1_DS	BIT_ULL(59)
#define TCR_EL2_DS_NVHE BIT_ULL(32)

/* In the order of enum arm_el_reg, at EL1 and at EL2. */
const struct debug_reg arm_el_regs[2][ARM_EL_REGS] = {
	{
		ARM_DEBUG_SYS("sctlr_el1", 3, 0, 1, 0, 0),
		ARM_DEBUG_SYS("tcr_el1", 3, 0, 2, 0, 2),
		ARM_DEBUG_SYS("ttbr0_el1", 3, 0, 2, 0, 0),
		ARM_DEBUG_SYS("ttbr1_el1", 3, 0, 2, 0, 1),
		ARM_DEBUG_SYS("vbar_el1", 3, 0, 12, 0, 0),
		ARM_DEBUG_SYS("esr_el1", 3, 0, 5, 2, 0),
		ARM_DEBUG_SYS("far_el1", 3, 0, 6, 0, 0),
		ARM_DEBUG_CORE("elr_el1", elr_el1),
		ARM_DEBUG_CORE("spsr_el1", spsr[KVM_SPSR_EL1]),
		ARM_DEBUG_CORE("sp_el1", sp_el1),
		ARM_DEBUG_SYS("tpidr_el1", 3, 0, 13, 0, 4),
		ARM_DEBUG_SYS("mpidr_el1", 3, 0, 0, 0, 5),
	},
	{
		ARM_DEBUG_SYS("sctlr_el2", 3, 4, 1, 0, 0),
		ARM_DEBUG_SYS("tcr_el2", 3, 4, 2, 0, 2),
		ARM_DEBUG_SYS("ttbr0_el2", 3, 4, 2, 0, 0),
		ARM_DEBUG_SYS("ttbr1_el2", 3, 4, 2, 0, 1),
		ARM_DEBUG_SYS("vbar_el2", 3, 4, 12, 0, 0),
		ARM_DEBUG_SYS("esr_el2", 3, 4, 5, 2, 0),
		ARM_DEBUG_SYS("far_el2", 3, 4, 6, 0, 0),
		ARM_DEBUG_SYS("elr_el2", 3, 4, 4, 0, 1),
		ARM_DEBUG_SYS("spsr_el2", 3, 4, 4, 0, 0),
		ARM_DEBUG_SYS("sp_el2", 3, 6, 4, 1, 0),
		ARM_DEBUG_SYS("vttbr_el2", 3, 4, 2, 1, 0),
		ARM_DEBUG_SYS("hcr_el2", 3, 4, 1, 1, 0),
	},
};
u64 arm_get(const struct vcpu *vcpu, u64 id)
{
	u64 value = 0;

	return vcpu_get_reg(vcpu, id, &value) ? 0 : value;
}

u64 arm_pstate(const struct vcpu *vcpu)
{
	return arm_get(vcpu, ARM_CORE_REG(regs.pstate));
}

/* The translation regime of the state in which the vcpu is; false: one that is not followed. */
static bool current_mmu(const struct vcpu *vcpu, struct arm_mmu *mmu)
{
	u64 hcr = vcpu->vm->cfg->arm.nested ? arm_get(vcpu, HCR_EL2) : 0, pstate = arm_pstate(vcpu);
	bool vhe = hcr & HCR_E2H, tge = hcr & HCR_TGE;
	bool el2 = PSTATE_EL(pstate) == 2 || (!PSTATE_EL(pstate) && vhe && tge);
	const struct debug_reg *regs = arm_el_regs[el2];

	mmu->on = arm_get(vcpu, regs[ARM_EL_SCTLR].where) & SCTLR_M;
	mmu->two_halves = !el2 || vhe;
	mmu->tcr = arm_get(vcpu, regs[ARM_EL_TCR].where);
	mmu->ttbr[0] = arm_get(vcpu, regs[ARM_EL_TTBR0].where);
	mmu->ttbr[1] = arm_get(vcpu, regs[ARM_EL_TTBR1].where);
	mmu->wide = mmu->tcr & (mmu->two_halves ? TCR_EL1_DS : TCR_EL2_DS_NVHE);
	/* A guest of the guest has a second stage, and AArch32 has other tables. */
	return el2 || (!(hcr & HCR_VM) && !(mmu->on && (pstate & PSTATE_AARCH32)));
}

int arch_vcpu_translate(struct vcpu *vcpu, u64 va, u64 *gpa)
{
	struct arm_mmu mmu;

	if (!current_mmu(vcpu, &mmu))
		return -ENOTSUP;
	return arm_translate(&mmu, &vcpu->vm->mem, va, gpa);
}

int arch_vcpu_tables(struct vcpu *vcpu, struct page_tables *t)
{
	struct arm_mmu mmu;

	t->user = !PSTATE_EL(arm_pstate(vcpu));
	return current_mmu(vcpu, &mmu) ? arm_tables(&mmu, t) : -ENOTSUP;
}
