/* SPDX-License-Identifier: MIT */
/*
 * Realms: guests whose memory and registers the firmware's realm manager keeps from the host (Arm
 * CCA; DEN0137, the RMM's specification). What KVM is asked is an ABI of patches in two generations
 * (include/uapi/kvm-realm.h): with the explicit one (v7 to v10) each step is a call; with the
 * implicit one (v11 to v15) the first page makes the realm, and the first run activates it.
 *
 *   realm.c           the table, what a realm excludes
 *   realm-abi.c       versions, and which one a host has
 *   realm-explicit.c, realm-implicit.c   the launch
 *   realm-exit.c      while it runs
 *   realm-rpv.c       its personalization value
 *   realm-measure.c   its initial measurement
 */
#ifndef LKVM_ARM_REALM_H
#define LKVM_ARM_REALM_H

#include <stdatomic.h>

#include "lkvm/config-arm.h"
#include "lkvm/types.h"

struct boot_plan;
struct boot_run;
struct coco_measure;
struct coco_ops;
struct kvm;
struct memory_region;
struct vcpu;
struct vm;
struct vm_config;

/* A version of the ABI; rows of what differs. */
struct arm_realm_abi {
	enum realm_abi_kind kind;
	u32 cap;       /* the number of its capability */
	u64 type;      /* of KVM_CREATE_VM */
	bool implicit; /* the second generation */
	u32 rec;       /* explicit: the vcpu's feature */
	bool planes;   /* explicit: there is a patch for planes upon it */
	bool counts;   /* implicit: populating returns bytes, and leaves its structure alone */
	bool gmem_attributes; /* guest_memfd itself knows what is private */
};

/* How the host is reached; `lkvm host` and unit tests have others. As struct probe_sys: each
 * function returns a value or -errno. */
struct arm_realm_host {
	void *opaque;
	const char *root; /* stands before paths of files */
	int (*ioctl)(void *opaque, int fd, unsigned long request, unsigned long arg);
	int (*close)(void *opaque, int fd);
};
extern const struct arm_realm_host arm_realm_host;

/* What a host has. */
struct arm_realm_found {
	const struct arm_realm_abi *abi;
	u32 cap; /* may be another number than the version's */
};

/* Of struct arch_vm, from coco_ops.memory to destroy. */
struct arm_realm {
	const struct arm_realm_host *host;
	struct arm_realm_found found;
	bool created;
	u8 *buffer;		 /* implicit: what pages are populated from */
	atomic_bool failed_said; /* why it cannot run, which every vcpu meets */
};

/* realm-abi.c */

const char *arm_realm_abi_name(const struct arm_realm_abi *abi);
/* NULL for REALM_ABI_AUTO. */
const struct arm_realm_abi *arm_realm_abi_of(enum realm_abi_kind kind);
/*
 * Which type of VM KVM takes for a realm with addresses of @ipa_bits, and which version that is.
 * Makes VMs behind @sys_fd and closes them. Prints nothing; 0, or what arm_realm_why_not explains.
 */
int arm_realm_detect(const struct arm_realm_host *host, int sys_fd, const struct realm_config *cfg,
		     u32 ipa_bits, struct arm_realm_found *found) __must_check;
/* The same of a realm that is there, made with @type. */
int arm_realm_identify(const struct arm_realm_host *host, int vm_fd, const struct realm_config *cfg,
		       u64 type, struct arm_realm_found *found) __must_check;
/* The reason, as a clause without a full stop; NULL: it is what KVM_CREATE_VM said. */
const char *arm_realm_why_not(int error);
/* What of @cfg this version cannot have, with the reason, in @buf; NULL: all of it is fine. */
const char *arm_realm_misfit(const struct arm_realm_abi *abi, const struct vm_config *cfg,
			     char *buf, size_t len);

/* realm.c */

/* What --realm excludes, and kvmtool's words without it. Prints; -EINVAL. */
int arm_realm_check(const struct vm_config *cfg) __must_check;
/* Make *type, of arch_vm_type, that of a realm. Prints why this host has none; -errno. */
int arm_realm_vm_type(const struct arm_realm_host *host, const struct kvm *kvm,
		      const struct vm_config *cfg, u64 *type) __must_check;
/* The VM is there, its vcpus are not: vm->arch->realm, and the configuration of the realm. Prints;
 * -errno. arm_realm_end is safe without it. */
int arm_realm_begin(struct vm *vm, const struct arm_realm_host *host) __must_check;
void arm_realm_end(struct vm *vm);
/* The rest of struct coco_ops. */
int arm_realm_place(struct vm *vm, const struct boot_plan *plan,
		    const struct boot_run *run) __must_check;
int arm_realm_vcpu(struct vcpu *vcpu, const struct boot_plan *plan) __must_check;
int arm_realm_finish(struct vm *vm) __must_check;
/* The table of realms where @cfg asks for one, else NULL. */
const struct coco_ops *arm_realm_ops(const struct vm_config *cfg);
/*
 * cpu.c and pmu.c, for each vcpu before the realm is created: as many breakpoints and watchpoints
 * as the configuration says; @counters event counters. Print; -errno.
 */
int arm_realm_limit_debug(struct vcpu *vcpu) __must_check;
int arm_realm_limit_pmu(struct vcpu *vcpu, u32 counters) __must_check;
/* @dfr0, an ID_AA64DFR0_EL1, with as many as @cfg says. */
u64 arm_realm_dfr0(u64 dfr0, const struct realm_config *cfg);

/* realm-rpv.c */

/* coco_ops.open: the file of the personalization value; free(*out). */
int arm_realm_open(const struct vm_config *cfg, bool described, void **out) __must_check;
/* REALM_RPV_LEN bytes. */
const u8 *arm_realm_rpv(const struct vm *vm);

/* realm-explicit.c */

int arm_realm_configure(struct vm *vm) __must_check;
/* CREATE, and INIT_RIPAS of all memory: once, before the first page. */
int arm_realm_create(struct vm *vm) __must_check;
int arm_realm_populate(struct vm *vm, const struct boot_plan *plan,
		       const struct boot_run *run) __must_check;
int arm_realm_finalize(struct vcpu *vcpu) __must_check;
int arm_realm_activate(struct vm *vm) __must_check;

/* realm-implicit.c: the same of the second generation. */
int arm_realm_populate_implicit(struct vm *vm, const struct boot_plan *plan,
				const struct boot_run *run) __must_check;

/* realm-abi.c: is the region memory of the realm's own, whose state is set before its first page?
 */
bool arm_realm_owns(const struct memory_region *r);

/* realm-measure.c */
extern const struct coco_measure arm_realm_measure;

/* At most so much is on its way to the realm: the host has these pages twice meanwhile. */
#define ARM_REALM_CHUNK (2 * MiB)

/* realm-exit.c: coco_ops.exit, may_retry and run_failed. */
int arm_realm_exit(struct vcpu *vcpu);
bool arm_realm_may_retry(struct vcpu *vcpu);
int arm_realm_run_failed(struct vcpu *vcpu, int error);

#endif
