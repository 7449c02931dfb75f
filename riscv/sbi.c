/* SPDX-License-Identifier: MIT */
/* Calls of the supervisor binary interface that KVM leaves to its user (RISC-V SBI 3.0). */
#include "lkvm/log.h"
#include "lkvm/vcpu.h"
#include "riscv.h"

#define SBI_ERR_NOT_SUPPORTED (~1ULL)

void riscv_sbi_call(struct vcpu *vcpu)
{
	vcpu->run->riscv_sbi.ret[0] = SBI_ERR_NOT_SUPPORTED;
	vcpu->run->riscv_sbi.ret[1] = 0;
}
