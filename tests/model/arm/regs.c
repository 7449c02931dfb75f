/* SPDX-License-Identifier: MIT */
/*
 * A vcpu's registers (Linux api.rst 4.68, 4.84): those that KVM lists for its features, with values
 * of a plausible CPU. ID registers belong to the VM.
 */
#include <stdlib.h>

#include "arm.h"

#define SYS(op0, op1, crn, crm, op2) ARM64_SYS_REG(op0, op1, crn, crm, op2)
#define ID(crm, op2)		     SYS(3, 0, 0, crm, op2)
#define MIDR			     SYS(3, 0, 0, 0, 0)
#define MPIDR			     SYS(3, 0, 0, 0, 5)
#define CORE(name)		     (KVM_REG_ARM64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))
#define CORE64(name)		     (CORE(name) | KVM_REG_SIZE_U64)
#define PSTATE_AT_RESET		     0x3c5ULL /* EL1h, D A I F */
#define PSCI_VERSION_1_3	     0x10003ULL
#define MIDR_VALUE		     0x411fd490ULL
#define PMCR_N_SHIFT		     11
/* ID_AA64DFR0_EL1 */
#define DFR0_PMUVER_SHIFT 8
#define DFR0_BRPS_SHIFT	  12
#define DFR0_WRPS_SHIFT	  20

/* EL1 and EL0 state that is zero, or unknown, at reset. */
static const u64 plain_sys_regs[] = {
	SYS(2, 0, 0, 2, 2),			     /* MDSCR_EL1 */
	SYS(3, 0, 1, 0, 0),	SYS(3, 0, 1, 0, 1),  /* SCTLR, ACTLR */
	SYS(3, 0, 1, 0, 2),			     /* CPACR */
	SYS(3, 0, 2, 0, 0),	SYS(3, 0, 2, 0, 1),  /* TTBR0, TTBR1 */
	SYS(3, 0, 2, 0, 2),			     /* TCR */
	SYS(3, 0, 5, 1, 0),	SYS(3, 0, 5, 1, 1),  /* AFSR0, AFSR1 */
	SYS(3, 0, 5, 2, 0),	SYS(3, 0, 6, 0, 0),  /* ESR, FAR */
	SYS(3, 0, 7, 4, 0),			     /* PAR */
	SYS(3, 0, 10, 2, 0),	SYS(3, 0, 10, 3, 0), /* MAIR, AMAIR */
	SYS(3, 0, 12, 0, 0),			     /* VBAR */
	SYS(3, 0, 13, 0, 1),	SYS(3, 0, 13, 0, 4), /* CONTEXTIDR, TPIDR_EL1 */
	SYS(3, 0, 14, 1, 0),			     /* CNTKCTL */
	SYS(3, 2, 0, 0, 0),			     /* CSSELR */
	SYS(3, 3, 13, 0, 2),	SYS(3, 3, 13, 0, 3), /* TPIDR_EL0, TPIDRRO_EL0 */
	KVM_REG_ARM_TIMER_CTL,	KVM_REG_ARM_TIMER_CVAL,	 KVM_REG_ARM_TIMER_CNT,
	KVM_REG_ARM_PTIMER_CTL, KVM_REG_ARM_PTIMER_CVAL, KVM_REG_ARM_PTIMER_CNT,
};

/* Five keys of two registers each: APIA, APIB, APDA, APDB, APGA. */
static const u64 pauth_regs[] = {
	SYS(3, 0, 2, 1, 0), SYS(3, 0, 2, 1, 1), SYS(3, 0, 2, 1, 2), SYS(3, 0, 2, 1, 3),
	SYS(3, 0, 2, 2, 0), SYS(3, 0, 2, 2, 1), SYS(3, 0, 2, 2, 2), SYS(3, 0, 2, 2, 3),
	SYS(3, 0, 2, 3, 0), SYS(3, 0, 2, 3, 1),
};

/* PMCNTENSET, PMOVSSET, PMSELR, PMCCNTR, PMCCFILTR, PMUSERENR, PMINTENSET. */
static const u64 pmu_regs[] = {
	SYS(3, 3, 9, 12, 1),  SYS(3, 3, 9, 14, 3), SYS(3, 3, 9, 12, 5), SYS(3, 3, 9, 13, 0),
	SYS(3, 3, 14, 15, 7), SYS(3, 3, 9, 14, 0), SYS(3, 0, 9, 14, 1),
};

