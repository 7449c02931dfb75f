/* SPDX-License-Identifier: MIT */
/* What both ABIs do alike: the realm's parameters, RECs, pages, and the measurement's report. */
#include <stdio.h>

#include "cca.h"

#define DFR0_BRPS_SHIFT 12
#define DFR0_WRPS_SHIFT 20
#define PMCR_N_SHIFT	11
#define SVE		ARM_FEATURE(KVM_ARM_VCPU_SVE)
#define PMU		ARM_FEATURE(KVM_ARM_VCPU_PMU_V3)
#define X(n)		(ARM_REG_X0 + (u64)(n)*2)

static u8 longest(const struct arm_vcpu *v)
{
	u8 vq = 0;

	for (u8 i = 0; i < 64; i++)
		if (v->vls[0] >> i & 1)
			vq = i;
	return vq;
}

/* realm_init_sve_param: all vcpus have the same vectors, and that is settled. */
static long gather_sve(const struct model_vm *vm, struct rim_params *p)
{
	for (u32 i = 0; i < vm->nr_vcpus; i++) {
		const struct arm_vcpu *v = arm_vcpu(vm->vcpus[i]);

		if (!(v->features & SVE))
			continue;
		if (!v->sve_done)
			return model_broken(
				-EINVAL, "the realm is made before vcpu %u's SVE is finalized", i);
		if (p->flags & RIM_FLAG_SVE && p->sve_vl != longest(v))
			return model_broken(-EINVAL, "vcpus have different SVE vectors");
		p->flags |= RIM_FLAG_SVE;
		p->sve_vl = longest(v);
	}
	return 0;
}

static void gather_pmu(const struct model_vm *vm, struct rim_params *p)
{
	for (u32 i = 0; i < vm->nr_vcpus; i++) {
		u64 pmcr = arm_reg_get(vm->vcpus[i], ARM_REG_PMCR_EL0);

		if (!(arm_vcpu(vm->vcpus[i])->features & PMU))
			continue;
		p->flags |= RIM_FLAG_PMU;
		p->pmu_num_ctrs = pmcr >> PMCR_N_SHIFT & 0x1f;
	}
}

static long gather(const struct model_vm *vm, struct rim_params *p)
{
	u64 dfr0 = arm_vm(vm)->id_regs[ARM_ID_REG(ARM_REG_DFR0)];

	p->flags = 0;
	p->s2sz = (u8)arm_vm(vm)->ipa_bits;
	p->num_bps = dfr0 >> DFR0_BRPS_SHIFT & 0xf;
	p->num_wps = dfr0 >> DFR0_WRPS_SHIFT & 0xf;
	if (cca_host.gen->rmm2 && cca_host.rmm.lpa2)
		p->flags |= RIM_FLAG_LPA2;
	if (cca_host.da)
		p->flags |= RIM_FLAG_DA;
	gather_pmu(vm, p);
	return gather_sve(vm, p);
}

/* The RMM has what the CPU has. */
static void complete_rmm(void)
{
	struct rmm_host *rmm = &cca_host.rmm;

	rmm->sve = arm_host.sve_vq;
	rmm->sve_vl = (u8)(arm_host.sve_vq ? arm_host.sve_vq - 1 : 0);
	rmm->num_bps = (u8)arm_host.bps;
	rmm->num_wps = (u8)arm_host.wps;
	rmm->pmu_num_ctrs = (u8)arm_host.pmu_counters;
}

long cca_create(struct model_call *c)
{
	struct cca_realm *realm = cca_realm(c->vm);
	long ret;

	if (cca_host.realms >= cca_host.vmids)
		return model_refused(-EBUSY, "REALM_CREATE: no VMID is free");
	ret = gather(c->vm, &realm->config.measured);
	/* A fault of a populate has a page of its own. */
	if (!ret && !cca_host.gen->implicit)
		ret = model_fail(c);
	if (ret)
		return ret;
	complete_rmm();
	realm->config.indirect = cca_host.planes == CCA_INDIRECT;
	if (rmm_create(&realm->rmm, &cca_host.rmm, &realm->config))
		return model_refused(-ENXIO, "REALM_CREATE: the RMM refuses the parameters");
	realm->state = CCA_NEW;
	realm->has_pmu = realm->config.measured.flags & RIM_FLAG_PMU;
	cca_host.realms++;
	return 0;
}

long cca_make_rec(struct model_vcpu *vcpu)
{
	struct cca_realm *realm = cca_realm(vcpu->vm);
	u64 gprs[8], pc = arm_reg_get(vcpu, ARM_REG_PC);
	bool runnable = !vcpu->id;

	for (unsigned int i = 0; i < 8; i++)
		gprs[i] = arm_reg_get(vcpu, X(i));
	if (rmm_rec(&realm->rmm, vcpu->id, runnable, pc, gprs))
		return model_broken(-ENXIO,
				    "REC_CREATE of vcpu %u: RECs are made in ascending order",
				    vcpu->id);
	vcpu->feature_bits |= CCA_REC_DONE;
	realm->rec_measured |= runnable;
	return 0;
}

/* What no call refuses, and still makes a measurement that nobody computes. */
static void look_at_order(struct cca_realm *realm, u64 ipa)
{
	if (realm->rec_measured)
		model_log("\"note\": \"a measured page at 0x%llx after the REC\"", ipa);
	if (ipa < realm->last_measured)
		model_log("\"note\": \"a measured page at 0x%llx after one at 0x%llx\"", ipa,
			  realm->last_measured);
	realm->last_measured = ipa;
}

enum rmi cca_data(struct cca_realm *realm, u64 ipa, const void *page, bool measured)
{
	enum rmi ret = rmm_data(&realm->rmm, ipa, page, measured);

	if (!ret && measured)
		look_at_order(realm, ipa);
	return ret;
}

long cca_fail_at(struct model_call *c, u64 n)
{
	/* The explicit ABI's populate is done, or has failed: it stops nowhere in between. */
	if (cca_host.gen->implicit)
		return model_disturb(c, n);
	return c->fault.page == n ? model_fail(c) : 0;
}

void cca_measured(const struct model_vm *vm)
{
	const struct cca_realm *realm = cca_realm(vm);
	const struct rim *rim = &realm->rmm.rim;
	char more[256];

	snprintf(more, sizeof(more),
		 ", \"generation\": \"%s\", \"hash\": \"%s\", \"extends\": %u, "
		 "\"predictable\": %s, \"planes\": %u",
		 cca_host.gen->name, rim_hash_name(rim->hash), rim->extends,
		 cca_host.gen->implicit && !cca_host.gen->rmm2 ? "false" : "true",
		 realm->config.num_aux_planes);
	model_measured(vm, "RIM", rim->value, rim_len(rim->hash), more);
}
