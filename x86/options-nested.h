/* SPDX-License-Identifier: MIT */
/*
 * What a guest's hypervisor may find of VMX and SVM, by name: the words of --vmx and --svm, of
 * their help and of completion, and the rows of `lkvm host`. Plain data that every binary has
 * (Intel SDM volume 3, appendix A and 26.6 to 26.8; AMD APM volume 3, E.4.9).
 *
 * Names are QEMU's without "vmx-", where it has one; the alias is Linux's, of the line "vmx flags"
 * in /proc/cpuinfo, or "": it shows none. The last but one column is what the feature needs.
 */
#ifndef LKVM_X86_OPTIONS_NESTED_H
#define LKVM_X86_OPTIONS_NESTED_H

#include <stdio.h>

#include "lkvm/options.h"

/* Intel SDM volume 4, table 2-2 */
#define MSR_VMX_BASIC		0x480
#define MSR_VMX_MISC		0x485
#define MSR_VMX_CR0_FIXED0	0x486
#define MSR_VMX_CR4_FIXED0	0x488
#define MSR_VMX_PROCBASED_CTLS2 0x48b
#define MSR_VMX_EPT_VPID_CAP	0x48c
#define MSR_VMX_TRUE_PINBASED	0x48d
#define MSR_VMX_TRUE_PROCBASED	0x48e
#define MSR_VMX_TRUE_EXIT	0x48f
#define MSR_VMX_TRUE_ENTRY	0x490
#define MSR_VMX_VMFUNC		0x491
#define MSR_VMX_PROCBASED_CTLS3 0x492
#define MSR_VMX_EXIT_CTLS2	0x493

/* clang-format off */
/* X(name, alias, MSR, bit, needs, text) */
#define X86_VMX_BASIC(X) \
	X("dual-monitor", "", MSR_VMX_BASIC, 49, "", "dual-monitor treatment of SMIs") \
	X("ins-outs", "", MSR_VMX_BASIC, 54, "", "exits of INS and OUTS tell the instruction") \
	X("true-ctls", "", MSR_VMX_BASIC, 55, "", "the TRUE_ MSRs: controls of the default1 class may be 0") \
	X("any-errcode", "", MSR_VMX_BASIC, 56, "", "exceptions are injected with or without an error code") \
	X("nested-exception", "", MSR_VMX_BASIC, 58, "", "injected exceptions can be nested ones (FRED)") \
	X("store-lma", "", MSR_VMX_MISC, 5, "", "exits store EFER.LMA in the entry control") \
	X("activity-hlt", "", MSR_VMX_MISC, 6, "", "entry into the state HLT") \
	X("activity-shutdown", "", MSR_VMX_MISC, 7, "", "entry into the state shutdown") \
	X("activity-wait-sipi", "", MSR_VMX_MISC, 8, "", "entry into the state wait-for-SIPI") \
	X("pt-in-vmx", "", MSR_VMX_MISC, 14, "", "Processor Trace in VMX operation") \
	X("smbase-msr", "", MSR_VMX_MISC, 15, "", "IA32_SMBASE can be read in system management mode") \
	X("vmxoff-block-smi", "", MSR_VMX_MISC, 28, "", "VMXOFF keeps SMIs blocked") \
	X("vmwrite-vmexit-fields", "", MSR_VMX_MISC, 29, "", "VMWRITE to any field of the VMCS") \
	X("zero-len-inject", "", MSR_VMX_MISC, 30, "", "software events are injected with instruction length 0") \
	X("cr0-pe-clear", "", MSR_VMX_CR0_FIXED0, 0, "", "CR0.PE may be 0 in VMX operation") \
	X("cr0-ne-clear", "", MSR_VMX_CR0_FIXED0, 5, "", "CR0.NE may be 0 in VMX operation") \
	X("cr0-pg-clear", "", MSR_VMX_CR0_FIXED0, 31, "", "CR0.PG may be 0 in VMX operation") \
	X("cr4-vmxe-clear", "", MSR_VMX_CR4_FIXED0, 13, "", "CR4.VMXE may be 0 in VMX operation")

