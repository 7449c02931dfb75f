/* SPDX-License-Identifier: MIT */
/*
 * SEV-SNP guests (SNP firmware ABI 56860; Linux
 * Documentation/virt/kvm/x86/amd-memory-encryption.rst; GHCB specification 56421). snp.c: the host,
 * what cannot be combined, the table of coco.h. snp-files.c: what is opened by name. snp-launch.c:
 * the commands to the firmware. snp-cpuid.c: the CPUID page. snp-state.c: registers at the start.
 * snp-exit.c: exits; snp-certs.c: certificates, and how often. snp-firmware.c: images with
 * metadata. snp-stub.c: kernels without firmware. snp-measure.c: the same launch without KVM.
 */
#ifndef LKVM_X86_SNP_H
#define LKVM_X86_SNP_H

#include <linux/kvm.h>
#include <pthread.h>

#include "lkvm/measure.h"
#include "lkvm/types.h"

struct boot_plan;
struct boot_run;
struct coco_ops;
struct coco_measure;
struct kvm;
struct vcpu;
struct vm;
struct vm_config;
struct x86_boot;
struct x86_entry;

/* The bit of a guest physical address that makes a page private, in a guest's page tables: the same
 * on every CPU with SNP so far, and measured. */
#define SNP_C_BIT 51U

/* snp-files.c: everything that has a name, as it was at the start. */
struct x86_snp_files {
	int sev_fd;    /* /dev/sev; its number is KVM's until the launch is finished */
	int sev_error; /* why it could not be opened; said when KVM was asked, too */
	int certs_fd;  /* --snp-certs; -1: none */
	bool has_id;   /* the next four */
	u8 id_block[SNP_ID_BLOCK_SIZE];
	u8 id_auth[SNP_ID_AUTH_SIZE];
	struct snp_id_block block;
	struct snp_id_auth auth;
	u64 host_khz; /* kvm_amd.sev_snp_request_ratelimit_khz; 0: no limit, or no such thing */
	/* For messages: what the host is. */
	bool smt, sockets, cxl;
};
/* Prints; *out is NULL on failure. @described: without the host's devices. */
int x86_snp_open(const struct vm_config *cfg, bool described,
		 struct x86_snp_files **out) __must_check;
/* Is /dev/sev open? Prints. */
int x86_snp_check_sev(const struct x86_snp_files *files) __must_check;
/* NULL is fine. */
void x86_snp_close(struct x86_snp_files *files);

/* How often something may happen: @burst times in @interval_ns, spread or at once. */
struct x86_snp_throttle {
	u64 cost_ns;   /* of one time; 0: no limit */
	u64 credit_ns; /* of those that may come at once, beside the first */
	u64 paid_ns;   /* up to when what happened is paid for */
};
void x86_snp_throttle_init(struct x86_snp_throttle *t, u32 interval_ms, u32 burst);
/* May it happen at @now_ns? Then it is counted. */
bool x86_snp_throttle_take(struct x86_snp_throttle *t, u64 now_ns) __must_check;

/* What a VM remembers; on struct arch_vm. */
struct x86_snp {
	const struct x86_snp_files *files; /* the machine's */
	bool started;			   /* LAUNCH_START */
	pthread_mutex_t certs_lock;	   /* one request at a time; of the next, too */
	struct x86_snp_throttle throttle;
};

/* snp.c: NULL: the guest that @cfg asks for is none. */
const struct coco_ops *x86_snp_ops(const struct vm_config *cfg);

/* snp-check.c */
/* What cannot be had with --snp, and options that need it. Prints. */
int x86_snp_check(const struct vm_config *cfg) __must_check;
/* Has this KVM such guests, with what @cfg asks for? Prints. */
int x86_snp_check_host(const struct kvm *kvm, const struct vm_config *cfg) __must_check;
/* An attribute of the KVM device (KVM_X86_GRP_SEV); false: this KVM does not have it. */
bool x86_snp_attr(const struct kvm *kvm, u64 attr, u64 *value);

/* snp-launch.c */
enum snp_page_type x86_snp_page_type(const struct boot_run *run);
/* KVM_SEV_INIT2 and what goes before any vcpu. Prints. */
int x86_snp_init(struct vm *vm) __must_check;
int x86_snp_place(struct vm *vm, const struct boot_plan *plan,
		  const struct boot_run *run) __must_check;
int x86_snp_finish(struct vm *vm) __must_check;
/* One command. 0 or -errno; *fw is the firmware's answer, 0 when it was not asked. */
int x86_snp_command(const struct vm *vm, u32 id, void *data, u32 *fw);

/* snp-words.c: a code of the firmware's, of a guest that ends itself, in words; NULL: unknown. */
const char *x86_snp_firmware_text(u32 code);
const char *x86_snp_term_text(u32 set, u32 code);

/* snp-cpuid.c */
/* Layout of the page (firmware ABI, CPUID_PAGE). */
struct snp_cpuid_fn {
	__le32 eax_in, ecx_in;
	__le64 xcr0_in, xss_in;
	__le32 eax, ebx, ecx, edx;
	__le64 reserved;
};
#define SNP_CPUID_MAX 64
struct snp_cpuid_page {
	__le32 count;
	__le32 reserved0;
	__le64 reserved1;
	struct snp_cpuid_fn fn[SNP_CPUID_MAX];
	u8 pad[4096 - 16 - SNP_CPUID_MAX * 48];
};
/* The leaf of memory encryption into a vcpu's CPUID, which is reallocated. 0 or -ENOMEM. */
int x86_snp_add_leaf(struct kvm_cpuid2 **cpuid) __must_check;
/* The page that a guest with @cpuid is given. 0, or -E2BIG (prints). */
int x86_snp_cpuid_page(struct kvm_cpuid2 *cpuid, struct snp_cpuid_page *page) __must_check;
/* Says, a line for each, which fields of @asked the firmware corrected in @page. */
void x86_snp_cpuid_differs(const struct snp_cpuid_page *asked, const struct snp_cpuid_page *page);
/* Is the C-bit where it is expected? Prints. */
int x86_snp_check_c_bit(struct kvm_cpuid2 *supported) __must_check;

/* snp-state.c: what vcpu @index of a guest that starts with @entry has in its registers: made here
 * and not read from KVM, so that a measurement needs none. */
void x86_snp_state(const struct x86_entry *entry, u32 index, struct kvm_sregs *sregs,
		   struct kvm_regs *regs);
int x86_snp_vcpu(struct vcpu *vcpu, const struct boot_plan *plan) __must_check;

/* snp-exit.c */
int x86_snp_exit(struct vcpu *vcpu);

/* snp-certs.c */
#define SNP_CERTS_MAX (256 * KiB)
/* KVM_EXIT_SNP_REQ_CERTS. On the vcpu's thread. */
void x86_snp_request_certs(struct vcpu *vcpu);
/* Is @table, of @len bytes, what the GHCB specification has for certificates? NULL, or what is
 * wrong with it. */
const char *x86_snp_certs_wrong(const u8 *table, u64 len);

/* snp-firmware.c: what the metadata of raw firmware asks for, into the list, after the firmware;
 * and where its secondary processors begin. Prints. */
int x86_snp_firmware_plan(struct x86_boot *b) __must_check;

/* snp-stub.c: the stub that accepts the guest's memory and goes to the kernel, when all else is in
 * the list. Prints. */
int x86_snp_stub_plan(struct x86_boot *b) __must_check;

/* snp-measure.c */
extern const struct coco_measure x86_snp_measure;

#endif
