/* SPDX-License-Identifier: MIT */
/* For fake_host.h: what riscv64's KVM would say. */
#include "../../../riscv/cpu.h"

struct fake_arch {
	unsigned long vm_type;	     /* of the last KVM_CREATE_VM */
	int create_vcpu, create_aia; /* 0 or -errno */
	int fewer_bits, mp_reset;    /* what KVM_ENABLE_CAP says */
	bool has_vcpu;
	struct riscv_ext_set there, on, was; /* the latter: before the probe */
	struct riscv_ext_set can;	     /* may be switched */
	u64 sbi;			     /* bits: it has a register */
	u64 satp_mode, timebase;	     /* 0: no register */
	u32 aia_mode, aia_ids;
	int aia_attr; /* 0 or -errno */
};
