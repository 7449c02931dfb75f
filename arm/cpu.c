/* SPDX-License-Identifier: MIT */
/*
 * The CPU model: which features of KVM_ARM_VCPU_INIT the vcpus have, and what is set on each one
 * before it runs (Linux Documentation/virt/kvm/api.rst, 4.82).
 */
#include "cpu.h"

#include "arm.h"
#include "lkvm/fdt.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "realm.h"

/* Arm ARM, B1.4: SVE vectors are 128 to 2048 bits, a multiple of 128. */
#define SVE_STEP 128U
#define SVE_MOST 2048U

static int usage(const char *what)
{
	err("%s", what);
	return -EINVAL;
}

int arm_cpu_check(const struct vm_config *cfg)
{
	struct arm_cpu_model model;

	if (cfg->arm.e2h0 && !cfg->arm.nested)
		return usage("--e2h0: needs --nested");
	if (cfg->arm.aarch32 && cfg->arm.nested)
		return usage("--aarch32 and --nested: cannot be combined: EL2 is AArch64 only; "
			     "omit one of them");
	if (cfg->arm.sve_max_vl % SVE_STEP || cfg->arm.sve_max_vl > SVE_MOST) {
		err("--sve-max-vl %u: must be a multiple of 128 from 128 to 2048",
		    cfg->arm.sve_max_vl);
		return -EINVAL;
	}
	return arm_cpu_model_parse(cfg, &model);
}

static void add(struct vm *vm, u32 feature)
{
	vm->arch->init.features[feature / 32] |= BIT(feature % 32);
}

static bool added(const struct vm *vm, u32 feature)
{
	return vm->arch->init.features[feature / 32] & BIT(feature % 32);
}

static bool has(const struct vm *vm, u32 cap)
{
	return kvm_check_cap(&vm->kvm, cap) > 0;
}

static int missing(const char *what)
{
	err("%s", what);
	return -EOPNOTSUPP;
}

static int choose_el(struct vm *vm)
{
	const struct vm_config *cfg = vm->cfg;

	if (cfg->arm.aarch32) {
		if (!has(vm, KVM_CAP_ARM_EL1_32BIT))
			return missing("--aarch32: this host's CPUs have no AArch32 at EL1");
		add(vm, KVM_ARM_VCPU_EL1_32BIT);
	}
	if (!cfg->arm.nested)
		return 0;
	if (!has(vm, KVM_CAP_ARM_EL2))
		return missing("--nested: this host's KVM gives guests no EL2; `lkvm host` says "
			       "why");
	add(vm, KVM_ARM_VCPU_HAS_EL2);
	if (!cfg->arm.e2h0)
		return 0;
	if (!has(vm, KVM_CAP_ARM_EL2_E2H0))
		return missing(
			"--e2h0: on this host's CPUs guests cannot clear HCR_EL2.E2H; omit it");
	add(vm, KVM_ARM_VCPU_HAS_EL2_E2H0);
	return 0;
}

/*
 * What the guest has unless it is switched off: all of the host's that AArch64 has. The registers
 * of an AArch32 guest do not reach that far.
 */
static int choose_default_on(struct vm *vm, const struct arm_cpu_model *model)
{
	enum arm_switch sve = arm_cpu_model_want(model, ARM_PROP_SVE);
	enum arm_switch pauth = arm_cpu_model_want(model, ARM_PROP_PAUTH);
	bool has_sve = !vm->cfg->arm.aarch32 && has(vm, KVM_CAP_ARM_SVE);
	/* KVM gives neither without the other. */
	bool has_pauth = !vm->cfg->arm.aarch32 && has(vm, KVM_CAP_ARM_PTRAUTH_ADDRESS) &&
			 has(vm, KVM_CAP_ARM_PTRAUTH_GENERIC);

	if (sve == ARM_ON && !has_sve)
		return missing(vm->cfg->arm.aarch32 ? "sve: an AArch32 guest has none"
						    : "sve: this host's KVM has none for guests; "
						      "omit +sve and --sve-max-vl");
	if (pauth == ARM_ON && !has_pauth)
		return missing(vm->cfg->arm.aarch32 ? "pauth: an AArch32 guest has none"
						    : "pauth: this host's KVM has none for guests");
	if (has_sve && sve != ARM_OFF)
		add(vm, KVM_ARM_VCPU_SVE);
	if (has_pauth && pauth != ARM_OFF) {
		add(vm, KVM_ARM_VCPU_PTRAUTH_ADDRESS);
		add(vm, KVM_ARM_VCPU_PTRAUTH_GENERIC);
	}
	return 0;
}

