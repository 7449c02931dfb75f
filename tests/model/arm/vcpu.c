/* SPDX-License-Identifier: MIT */
/* The calls of a vcpu (Linux api.rst 4.82 KVM_ARM_VCPU_INIT and what follows it). */
#include <linux/psci.h>
#include <stdlib.h>

#include "arm.h"

#define POWER_OFF ARM_FEATURE(KVM_ARM_VCPU_POWER_OFF)
#define PAUTH \
	(ARM_FEATURE(KVM_ARM_VCPU_PTRAUTH_ADDRESS) | ARM_FEATURE(KVM_ARM_VCPU_PTRAUTH_GENERIC))

static u32 known_features(const struct model_vm *vm)
{
	u32 known = POWER_OFF | ARM_FEATURE(KVM_ARM_VCPU_PSCI_0_2) |
		    ARM_FEATURE(KVM_ARM_VCPU_PMU_V3) | PAUTH | arm_vm(vm)->more_features;

	if (arm_host.sve_vq)
		known |= ARM_FEATURE(KVM_ARM_VCPU_SVE);
	if (arm_host.nested)
		known |= ARM_FEATURE(KVM_ARM_VCPU_HAS_EL2);
	return known;
}

/* arch/arm64/kvm/arm.c, kvm_vcpu_init_check_features and kvm_vcpu_set_target */
static long check_features(const struct model_vcpu *vcpu, const struct kvm_vcpu_init *init)
{
	const struct arm_vm *vm = arm_vm(vcpu->vm);
	u32 features = init->features[0];

	if (init->target != KVM_ARM_TARGET_GENERIC_V8)
		return model_broken(-EINVAL, "KVM_ARM_VCPU_INIT: target %u", init->target);
	for (size_t i = 1; i < MODEL_ARRAY(init->features); i++)
		if (init->features[i])
			return model_broken(-ENOENT, "KVM_ARM_VCPU_INIT: features[%zu]", i);
	if (features & ~known_features(vcpu->vm))
		return model_broken(-EINVAL, "KVM_ARM_VCPU_INIT: features 0x%x, there are 0x%x",
				    features, known_features(vcpu->vm));
	if ((features & PAUTH) && (features & PAUTH) != PAUTH)
		return model_broken(-EINVAL, "KVM_ARM_VCPU_INIT: half of PTRAUTH");
	if (vm->has_features && vm->features != (features & ~POWER_OFF))
		return model_broken(-EINVAL, "KVM_ARM_VCPU_INIT: features 0x%x, this VM's are 0x%x",
				    features, vm->features);
	return 0;
}

static long init(struct model_call *c)
{
	struct arm_vcpu *v = arm_vcpu(c->vcpu);
	struct arm_vm *vm = arm_vm(c->vm);
	struct kvm_vcpu_init init;
	long ret;

	if (model_read(&init, c->arg, sizeof(init)))
		return -EFAULT;
	model_note(c, "features", "\"0x%x\"", init.features[0]);
	ret = check_features(c->vcpu, &init);
	if (ret)
		return ret;
	if (!v->inited && arm_host.sve_vq)
		v->vls[0] = (1ULL << arm_host.sve_vq) - 1;
	v->inited = true;
	v->features = init.features[0] & ~POWER_OFF;
	v->off = init.features[0] & POWER_OFF;
	vm->features = v->features;
	vm->has_features = true;
	arm_regs_make(c->vcpu);
	return 0;
}

static long finalize(struct model_call *c)
{
	struct arm_vcpu *v = arm_vcpu(c->vcpu);
	int feature;

	if (model_read(&feature, c->arg, sizeof(feature)))
		return -EFAULT;
	if (feature != KVM_ARM_VCPU_SVE || !(v->features & ARM_FEATURE(KVM_ARM_VCPU_SVE)))
		return model_broken(-EINVAL, "KVM_ARM_VCPU_FINALIZE of feature %d", feature);
	if (v->sve_done)
		return model_broken(-EPERM, "KVM_ARM_VCPU_FINALIZE(SVE) twice");
	v->sve_done = true;
	arm_regs_make(c->vcpu);
	return 0;
}

static bool is_finalized(const struct arm_vcpu *v)
{
	return !(v->features & ARM_FEATURE(KVM_ARM_VCPU_SVE)) || v->sve_done;
}

