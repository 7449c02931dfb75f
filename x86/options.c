/* SPDX-License-Identifier: MIT */
/* The options of x86-64 machines; plain data that every binary has. */
#include "lkvm/arch.h"
#include "lkvm/config-snp.h"
#include "lkvm/config.h"
#include "options-nested.h"

#define MEMBER(m) .offset = offsetof(struct vm_config, x86.m)

static const char *const irqchip_names[] = { "default", "full", "split", NULL };
static const char *const kernel_format_names[] = {
	"auto", "elf", "flat", "bzimage", "pvh", "multiboot", NULL,
};

static const char *const pmu_names[] = { "default", "on", "off", NULL };
static const char *const host_bridge_names[] = { "generic", "cloud-hypervisor", NULL };

static const char *const nested_names[] = { "auto", "on", "off", NULL };

/* clang-format off */
const struct option_spec x86_options[] = {
	{ .type = OPT_GROUP, .help = "x86-64" },
	{ .type = OPT_STRING, .name = "cpu", .arg = "host|min|v2|v3|v4[,+FEATURE][,-FEATURE][,PROPERTY=VALUE]...",
	  MEMBER(cpu), .flags = OPT_SELFTEST, .def = "host", .unset = "host", .words = arch_cpu_words, .list = arch_cpu_list,
	  .help = "the CPUs: the host's, or a level of x86-64, with some features and properties changed; help: what there is" },
	{ .type = OPT_CHOICE, .name = "irqchip", MEMBER(irqchip), .choices = irqchip_names,
	  .flags = OPT_SELFTEST, .def = "split, but full for what expects a PC",
	  .help = "interrupt controllers: all in KVM, or the local APICs only" },
	{ .type = OPT_CHOICE, .name = "kernel-format", MEMBER(kernel_format),
	  .flags = OPT_SELFTEST, .choices = kernel_format_names, .def = "auto",
	  .help = "how the kernel is loaded and entered" },
	{ .type = OPT_CHOICE, .name = "host-bridge", MEMBER(host_bridge),
	  .choices = host_bridge_names, .def = "generic",
	  .help = "whose PCI host bridge it is; cloud-hypervisor: for UEFI firmware built for that" },
	{ .type = OPT_CHOICE, .name = "nested", MEMBER(nested), .choices = nested_names,
	  .flags = OPT_SELFTEST, .def = "auto",
	  .help = "whether the guest can be a hypervisor itself, with VMX or SVM; auto: where the host's KVM "
		  "offers it" },
	{ .type = OPT_TYPED, .name = "vmx", .arg = "help|[+FEATURE][,-FEATURE]...", .hooks = &x86_vmx_hooks, .list = x86_vmx_list,
	  .flags = OPT_SELFTEST | OPT_REPEATABLE,
	  .help = "what of VMX a guest's hypervisor finds: all that KVM offers, without the features with a "
		  "minus, and those with a plus must be there; help lists them" },
	{ .type = OPT_TYPED, .name = "svm", .arg = "help|[+FEATURE][,-FEATURE][,revision=N][,asids=N]...",
	  .hooks = &x86_svm_hooks, .list = x86_svm_list, .flags = OPT_SELFTEST | OPT_REPEATABLE,
	  .help = "the same of SVM" },
	{ .type = OPT_FLAG, .name = "post-codes", MEMBER(post_codes),
	  .help = "a byte that is written to port 0x80, and is not the one before, is a mark in the times of the "
		  "boot; Linux writes there when it waits for a slow device" },
	{ .type = OPT_FLAG, .name = "testdev", MEMBER(testdev),
	  .help = "what the images of KVM's unit tests expect of a machine: fw_cfg with RAM and CPUs, a test "
		  "device, interrupt lines, 8259s as a BIOS leaves them" },
	{ .type = OPT_U32, .name = "tsc-khz", .arg = "N", MEMBER(tuning.tsc_khz),
	  .min = X86_TSC_KHZ_MIN, .max = X86_TSC_KHZ_MAX, .flags = OPT_SELFTEST, .def = "the host's", .unset = "the host's",
	  .help = "frequency of the time stamp counter, 100000 (100 MHz) to 10000000 (10 GHz); another than the host's needs a host that scales it" },
	{ .type = OPT_U32, .name = "apic-bus-hz", .arg = "HZ", MEMBER(tuning.apic_bus_hz),
	  .min = X86_APIC_BUS_HZ_MIN, .max = X86_APIC_BUS_HZ_MAX, .flags = OPT_SELFTEST, .def = "1000000000",
	  .help = "frequency that the local APIC's timer counts, of whole nanoseconds: 1000000000 divided by a number, as 25000000" },
	{ .type = OPT_TYPED, .name = "disable-exits", .arg = "hlt|pause|mwait|cstate|aperfmperf[,...]",
	  .hooks = &x86_disable_exits_hooks, .flags = OPT_SELFTEST,
	  .help = "what the guest does without leaving its CPU; for vcpus that have CPUs of their own (--vcpu-affinity). hlt: it halts there; mwait: it waits there, and is told that it can; pause: it spins; cstate, aperfmperf: it reads the counters of the CPU's idle states, of its frequency" },
	{ .type = OPT_CHOICE, .name = "pmu", MEMBER(tuning.pmu), .choices = pmu_names,
	  .flags = OPT_SELFTEST, .def = "what the host gives",
	  .help = "performance counters: on refuses a host that has none for guests, off takes them away" },
	{ .type = OPT_STRING, .name = "pmu-filter", .arg = "allow|deny:EVENT[,EVENT...]", MEMBER(tuning.pmu_filter),
	  .help = "what the guest may count, or may not; EVENT: a name (cycles, instructions, branches...); SELECT:UMASK in hexadecimal; SELECT:UMASK/MASK, which compares only the bits in MASK, a '-' in front excepts its events; fixedN, a fixed counter" },
	{ .type = OPT_U32, .name = "bus-lock-limit", .arg = "N", MEMBER(tuning.bus_lock_limit), .min = 1,
	  .max = 1000000000, .def = "none", .unset = "none",
	  .help = "how often in a second the guest may lock the bus, which stalls every CPU; its vcpus wait for the rest" },
	{ .type = OPT_TYPED, .name = "notify-window", .arg = "CYCLES", .hooks = &x86_notify_window_hooks,
	  .help = "take the CPU back from a guest that lets no interrupt through for so many cycles, 0 or more on top of the processor's own minimum" },
	{ .type = OPT_TYPED, .name = "snp", .arg = "policy=N|+BIT|-BIT[,...]", .hooks = &x86_snp_hooks, .list = x86_snp_list,
	  .flags = OPT_OPTIONAL | OPT_CONFIDENTIAL | OPT_MEASURED,
	  .help = "a confidential guest by AMD's SEV-SNP, with this policy (0x30000 without any words); help lists the bits" },
	{ .type = OPT_STRING, .name = "snp-id-block", .arg = "FILE", MEMBER(snp.id_block), .flags = OPT_PATH,
	  .help = "the owner's ID block, 96 bytes: which measurement and policy the firmware is to insist on; needs --snp-id-auth" },
	{ .type = OPT_STRING, .name = "snp-id-auth", .arg = "FILE", MEMBER(snp.id_auth), .flags = OPT_PATH,
	  .help = "the signatures of the ID block, 4096 bytes" },
	{ .type = OPT_STRING, .name = "snp-host-data", .arg = "HEX", MEMBER(snp.host_data),
	  .help = "32 bytes, as 64 hexadecimal digits, that attestation reports repeat as the host's word" },
	{ .type = OPT_STRING, .name = "snp-certs", .arg = "FILE", MEMBER(snp.certs), .flags = OPT_PATH,
	  .help = "the certificates that a guest gets with an attestation report: a table as the GHCB specification has it" },
	{ .type = OPT_TYPED, .name = "snp-guest-requests", .arg = "interval=MS[,burst=N]", .hooks = &x86_snp_requests_hooks,
	  .def = "no limit",
	  .help = "how often the guest may call the firmware, which all guests share: N times in MS milliseconds; interval=1000 or interval=2000,burst=2 is enough for what guests ask" },
	OPT_END
};
/* clang-format on */
