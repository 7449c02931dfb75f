/* SPDX-License-Identifier: MIT */
/* What an x86 machine is asked for its PMU, between the files of x86/ that do it. */
#ifndef LKVM_X86_TUNING_H
#define LKVM_X86_TUNING_H

#include <linux/kvm.h>

#include "lkvm/types.h"

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

#endif
