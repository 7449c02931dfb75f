/* SPDX-License-Identifier: MIT */
/* Which interrupt controller the machine has. */
#include "lkvm/fdt.h"
#include "lkvm/irq.h"
#include "lkvm/vm.h"
#include "riscv.h"

int riscv_irqchip_init(struct vm *vm)
{
	vm->arch->irqchip.kind = RISCV_IRQCHIP_AIA;
	return 0;
}

int riscv_irqchip_finish(struct vm *vm)
{
	return 0;
}

void riscv_irqchip_sketch(struct vm *vm)
{
	vm->arch->irqchip.kind = RISCV_IRQCHIP_AIA;
}

void riscv_irqchip_describe(struct vm *vm, struct fdtw *fdt) {}

int riscv_irqchip_add_devices(struct vm *vm)
{
	return 0;
}

void riscv_irqchip_destroy(struct vm *vm) {}
