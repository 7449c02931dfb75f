/* SPDX-License-Identifier: MIT */
/*
 * The vcpus' performance counters: whether the host has any for guests, and what may be counted
 * (Linux Documentation/virt/kvm/api.rst, KVM_CAP_PMU_CAPABILITY and KVM_CAP_PMU_EVENT_FILTER).
 */
#include <stdlib.h>

#include <kvm-compat.h>

#include "lkvm/config.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "platform.h"
#include "tuning.h"

/* AMD APM volume 3, E.4.2, and Intel SDM volume 2A, CPUID leaf 0xa */
#define AMD_ECX_PERFCTR_CORE BIT(23)
#define PMU_VERSION	     0xffU

bool x86_pmu_offered(const struct kvm *kvm, struct kvm_cpuid2 *supported)
{
	const struct kvm_cpuid_entry2 *e;

	if (kvm_check_cap(kvm, KVM_CAP_PMU_CAPABILITY) & KVM_PMU_CAP_DISABLE)
		return true;
	/* Before Linux 5.18 only CPUID tells. */
	e = x86_cpuid_find(supported, 0xa, 0);
	if (e && e->eax & PMU_VERSION)
		return true;
	e = x86_cpuid_find(supported, 0x80000001, 0);
	return e && e->ecx & AMD_ECX_PERFCTR_CORE;
}

static enum x86_pmu_vendor vendor(struct kvm_cpuid2 *supported)
{
	return x86_cpuid_is_amd(supported) ? X86_PMU_AMD : X86_PMU_INTEL;
}

int x86_pmu_check(const struct kvm *kvm, const struct vm_config *cfg, struct kvm_cpuid2 *supported)
{
	const struct x86_tuning *t = &cfg->x86.tuning;

	if (t->pmu != X86_PMU_ON && !t->pmu_filter)
		return 0;
	if (!x86_pmu_offered(kvm, supported)) {
		err("%s: this host's KVM has no performance counters for guests: the module "
		    "parameter kvm.enable_pmu is off, or the host itself has none; omit it",
		    t->pmu_filter ? "--pmu-filter" : "--pmu on");
		return -EOPNOTSUPP;
	}
	if (t->pmu_filter && kvm_check_cap(kvm, KVM_CAP_PMU_EVENT_FILTER) <= 0) {
		err("--pmu-filter: this host's KVM cannot filter events; that is new in Linux "
		    "5.3; --pmu off takes all of them away");
		return -EOPNOTSUPP;
	}
	return 0;
}

int x86_pmu_set_filter(const struct kvm *kvm, const struct vm_config *cfg,
		       struct kvm_cpuid2 *supported)
{
	const char *text = cfg->x86.tuning.pmu_filter;
	struct kvm_pmu_event_filter *f;
	int ret;

	if (!text)
		return 0;
	f = x86_pmu_filter(text, vendor(supported));
	if (!f)
		return -EINVAL;
	if (f->flags && kvm_check_cap(kvm, KVM_CAP_PMU_EVENT_MASKED_EVENTS) <= 0) {
		err("--pmu-filter %s: this host's KVM takes no masks; they are new in Linux 6.3",
		    text);
		ret = -EOPNOTSUPP;
	} else {
		ret = MIN(xioctl(kvm->vm_fd, KVM_SET_PMU_EVENT_FILTER, f), 0);
		if (ret)
			err("--pmu-filter %s: KVM_SET_PMU_EVENT_FILTER: %s", text,
			    ret == -EINVAL ? "it takes no such events on this CPU"
					   : strerror(-ret));
	}
	free(f);
	return ret;
}
