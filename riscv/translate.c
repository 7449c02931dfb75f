/* SPDX-License-Identifier: MIT */
/* The guest's own translation of addresses (The RISC-V Instruction Set Manual Volume II, 12.4). */
#include "lkvm/debug.h"
#include "riscv.h"

int riscv_translate(u64 satp, const struct guest_memory *mem, u64 va, u64 *pa)
{
	return -EFAULT;
}

int arch_vcpu_translate(struct vcpu *vcpu, u64 va, u64 *gpa)
{
	return -ENOTSUP;
}

int arch_vcpu_tables(struct vcpu *vcpu, struct page_tables *t)
{
	return -ENOTSUP;
}
