/* SPDX-License-Identifier: MIT */
/* What only an arm64 machine can be asked for; the rows are in arm/options.c. */
#ifndef LKVM_CONFIG_ARM_H
#define LKVM_CONFIG_ARM_H

#include "lkvm/options.h"

enum arm_irqchip {
	ARM_IRQCHIP_DEFAULT, /* the best that the host supports */
	ARM_IRQCHIP_GICV2,
	ARM_IRQCHIP_GICV2M,
	ARM_IRQCHIP_GICV3,
	ARM_IRQCHIP_GICV3_ITS,
};
enum psci_kind { PSCI_KERNEL, PSCI_USER };
enum auto_switch { SWITCH_AUTO, SWITCH_ON, SWITCH_OFF };

/* The words of --irqchip, by position; NULL-terminated. */
extern const char *const arm_irqchip_names[];

/* Realms (Arm CCA); the words of --realm, by position, NULL-terminated: options-realm.c. */
enum realm_hash { REALM_HASH_DEFAULT, REALM_HASH_256, REALM_HASH_384, REALM_HASH_512 };
enum realm_tree { REALM_TREE_DEFAULT, REALM_TREE_SHARED, REALM_TREE_PER_PLANE };
/* Versions of the patches that brought realms to KVM, which have an ABI each. */
enum realm_abi_kind {
	REALM_ABI_AUTO,
	REALM_ABI_V7,
	REALM_ABI_V8,
	REALM_ABI_V9,
	REALM_ABI_V10,
	REALM_ABI_V11,
	REALM_ABI_V12,
	REALM_ABI_V13,
	REALM_ABI_V14,
	REALM_ABI_V15,
	NR_REALM_ABIS
};
extern const char *const realm_hash_names[], *const realm_tree_names[], *const realm_abi_names[];

#define REALM_RPV_LEN 64

struct realm_config {
	bool on;
	enum realm_hash hash;
	enum realm_tree tree;
	enum realm_abi_kind abi;
	u32 cap;		      /* KVM's capability number; 0: the version's */
	u32 planes;		      /* auxiliary ones */
	u32 breakpoints, watchpoints; /* 0: the host's */
	/* The personalization value. Of a file: what it holds is read when all is opened. */
	bool has_rpv;
	u8 rpv[REALM_RPV_LEN];
	char *rpv_file;
	const char *foreign; /* kvmtool's word that was used, or NULL; static */
};

struct arm_config {
	enum arm_irqchip irqchip;
	enum auto_switch gicv4;
	char *cpu;	/* "host,+feat,-feat" (--cpu), or NULL: the host's */
	bool protected; /* pKVM: the host can access only what the guest shares */
	bool nested;	/* the guest starts at EL2 */
	bool e2h0;	/* nested without VHE */
	bool aarch32;	/* EL1 runs AArch32 */
	bool pmu;
	bool no_pvtime; /* no steal time */
	bool disable_mte;
	bool disable_sve;
	u32 sve_max_vl;	  /* bits; 0: the host's longest vectors */
	u32 pmu_counters; /* event counters of the PMU */
	bool has_pmu_counters;
	u32 cntfrq;	    /* --override-bad-firmware-cntfrq, Hz; 0: the host's */
	u64 counter_offset; /* the guest's counters are this far behind the host's */
	bool has_counter_offset;
	enum psci_kind psci;
	struct realm_config realm;
};

extern const struct option_spec arm_options[];
/* options-realm.c: --realm, and kvmtool's words for the same. */
extern const struct option_hooks arm_realm_hooks;
int arm_parse_measurement_algo(const char *shown, const char *arg, void *target) __must_check;
int arm_parse_realm_pv(const char *shown, const char *arg, void *target) __must_check;

#endif