void arm_regs_vm(struct arm_vm *vm)
{
	static const struct {
		u64 id, value;
	} values[] = {
		{ ID(4, 0),
		  0x1101000011110011 }, /* PFR0: CSV3, CSV2, DIT, RAS, GIC, FP, EL1, EL0 */
		{ ID(4, 1), 0x0000000000000021 }, /* PFR1: SSBS, BTI */
		{ ID(6, 0), 0x1221100010211120 }, /* ISAR0 */
		{ ID(6, 1), 0x0000000000111002 }, /* ISAR1 without pointer authentication */
		{ ID(7, 0), 0x0000000000000125 }, /* MMFR0: 48 bits of address */
		{ ID(7, 1), 0x0000000010212122 }, /* MMFR1 */
		{ ID(7, 2), 0x0001001000001011 }, /* MMFR2 */
	};

	for (size_t i = 0; i < MODEL_ARRAY(values); i++)
		vm->id_regs[ARM_ID_REG(values[i].id)] = values[i].value;
	vm->id_regs[ARM_ID_REG(ARM_REG_DFR0)] = 0x10000009ULL |
						(u64)arm_host.bps << DFR0_BRPS_SHIFT |
						(u64)arm_host.wps << DFR0_WRPS_SHIFT;
}

u64 arm_mpidr(u32 id)
{
	return 1ULL << 31 | (id & 0xf) | (u64)(id >> 4 & 0xff) << 8 | (u64)(id >> 12 & 0xff) << 16;
}

static void add(struct arm_vcpu *v, u64 id, u64 value, bool fixed)
{
	struct arm_reg *r;

	v->regs = realloc(v->regs, (v->nr_regs + 1) * sizeof(v->regs[0]));
	if (!v->regs)
		abort();
	r = &v->regs[v->nr_regs++];
	*r = (struct arm_reg){ .id = id, .fixed = fixed };
	put_le(r->value, 8, value);
}

static void add_core(struct arm_vcpu *v)
{
	const u64 step = sizeof(u64) / sizeof(u32);

	for (u64 i = 0; i < 31; i++)
		add(v, CORE64(regs.regs[0]) + i * step, 0, false);
	add(v, CORE64(regs.sp), 0, false);
	add(v, CORE64(regs.pc), 0, false);
	add(v, CORE64(regs.pstate), PSTATE_AT_RESET, false);
	add(v, CORE64(sp_el1), 0, false);
	add(v, CORE64(elr_el1), 0, false);
	for (u64 i = 0; i < KVM_NR_SPSR; i++)
		add(v, CORE64(spsr[0]) + i * step, 0, false);
	if (!(v->features & ARM_FEATURE(KVM_ARM_VCPU_SVE)))
		for (u64 i = 0; i < 32; i++)
			add(v, (CORE(fp_regs.vregs[0]) | KVM_REG_SIZE_U128) + i * 2 * step, 0,
			    false);
	add(v, CORE(fp_regs.fpsr) | KVM_REG_SIZE_U32, 0, false);
	add(v, CORE(fp_regs.fpcr) | KVM_REG_SIZE_U32, 0, false);
}

static void add_sve(struct arm_vcpu *v)
{
	if (!(v->features & ARM_FEATURE(KVM_ARM_VCPU_SVE)))
		return;
	add(v, KVM_REG_ARM64_SVE_VLS, 0, false);
	if (!v->sve_done)
		return;
	for (unsigned int i = 0; i < 32; i++)
		add(v, KVM_REG_ARM64_SVE_ZREG(i, 0), 0, false);
	for (unsigned int i = 0; i < 16; i++)
		add(v, KVM_REG_ARM64_SVE_PREG(i, 0), 0, false);
	add(v, KVM_REG_ARM64_SVE_FFR(0), 0, false);
}

static void add_list(struct arm_vcpu *v, const u64 *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add(v, ids[i], 0, false);
}

