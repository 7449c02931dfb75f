/* SPDX-License-Identifier: MIT */
/* What the guest starts from: boot/ does the most of it, and here are the registers that Linux's
 * Documentation/arch/riscv/boot.rst wants. */
#include "boot.h"

#include "lkvm/arch.h"
#include "lkvm/vm.h"

int arch_boot_plan(struct vm *vm, const struct boot *boot, struct boot_plan *plan)
{
	struct boot_place at;
	int ret = boot_machine_plan(&riscv_machine, vm, boot, plan, &at);

	if (ret)
		return ret;
	/* Register state: the hart's id, and the tree. satp is 0 after a reset. */
	boot_plan_add_reg(plan, "pc", at.entry);
	boot_plan_add_reg(plan, "a0", 0);
	boot_plan_add_reg(plan, "a1", at.fdt);
	boot_start_keep(&vm->arch->entry, plan);
	return 0;
}
