/* SPDX-License-Identifier: MIT */
/*
 * What the files of the CPU model share: the words of --cpu (model.c), the fields of the ID
 * registers that they mean (idregs.c), the PMU (pmu.c), and cpu.c, which applies them.
 */
#ifndef LKVM_ARM_CPU_H
#define LKVM_ARM_CPU_H

#include <linux/kvm.h>

#include "lkvm/types.h"

struct vcpu;
struct vm;
struct vm_config;

/* The ID registers are op0 3, op1 0, CRn 0, CRm 1 to 7 (Arm ARM, D24.2). */
#define ARM_ID_REG(crm, op2) ((crm) << 3 | (op2))
#define ARM_NR_ID_REGS	     64U
/* The register's id for KVM_GET_ONE_REG. */
u64 arm_id_reg(u32 reg);
const char *arm_id_reg_name(u32 reg);

/* How a feature is switched. */
enum arm_prop_kind {
	ARM_PROP_FIELD, /* a field of an ID register */
	ARM_PROP_SVE,	/* a feature of KVM_ARM_VCPU_INIT */
	ARM_PROP_PAUTH,
	ARM_PROP_PMU,
	ARM_PROP_MTE, /* a capability of the VM */
	ARM_PROP_SME, /* nothing that KVM could give a guest */
};

/*
 * A feature that --cpu can name, after the architecture's FEAT_ names. Of ARM_PROP_FIELD: there
 * when the field is at least @level, away when it is @off. Two rows with one name go together.
 */
struct arm_cpu_prop {
	const char *name;
	enum arm_prop_kind kind;
	u8 reg;
	u8 shift; /* all fields have 4 bits */
	u8 level;
	u8 off;
	bool is_signed; /* 0xf is -1: not there */
};
extern const struct arm_cpu_prop arm_cpu_props[];
extern const size_t arm_nr_cpu_props;
#define ARM_MAX_CPU_PROPS 192

/* A host's ID registers as its KVM shows them to a vcpu, and which bits may be changed. */
struct arm_id_regs {
	u64 value[ARM_NR_ID_REGS];
	u64 writable[ARM_NR_ID_REGS];
};

/* Is the feature in @value, the whole register? */
bool arm_prop_present(const struct arm_cpu_prop *prop, u64 value);

enum arm_switch { ARM_AS_HOST, ARM_ON, ARM_OFF };

#define ARM_MAX_PMU_FILTERS 32

/* The words of --cpu and the options that mean the same. */
struct arm_cpu_model {
	u8 want[ARM_MAX_CPU_PROPS]; /* enum arm_switch of arm_cpu_props[i] */
	u8 pmuver;		    /* of ID_AA64DFR0_EL1; 0: the host's */
	bool has_counters;
	u32 counters; /* event counters of the PMU */
	struct kvm_pmu_event_filter filters[ARM_MAX_PMU_FILTERS];
	u32 nr_filters;
};

/* model.c. Prints, -EINVAL. */
int arm_cpu_model_parse(const struct vm_config *cfg, struct arm_cpu_model *model) __must_check;
enum arm_switch arm_cpu_model_want(const struct arm_cpu_model *model, enum arm_prop_kind kind);
/*
 * For guests whose CPUs somebody else makes: a feature that @model asks for, but of @kinds (bits by
 * enum arm_prop_kind), as "+name" or "-name" in @buf; NULL: none. To be without what is no field of
 * an ID register, such guests may always ask.
 */
const char *arm_cpu_model_beyond(const struct arm_cpu_model *model, u32 kinds, char *buf,
				 size_t len);

/*
 * idregs.c: change @regs->value as the model says; bit r of *changed: register r is another one
 * now. Prints what the host lacks or KVM does not let one change; -EOPNOTSUPP.
 */
int arm_id_regs_plan(const struct arm_cpu_model *model, struct arm_id_regs *regs,
		     u64 *changed) __must_check;
/*
 * idregs.c: @mmfr0, an ID_AA64MMFR0_EL1, with a PARange of at most 48 bits where a machine of
 * @ipa_bits needs no more.
 */
u64 arm_limit_pa_range(u64 mmfr0, u32 ipa_bits);
/* The masks that KVM_ARM_GET_REG_WRITABLE_MASKS tells; all 0 on a host without it. */
void arm_id_regs_writable(struct vm *vm, struct arm_id_regs *regs);

/*
 * pmu.c. arm_pmu_of: the perf type of the CPU's PMU below @root ("" for the host) that serves all
 * CPUs of the list @cpus (NULL: those that this thread may run on), or -ENOENT. arm_pmu_setup: of
 * all vcpus, after the GIC is initialized; prints.
 */
int arm_pmu_of(const char *root, const char *cpus);
int arm_pmu_setup(struct vm *vm, const struct arm_cpu_model *model) __must_check;

/* sve.c: vector lengths, before KVM_ARM_VCPU_FINALIZE, which it does. Prints. */
int arm_sve_setup(struct vcpu *vcpu) __must_check;
/*
 * @vls: bit n of the array means vectors of (n + 1) * 128 bits. Keep those up to @max_bits; -EINVAL
 * when @max_bits is none of them. arm_sve_list writes them as "128 256"; @buf is returned.
 */
int arm_sve_limit(u64 vls[KVM_ARM64_SVE_VLS_WORDS], u32 max_bits) __must_check;
const char *arm_sve_list(const u64 vls[KVM_ARM64_SVE_VLS_WORDS], char *buf, size_t len);

#endif