#define X86_VMX_PINBASED(X) \
	X("intr-exit", "", MSR_VMX_TRUE_PINBASED, 0, "", "exits for interrupts") \
	X("nmi-exit", "", MSR_VMX_TRUE_PINBASED, 3, "", "exits for NMIs") \
	X("vnmi", "vnmi", MSR_VMX_TRUE_PINBASED, 5, "nmi-exit", "virtual NMIs") \
	X("preemption-timer", "preemption_timer", MSR_VMX_TRUE_PINBASED, 6, "", "VMX-preemption timer") \
	X("posted-intr", "posted_intr", MSR_VMX_TRUE_PINBASED, 7, "apicv-vid exit-ack-intr", "posted interrupts")

#define X86_VMX_PROCBASED(X) \
	X("vintr-pending", "", MSR_VMX_TRUE_PROCBASED, 2, "", "exits when an interrupt can be taken") \
	X("tsc-offset", "tsc_offset", MSR_VMX_TRUE_PROCBASED, 3, "", "TSC with an offset") \
	X("hlt-exit", "", MSR_VMX_TRUE_PROCBASED, 7, "", "exits of HLT") \
	X("invlpg-exit", "", MSR_VMX_TRUE_PROCBASED, 9, "", "exits of INVLPG") \
	X("mwait-exit", "", MSR_VMX_TRUE_PROCBASED, 10, "", "exits of MWAIT") \
	X("rdpmc-exit", "", MSR_VMX_TRUE_PROCBASED, 11, "", "exits of RDPMC") \
	X("rdtsc-exit", "", MSR_VMX_TRUE_PROCBASED, 12, "", "exits of RDTSC") \
	X("cr3-load-noexit", "", MSR_VMX_TRUE_PROCBASED, 15, "true-ctls", "writes of CR3 need not exit") \
	X("cr3-store-noexit", "", MSR_VMX_TRUE_PROCBASED, 16, "true-ctls", "reads of CR3 need not exit") \
	X("tertiary-ctls", "", MSR_VMX_TRUE_PROCBASED, 17, "", "tertiary controls") \
	X("cr8-load-exit", "", MSR_VMX_TRUE_PROCBASED, 19, "", "exits of writes of CR8") \
	X("cr8-store-exit", "", MSR_VMX_TRUE_PROCBASED, 20, "", "exits of reads of CR8") \
	X("flexpriority", "vtpr", MSR_VMX_TRUE_PROCBASED, 21, "", "TPR shadow") \
	X("vnmi-pending", "", MSR_VMX_TRUE_PROCBASED, 22, "vnmi", "exits when an NMI can be taken") \
	X("movdr-exit", "", MSR_VMX_TRUE_PROCBASED, 23, "", "exits of accesses to debug registers") \
	X("io-exit", "", MSR_VMX_TRUE_PROCBASED, 24, "", "exits of all port accesses") \
	X("io-bitmap", "", MSR_VMX_TRUE_PROCBASED, 25, "", "exits of ports by bitmap") \
	X("mtf", "mtf", MSR_VMX_TRUE_PROCBASED, 27, "", "monitor trap flag: single steps") \
	X("msr-bitmap", "", MSR_VMX_TRUE_PROCBASED, 28, "", "exits of MSRs by bitmap") \
	X("monitor-exit", "", MSR_VMX_TRUE_PROCBASED, 29, "", "exits of MONITOR") \
	X("pause-exit", "", MSR_VMX_TRUE_PROCBASED, 30, "", "exits of PAUSE") \
	X("secondary-ctls", "", MSR_VMX_TRUE_PROCBASED, 31, "", "secondary controls")

