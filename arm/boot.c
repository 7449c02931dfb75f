/* SPDX-License-Identifier: MIT */
/*
 * What the guest starts from, in its one RAM. Raw firmware stands at the beginning of RAM with the
 * device tree after it, and the initrds after that.
 */
#include <stdlib.h>

#include "boot.h"
#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* Firmware passes initrds on, or reads them itself: /chosen says where they are. */
static int place_initrds(struct boot_place *at, const struct boot *boot)
{
	char need[32];
	int ret = boot_initrd_size(boot, &at->initrd_size);

	if (ret)
		return ret;
	at->initrd = at->fdt + ARM_FDT_MAX;
	if (at->initrd_size <= at->ram_end - at->initrd)
		return 0;
	err("--initrd: does not fit: the initrds take %s after %s and device tree; increase --mem",
	    format_size(ALIGN_UP(at->initrd_size, 4 * KiB), need, sizeof(need)), at->what);
	return -ENOMEM;
}

/* The device tree goes after the firmware, which finds it by its first argument. */
static int load_firmware(struct arm_boot *b)
{
	u64 base = b->firmware_address ? b->firmware_address : ARM_RAM;
	struct boot_place *at = &b->at;
	u8 magic[4];
	int ret;

	if (!boot_image_read(at->image, 0, magic, sizeof(magic)) &&
	    !memcmp(magic, "\177ELF", sizeof(magic)))
		return boot_place_error(
			at, -ENOEXEC,
			"an ELF file, and firmware is raw; make it so with: objcopy "
			"-O binary");
	ret = boot_firmware_check(at->image, 0, "at its beginning");
	if (!ret)
		ret = boot_place_raw(at, b->plan, BOOT_FIRMWARE, base, at->image->size);
	if (ret)
		return ret;
	at->fdt = ALIGN_UP(at->high, ARM_FDT_ALIGN);
	ret = boot_place_check(at, at->fdt, ARM_FDT_MAX);
	return ret ? ret : place_initrds(at, b->boot);
}

int arm_boot_list(struct arm_boot *b)
{
	static const struct boot_place_rules rules = {
		.fdt_max = ARM_FDT_MAX,
		.fdt_align = ARM_FDT_ALIGN,
		.windows = { ARM_LOW_WINDOW, ARM_IMAGE_WINDOW },
	};
	const struct boot *boot = b->boot;
	int ret;

	b->at = (struct boot_place){ .ram = ARM_RAM };
	b->at.image = boot_first_image(boot, &b->at.what);
	if (!b->at.image)
		return -EINVAL;
	boot_place_ram(&b->at, b->mem);
	ret = boot->firmware.path ? load_firmware(b) : arm_load_kernel(b);
	if (!ret && !boot->firmware.path)
		ret = boot_place_rest(&b->at, boot, &rules);
	if (!ret)
		boot_initrd_plan(boot, b->plan, b->at.initrd);
	return ret;
}

static int add_fdt(struct vm *vm, const struct arm_boot *b)
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

/* Linux Documentation/arch/arm/booting.rst, 5: the machine is described by the tree alone. */
#define AARCH32_NO_MACHINE 0xffffffffULL

static void add_registers(const struct arm_boot *b)
{
	boot_plan_add_reg(b->plan, "pc", b->at.entry);
	if (!b->aarch32) {
		boot_plan_add_reg(b->plan, "x0", b->at.fdt);
		return;
	}
	boot_plan_add_reg(b->plan, "x1", AARCH32_NO_MACHINE);
	boot_plan_add_reg(b->plan, "x2", b->at.fdt);
}

int arch_boot_plan(struct vm *vm, const struct boot *boot, struct boot_plan *plan)
{
	struct arm_boot b = {
		.boot = boot,
		.mem = &vm->mem,
		.plan = plan,
		.format = vm->cfg->fdt.kernel_format,
		.aarch32 = vm->cfg->arm.aarch32,
		.firmware_address = vm->cfg->fdt.firmware_address,
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