/* kvm_arch_vcpu_run_pid_change */
long arm_enter(struct model_vcpu *vcpu)
{
	const struct arm_vcpu *v = arm_vcpu(vcpu);

	if (!v->inited)
		return model_broken(-ENOEXEC, "KVM_RUN: vcpu %u is not initialized", vcpu->id);
	if (!is_finalized(v))
		return model_broken(-EPERM, "KVM_RUN: vcpu %u has SVE and is not finalized",
				    vcpu->id);
	if (arm_vm(vcpu->vm)->has_gic && !arm_vm(vcpu->vm)->gic_inited)
		return model_broken(-ENODEV, "KVM_RUN: the interrupt controller is not set up");
	return 0;
}

static long mp_state(struct model_call *c)
{
	struct arm_vcpu *v = arm_vcpu(c->vcpu);
	struct kvm_mp_state mp;

	if (c->request == KVM_GET_MP_STATE) {
		mp.mp_state = v->off ? KVM_MP_STATE_STOPPED : KVM_MP_STATE_RUNNABLE;
		return model_write(c->arg, &mp, sizeof(mp)) ? -EFAULT : 0;
	}
	if (model_read(&mp, c->arg, sizeof(mp)))
		return -EFAULT;
	if (mp.mp_state != KVM_MP_STATE_RUNNABLE && mp.mp_state != KVM_MP_STATE_STOPPED)
		return -EINVAL;
	v->off = mp.mp_state == KVM_MP_STATE_STOPPED;
	return 0;
}

static long events(struct model_call *c)
{
	struct kvm_vcpu_events *events = &arm_vcpu(c->vcpu)->events;

	if (c->request == KVM_GET_VCPU_EVENTS)
		return model_write(c->arg, events, sizeof(*events)) ? -EFAULT : 0;
	return model_read(events, c->arg, sizeof(*events)) ? -EFAULT : 0;
}

/* devices/vcpu.rst: the PMU, the timers' interrupts, stolen time. */
static long attribute(struct model_call *c)
{
	const struct arm_vcpu *v = arm_vcpu(c->vcpu);
	struct kvm_device_attr a;

	if (model_read(&a, c->arg, sizeof(a)))
		return -EFAULT;
	model_note(c, "group", "%u", a.group);
	model_note(c, "attr", "%llu", a.attr);
	switch (a.group) {
	case KVM_ARM_VCPU_PMU_V3_CTRL:
		if (a.attr > KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS)
			return -ENXIO;
		return v->features & ARM_FEATURE(KVM_ARM_VCPU_PMU_V3) ? 0 : -ENODEV;
	case KVM_ARM_VCPU_TIMER_CTRL:
		return a.attr <= KVM_ARM_VCPU_TIMER_IRQ_PTIMER ? 0 : -ENXIO;
	case KVM_ARM_VCPU_PVTIME_CTRL:
		return a.attr == KVM_ARM_VCPU_PVTIME_IPA ? 0 : -ENXIO;
	}
	return -ENXIO;
}

/* Whatever else is asked of a vcpu that is not initialized fails with ENOEXEC. */
static long inited_ioctl(struct model_call *c)
{
	const struct arm_vcpu *v = arm_vcpu(c->vcpu);

	switch (c->request) {
	case KVM_ARM_VCPU_FINALIZE:
		return finalize(c);
	case KVM_GET_REG_LIST:
		if (!is_finalized(v))
			return model_broken(-EPERM, "KVM_GET_REG_LIST before FINALIZE(SVE)");
		return arm_reg_ioctl(c);
	case KVM_GET_ONE_REG:
	case KVM_SET_ONE_REG:
		return arm_reg_ioctl(c);
	case KVM_GET_VCPU_EVENTS:
	case KVM_SET_VCPU_EVENTS:
		return events(c);
	}
	return -ENOTTY;
}

long arm_vcpu_ioctl(struct model_call *c)
{
	switch (c->request) {
	case KVM_ARM_VCPU_INIT:
		return init(c);
	case KVM_GET_MP_STATE:
	case KVM_SET_MP_STATE:
		return mp_state(c);
	case KVM_SET_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR:
		return attribute(c);
	case KVM_SET_GUEST_DEBUG:
	case KVM_SET_SIGNAL_MASK:
		return 0;
	case KVM_GET_STATS_FD:
		return -ENOTTY;
	}
	if (!arm_vcpu(c->vcpu)->inited)
		return model_broken(-ENOEXEC, "%s: vcpu %u is not initialized", c->name,
				    c->vcpu->id);
	return inited_ioctl(c);
}
