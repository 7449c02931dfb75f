/* SPDX-License-Identifier: MIT */
/* Between the files of x86/ that make, reset and save KVM's chips: chips.c, irqchip.c, pristine.c.
 */
#ifndef LKVM_X86_CHIPS_H
#define LKVM_X86_CHIPS_H

#include <linux/kvm.h>

#include "lkvm/types.h"

struct kvm;

/* The registers of the full irqchip, where KVM has all chips. */
struct x86_chips {
	struct kvm_irqchip chips[3]; /* index: KVM_IRQCHIP_* */
	struct kvm_pit_state2 pit;
};

/*
 * Those of the split or the full irqchip, in a VM that has no vcpu yet and will have APIC ids
 * below @ids. Where
 * KVM has no split irqchip and it is not a @must, *split becomes false; *wide_ids: APIC ids have 32
 * bits. Prints.
 */
int x86_chips_make(struct kvm *kvm, u32 ids, bool *split, bool must, bool *wide_ids) __must_check;
/* Prints. */
int x86_chips_get(const struct kvm *kvm, struct x86_chips *c) __must_check;
/* 0 or -errno; prints nothing. */
int x86_chips_set(const struct kvm *kvm, const struct x86_chips *c) __must_check;

#endif
