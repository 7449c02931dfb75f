/* SPDX-License-Identifier: MIT */
/*
 * PSCI 1.1 in lkvm (Arm DEN0022F, section 5): KVM's filter of hypercalls sends them here. A vcpu
 * that is off is stopped in KVM; one that starts another does so with the lock held, so a vcpu is
 * on or off and nothing between.
 */
#include "psci.h"

#include <linux/psci.h>
#include <stdlib.h>

#include "arm.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define PSCI_1_1 PSCI_VERSION(1, 1)
/* Arm DEN0028 (SMCCC), 6.1: bit 30 of a function says that its arguments have 64 bits. */
#define SMCCC_64 BIT(30)
/* Its version: KVM answers that call, and guests ask PSCI_FEATURES for it. */
#define SMCCC_VERSION 0x80000000U
/* DEN0022F, 5.1.5: bits 39:32 and 23:0 of a target, the rest is zero. */
#define AFFINITY_MASK 0xff00ffffffULL
/* DEN0022F, 5.2.1: the functions of PSCI. */
#define PSCI_NR_FUNCTIONS 0x20U

/* Arm ARM, G8.2.37: CPSR.T. */
#define AARCH32_THUMB BIT(5)

/* What KVM does */

static int kvm_get_args(struct vcpu *vcpu, u64 args[3])
{
	int ret = 0;

	for (u32 i = 0; i < 3 && !ret; i++)
		ret = vcpu_get_reg(vcpu, ARM_CORE_REG(regs.regs[0]) + (i + 1) * 2, &args[i]);
	return ret;
}

static int kvm_set_result(struct vcpu *vcpu, u64 x0)
{
	return vcpu_set_reg(vcpu, ARM_CORE_REG(regs.regs[0]), &x0);
}

static int kvm_set_mp_state(struct vcpu *vcpu, u32 state)
{
	struct kvm_mp_state mp = { .mp_state = state };
	int ret = xioctl(vcpu->fd, KVM_SET_MP_STATE, &mp);

	return MIN(ret, 0);
}

static int set_entry(struct vcpu *vcpu, u64 entry, u64 context)
{
	u64 pstate;
	int ret = 0;

	if (vcpu->vm->cfg->arm.aarch32 && (entry & 1)) {
		ret = vcpu_get_reg(vcpu, ARM_CORE_REG(regs.pstate), &pstate);
		if (ret)
			return ret;
		pstate |= AARCH32_THUMB;
		entry &= ~1ULL;
		ret = vcpu_set_reg(vcpu, ARM_CORE_REG(regs.pstate), &pstate);
	}
	if (!ret)
		ret = vcpu_set_reg(vcpu, ARM_CORE_REG(regs.pc), &entry);
	if (!ret)
		ret = vcpu_set_reg(vcpu, ARM_CORE_REG(regs.regs[0]), &context);
	return ret ? ret : kvm_set_mp_state(vcpu, KVM_MP_STATE_RUNNABLE);
}

/*
 * The target sits stopped in KVM_RUN, and KVM serves no other ioctl of it until it comes out. With
 * immediate_exit set it comes out again and again until all is done; it does not run before the
 * last step. Then immediate_exit is cleared as in run_vcpu (vcpu.c): whoever pauses the VM clears
 * running first, so one of the two sees the other. Its only signal may have come before that: the
 * target is kicked in its place.
 */
static int kvm_start(struct vcpu *vcpu, u64 entry, u64 context, bool stale)
{
	struct kvm_vcpu_init init = vcpu->vm->arch->init;
	int ret = 0;

	vcpu_kick(vcpu);
	if (stale) {
		init.features[0] |= BIT(KVM_ARM_VCPU_POWER_OFF);
		ret = xioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init);
		ret = MIN(ret, 0);
	}
	if (!ret)
		ret = set_entry(vcpu, entry, context);
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (!atomic_load(&vcpu->vm->running))
		vcpu_kick(vcpu);
	return ret;
}

static const struct arm_psci_ops kvm_ops = {
	.get_args = kvm_get_args,
	.set_result = kvm_set_result,
	.set_mp_state = kvm_set_mp_state,
	.start = kvm_start,
};

/* The functions; each returns what the guest gets in x0. */

static s64 cpu_suspend(struct vcpu *vcpu, const u64 args[3])
{
	/* Standby, whatever the guest asks: it may always be woken early (5.4.2). */
	if (vcpu->vm->arch->psci->ops->set_mp_state(vcpu, KVM_MP_STATE_SUSPENDED))
		return PSCI_RET_DENIED;
	return PSCI_RET_SUCCESS;
}

