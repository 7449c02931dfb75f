/* SPDX-License-Identifier: MIT */
/*
 * Confidential guests: VMs whose memory and registers the host cannot read. An ordinary guest has
 * none of this (vm->coco is NULL).
 *
 * The machine calls a table in this order, whatever the technology:
 *
 *   vm_type   before KVM_CREATE_VM
 *   memory    the VM and its memory exist, no vcpu does
 *   -         interrupt controllers, vcpus, devices are made; the list of what the guest starts
 *             from is made and checked (plan.h); arch_vcpu_reset has set every vcpu's registers
 *   place     for each run of pages of the list, by ascending address
 *   vcpu      for each vcpu, by ascending number
 *   finish    nothing can be added or changed afterwards
 *   exit      while the guest runs
 *   destroy   vcpus and devices are gone, memory and struct arch_vm are still there
 *
 * How the technologies fit (what each call stands for):
 *
 *             SEV-SNP           TDX              CCA               pKVM
 *   memory    INIT2             INIT_VM          CONFIG            memory lock limit
 *   place 1st LAUNCH_START      INIT_VCPU of all CREATE, RIPAS     -
 *   place     LAUNCH_UPDATE     INIT_MEM_REGION  POPULATE          -
 *   vcpu      - (FINISH's VMSA) -                FINALIZE(REC)     -
 *   finish    LAUNCH_FINISH     FINALIZE_VM      ACTIVATE          -
 *
 * A table is const and shared by all VMs: what it has to remember hangs on struct arch_vm.
 */
#ifndef LKVM_COCO_H
#define LKVM_COCO_H

#include "lkvm/types.h"

struct boot_plan;
struct boot_run;
struct kvm;
struct vcpu;
struct vm;
struct vm_config;

/* All print what is wrong and return 0 or -errno; all may be NULL; the main thread calls, but for
 * exit. */
struct coco_ops {
	/* *type is arch_vm_type's; change it into the type of such a VM, or say why there is none.
	 */
	int (*vm_type)(const struct kvm *kvm, const struct vm_config *cfg, u64 *type);
	int (*memory)(struct vm *vm);
	/*
	 * Give the firmware one run of pages; boot_plan_read has its bytes. NULL: the guest may
	 * find its pages in its memory as an ordinary one does, and they are copied there.
	 */
	int (*place)(struct vm *vm, const struct boot_plan *plan, const struct boot_run *run);
	int (*vcpu)(struct vcpu *vcpu, const struct boot_plan *plan);
	int (*finish)(struct vm *vm);
	/*
	 * An exit of its own; KVM_EXIT_MEMORY_FAULT, with which KVM_RUN fails (EFAULT), is asked
	 * here too. 0: handled, run on; -ENOTSUP: not one. On the vcpu's thread.
	 */
	int (*exit)(struct vcpu *vcpu);
	/* Safe when memory was not called, and when there is no VM. */
	void (*destroy)(struct vm *vm);
	/* What was given to the guest can be written again: a reset loads the same VM. False: a
	 * reset makes the VM anew over what the machine has open. */
	bool may_reset;
	/* Bytes of a pool in guest memory that the guest's drivers share with devices, which the
	 * machine's description names; 0: the guest shares page by page. */
	u64 shared_pool;
};

#endif