#define X86_VMX_SECONDARY(X) \
	X("apicv-xapic", "vapic", MSR_VMX_PROCBASED_CTLS2, 0, "", "virtual APIC accesses in memory") \
	X("ept", "ept", MSR_VMX_PROCBASED_CTLS2, 1, "", "extended page tables") \
	X("desc-exit", "", MSR_VMX_PROCBASED_CTLS2, 2, "", "exits of accesses to descriptor-table registers") \
	X("rdtscp-exit", "", MSR_VMX_PROCBASED_CTLS2, 3, "", "RDTSCP") \
	X("apicv-x2apic", "", MSR_VMX_PROCBASED_CTLS2, 4, "flexpriority", "virtual x2APIC mode") \
	X("vpid", "vpid", MSR_VMX_PROCBASED_CTLS2, 5, "", "virtual-processor identifiers") \
	X("wbinvd-exit", "", MSR_VMX_PROCBASED_CTLS2, 6, "", "exits of WBINVD") \
	X("unrestricted-guest", "unrestricted_guest", MSR_VMX_PROCBASED_CTLS2, 7, "ept", "guests in real mode or without paging") \
	X("apicv-register", "vapic_reg", MSR_VMX_PROCBASED_CTLS2, 8, "flexpriority", "APIC-register virtualization") \
	X("apicv-vid", "vid", MSR_VMX_PROCBASED_CTLS2, 9, "flexpriority intr-exit", "virtual-interrupt delivery") \
	X("ple", "ple", MSR_VMX_PROCBASED_CTLS2, 10, "", "PAUSE-loop exits") \
	X("rdrand-exit", "", MSR_VMX_PROCBASED_CTLS2, 11, "", "exits of RDRAND") \
	X("invpcid-exit", "", MSR_VMX_PROCBASED_CTLS2, 12, "", "INVPCID") \
	X("vmfunc", "", MSR_VMX_PROCBASED_CTLS2, 13, "", "VM functions") \
	X("shadow-vmcs", "shadow_vmcs", MSR_VMX_PROCBASED_CTLS2, 14, "", "VMCS shadowing") \
	X("encls-exit", "", MSR_VMX_PROCBASED_CTLS2, 15, "", "exits of ENCLS") \
	X("rdseed-exit", "", MSR_VMX_PROCBASED_CTLS2, 16, "", "exits of RDSEED") \
	X("pml", "pml", MSR_VMX_PROCBASED_CTLS2, 17, "ept", "page-modification log") \
	X("ept-violation-ve", "ept_violation_ve", MSR_VMX_PROCBASED_CTLS2, 18, "ept", "EPT violations as exceptions (#VE)") \
	X("pt-conceal", "", MSR_VMX_PROCBASED_CTLS2, 19, "", "Processor Trace does not show VMX") \
	X("xsaves", "", MSR_VMX_PROCBASED_CTLS2, 20, "", "XSAVES and XRSTORS") \
	X("pasid", "", MSR_VMX_PROCBASED_CTLS2, 21, "", "translation of PASIDs") \
	X("mbec", "ept_mode_based_exec", MSR_VMX_PROCBASED_CTLS2, 22, "ept", "mode-based execute control for EPT") \
	X("ept-subpage", "", MSR_VMX_PROCBASED_CTLS2, 23, "ept", "sub-page write permissions for EPT") \
	X("pt-gpa", "", MSR_VMX_PROCBASED_CTLS2, 24, "ept", "Processor Trace uses guest physical addresses") \
	X("tsc-scaling", "tsc_scaling", MSR_VMX_PROCBASED_CTLS2, 25, "tsc-offset", "TSC at another frequency") \
	X("enable-user-wait-pause", "usr_wait_pause", MSR_VMX_PROCBASED_CTLS2, 26, "", "TPAUSE, UMONITOR and UMWAIT") \
	X("pconfig", "", MSR_VMX_PROCBASED_CTLS2, 27, "", "PCONFIG") \
	X("enclv-exit", "", MSR_VMX_PROCBASED_CTLS2, 28, "", "exits of ENCLV") \
	X("bus-lock-exit", "bus_lock_detection", MSR_VMX_PROCBASED_CTLS2, 30, "", "exits for bus locks") \
	X("notify-exit", "notify_vm_exiting", MSR_VMX_PROCBASED_CTLS2, 31, "", "exits of guests that block interrupts") \
	X("loadiwkey-exit", "", MSR_VMX_PROCBASED_CTLS3, 0, "", "exits of LOADIWKEY") \
	X("hlat", "", MSR_VMX_PROCBASED_CTLS3, 1, "ept", "hypervisor-managed linear-address translation") \
	X("ept-paging-write", "", MSR_VMX_PROCBASED_CTLS3, 2, "ept", "EPT pages that only paging writes") \
	X("guest-paging-verification", "", MSR_VMX_PROCBASED_CTLS3, 3, "ept", "EPT verifies guest paging") \
	X("ipi-virt", "ipi_virt", MSR_VMX_PROCBASED_CTLS3, 4, "flexpriority", "IPI virtualization") \
	X("msr-list", "", MSR_VMX_PROCBASED_CTLS3, 6, "", "RDMSRLIST and WRMSRLIST") \
	X("virt-spec-ctrl", "", MSR_VMX_PROCBASED_CTLS3, 7, "", "virtual IA32_SPEC_CTRL")