static s64 cpu_off(struct vcpu *vcpu, const u64 args[3])
{
	struct arm_psci *psci = vcpu->vm->arch->psci;
	s64 ret = PSCI_RET_DENIED;

	pthread_mutex_lock(&psci->lock);
	if (!psci->ops->set_mp_state(vcpu, KVM_MP_STATE_STOPPED)) {
		psci->cpus[vcpu->id] = (struct arm_psci_cpu){ .stale = true };
		ret = PSCI_RET_SUCCESS;
	}
	pthread_mutex_unlock(&psci->lock);
	return ret;
}

static struct vcpu *find_target(struct vm *vm, u64 target)
{
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		if ((vm->vcpus[i]->arch->mpidr & AFFINITY_MASK) == target)
			return vm->vcpus[i];
	return NULL;
}

static s64 cpu_on(struct vcpu *vcpu, const u64 args[3])
{
	struct vm *vm = vcpu->vm;
	struct arm_psci *psci = vm->arch->psci;
	struct vcpu *target = find_target(vm, args[0]);
	struct arm_psci_cpu *cpu;
	s64 ret = PSCI_RET_SUCCESS;
	int error;

	if (!target)
		return PSCI_RET_INVALID_PARAMS;
	if (!vm->cfg->arm.aarch32 && !IS_ALIGNED(args[1], 4ULL))
		return PSCI_RET_INVALID_ADDRESS;
	pthread_mutex_lock(&psci->lock);
	cpu = &psci->cpus[target->id];
	if (cpu->on) {
		ret = PSCI_RET_ALREADY_ON;
	} else {
		error = psci->ops->start(target, args[1], args[2], cpu->stale);
		/* Stopped as before, with registers of which nothing is known. */
		*cpu = (struct arm_psci_cpu){ .on = !error, .stale = true };
		if (error) {
			guest_warn("vcpu %u: PSCI CPU_ON of vcpu %u: %s", vcpu->id, target->id,
				   strerror(-error));
			ret = PSCI_RET_INTERNAL_FAILURE;
		}
	}
	pthread_mutex_unlock(&psci->lock);
	return ret;
}

/* On when one vcpu of that part of the machine is on. */
static s64 affinity_info(struct vcpu *vcpu, const u64 args[3])
{
	static const u64 masks[] = { 0xff00ffffff, 0xff00ffff00, 0xff00ff0000, 0xff00000000 };
	struct vm *vm = vcpu->vm;
	struct arm_psci *psci = vm->arch->psci;
	s64 ret = PSCI_RET_INVALID_PARAMS;

	if ((args[0] & ~AFFINITY_MASK) || args[1] >= ARRAY_SIZE(masks))
		return ret;
	pthread_mutex_lock(&psci->lock);
	for (u32 i = 0; i < vm->nr_vcpus; i++) {
		if ((vm->vcpus[i]->arch->mpidr ^ args[0]) & masks[args[1]])
			continue;
		if (psci->cpus[i].on)
			ret = PSCI_0_2_AFFINITY_LEVEL_ON;
		else if (ret != PSCI_0_2_AFFINITY_LEVEL_ON)
			ret = PSCI_0_2_AFFINITY_LEVEL_OFF;
	}
	pthread_mutex_unlock(&psci->lock);
	return ret;
}

/* There is no trusted OS that would have to migrate. */
static s64 migrate_info_type(struct vcpu *vcpu, const u64 args[3])
{
	return PSCI_0_2_TOS_MP;
}

static s64 psci_version(struct vcpu *vcpu, const u64 args[3])
{
	return PSCI_1_1;
}

/* The VM has stopped before these return: the guest does not see what they return. */
static s64 system_off(struct vcpu *vcpu, const u64 args[3])
{
	vm_request_stop(vcpu->vm, VM_STOP_POWEROFF, 0, (s32)vcpu->id);
	return PSCI_RET_INTERNAL_FAILURE;
}

static s64 system_reset(struct vcpu *vcpu, const u64 args[3])
{
	vm_request_stop(vcpu->vm, VM_STOP_RESET, 0, (s32)vcpu->id);
	return PSCI_RET_INTERNAL_FAILURE;
}

/* 5.12.2: type 0 is a warm reset, those with bit 31 are the vendor's; the others are reserved. */
static s64 system_reset2(struct vcpu *vcpu, const u64 args[3])
{
	if ((u32)args[0] && !((u32)args[0] & PSCI_1_1_RESET_TYPE_VENDOR_START))
		return PSCI_RET_INVALID_PARAMS;
	return system_reset(vcpu, args);
}

static s64 psci_features(struct vcpu *vcpu, const u64 args[3]);

