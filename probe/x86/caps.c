/* SPDX-License-Identifier: MIT */
/* The KVM capabilities of x86 (Linux Documentation/virt/kvm/api.rst; asm/kvm.h for the bits). */
#include "arch.h"
#include "lkvm/kvm.h"
#include "lkvm/probe.h"

static const char *const vm_types[] = { "default", "sw-protected", "sev", "sev-es", "snp", "tdx" };
static const char *const x2apic_api[] = { "32bit-ids", "no-broadcast-quirk", "eoi-suppression-on",
					  "eoi-suppression-off" };
static const char *const disable_exits[] = { "mwait", "hlt", "pause", "cstate", "aperfmperf" };
static const char *const bus_lock[] = { "off", "exit" };
static const char *const notify[] = { "enabled", "user" };
static const char *const hypercalls[] = { [12] = "map-gpa-range" };
static const char *const sync_regs[] = { "regs", "sregs", "events" };
static const char *const clock_flags[] = { NULL, "tsc-stable", "realtime", "host-tsc" };
static const char *const pmu_capability[] = { "disable" };
static const char *const xen[] = { "hypercall-msr",	   "intercept-hcall",
				   "shared-info",	   "runstate",
				   "evtchn-2level",	   "evtchn-send",
				   "runstate-update-flag", "pvclock-tsc-unstable" };
static const char *const quirks[] = {
	"lint0-reenabled",
	"cd-nw-cleared",
	"lapic-mmio-hole",
	"out-7e-inc-rip",
	"misc-enable-no-mwait",
	"fix-hypercall-insn",
	"mwait-never-ud",
	"slot-zap-all",
	"stuff-feature-msrs",
	"ignore-guest-pat",
	"vmcs12-allow-freeze-in-smm",
	"nested-svm-shared-pat",
};

