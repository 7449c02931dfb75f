/* SPDX-License-Identifier: MIT */
/* The registers of a vcpu in words. */
#include <stdio.h>

#include "lkvm/arch.h"
#include "lkvm/vcpu.h"
#include "riscv.h"

void arch_vcpu_dump(struct vcpu *vcpu, FILE *out)
{
	fprintf(out, "  pc %016llx\n", riscv_get(vcpu, RISCV_CORE_REG(RISCV_CORE_PC)));
}
