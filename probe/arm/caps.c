/* SPDX-License-Identifier: MIT */
/* The KVM capabilities of arm64 (Linux Documentation/virt/kvm/api.rst). */
#include "arch.h"
#include "lkvm/kvm.h"
#include "lkvm/probe.h"

static const char *const reg_ranges[] = { "feature-ids" };

/* clang-format off */
static const struct probe_cap arm_caps[] = {
	{ "address-bits", PROBE_SEC_LIMITS, KVM_CAP_ARM_VM_IPA_SIZE, PROBE_CAP_COUNT, "4.20",
	  .brings = "bits of a guest's physical addresses: how much memory it can have",
	  .missing = "this KVM does not say: guests have 40 bits" },
	{ "hardware-breakpoints", PROBE_SEC_EXECUTION, KVM_CAP_GUEST_DEBUG_HW_BPS, PROBE_CAP_COUNT, "4.3",
	  .brings = "breakpoints that leave the guest's code alone" },
	{ "hardware-watchpoints", PROBE_SEC_EXECUTION, KVM_CAP_GUEST_DEBUG_HW_WPS, PROBE_CAP_COUNT, "4.3",
	  .brings = "stops at accesses to an address" },
	{ "undecoded-access-exit", PROBE_SEC_EXECUTION, KVM_CAP_ARM_NISV_TO_USER, PROBE_CAP_FLAG, "5.5",
	  .brings = "accesses that KVM cannot decode exit to lkvm, which tells the guest" },
	{ "inject-abort", PROBE_SEC_EXECUTION, KVM_CAP_ARM_INJECT_EXT_DABT, PROBE_CAP_FLAG, "5.5",
	  .brings = "lkvm gives the guest an external abort" },
	{ "inject-serror", PROBE_SEC_EXECUTION, KVM_CAP_ARM_INJECT_SERROR_ESR, PROBE_CAP_FLAG, "4.20",
	  .brings = "lkvm gives the guest a system error with a syndrome", .missing = "needs CPUs with RAS" },
	{ "psci", PROBE_SEC_EXECUTION, KVM_CAP_ARM_PSCI_0_2, PROBE_CAP_FLAG, "3.16",
	  .brings = "starting and stopping vcpus: PSCI" },
	{ "system-suspend", PROBE_SEC_EXECUTION, KVM_CAP_ARM_SYSTEM_SUSPEND, PROBE_CAP_FLAG, "5.19",
	  .brings = "guests that suspend to RAM" },

	{ "aarch32", PROBE_SEC_CPU, KVM_CAP_ARM_EL1_32BIT, PROBE_CAP_FLAG, "4.0",
	  .brings = "32-bit kernels: --aarch32", .missing = "the CPUs have no AArch32 at EL1" },
	{ "sve", PROBE_SEC_CPU, KVM_CAP_ARM_SVE, PROBE_CAP_FLAG, "5.2",
	  .brings = "long vectors", .missing = "the CPUs have none, or the kernel was booted with arm64.nosve" },
	{ "pauth-address", PROBE_SEC_CPU, KVM_CAP_ARM_PTRAUTH_ADDRESS, PROBE_CAP_FLAG, "5.2",
	  .brings = "signed return addresses", .missing = "needs CPUs with pointer authentication, all of the same kind" },
	{ "pauth-generic", PROBE_SEC_CPU, KVM_CAP_ARM_PTRAUTH_GENERIC, PROBE_CAP_FLAG, "5.2",
	  .brings = "signatures of data", .missing = "needs CPUs with pointer authentication, all of the same kind" },
	{ "mte", PROBE_SEC_CPU, KVM_CAP_ARM_MTE, PROBE_CAP_FLAG, "5.14",
	  .brings = "tagged memory", .missing = "needs CPUs and memory with MTE2 (CONFIG_ARM64_MTE)" },
	{ "pmu", PROBE_SEC_CPU, KVM_CAP_ARM_PMU_V3, PROBE_CAP_FLAG, "4.6",
	  .brings = "performance counters: --pmu",
	  .missing = "needs a PMU that the firmware describes and Linux drives (CONFIG_ARM_PMUV3)" },
	{ "pmu-event-filter", PROBE_SEC_CPU, KVM_CAP_ARM_PMU_V3, PROBE_CAP_FLAG, "5.10",
	  .brings = "which events a guest may count: --cpu host,+pmu,pmu-deny=EVENTS", .missing = "needs the PMU" },
	{ "writable-id-registers", PROBE_SEC_CPU, KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES, .since = "6.7",
	  .brings = "features hidden from guests: --cpu host,-FEATURE", PROBE_BITS(reg_ranges) },
	{ "writable-implementation", PROBE_SEC_CPU, KVM_CAP_ARM_WRITABLE_IMP_ID_REGS, PROBE_CAP_FLAG, "6.15",
	  .brings = "another maker and part number: migration between unlike hosts" },

	{ "steal-time", PROBE_SEC_TIME, KVM_CAP_STEAL_TIME, PROBE_CAP_FLAG, "5.10",
	  .brings = "guests learn how long the host kept them waiting",
	  .missing = "the host counts no run delay (CONFIG_SCHED_INFO)" },
	{ "counter-offset", PROBE_SEC_TIME, KVM_CAP_COUNTER_OFFSET, PROBE_CAP_FLAG, "6.4",
	  .brings = "counters that are behind the host's: --counter-offset, migration",
	  .missing = "with VHE the CPUs need FEAT_ECV, or the offset of virtual counters alone is there" },
};
/* clang-format on */

void arm_probe_caps(struct probe *h)
{
	probe_caps(h, arm_caps, ARRAY_SIZE(arm_caps));
}
