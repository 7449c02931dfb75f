/* SPDX-License-Identifier: MIT */
/*
 * A vcpu as arm64 wants it (Linux Documentation/virt/kvm/api.rst, 4.82 KVM_ARM_VCPU_INIT). The same
 * ioctl resets it later: its features, ID registers, vector lengths and device attributes stay.
 */
#include "lkvm/vcpu.h"

#include <stdlib.h>

#include "arm.h"
#include "lkvm/arch.h"
#include "lkvm/boot-fdt.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

#define MPIDR_EL1 ARM64_SYS_REG(3, 0, 0, 0, 5)

/* To the architecture's reset state: at EL2 where the guest has it, interrupts masked, MMU off. */
static int init_vcpu(struct vcpu *vcpu)
{
	struct kvm_vcpu_init init = vcpu->vm->arch->init;
	int ret;

	if (vcpu->id)
		init.features[0] |= BIT(KVM_ARM_VCPU_POWER_OFF);
	ret = xioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init);
	if (ret < 0) {
		err("vcpu %u: KVM_ARM_VCPU_INIT with features 0x%x: %s", vcpu->id, init.features[0],
		    strerror(-ret));
		return ret;
	}
	return 0;
}

/* As KVM numbers them, 16 in the lowest level and 256 in the next (Linux arch/arm64/kvm/sys_regs.c,
 * reset_mpidr). */
u64 arm_affinity(u32 index)
{
	return (index & 0xf) | (u64)(index >> 4 & 0xff) << 8 | (u64)(index >> 12 & 0xff) << 16;
}

u32 arch_vcpu_kvm_id(const struct vm *vm, u32 index)
{
	return index;
}

int arch_vcpu_init(struct vcpu *vcpu)
{
	int ret;

	vcpu->arch = xcalloc(1, sizeof(*vcpu->arch));
	ret = init_vcpu(vcpu);
	if (ret)
		return ret;
	ret = vcpu_get_reg(vcpu, MPIDR_EL1, &vcpu->arch->mpidr);
	/* Of a realm KVM need not tell any register. */
	if (ret && vcpu->vm->arch->realm) {
		vcpu->arch->mpidr = arm_affinity(vcpu->id);
	} else if (ret) {
		err("vcpu %u: cannot read MPIDR_EL1: %s", vcpu->id, strerror(-ret));
		return ret;
	}
	ret = arm_cpu_finish(vcpu);
	return ret ? ret : arm_pvtime_vcpu(vcpu);
}

/* The id of a register of boot.c's list. */
static u64 entry_reg(const char *name)
{
	const u64 per_reg = sizeof(u64) / sizeof(u32); /* api.rst 4.68: numbered by 32 bits */

	if (!strcmp(name, "pc"))
		return ARM_CORE_REG(regs.pc);
	return ARM_CORE_REG(regs.regs[0]) + per_reg * strtoul(name + 1, NULL, 10);
}

int arch_vcpu_reset(struct vcpu *vcpu)
{
	int ret = init_vcpu(vcpu);

	if (ret || vcpu->id)
		return ret;
	arm_psci_reset(vcpu->vm);
	/* The other registers are zero and PSTATE is as Linux wants it: init_vcpu did that. */
	return boot_start_set(&vcpu->vm->arch->entry, vcpu, entry_reg);
}

/*
 * Switched off by PSCI: another vcpu would have to start it. One in WFI is not halted for good,
 * since a pending interrupt ends that even where it is masked (Arm ARM, D1.6.2).
 */
bool arch_vcpu_halted(struct vcpu *vcpu)
{
	struct kvm_mp_state mp;

	return xioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) >= 0 && mp.mp_state == KVM_MP_STATE_STOPPED;
}

void arch_vcpu_destroy(struct vcpu *vcpu)
{
	free(vcpu->arch);
	vcpu->arch = NULL;
}

/* KVM has no way to tell: the counters of arm64 went on. */
void arch_vcpu_resumed(struct vcpu *vcpu) {}

int arch_vcpu_nmi(struct vcpu *vcpu)
{
	return -ENOTSUP;
}
