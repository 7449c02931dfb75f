/* SPDX-License-Identifier: MIT */
/* The explicit ABI, v7 to v10: KVM_ENABLE_CAP of KVM_CAP_ARM_RME, and the feature REC. */
#include "cca.h"

enum { OP_CONFIG, OP_CREATE, OP_INIT_RIPAS, OP_POPULATE, OP_ACTIVATE };
enum { CONFIG_RPV, CONFIG_HASH, CONFIG_PLANES, CONFIG_TREE_PP };

#define PART (2 * MiB) /* POPULATE works in blocks of that size */

struct rme_config {
	u32 cfg;
	u8 data[256];
};
_Static_assert(sizeof(struct rme_config) == 260, "struct arm_rme_config");

struct rme_ripas {
	u64 base, size, reserved[2];
};

struct rme_populate {
	u64 base, size;
	u32 flags, reserved[3];
};
#define POPULATE_MEASURE 1U

/* Of a step that belongs between CREATE and ACTIVATE. */
static long wrong_state(const char *what)
{
	return model_broken(cca_host.gen->old_errors ? -EINVAL : -EPERM, "%s: the realm is not new",
			    what);
}

/* "a number that v1 or the planes' series do not have" is unknown. */
static long config_one(struct cca_realm *realm, const struct rme_config *config)
{
	struct rmm_params *p = &realm->config;
	u32 value = (u32)get_le(config->data, 4);

	if (config->cfg == CONFIG_RPV) {
		memcpy(p->rpv, config->data, sizeof(p->rpv));
	} else if (config->cfg == CONFIG_HASH) {
		if (value > RIM_SHA512 || !(cca_host.rmm.hashes & 1U << value))
			return model_refused(-EINVAL, "CONFIG: hash %u, the RMM has 0x%x", value,
					     cca_host.rmm.hashes);
		p->measured.hash = (enum rim_hash)value;
	} else if (config->cfg == CONFIG_PLANES && cca_host.has_planes) {
		if (value > cca_host.rmm.max_planes)
			return model_refused(-EINVAL, "CONFIG: %u planes, the RMM has %u", value,
					     cca_host.rmm.max_planes);
		p->num_aux_planes = value;
	} else if (config->cfg == CONFIG_TREE_PP && cca_host.has_planes) {
		if (!value && cca_host.planes == CCA_PER_PLANE)
			return model_refused(-EINVAL, "CONFIG: the RMM has trees per plane only");
		p->tree_pp = value;
	} else {
		return model_refused(-EINVAL, "CONFIG: item %u", config->cfg);
	}
	return 0;
}

static long config(struct model_call *c, u64 at)
{
	struct cca_realm *realm = cca_realm(c->vm);
	struct rme_config config;

	if (realm->state != CCA_NONE)
		return model_broken(-EBUSY, "CONFIG: the realm is made already");
	if (model_read(&config, at, sizeof(config)))
		return model_broken(-EFAULT, "CONFIG: not a structure of %zu bytes",
				    sizeof(config));
	model_note(c, "cfg", "%u", config.cfg);
	return config_one(realm, &config);
}

static long create(struct model_call *c)
{
	if (cca_realm(c->vm)->state != CCA_NONE)
		return model_broken(-EEXIST, "CREATE: the realm is made already");
	return cca_create(c);
}

static long init_ripas(struct model_call *c, u64 at)
{
	struct cca_realm *realm = cca_realm(c->vm);
	struct rme_ripas ripas;
	enum rmi ret;
	long fault;

	if (model_read(&ripas, at, sizeof(ripas)))
		return model_broken(-EFAULT, "INIT_RIPAS: its structure");
	model_note(c, "base", "\"0x%llx\"", ripas.base);
	model_note(c, "size", "\"0x%llx\"", ripas.size);
	if (ripas.base + ripas.size < ripas.base)
		return model_broken(-EINVAL, "INIT_RIPAS: it wraps");
	if (realm->state != CCA_NEW)
		return wrong_state("INIT_RIPAS");
	fault = model_fail(c);
	if (fault || !ripas.size)
		return fault;
	ret = rmm_init_ripas(&realm->rmm, ripas.base, ripas.base + ripas.size);
	if (ret == RMI_ERROR_RTT)
		return model_broken(cca_host.gen->old_errors ? -ENXIO : -EINVAL,
				    "INIT_RIPAS of 0x%llx: pages there are populated", ripas.base);
	return ret ? model_broken(-ENXIO, "INIT_RIPAS: the RMM refuses 0x%llx at 0x%llx",
				  ripas.size, ripas.base)
		   : 0;
}

/* The memory slot of a part of [base, end): 0, or what is wrong with it. */
static long find_part(const struct model_vm *vm, u64 base, u64 end, const struct model_slot **slot)
{
	const struct model_slot *s = model_find_slot(vm, base);

	if (!s)
		return model_broken(-EFAULT, "POPULATE: no memory at 0x%llx", base);
	if (end > s->gpa + s->size)
		return model_broken(-EINVAL, "POPULATE: slot %u ends before 0x%llx", s->id, end);
	if (!s->gmem)
		return model_broken(cca_host.gen->old_errors ? -EINVAL : -EPERM,
				    "POPULATE: slot %u has no guest_memfd", s->id);
	*slot = s;
	return 0;
}

static long populate_page(struct model_call *c, const struct model_slot *slot, u64 ipa, u64 n,
			  bool measured)
{
	u8 page[MODEL_PAGE];
	long ret = cca_fail_at(c, n);

	if (ret)
		return ret;
	if (model_read(page, slot->hva + (ipa - slot->gpa), sizeof(page)))
		return model_broken(-EFAULT, "POPULATE: the source of 0x%llx", ipa);
	if (cca_data(cca_realm(c->vm), ipa, page, measured))
		return model_broken(-ENXIO, "POPULATE: the RMM refuses the page at 0x%llx", ipa);
	return 0;
}

