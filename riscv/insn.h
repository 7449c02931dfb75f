/* SPDX-License-Identifier: MIT */
/* insn.c: where a hart goes from an instruction. */
#ifndef LKVM_RISCV_INSN_H
#define LKVM_RISCV_INSN_H

#include "lkvm/types.h"

struct vcpu;

/* Bytes of an instruction, of which @code has at least the lower half: 2 or 4. */
u32 riscv_insn_len(u32 code);

/* The instruction at @pc as the vcpu would fetch it, whose thread this is, between
 * memory_read_begin and _end of its reader. */
bool riscv_fetch(struct vcpu *vcpu, u64 pc, u32 *code);

/* What follows unless there is an exception. */
struct riscv_next {
	u64 pc;
	u32 link; /* the register that gets the address of the instruction behind; 0: none */
	bool sees_interrupts; /* has to do with which of them are on */
	bool waits;	      /* for an interrupt */
	bool leaves;	      /* the hart stops, and starts elsewhere */
	bool translates;      /* from then on by @satp */
	u64 satp;
};
void riscv_insn_next(const struct vcpu *vcpu, u64 pc, u32 code, struct riscv_next *next);

/*
 * A sequence of LR and SC that begins with @code at @pc: an exception in its middle, as a
 * breakpoint is one, makes it fail, for ever. Where it ends: how many of at most @max places; 0: it
 * is no such sequence. As riscv_fetch.
 */
u32 riscv_sequence(struct vcpu *vcpu, u64 pc, u32 code, u64 *ends, u32 max) __must_check;

#endif
