/* SPDX-License-Identifier: MIT */
/*
 * Steps: KVM has none here, so breakpoints stand where the hart can be after the instruction, and
 * at the handler of exceptions. Interrupts are off meanwhile (sie), so that the step ends, and at
 * that instruction. While a step is at work other vcpus run, and may meet these breakpoints: they
 * try again until the step is over, which takes as long as an instruction does. A hart that stops
 * itself by an SBI call runs on when it is started.
 */
#include <stdlib.h>

#include "insn.h"
#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/memory.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "riscv.h"

#define PC	 RISCV_CORE_REG(RISCV_CORE_PC)
#define SIE	 RISCV_CSR_REG(RISCV_CSR_SIE)
#define C_EBREAK 0x9002
#define EBREAK	 0x00100073

/* Others execute it: all of it changes at once. */
static void write_code(u16 *code, u16 value)
{
	__atomic_store_n(code, cpu_to_le16(value), __ATOMIC_SEQ_CST);
	__builtin___clear_cache((char *)code, (char *)(code + 1));
}

static struct riscv_stop *find_stop(const struct riscv_stops *stops, u64 gpa)
{
	for (u32 i = 0; i < stops->nr; i++)
		if (stops->list[i].gpa == gpa)
			return &stops->list[i];
	return NULL;
}

/* At @gpa; false: there is no RAM. */
static bool place_stop(struct vm *vm, u64 gpa)
{
	struct riscv_stops *stops = &vm->arch->stops;
	u16 *code = memory_is_ram(&vm->mem, gpa, 2) ? memory_ptr(&vm->mem, gpa, 2) : NULL;
	struct riscv_stop *stop;

	if (!code)
		return false;
	pthread_mutex_lock(&stops->lock);
	stop = find_stop(stops, gpa);
	if (stop) {
		stop->users++;
	} else {
		stops->list = xrealloc(stops->list, (stops->nr + 1) * sizeof(*stop));
		stops->list[stops->nr++] = (struct riscv_stop){
			.gpa = gpa,
			.old = le16_to_cpu(__atomic_load_n(code, __ATOMIC_SEQ_CST)),
			.users = 1,
		};
		write_code(code, C_EBREAK);
	}
	pthread_mutex_unlock(&stops->lock);
	return true;
}

static void remove_stop(struct vm *vm, u64 gpa)
{
	struct riscv_stops *stops = &vm->arch->stops;
	u16 *code = memory_ptr(&vm->mem, gpa, 2);
	struct riscv_stop *stop;

	pthread_mutex_lock(&stops->lock);
	stop = find_stop(stops, gpa);
	if (stop && !--stop->users) {
		/* Unless the guest has put something else there. */
		if (code && le16_to_cpu(__atomic_load_n(code, __ATOMIC_SEQ_CST)) == C_EBREAK)
			write_code(code, stop->old);
		*stop = stops->list[--stops->nr];
	}
	pthread_mutex_unlock(&stops->lock);
}

static void stop_by(struct vcpu *vcpu, u64 satp, u64 va)
{
	struct riscv_step *step = &vcpu->arch->step;
	u64 gpa;

	/* What is not mapped is not executed either: that ends in the handler. */
	if (step->nr_stops == RISCV_STEP_ENDS || riscv_translate(satp, &vcpu->vm->mem, va, &gpa) ||
	    !place_stop(vcpu->vm, gpa))
		return;
	step->stops_at[step->nr_stops] = va;
	step->stops[step->nr_stops++] = gpa;
}

static void stop_at(struct vcpu *vcpu, u64 va)
{
	stop_by(vcpu, riscv_get(vcpu, RISCV_CSR_REG(RISCV_CSR_SATP)), va);
}

static void mask_interrupts(struct vcpu *vcpu)
{
	struct riscv_step *step = &vcpu->arch->step;
	const u64 none = 0;

	step->masked = !vcpu_get_reg(vcpu, SIE, &step->sie) && step->sie &&
		       !vcpu_set_reg(vcpu, SIE, &none);
}

/* It is done here: the vcpu comes to @pc, and no further. */
static void arrive(struct vcpu *vcpu, u64 pc)
{
	struct riscv_step *step = &vcpu->arch->step;

	if (pc != step->pc && vcpu_set_reg(vcpu, PC, &pc))
		return;
	step->pc = pc;
	step->arrived = true;
	stop_at(vcpu, pc);
	mask_interrupts(vcpu);
}

