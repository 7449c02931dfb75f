/* SPDX-License-Identifier: MIT */
/*
 * Accesses of control and status registers that KVM leaves to its user. One is there: seed, the
 * entropy source (RISC-V Cryptography Extensions Volume I, 4.1). KVM knows only of accesses that
 * succeed, so the exception that any other deserves is made here, as the hardware enters it (The
 * RISC-V Instruction Set Manual Volume II, 12.1.1 to 12.1.9).
 */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#include "lkvm/log.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "riscv.h"

#define CSR_SEED 0x015UL
/* 4.1, OPST: the value says whether 16 bits of entropy are in it, or none yet. */
#define SEED_WAIT (1UL << 30)
#define SEED_ES16 (2UL << 30)

#define CAUSE_ILLEGAL_INSTRUCTION 2

static unsigned long read_seed(void)
{
	u16 entropy;

	if (getrandom(&entropy, sizeof(entropy), GRND_NONBLOCK) != sizeof(entropy))
		return SEED_WAIT;
	return SEED_ES16 | entropy;
}

/*
 * KVM_RUN ends the access, with a result that is then taken back, and does not enter the guest.
 * Then immediate_exit is what it was: whoever pauses the VM clears running before it sets it.
 */
static int complete_access(struct vcpu *vcpu)
{
	int error;

	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	error = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? errno : 0;
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (!atomic_load(&vcpu->vm->running))
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	return error == EINTR ? 0 : -EIO;
}

/* pc and the general registers stay what they were: rd is one of them, and which is not told. */
static int refuse_access(struct vcpu *vcpu)
{
	u64 before[32];
	int ret = 0;

	for (u32 i = 0; i < ARRAY_SIZE(before); i++)
		before[i] = riscv_get(vcpu, RISCV_CORE_REG(i));
	ret = complete_access(vcpu);
	for (u32 i = 0; i < ARRAY_SIZE(before) && !ret; i++)
		ret = vcpu_set_reg(vcpu, RISCV_CORE_REG(i), &before[i]);
	return ret ? ret : riscv_enter_exception(vcpu, CAUSE_ILLEGAL_INSTRUCTION, 0);
}

/* Only in supervisor mode, and by an instruction that writes: nobody wants the same twice. */
static bool may_read_seed(struct vcpu *vcpu)
{
	return vcpu->run->riscv_csr.csr_num == CSR_SEED && vcpu->run->riscv_csr.write_mask &&
	       riscv_get(vcpu, RISCV_CORE_REG(RISCV_CORE_MODE)) == KVM_RISCV_MODE_S;
}

int riscv_csr_access(struct vcpu *vcpu)
{
	int ret;

	if (may_read_seed(vcpu)) {
		vcpu->run->riscv_csr.ret_value = read_seed();
		return 0;
	}
	guest_debug("vcpu %u: no CSR 0x%lx for this access", vcpu->id,
		    vcpu->run->riscv_csr.csr_num);
	ret = refuse_access(vcpu);
	if (ret)
		err("vcpu %u: cannot give the guest an exception: %s", vcpu->id, strerror(-ret));
	return ret ? -ENOTSUP : 0;
}
