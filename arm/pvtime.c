/* SPDX-License-Identifier: MIT */
/*
 * Stolen time (Arm DEN0057A, Paravirtualized Time): KVM writes how long the host kept a vcpu from
 * running into a record of 64 bytes in guest memory; the guest asks for its address by hypercall.
 */
#include "arm.h"
#include "lkvm/log.h"
#include "lkvm/memory.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* DEN0057A, 3.2.2: the structure is 16 bytes, aligned to 64. */
#define PVTIME_STRIDE 64U

int arm_pvtime_init(struct vm *vm)
{
	int ret;

	/* Realms have none, and nothing that KVM could write to. */
	if (vm->cfg->arm.no_pvtime || vm->arch->realm ||
	    kvm_check_cap(&vm->kvm, KVM_CAP_STEAL_TIME) <= 0)
		return 0;
	/* KVM writes there: for its memory slots it is RAM like any other. */
	ret = memory_add(&vm->mem, &(struct memory_desc){
					   .gpa = ARM_PVTIME,
					   .size = ARM_PVTIME_SIZE,
					   .name = "stolen-time",
				   });
	if (ret) {
		err("stolen time: no memory for its records at 0x%llx: %s", ARM_PVTIME,
		    strerror(-ret));
		return ret;
	}
	vm->arch->pvtime = memory_ptr(&vm->mem, ARM_PVTIME, ARM_PVTIME_SIZE);
	return 0;
}

int arm_pvtime_vcpu(struct vcpu *vcpu)
{
	u64 offset = (u64)vcpu->id * PVTIME_STRIDE, ipa = ARM_PVTIME + offset;
	int ret;

	if (!vcpu->vm->arch->pvtime || !range_within(offset, PVTIME_STRIDE, 0, ARM_PVTIME_SIZE))
		return 0;
	ret = kvm_set_attr(vcpu->fd, KVM_ARM_VCPU_PVTIME_CTRL, KVM_ARM_VCPU_PVTIME_IPA, &ipa);
	if (ret) {
		err("vcpu %u: cannot set up stolen time: %s; omit it with --no-pvtime", vcpu->id,
		    strerror(-ret));
		return ret;
	}
	vcpu->arch->pvtime = true;
	return 0;
}

/* The memory belongs to the VM's set and goes with it. */
void arm_pvtime_destroy(struct vm *vm)
{
	vm->arch->pvtime = NULL;
}