#define X86_VMX_EXIT_ENTRY(X) \
	X("exit-nosave-debugctl", "", MSR_VMX_TRUE_EXIT, 2, "true-ctls", "exits need not save debug controls") \
	X("exit-host-64bit", "", MSR_VMX_TRUE_EXIT, 9, "", "exits to 64-bit mode") \
	X("exit-load-perf-global-ctrl", "", MSR_VMX_TRUE_EXIT, 12, "", "exits load IA32_PERF_GLOBAL_CTRL") \
	X("exit-ack-intr", "", MSR_VMX_TRUE_EXIT, 15, "", "exits acknowledge the interrupt") \
	X("exit-save-pat", "", MSR_VMX_TRUE_EXIT, 18, "", "exits save IA32_PAT") \
	X("exit-load-pat", "", MSR_VMX_TRUE_EXIT, 19, "", "exits load IA32_PAT") \
	X("exit-save-efer", "", MSR_VMX_TRUE_EXIT, 20, "", "exits save IA32_EFER") \
	X("exit-load-efer", "", MSR_VMX_TRUE_EXIT, 21, "", "exits load IA32_EFER") \
	X("exit-save-preemption-timer", "", MSR_VMX_TRUE_EXIT, 22, "preemption-timer", "exits save the VMX-preemption timer") \
	X("exit-clear-bndcfgs", "", MSR_VMX_TRUE_EXIT, 23, "", "exits clear IA32_BNDCFGS") \
	X("exit-pt-conceal", "", MSR_VMX_TRUE_EXIT, 24, "", "Processor Trace does not show exits") \
	X("exit-clear-rtit-ctl", "", MSR_VMX_TRUE_EXIT, 25, "", "exits clear IA32_RTIT_CTL") \
	X("exit-clear-lbr-ctl", "", MSR_VMX_TRUE_EXIT, 26, "", "exits clear IA32_LBR_CTL") \
	X("exit-clear-uinv", "", MSR_VMX_TRUE_EXIT, 27, "", "exits clear UINV") \
	X("exit-load-cet", "", MSR_VMX_TRUE_EXIT, 28, "", "exits load the state of CET") \
	X("exit-load-pkrs", "", MSR_VMX_TRUE_EXIT, 29, "", "exits load IA32_PKRS") \
	X("exit-save-perf-global-ctrl", "", MSR_VMX_TRUE_EXIT, 30, "", "exits save IA32_PERF_GLOBAL_CTRL") \
	X("exit-secondary-ctls", "", MSR_VMX_TRUE_EXIT, 31, "", "secondary exit controls") \
	X("exit-save-fred", "", MSR_VMX_EXIT_CTLS2, 0, "", "exits save the state of FRED") \
	X("exit-load-fred", "", MSR_VMX_EXIT_CTLS2, 1, "", "exits load the state of FRED") \
	X("exit-busy-shstk", "", MSR_VMX_EXIT_CTLS2, 3, "", "exits report a prematurely busy shadow stack") \
	X("entry-noload-debugctl", "", MSR_VMX_TRUE_ENTRY, 2, "true-ctls", "entries need not load debug controls") \
	X("entry-ia32e-mode", "", MSR_VMX_TRUE_ENTRY, 9, "", "guests in 64-bit mode") \
	X("entry-smm", "", MSR_VMX_TRUE_ENTRY, 10, "dual-monitor", "entry to system management mode") \
	X("entry-end-dual-monitor", "", MSR_VMX_TRUE_ENTRY, 11, "dual-monitor", "entries end the dual-monitor treatment") \
	X("entry-load-perf-global-ctrl", "", MSR_VMX_TRUE_ENTRY, 13, "", "entries load IA32_PERF_GLOBAL_CTRL") \
	X("entry-load-pat", "", MSR_VMX_TRUE_ENTRY, 14, "", "entries load IA32_PAT") \
	X("entry-load-efer", "", MSR_VMX_TRUE_ENTRY, 15, "", "entries load IA32_EFER") \
	X("entry-load-bndcfgs", "", MSR_VMX_TRUE_ENTRY, 16, "", "entries load IA32_BNDCFGS") \
	X("entry-pt-conceal", "", MSR_VMX_TRUE_ENTRY, 17, "", "Processor Trace does not show entries") \
	X("entry-load-rtit-ctl", "", MSR_VMX_TRUE_ENTRY, 18, "", "entries load IA32_RTIT_CTL") \
	X("entry-load-uinv", "", MSR_VMX_TRUE_ENTRY, 19, "", "entries load UINV") \
	X("entry-load-cet", "", MSR_VMX_TRUE_ENTRY, 20, "", "entries load the state of CET") \
	X("entry-load-lbr-ctl", "", MSR_VMX_TRUE_ENTRY, 21, "", "entries load IA32_LBR_CTL") \
	X("entry-load-pkrs", "", MSR_VMX_TRUE_ENTRY, 22, "", "entries load IA32_PKRS") \
	X("entry-load-fred", "", MSR_VMX_TRUE_ENTRY, 23, "", "entries load the state of FRED")