/* To the end of the instruction, or of the sequence, at @pc. */
static void stop_after(struct vcpu *vcpu, u64 pc, u32 code, const struct riscv_next *next)
{
	u64 ends[RISCV_STEP_ENDS - 1], behind = pc + riscv_insn_len(code);
	u32 nr = riscv_sequence(vcpu, pc, code, ends, ARRAY_SIZE(ends));

	if (next->waits) {
		/* For what would not come: it may also be over at once (Volume II, 3.3.3). */
		arrive(vcpu, behind);
		return;
	}
	if (next->pc == pc) {
		/* A breakpoint would keep it from what little it does. */
		if (next->link && vcpu_set_reg(vcpu, RISCV_CORE_REG(next->link), &behind))
			return;
		arrive(vcpu, pc);
		return;
	}
	if (!nr)
		stop_at(vcpu, next->pc);
	for (u32 i = 0; i < nr; i++)
		stop_at(vcpu, ends[i]);
	if (!next->sees_interrupts)
		mask_interrupts(vcpu);
}

static void begin_at(struct vcpu *vcpu, u64 pc)
{
	u64 handler = riscv_get(vcpu, RISCV_CSR_REG(RISCV_CSR_STVEC)) & ~STVEC_MODE;
	struct riscv_step *step = &vcpu->arch->step;
	struct riscv_next next = { 0 };
	u32 code;

	if (step->arrived && pc == step->pc) {
		arrive(vcpu, pc);
		return;
	}
	step->arrived = false;
	step->pc = pc;
	if (riscv_fetch(vcpu, pc, &code)) {
		riscv_insn_next(vcpu, pc, code, &next);
		if (next.leaves)
			return;
		stop_after(vcpu, pc, code, &next);
	}
	if (!step->arrived && handler != pc)
		stop_at(vcpu, handler);
	/* A kernel that switches translation on goes on elsewhere, or by an exception. */
	if (next.translates) {
		stop_by(vcpu, next.satp, next.pc);
		stop_by(vcpu, next.satp, handler);
	}
	if (!step->nr_stops)
		guest_warn("--gdb: vcpu %u: no step from 0x%llx: what follows is not in RAM",
			   vcpu->id, pc);
}

void riscv_step_begin(struct vcpu *vcpu)
{
	u64 pc;

	/* One that is stopped starts elsewhere. */
	if (!vcpu->arch->step.wanted || arch_vcpu_halted(vcpu) || vcpu_get_reg(vcpu, PC, &pc))
		return;
	memory_read_begin(&vcpu->reader);
	begin_at(vcpu, pc);
	memory_read_end(&vcpu->reader);
}

void riscv_step_end(struct vcpu *vcpu)
{
	struct riscv_step *step = &vcpu->arch->step;
	u64 pc = riscv_get(vcpu, PC);

	memory_read_begin(&vcpu->reader);
	for (u32 i = 0; i < step->nr_stops; i++) {
		/* A pause came between the instruction and the breakpoint behind it. */
		if (step->stops_at[i] == pc) {
			step->arrived = true;
			step->pc = pc;
		}
		remove_stop(vcpu->vm, step->stops[i]);
	}
	memory_read_end(&vcpu->reader);
	step->nr_stops = 0;
	if (step->masked)
		(void)!vcpu_set_reg(vcpu, SIE, &step->sie);
	step->masked = false;
}

/* What it met is not there any more. */
static bool is_gone(struct vcpu *vcpu, u64 pc)
{
	u32 code;

	return riscv_fetch(vcpu, pc, &code) && code != EBREAK && code != C_EBREAK;
}

enum riscv_met riscv_step_met(struct vcpu *vcpu, u64 pc)
{
	struct riscv_stops *stops = &vcpu->vm->arch->stops;
	const struct riscv_step *step = &vcpu->arch->step;
	enum riscv_met met = RISCV_MET_NONE;
	u64 gpa;

	memory_read_begin(&vcpu->reader);
	if (!arch_vcpu_translate(vcpu, pc, &gpa)) {
		pthread_mutex_lock(&stops->lock);
		if (find_stop(stops, gpa) || is_gone(vcpu, pc))
			met = RISCV_MET_OTHER;
		pthread_mutex_unlock(&stops->lock);
		for (u32 i = 0; i < step->nr_stops; i++)
			if (step->stops[i] == gpa)
				met = RISCV_MET_OWN;
	}
	memory_read_end(&vcpu->reader);
	return met;
}