/* A capability, since KVM must know before the first vcpu. */
static int choose_mte(struct vm *vm, enum arm_switch want)
{
	int ret;

	/* Realms have none: it is not even asked for. */
	if (want == ARM_OFF || vm->arch->realm)
		return 0;
	if (vm->cfg->arm.aarch32 || !has(vm, KVM_CAP_ARM_MTE))
		return want == ARM_ON ? missing("mte: this host's KVM, or an AArch32 guest, "
						"has none")
				      : 0;
	ret = kvm_enable_cap(&vm->kvm, KVM_CAP_ARM_MTE, 0);
	if (ret)
		err("cannot enable memory tagging: %s; omit it with --disable-mte", strerror(-ret));
	return ret;
}

static int choose_pmu(struct vm *vm, enum arm_switch want)
{
	if (want != ARM_ON)
		return 0;
	if (!has(vm, KVM_CAP_ARM_PMU_V3))
		return missing("--pmu: this host's KVM offers no PMU; `lkvm host` says why");
	add(vm, KVM_ARM_VCPU_PMU_V3);
	return 0;
}

static int set_counter_offset(struct vm *vm)
{
	struct kvm_arm_counter_offset offset = { .counter_offset = vm->cfg->arm.counter_offset };
	int ret;

	if (!vm->cfg->arm.has_counter_offset)
		return 0;
	if (!has(vm, KVM_CAP_COUNTER_OFFSET))
		return missing("--counter-offset: this host's KVM does not support it; it needs "
			       "Linux 6.4");
	ret = xioctl(vm->kvm.vm_fd, KVM_ARM_SET_COUNTER_OFFSET, &offset);
	if (ret < 0)
		err("--counter-offset %llu: %s", vm->cfg->arm.counter_offset, strerror(-ret));
	return MIN(ret, 0);
}

int arm_cpu_init(struct vm *vm)
{
	struct kvm_vcpu_init *init = &vm->arch->init;
	struct arm_cpu_model model;
	int ret;

	ret = arm_cpu_model_parse(vm->cfg, &model);
	if (ret)
		return ret;
	if (arm_cpu_model_want(&model, ARM_PROP_SME) == ARM_ON)
		return missing("--cpu: 'sme': no KVM up to Linux 7.3 supports it for guests");
	ret = xioctl(vm->kvm.vm_fd, KVM_ARM_PREFERRED_TARGET, init);
	if (ret < 0) {
		err("cannot read what CPU KVM offers: KVM_ARM_PREFERRED_TARGET: %s",
		    strerror(-ret));
		return ret;
	}
	memset(init->features, 0, sizeof(init->features));
	add(vm, KVM_ARM_VCPU_PSCI_0_2);
	if (vm->arch->realm && !vm->arch->realm->found.abi->implicit)
		add(vm, vm->arch->realm->found.abi->rec);
	ret = choose_el(vm);
	if (!ret)
		ret = choose_default_on(vm, &model);
	if (!ret)
		ret = choose_mte(vm, arm_cpu_model_want(&model, ARM_PROP_MTE));
	if (!ret)
		ret = choose_pmu(vm, arm_cpu_model_want(&model, ARM_PROP_PMU));
	return ret ? ret : set_counter_offset(vm);
}

int arm_cpu_sketch(struct vm *vm)
{
	struct arm_cpu_model model;
	int ret = arm_cpu_model_parse(vm->cfg, &model);

	if (!ret && arm_cpu_model_want(&model, ARM_PROP_PMU) == ARM_ON)
		add(vm, KVM_ARM_VCPU_PMU_V3);
	return ret;
}

