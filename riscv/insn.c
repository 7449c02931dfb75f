/* SPDX-License-Identifier: MIT */
/*
 * Where a hart goes from an instruction (The RISC-V Instruction Set Manual Volume I, 2.5, 2.8 and
 * 28; Volume II, 12.2): as much of a decoder as steps without a processor's help need.
 */
#include "insn.h"

#include "lkvm/debug.h"
#include "lkvm/memory.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "riscv.h"

/* Opcodes of 32 bits (Volume I, table 72). */
#define OP_AMO	  0x2f
#define OP_BRANCH 0x63
#define OP_JALR	  0x67
#define OP_JAL	  0x6f
#define OP_SYSTEM 0x73

#define ECALL 0x00000073
#define SRET  0x10200073
#define WFI   0x10500073

/* AMO: bits 31 to 27. */
#define AMO_LR 2
#define AMO_SC 3

/* CSRs that say which interrupts are on (Volume II, 12.1.3; AIA, 5.3). */
#define CSR_SIE	  0x104
#define CSR_STOPI 0xdb0
/* The page tables, as a kernel sets them. */
#define CSR_SATP 0x180
#define CSRRW	 1

/* SBI (SBI 3.0, 9 and 13): functions that leave the hart elsewhere. */
#define SBI_HSM		0x48534d
#define SBI_HSM_STOP	1
#define SBI_HSM_SUSPEND 3
#define SBI_SUSP	0x53555350

#define RA	     1
#define A6	     16
#define A7	     17
#define MAX_SEQUENCE 16 /* instructions between LR and SC, that always come through (I, 13.3) */

static u32 bits(u32 code, u32 from, u32 n)
{
	return code >> from & (BIT(n) - 1);
}

static u64 x_reg(const struct vcpu *vcpu, u32 n)
{
	return n ? riscv_get(vcpu, RISCV_CORE_REG(n)) : 0;
}

/* @value has @n bits, the highest of which is its sign. */
static u64 extend(u32 value, u32 n)
{
	return (u64)((s64)((u64)value << (64 - n)) >> (64 - n));
}

static u64 branch_offset(u32 c)
{
	return extend(bits(c, 31, 1) << 12 | bits(c, 7, 1) << 11 | bits(c, 25, 6) << 5 |
			      bits(c, 8, 4) << 1,
		      13);
}

static u64 jal_offset(u32 c)
{
	return extend(bits(c, 31, 1) << 20 | bits(c, 12, 8) << 12 | bits(c, 20, 1) << 11 |
			      bits(c, 21, 10) << 1,
		      21);
}

static u64 short_jump_offset(u32 c)
{
	return extend(bits(c, 12, 1) << 11 | bits(c, 8, 1) << 10 | bits(c, 9, 2) << 8 |
			      bits(c, 6, 1) << 7 | bits(c, 7, 1) << 6 | bits(c, 2, 1) << 5 |
			      bits(c, 11, 1) << 4 | bits(c, 3, 3) << 1,
		      12);
}

static u64 short_branch_offset(u32 c)
{
	return extend(bits(c, 12, 1) << 8 | bits(c, 5, 2) << 6 | bits(c, 2, 1) << 5 |
			      bits(c, 10, 2) << 3 | bits(c, 3, 2) << 1,
		      9);
}

u32 riscv_insn_len(u32 code)
{
	return bits(code, 0, 2) == 3 ? 4 : 2;
}

/* A branch of any length: where it goes to when it is taken. */
static bool is_branch(u32 code, u64 *offset)
{
	if (bits(code, 0, 7) == OP_BRANCH) {
		*offset = branch_offset(code);
		return true;
	}
	/* C.BEQZ, C.BNEZ */
	if (bits(code, 0, 2) == 1 && bits(code, 14, 2) == 3) {
		*offset = short_branch_offset(code);
		return true;
	}
	return false;
}

static bool is_taken(const struct vcpu *vcpu, u32 code)
{
	u64 a, b;

	if (riscv_insn_len(code) == 2) {
		a = x_reg(vcpu, 8 + bits(code, 7, 3));
		return bits(code, 13, 1) ? a : !a;
	}
	a = x_reg(vcpu, bits(code, 15, 5));
	b = x_reg(vcpu, bits(code, 20, 5));
	switch (bits(code, 12, 3)) {
	case 0:
		return a == b;
	case 1:
		return a != b;
	case 4:
		return (s64)a < (s64)b;
	case 5:
		return (s64)a >= (s64)b;
	case 6:
		return a < b;
	case 7:
		return a >= b;
	}
	return false; /* reserved: an exception */
}

static void next_short(const struct vcpu *vcpu, u64 pc, u32 code, struct riscv_next *next)
{
	u32 rs1 = bits(code, 7, 5);

	/* C.J; C.JR and C.JALR, but not C.EBREAK and what is reserved. */
	if (bits(code, 0, 2) == 1 && bits(code, 13, 3) == 5) {
		next->pc = pc + short_jump_offset(code);
	} else if (bits(code, 0, 2) == 2 && bits(code, 13, 3) == 4 && !bits(code, 2, 5) && rs1) {
		next->pc = x_reg(vcpu, rs1) & ~1ULL;
		next->link = bits(code, 12, 1) ? RA : 0;
	}
}

