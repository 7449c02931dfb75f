/* SPDX-License-Identifier: MIT */
/*
 * A vcpu as riscv64 wants it. KVM makes all but the first stopped, to be started by SBI's HSM calls,
 * which it answers itself (Linux arch/riscv/kvm/vcpu.c).
 */
#include "lkvm/vcpu.h"

#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "riscv.h"

u64 riscv_get(const struct vcpu *vcpu, u64 id)
{
	u64 value = 0;

	return vcpu_get_reg(vcpu, id, &value) ? 0 : value;
}

u32 arch_vcpu_kvm_id(const struct vm *vm, u32 index)
{
	return index;
}

int arch_vcpu_init(struct vcpu *vcpu)
{
	vcpu->arch = xcalloc(1, sizeof(*vcpu->arch));
	return riscv_cpu_vcpu(vcpu);
}

static u64 entry_reg(const char *name)
{
	if (!strcmp(name, "pc"))
		return RISCV_CORE_REG(RISCV_CORE_PC);
	return RISCV_CORE_REG(RISCV_CORE_A0 + strtoul(name + 1, NULL, 10));
}

static int set_entry(struct vcpu *vcpu)
{
	const struct riscv_entry *entry = &vcpu->vm->arch->entry;
	int ret = 0;

	for (u32 i = 0; i < entry->nr_regs && !ret; i++)
		ret = vcpu_set_reg(vcpu, entry_reg(entry->regs[i].name), &entry->regs[i].value);
	return ret;
}

int arch_vcpu_reset(struct vcpu *vcpu)
{
	struct kvm_mp_state mp = { .mp_state = vcpu->id ? KVM_MP_STATE_STOPPED
							: KVM_MP_STATE_RUNNABLE };
	int ret = xioctl(vcpu->fd, KVM_SET_MP_STATE, &mp);

	if (ret < 0) {
		err("vcpu %u: KVM_SET_MP_STATE: %s", vcpu->id, strerror(-ret));
		return ret;
	}
	if (vcpu->id)
		return 0;
	ret = set_entry(vcpu);
	if (ret)
		err("vcpu 0: cannot set its registers: %s", strerror(-ret));
	return ret;
}

/* Stopped by HSM: another vcpu would have to start it. */
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

/* KVM has no way to tell. */
void arch_vcpu_resumed(struct vcpu *vcpu) {}

/* There are none without Smrnmi, which KVM does not give guests. */
int arch_vcpu_nmi(struct vcpu *vcpu)
{
	return -ENOTSUP;
}
