/* SPDX-License-Identifier: MIT */
/* What the guest starts from, in its one RAM. */
#include "boot.h"

#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

static int make_list(struct riscv_boot *b)
{
	static const struct boot_place_rules rules = {
		.fdt_max = RISCV_FDT_MAX,
		.fdt_align = RISCV_FDT_ALIGN,
		.windows = { RISCV_LOW_WINDOW, RISCV_IMAGE_WINDOW },
	};
	const struct boot *boot = b->boot;
	int ret;

	b->at = (struct boot_place){ .ram = RISCV_RAM };
	b->at.image = boot_first_image(boot, &b->at.what);
	if (!b->at.image)
		return -EINVAL;
	boot_place_ram(&b->at, b->mem);
	ret = riscv_load_kernel(b);
	if (!ret)
		ret = boot_place_rest(&b->at, boot, &rules);
	if (!ret)
		boot_initrd_plan(boot, b->plan, b->at.initrd);
	return ret;
}

static int add_fdt(struct vm *vm, const struct riscv_boot *b)
{
	const struct boot_fdt_input in = {
		.initrd = b->at.initrd,
		.initrd_size = b->at.initrd_size,
		.cmdline = boot_cmdline(b->boot, vm->cfg),
	};
	void *blob;
	size_t len;
	int ret = riscv_fdt_build(vm, &in, &blob, &len);

	if (ret)
		return ret;
	boot_plan_add(b->plan, BOOT_TABLES, BOOT_FDT, b->at.fdt, blob, len);
	free(blob);
	return 0;
}

int arch_boot_plan(struct vm *vm, const struct boot *boot, struct boot_plan *plan)
{
	struct riscv_boot b = {
		.boot = boot,
		.mem = &vm->mem,
		.plan = plan,
		.format = vm->cfg->fdt.kernel_format,
		.firmware_address = vm->cfg->fdt.firmware_address,
	};
	int ret = make_list(&b);

	if (!ret)
		ret = add_fdt(vm, &b);
	if (ret)
		return ret;
	/* Linux Documentation/arch/riscv/boot.rst, Register state: the hart's id, and the tree. */
	boot_plan_add_reg(plan, "pc", b.at.entry);
	boot_plan_add_reg(plan, "a0", 0);
	boot_plan_add_reg(plan, "a1", b.at.fdt);
	vm->arch->entry = (struct riscv_entry){ .nr_regs = plan->nr_regs };
	memcpy(vm->arch->entry.regs, plan->regs, plan->nr_regs * sizeof(plan->regs[0]));
	return 0;
}
