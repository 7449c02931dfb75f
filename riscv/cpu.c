/* SPDX-License-Identifier: MIT */
/* The CPU model: extensions of the ISA and of the SBI. */
#include "lkvm/arch.h"
#include "lkvm/fdt.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "riscv.h"

void arch_cpu_list(FILE *out) {}

const char *const *arch_cpu_words(void)
{
	static const char *const words[] = { "host", NULL };

	return words;
}

char *arch_selftest_words(const struct vm_config *cfg)
{
	return NULL;
}

int riscv_cpu_check(const struct vm_config *cfg)
{
	return 0;
}

int riscv_cpu_init(struct vm *vm)
{
	return 0;
}

int riscv_cpu_sketch(struct vm *vm)
{
	return 0;
}

int riscv_cpu_vcpu(struct vcpu *vcpu)
{
	return 0;
}

void riscv_cpu_describe(const struct vm *vm, struct fdtw *fdt)
{
	fdtw_string(fdt, "riscv,isa", "rv64imafdc");
	fdtw_string(fdt, "mmu-type", "riscv,sv39");
}

u32 riscv_cpu_timebase(const struct vm *vm)
{
	u64 frequency = 0;

	if (vm->nr_vcpus)
		frequency = riscv_get(vm->vcpus[0],
				      RISCV_TIMER_REG(KVM_REG_RISCV_TIMER_REG(frequency)));
	return frequency ? (u32)frequency : 10000000;
}

void riscv_cpu_destroy(struct vm *vm) {}
