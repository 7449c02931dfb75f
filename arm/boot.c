/* SPDX-License-Identifier: MIT */
/* What the guest starts from: boot/ does the most of it, and here are the registers that Linux's
 * Documentation/arch/arm64/booting.rst and arch/arm/booting.rst want. */
#include "boot.h"

#include "lkvm/arch.h"
#include "lkvm/vm.h"

/* arch/arm/booting.rst, 5: the machine is described by the tree alone. */
#define AARCH32_NO_MACHINE 0xffffffffULL

static void add_registers(struct boot_plan *plan, const struct boot_place *at, bool aarch32)
{
	boot_plan_add_reg(plan, "pc", at->entry);
	if (!aarch32) {
		boot_plan_add_reg(plan, "x0", at->fdt);
		return;
	}
	boot_plan_add_reg(plan, "x1", AARCH32_NO_MACHINE);
	boot_plan_add_reg(plan, "x2", at->fdt);
}

int arch_boot_plan(struct vm *vm, const struct boot *boot, struct boot_plan *plan)
{
	struct boot_place at;
	int ret = boot_machine_plan(arm_machine_of(vm->cfg), vm, boot, plan, &at);

	if (ret)
		return ret;
	add_registers(plan, &at, vm->cfg->arm.aarch32);
	boot_start_keep(&vm->arch->entry, plan);
	return 0;
}
