/* SPDX-License-Identifier: MIT */
/*
 * Where what the guest starts from goes: it puts device tree and initrds where kvmtool has them:
 * down from the end of the first 256 MiB, or of RAM where they do not fit there. Raw firmware
 * stands at the beginning of RAM with the device tree behind it.
 */
#include <stdlib.h>

#include "boot.h"
#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* Where RAM that begins at ARM_RAM ends; ARM_RAM itself: there is none. */
static u64 find_ram_end(const struct guest_memory *mem)
{
	u64 end = ARM_RAM;

	for (unsigned int i = 0; i < mem->count; i++)
		if (mem->regions[i].gpa == end && !(mem->regions[i].flags & MEM_ROM))
			end += mem->regions[i].size;
	return end;
}

/* Device tree and initrds down from @top, above all that the image takes. */
static bool place_below(struct arm_boot *b, u64 top)
{
	u64 fdt, initrd;

	if (top < ARM_RAM + ARM_FDT_MAX)
		return false;
	fdt = ALIGN_DOWN(top - ARM_FDT_MAX, ARM_FDT_ALIGN);
	if (fdt < b->high || fdt - b->high < b->initrd_size)
		return false;
	initrd = ALIGN_DOWN(fdt - b->initrd_size, 4 * KiB);
	if (initrd < b->high)
		return false;
	b->fdt = fdt;
	b->initrd = initrd;
	return true;
}

static int place(struct arm_boot *b)
{
	u64 size = b->ram_end - ARM_RAM;
	char need[32], have[32];

	if (boot_initrd_size(b->boot, &b->initrd_size)) {
		err("initrd does not fit: its size is beyond all memory");
		return -EOVERFLOW;
	}
	if (place_below(b, ARM_RAM + MIN(size, ARM_LOW_WINDOW)) ||
	    place_below(b, ARM_RAM + MIN(size, ARM_IMAGE_WINDOW)))
		return 0;
	err("%s does not fit: %s with its initrds (%s) and the device tree needs more than the %s "
	    "of memory that the guest has; give more with -m",
	    b->initrd_size ? "initrd" : "device tree", b->what,
	    format_size(ALIGN_UP(b->initrd_size, 4 * KiB), need, sizeof(need)),
	    format_size(size, have, sizeof(have)));
	return -ENOMEM;
}

/* The device tree goes behind the firmware, which finds it by its first argument. */
static int load_firmware(struct arm_boot *b)
{
	u64 base = b->firmware_address ? b->firmware_address : ARM_RAM;
	int ret = arm_place_raw(b, base, b->image->size);

	if (ret)
		return ret;
	b->fdt = ALIGN_UP(b->high, ARM_FDT_ALIGN);
	return arm_place_check(b, b->fdt, ARM_FDT_MAX);
}

int arm_boot_list(struct arm_boot *b)
{
	const struct boot *boot = b->boot;
	int ret;

	b->image = boot_first_image(boot, &b->what);
	if (!b->image)
		return -EINVAL;
	b->ram_end = find_ram_end(b->mem);
	b->initrd_size = 0;
	if (boot->firmware.path)
		return load_firmware(b);
	ret = arm_load_kernel(b);
	if (!ret)
		ret = place(b);
	if (!ret)
		boot_initrd_plan(boot, b->plan, b->initrd);
	return ret;
}

static int add_fdt(struct vm *vm, const struct arm_boot *b)
{
	const struct arm_fdt_input in = {
		.initrd = b->initrd,
		.initrd_size = b->initrd_size,
		.cmdline = vm->cfg->cmdline,
	};
	void *blob;
	size_t len;
	int ret = arm_fdt_build(vm, &in, &blob, &len);

	if (ret)
		return ret;
	boot_plan_add(b->plan, BOOT_TABLES, BOOT_FDT, b->fdt, blob, len);
	free(blob);
	return 0;
}

/* Linux Documentation/arch/arm/booting.rst, 5: the machine is described by the tree alone. */
#define AARCH32_NO_MACHINE 0xffffffffULL

static void add_registers(const struct arm_boot *b)
{
	boot_plan_add_reg(b->plan, "pc", b->entry);
	if (!b->aarch32) {
		boot_plan_add_reg(b->plan, "x0", b->fdt);
		return;
	}
	boot_plan_add_reg(b->plan, "x1", AARCH32_NO_MACHINE);
	boot_plan_add_reg(b->plan, "x2", b->fdt);
}

int arch_boot_plan(struct vm *vm, const struct boot *boot, struct boot_plan *plan)
{
	struct arm_boot b = {
		.boot = boot,
		.mem = &vm->mem,
		.plan = plan,
		.format = vm->cfg->kernel_format,
		.aarch32 = vm->cfg->aarch32,
		.firmware_address = vm->cfg->firmware_address,
	};
	int ret = arm_boot_list(&b);

	if (!ret)
		ret = add_fdt(vm, &b);
	if (ret)
		return ret;
	add_registers(&b);
	vm->arch->entry = (struct arm_entry){ .nr_regs = plan->nr_regs };
	memcpy(vm->arch->entry.regs, plan->regs, plan->nr_regs * sizeof(plan->regs[0]));
	return 0;
}
