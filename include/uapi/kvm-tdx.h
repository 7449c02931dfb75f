/* SPDX-License-Identifier: MIT */
/*
 * Intel TDX in KVM, for headers older than Linux 6.16 (layouts of Linux 7.3's
 * arch/x86/include/uapi/asm/kvm.h and include/uapi/linux/kvm.h; the values of TDG.VP.VMCALL are
 * those of Intel's Guest-Hypervisor Communication Interface, GHCI 1.5).
 */
#ifndef LKVM_UAPI_KVM_TDX_H
#define LKVM_UAPI_KVM_TDX_H

#include "kvm-compat.h"

#ifndef KVM_X86_TDX_VM
#define KVM_X86_TDX_VM 5
#endif
#ifndef KVM_EXIT_TDX
#define KVM_EXIT_TDX 40
#endif
#ifndef KVM_SYSTEM_EVENT_TDX_FATAL
#define KVM_SYSTEM_EVENT_TDX_FATAL 7
#endif

/* Its neighbours are enumerators, which the preprocessor does not see: it stands for them. */
#ifndef KVM_TDX_MEASURE_MEMORY_REGION
#define KVM_TDX_MEASURE_MEMORY_REGION (1ULL << 0)

enum kvm_tdx_cmd_id {
	KVM_TDX_CAPABILITIES = 0,
	KVM_TDX_INIT_VM,
	KVM_TDX_INIT_VCPU,
	KVM_TDX_INIT_MEM_REGION,
	KVM_TDX_FINALIZE_VM,
	KVM_TDX_GET_CPUID,
};

struct kvm_tdx_cmd {
	__u32 id;
	__u32 flags;
	__u64 data;
	__u64 hw_error; /* 0 on entry */
};

struct kvm_tdx_capabilities {
	__u64 supported_attrs;
	__u64 supported_xfam;
	__u64 kernel_tdvmcallinfo_1_r11;
	__u64 user_tdvmcallinfo_1_r11;
	__u64 kernel_tdvmcallinfo_1_r12;
	__u64 user_tdvmcallinfo_1_r12;
	__u64 reserved[250];
	struct kvm_cpuid2 cpuid; /* the bits that may be configured */
};

struct kvm_tdx_init_vm {
	__u64 attributes;
	__u64 xfam;
	__u64 mrconfigid[6];
	__u64 mrowner[6];
	__u64 mrownerconfig[6];
	__u64 reserved[12];
	struct kvm_cpuid2 cpuid;
};

struct kvm_tdx_init_mem_region {
	__u64 source_addr;
	__u64 gpa;
	__u64 nr_pages;
};
#endif

/* The union of struct kvm_run as KVM_EXIT_TDX fills it; older headers lack the member. */
struct lkvm_exit_tdx {
	__u64 flags;
	__u64 nr; /* LKVM_TDVMCALL_* */
	__u64 ret;
	union {
		struct {
			__u64 gpa, size;
		} get_quote;
		struct {
			__u64 leaf;
			__u64 r11, r12, r13, r14;
		} get_info;
		struct {
			__u64 vector;
		} setup_event_notify;
	};
};

/* GHCI, 3.1 to 3.11: the calls that KVM passes on, and what they return. */
#define LKVM_TDVMCALL_GET_INFO		 0x10000ULL
#define LKVM_TDVMCALL_GET_QUOTE		 0x10002ULL
#define LKVM_TDVMCALL_SETUP_EVENT_NOTIFY 0x10004ULL
#define LKVM_TDVMCALL_SUCCESS		 0ULL
#define LKVM_TDVMCALL_RETRY		 1ULL
#define LKVM_TDVMCALL_INVALID_OPERAND	 0x8000000000000000ULL
#define LKVM_TDVMCALL_ALIGN_ERROR	 0x8000000000000002ULL
#define LKVM_TDVMCALL_UNSUPPORTED	 0x8000000000000003ULL
/* Of GET_INFO's leaf 1, R11. */
#define LKVM_TDVMCALL_INFO_EVENT_NOTIFY (1ULL << 1)

#endif
