/* SPDX-License-Identifier: MIT */
/*
 * The contract between a debugger (gdb*.c) and an architecture, beside arch.h: the registers as a
 * table, the guest's translation of addresses, and KVM_SET_GUEST_DEBUG (Linux
 * Documentation/virt/kvm/api.rst, 4.87). All about a vcpu: it is parked, or this is its thread.
 */
#ifndef LKVM_DEBUG_H
#define LKVM_DEBUG_H

#include "lkvm/types.h"

struct kvm;
struct page_tables;
struct vcpu;
struct vm;

/* The largest register, in bytes. */
#define DEBUG_REG_MAX 64

/* One register, or as many as @count of the same kind: "xmm" and 16 are xmm0 to xmm15. */
struct debug_reg {
	const char *name;
	const char *type; /* of GDB's target descriptions; NULL: an integer of that size */
	u8 bytes;	  /* as a debugger sees it; little-endian */
	u8 count;	  /* 0: one, whose name has no number */
	/* The architecture's: how many bytes KVM has of it and where. */
	u8 have;
	u8 step; /* from one to the next */
	u64 where;
};

static inline u32 debug_reg_count(const struct debug_reg *reg)
{
	return reg->count ? reg->count : 1;
}

/* Registers that GDB knows as one feature, or of our own. */
struct debug_feature {
	const char *name;
	const char *types; /* XML that defines the types that registers name; NULL: none */
	const struct debug_reg *regs;
	u32 nr_regs;
};

/* An instruction that stops. */
struct debug_break {
	u8 code[4];
	u32 len;
};

struct arch_debug {
	const char *architecture; /* GDB's name for it */
	/* The one of the length that GDB asks for; the first, where there is none. */
	struct debug_break breaks[2];
	u32 breakpoint_control; /* KVM_GUESTDBG_: that it stops, beside ENABLE */
};
extern const struct arch_debug arch_debug;

/* All of a vcpu's registers, in the order in which the debugger counts them. */
const struct debug_feature *arch_debug_features(const struct vm *vm, u32 *nr);
/* Number @index (0 where there is no count) of @reg, in debug_reg.bytes of @value. 0 or -errno;
 * print nothing. */
int arch_debug_get(struct vcpu *vcpu, const struct debug_reg *reg, u32 index,
		   u8 *value) __must_check;
int arch_debug_set(struct vcpu *vcpu, const struct debug_reg *reg, u32 index,
		   const u8 *value) __must_check;

/*
 * The guest's physical address of @va by the page tables that the vcpu uses at this moment. 0;
 * -EFAULT: it is not mapped; -ENOTSUP: tables that are not followed.
 */
int arch_vcpu_translate(struct vcpu *vcpu, u64 va, u64 *gpa) __must_check;

/*
 * The tables of the upper half of addresses, where the kernels of 64-bit systems are, that the vcpu
 * uses at this moment (page-walk.h; @t was zeroed). 0; -ENOTSUP: it has none.
 */
int arch_vcpu_tables(struct vcpu *vcpu, struct page_tables *t) __must_check;

/* Core files (core-dump.h): the layouts are those that Linux has for this architecture. */
struct arch_core {
	u32 flags;	 /* of the ELF header */
	u16 machine;	 /* EM_ of elf.h */
	u16 regs_size;	 /* of NT_PRSTATUS, from pr_reg on up to pr_fpvalid */
	u16 fpregs_size; /* of NT_FPREGSET */
	/* What tools want to know beside: a note of this name, of type 0. 0: nothing. Multiples of
	 * 4. */
	u16 system_size;
	const char *system_name;
};
extern const struct arch_core arch_core;
/* A vcpu's share of them, into zeroes. 0 or -errno; prints nothing. */
int arch_vcpu_core(struct vcpu *vcpu, u8 *regs, u8 *fpregs, u8 *system) __must_check;

/* The kinds of hardware breakpoints, as the remote protocol numbers them. */
enum debug_kind { DEBUG_EXEC = 1, DEBUG_WRITE, DEBUG_READ, DEBUG_ACCESS };

struct debug_point {
	enum debug_kind kind;
	u64 addr;
	u64 len; /* bytes that are watched; of DEBUG_EXEC it has no meaning */
};

/* What a vcpu is to stop for, beside other reasons. */
struct debug_setup {
	const struct debug_point *points;
	u32 nr_points;
	bool breakpoints; /* arch_debug.breaks stop it */
	bool step;	  /* so does the next instruction */
	bool any_step;	  /* this vcpu steps, or another */
};

/*
 * Can all vcpus of @vm have these points at once? 0; -ENOSPC: they are too many for the processor;
 * -EINVAL: it cannot watch such a range; -ENOTSUP: it has no such kind.
 */
int arch_debug_check(const struct vm *vm, const struct debug_point *points, u32 nr) __must_check;
/* Have the vcpu stop for that and nothing else, which arch_debug_check accepted. 0 or -errno;
 * prints nothing. */
int arch_debug_apply(struct vcpu *vcpu, const struct debug_setup *setup) __must_check;

enum debug_stop {
	DEBUG_STOP_NONE,
	DEBUG_STOP_BREAK, /* an instruction that stops, at @pc */
	DEBUG_STOP_EXEC,  /* DEBUG_EXEC at @pc */
	DEBUG_STOP_WATCH, /* a point that holds @addr */
	DEBUG_STOP_STEP,  /* the next instruction begins at @pc */
};
struct debug_event {
	enum debug_stop stop;
	u64 pc;
	u64 addr;
};

/*
 * A vcpu with a setup leaves the gate, and comes back to it; on its thread. What an architecture
 * has to change in the guest for a step is there only in between: whoever looks at a parked vcpu
 * sees nothing of it, and a pause may come in the middle of a step.
 */
void arch_debug_enter(struct vcpu *vcpu);
void arch_debug_leave(struct vcpu *vcpu);
/* What KVM_EXIT_DEBUG of this vcpu, on its thread, was for. Undoes what arch_debug_enter did. */
void arch_debug_event(struct vcpu *vcpu, struct debug_event *event);
/*
 * It was the guest's own exception (a breakpoint instruction of its own, a step that it asked for):
 * give it that. On its thread. 0 or -errno: the architecture cannot.
 */
int arch_debug_reinject(struct vcpu *vcpu, const struct debug_event *event) __must_check;

#endif
