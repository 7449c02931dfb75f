/* SPDX-License-Identifier: MIT */
/*
 * KVM of an arm64 host without any KVM, as far as a VMM sees it before a guest runs: capabilities,
 * vcpus and their registers, interrupt controllers (Linux 7.3, Documentation/virt/kvm/api.rst and
 * devices/). No guest runs on it: KVM_RUN answers what is scripted and then a power-off.
 */
#ifndef MODEL_ARM_H
#define MODEL_ARM_H

#include "../model.h"

#define ARM_NR_ID_REGS 64U /* op0 3, op1 0, CRn 0: CRm * 8 + op2 */
#define ARM_MAX_REG    256 /* bytes */
#define ARM_ID_REG(id) (((id) >> KVM_REG_ARM64_SYSREG_OP2_SHIFT) & 0x3f)
#define ARM_CORE64(name) \
	(KVM_REG_ARM64 | KVM_REG_ARM_CORE | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE_REG(name))
#define ARM_REG_X0	 ARM_CORE64(regs.regs[0]) /* the others follow by two */
#define ARM_REG_X30	 (ARM_REG_X0 + 60)
#define ARM_REG_PC	 ARM_CORE64(regs.pc)
#define ARM_REG_DFR0	 ARM64_SYS_REG(3, 0, 0, 5, 0)
#define ARM_REG_PMCR_EL0 ARM64_SYS_REG(3, 3, 9, 12, 0)
#define ARM_FEATURE(bit) (1U << (bit))

/* What this host is. Kinds and options change it before there is a VM. */
struct arm_host {
	u32 ipa_bits;	  /* KVM_CAP_ARM_VM_IPA_SIZE */
	u32 sve_vq;	  /* longest vector / 128 bits; 0: no SVE */
	u32 pmu_counters; /* beside the cycle counter */
	u32 bps, wps;	  /* breakpoints, watchpoints */
	bool nested;
	bool mte;
	/* A capability that is particular to this host's kernel, on any descriptor: its value, or
	 * MODEL_PASS. NULL: none. */
	long (*cap)(u32 cap);
};
extern struct arm_host arm_host;

struct arm_reg {
	u64 id;
	bool fixed; /* a write must not change it */
	u8 value[ARM_MAX_REG];
};

/* model_vcpu.machine_state */
struct arm_vcpu {
	bool inited;
	u32 features; /* of KVM_ARM_VCPU_INIT, without POWER_OFF */
	bool sve_done;
	u32 nr_regs;
	struct arm_reg *regs; /* owned */
	u64 vls[8];
	bool off; /* KVM_MP_STATE_STOPPED */
	struct kvm_vcpu_events events;
};

/* model_vm.machine_state */
struct arm_vm {
	u32 ipa_bits;
	u32 features; /* all vcpus have the same */
	bool has_features;
	u32 more_features; /* that the kind takes */
	u64 id_regs[ARM_NR_ID_REGS];
	bool mte;
	bool has_gic, gic_inited;
	u32 gic_irqs;
	u64 gic_dist, gic_redist; /* addresses; ~0: not set */
	bool smccc_to_user;	  /* the filter hands some calls out */
};

static inline struct arm_vm *arm_vm(const struct model_vm *vm)
{
	return vm->machine_state;
}

static inline struct arm_vcpu *arm_vcpu(const struct model_vcpu *vcpu)
{
	return vcpu->machine_state;
}

/* regs.c */
void arm_regs_vm(struct arm_vm *vm);
/* After KVM_ARM_VCPU_INIT: the list by its features, reset values; after FINALIZE(SVE) too. */
void arm_regs_make(struct model_vcpu *vcpu);
void arm_regs_free(struct arm_vcpu *vcpu);
/* The value of a register of 64 bits, 0 where there is none. */
u64 arm_reg_get(const struct model_vcpu *vcpu, u64 id);
void arm_reg_put(struct model_vcpu *vcpu, u64 id, u64 value);
long arm_reg_ioctl(struct model_call *c);
long arm_reg_masks(const struct model_call *c);
u64 arm_mpidr(u32 vcpu_id);

/* vcpu.c */
long arm_vcpu_ioctl(struct model_call *c);
/* What every KVM asks before a vcpu runs: 0 or -errno. */
long arm_enter(struct model_vcpu *vcpu);

/* gic.c */
long arm_create_device(struct model_call *c);
long arm_device_ioctl(struct model_call *c);

/* machine.c */
/* An ordinary VM's answer of KVM_CHECK_EXTENSION. */
long arm_cap(u32 cap);
/* LKVM_MODEL's options that all kinds have here: false: none of them. */
bool arm_option(const char *name, const char *value);
/* Is it among those that a VM whose memory is not the host's still answers for: KVM's lists for
 * pKVM and realms name them alike, the generic part (virt/kvm/kvm_main.c) adds the rest. */
bool arm_is_common_cap(u32 cap);

/* exits.c: exits that a guest of any kind has, for their tables. */
/* clang-format off */
#define ARM_EXITS                                \
	{ "mmio", arm_exit_mmio, NULL },         \
	{ "wait", arm_exit_wait, NULL },         \
	{ "off", arm_exit_off, NULL },           \
	{ "reset", arm_exit_reset, NULL },       \
	{ "unknown", arm_exit_unknown, NULL },   \
	{ "internal", model_fill_internal, NULL }, \
	{ "error", model_fill_error, NULL }
/* clang-format on */
/* The model's files: Linux 7.3, of which the machine's answers are. */
#define ARM_OSRELEASE "/proc/sys/kernel/osrelease"
const char *arm_file(const char *path);
int arm_exit_mmio(struct model_vcpu *vcpu, const struct model_words *words, int *error);
int arm_exit_wait(struct model_vcpu *vcpu, const struct model_words *words, int *error);
int arm_exit_off(struct model_vcpu *vcpu, const struct model_words *words, int *error);
int arm_exit_reset(struct model_vcpu *vcpu, const struct model_words *words, int *error);
int arm_exit_unknown(struct model_vcpu *vcpu, const struct model_words *words, int *error);

extern const struct model_kind model_arm64, model_pkvm;

#endif
