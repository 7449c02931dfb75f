/* SPDX-License-Identifier: MIT */
/*
 * Intel TDX: guests that are trust domains (Linux Documentation/virt/kvm/x86/intel-tdx.rst; Intel's
 * TDX module ABI and Guest-Hypervisor Communication Interface). The TDX module, which the CPU keeps
 * from the host, has the guest's memory and registers; it starts every vcpu at the reset vector.
 *
 * tdx.c: the table of coco.h, and what a TD cannot have. tdx-launch.c: KVM's commands in their
 * order. tdx-cpuid.c: the CPUID that they take. tdx-boot.c: the list of what a kernel starts from,
 * with the page of ours at the reset vector (guest/x86/tdx-reset.S). tdx-firmware.c: the list of
 * firmware with TDX metadata, tdx-hob.c what that is told. tdx-exit.c, tdx-quote.c: what the guest
 * asks for.
 */
#ifndef LKVM_X86_TDX_H
#define LKVM_X86_TDX_H

#include <kvm-tdx.h>

#include "lkvm/types.h"

struct boot;
struct boot_image;
struct boot_plan;
struct boot_run;
struct coco_measure;
struct coco_ops;
struct guest_memory;
struct vcpu;
struct vm;
struct vm_config;
struct x86_boot;
struct x86_tdx_quotes;

/*
 * Guest physical addresses have 48 bits, of which the highest says that the guest shares the page
 * (GPAW 0): all that a machine has lies below.
 */
#define X86_TDX_GPA_BITS  48U
#define X86_TDX_PHYS_BITS (X86_TDX_GPA_BITS - 1)
/* A TD's crystal, and so its local APIC's timer (TDX module ABI, CPUID leaf 0x15); its TSC counts
 * in multiples of it. */
#define X86_TDX_CRYSTAL_HZ  25000000U
#define X86_TDX_CRYSTAL_KHZ 25000U

/* What a TD's machine remembers, on struct arch_vm; NULL where there is none, or no KVM. */
struct x86_tdx {
	struct kvm_cpuid2 *configurable; /* the bits of CPUID that are KVM's to choose; owned */
	u64 attributes, xfam;		 /* that KVM offers */
	u64 user_info;			 /* R11 of GET_INFO's leaf 1, as far as lkvm may set it */
	bool has_vcpus;			 /* INIT_VCPU was said to all */
	struct x86_tdx_quotes *quotes;	 /* a device; NULL: no --tdx-quote */
};

/* tdx.c */

/* The table where @cfg asks for a TD, else NULL. */
const struct coco_ops *x86_tdx_ops(const struct vm_config *cfg);
/* Fill in what follows from --tdx, and refuse what a TD cannot have. Prints, -EINVAL. */
int x86_tdx_complete(struct vm_config *cfg) __must_check;
/* The type of KVM_CREATE_VM. @types: KVM_CAP_VM_TYPES; @root: "", or another / for tests. Prints
 * what is missing; -ENOTSUP. */
int x86_tdx_vm_type(int types, const char *root, u64 *type) __must_check;

/* tdx-cpuid.c: pure. */

/*
 * What INIT_VM is given: of @wanted, one vcpu's CPUID, the bits that are set in @configurable, each
 * leaf of that once, with 48 address bits; no TSX, no WAITPKG. The result is the caller's (free).
 * -EINVAL: @configurable has no leaf for the address bits; -ENOMEM.
 */
int x86_tdx_cpuid_config(const struct kvm_cpuid2 *wanted, const struct kvm_cpuid2 *configurable,
			 struct kvm_cpuid2 **out) __must_check;
/*
 * What KVM_SET_CPUID2 is given: what the module shows (@module) goes before what KVM would show
 * (@wanted), of whose paravirtual features those are left that a TD can use. The caller's (free);
 * -ENOMEM.
 */
int x86_tdx_cpuid_vcpu(const struct kvm_cpuid2 *wanted, const struct kvm_cpuid2 *module,
		       struct kvm_cpuid2 **out) __must_check;
/* XCR0 and IA32_XSS that @cpuid has, in one. */
u64 x86_tdx_cpuid_xfam(const struct kvm_cpuid2 *cpuid);

/* tdx-launch.c. All print and return 0 or -errno. */

/* coco_ops.memory: what KVM offers, TSC, INIT_VM. */
int x86_tdx_init_vm(struct vm *vm) __must_check;
/* The local APICs' timers count the crystal that CPUID names, where KVM can: after the chips,
 * before any vcpu. */
void x86_tdx_set_bus(const struct vm *vm);
/* Instead of x86_vcpu_setup: CPUID as the module has it. */
int x86_tdx_vcpu_setup(struct vcpu *vcpu) __must_check;
/* coco_ops.place and finish. */
int x86_tdx_place(struct vm *vm, const struct boot_plan *plan,
		  const struct boot_run *run) __must_check;
int x86_tdx_finish(struct vm *vm) __must_check;
void x86_tdx_destroy(struct vm *vm);

/* tdx-boot.c */

struct tdx_info;
/* Into @info the RAM of @mem that no entry of @plan is in: pages to accept. False: there are more
 * ranges than it has room for. */
bool x86_tdx_ranges(const struct boot_plan *plan, const struct guest_memory *mem,
		    struct tdx_info *info) __must_check;
/* All else of @b's list is there: add what the TDX module starts, which goes to b->entry. Prints.
 */
int x86_tdx_plan_kernel(const struct x86_boot *b) __must_check;

/*
 * tdx-firmware.c: instead of x86_boot_list, firmware with TDX metadata and what it is told; *hob is
 * where that is. A kernel only for firmware that starts one (td-shim). Prints.
 */
int x86_tdx_plan_firmware(struct x86_boot *b, struct vm *vm, u64 *hob) __must_check;

/* tdx-exit.c: coco_ops.exit. */
int x86_tdx_exit(struct vcpu *vcpu);

#endif
