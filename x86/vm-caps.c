/* SPDX-License-Identifier: MIT */
/*
 * Capabilities of a VM that options ask for, as a table (Linux Documentation/virt/kvm/api.rst,
 * section 7). KVM wants most of them before the first vcpu, and the frequency of the local APIC's
 * timer after the chips: there all are enabled. What a host lacks is said before that.
 */
#include <sched.h>
#include <stdlib.h>

#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "tuning.h"

#define NS_PER_SECOND 1000000000U

struct cap_row {
	const char *option;
	u32 cap;
	const char *name;
	u32 bits; /* of the argument: KVM_CHECK_EXTENSION names those that it takes; 0: just
		     whether there is such a thing */
	/* The argument; 0: nothing is asked for. */
	u64 (*arg)(const struct x86_tuning *t);
	/* The end of a message, where bits of it are missing. */
	const char *lacks;
	/* Instead: the message. */
	int (*refuse)(u32 missing);
};

static u64 apic_bus_ns(const struct x86_tuning *t)
{
	return t->apic_bus_hz ? NS_PER_SECOND / t->apic_bus_hz : 0;
}

static u64 disabled_exits(const struct x86_tuning *t)
{
	return t->disable_exits;
}

static u64 no_pmu(const struct x86_tuning *t)
{
	return t->pmu == X86_PMU_OFF ? KVM_PMU_CAP_DISABLE : 0;
}

static u64 bus_lock_exits(const struct x86_tuning *t)
{
	return t->bus_lock_limit ? KVM_BUS_LOCK_DETECTION_EXIT : 0;
}

/* Each comes here, also one that KVM could live with: it is told, and counted. */
static u64 notify_exits(const struct x86_tuning *t)
{
	return t->has_notify_window ? (u64)t->notify_window << 32 | KVM_X86_NOTIFY_VMEXIT_ENABLED |
					      KVM_X86_NOTIFY_VMEXIT_USER
				    : 0;
}

#define SMT_RSB "the module parameter kvm.mitigate_smt_rsb is on"

/* kvm_get_allowed_disable_exits of Linux' arch/x86/kvm/x86.c has these reasons. */
static int refuse_exits(u32 missing)
{
	static const char *const why[X86_NR_EXITS] = {
		"its CPU has no MWAIT beside a timer of the APIC's that always runs, or " SMT_RSB,
		SMT_RSB ", or Linux is older than 4.17",
		"Linux is older than 4.17",
		SMT_RSB ", or Linux is older than 5.2",
		"its CPU has no APERF and MPERF, or Linux is older than 6.17",
	};

	for (u32 i = 0; i < X86_NR_EXITS; i++)
		if (missing & BIT(i))
			err("--disable-exits %s: this host's KVM does not offer it: %s; omit it",
			    x86_exit_names[i], why[i]);
	return -EOPNOTSUPP;
}

static const struct cap_row rows[] = {
	{ "--apic-bus-hz", KVM_CAP_X86_APIC_BUS_CYCLES_NS, "X86_APIC_BUS_CYCLES_NS", 0, apic_bus_ns,
	  .lacks = "cannot change the frequency of the local APIC's timer; that is new in Linux "
		   "6.11" },
	{ "--disable-exits", KVM_CAP_X86_DISABLE_EXITS, "X86_DISABLE_EXITS", UINT32_MAX,
	  disabled_exits, .refuse = refuse_exits },
	{ "--pmu off", KVM_CAP_PMU_CAPABILITY, "PMU_CAPABILITY", KVM_PMU_CAP_DISABLE, no_pmu,
	  .lacks = "cannot take performance counters from one VM; that is new in Linux 5.18" },
	{ "--bus-lock-limit", KVM_CAP_X86_BUS_LOCK_EXIT, "X86_BUS_LOCK_EXIT",
	  KVM_BUS_LOCK_DETECTION_EXIT, bus_lock_exits,
	  .lacks =
		  "does not see a guest's bus locks: its CPU has no detection of them, or Linux is "
		  "older than 5.12 (6.16 on AMD)" },
	{ "--notify-window", KVM_CAP_X86_NOTIFY_VMEXIT, "X86_NOTIFY_VMEXIT",
	  KVM_X86_NOTIFY_VMEXIT_ENABLED | KVM_X86_NOTIFY_VMEXIT_USER, notify_exits,
	  .lacks = "has no notify VM exit: its CPU (Intel, from 2023 on) lacks it, or Linux is "
		   "older "
		   "than 6.0" },
};

