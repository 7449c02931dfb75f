/* SPDX-License-Identifier: MIT */
/*
 * A step that no interrupt gets into: on arm64 one that waits would be taken first, and the step
 * ends in its handler; KVM has nothing against it. So I and F of PSTATE are set while the vcpu
 * runs, and are the guest's own again before anyone looks: in PSTATE, in what an exception kept of
 * it, in a register that the instruction read it into (Arm DDI 0487, C5.2.2 and D1.3).
 */
#include "arm.h"
#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/memory.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define PSTATE_IF     (3ULL << 6)
#define DAIF_SHIFT    6	       /* where the immediate of MSR DAIFSet goes */
#define VECTORS_SIZE  0x800ULL /* D1.3.1: sixteen of 0x80 bytes */
#define VECTOR_OFFSET 0x80ULL
#define INSN_BYTES    4ULL

/* What an instruction has to do with I and F. */
enum kind {
	PLAIN,
	LOADS, /* writes all of them: MSR DAIF, Xt and returns from exceptions */
	SETS,  /* MSR DAIFSet */
	READS, /* MRS Xt, DAIF */
	CALLS, /* HVC and SMC: PSCI may switch the vcpu off, and it is on again as after a reset */
};

/* C6.2: without what varies, and under which mask. MSR DAIFClr is plain: what it clears is clear.
 */
static const struct {
	u32 mask, code;
	enum kind kind;
} kinds[] = {
	{ 0xffffffff, 0xd69f03e0, LOADS }, /* ERET */
	{ 0xfffffbff, 0xd69f0bff, LOADS }, /* ERETAA, ERETAB */
	{ 0xffffffe0, 0xd51b4220, LOADS }, /* MSR DAIF, Xt */
	{ 0xfffff0ff, 0xd50340df, SETS },  { 0xffffffe0, 0xd53b4220, READS },
	{ 0xffe0001e, 0xd4000002, CALLS },
};

static enum kind kind_of(u32 insn)
{
	for (u32 i = 0; i < ARRAY_SIZE(kinds); i++)
		if ((insn & kinds[i].mask) == kinds[i].code)
			return kinds[i].kind;
	return PLAIN;
}

/* In memory, or in the flash; 0 where it cannot be read, which is no instruction of these. */
static u32 fetch(struct vcpu *vcpu, u64 pc)
{
	const struct guest_memory *mem = &vcpu->vm->mem;
	const struct memory_region *r;
	__le32 insn = 0;
	u64 gpa;

	memory_read_begin(&vcpu->reader);
	if (!arch_vcpu_translate(vcpu, pc, &gpa) && memory_read(mem, gpa, &insn, sizeof(insn))) {
		r = memory_find(mem, gpa);
		if (r && r->kind == MEM_ROM && range_within(gpa, sizeof(insn), r->gpa, r->size))
			memcpy(&insn, (const u8 *)r->hva + (gpa - r->gpa), sizeof(insn));
	}
	memory_read_end(&vcpu->reader);
	return le32_to_cpu(insn);
}

void arm_step_begin(struct vcpu *vcpu)
{
	struct arm_step *step = &vcpu->arch->step;
	u64 pstate, masked;

	/* One that is off starts with them set. */
	if (arch_vcpu_halted(vcpu) || vcpu_get_reg(vcpu, ARM_CORE_REG(regs.pstate), &pstate) ||
	    vcpu_get_reg(vcpu, ARM_CORE_REG(regs.pc), &step->pc))
		return;
	/* A kernel of AArch32 has other registers for all this. */
	if ((pstate & PSTATE_AARCH32) && vcpu->vm->cfg->arm.aarch32)
		return;
	masked = pstate | PSTATE_IF;
	if (masked == pstate)
		return;
	step->insn = pstate & PSTATE_AARCH32 ? 0 : fetch(vcpu, step->pc);
	if (!vcpu_set_reg(vcpu, ARM_CORE_REG(regs.pstate), &masked))
		step->added = masked & ~pstate;
}

static void clear_bits(struct vcpu *vcpu, u64 id, u64 bits)
{
	u64 value;

	/* Where KVM had the register before, it takes it. */
	if (bits && !vcpu_get_reg(vcpu, id, &value)) {
		value &= ~bits;
		(void)!vcpu_set_reg(vcpu, id, &value);
	}
}

/*
 * Is the vcpu at the vector of an exception that the instruction raised, or that came right after
 * it? Then SPSR has what PSTATE had, and PSTATE what all exceptions set.
 */
static bool took_exception(struct vcpu *vcpu, const struct arm_step *step, u64 pc, u64 pstate,
			   enum kind kind)
{
	u32 el = PSTATE_EL(pstate);
	const struct debug_reg *regs;
	u64 vbar, elr;

	if ((pstate & PSTATE_AARCH32) || el < 1 || el > 2 || !(pstate & PSTATE_SP) ||
	    (pstate & PSTATE_DAIF) != PSTATE_DAIF)
		return false;
	regs = arm_el_regs[el - 1];
	if (vcpu_get_reg(vcpu, regs[ARM_EL_VBAR].where, &vbar) ||
	    vcpu_get_reg(vcpu, regs[ARM_EL_ELR].where, &elr))
		return false;
	if (pc - vbar >= VECTORS_SIZE || (pc - vbar) % VECTOR_OFFSET || elr - step->pc > INSN_BYTES)
		return false;
	/* It ran, and what it loaded is what was kept. */
	if (kind != LOADS || elr == step->pc)
		clear_bits(vcpu, regs[ARM_EL_SPSR].where, step->added);
	return true;
}

/* Which of the bits that were added are not the guest's now. */
static u64 not_the_guests(struct vcpu *vcpu, const struct arm_step *step, u64 pc, enum kind kind)
{
	const u32 rt = step->insn & 31;

	switch (kind) {
	case PLAIN:
		break;
	case LOADS:
		return 0;
	case SETS:
		return step->added & ~((u64)(step->insn >> 8 & 0xf) << DAIF_SHIFT);
	case READS:
		if (rt != 31) /* XZR */
			clear_bits(vcpu, ARM_CORE_REG(regs.regs[0]) + rt * 2ULL, step->added);
		break;
	case CALLS:
		if (pc != step->pc + INSN_BYTES)
			return 0;
		break;
	}
	return step->added;
}

void arm_step_end(struct vcpu *vcpu, bool done)
{
	struct arm_step *step = &vcpu->arch->step;
	enum kind kind = kind_of(step->insn);
	u64 pc, pstate, bits = step->added;

	if (!step->added || vcpu_get_reg(vcpu, ARM_CORE_REG(regs.pc), &pc) ||
	    vcpu_get_reg(vcpu, ARM_CORE_REG(regs.pstate), &pstate))
		return;
	/* What a pause interrupted has not run, or has and says so when it goes on. */
	if (done || pc != step->pc) {
		if (took_exception(vcpu, step, pc, pstate, kind))
			bits = 0;
		else
			bits = not_the_guests(vcpu, step, pc, kind);
	}
	clear_bits(vcpu, ARM_CORE_REG(regs.pstate), bits);
	step->added = 0;
}
