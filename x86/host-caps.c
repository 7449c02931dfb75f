/* SPDX-License-Identifier: MIT */
/* The KVM capabilities of x86 (Linux Documentation/virt/kvm/api.rst; asm/kvm.h for the bits). */
#include "host.h"
#include "lkvm/host.h"
#include "lkvm/kvm.h"

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
static const struct host_cap x86_caps[] = {
	{ "vm-types", HOST_SEC_KVM, KVM_CAP_VM_TYPES, .since = "6.8",
	  .brings = "kinds of VM: the confidential ones beside the ordinary", HOST_BITS(vm_types) },

	{ "split-irqchip", HOST_SEC_INTERRUPTS, KVM_CAP_SPLIT_IRQCHIP, HOST_CAP_FLAG, "4.4",
	  .brings = "local APICs in the kernel, the IOAPIC in lkvm: --irqchip split" },
	{ "pit", HOST_SEC_INTERRUPTS, KVM_CAP_PIT2, HOST_CAP_FLAG, "2.6.31", .brings = "the 8254 timer in the kernel" },
	{ "x2apic-api", HOST_SEC_INTERRUPTS, KVM_CAP_X2APIC_API, .since = "4.8",
	  .brings = "APIC ids beyond 255: more than 255 vcpus", HOST_BITS(x2apic_api) },

	{ "address-spaces", HOST_SEC_LIMITS, KVM_CAP_MULTI_ADDRESS_SPACE, HOST_CAP_COUNT, "4.2",
	  .brings = "views of guest memory: system management mode has one of its own",
	  .missing = "one view only: there is no system management mode" },

	{ "smm", HOST_SEC_CPU, KVM_CAP_X86_SMM, HOST_CAP_FLAG, "4.2",
	  .brings = "system management mode: firmware with secure boot",
	  .missing = "not in this KVM (CONFIG_KVM_SMM)" },
	{ "xsave2", HOST_SEC_CPU, KVM_CAP_XSAVE2, HOST_CAP_COUNT, "5.17",
	  .brings = "register state beyond 4 KiB (bytes): AMX, snapshots" },
	{ "msr-features", HOST_SEC_CPU, KVM_CAP_GET_MSR_FEATURES, HOST_CAP_FLAG, "4.17",
	  .brings = "the MSRs that KVM supports: nested VMX controls by name" },
	{ "smaller-phys-bits", HOST_SEC_CPU, KVM_CAP_SMALLER_MAXPHYADDR, HOST_CAP_FLAG, "5.9",
	  .brings = "fewer physical address bits than the host",
	  .missing = "Intel: module parameter kvm_intel.allow_smaller_maxphyaddr; AMD's nested paging "
		     "cannot" },
	{ "pmu-switch", HOST_SEC_CPU, KVM_CAP_PMU_CAPABILITY, .since = "5.18", HOST_BITS(pmu_capability),
	  .brings = "a virtual PMU, which can be taken away for each VM", .param = "kvm.enable_pmu",
	  .missing = "this KVM has no virtual PMU" },
	{ "pmu-event-filter", HOST_SEC_CPU, KVM_CAP_PMU_EVENT_FILTER, HOST_CAP_FLAG, "5.3",
	  .brings = "which events a guest may count", .param = "kvm.enable_pmu" },
	{ "pmu-masked-events", HOST_SEC_CPU, KVM_CAP_PMU_EVENT_MASKED_EVENTS, HOST_CAP_FLAG, "6.3",
	  .brings = "the same by mask", .param = "kvm.enable_pmu" },
	{ "hyperv", HOST_SEC_CPU, KVM_CAP_HYPERV, HOST_CAP_FLAG, NULL, .brings = "Hyper-V's enlightenments for Windows guests",
	  .missing = "not in this KVM (CONFIG_KVM_HYPERV)" },
	{ "xen", HOST_SEC_CPU, KVM_CAP_XEN_HVM, .brings = "Xen's interface for its guests", HOST_BITS(xen),
	  .missing = "not in this KVM (CONFIG_KVM_XEN)" },
	{ "sgx-provisioning", HOST_SEC_CPU, KVM_CAP_SGX_ATTRIBUTE, HOST_CAP_FLAG, "5.13", .brings = "SGX enclaves in a guest that attest themselves",
	  .missing = "needs an Intel CPU with SGX, and CONFIG_X86_SGX_KVM" },
	{ "pv-cpuid", HOST_SEC_CPU, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, HOST_CAP_FLAG, "5.10",
	  .brings = "KVM's own features only for guests whose CPUID names them" },

	{ "tsc-scaling", HOST_SEC_TIME, KVM_CAP_TSC_CONTROL, HOST_CAP_FLAG, NULL,
	  .brings = "a guest's TSC runs at another frequency than the host's",
	  .missing = "the CPU has none, or KVM does not use it: guests get the host's frequency" },
	{ "tsc-of-vm", HOST_SEC_TIME, KVM_CAP_VM_TSC_CONTROL, HOST_CAP_FLAG, "5.19",
	  .brings = "the frequency is set once for all vcpus", .missing = "needs tsc-scaling" },
	{ "tsc-deadline-timer", HOST_SEC_TIME, KVM_CAP_TSC_DEADLINE_TIMER, HOST_CAP_FLAG, "3.3",
	  .brings = "the local APIC's timer counts in the TSC" },
	{ "apic-bus-frequency", HOST_SEC_TIME, KVM_CAP_X86_APIC_BUS_CYCLES_NS, HOST_CAP_FLAG, "6.11",
	  .brings = "the frequency of the local APIC's timer" },
	{ "clock", HOST_SEC_TIME, KVM_CAP_ADJUST_CLOCK, .brings = "kvmclock can be read and set",
	  HOST_BITS(clock_flags) },

	{ "nested-state", HOST_SEC_NESTED, KVM_CAP_NESTED_STATE, HOST_CAP_COUNT, "4.20",
	  .brings = "a nested hypervisor survives a snapshot (bytes of state)", .missing = "needs nested" },
	{ "enlightened-vmcs", HOST_SEC_NESTED, KVM_CAP_HYPERV_ENLIGHTENED_VMCS, HOST_CAP_FLAG, "4.20",
	  .brings = "Hyper-V as the nested hypervisor", .missing = "needs nested VMX and CONFIG_KVM_HYPERV" },
	{ "guest-mode-flag", HOST_SEC_NESTED, KVM_CAP_X86_GUEST_MODE, HOST_CAP_FLAG, "6.11",
	  .brings = "an exit says whether it came from the nested guest" },

	{ "sync-regs", HOST_SEC_EXECUTION, KVM_CAP_SYNC_REGS, .since = "4.17",
	  .brings = "registers in shared memory: cheaper exits", HOST_BITS(sync_regs) },
	{ "disable-exits", HOST_SEC_EXECUTION, KVM_CAP_X86_DISABLE_EXITS, .since = "4.17",
	  .brings = "instructions that a guest on CPUs of its own runs without an exit",
	  HOST_BITS(disable_exits) },
	{ "user-msr", HOST_SEC_EXECUTION, KVM_CAP_X86_USER_SPACE_MSR, HOST_CAP_FLAG, "5.10",
	  .brings = "exits for MSRs that KVM does not know" },
	{ "msr-filter", HOST_SEC_EXECUTION, KVM_CAP_X86_MSR_FILTER, HOST_CAP_FLAG, "5.10",
	  .brings = "MSRs kept from the guest" },
	{ "hypercall-exit", HOST_SEC_EXECUTION, KVM_CAP_EXIT_HYPERCALL, .since = "5.14",
	  .brings = "page-state changes of confidential guests", HOST_BITS(hypercalls) },
	{ "bus-lock-exit", HOST_SEC_EXECUTION, KVM_CAP_X86_BUS_LOCK_EXIT, .since = "5.12",
	  .brings = "guests that lock the bus are noticed", HOST_BITS(bus_lock),
	  .missing = "the CPU has no bus lock detection for guests" },
	{ "notify-exit", HOST_SEC_EXECUTION, KVM_CAP_X86_NOTIFY_VMEXIT, .since = "6.0",
	  .brings = "guests that let no interrupt through are noticed", HOST_BITS(notify),
	  .missing = "the CPU has no notify VM exit (an Intel feature)" },
	{ "emulation-failure-exit", HOST_SEC_EXECUTION, KVM_CAP_EXIT_ON_EMULATION_FAILURE,
	  HOST_CAP_FLAG, "5.14", .brings = "an instruction that KVM cannot emulate is shown, not made #UD" },
	{ "triple-fault-event", HOST_SEC_EXECUTION, KVM_CAP_X86_TRIPLE_FAULT_EVENT, HOST_CAP_FLAG, "6.0",
	  .brings = "a pending triple fault is part of a vcpu's state" },
	{ "exception-payload", HOST_SEC_EXECUTION, KVM_CAP_EXCEPTION_PAYLOAD, HOST_CAP_FLAG, "5.0",
	  .brings = "a pending exception is saved whole" },
	{ "quirks", HOST_SEC_EXECUTION, KVM_CAP_DISABLE_QUIRKS2, .since = "5.18",
	  .brings = "old mistakes of KVM that can be switched off", HOST_BITS(quirks) },
};
/* clang-format on */

void x86_host_caps(struct host *h)
{
	host_caps(h, x86_caps, ARRAY_SIZE(x86_caps));
}