static const struct {
	u32 id; /* SMC32 */
	bool smc64;
	s64 (*call)(struct vcpu *vcpu, const u64 args[3]);
} functions[] = {
	{ PSCI_0_2_FN_PSCI_VERSION, false, psci_version },
	{ PSCI_0_2_FN_CPU_SUSPEND, true, cpu_suspend },
	{ PSCI_0_2_FN_CPU_OFF, false, cpu_off },
	{ PSCI_0_2_FN_CPU_ON, true, cpu_on },
	{ PSCI_0_2_FN_AFFINITY_INFO, true, affinity_info },
	{ PSCI_0_2_FN_MIGRATE_INFO_TYPE, false, migrate_info_type },
	{ PSCI_0_2_FN_SYSTEM_OFF, false, system_off },
	{ PSCI_0_2_FN_SYSTEM_RESET, false, system_reset },
	{ PSCI_1_0_FN_PSCI_FEATURES, false, psci_features },
	{ PSCI_1_1_FN_SYSTEM_RESET2, true, system_reset2 },
};

/* The function @id in its place, or -1. An AArch32 guest has no 64-bit ones. */
static int find_function(const struct vm *vm, u32 id)
{
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		if (id == functions[i].id)
			return (int)i;
		if (id == (functions[i].id | SMCCC_64) && functions[i].smc64 &&
		    !vm->cfg->arm.aarch32)
			return (int)i;
	}
	return -1;
}

static s64 psci_features(struct vcpu *vcpu, const u64 args[3])
{
	u32 id = (u32)args[0];

	if (id == SMCCC_VERSION || find_function(vcpu->vm, id) >= 0)
		return PSCI_RET_SUCCESS;
	return PSCI_RET_NOT_SUPPORTED;
}

int arm_psci_call(struct vcpu *vcpu)
{
	const struct arm_psci *psci = vcpu->vm->arch->psci;
	u32 id = (u32)vcpu->run->hypercall.nr;
	u64 args[3];
	int function = psci ? find_function(vcpu->vm, id) : -1, ret;
	s64 result;

	if (function < 0)
		return -ENOTSUP;
	ret = psci->ops->get_args(vcpu, args);
	for (u32 i = 0; i < ARRAY_SIZE(args) && !(id & SMCCC_64); i++)
		args[i] = (u32)args[i];
	result = ret ? PSCI_RET_INTERNAL_FAILURE : functions[function].call(vcpu, args);
	/* Off: another vcpu may have given it registers already. */
	if (functions[function].call == cpu_off && result == PSCI_RET_SUCCESS)
		return 0;
	if (psci->ops->set_result(vcpu, (u64)result))
		guest_warn("vcpu %u: cannot answer PSCI function 0x%x", vcpu->id, id);
	return 0;
}

int arm_psci_event(struct vcpu *vcpu)
{
	const struct arm_psci *psci = vcpu->vm->arch->psci;

	if (!psci || vcpu->run->system_event.type != KVM_SYSTEM_EVENT_WAKEUP)
		return -ENOTSUP;
	/* Else KVM_RUN would suspend it again. */
	if (psci->ops->set_mp_state(vcpu, KVM_MP_STATE_RUNNABLE))
		guest_warn("vcpu %u: cannot wake it", vcpu->id);
	return 0;
}

void arm_psci_reset(struct vm *vm)
{
	struct arm_psci *psci = vm->arch->psci;

	if (!psci)
		return;
	for (u32 i = 0; i < psci->nr_cpus; i++)
		psci->cpus[i] = (struct arm_psci_cpu){ .on = !i };
}

struct arm_psci *arm_psci_new(u32 nr_cpus, const struct arm_psci_ops *ops)
{
	struct arm_psci *psci = xcalloc(1, sizeof(*psci) + nr_cpus * sizeof(psci->cpus[0]));

	pthread_mutex_init(&psci->lock, NULL);
	psci->ops = ops;
	psci->nr_cpus = nr_cpus;
	psci->cpus[0].on = true;
	return psci;
}

int arm_psci_init(struct vm *vm)
{
	static const u32 bases[] = { PSCI_0_2_FN_BASE, PSCI_0_2_FN64_BASE };
	int ret;

	if (vm->cfg->arm.psci == PSCI_KERNEL)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		const struct kvm_smccc_filter filter = {
			.base = bases[i],
			.nr_functions = PSCI_NR_FUNCTIONS,
			.action = KVM_SMCCC_FILTER_FWD_TO_USER,
		};

		ret = kvm_set_attr(vm->kvm.vm_fd, KVM_ARM_VM_SMCCC_CTRL, KVM_ARM_VM_SMCCC_FILTER,
				   &filter);
		if (ret) {
			err("--psci user: this host's KVM does not pass the calls to lkvm: %s%s",
			    strerror(-ret),
			    ret == -ENXIO || ret == -ENOTTY ? "; it needs Linux 6.4" : "");
			return ret;
		}
	}
	vm->arch->psci = arm_psci_new(vm->cfg->cpus, &kvm_ops);
	return 0;
}

void arm_psci_destroy(struct vm *vm)
{
	if (!vm->arch->psci)
		return;
	pthread_mutex_destroy(&vm->arch->psci->lock);
	free(vm->arch->psci);
	vm->arch->psci = NULL;
}