/* clang-format off */
static const struct probe_cap x86_caps[] = {
	{ "vm-types", PROBE_SEC_KVM, KVM_CAP_VM_TYPES, .since = "6.8",
	  .brings = "types of VM: ordinary and confidential", PROBE_BITS(vm_types) },

	{ "split-irqchip", PROBE_SEC_INTERRUPTS, KVM_CAP_SPLIT_IRQCHIP, PROBE_CAP_FLAG, "4.4",
	  .brings = "local APICs in the kernel, the IOAPIC in lkvm: --irqchip split" },
	{ "pit", PROBE_SEC_INTERRUPTS, KVM_CAP_PIT2, PROBE_CAP_FLAG, "2.6.31", .brings = "the 8254 timer in the kernel" },
	{ "x2apic-api", PROBE_SEC_INTERRUPTS, KVM_CAP_X2APIC_API, .since = "4.8",
	  .brings = "APIC ids beyond 255: more than 255 vcpus", PROBE_BITS(x2apic_api) },

	{ "address-spaces", PROBE_SEC_LIMITS, KVM_CAP_MULTI_ADDRESS_SPACE, PROBE_CAP_COUNT, "4.2",
	  .brings = "views of guest memory: system management mode has one of its own",
	  .missing = "one view only: there is no system management mode" },

	{ "smm", PROBE_SEC_CPU, KVM_CAP_X86_SMM, PROBE_CAP_FLAG, "4.2",
	  .brings = "system management mode: firmware with secure boot",
	  .missing = "not in this KVM (CONFIG_KVM_SMM)" },
	{ "xsave2", PROBE_SEC_CPU, KVM_CAP_XSAVE2, PROBE_CAP_COUNT, "5.17",
	  .brings = "register state beyond 4 KiB (bytes): AMX, snapshots" },
	{ "msr-features", PROBE_SEC_CPU, KVM_CAP_GET_MSR_FEATURES, PROBE_CAP_FLAG, "4.17",
	  .brings = "the MSRs that KVM supports: nested VMX controls by name" },
	{ "smaller-phys-bits", PROBE_SEC_CPU, KVM_CAP_SMALLER_MAXPHYADDR, PROBE_CAP_FLAG, "5.9",
	  .brings = "fewer physical address bits than the host",
	  .missing = "Intel: module parameter kvm_intel.allow_smaller_maxphyaddr; AMD's nested paging "
		     "cannot" },
	{ "pmu-switch", PROBE_SEC_CPU, KVM_CAP_PMU_CAPABILITY, .since = "5.18", PROBE_BITS(pmu_capability),
	  .brings = "a virtual PMU, which can be disabled for each VM: --pmu off", .param = "kvm.enable_pmu",
	  .missing = "this KVM has no virtual PMU" },
	{ "pmu-event-filter", PROBE_SEC_CPU, KVM_CAP_PMU_EVENT_FILTER, PROBE_CAP_FLAG, "5.3",
	  .brings = "which events a guest may count: --pmu-filter", .param = "kvm.enable_pmu" },
	{ "pmu-masked-events", PROBE_SEC_CPU, KVM_CAP_PMU_EVENT_MASKED_EVENTS, PROBE_CAP_FLAG, "6.3",
	  .brings = "the same by mask", .param = "kvm.enable_pmu" },
	{ "hyperv", PROBE_SEC_CPU, KVM_CAP_HYPERV, PROBE_CAP_FLAG, NULL, .brings = "Hyper-V's enlightenments for Windows guests",
	  .missing = "not in this KVM (CONFIG_KVM_HYPERV)" },
	{ "xen", PROBE_SEC_CPU, KVM_CAP_XEN_HVM, .brings = "Xen's interface for its guests", PROBE_BITS(xen),
	  .missing = "not in this KVM (CONFIG_KVM_XEN)" },
	{ "sgx-provisioning", PROBE_SEC_CPU, KVM_CAP_SGX_ATTRIBUTE, PROBE_CAP_FLAG, "5.13", .brings = "SGX enclaves in a guest that attest themselves",
	  .missing = "needs an Intel CPU with SGX, and CONFIG_X86_SGX_KVM" },
	{ "pv-cpuid", PROBE_SEC_CPU, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, PROBE_CAP_FLAG, "5.10",
	  .brings = "KVM's own features only for guests whose CPUID names them" },

	{ "tsc-scaling", PROBE_SEC_TIME, KVM_CAP_TSC_CONTROL, PROBE_CAP_FLAG, NULL,
	  .brings = "a guest's TSC runs at another frequency than the host's: --tsc-khz",
	  .missing = "the CPU has none, or KVM does not use it: guests get the host's frequency" },
	{ "tsc-of-vm", PROBE_SEC_TIME, KVM_CAP_VM_TSC_CONTROL, PROBE_CAP_FLAG, "5.19",
	  .brings = "the frequency is set once for all vcpus", .missing = "needs tsc-scaling" },
	{ "tsc-deadline-timer", PROBE_SEC_TIME, KVM_CAP_TSC_DEADLINE_TIMER, PROBE_CAP_FLAG, "3.3",
	  .brings = "the local APIC's timer counts in the TSC" },
	{ "apic-bus-frequency", PROBE_SEC_TIME, KVM_CAP_X86_APIC_BUS_CYCLES_NS, PROBE_CAP_FLAG, "6.11",
	  .brings = "the frequency of the local APIC's timer: --apic-bus-hz" },
	{ "clock", PROBE_SEC_TIME, KVM_CAP_ADJUST_CLOCK, .brings = "kvmclock can be read and set",
	  PROBE_BITS(clock_flags) },

	{ "nested-state", PROBE_SEC_NESTED, KVM_CAP_NESTED_STATE, PROBE_CAP_COUNT, "4.20",
	  .brings = "a nested hypervisor survives a snapshot (bytes of state)", .missing = "needs nested" },
	{ "enlightened-vmcs", PROBE_SEC_NESTED, KVM_CAP_HYPERV_ENLIGHTENED_VMCS, PROBE_CAP_FLAG, "4.20",
	  .brings = "Hyper-V as the nested hypervisor", .missing = "needs nested VMX and CONFIG_KVM_HYPERV" },
	{ "guest-mode-flag", PROBE_SEC_NESTED, KVM_CAP_X86_GUEST_MODE, PROBE_CAP_FLAG, "6.11",
	  .brings = "an exit says whether it came from the nested guest" },

	{ "sync-regs", PROBE_SEC_EXECUTION, KVM_CAP_SYNC_REGS, .since = "4.17",
	  .brings = "registers in shared memory: cheaper exits", PROBE_BITS(sync_regs) },
	{ "disable-exits", PROBE_SEC_EXECUTION, KVM_CAP_X86_DISABLE_EXITS, .since = "4.17",
	  .brings = "instructions that a guest on CPUs of its own runs without an exit: --disable-exits",
	  PROBE_BITS(disable_exits) },
	{ "user-msr", PROBE_SEC_EXECUTION, KVM_CAP_X86_USER_SPACE_MSR, PROBE_CAP_FLAG, "5.10",
	  .brings = "exits for MSRs that KVM does not know" },
	{ "msr-filter", PROBE_SEC_EXECUTION, KVM_CAP_X86_MSR_FILTER, PROBE_CAP_FLAG, "5.10",
	  .brings = "MSRs that the guest may not access" },
	{ "hypercall-exit", PROBE_SEC_EXECUTION, KVM_CAP_EXIT_HYPERCALL, .since = "5.14",
	  .brings = "page-state changes of confidential guests", PROBE_BITS(hypercalls) },
	{ "bus-lock-exit", PROBE_SEC_EXECUTION, KVM_CAP_X86_BUS_LOCK_EXIT, .since = "5.12",
	  .brings = "guests that lock the bus are detected: --bus-lock-limit", PROBE_BITS(bus_lock),
	  .missing = "the CPU has no bus lock detection for guests, or Linux does not use it (AMD: new in 6.16)" },
	{ "notify-exit", PROBE_SEC_EXECUTION, KVM_CAP_X86_NOTIFY_VMEXIT, .since = "6.0",
	  .brings = "guests that block interrupts for too long are detected: --notify-window", PROBE_BITS(notify),
	  .missing = "the CPU has no notify VM exit (an Intel feature)" },
	{ "emulation-failure-exit", PROBE_SEC_EXECUTION, KVM_CAP_EXIT_ON_EMULATION_FAILURE,
	  PROBE_CAP_FLAG, "5.14", .brings = "an instruction that KVM cannot emulate exits to lkvm instead of raising #UD" },
	{ "triple-fault-event", PROBE_SEC_EXECUTION, KVM_CAP_X86_TRIPLE_FAULT_EVENT, PROBE_CAP_FLAG, "6.0",
	  .brings = "a pending triple fault is part of a vcpu's state" },
	{ "exception-payload", PROBE_SEC_EXECUTION, KVM_CAP_EXCEPTION_PAYLOAD, PROBE_CAP_FLAG, "5.0",
	  .brings = "a pending exception is saved whole" },
	{ "quirks", PROBE_SEC_EXECUTION, KVM_CAP_DISABLE_QUIRKS2, .since = "5.18",
	  .brings = "old quirks of KVM that can be disabled", PROBE_BITS(quirks) },
};
/* clang-format on */

void x86_probe_caps(struct probe *h)
{
	probe_caps(h, x86_caps, ARRAY_SIZE(x86_caps));
}
