/* SPDX-License-Identifier: MIT */
/*
 * Exits, counted: how often and why each vcpu left KVM_RUN. The numbers of the reasons are KVM's
 * (Linux include/uapi/linux/kvm.h, KVM_EXIT_*), the names are KVM's in lower case.
 *
 * A vcpu's thread alone counts, any thread reads: counting costs a load and a store.
 */
#ifndef LKVM_EXITS_H
#define LKVM_EXITS_H

#include "lkvm/types.h"

/* KVM has some 45; reasons beyond are counted as the last. */
#define EXIT_REASONS 64
#define EXIT_OTHER   (EXIT_REASONS - 1)

struct exit_counts {
	u64 n[EXIT_REASONS];
};

static inline u32 exit_slot(u32 reason)
{
	return reason < EXIT_OTHER ? reason : EXIT_OTHER;
}

static inline void exit_count(struct exit_counts *c, u32 reason)
{
	u64 *n = &c->n[exit_slot(reason)];

	__atomic_store_n(n, __atomic_load_n(n, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

static inline u64 exit_counted(const struct exit_counts *c, u32 slot)
{
	return __atomic_load_n(&c->n[slot], __ATOMIC_RELAXED);
}

/* The name of a reason, or of its slot: "mmio", "x86-rdmsr"; "other" for one that lkvm does not
 * know. */
const char *exit_name(u32 reason);

struct vcpu;
/* exit-trace.c: a line of the VM's trace, of the exit that vcpu's thread has handled in @ns
 * nanoseconds. */
void exit_trace(struct vcpu *vcpu, u64 ns);

#endif
