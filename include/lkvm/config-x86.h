/* SPDX-License-Identifier: MIT */
/* What only an x86-64 machine can be asked for; the rows are in x86/options.c. */
#ifndef LKVM_CONFIG_X86_H
#define LKVM_CONFIG_X86_H

#include "lkvm/options.h"

enum x86_irqchip {
	X86_IRQCHIP_DEFAULT, /* x86_wants_split_irqchip: by what is started */
	X86_IRQCHIP_FULL,
	X86_IRQCHIP_SPLIT,
};

enum x86_kernel_format {
	X86_KERNEL_AUTO,
	X86_KERNEL_ELF,	      /* ELF entered at e_entry, in 64-bit mode with boot_params */
	X86_KERNEL_FLAT,      /* raw image, entered at its first byte */
	X86_KERNEL_BZIMAGE,   /* Linux 64-bit boot protocol */
	X86_KERNEL_PVH,	      /* ELF entered by its PVH note */
	X86_KERNEL_MULTIBOOT, /* multiboot 1, as kvm-unit-tests build them */
};

enum x86_host_bridge {
	X86_BRIDGE_GENERIC,
	X86_BRIDGE_CLOUD_HYPERVISOR, /* edk2's CloudHv build asks for its id */
};

enum x86_nested_switch {
	X86_NESTED_SWITCH_AUTO, /* what KVM offers */
	X86_NESTED_SWITCH_ON,	/* the same, and it must be there */
	X86_NESTED_SWITCH_OFF,
};

/*
 * The TDX module's own range; a frequency that scales to nothing keeps some hosts' kernels in a
 * loop for ever.
 */
#define X86_TSC_KHZ_MIN 100000U
#define X86_TSC_KHZ_MAX 10000000U
/* KVM counts whole nanoseconds. */
#define X86_APIC_BUS_HZ_MIN 1000000U
#define X86_APIC_BUS_HZ_MAX 1000000000U

/* Bits of x86_tuning.disable_exits: KVM_X86_DISABLE_EXITS_* of <linux/kvm.h>. */
#define X86_EXIT_MWAIT	    BIT(0)
#define X86_EXIT_HLT	    BIT(1)
#define X86_EXIT_PAUSE	    BIT(2)
#define X86_EXIT_CSTATE	    BIT(3)
#define X86_EXIT_APERFMPERF BIT(4)
#define X86_NR_EXITS	    5

/* The words of --disable-exits: bit n is word n; NULL-terminated. */
extern const char *const x86_exit_names[];

enum x86_pmu { X86_PMU_DEFAULT, X86_PMU_ON, X86_PMU_OFF };

/* Clocks, the PMU, and how the guest's time on a CPU is spent (docs/clock.md). */
struct x86_tuning {
	u32 tsc_khz;	   /* 0: the host's */
	u32 apic_bus_hz;   /* what the local APIC's timer counts; 0: KVM's 1 GHz */
	u32 disable_exits; /* X86_EXIT_* */
	enum x86_pmu pmu;
	char *pmu_filter;   /* NULL: none; x86/pmu-filter.c reads it */
	u32 bus_lock_limit; /* of the whole VM, in a second; 0: none */
	u32 notify_window;  /* cycles of the TSC */
	bool has_notify_window;
};

/* An SEV-SNP guest (docs/snp.md); bits by name are in config-snp.h. */
struct x86_snp_config {
	bool on;
	u64 policy;		  /* as the firmware has it */
	u64 features;		  /* of the VMSA, beside SNP_ACTIVE */
	u32 signature;		  /* RDX of a vcpu at the reset vector of firmware */
	bool cpuid_fix;		  /* take the firmware's corrections of the CPUID page */
	char *id_block, *id_auth; /* files; both or none */
	char *host_data;	  /* hexadecimal, or NULL: zeroes */
	char *certs;		  /* file, or NULL */
	u32 request_interval_ms;  /* 0: guest requests have no limit */
	u32 request_burst;
};

/* Attributes of a trust domain (TDX module ABI, ATTRIBUTES). */
#define X86_TDX_SEPT_VE_DISABLE BIT_ULL(28)
#define X86_TDX_ID_LEN		48 /* of MRCONFIGID and its like: a SHA-384 */

/* Trust domains (docs/tdx.md); the rows are in x86/options-tdx.c. */
struct x86_tdx_config {
	bool on;
	/* What was given beside it; without --tdx it has no use. */
	bool has_attributes, has_xfam, has_config_id, has_owner, has_owner_config;
	u64 attributes; /* the default where none were given */
	u64 xfam;
	u8 config_id[X86_TDX_ID_LEN], owner[X86_TDX_ID_LEN], owner_config[X86_TDX_ID_LEN];
	char *quote; /* "unix:PATH": who makes quotes; NULL: nobody */
};

struct x86_config {
	char *cpu; /* "host,+feature,-feature,property=value" (--cpu), or NULL: the host's */
	enum x86_irqchip irqchip;
	enum x86_kernel_format kernel_format;
	enum x86_host_bridge host_bridge;
	bool post_codes; /* are marks too */
	bool testdev;	 /* what kvm-unit-tests look for */
	enum x86_nested_switch nested;
	char *vmx, *svm; /* "+feature,-feature" (--vmx, --svm), or NULL */
	struct x86_tuning tuning;
	struct x86_snp_config snp;
	struct x86_tdx_config tdx;
};

extern const struct option_spec x86_options[], x86_tdx_options[];
/* config-x86.c */
extern const struct option_hooks x86_disable_exits_hooks, x86_notify_window_hooks;

#endif
