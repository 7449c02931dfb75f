/* SPDX-License-Identifier: MIT */
/* The registers of a vcpu in words, and the instructions at its program counter. */
#include <stdio.h>

#include "arm.h"
#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* PSTATE as SPSR_EL1 has it (Arm DDI 0487, C5.2.18), HCR_EL2 (D23.2). */
#define PSTATE_AARCH32	BIT_ULL(4)
#define PSTATE_EL(p)	((u32)((p) >> 2) & 3)
#define SCTLR_M		BIT_ULL(0)
#define HCR_VM		BIT_ULL(0)
#define HCR_TGE		BIT_ULL(27)
#define HCR_E2H		BIT_ULL(34)
#define TCR_EL1_DS	BIT_ULL(59)
#define TCR_EL2_DS_NVHE BIT_ULL(32)

#define CODE_WORDS_BEFORE 4U
#define CODE_WORDS	  12U
#define STACK_WORDS	  12U

struct named_reg {
	const char *name;
	u64 id;
};

enum { EL1_SCTLR, EL1_TCR, EL1_TTBR0, EL1_TTBR1 }; /* positions of what translation needs */
static const struct named_reg el1_regs[] = {
	{ "sctlr_el1", ARM64_SYS_REG(3, 0, 1, 0, 0) },
	{ "tcr_el1", ARM64_SYS_REG(3, 0, 2, 0, 2) },
	{ "ttbr0_el1", ARM64_SYS_REG(3, 0, 2, 0, 0) },
	{ "ttbr1_el1", ARM64_SYS_REG(3, 0, 2, 0, 1) },
	{ "vbar_el1", ARM64_SYS_REG(3, 0, 12, 0, 0) },
	{ "esr_el1", ARM64_SYS_REG(3, 0, 5, 2, 0) },
	{ "far_el1", ARM64_SYS_REG(3, 0, 6, 0, 0) },
	{ "elr_el1", ARM_CORE_REG(elr_el1) },
	{ "spsr_el1", ARM_CORE_REG(spsr[KVM_SPSR_EL1]) },
	{ "sp_el1", ARM_CORE_REG(sp_el1) },
	{ "tpidr_el1", ARM64_SYS_REG(3, 0, 13, 0, 4) },
	{ "mpidr_el1", ARM64_SYS_REG(3, 0, 0, 0, 5) },
};
/* The first four as above. */
static const struct named_reg el2_regs[] = {
	{ "sctlr_el2", ARM64_SYS_REG(3, 4, 1, 0, 0) },
	{ "tcr_el2", ARM64_SYS_REG(3, 4, 2, 0, 2) },
	{ "ttbr0_el2", ARM64_SYS_REG(3, 4, 2, 0, 0) },
	{ "ttbr1_el2", ARM64_SYS_REG(3, 4, 2, 0, 1) },
	{ "vbar_el2", ARM64_SYS_REG(3, 4, 12, 0, 0) },
	{ "esr_el2", ARM64_SYS_REG(3, 4, 5, 2, 0) },
	{ "far_el2", ARM64_SYS_REG(3, 4, 6, 0, 0) },
	{ "elr_el2", ARM64_SYS_REG(3, 4, 4, 0, 1) },
	{ "spsr_el2", ARM64_SYS_REG(3, 4, 4, 0, 0) },
	{ "sp_el2", ARM64_SYS_REG(3, 6, 4, 1, 0) },
	{ "vttbr_el2", ARM64_SYS_REG(3, 4, 2, 1, 0) },
	{ "hcr_el2", ARM64_SYS_REG(3, 4, 1, 1, 0) },
};
#define HCR_EL2 ARM64_SYS_REG(3, 4, 1, 1, 0)

/* What KVM does not tell shows as zero. */
static u64 get(const struct vcpu *vcpu, u64 id)
{
	u64 value = 0;

	return vcpu_get_reg(vcpu, id, &value) ? 0 : value;
}

static void dump_regs(FILE *out, const struct vcpu *vcpu, const struct named_reg *regs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s%-9s %016llx%s", i % 4 ? " " : "  ", regs[i].name,
			get(vcpu, regs[i].id), i % 4 == 3 || i + 1 == n ? "\n" : "");
}

static void dump_general(FILE *out, const struct vcpu *vcpu)
{
	/* A register of 64 bits takes two of the steps in which KVM counts. */
	const u64 x0 = ARM_CORE_REG(regs.regs[0]), step = ARM_CORE_REG(regs.regs[1]) - x0;

	for (u32 i = 0; i < 31; i++)
		fprintf(out, "%sx%-2u %016llx%s", i % 4 ? " " : "  ", i, get(vcpu, x0 + i * step),
			i % 4 == 3 || i == 30 ? "\n" : "");
}

