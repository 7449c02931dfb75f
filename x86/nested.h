/* SPDX-License-Identifier: MIT */
/* Between the files of x86/ about guests that are hypervisors: nested*.c, vmx-controls.c. */
#ifndef LKVM_X86_NESTED_H
#define LKVM_X86_NESTED_H

#include <linux/kvm.h>

#include "lkvm/types.h"
#include "options-nested.h"

struct vcpu;
struct vm;
struct vm_config;

/*
 * x86/vmx-controls.c: the values of VMX capability MSRs. Is there @f, when its MSR is @value? A
 * control is when it may be 1; one of the default1 class when it may be 0.
 */
bool x86_vmx_has(const struct x86_nested_feature *f, u64 value);
/* The bits of the MSR to clear and to set for a guest without @f. */
void x86_vmx_without(const struct x86_nested_feature *f, u64 *clear, u64 *set);
/* May a guest be without @f? Not when the control must be 1. */
bool x86_vmx_may_lack(const struct x86_nested_feature *f, u64 value);
/* "IA32_VMX_MISC"; NULL: no MSR of VMX. */
const char *x86_vmx_msr_name(u32 msr);

/* What vcpus get of it: vm->arch->nested. */
#define X86_VMX_MAX_CHANGES 16
struct x86_vmx_change {
	u32 msr;
	u64 clear, set;
};
struct x86_nested {
	bool off;      /* no vmx, no svm */
	u32 svm_clear; /* of EDX in leaf 0x8000000a */
	bool has_revision, has_asids;
	u32 revision, asids;
	struct x86_nested_words vmx;
	u32 nr_changes; /* of MSRs; those of which something is asked for change nothing */
	struct x86_vmx_change changes[X86_VMX_MAX_CHANGES];
};

/* x86/nested-plan.c: how a host's KVM is asked, so that tests can put another one in its place. */
struct x86_nested_host {
	const char *root;				    /* before /sys and /proc: "" */
	struct kvm_cpuid2 *cpuid;			    /* all that KVM supports */
	int (*read_msr)(void *opaque, u32 msr, u64 *value); /* of KVM's features; 0 or -errno */
	void *opaque;
};
/*
 * What the configuration asks, of this host: 0, or -EINVAL (the words contradict each other),
 * -EOPNOTSUPP (the host lacks it) after printing why.
 */
int x86_nested_plan(const struct vm_config *cfg, const struct x86_nested_host *host,
		    struct x86_nested *out) __must_check;
bool x86_nested_has_vmx(struct kvm_cpuid2 *cpuid);
bool x86_nested_has_svm(struct kvm_cpuid2 *cpuid);
/*
 * The last word about a vcpu's CPUID, when all else stands: vmx and svm themselves, and of leaf
 * 0x8000000a the revision (EAX), ASIDs (EBX) and features (EDX). @nested NULL: as it is. -EINVAL
 * after printing what was asked for and is not in @cpuid any more.
 */
int x86_nested_cpuid(const struct vm_config *cfg, struct kvm_cpuid2 *cpuid,
		     const struct x86_nested *nested) __must_check;

/* x86/nested-why.c: reasons, for messages and `lkvm host`. Each returns @buf. */
/* Why guests have neither vmx nor svm, and the remedy. */
const char *x86_nested_why(const char *root, char *buf, size_t len);
/* Why KVM does not give @f of @table to guests that have vmx or svm. */
const char *x86_nested_feature_why(const char *root, const struct x86_nested_table *table,
				   const struct x86_nested_feature *f, char *buf, size_t len);

/* x86/nested.c. What can be told before there is a host; prints, -EINVAL. */
int x86_nested_check(const struct vm_config *cfg) __must_check;
/* vm->arch->nested, when vm->arch->cpuid is there. Prints. */
int x86_nested_init(struct vm *vm) __must_check;
/* The MSRs of a vcpu that has its CPUID. Prints. */
int x86_nested_vcpu(const struct vcpu *vcpu) __must_check;

#endif
