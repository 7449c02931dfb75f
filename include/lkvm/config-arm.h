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
	u32 sve_max_vl;	    /* bits; 0: the host's longest vectors */
	u32 cntfrq;	    /* --override-bad-firmware-cntfrq, Hz; 0: the host's */
	u64 counter_offset; /* the guest's counters are this far behind the host's */
	bool has_counter_offset;
	enum psci_kind psci;
};

extern const struct option_spec arm_options[];

#endif
