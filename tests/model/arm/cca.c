/* SPDX-License-Identifier: MIT */
/* The calls of a realm that are not an ordinary VM's: which ABI answers, and what both forbid. */
#include "cca.h"

#define AARCH32 ARM_FEATURE(KVM_ARM_VCPU_EL1_32BIT)

struct psci_complete {
	u64 mpidr;
	u32 status, pad[3];
};
_Static_assert(sizeof(struct psci_complete) == 24, "struct kvm_arm_rmm_psci_complete");

static long create(struct model_vm *vm, u64 type)
{
	long ret = cca_create_vm(vm, type);

	return ret == -EINVAL && model.strict ? model_broken(ret, "KVM_CREATE_VM") : ret;
}

static const char *name_call(const struct model_call *c)
{
	int feature;

	if (c->request == KVM_ENABLE_CAP && c->file->type == MODEL_VM && !cca_host.gen->implicit)
		return cca_rme_name(c);
	if (c->request == CCA_RMI_POPULATE || c->request == CCA_RMI_POPULATE_OLD)
		return "RMI_POPULATE";
	if (cca_host.gen->psci && c->request == cca_host.gen->psci)
		return "PSCI_COMPLETE";
	if (c->request == CCA_GMEM_SET_ATTRIBUTES)
		return "GMEM_SET_ATTRIBUTES";
	if (c->request == KVM_ARM_VCPU_FINALIZE && cca_host.gen->rec &&
	    !model_read(&feature, c->arg, sizeof(feature)) && (u32)feature == cca_host.gen->rec)
		return "FINALIZE_REC";
	return NULL;
}

/* kvm_vm_ioctl_enable_cap: what a realm does not show it does not take either. */
static long enable_cap(struct model_call *c)
{
	long ret = cca_rme_enable_cap(c);

	if (ret != MODEL_PASS || !cca_host.gen->allow_list)
		return ret;
	return model_refused(-EINVAL, "KVM_ENABLE_CAP: a realm takes none");
}

static long vm_call(struct model_call *c)
{
	const struct cca_generation *gen = cca_host.gen;

	if (c->request == KVM_CHECK_EXTENSION) {
		model_note(c, "cap", "%lu", c->arg);
		return cca_realm_cap((u32)c->arg);
	}
	if (c->request == KVM_ENABLE_CAP)
		return enable_cap(c);
	if (gen->implicit &&
	    c->request == (gen->advances ? CCA_RMI_POPULATE : CCA_RMI_POPULATE_OLD))
		return cca_rmi_populate(c);
	return MODEL_PASS;
}

static long vcpu_init(struct model_call *c)
{
	struct kvm_vcpu_init init;
	u32 rec = cca_host.gen->rec ? ARM_FEATURE(cca_host.gen->rec) : 0;

	if (model_read(&init, c->arg, sizeof(init)))
		return -EFAULT;
	if (rec && init.features[0] & rec && init.features[0] & AARCH32)
		return model_broken(-EINVAL, "KVM_ARM_VCPU_INIT: a REC has no AArch32");
	/* The machine looks at the rest; a vcpu of it that is no REC never runs. */
	arm_vm(c->vm)->more_features |= rec;
	if (init.features[0] & rec)
		c->vcpu->feature_bits |= CCA_REC_ASKED;
	return MODEL_PASS;
}

static bool is_gpr(u64 id)
{
	return id >= ARM_REG_X0 && id <= ARM_REG_X30 && !((id - ARM_REG_X0) & 1);
}

/* validate_realm_set_reg */
static bool may_set(const struct model_vm *vm, u64 id)
{
	if (is_gpr(id))
		return true;
	if (cca_host.gen->implicit && cca_realm(vm)->state == CCA_ACTIVE)
		return false;
	return id == ARM_REG_PC || id == ARM_REG_DFR0 || id == KVM_REG_ARM64_SVE_VLS ||
	       (id == ARM_REG_PMCR_EL0 && !cca_host.gen->implicit);
}

static long set_reg(struct model_call *c)
{
	const struct cca_realm *realm = cca_realm(c->vm);
	struct kvm_one_reg reg;

	if (model_read(&reg, c->arg, sizeof(reg)))
		return -EFAULT;
	if (!may_set(c->vm, reg.id))
		return model_broken(-EINVAL, "KVM_SET_ONE_REG: 0x%llx of a realm", reg.id);
	if (reg.id == KVM_REG_ARM64_SVE_VLS && realm->state != CCA_NONE)
		return model_broken(-EPERM, "KVM_REG_ARM64_SVE_VLS: the realm is made already");
	if (c->vcpu->feature_bits & CCA_REC_DONE && realm->state == CCA_NEW)
		model_broken(0, "KVM_SET_ONE_REG: 0x%llx of vcpu %u, whose REC is made: lost",
			     reg.id, c->vcpu->id);
	return MODEL_PASS;
}

