/* SPDX-License-Identifier: MIT */
/*
 * Confidential guests: VMs whose memory and registers the host cannot read. An ordinary guest has
 * none of this (vm->coco is NULL).
 *
 * The machine calls a table in this order, whatever the technology:
 *
 *   open      with all else that is opened by name, once
 *   vm_type   before KVM_CREATE_VM
 *   memory    the VM and its memory exist, no vcpu does
 *   -         interrupt controllers, vcpus, devices are made; the list of what the guest starts
 *             from is made and checked (plan.h); arch_vcpu_reset has set every vcpu's registers
 *   place     for each run of pages of the list, by ascending address
 *   vcpu      for each vcpu, by ascending number
 *   finish    nothing can be added or changed afterwards
 *   exit      while the guest runs
 *   destroy   vcpus and devices are gone, memory and struct arch_vm are still there
 *   close     at the end of the machine, which may have made several VMs
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
 *
 * The list comes in its own order: by rank, then by address (plan.h).
 */
#ifndef LKVM_COCO_H
#define LKVM_COCO_H

#include "lkvm/types.h"

struct boot_plan;
struct boot_run;
struct kvm;
struct measure;
struct vcpu;
struct vm;
struct vm_config;

/* All print what is wrong and return 0 or -errno; all may be NULL; the main thread calls, but for
 * exit. */
struct coco_ops {
	/* Open and read what the configuration names, into *opened (vm->coco_opened), which close
	 * frees; it may stay NULL. @described: the machine is one without KVM, and of the host only
	 * what the user named is needed. */
	int (*open)(const struct vm_config *cfg, bool described, void **opened);
	void (*close)(void *opened);
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
	/* May KVM_RUN be tried again, which failed with EAGAIN or ENOMEM? NULL: yes. On the vcpu's
	 * thread. */
	bool (*may_retry)(struct vcpu *vcpu);
	/*
	 * KVM_RUN failed with errno @error, and is not tried again. 0: the reason was said, of
	 * several vcpus once; -ENOTSUP: it is none of this kind's. On the vcpu's thread.
	 */
	int (*run_failed)(struct vcpu *vcpu, int error);
	/* Safe when memory was not called, and when there is no VM. */
	void (*destroy)(struct vm *vm);
	/* What was given to the guest can be written again: a reset loads the same VM. False: a
	 * reset makes the VM anew over what the machine has open. */
	bool may_reset;
	/*
	 * The guest has pages of its own, of guest_memfds, which the host cannot touch: all of its
	 * RAM and the ROMs of the list are private regions (memory.h), and nothing is shared at
	 * first. What changes that is the guest's word: coco_map_gpa, coco_memory_fault.
	 */
	bool private_memory;
	/* Bytes of a pool in guest memory that the guest's drivers share with devices, which the
	 * machine's description names; 0: the guest shares page by page. */
	u64 shared_pool;
	/* What its launch measures; NULL: nothing is measured (pKVM). */
	const struct coco_measure *measure;
};

/*
 * The same launch without KVM, for `lkvm measure`: the calls come in the order of coco_ops', with
 * the same list, over a machine that is only described (vm->kvm is closed, there are no vcpus; the
 * registers are those of the function that sets a vcpu's). What they compute is measure.h's. All
 * print what is wrong and return 0 or -errno; all but finish may be NULL.
 */
struct coco_measure {
	const char *kind;   /* "snp": what the output calls it */
	const char *option; /* "--snp" */
	/* The list is made and checked. m->state is the kind's own. */
	int (*begin)(struct measure *m, const struct boot_plan *plan);
	/* For each run of pages of the list, in its order; boot_plan_read has its bytes. */
	int (*place)(struct measure *m, const struct boot_plan *plan, const struct boot_run *run);
	/* For each vcpu, by ascending number. */
	int (*vcpu)(struct measure *m, u32 index, const struct boot_plan *plan);
	/* Add a result for each generation of the ABI whose measurements differ:
	 * measure_add_result; where one cannot be told beforehand, measure_refuse. */
	int (*finish)(struct measure *m);
	/* Safe when begin failed. */
	void (*destroy)(struct measure *m);
};

/* coco.c: what several kinds have alike. */

/*
 * What no guest can have whose memory and registers the host cannot read: debuggers, devices that
 * somebody else serves, memory of a special kind, legacy virtio. @option is the kind's, for the
 * message. Prints, -EINVAL.
 */
int coco_check(const struct vm_config *cfg, const char *option) __must_check;
/* One of them: prints "@option and @what: cannot be combined: @why"; -EINVAL. */
int coco_refuse(const char *option, const char *what, const char *why);
/*
 * KVM_EXIT_HYPERCALL with KVM_HC_MAP_GPA_RANGE: the guest shares pages, or makes them private again
 * (Linux Documentation/virt/kvm/x86/hypercalls.rst). 0, the answer is in the exit; -ENOTSUP:
 * another hypercall. On the vcpu's thread.
 */
int coco_map_gpa(struct vcpu *vcpu) __must_check;
/*
 * KVM_EXIT_MEMORY_FAULT: the guest used pages as private that are shared, or the other way; they
 * become what it used (api.rst, KVM_EXIT_MEMORY_FAULT). 0: run on; -ENOTSUP: no memory that could
 * be so, or it was so already as often as makes sense. On the vcpu's thread.
 */
int coco_memory_fault(struct vcpu *vcpu) __must_check;
/* coco_ops.run_failed where coco_memory_fault serves faults: says which memory the guest used how.
 */
int coco_fault_failed(struct vcpu *vcpu, int error);

#endif
