/* SPDX-License-Identifier: MIT */
/*
 * SEV-SNP's side of KVM_MEMORY_ENCRYPT_OP, which headers before Linux 6.11 lack and later ones have
 * in two places: numbers and layouts of Linux 7.3's arch/x86/include/uapi/asm/kvm.h, and of struct
 * kvm_run in include/uapi/linux/kvm.h. Under names of our own, since structures cannot stand behind
 * #ifndef.
 */
#ifndef LKVM_UAPI_KVM_SNP_H
#define LKVM_UAPI_KVM_SNP_H

#include <kvm-compat.h>

#define LKVM_X86_SNP_VM 4 /* KVM_CREATE_VM, and its bit in KVM_CAP_VM_TYPES */

enum lkvm_sev_cmd_id {
	LKVM_SEV_INIT2 = 22,
	LKVM_SEV_SNP_LAUNCH_START = 100,
	LKVM_SEV_SNP_LAUNCH_UPDATE = 101,
	LKVM_SEV_SNP_LAUNCH_FINISH = 102,
	/*
	 * Linux 7.3: KVM_SEV_SNP_ENABLE_REQ_CERTS. Where that is not there a patch gives the number
	 * another use ("KVM: SEV: Add support for rate limiting SNP guest requests", v4 and v5 of
	 * 2025-05): it is sent only to a kernel that was asked which of both it is.
	 */
	LKVM_SEV_SNP_ENABLE_REQ_CERTS = 103,
	LKVM_SEV_SNP_SET_REQUEST_THROTTLE_RATE = 103,
};

struct lkvm_sev_cmd {
	__u32 id;
	__u32 pad0;
	__u64 data;
	__u32 error; /* the firmware's answer */
	__u32 sev_fd;
};

struct lkvm_sev_init {
	__u64 vmsa_features;
	__u32 flags;
	__u16 ghcb_version; /* 0: 2 */
	__u16 pad1;
	__u32 pad2[8];
};

struct lkvm_sev_snp_launch_start {
	__u64 policy;
	__u8 gosvw[16];
	__u16 flags;
	__u8 pad0[6];
	__u64 pad1[4];
};

struct lkvm_sev_snp_launch_update {
	__u64 gfn_start;
	__u64 uaddr;
	__u64 len;
	__u8 type;
	__u8 pad0;
	__u16 flags;
	__u32 pad1;
	__u64 pad2[4];
};

struct lkvm_sev_snp_launch_finish {
	__u64 id_block_uaddr;
	__u64 id_auth_uaddr;
	__u8 id_block_en;
	__u8 auth_key_en;
	__u8 vcek_disabled;
	__u8 host_data[32];
	__u8 pad0[3];
	__u16 flags;
	__u64 pad1[4];
};

struct lkvm_sev_snp_throttle {
	__u32 interval_ms;
	__u32 burst;
};

_Static_assert(sizeof(struct lkvm_sev_cmd) == 24 && sizeof(struct lkvm_sev_init) == 48 &&
		       sizeof(struct lkvm_sev_snp_launch_start) == 64 &&
		       sizeof(struct lkvm_sev_snp_launch_update) == 64 &&
		       sizeof(struct lkvm_sev_snp_launch_finish) == 88,
	       "layout");

#ifndef KVM_EXIT_SNP_REQ_CERTS /* Linux 7.3 */
#define KVM_EXIT_SNP_REQ_CERTS 43
#endif
/* The union of struct kvm_run then. */
struct lkvm_exit_snp_req_certs {
	__u64 gpa;
	__u64 npages;
	__u64 ret;
};

#ifndef KVM_SYSTEM_EVENT_SEV_TERM /* Linux 5.19 */
#define KVM_SYSTEM_EVENT_SEV_TERM 6
#endif

#ifndef KVM_CAP_EXIT_HYPERCALL
#define KVM_CAP_EXIT_HYPERCALL 201
#endif

#endif