static long populate_parts(struct model_call *c, const struct rme_populate *p)
{
	u64 end = p->base + p->size, ipa = p->base, n = 0;
	const struct model_slot *slot = NULL;
	long ret = 0;

	while (ipa < end && !ret) {
		u64 part = MIN(ALIGN_DOWN(ipa, PART) + PART, end);

		ret = find_part(c->vm, ipa, part, &slot);
		for (; ipa < part && !ret; ipa += MODEL_PAGE)
			ret = populate_page(c, slot, ipa, n++, p->flags & POPULATE_MEASURE);
	}
	return ret;
}

static long populate(struct model_call *c, u64 at)
{
	struct rme_populate p;

	if (model_read(&p, at, sizeof(p)))
		return model_broken(-EFAULT, "POPULATE: its structure");
	model_note(c, "base", "\"0x%llx\"", p.base);
	model_note(c, "size", "\"0x%llx\"", p.size);
	model_note(c, "flags", "%u", p.flags);
	if (cca_realm(c->vm)->state != CCA_NEW)
		return wrong_state("POPULATE");
	if (!MODEL_ALIGNED(p.base | p.size) || p.flags & ~POPULATE_MEASURE)
		return model_broken(-EINVAL, "POPULATE: not aligned, or flags 0x%x", p.flags);
	if (p.base + p.size < p.base)
		return model_broken(-EINVAL, "POPULATE: it wraps");
	return populate_parts(c, &p);
}

static long activate(struct model_call *c)
{
	struct cca_realm *realm = cca_realm(c->vm);
	long ret;

	if (realm->state != CCA_NEW)
		return model_broken(-EINVAL, "ACTIVATE: the realm is not new");
	ret = model_fail(c);
	if (ret)
		return ret;
	if (rmm_activate(&realm->rmm))
		return model_broken(-ENXIO, "ACTIVATE: the RMM refuses");
	realm->state = CCA_ACTIVE;
	cca_measured(c->vm);
	return 0;
}

static bool read_op(const struct model_call *c, struct kvm_enable_cap *cap)
{
	return !model_read(cap, c->arg, sizeof(*cap)) && cap->cap == cca_cap_number();
}

long cca_rme_enable_cap(struct model_call *c)
{
	struct kvm_enable_cap cap;

	if (cca_host.gen->implicit || !read_op(c, &cap))
		return MODEL_PASS;
	if (cap.flags)
		return model_broken(-EINVAL, "KVM_ENABLE_CAP: flags 0x%x", cap.flags);
	switch (cap.args[0]) {
	case OP_CONFIG:
		return config(c, cap.args[1]);
	case OP_CREATE:
		return create(c);
	case OP_INIT_RIPAS:
		return init_ripas(c, cap.args[1]);
	case OP_POPULATE:
		return populate(c, cap.args[1]);
	case OP_ACTIVATE:
		return activate(c);
	}
	return model_broken(-EINVAL, "KVM_CAP_ARM_RME: operation %llu", cap.args[0]);
}

const char *cca_rme_name(const struct model_call *c)
{
	static const char *const names[] = { "RME_CONFIG", "RME_CREATE", "RME_INIT_RIPAS",
					     "RME_POPULATE", "RME_ACTIVATE" };
	struct kvm_enable_cap cap;

	if (!read_op(c, &cap) || cap.args[0] >= MODEL_ARRAY(names))
		return NULL;
	return names[cap.args[0]];
}

/* kvm_arm_vcpu_finalize; SVE is the machine's. */
long cca_rme_finalize(struct model_call *c)
{
	const struct cca_realm *realm = cca_realm(c->vm);
	struct model_vcpu *vcpu = c->vcpu;
	u32 features = arm_vcpu(vcpu)->features;
	int feature;
	long ret;

	if (model_read(&feature, c->arg, sizeof(feature)) || (u32)feature != cca_host.gen->rec)
		return MODEL_PASS;
	if (!(vcpu->feature_bits & CCA_REC_ASKED))
		return model_broken(-EINVAL, "FINALIZE(REC): vcpu %u was not asked to be one",
				    vcpu->id);
	if (realm->state != CCA_NEW)
		return model_broken(-ENOENT, "FINALIZE(REC): the realm is not new");
	if (vcpu->feature_bits & CCA_REC_DONE)
		return model_broken(-EBUSY, "FINALIZE(REC) twice");
	if (!(features & ARM_FEATURE(KVM_ARM_VCPU_PSCI_0_2)))
		return model_broken(-EINVAL, "FINALIZE(REC): vcpu %u has no PSCI", vcpu->id);
	if (realm->has_pmu && !(features & ARM_FEATURE(KVM_ARM_VCPU_PMU_V3)))
		return model_broken(-EINVAL, "FINALIZE(REC): vcpu %u alone has no PMU", vcpu->id);
	ret = model_fail(c);
	return ret ? ret : cca_make_rec(vcpu);
}

long cca_rme_enter(const struct model_vcpu *vcpu)
{
	if (!(vcpu->feature_bits & CCA_REC_DONE))
		return model_broken(-EPERM, "KVM_RUN: vcpu %u has no REC", vcpu->id);
	if (cca_realm(vcpu->vm)->state != CCA_ACTIVE)
		return model_broken(-EPERM, "KVM_RUN: the realm is not active");
	if (!arm_vm(vcpu->vm)->has_gic)
		return model_broken(-EOPNOTSUPP, "KVM_RUN: realms want KVM's GICv3");
	return 0;
}
