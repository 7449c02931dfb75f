/* SPDX-License-Identifier: MIT */
/*
 * A vcpu as riscv64 wants it. KVM makes all but the first stopped, to be started by SBI's HSM
 * calls, which it answers itself (Linux arch/riscv/kvm/vcpu.c).
 */
#include "lkvm/vcpu.h"

#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/boot-fdt.h"
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

int riscv_enter_exception(struct vcpu *vcpu, u64 cause, u64 value)
{
	u64 status = riscv_get(vcpu, RISCV_CSR_REG(RISCV_CSR_SSTATUS)), old = status;
	u64 mode = riscv_get(vcpu, RISCV_CORE_REG(RISCV_CORE_MODE));
	const u64 vector = riscv_get(vcpu, RISCV_CSR_REG(RISCV_CSR_STVEC)) & ~STVEC_MODE;
	int ret = 0;

	status &= ~(SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP);
	status |= old & SSTATUS_SIE ? SSTATUS_SPIE : 0;
	status |= mode == KVM_RISCV_MODE_S ? SSTATUS_SPP : 0;
	const struct {
		u64 id, value;
	} regs[] = {
		{ RISCV_CSR_REG(RISCV_CSR_SEPC), riscv_get(vcpu, RISCV_CORE_REG(RISCV_CORE_PC)) },
		{ RISCV_CSR_REG(RISCV_CSR_SCAUSE), cause },
		{ RISCV_CSR_REG(RISCV_CSR_STVAL), value },
		{ RISCV_CSR_REG(RISCV_CSR_SSTATUS), status },
		{ RISCV_CORE_REG(RISCV_CORE_MODE), KVM_RISCV_MODE_S },
		{ RISCV_CORE_REG(RISCV_CORE_PC), vector },
	};
	for (size_t i = 0; i < ARRAY_SIZE(regs) && !ret; i++)
		ret = vcpu_set_reg(vcpu, regs[i].id, &regs[i].value);
	return ret;
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

static int set_mp_state(const struct vcpu *vcpu, u32 state)
{
	struct kvm_mp_state mp = { .mp_state = state };
	int ret = xioctl(vcpu->fd, KVM_SET_MP_STATE, &mp);

	if (ret < 0)
		err("vcpu %u: KVM_SET_MP_STATE %u: %s", vcpu->id, state, strerror(-ret));
	return MIN(ret, 0);
}

/* Of these: what the guest sees when it begins. The others stay what they are, or are off then. */
static struct reg_set *first_set(void *opaque, u64 id)
{
	struct arch_vcpu *arch = opaque;
	u64 type = id & KVM_REG_RISCV_TYPE_MASK;

	if (type == KVM_REG_RISCV_CORE || type == KVM_REG_RISCV_CSR ||
	    type == KVM_REG_RISCV_SBI_STATE ||
	    id == RISCV_TIMER_REG(KVM_REG_RISCV_TIMER_REG(compare)) ||
	    id == RISCV_TIMER_REG(KVM_REG_RISCV_TIMER_REG(state)))
		return &arch->first;
	return NULL;
}

/*
 * KVM_MP_STATE_INIT_RECEIVED resets a vcpu whose state stays as it was (api.rst, 4.39). Before
 * Linux 6.16 it does not; then the registers of one that has not run are kept, and put back later.
 */
static int reset_registers(struct vcpu *vcpu)
{
	struct arch_vcpu *arch = vcpu->arch;
	int ret;

	if (vcpu->vm->arch->mp_state_reset)
		return set_mp_state(vcpu, KVM_MP_STATE_INIT_RECEIVED);
	if (arch->first.nr)
		return reg_set_put(vcpu, &arch->first);
	ret = reg_sets_list(vcpu, first_set, arch);
	return ret ? ret : reg_set_get(vcpu, &arch->first);
}

int arch_vcpu_reset(struct vcpu *vcpu)
{
	int ret;

	if (vcpu->asleep && vcpu->arch->resume_pending) {
		err("vcpu %u: the guest sleeps, and KVM would let it go on there after a reset; "
		    "wake it before that",
		    vcpu->id);
		return -EBUSY;
	}
	if (vcpu->asleep)
		vm_set_asleep(vcpu, false);
	ret = set_mp_state(vcpu, vcpu->id ? KVM_MP_STATE_STOPPED : KVM_MP_STATE_RUNNABLE);
	if (!ret)
		ret = reset_registers(vcpu);
	if (ret || vcpu->id)
		return ret;
	return boot_start_set(&vcpu->vm->arch->entry, vcpu, entry_reg);
}

/* RISC-V SBI 3.0, 13.1. */
int riscv_vcpu_set_resume(struct vcpu *vcpu)
{
	const u64 hart = vcpu->id;
	int ret = reset_registers(vcpu);

	if (ret)
		return ret;
	ret = vcpu_set_reg(vcpu, RISCV_CORE_REG(RISCV_CORE_PC), &vcpu->arch->resume_pc);
	if (!ret)
		ret = vcpu_set_reg(vcpu, RISCV_CORE_REG(RISCV_CORE_A0), &hart);
	if (!ret)
		ret = vcpu_set_reg(vcpu, RISCV_CORE_REG(RISCV_CORE_A1), &vcpu->arch->resume_opaque);
	if (ret)
		err("vcpu %u: cannot set where it resumes: %s", vcpu->id, strerror(-ret));
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
	if (vcpu->arch)
		reg_set_free(&vcpu->arch->first);
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
