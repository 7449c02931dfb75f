/* SPDX-License-Identifier: MIT */
/* Between the files of x86/ that keep the registers of a vcpu: reset.c, vcpu-state.c, fields.c. */
#ifndef LKVM_X86_VCPU_STATE_H
#define LKVM_X86_VCPU_STATE_H

#include <linux/kvm.h>

#include "lkvm/types.h"

struct vcpu;
struct vm;

#define X86_MAX_MSRS 256 /* what one KVM_GET_MSRS takes */

/* Intel SDM volume 4, table 2-2; the last: volume 3, 11.5.4.1 */
#define MSR_TSC		 0x10
#define MSR_TSC_ADJUST	 0x3b
#define MSR_TSC_DEADLINE 0x6e0

/* VMX: a header and two pages (struct kvm_vmx_nested_state_data); SVM: less. */
#define X86_NESTED_MAX (128 + 2 * 4096)

struct x86_vcpu_state {
	const struct vcpu *vcpu; /* that is saved or loaded */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	bool has_lapic;
	u32 mp_state;
	u64 xcr0; /* 0: the host has none */
	u8 *xsave;
	u32 xsave_len;
	u32 nr_msrs;
	u32 msr_index[X86_MAX_MSRS];
	u64 msr_value[X86_MAX_MSRS];
	u64 tsc, tsc_adjust, tsc_deadline;
	u32 nested_len; /* 0: the host has none */
	u8 nested[X86_NESTED_MAX] __attribute__((aligned(16)));
};

/* The VM's list of MSRs (vm->arch->msrs), when it is not there yet: those that KVM lists and @vcpu,
 * like all others, has. Main thread. Prints. */
int x86_state_msrs(const struct vcpu *vcpu) __must_check;
void x86_state_destroy(struct vm *vm);

struct x86_vcpu_state *x86_state_new(const struct vcpu *vcpu);
void x86_state_free(struct x86_vcpu_state *s);
/* All that KVM tells. Prints. */
int x86_state_get(const struct vcpu *vcpu, struct x86_vcpu_state *s) __must_check;
/* All but regs, sregs, nested and the clock, which the callers set in their order; @lapic instead
 * of what @s has. MSRs that KVM refuses: left alone, or where @strict -EINVAL unless they have that
 * value. Prints. */
int x86_state_set(const struct vcpu *vcpu, const struct x86_vcpu_state *s,
		  const struct kvm_lapic_state *lapic, bool strict) __must_check;
/* The TSC and the deadline that the local APIC waits for, when all that is set. Strict. Prints. */
int x86_state_set_clock(const struct vcpu *vcpu, const struct x86_vcpu_state *s) __must_check;

/* One MSR by KVM_GET_MSRS or KVM_SET_MSRS. False: KVM does not have it, or not with this value. */
bool x86_transfer_msr(const struct vcpu *vcpu, unsigned long request, u32 index, u64 *value);

int x86_vcpu_ioctl(const struct vcpu *vcpu, unsigned long request, void *arg, const char *name);
#define VCPU_IOCTL(vcpu, request, arg) x86_vcpu_ioctl(vcpu, request, (void *)(arg), #request)

#endif
