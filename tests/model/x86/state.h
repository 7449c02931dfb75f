/* SPDX-License-Identifier: MIT */
/* A vcpu's state on x86 as the model keeps it: what the VMM set, in the form in which KVM has it.
 */
#ifndef LKVM_TESTS_MODEL_X86_STATE_H
#define LKVM_TESTS_MODEL_X86_STATE_H

#include "../model.h"

#define X86_MAX_MSRS 160

/* As in a VMCB: what is lost on the way in or out shows (AMD APM volume 2, table B-2). */
struct x86_segment {
	u16 selector, attributes;
	u32 limit;
	u64 base;
};

enum { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_LDTR, X86_TR, X86_SEGMENTS };

struct x86_state {
	struct kvm_regs regs;
	struct x86_segment segments[X86_SEGMENTS];
	struct kvm_dtable gdt, idt;
	u64 cr0, cr2, cr3, cr4, cr8, efer, apic_base;
	u8 cpl;
	u64 xcr0;
	u8 xsave[4096]; /* standard format */
	struct kvm_debugregs debug;
	struct kvm_guest_debug guest_debug;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct {
		u32 index;
		u64 value;
	} msrs[X86_MAX_MSRS];
	u32 nr_msrs;
	u32 mp_state;
	u64 tsc_khz;
	struct kvm_cpuid_entry2 *cpuid;
	u32 nr_cpuid;
	bool (*has_msr)(u32 index); /* NULL: those of every guest */
};

struct x86_vm {
	u64 quirks_disabled;
	u64 tsc_khz; /* by KVM_SET_TSC_KHZ on the VM; 0: the host's */
	bool irqchip;
};

static inline struct x86_state *x86_state(const struct model_vcpu *vcpu)
{
	return vcpu->machine_state;
}
static inline struct x86_vm *x86_vm(const struct model_vm *vm)
{
	return vm->machine_state;
}

#define X86_TSC_KHZ	2000000U
#define X86_MAX_TSC_KHZ 2000000U /* of a VM's KVM_SET_TSC_KHZ: less than this */

/* Segments between a VMM and a VMCB, as KVM for AMD converts them. */
void x86_segment_set(struct x86_segment *to, const struct kvm_segment *from);
void x86_segment_get(struct kvm_segment *to, const struct x86_segment *from, int which);
/* What a vcpu has on which nothing was set. */
void x86_state_reset(struct x86_state *s, bool first);
u64 x86_msr(const struct x86_state *s, u32 index, u64 otherwise);
/* GET and SET of a vcpu's state; MODEL_PASS for another call. */
long x86_state_ioctl(struct model_call *c);
/* struct model_machine's forward. */
long x86_real_forward(struct model_call *c);
/* Over the host's KVM: that with which a TD's vcpu begins (Intel TDX module ABI, 10.2). */
int x86_real_start_flat(const struct model_vcpu *vcpu, u64 rcx, u64 rbx);
/* Is it one of those that a protected vcpu refuses? */
bool x86_is_protected_state(unsigned long request);
const struct kvm_cpuid_entry2 *x86_cpuid_entry(const struct x86_state *s, u32 leaf, u32 index);
/* What the emulated host's CPU supports: AMD's for snp, Intel's for tdx. */
long x86_supported_cpuid(struct model_call *c);
const struct kvm_cpuid_entry2 *x86_intel_cpuid(u32 *n);

#endif