#define X86_VMX_EPT_VPID(X) \
	X("ept-execonly", "ept_x_only", MSR_VMX_EPT_VPID_CAP, 0, "ept", "EPT pages that can only be executed") \
	X("page-walk-4", "", MSR_VMX_EPT_VPID_CAP, 6, "ept", "EPT of four levels") \
	X("page-walk-5", "ept_5level", MSR_VMX_EPT_VPID_CAP, 7, "ept", "EPT of five levels") \
	X("ept-uc", "", MSR_VMX_EPT_VPID_CAP, 8, "ept", "EPT in uncached memory") \
	X("ept-wb", "", MSR_VMX_EPT_VPID_CAP, 14, "ept", "EPT in write-back memory") \
	X("ept-2mb", "", MSR_VMX_EPT_VPID_CAP, 16, "ept", "EPT pages of 2 MiB") \
	X("ept-1gb", "ept_1gb", MSR_VMX_EPT_VPID_CAP, 17, "ept", "EPT pages of 1 GiB") \
	X("invept", "", MSR_VMX_EPT_VPID_CAP, 20, "ept", "INVEPT") \
	X("eptad", "ept_ad", MSR_VMX_EPT_VPID_CAP, 21, "ept", "accessed and dirty bits of EPT") \
	X("ept-advanced-exitinfo", "", MSR_VMX_EPT_VPID_CAP, 22, "ept", "more about EPT violations") \
	X("ept-sss", "", MSR_VMX_EPT_VPID_CAP, 23, "ept", "supervisor shadow-stack control of EPT") \
	X("invept-single-context", "", MSR_VMX_EPT_VPID_CAP, 25, "invept", "INVEPT of one context") \
	X("invept-all-context", "", MSR_VMX_EPT_VPID_CAP, 26, "invept", "INVEPT of all contexts") \
	X("invvpid", "invvpid", MSR_VMX_EPT_VPID_CAP, 32, "vpid", "INVVPID") \
	X("invvpid-single-addr", "", MSR_VMX_EPT_VPID_CAP, 40, "invvpid", "INVVPID of one address") \
	X("invvpid-single-context", "", MSR_VMX_EPT_VPID_CAP, 41, "invvpid", "INVVPID of one context") \
	X("invvpid-all-context", "", MSR_VMX_EPT_VPID_CAP, 42, "invvpid", "INVVPID of all contexts") \
	X("invvpid-single-noglobals", "", MSR_VMX_EPT_VPID_CAP, 43, "invvpid", "INVVPID of one context without global pages") \
	X("eptp-switching", "eptp_switching", MSR_VMX_VMFUNC, 0, "ept", "VM function: another EPT")

#define X86_VMX_FEATURES(X) \
	X86_VMX_BASIC(X) X86_VMX_PINBASED(X) X86_VMX_PROCBASED(X) X86_VMX_SECONDARY(X) \
	X86_VMX_EXIT_ENTRY(X) X86_VMX_EPT_VPID(X)

