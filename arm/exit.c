/* SPDX-License-Identifier: MIT */
/* KVM's exits that only arm64 has (Linux Documentation/virt/kvm/api.rst, section 5). */
#include "arm.h"
#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* SMCCC 1.6 (Arm DEN0028), 5.2: the answer to a function that is not there. */
#define SMCCC_NOT_SUPPORTED (~0ULL)

/*
 * A load or store of several registers, or with writeback, at an address without memory: its
 * syndrome does not say what it reads or writes. The guest gets an external abort for it, as from a
 * bus where nothing answers.
 */
static void undecodable_access(struct vcpu *vcpu)
{
	struct kvm_vcpu_events events = { 0 };
	u64 ipa = vcpu->run->arm_nisv.fault_ipa, iss = vcpu->run->arm_nisv.esr_iss;
	int ret = -ENOTSUP;

	if (kvm_check_cap(&vcpu->vm->kvm, KVM_CAP_ARM_INJECT_EXT_DABT) > 0) {
		events.exception.ext_dabt_pending = 1;
		ret = xioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	}
	if (ret >= 0) {
		guest_warn("vcpu %u: address 0x%llx: no memory is there, and KVM cannot decode the "
			   "access (ISS 0x%llx); the guest gets an external abort",
			   vcpu->id, ipa, iss);
		return;
	}
	err("vcpu %u: address 0x%llx: no memory is there, and KVM cannot decode the access (ISS "
	    "0x%llx) or inject an abort: %s",
	    vcpu->id, ipa, iss, strerror(-ret));
	vcpu_dump(vcpu, LOG_ERROR);
	vm_request_stop(vcpu->vm, VM_STOP_KVM_ERROR, 0, (s32)vcpu->id);
}

/* Only what the filter sends here (psci.c) arrives. */
static void hypercall(struct vcpu *vcpu)
{
	const u64 x0 = ARM_CORE_REG(regs.regs[0]);
	const u64 answer = SMCCC_NOT_SUPPORTED;

	if (arm_psci_call(vcpu) != -ENOTSUP)
		return;
	guest_debug("vcpu %u: unknown hypercall 0x%llx", vcpu->id, vcpu->run->hypercall.nr);
	if (vcpu_set_reg(vcpu, x0, &answer))
		guest_warn("vcpu %u: cannot answer a hypercall", vcpu->id);
}

int arch_vcpu_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_ARM_NISV:
		undecodable_access(vcpu);
		return 0;
	case KVM_EXIT_HYPERCALL:
		hypercall(vcpu);
		return 0;
	case KVM_EXIT_SYSTEM_EVENT:
		return arm_psci_event(vcpu);
	}
	return -ENOTSUP;
}
