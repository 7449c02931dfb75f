/* SPDX-License-Identifier: MIT */
/*
 * TDX as KVM launches it (Linux 7.3, arch/x86/kvm/vmx/tdx.c; Intel TDX module ABI 1.5). Structures
 * and numbers are the model's own copy, so that a mistake in lkvm's shows.
 */
#ifndef LKVM_TESTS_MODEL_X86_TDX_H
#define LKVM_TESTS_MODEL_X86_TDX_H

#include "state.h"

#define TDX_VM_TYPE    5
#define TDX_MAX_CPUIDS 256

enum tdx_command {
	TDX_CAPABILITIES,
	TDX_INIT_VM,
	TDX_INIT_VCPU,
	TDX_INIT_MEM_REGION,
	TDX_FINALIZE_VM,
	TDX_GET_CPUID,
};

struct tdx_cmd {
	u32 id, flags;
	u64 data, hw_error;
};
struct tdx_caps {
	u64 attrs, xfam, kernel_r11, user_r11, kernel_r12, user_r12, reserved[250];
};
struct tdx_params {
	u64 attributes, xfam, mrconfigid[6], mrowner[6], mrownerconfig[6], reserved[12];
};
struct tdx_region {
	u64 source, gpa, pages;
};

struct tdx_vm {
	enum { TD_UNINITIALIZED, TD_INITIALIZED, TD_RUNNABLE } state;
	struct tdx_params params;
	struct tdx_leaf {
		u32 leaf, index, regs[4];
	} leaves[32];
	u32 nr_leaves, gpaw, tsc_25mhz;
	struct model_sha mrtd;
	struct model_set added; /* pages in the secure EPT */
};

struct tdx_vcpu {
	bool ready; /* by INIT_VCPU */
	bool ended; /* its last exit was the TD's end */
	u64 rcx;
};

/* Of LKVM_MODEL. */
struct tdx_settings {
	u64 attrs, xfam;
	u32 keys, cpus;
	bool offered, five_levels, lax;
};
extern struct tdx_settings tdx;

static inline struct tdx_vm *tdx_vm(const struct model_vm *vm)
{
	return vm->kind_state;
}
struct tdx_vcpu *tdx_vcpu(struct model_vcpu *vcpu);

/* tdx-cpuid.c: which bits of CPUID a TD's owner chooses. */
long tdx_write_caps(u64 at, u64 head_len);
/* Takes the leaves of INIT_VM: 0 or -errno; *hw_error when the module refuses. */
long tdx_take_cpuid(struct tdx_vm *td, const struct kvm_cpuid_entry2 *all, u32 n, u64 *hw_error);
long tdx_get_cpuid(const struct tdx_vm *td, u64 at);

/* tdx-memory.c */
long tdx_init_mem_region(struct model_call *c, const struct tdx_cmd *cmd);
long tdx_finalize(struct model_call *c);

/* tdx-exits.c */
extern const struct model_exit_kind tdx_exits[];

#endif
