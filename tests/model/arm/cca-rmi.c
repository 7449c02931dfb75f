/* SPDX-License-Identifier: MIT */
/* The implicit ABI, from v11 on: POPULATE, and the first KVM_RUN, which does all the rest. */
#include "cca.h"

struct rmi_populate {
	u64 base, size, source;
	u32 flags, reserved;
};
#define POPULATE_MEASURE 1U

static long check_populate(const struct rmi_populate *p)
{
	if (p->reserved || p->flags & ~POPULATE_MEASURE)
		return model_broken(-EINVAL, "RMI_POPULATE: reserved 0x%x, flags 0x%x", p->reserved,
				    p->flags);
	if (!MODEL_ALIGNED(p->base) || !MODEL_ALIGNED(p->base + p->size))
		return model_broken(-EINVAL, "RMI_POPULATE: 0x%llx at 0x%llx is not aligned",
				    p->size, p->base);
	if (cca_host.gen->advances && !MODEL_ALIGNED(p->source))
		return model_broken(-EINVAL, "RMI_POPULATE: the source 0x%llx is not aligned",
				    p->source);
	return 0;
}

static long want_new(struct model_call *c)
{
	switch (cca_realm(c->vm)->state) {
	case CCA_DEAD:
		return model_broken(-ENXIO, "RMI_POPULATE: the realm is dead");
	case CCA_ACTIVE:
		return model_broken(-EBUSY, "RMI_POPULATE: the realm runs already");
	case CCA_NONE:
		return cca_create(c);
	default:
		return 0;
	}
}

/* The RMM's code where KVM passes it on. */
static long refused_page(u64 ipa, enum rmi code)
{
	return model_broken(cca_host.gen->advances ? (long)code : -ENXIO,
			    "RMI_POPULATE: the RMM refuses the page at 0x%llx", ipa);
}

static long populate_page(struct model_call *c, const struct rmi_populate *p, u64 n)
{
	u64 ipa = p->base + n * MODEL_PAGE;
	u8 page[MODEL_PAGE];
	enum rmi code;
	long ret = cca_fail_at(c, n);

	if (ret)
		return c->fault.fw && cca_host.gen->advances ? (long)c->fault.fw : ret;
	if (p->source && model_read(page, p->source + n * MODEL_PAGE, sizeof(page)))
		return model_broken(-EFAULT, "RMI_POPULATE: the source of 0x%llx", ipa);
	if (!cca_is_private(c->vm, ipa))
		return model_broken(-EINVAL, "RMI_POPULATE: 0x%llx is not private", ipa);
	if (!p->source)
		return model_broken(cca_host.gen->advances ? -EOPNOTSUPP : -EFAULT,
				    "RMI_POPULATE: no source");
	code = cca_data(cca_realm(c->vm), ipa, page, p->flags & POPULATE_MEASURE);
	return code ? refused_page(ipa, code) : 0;
}

/* How many pages were done, or how the first one failed. */
static long populate_pages(struct model_call *c, const struct rmi_populate *p, u64 *done)
{
	const struct model_slot *slot = model_find_slot(c->vm, p->base);
	long ret = 0;
	u64 n;

	if (!slot || !slot->gmem)
		return model_broken(-EINVAL, "RMI_POPULATE: no guest_memfd at 0x%llx", p->base);
	n = MIN(p->size, slot->gpa + slot->size - p->base) / MODEL_PAGE;
	while (*done < n && !ret) {
		ret = populate_page(c, p, *done);
		*done += !ret;
	}
	return *done ? 0 : ret;
}

long cca_rmi_populate(struct model_call *c)
{
	struct rmi_populate p;
	u64 done = 0;
	long ret;

	if (model_read(&p, c->arg, sizeof(p)))
		return model_broken(-EFAULT, "RMI_POPULATE: its structure");
	model_note(c, "base", "\"0x%llx\"", p.base);
	model_note(c, "size", "\"0x%llx\"", p.size);
	model_note(c, "flags", "%u", p.flags);
	ret = check_populate(&p);
	if (!ret)
		ret = want_new(c);
	if (!ret)
		ret = populate_pages(c, &p, &done);
	if (ret)
		return ret;
	model_note(c, "done", "%llu", done);
	if (!cca_host.gen->advances)
		return (long)(done * MODEL_PAGE);
	p.base += done * MODEL_PAGE;
	p.size -= done * MODEL_PAGE;
	p.source += done * MODEL_PAGE;
	return model_write(c->arg, &p, sizeof(p)) ? -EFAULT : 0;
}

static long make_recs(const struct model_vm *vm)
{
	long ret = 0;

	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++) {
		const struct arm_vcpu *v = arm_vcpu(vm->vcpus[i]);

		if (!v->inited || !(v->features & ARM_FEATURE(KVM_ARM_VCPU_PSCI_0_2)))
			return model_broken(-EINVAL, "KVM_RUN: vcpu %u has no PSCI", i);
		ret = cca_make_rec(vm->vcpus[i]);
	}
	return ret;
}

/* All of a slot but what is populated. RMM 1.x measures it, in the order of KVM's slots. */
static long ripas_of_slot(struct cca_realm *realm, const struct model_slot *slot)
{
	u64 end = slot->gpa + slot->size, at = slot->gpa, next;

	for (; at < end; at = next) {
		bool full = model_set_has(&realm->rmm.populated, at);

		next = at + MODEL_PAGE;
		while (next < end && model_set_has(&realm->rmm.populated, next) == full)
			next += MODEL_PAGE;
		if (!full && rmm_init_ripas(&realm->rmm, at, next))
			return model_broken(-ENXIO, "KVM_RUN: the RMM refuses slot %u", slot->id);
	}
	return 0;
}

static long build(struct model_call *c)
{
	struct cca_realm *realm = cca_realm(c->vm);
	long ret = realm->rmm.exists ? 0 : cca_create(c);

	realm->state = CCA_DEAD;
	if (!ret)
		ret = make_recs(c->vm);
	for (size_t i = 0; i < c->vm->nr_slots && !ret; i++)
		if (c->vm->slots[i].gmem)
			ret = ripas_of_slot(realm, &c->vm->slots[i]);
	if (!ret)
		ret = model_fail(c);
	if (!ret && rmm_activate(&realm->rmm))
		ret = model_broken(-ENXIO, "KVM_RUN: the RMM refuses to activate the realm");
	return ret;
}

long cca_rmi_enter(struct model_call *c)
{
	struct cca_realm *realm = cca_realm(c->vm);
	long ret;

	if (realm->state == CCA_ACTIVE)
		return 0;
	if (!arm_vm(c->vm)->has_gic)
		return model_broken(-EOPNOTSUPP, "KVM_RUN: realms want KVM's GICv3");
	if (realm->state == CCA_DEAD)
		return model_broken(-ENXIO, "KVM_RUN: the realm is dead");
	ret = build(c);
	if (ret)
		return ret;
	realm->state = CCA_ACTIVE;
	cca_measured(c->vm);
	return 0;
}