/* Is any register but those of KVM_ARM_VCPU_INIT to be changed? */
static bool changes_fields(const struct arm_cpu_model *model)
{
	bool any = model->pmuver;

	for (size_t i = 0; i < arm_nr_cpu_props; i++)
		any |= arm_cpu_props[i].kind == ARM_PROP_FIELD && model->want[i] != ARM_AS_HOST;
	return any;
}

/* The ID registers belong to the VM: one vcpu is told for all. */
static int set_id_regs(struct vcpu *vcpu, const struct arm_cpu_model *model)
{
	struct arm_id_regs regs = { 0 };
	u64 changed;
	int ret;

	if (!changes_fields(model))
		return 0;
	for (size_t i = 0; i < arm_nr_cpu_props; i++) {
		u32 reg = arm_cpu_props[i].reg;

		/* One that this KVM does not know: nothing of it is there. */
		if (arm_cpu_props[i].kind == ARM_PROP_FIELD &&
		    vcpu_get_reg(vcpu, arm_id_reg(reg), &regs.value[reg]))
			regs.value[reg] = 0;
	}
	arm_id_regs_writable(vcpu->vm, &regs);
	ret = arm_id_regs_plan(model, &regs, &changed);
	for (u32 reg = 0; reg < ARM_NR_ID_REGS && !ret; reg++) {
		if (!(changed & BIT_ULL(reg)))
			continue;
		ret = vcpu_set_reg(vcpu, arm_id_reg(reg), &regs.value[reg]);
		if (ret)
			err("--cpu: KVM refuses 0x%llx for %s: %s", regs.value[reg],
			    arm_id_reg_name(reg), strerror(-ret));
	}
	return ret;
}

/* A KVM that does not let it be changed (before Linux 6.7) shows the host's. */
static void limit_pa_range(struct vcpu *vcpu)
{
	const u64 id = arm_id_reg(ARM_ID_REG(7, 0));
	u64 host, value;
	int ret = vcpu_get_reg(vcpu, id, &host);

	if (ret)
		return;
	value = arm_limit_pa_range(host, vcpu->vm->arch->ipa_bits);
	if (value == host)
		return;
	ret = vcpu_set_reg(vcpu, id, &value);
	if (ret)
		debug("KVM refuses 0x%llx for %s: %s; the guest sees the host's range of physical "
		      "addresses",
		      value, arm_id_reg_name(ARM_ID_REG(7, 0)), strerror(-ret));
}

int arm_cpu_finish(struct vcpu *vcpu)
{
	struct arm_cpu_model model;
	int ret;

	if (added(vcpu->vm, KVM_ARM_VCPU_SVE)) {
		ret = arm_sve_setup(vcpu);
		if (ret)
			return ret;
	}
	if (vcpu->vm->arch->realm)
		return arm_realm_limit_debug(vcpu);
	if (vcpu->id)
		return 0;
	limit_pa_range(vcpu);
	ret = arm_cpu_model_parse(vcpu->vm->cfg, &model);
	return ret ? ret : set_id_regs(vcpu, &model);
}

int arm_cpu_late(struct vm *vm)
{
	struct arm_cpu_model model;
	int ret;

	if (!added(vm, KVM_ARM_VCPU_PMU_V3))
		return 0;
	ret = arm_cpu_model_parse(vm->cfg, &model);
	return ret ? ret : arm_pmu_setup(vm, &model);
}

void arm_cpu_describe(struct vm *vm, struct fdtw *fdt)
{
	u32 cells[FDTW_MAX_IRQ_CELLS] = { 1, ARM_PPI_PMU - 16,
					  4 }; /* PPI, its number, level high */

	if (!added(vm, KVM_ARM_VCPU_PMU_V3))
		return;
	/* A GICv2 wants to know whose they are (arm,gic.yaml: bits 15:8, a mask of CPUs). */
	if (vm->arch->gic.kind == ARM_IRQCHIP_GICV2 || vm->arch->gic.kind == ARM_IRQCHIP_GICV2M)
		cells[2] |= (BIT(MIN(vm->cfg->cpus, 8U)) - 1) << 8;
	fdtw_node(fdt, "pmu");
	fdtw_string(fdt, "compatible", "arm,armv8-pmuv3");
	fdtw_cells(fdt, "interrupts", cells, 3);
	fdtw_close(fdt);
}
