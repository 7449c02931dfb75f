/* SPDX-License-Identifier: MIT */
/* What SNP and TDX share in KVM on x86 (Linux 7.3, arch/x86/kvm/x86.c). */
#ifndef LKVM_TESTS_MODEL_X86_COCO_H
#define LKVM_TESTS_MODEL_X86_COCO_H

#include "../model.h"

/* Numbers of the ABI, the model's own copy: a mistake in lkvm's shows. */
#define X86_MEMORY_ENCRYPT_OP	0xc008aebaUL
#define X86_PRE_FAULT_MEMORY	0xc040aed5UL
#define X86_CAP_EXIT_HYPERCALL	201
#define X86_HYPERCALL_MAP_RANGE 12
#define X86_EXIT_HYPERCALL	3
#define X86_MAP_PRIVATE		(1ULL << 4)

/* CHECK_EXTENSION and ENABLE_CAP of VMs with private memory, and KVM_PRE_FAULT_MEMORY, of which
 * @may_prefault says whether the launch is over. @system: on /dev/kvm, with @type offered. */
long x86_coco_system(struct model_call *c, u32 type);
long x86_coco_vm(struct model_call *c, u32 type);
long x86_coco_prefault(struct model_call *c, bool may_prefault);

/* struct model_kind's slot. */
int x86_coco_slot(struct model_vm *vm, const struct model_slot *slot);

/* "psc" private|shared gpa=A pages=N [huge]: KVM_EXIT_HYPERCALL of KVM_HC_MAP_GPA_RANGE. */
int x86_fill_map_range(struct model_vcpu *vcpu, const struct model_words *words, int *error);
int x86_complete_map_range(struct model_vcpu *vcpu);

#endif
