/* SPDX-License-Identifier: MIT */
/* For fake_host.h: what arm64's KVM would say. */
#include "../../../arm/arm.h"
#include "../../../arm/cpu.h"

struct fake_arch {
	unsigned long vm_type; /* of the last KVM_CREATE_VM */
	u32 devices;	       /* bit n: a device of type n can be made */
	int gicv4;	       /* value of the attribute; -1: not there */
	bool smccc, mte;
	int create_vcpu; /* 0 or -errno */
	u32 features;	 /* of KVM_ARM_VCPU_INIT */
	bool finalized;
	struct arm_id_regs regs;
	u64 vls, pmcr;
	unsigned long realm_type; /* that KVM knows; 0: none */
	int create_realm;	  /* 0 or -errno */
	int realm_caps[320];
	u32 realm_rme; /* the number by which realms are configured */
};