static void add_all(struct model_vcpu *vcpu)
{
	struct arm_vcpu *v = arm_vcpu(vcpu);

	add_core(v);
	add_sve(v);
	add(v, KVM_REG_ARM_PSCI_VERSION, PSCI_VERSION_1_3, false);
	add(v, MIDR, MIDR_VALUE, true);
	add(v, MPIDR, arm_mpidr(vcpu->id), true);
	for (u32 crm = 4; crm < 8; crm++)
		for (u32 op2 = 0; op2 < 8; op2++)
			add(v, SYS(3, 0, 0, 0, 0) + crm * 8 + op2, 0, false);
	add_list(v, plain_sys_regs, MODEL_ARRAY(plain_sys_regs));
	if (v->features & ARM_FEATURE(KVM_ARM_VCPU_PTRAUTH_ADDRESS))
		add_list(v, pauth_regs, MODEL_ARRAY(pauth_regs));
	if (v->features & ARM_FEATURE(KVM_ARM_VCPU_PMU_V3)) {
		add(v, ARM_REG_PMCR_EL0, (u64)arm_host.pmu_counters << PMCR_N_SHIFT, false);
		add_list(v, pmu_regs, MODEL_ARRAY(pmu_regs));
	}
}

/* Zeroes the rest of a vcpu that is initialized again, but for what the VMM gave it for good. */
void arm_regs_make(struct model_vcpu *vcpu)
{
	struct arm_vcpu *v = arm_vcpu(vcpu);
	struct arm_reg *old = v->regs;
	u32 nr_old = v->nr_regs;

	v->regs = NULL;
	v->nr_regs = 0;
	add_all(vcpu);
	for (u32 i = 0; i < v->nr_regs; i++)
		for (u32 j = 0; j < nr_old; j++)
			if (v->regs[i].id == old[j].id &&
			    (v->regs[i].id == ARM_REG_PMCR_EL0 ||
			     v->regs[i].id == KVM_REG_ARM_PSCI_VERSION))
				memcpy(v->regs[i].value, old[j].value, ARM_MAX_REG);
	free(old);
}

void arm_regs_free(struct arm_vcpu *v)
{
	free(v->regs);
	v->regs = NULL;
	v->nr_regs = 0;
}

static struct arm_reg *find(const struct arm_vcpu *v, u64 id)
{
	for (u32 i = 0; i < v->nr_regs; i++)
		if (v->regs[i].id == id)
			return &v->regs[i];
	return NULL;
}

static bool is_id_reg(u64 id)
{
	return (id & ~0x3fULL) == SYS(3, 0, 0, 0, 0) && ARM_ID_REG(id) >= 4 * 8;
}

/* What a vcpu's features take away from the VM's. */
static u64 id_value(const struct arm_vcpu *v, const struct arm_vm *vm, u64 id)
{
	u64 value = vm->id_regs[ARM_ID_REG(id)];

	if (id == ID(4, 0) && v->features & ARM_FEATURE(KVM_ARM_VCPU_SVE))
		value |= 1ULL << 32;
	if (id == ID(6, 1) && v->features & ARM_FEATURE(KVM_ARM_VCPU_PTRAUTH_ADDRESS))
		value |= 1ULL << 4 | 1ULL << 24;
	if (id == ARM_REG_DFR0 && v->features & ARM_FEATURE(KVM_ARM_VCPU_PMU_V3) &&
	    !(value >> DFR0_PMUVER_SHIFT & 0xf))
		value |= 6ULL << DFR0_PMUVER_SHIFT;
	return value;
}

static void *value_at(const struct model_vcpu *vcpu, struct arm_reg *r)
{
	struct arm_vcpu *v = arm_vcpu(vcpu);

	if (r->id == KVM_REG_ARM64_SVE_VLS)
		return v->vls;
	if (is_id_reg(r->id))
		put_le(r->value, 8, id_value(v, arm_vm(vcpu->vm), r->id));
	return r->value;
}

u64 arm_reg_get(const struct model_vcpu *vcpu, u64 id)
{
	struct arm_reg *r = find(arm_vcpu(vcpu), id);

	return r ? get_le(value_at(vcpu, r), 8) : 0;
}

