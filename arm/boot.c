/* SPDX-License-Identifier: MIT */
/* What the guest starts from: images, the device tree, and the registers that Linux's
 * Documentation/arch/arm64/booting.rst and arch/arm/booting.rst want. */
#include "boot.h"

#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/vm.h"

static int add_fdt(struct vm *vm, const struct boot_load *b)
{
	const struct boot_fdt_input in = {
		.initrd = b->at.initrd,
		.initrd_size = b->at.initrd_size,
		.cmdline = boot_cmdline(b->boot, vm->cfg),
	};
	void *blob;
	size_t len;
	int ret = arm_fdt_build(vm, &in, &blob, &len);

	if (ret)
		return ret;
	boot_plan_add(b->plan, BOOT_TABLES, BOOT_FDT, b->at.fdt, blob, len);
	free(blob);
	return 0;
}

/* arch/arm64/booting.rst, 5: the machine is described by the tree alone. */
#define AARCH32_NO_MACHINE 0xffffffffULL

static void add_registers(const struct boot_load *b, bool aarch32)
{
	boot_plan_add_reg(b->plan, "pc", b->at.entry);
	if (!aarch32) {
		boot_plan_add_reg(b->plan, "x0", b->at.fdt);
		return;
	}
	boot_plan_add_reg(b->plan, "x1", AARCH32_NO_MACHINE);
	boot_plan_add_reg(b->plan, "x2", b->at.fdt);
}

int arch_boot_plan(struct vm *vm, const struct boot *boot, struct boot_plan *plan)
{
	struct boot_load b = {
		.machine = arm_machine_of(vm->cfg),
		.boot = boot,
		.mem = &vm->mem,
		.plan = plan,
		.format = vm->cfg->fdt.kernel_format,
		.firmware_address = vm->cfg->fdt.firmware_address,
	};
	int ret = boot_load_list(&b);

	if (!ret)
		ret = add_fdt(vm, &b);
	if (ret)
		return ret;
	add_registers(&b, vm->cfg->arm.aarch32);
	vm->arch->entry = (struct arm_entry){ .nr_regs = plan->nr_regs };
	memcpy(vm->arch->entry.regs, plan->regs, plan->nr_regs * sizeof(plan->regs[0]));
	return 0;
}