/* The translation regime of the state in which the vcpu is; false: one that is not followed. */
static bool current_mmu(const struct vcpu *vcpu, u64 pstate, struct arm_mmu *mmu)
{
	u64 hcr = vcpu->vm->cfg->arm.nested ? get(vcpu, HCR_EL2) : 0;
	bool vhe = hcr & HCR_E2H, tge = hcr & HCR_TGE;
	bool el2 = PSTATE_EL(pstate) == 2 || (!PSTATE_EL(pstate) && vhe && tge);
	const struct named_reg *regs = el2 ? el2_regs : el1_regs;

	mmu->on = get(vcpu, regs[EL1_SCTLR].id) & SCTLR_M;
	mmu->two_halves = !el2 || vhe;
	mmu->tcr = get(vcpu, regs[EL1_TCR].id);
	mmu->ttbr[0] = get(vcpu, regs[EL1_TTBR0].id);
	mmu->ttbr[1] = get(vcpu, regs[EL1_TTBR1].id);
	mmu->wide = mmu->tcr & (mmu->two_halves ? TCR_EL1_DS : TCR_EL2_DS_NVHE);
	/* A guest of the guest has a second stage, and AArch32 has other tables. */
	return el2 || (!(hcr & HCR_VM) && !(mmu->on && (pstate & PSTATE_AARCH32)));
}

static void dump_code(FILE *out, const struct vcpu *vcpu, u64 pc, u64 pstate)
{
	const struct guest_memory *mem = &vcpu->vm->mem;
	u64 start = pc - MIN(pc, (u64)CODE_WORDS_BEFORE * 4), pa;
	struct arm_mmu mmu;

	if (vcpu->vm->coco) {
		fprintf(out, "  code %llx: the guest's own\n", pc);
		return;
	}
	if (!current_mmu(vcpu, pstate, &mmu) || arm_translate(&mmu, mem, pc, &pa)) {
		fprintf(out, "  code %llx: cannot be read\n", pc);
		return;
	}
	fprintf(out, "  code %llx (physical %llx):", pc, pa);
	for (u64 at = start; at < start + CODE_WORDS * 4; at += 4) {
		__le32 word;

		if (arm_translate(&mmu, mem, at, &pa) || memory_read(mem, pa, &word, sizeof(word)))
			fprintf(out, at == pc ? " <-------->" : " --------");
		else
			fprintf(out, at == pc ? " <%08x>" : " %08x", le32_to_cpu(word));
	}
	fputc('\n', out);
}

/* SPSel is PSTATE's last bit. KVM has the pointer of EL0, and of EL1. */
static void dump_stack(FILE *out, const struct vcpu *vcpu, u64 pstate)
{
	bool el1 = PSTATE_EL(pstate) == 1 && (pstate & 1);
	u64 at = get(vcpu, el1 ? ARM_CORE_REG(sp_el1) : ARM_CORE_REG(regs.sp)), pa;
	struct arm_mmu mmu;

	if (vcpu->vm->coco || pstate & PSTATE_AARCH32 || PSTATE_EL(pstate) > 1 ||
	    !current_mmu(vcpu, pstate, &mmu))
		return;
	fprintf(out, "  stack %llx:", at);
	for (unsigned int i = 0; i < STACK_WORDS; i++, at += 8) {
		__le64 word;

		if (!(i % 4) && i)
			fprintf(out, "\n   ");
		if (at % 8 || arm_translate(&mmu, &vcpu->vm->mem, at, &pa) ||
		    memory_read(&vcpu->vm->mem, pa, &word, sizeof(word))) {
			fprintf(out, " --");
			break;
		}
		fprintf(out, " %016llx", le64_to_cpu(word));
	}
	fputc('\n', out);
}

void arch_vcpu_dump(struct vcpu *vcpu, FILE *out)
{
	struct kvm_mp_state mp = { 0 };
	u64 pc, pstate;
	int ret = vcpu_get_reg(vcpu, ARM_CORE_REG(regs.pc), &pc);

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
	dump_regs(out, vcpu, el1_regs, ARRAY_SIZE(el1_regs));
	if (vcpu->vm->cfg->arm.nested)
		dump_regs(out, vcpu, el2_regs, ARRAY_SIZE(el2_regs));
	dump_code(out, vcpu, pc, pstate);
	dump_stack(out, vcpu, pstate);
}