static int check_row(const struct kvm *kvm, const struct cap_row *row, u64 arg)
{
	u32 have = (u32)kvm_check_cap(kvm, row->cap);
	u32 missing = row->bits ? (u32)arg & row->bits & ~have : !have;

	if (!missing)
		return 0;
	if (row->refuse)
		return row->refuse(missing);
	err("%s: this host's KVM %s ('lkvm host' says more); omit it", row->option, row->lacks);
	return -EOPNOTSUPP;
}

/* Nobody else gets at a CPU whose guest does not leave it. */
static void warn_of_shared_cpus(const struct vm_config *cfg)
{
	const char *affinity = cfg->vcpu_affinity;
	cpu_set_t cpus;

	if (!cfg->x86.tuning.disable_exits ||
	    (affinity && !parse_cpu_list(affinity, &cpus) && CPU_COUNT(&cpus) >= (int)cfg->cpus))
		return;
	warn("--disable-exits: a vcpu that waits then keeps its CPU from all others; give the "
	     "vcpus CPUs that nothing else uses, with --vcpu-affinity");
}

int x86_caps_check(const struct kvm *kvm, const struct vm_config *cfg, struct kvm_cpuid2 *supported)
{
	const struct x86_tuning *t = &cfg->x86.tuning;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 arg = rows[i].arg(t);
		int ret;

		/* There is nothing to take from a guest that gets none. */
		if (!arg ||
		    (rows[i].cap == KVM_CAP_PMU_CAPABILITY && !x86_pmu_offered(kvm, supported)))
			continue;
		ret = check_row(kvm, &rows[i], arg);
		if (ret)
			return ret;
	}
	warn_of_shared_cpus(cfg);
	return x86_pmu_check(kvm, cfg, supported);
}

int x86_caps_enable(const struct kvm *kvm, const struct vm_config *cfg)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 arg = rows[i].arg(&cfg->x86.tuning);
		int ret;

		/* What is missing all the same is not needed. */
		if (!arg || !kvm_check_cap(kvm, rows[i].cap))
			continue;
		ret = kvm_enable_cap(kvm, rows[i].cap, arg);
		if (ret) {
			err("%s: KVM_CAP_%s: %s", rows[i].option, rows[i].name, strerror(-ret));
			return ret;
		}
	}
	return 0;
}

static int check_filter(const struct x86_tuning *t)
{
	struct kvm_pmu_event_filter *filter;

	if (t->pmu == X86_PMU_OFF) {
		err("--pmu-filter: with --pmu off there is nothing to count; omit one of them");
		return -EINVAL;
	}
	/* Again where the vendor is known. */
	filter = x86_pmu_filter(t->pmu_filter, X86_PMU_ANY);
	if (!filter)
		return -EINVAL;
	free(filter);
	return 0;
}

int x86_tuning_check(const struct vm_config *cfg)
{
	const struct x86_tuning *t = &cfg->x86.tuning;

	/* KVM does not know of it then. */
	if (cfg->halt == HALT_END && t->disable_exits & X86_EXIT_HLT)
		warn("--halt end: with --disable-exits hlt nobody sees that the guest has halted "
		     "for good");
	if (t->apic_bus_hz && NS_PER_SECOND % t->apic_bus_hz) {
		u32 ns = (NS_PER_SECOND + t->apic_bus_hz / 2) / t->apic_bus_hz;

		while (NS_PER_SECOND % ns)
			ns--;
		err("--apic-bus-hz %u: its cycles are no whole nanoseconds that divide a second; "
		    "near it is %u (%u ns)",
		    t->apic_bus_hz, NS_PER_SECOND / ns, ns);
		return -EINVAL;
	}
	return t->pmu_filter ? check_filter(t) : 0;
}
