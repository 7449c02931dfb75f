/* SPDX-License-Identifier: MIT */
/*
 * Arm CCA realms in KVM: an ABI of patches, of which no Linux up to 7.3 has the host's half. Steven
 * Price's series "arm64: Support for Arm CCA in KVM", v7 to v15 (2026-07-15,
 * 20260715142841.80544-1-steven.price@arm.com), and for planes the RFC of 2025-09-26 upon v10. Its
 * names are ours: a header of a kernel that has realms may have others, or other numbers, of which
 * only those of one version can be right.
 */
#ifndef LKVM_UAPI_KVM_REALM_H
#define LKVM_UAPI_KVM_REALM_H

#include <linux/kvm.h>

/* KVM_CREATE_VM: beside the bits of an IPA; up to v13, and from v14 on. */
#define REALM_VM_TYPE_OLD (1UL << 8)
#define REALM_VM_TYPE_NEW (1UL << 30)

/*
 * KVM_CAP_ARM_RME, of v7 to v10, and KVM_CAP_ARM_RMI. Every number means something else in Linux
 * 7.3: only a realm's own descriptor can be asked. v2 to v6 have v7's, too.
 */
#define REALM_CAP_V7  300
#define REALM_CAP_V8  240
#define REALM_CAP_V9  243
#define REALM_CAP_V10 244
#define REALM_CAP_V11 247 /* and v12 */
#define REALM_CAP_V13 248
#define REALM_CAP_V14 249
#define REALM_CAP_V15 251
/* KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES, with which v15 goes (guest_memfd in-place, v8): the
 * attributes that a guest_memfd's pages can have. */
#define REALM_CAP_GMEM_ATTRIBUTES 250

/* KVM_ARM_VCPU_REC: the feature of a vcpu, and what KVM_ARM_VCPU_FINALIZE is told. */
#define REALM_VCPU_REC_V7 8 /* and v8 */
#define REALM_VCPU_REC_V9 9 /* and v10 */

/* KVM_ENABLE_CAP of KVM_CAP_ARM_RME: the first argument; the second is an address, or nothing. */
enum realm_rme_op {
	REALM_RME_CONFIG, /* struct realm_rme_config */
	REALM_RME_CREATE,
	REALM_RME_INIT_RIPAS, /* struct realm_rme_ripas */
	REALM_RME_POPULATE,   /* struct realm_rme_populate */
	REALM_RME_ACTIVATE,
};

enum realm_rme_cfg {
	REALM_RME_CFG_RPV,
	REALM_RME_CFG_HASH,
	REALM_RME_CFG_PLANES,  /* of the RFC: auxiliary planes */
	REALM_RME_CFG_TREE_PP, /* of the RFC: a tree of tables for each plane */
};

#define REALM_RPV_SIZE 64
/* The architecture's numbers (Arm DEN0137, RmiHashAlgorithm). */
#define REALM_HASH_SHA256 0
#define REALM_HASH_SHA512 1

struct realm_rme_config {
	__u32 cfg;
	union {
		__u8 rpv[REALM_RPV_SIZE];
		__u32 hash;
		__u32 planes;
		__u32 tree_pp;
		__u8 reserved[256];
	};
};
struct realm_rme_ripas {
	__u64 base;
	__u64 size;
	__u64 reserved[2];
};
/* The contents are those of the slot's memory in user space. */
struct realm_rme_populate {
	__u64 base;
	__u64 size;
	__u32 flags; /* REALM_POPULATE_MEASURE */
	__u32 reserved[3];
};
#define REALM_POPULATE_MEASURE (1U << 0)

/*
 * KVM_ARM_RMI_POPULATE, of v11 on. v11 and v12 return the number of bytes that are done; later ones
 * return 0 and move the structure on by them.
 */
struct realm_rmi_populate {
	__u64 base;
	__u64 size;
	__u64 source_uaddr;
	__u32 flags; /* REALM_POPULATE_MEASURE */
	__u32 reserved;
};
#define REALM_RMI_POPULATE_V11 _IOW(KVMIO, 0xd7, struct realm_rmi_populate)
#define REALM_RMI_POPULATE     _IOWR(KVMIO, 0xd7, struct realm_rmi_populate)

#endif