static void next_system(const struct vcpu *vcpu, u32 code, struct riscv_next *next)
{
	bool supervisor = riscv_get(vcpu, RISCV_CORE_REG(RISCV_CORE_MODE));
	u64 extension = x_reg(vcpu, A7), function = x_reg(vcpu, A6);
	u32 csr = bits(code, 20, 12);

	if (bits(code, 12, 3) == CSRRW && csr == CSR_SATP && supervisor) {
		next->translates = true;
		next->satp = x_reg(vcpu, bits(code, 15, 5));
	} else if (bits(code, 12, 2))
		next->sees_interrupts = csr == CSR_SIE || csr == CSR_STOPI;
	else if (code == SRET && supervisor)
		next->pc = riscv_get(vcpu, RISCV_CSR_REG(RISCV_CSR_SEPC)) & ~1ULL;
	else if (code == WFI && supervisor)
		next->waits = true;
	else if (code == ECALL && supervisor)
		next->leaves = extension == SBI_SUSP ||
			       (extension == SBI_HSM &&
				(function == SBI_HSM_STOP || function == SBI_HSM_SUSPEND));
}

void riscv_insn_next(const struct vcpu *vcpu, u64 pc, u32 code, struct riscv_next *next)
{
	u64 offset;

	*next = (struct riscv_next){ .pc = pc + riscv_insn_len(code) };
	if (is_branch(code, &offset)) {
		if (is_taken(vcpu, code))
			next->pc = pc + offset;
		return;
	}
	if (riscv_insn_len(code) == 2) {
		next_short(vcpu, pc, code, next);
		return;
	}
	switch (bits(code, 0, 7)) {
	case OP_JAL:
		next->pc = pc + jal_offset(code);
		next->link = bits(code, 7, 5);
		break;
	case OP_JALR:
		next->pc = (x_reg(vcpu, bits(code, 15, 5)) + extend(code >> 20, 12)) & ~1ULL;
		next->link = bits(code, 7, 5);
		break;
	case OP_SYSTEM:
		next_system(vcpu, code, next);
		break;
	}
}

static bool is_amo(u32 code, u32 which)
{
	return bits(code, 0, 7) == OP_AMO && bits(code, 27, 5) == which;
}

/* Anything but arithmetic, loads and stores: what may be in a sequence leads on, or out of it. */
static bool leads_elsewhere(u32 code)
{
	u32 op = bits(code, 0, 7);

	if (riscv_insn_len(code) == 4)
		return op == OP_JAL || op == OP_JALR || op == OP_SYSTEM || is_amo(code, AMO_LR);
	return (bits(code, 0, 2) == 1 && bits(code, 13, 3) == 5) ||
	       (bits(code, 0, 2) == 2 && bits(code, 13, 3) == 4 && !bits(code, 2, 5));
}

/* Without the places that are in the sequence itself, which ends at ends[0]. */
static u32 drop_inner(u64 pc, u64 *ends, u32 nr)
{
	u32 kept = 1;

	for (u32 i = 1; i < nr; i++)
		if (ends[i] - pc >= ends[0] - pc)
			ends[kept++] = ends[i];
	return kept;
}

u32 riscv_sequence(struct vcpu *vcpu, u64 pc, u32 code, u64 *ends, u32 max)
{
	u64 at = pc, offset;
	u32 nr = 1;

	if (!is_amo(code, AMO_LR) || !max)
		return 0;
	for (u32 i = 0; i < MAX_SEQUENCE; i++) {
		at += riscv_insn_len(code);
		if (!riscv_fetch(vcpu, at, &code) || leads_elsewhere(code))
			return 0;
		if (is_amo(code, AMO_SC)) {
			ends[0] = at + 4;
			return drop_inner(pc, ends, nr);
		}
		if (!is_branch(code, &offset))
			continue;
		if (nr == max)
			return 0;
		ends[nr++] = at + offset;
	}
	return 0;
}

/* Half of an instruction; in memory, or in the flash. */
static bool fetch_parcel(struct vcpu *vcpu, u64 va, u32 *parcel)
{
	const struct guest_memory *mem = &vcpu->vm->mem;
	const struct memory_region *r;
	__le16 half;
	u64 gpa;

	if ((va & 1) || arch_vcpu_translate(vcpu, va, &gpa))
		return false;
	if (memory_read(mem, gpa, &half, sizeof(half))) {
		r = memory_find(mem, gpa);
		if (!r || r->kind != MEM_ROM || !range_within(gpa, sizeof(half), r->gpa, r->size))
			return false;
		memcpy(&half, (const u8 *)r->hva + (gpa - r->gpa), sizeof(half));
	}
	*parcel = le16_to_cpu(half);
	return true;
}

bool riscv_fetch(struct vcpu *vcpu, u64 pc, u32 *code)
{
	u32 high;

	if (!fetch_parcel(vcpu, pc, code))
		return false;
	if (riscv_insn_len(*code) == 2)
		return true;
	if (!fetch_parcel(vcpu, pc + 2, &high))
		return false;
	*code |= high << 16;
	return true;
}
