/* SPDX-License-Identifier: MIT */
/*
 * Loads what the guest starts from, and puts device tree and initrds where kvmtool has them: down
 * from the end of the first 256 MiB, or of RAM where they do not fit there. Raw firmware stands at
 * the beginning of RAM with the device tree behind it.
 */
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "loader.h"

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
static bool place_below(struct arm_loader *l, u64 top)
{
	u64 fdt, initrd;

	if (top < ARM_RAM + ARM_FDT_MAX)
		return false;
	fdt = ALIGN_DOWN(top - ARM_FDT_MAX, ARM_FDT_ALIGN);
	if (fdt < l->high || fdt - l->high < l->initrd_size)
		return false;
	initrd = ALIGN_DOWN(fdt - l->initrd_size, 4 * KiB);
	if (initrd < l->high)
		return false;
	l->fdt = fdt;
	l->initrd = initrd;
	return true;
}

static int place(struct arm_loader *l)
{
	u64 size = l->ram_end - ARM_RAM;
	char need[32], have[32];

	if (boot_initrd_size(l->boot, &l->initrd_size)) {
		err("initrd does not fit: its size is beyond all memory");
		return -EOVERFLOW;
	}
	if (place_below(l, ARM_RAM + MIN(size, ARM_LOW_WINDOW)) ||
	    place_below(l, ARM_RAM + MIN(size, ARM_IMAGE_WINDOW)))
		return 0;
	err("%s does not fit: %s with its initrds (%s) and the device tree needs more than the %s "
	    "of memory that the guest has; give more with -m",
	    l->initrd_size ? "initrd" : "device tree", l->what,
	    format_size(ALIGN_UP(l->initrd_size, 4 * KiB), need, sizeof(need)),
	    format_size(size, have, sizeof(have)));
	return -ENOMEM;
}

/* The device tree goes behind the firmware, which finds it by its first argument. */
static int load_firmware(struct arm_loader *l)
{
	u64 base = l->firmware_address ? l->firmware_address : ARM_RAM;
	int ret = arm_loader_raw(l, base, l->image->size);

	if (ret)
		return ret;
	l->fdt = ALIGN_UP(l->high, ARM_FDT_ALIGN);
	return arm_loader_check(l, l->fdt, ARM_FDT_MAX);
}

int arm_load(struct arm_loader *l)
{
	const struct boot *boot = l->boot;
	int ret;

	l->image = boot_first_image(boot, &l->what);
	if (!l->image)
		return -EINVAL;
	l->ram_end = find_ram_end(l->mem);
	l->initrd_size = 0;
	if (boot->firmware.path)
		return load_firmware(l);
	ret = arm_load_kernel(l);
	if (!ret)
		ret = place(l);
	if (!ret)
		ret = boot_initrd_load(boot, l->mem, l->initrd);
	return ret;
}

static int write_fdt(struct vm *vm, const struct arm_loader *l)
{
	const struct arm_fdt_input in = {
		.initrd = l->initrd,
		.initrd_size = l->initrd_size,
		.cmdline = vm->cfg->cmdline,
	};
	void *blob;
	size_t len;
	int ret = arm_fdt_build(vm, &in, &blob, &len);

	if (ret)
		return ret;
	ret = memory_write(&vm->mem, l->fdt, blob, len);
	free(blob);
	if (ret) {
		err("cannot write the device tree to %#llx: %s", l->fdt, strerror(-ret));
		return ret;
	}
	vm->dtb = l->fdt;
	vm->dtb_size = len;
	return 0;
}

int arch_load_guest(struct vm *vm, const struct boot *boot)
{
	struct arm_loader l = {
		.boot = boot,
		.mem = &vm->mem,
		.format = vm->cfg->fdt.kernel_format,
		.aarch32 = vm->cfg->arm.aarch32,
		.firmware_address = vm->cfg->fdt.firmware_address,
	};
	int ret = arm_load(&l);

	if (!ret)
		ret = write_fdt(vm, &l);
	if (!ret)
		vm->arch->entry = (struct arm_entry){ .pc = l.entry, .x0 = l.fdt };
	return ret;
}