void arm_reg_put(struct model_vcpu *vcpu, u64 id, u64 value)
{
	struct arm_reg *r = find(arm_vcpu(vcpu), id);

	if (r)
		put_le(value_at(vcpu, r), 8, value);
}

/* Fewer lengths, from the shortest on without a gap that this CPU does not have (api.rst 4.68). */
static long set_vls(struct arm_vcpu *v, const u64 vls[8])
{
	u64 host = arm_host.sve_vq >= 64 ? ~0ULL : (1ULL << arm_host.sve_vq) - 1;

	if (v->sve_done)
		return model_broken(-EPERM, "KVM_REG_ARM64_SVE_VLS after FINALIZE(SVE)");
	for (int i = 1; i < 8; i++)
		if (vls[i])
			return -EINVAL;
	/* The host's have no gap: nor may these. */
	if (!vls[0] || vls[0] & ~host || vls[0] & (vls[0] + 1))
		return -EINVAL;
	memcpy(v->vls, vls, sizeof(v->vls));
	return 0;
}

/* An ID register is the VM's; once it has run only its own value is taken (api.rst 4.139). */
static long set_id(struct model_vcpu *vcpu, u64 id, u64 value)
{
	struct arm_vm *vm = arm_vm(vcpu->vm);

	if (value == id_value(arm_vcpu(vcpu), vm, id))
		return 0;
	if (vcpu->vm->has_run)
		return -EBUSY;
	vm->id_regs[ARM_ID_REG(id)] = value;
	return 0;
}

static long set_reg(struct model_vcpu *vcpu, struct arm_reg *r, const u8 *value, size_t size)
{
	if (r->id == KVM_REG_ARM64_SVE_VLS)
		return set_vls(arm_vcpu(vcpu), (const u64 *)value);
	if (is_id_reg(r->id))
		return set_id(vcpu, r->id, get_le(value, 8));
	if (r->fixed)
		return memcmp(r->value, value, size) ? -EINVAL : 0;
	memcpy(r->value, value, size);
	return 0;
}

static long list_regs(struct model_call *c)
{
	const struct arm_vcpu *v = arm_vcpu(c->vcpu);
	u64 n, have = v->nr_regs;

	if (model_read(&n, c->arg, sizeof(n)) || model_write(c->arg, &have, sizeof(have)))
		return -EFAULT;
	if (n < have)
		return -E2BIG;
	for (u32 i = 0; i < v->nr_regs; i++)
		if (model_write(c->arg + 8 + 8ULL * i, &v->regs[i].id, 8))
			return -EFAULT;
	return 0;
}

/* asm/kvm.h; the masks of op1 0 are the first 64. */
long arm_reg_masks(const struct model_call *c)
{
	struct reg_mask_range range;
	u64 masks[KVM_ARM_FEATURE_ID_RANGE_SIZE] = { 0 };

	if (model_read(&range, c->arg, sizeof(range)))
		return -EFAULT;
	if (range.range)
		return -EINVAL;
	for (u32 i = 4 * 8; i < ARM_NR_ID_REGS; i++)
		masks[i] = ~0ULL;
	return model_write(range.addr, masks, sizeof(masks)) ? -EFAULT : 0;
}

long arm_reg_ioctl(struct model_call *c)
{
	u8 value[ARM_MAX_REG] __attribute__((aligned(16)));
	struct kvm_one_reg reg;
	struct arm_reg *r;
	size_t size;

	if (c->request == KVM_GET_REG_LIST)
		return list_regs(c);
	if (model_read(&reg, c->arg, sizeof(reg)))
		return -EFAULT;
	model_note(c, "id", "\"0x%llx\"", reg.id);
	r = find(arm_vcpu(c->vcpu), reg.id);
	if (!r)
		return -ENOENT;
	size = 1UL << ((reg.id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
	if (c->request == KVM_GET_ONE_REG)
		return model_write(reg.addr, value_at(c->vcpu, r), size) ? -EFAULT : 0;
	if (model_read(value, reg.addr, size))
		return -EFAULT;
	if (size == 8)
		model_note(c, "value", "\"0x%llx\"", get_le(value, 8));
	return set_reg(c->vcpu, r, value, size);
}
