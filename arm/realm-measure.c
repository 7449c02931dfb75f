/* SPDX-License-Identifier: MIT */
/*
 * A realm's initial measurement without KVM: the steps of realm-explicit.c and realm-implicit.c
 * over the same list, in their order. What KVM or the RMM would take from the host comes from the
 * options or, where they say nothing, is what TF-RMM on Arm's Base FVP has.
 */
#include <stdlib.h>

#include "arm.h"
#include "cpu.h"
#include "lkvm/coco.h"
#include "lkvm/log.h"
#include "lkvm/measure.h"
#include "lkvm/memory.h"
#include "lkvm/plan.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "realm.h"

/* The FVP's CPUs. */
#define FVP_POINTS   16U
#define FVP_COUNTERS 8U
#define FVP_SVE_BITS 512U

/* Versions that measure alike, by one of them. */
static const struct group {
	enum realm_abi_kind abi;
	const char *name, *rim;
} groups[] = {
	{ REALM_ABI_V10, "v7-v10", "rim-v7-v10" },
	{ REALM_ABI_V12, "v11-v12", "rim-v11-v12" },
	{ REALM_ABI_V15, "v13-v15", "rim-v13-v15" },
};

struct measured {
	struct measure_result *result;
	const struct arm_realm_abi *abi;
	bool refused;
	struct rim rim;
	struct rim_params params;
};

struct state {
	struct measured all[ARRAY_SIZE(groups)];
	u32 nr;
};

static enum hash_alg hash_of(const struct realm_config *cfg)
{
	return cfg->hash == REALM_HASH_512 ? HASH_SHA512 : HASH_SHA256;
}

/* The vcpus as cpu.c would set them up on such a host. */
static int make_params(const struct vm *vm, struct rim_params *p)
{
	const struct arm_config *cfg = &vm->cfg->arm;
	struct arm_cpu_model model;
	int ret = arm_cpu_model_parse(vm->cfg, &model);
	u32 bits = cfg->sve_max_vl ? cfg->sve_max_vl : FVP_SVE_BITS;

	if (ret)
		return ret;
	*p = (struct rim_params){
		.s2sz = (u8)vm->arch->ipa_bits,
		.num_bps = (u8)((cfg->realm.breakpoints ? cfg->realm.breakpoints : FVP_POINTS) - 1),
		.num_wps = (u8)((cfg->realm.watchpoints ? cfg->realm.watchpoints : FVP_POINTS) - 1),
		.hash = hash_of(&cfg->realm),
	};
	if (arm_cpu_model_want(&model, ARM_PROP_SVE) != ARM_OFF) {
		p->flags |= RIM_FLAG_SVE;
		p->sve_vl = (u8)(bits / 128 - 1);
	}
	if (arm_cpu_model_want(&model, ARM_PROP_PMU) == ARM_ON) {
		p->flags |= RIM_FLAG_PMU;
		p->pmu_num_ctrs = (u8)(model.has_counters ? model.counters : FVP_COUNTERS);
	}
	return 0;
}

static void begin_rim(struct measure *m, struct measured *one, const char *name)
{
	enum rim_profile profile = one->abi->implicit ? RIM_RMM2 : RIM_RMM1;
	const struct memory_region *r;

	rim_create(&one->rim, &one->params, profile, name, m->log);
	memory_for_each(&m->vm->mem, r)
		if (arm_realm_owns(r))
			rim_init_ripas(&one->rim, r->gpa, r->gpa + r->size);
}

static int begin_one(struct measure *m, enum realm_abi_kind abi, const char *name, const char *rim)
{
	struct state *s = m->state;
	struct measured *one = &s->all[s->nr++];
	char why[160];

	one->abi = arm_realm_abi_of(abi);
	one->result = measure_add_result(m, name);
	if (arm_realm_misfit(one->abi, m->vm->cfg, why, sizeof(why))) {
		measure_refuse(one->result, "%s", why);
		one->refused = true;
		return 0;
	}
	if (one->abi->counts) {
		measure_refuse(one->result,
			       "KVM makes memory the realm's after its pages, in an order of its "
			       "own, and the RMM measures that, too");
		one->refused = true;
		return 0;
	}
	if (make_params(m->vm, &one->params))
		return -EINVAL;
	begin_rim(m, one, rim);
	return 0;
}

static int begin(struct measure *m, const struct boot_plan *plan)
{
	enum realm_abi_kind asked = m->vm->cfg->arm.realm.abi;
	int ret = 0;

	m->state = xcalloc(1, sizeof(struct state));
	if (asked)
		return begin_one(m, asked, realm_abi_names[asked], "rim");
	for (size_t i = 0; i < ARRAY_SIZE(groups) && !ret; i++)
		ret = begin_one(m, groups[i].abi, groups[i].name, groups[i].rim);
	return ret;
}

static int place(struct measure *m, const struct boot_plan *plan, const struct boot_run *run)
{
	struct state *s = m->state;
	u8 page[BOOT_PAGE];

	for (u64 at = run->gpa; at < run->gpa + run->len; at += BOOT_PAGE) {
		int ret = boot_plan_read(plan, at, page, BOOT_PAGE);

		if (ret)
			return ret;
		for (u32 i = 0; i < s->nr; i++)
			if (!s->all[i].refused)
				rim_data(&s->all[i].rim, at, page, run->measured);
	}
	return 0;
}

/* The RECs of the others are not runnable. */
static int vcpu(struct measure *m, u32 index, const struct boot_plan *plan)
{
	struct state *s = m->state;
	u64 pc = 0, gprs[8] = { 0 };

	if (index)
		return 0;
	for (u32 i = 0; i < plan->nr_regs; i++) {
		const struct boot_reg *reg = &plan->regs[i];
		u64 n = strtoul(reg->name + 1, NULL, 10);

		if (!strcmp(reg->name, "pc"))
			pc = reg->value;
		else if (n < ARRAY_SIZE(gprs))
			gprs[n] = reg->value;
	}
	for (u32 i = 0; i < s->nr; i++)
		if (!s->all[i].refused)
			rim_rec(&s->all[i].rim, pc, gprs);
	return 0;
}

static void finish_one(const struct measure *m, const struct measured *one)
{
	const struct rim_params *p = &one->params;
	struct measure_result *r = one->result;

	if (one->refused)
		return;
	measure_add_bytes(r, "rim", one->rim.value, hash_len(p->hash));
	measure_add_text(r, "hash", hash_name(p->hash));
	if (!one->abi->implicit)
		measure_add_bytes(r, "rpv", arm_realm_rpv(m->vm), REALM_RPV_LEN);
	measure_add_number(r, "address-bits", p->s2sz);
	measure_add_number(r, "breakpoints", p->num_bps + 1U);
	measure_add_number(r, "watchpoints", p->num_wps + 1U);
	measure_add_number(r, "sve-bits", p->flags & RIM_FLAG_SVE ? (p->sve_vl + 1U) * 128U : 0U);
	if (p->flags & RIM_FLAG_PMU)
		measure_add_number(r, "pmu-counters", p->pmu_num_ctrs);
}

static int finish(struct measure *m)
{
	const struct state *s = m->state;

	for (u32 i = 0; i < s->nr; i++)
		finish_one(m, &s->all[i]);
	return 0;
}

static void destroy(struct measure *m)
{
	free(m->state);
	m->state = NULL;
}

const struct coco_measure arm_realm_measure = {
	.kind = "realm",
	.option = "--realm",
	.begin = begin,
	.place = place,
	.vcpu = vcpu,
	.finish = finish,
	.destroy = destroy,
};