/* Bits of EDX in leaf 0x8000000a: there is no MSR. */
#define X86_SVM_FEATURES(X) \
	X("npt", "npt", 0, 0, "", "nested paging") \
	X("lbrv", "lbrv", 0, 1, "", "virtual last-branch records") \
	X("svm-lock", "svm_lock", 0, 2, "", "SVM can be locked off") \
	X("nrip-save", "nrip_save", 0, 3, "", "exits save the next instruction's address") \
	X("tsc-scale", "tsc_scale", 0, 4, "", "TSC at another frequency") \
	X("vmcb-clean", "vmcb_clean", 0, 5, "", "clean bits of the VMCB") \
	X("flushbyasid", "flushbyasid", 0, 6, "", "TLB flushes by ASID") \
	X("decodeassists", "decodeassists", 0, 7, "", "exits tell the instruction") \
	X("pmc-virt", "", 0, 8, "", "virtual performance counters") \
	X("pause-filter", "pausefilter", 0, 10, "", "exits of PAUSE by count") \
	X("pfthreshold", "pfthreshold", 0, 12, "pause-filter", "exits of PAUSE by count within a time") \
	X("avic", "avic", 0, 13, "npt", "virtual interrupt controller") \
	X("v-vmsave-vmload", "v_vmsave_vmload", 0, 15, "npt", "virtual VMSAVE and VMLOAD") \
	X("vgif", "vgif", 0, 16, "", "virtual global interrupt flag") \
	X("gmet", "gmet", 0, 17, "npt", "guest-mode execute trap: mode-based execute control") \
	X("x2avic", "x2avic", 0, 18, "avic", "virtual x2APIC") \
	X("sss-check", "", 0, 19, "npt", "supervisor shadow-stack check of nested paging") \
	X("v-spec-ctrl", "v_spec_ctrl", 0, 20, "", "virtual SPEC_CTRL") \
	X("rogpt", "", 0, 21, "npt", "read-only guest page tables") \
	X("host-mce-override", "", 0, 23, "", "machine checks of the host always exit") \
	X("tlbi-ctl", "", 0, 24, "", "INVLPGB and TLBSYNC in guests") \
	X("vnmi", "vnmi", 0, 25, "vgif", "virtual NMIs") \
	X("ibs-virt", "ibs_virt", 0, 26, "", "virtual instruction-based sampling") \
	X("ext-lvt-avic", "", 0, 27, "avic", "extended local vector table with AVIC") \
	X("svme-addr-chk", "svme_addr_chk", 0, 28, "", "the VMCB's address is checked") \
	X("bus-lock-threshold", "bus_lock_threshold", 0, 29, "", "exits for bus locks by count") \
	X("idle-hlt", "idle_hlt", 0, 30, "", "exits of HLT without an interrupt that waits")
/* clang-format on */

/* A bit of a VMX capability MSR, or of SVM's leaf 0x8000000a: a row of the lists above. */
struct x86_nested_feature {
	const char *name;  /* of VMX: without "vmx-" */
	const char *alias; /* Linux's name, or "" */
	u32 msr;	   /* 0: SVM's leaf */
	u8 bit;
	const char *needs; /* names with a blank between, or "" */
	const char *text;
};

#define X86_NESTED_ROWS 160 /* rows in a table, at most */
struct x86_nested_table {
	const char *prefix; /* may stand before a name: "vmx-"; or "" */
	const struct x86_nested_feature *features;
	size_t count;
};
extern const struct x86_nested_table x86_vmx_table, x86_svm_table;

/* x86/options-nested.c: the words of --vmx and --svm. */
enum x86_nested_want {
	X86_NESTED_AS_HOST,
	X86_NESTED_ON,	  /* asked for: it must be there */
	X86_NESTED_OFF,	  /* not wanted */
	X86_NESTED_FALLS, /* needs something that is not wanted */
};
struct x86_nested_words {
	u8 want[X86_NESTED_ROWS];     /* enum x86_nested_want, of each row */
	bool has_revision, has_asids; /* of SVM alone */
	u32 revision, asids;
};
/*
 * @shown is the option, for messages; @text may be NULL: nothing is asked. 0, or -EINVAL after
 * printing what is wrong.
 */
int x86_nested_parse(const struct x86_nested_table *table, const char *shown, const char *text,
		     struct x86_nested_words *words) __must_check;
/* The row called @name (QEMU's or Linux's; '_' stands for '-'), or NULL. */
const struct x86_nested_feature *x86_nested_find(const struct x86_nested_table *table,
						 const char *name);

extern const struct option_hooks x86_vmx_hooks, x86_svm_hooks;
/* What the words of --vmx and --svm mean: option_spec.list. */
void x86_vmx_list(FILE *out);
void x86_svm_list(FILE *out);

#endif
