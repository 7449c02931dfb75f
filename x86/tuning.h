/* SPDX-License-Identifier: MIT */
/*
 * What struct x86_tuning asks for (docs/clock.md), between the files of x86/ that do it: vm-caps.c,
 * tsc.c, cpuid-tuning.c, pmu.c, pmu-filter.c, exit-limits.c.
 */
#ifndef LKVM_X86_TUNING_H
#define LKVM_X86_TUNING_H

#include <linux/kvm.h>

#include "lkvm/config.h"
#include "lkvm/types.h"

struct kvm;
struct vcpu;
struct vm;

/* What is wrong with it without asking the host: one line, -EINVAL. */
int x86_tuning_check(const struct vm_config *cfg) __must_check;

/*
 * x86/vm-caps.c: the capabilities of a VM that options ask for. The check says what @kvm lacks, and
 * what it costs to have the rest; @supported is KVM_GET_SUPPORTED_CPUID. They are enabled after the
 * chips and before the first vcpu. (The VM from which a reset learns what KVM makes does without:
 * none of them changes that.) Both print.
 */
int x86_caps_check(const struct kvm *kvm, const struct vm_config *cfg,
		   struct kvm_cpuid2 *supported) __must_check;
int x86_caps_enable(const struct kvm *kvm, const struct vm_config *cfg) __must_check;

/*
 * x86/tsc.c: --tsc-khz. Of a VM before its first vcpu; of a vcpu before its CPUID is set; of a VM
 * when all vcpus are there. Where nothing is asked for they do nothing. All print.
 */
int x86_tsc_begin(const struct kvm *kvm, const struct vm_config *cfg) __must_check;
int x86_tsc_vcpu(const struct vcpu *vcpu) __must_check;
int x86_tsc_end(const struct vm *vm) __must_check;
/* The frequency of @vcpu's TSC in kHz, which is the whole VM's; 0: KVM does not say. */
u32 x86_tsc_khz(const struct vcpu *vcpu);

/* x86/cpuid-tuning.c */
struct x86_cpuid_tuning {
	const struct x86_tuning *asked;
	u32 tsc_khz;	/* of the guest; 0: not known */
	u32 monitor[4]; /* leaf 5 of the host: what MWAIT can do */
};
/*
 * Write what was asked for into *@cpuid, a vcpu's (allocated, and replaced by a longer one), after
 * all that other options write; @supported is what a vcpu may have. 1: another option had another
 * crystal or ratio in leaf 0x15; 0; or -ENOMEM. Prints nothing.
 */
int x86_cpuid_tune(struct kvm_cpuid2 **cpuid, struct kvm_cpuid2 *supported,
		   const struct x86_cpuid_tuning *t) __must_check;
/*
 * EAX and EBX of leaf 0x15: @tsc_khz is @bus_hz * *num / *den, as exactly as a guest can compute it
 * with 32 bits (Linux multiplies kHz with *num): within 120 millionths at 1 GHz, 3 at 25 MHz.
 */
void x86_tsc_ratio(u32 tsc_khz, u32 bus_hz, u32 *den, u32 *num);

/* x86/pmu.c: has a guest performance counters where nobody says otherwise? */
bool x86_pmu_offered(const struct kvm *kvm, struct kvm_cpuid2 *supported);
/* Refuse --pmu and --pmu-filter that this host cannot do; tell KVM of the filter. Both print. */
int x86_pmu_check(const struct kvm *kvm, const struct vm_config *cfg,
		  struct kvm_cpuid2 *supported) __must_check;
int x86_pmu_set_filter(const struct kvm *kvm, const struct vm_config *cfg,
		       struct kvm_cpuid2 *supported) __must_check;

/* x86/pmu-filter.c: KVM's limit (KVM_PMU_EVENT_FILTER_MAX_EVENTS of arch/x86/kvm/pmu.c). */
#define X86_PMU_MAX_EVENTS 300U
enum x86_pmu_vendor {
	X86_PMU_ANY, /* not known yet: whatever one of them has */
	X86_PMU_INTEL,
	X86_PMU_AMD,
};
/*
 * --pmu-filter as KVM takes it, the caller's to free. The names of events are @vendor's. NULL after
 * printing what is wrong.
 */
struct kvm_pmu_event_filter *x86_pmu_filter(const char *text, enum x86_pmu_vendor vendor);

/* x86/exit-limits.c: --bus-lock-limit and --notify-window, once the VM has their capabilities. */
void x86_limits_init(struct vm *vm);
/* KVM_EXIT_NOTIFY. */
void x86_notify_exit(struct vcpu *vcpu);

#endif