static long psci_complete(struct model_call *c)
{
	struct psci_complete p;
	u32 i = 0;

	if (model_read(&p, c->arg, sizeof(p)))
		return -EFAULT;
	while (i < c->vm->nr_vcpus && (arm_mpidr(c->vm->vcpus[i]->id) ^ p.mpidr) & ~(1ULL << 31))
		i++;
	if (i == c->vm->nr_vcpus)
		return model_broken(-EINVAL, "PSCI_COMPLETE: no vcpu is 0x%llx", p.mpidr);
	if (!(c->vcpu->feature_bits & CCA_PSCI_PENDING))
		return model_broken(-EINVAL, "PSCI_COMPLETE: vcpu %u waits for none", c->vcpu->id);
	c->vcpu->feature_bits &= ~(u32)CCA_PSCI_PENDING;
	return 0;
}

/* Whoever enters a realm that said it is off comes back at once, without a reason. */
static bool comes_back(const struct model_vm *vm)
{
	struct cca_realm *realm = cca_realm(vm);

	for (u32 i = 0; i < vm->nr_vcpus; i++)
		realm->off |= vm->vcpus[i]->runs &&
			      vm->vcpus[i]->run->exit_reason == KVM_EXIT_SYSTEM_EVENT;
	return realm->off;
}

static long run(struct model_call *c)
{
	long ret = arm_enter(c->vcpu);

	if (!ret && cca_host.gen->implicit)
		ret = cca_rmi_enter(c);
	else if (!ret)
		ret = cca_rme_enter(c->vcpu);
	if (!ret)
		ret = model_fail(c);
	if (ret)
		return ret;
	if (__atomic_load_n(&c->vcpu->run->immediate_exit, __ATOMIC_SEQ_CST) || !comes_back(c->vm))
		return MODEL_PASS;
	c->vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	return 0;
}

static long vcpu_attribute(const struct model_call *c)
{
	struct kvm_device_attr a;

	if (model_read(&a, c->arg, sizeof(a)))
		return -EFAULT;
	return a.group == KVM_ARM_VCPU_PVTIME_CTRL ? -ENXIO : MODEL_PASS;
}

static long vcpu_call(struct model_call *c)
{
	if (cca_host.gen->psci && c->request == cca_host.gen->psci)
		return psci_complete(c);
	switch (c->request) {
	case KVM_ARM_VCPU_INIT:
		return vcpu_init(c);
	case KVM_ARM_VCPU_FINALIZE:
		return cca_host.gen->rec ? cca_rme_finalize(c) : MODEL_PASS;
	case KVM_SET_ONE_REG:
		return arm_vcpu(c->vcpu)->inited ? set_reg(c) : MODEL_PASS;
	case KVM_SET_GUEST_DEBUG:
		return model_broken(-EINVAL, "KVM_SET_GUEST_DEBUG of a realm");
	case KVM_SET_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR:
		return vcpu_attribute(c);
	case KVM_RUN:
		return run(c);
	}
	return MODEL_PASS;
}

static int set_slot(struct model_vm *vm, const struct model_slot *slot)
{
	if (slot->flags & KVM_MEM_READONLY)
		return (int)model_broken(-EINVAL, "slot %u: a realm has no read-only memory",
					 slot->id);
	return 0;
}

static void destroy(struct model_vm *vm)
{
	struct cca_realm *realm = cca_realm(vm);

	if (realm->state == CCA_DEAD)
		model_log("\"note\": \"the realm of vm %u is dead\"", vm->number);
	if (realm->rmm.exists)
		cca_host.realms--;
	rmm_destroy(&realm->rmm);
	cca_gmem_free(realm);
}

/* ENOMEM: the RMM wants granules for tables, which KVM allocates. */
static const struct model_failure failures[] = {
	{ "RME_CREATE", { ENXIO, EBUSY, ENOMEM }, false },
	{ "RME_INIT_RIPAS", { ENXIO, ENOMEM }, false },
	{ "RME_POPULATE", { ENXIO, EFAULT, ENOMEM }, false },
	{ "RME_ACTIVATE", { ENXIO }, false },
	{ "FINALIZE_REC", { ENXIO, ENOMEM }, false },
	{ "RMI_POPULATE", { ENXIO, EFAULT, EINTR, ENOMEM }, true },
	{ "KVM_RUN", { ENXIO, ENOMEM, EINTR, EAGAIN }, false },
	{ NULL, { 0 }, false },
};

const struct model_kind model_cca = {
	.name = "cca-v7 to cca-v15",
	.help = "realms of Arm CCA: cca-v7 to cca-v10 (RME), cca-v11 to cca-v15 (RMI)",
	.select = cca_select,
	.option = cca_option,
	.create = create,
	.name_call = name_call,
	.vm = vm_call,
	.vcpu = vcpu_call,
	.gmem = cca_gmem_ioctl,
	.punch = cca_gmem_punch,
	.slot = set_slot,
	.destroy = destroy,
	.exits = cca_exits,
	.failures = failures,
	.file = cca_file,
};
