/* SPDX-License-Identifier: MIT */
/*
 * SEV-SNP as KVM launches it (Linux 7.3, arch/x86/kvm/svm/sev.c; AMD's SNP firmware ABI 56860).
 * Structures and numbers are the model's own copy, so that a mistake in lkvm's shows.
 */
#ifndef LKVM_TESTS_MODEL_X86_SNP_H
#define LKVM_TESTS_MODEL_X86_SNP_H

#include "state.h"

#define SNP_VM_TYPE 4

enum snp_command {
	SNP_INIT2 = 22,
	SNP_FIRST = 100, /* below: never again after INIT2 */
	SNP_START = 100,
	SNP_UPDATE = 101,
	SNP_FINISH = 102,
	SNP_103 = 103, /* REQ_CERTS in 7.3, the rate of requests in a series of 2025 */
};

/* Types of pages. */
enum {
	SNP_NORMAL = 1,
	SNP_VMSA = 2,
	SNP_ZERO = 3,
	SNP_UNMEASURED = 4,
	SNP_SECRETS = 5,
	SNP_CPUID = 6,
};

/* Codes of the firmware. */
enum {
	SNP_FW_INVALID_GUEST_STATE = 0x2,
	SNP_FW_POLICY = 0x7,
	SNP_FW_SIGNATURE = 0xa,
	SNP_FW_MEASUREMENT = 0xb,
	SNP_FW_PARAM = 0x16,
};

struct snp_cmd {
	u32 id, pad0;
	u64 data;
	u32 error, sev_fd;
};
struct snp_init {
	u64 features;
	u32 flags;
	u16 ghcb_version, pad1;
	u32 pad2[8];
};
struct snp_start {
	u64 policy;
	u8 gosvw[16];
	u16 flags;
	u8 pad0[6];
	u64 pad1[4];
};
struct snp_update {
	u64 gfn, uaddr, len;
	u8 type, pad0;
	u16 flags;
	u32 pad1;
	u64 pad2[4];
};
struct snp_finish {
	u64 id_block, id_auth;
	u8 id_block_en, auth_key_en, vcek_disabled, host_data[32], pad0[3];
	u16 flags;
	u64 pad1[4];
};
struct snp_id_block {
	u8 ld[48], family_id[16], image_id[16];
	u32 version, guest_svn;
	u64 policy;
};

struct snp_vm {
	bool inited, ctx, finished, certs;
	u64 features; /* with bit 0 */
	u64 policy;
	u32 sev_fd; /* START's */
	u8 ld[48];
	struct model_set assigned; /* in the RMP */
	u8 cpuid_offer[4096];	   /* the table that firmware would take instead */
	bool cpuid_offered;
};

struct snp_vcpu {
	bool protected, ended;
};

/* Of LKVM_MODEL. */
struct snp_settings {
	u64 feature_mask, policy_mask;
	u32 abi; /* of the firmware, major << 8 | minor */
	bool smt, xts, cxl, rapl, hiding;
	bool throttle_v5, has_certs;
	u32 sockets, asids, ratelimit_khz, hiding_asids;
	bool offered, has_dev;
	enum { SNP_CPUID_STRICT, SNP_CPUID_ACCEPT, SNP_CPUID_ONCE, SNP_CPUID_REJECT } cpuid;
};
extern struct snp_settings snp;

static inline struct snp_vm *snp_vm(const struct model_vm *vm)
{
	return vm->kind_state;
}
struct snp_vcpu *snp_vcpu(struct model_vcpu *vcpu);
/* Attribute 1 of the KVM device. */
u64 snp_policy_mask(void);

/* snp-host.c: KVM_GET_SUPPORTED_CPUID of the host's KVM, with the leaf of memory encryption. */
long snp_host_cpuid(struct model_call *c);

/* snp-launch.c: the commands that reach the firmware; @cmd->error is its code. */
long snp_start(struct model_call *c, struct snp_cmd *cmd);
long snp_update(struct model_call *c, struct snp_cmd *cmd);
long snp_finish(struct model_call *c, struct snp_cmd *cmd);
/* Is that number an open /dev/sev? */
bool snp_is_sev(u32 fd);

/* snp-digest.c */
void snp_extend(u8 *ld, u8 type, u64 gpa, const u8 *contents);
/* The page of @s as KVM gives it to the firmware: 4096 bytes. */
void snp_vmsa(const struct x86_state *s, u64 features, u64 quirks_disabled, u8 *page);

/* snp-firmware.c: what the firmware thinks of it: 0 or its code. */
u32 snp_fw_start(const struct snp_start *start);
u32 snp_fw_activate(const struct snp_start *start);
u32 snp_fw_cpuid(struct snp_vm *v, const u8 *page, u8 *corrected);
u32 snp_fw_finish(const struct snp_vm *v, const struct snp_id_block *block, const u8 *auth,
		  bool author);

/* snp-exits.c */
extern const struct model_exit_kind snp_exits[];

#endif
