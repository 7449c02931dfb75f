/* SPDX-License-Identifier: MIT */
/* Between the files of x86/ that put back what KVM made: pristine.c, reset.c, irqchip.c, vm.c. */
#ifndef LKVM_X86_PRISTINE_H
#define LKVM_X86_PRISTINE_H

#include "chips.h"
#include "lkvm/types.h"
#include "vcpu-state.h"

struct vm;

struct x86_pristine {
	int error;
	struct x86_chips chips; /* of the full irqchip */
	/* The one that boots, and of all others the one with id 1: their APIC ids apart they are
	 * the same. */
	struct x86_vcpu_state *vcpus[2];
};

/*
 * The VM's; read when it is asked for first, by the main thread, with all vcpus made. Prints, the
 * first time that it fails.
 */
int x86_pristine(struct vm *vm, const struct x86_pristine **out) __must_check;
void x86_pristine_destroy(struct vm *vm);

#endif
