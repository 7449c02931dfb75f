/* SPDX-License-Identifier: MIT */
/*
 * What a guest with a device tree starts from, in its one RAM. Raw firmware has the device tree
 * after it, and the initrds after that.
 */
#include <stdlib.h>

#include "lkvm/boot-fdt.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* Firmware passes initrds on, or reads them itself: /chosen says where they are. */
static int place_initrds(struct boot_load *b)
{
	struct boot_place *at = &b->at;
	char need[32];
	int ret = boot_initrd_size(b->boot, &at->initrd_size);

	if (ret)
		return ret;
	at->initrd = at->fdt + b->machine->place->fdt_max;
	if (at->initrd_size <= at->ram_end - at->initrd)
		return 0;
	err("--initrd: does not fit: the initrds take %s after %s and device tree; increase --mem",
	    format_size(ALIGN_UP(at->initrd_size, 4 * KiB), need, sizeof(need)), at->what);
	return -ENOMEM;
}

/* UEFI PI Specification 1.8, volume 3, 3.2.1: a firmware volume begins with 16 bytes that are its
 * own, here the first instruction, and has a signature at 40. */
static bool is_volume(const struct boot_image *img)
{
	u8 magic[4];

	return !boot_image_read(img, 40, magic, sizeof(magic)) &&
	       !memcmp(magic, "_FVH", sizeof(magic));
}

/* Where the firmware is to be, and whether that is not in RAM. */
static u64 firmware_base(const struct boot_load *b, bool *in_rom)
{
	const struct boot_machine *m = b->machine;
	u64 base = b->firmware_address;

	*in_rom = m->rom_size &&
		  (base ? range_within(base, 1, m->rom, m->rom_size) : is_volume(b->at.image));
	if (base)
		return base;
	return *in_rom ? m->rom : m->ram + m->firmware_offset;
}

/* Nothing of it is in RAM, which is for what a kernel finds there, too. */
static int load_rom(struct boot_load *b, u64 base)
{
	const struct boot_machine *m = b->machine;
	struct boot_place *at = &b->at;
	char most[32];
	int ret;

	if (base % BOOT_PAGE || at->image->size % BOOT_PAGE)
		return boot_place_error(at, -EINVAL,
					"it runs in place in read-only memory, so its size and "
					"--firmware-address must be multiples of 4K");
	if (!range_within(base, at->image->size, m->rom, m->rom_size))
		return boot_place_error(at, -EFBIG,
					"it is too large for the read-only memory of %s that ends "
					"at %#llx",
					format_size(m->rom_size, most, sizeof(most)),
					m->rom + m->rom_size);
	ret = boot_plan_add_rom(b->plan, at->what, base, at->image);
	if (ret)
		return ret;
	at->entry = base;
	at->low = at->high = at->ram;
	return boot_place_rest(at, b->boot, m->place);
}

/* The device tree goes after the firmware, which is told where. */
static int load_firmware(struct boot_load *b)
{
	const struct boot_machine *m = b->machine;
	bool in_rom;
	u64 base = firmware_base(b, &in_rom);
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
	if (!ret && base % 4)
		return boot_place_error(
			at, -EINVAL,
			"--firmware-address must be a multiple of 4, as instructions "
			"are placed");
	if (!ret && in_rom)
		return load_rom(b, base);
	if (!ret)
		ret = boot_place_raw(at, b->plan, BOOT_FIRMWARE, base, at->image->size);
	if (ret)
		return ret;
	at->fdt = ALIGN_UP(at->high, m->place->fdt_align);
	ret = boot_place_check(at, at->fdt, m->place->fdt_max);
	return ret ? ret : place_initrds(b);
}

static int load_kernel(struct boot_load *b)
{
	int ret = boot_load_kernel(b);

	return ret ? ret : boot_place_rest(&b->at, b->boot, b->machine->place);
}

int boot_load_list(struct boot_load *b)
{
	const struct boot *boot = b->boot;
	int ret;

	b->at = (struct boot_place){ .ram = b->machine->ram };
	b->at.image = boot_first_image(boot, &b->at.what);
	if (!b->at.image)
		return -EINVAL;
	boot_place_ram(&b->at, b->mem);
	ret = boot->firmware.path ? load_firmware(b) : load_kernel(b);
	if (!ret)
		boot_initrd_plan(boot, b->plan, b->at.initrd);
	return ret;
}

static int add_fdt(struct vm *vm, const struct boot_load *b)
{
	const struct boot_fdt_input in = {
		.initrd = b->at.initrd,
		.initrd_size = b->at.initrd_size,
		.cmdline = boot_cmdline(b->boot, vm->cfg),
	};
	void *blob;
	size_t len;
	int ret = boot_fdt_build(b->machine, vm, &in, &blob, &len);

	if (ret)
		return ret;
	boot_plan_add(b->plan, BOOT_TABLES, BOOT_FDT, b->at.fdt, blob, len);
	free(blob);
	return 0;
}

/* edk2 stops with an exception, of which few would know what it means. */
static void check_variables(const struct boot_load *b, const struct vm_config *cfg)
{
	const struct boot_machine *m = b->machine;

	if (b->boot->firmware.path && !cfg->fdt.flash &&
	    range_within(b->at.entry, 1, m->rom, m->rom_size) && is_volume(b->at.image))
		warn("--firmware %s: UEFI keeps its variables in flash memory, and this machine "
		     "has none; name a copy of the file for them, as VARS.fd, with --flash",
		     b->boot->firmware.path);
}

int boot_machine_plan(const struct boot_machine *m, struct vm *vm, const struct boot *boot,
		      struct boot_plan *plan, struct boot_place *at)
{
	struct boot_load b = {
		.machine = m,
		.boot = boot,
		.mem = &vm->mem,
		.plan = plan,
		.format = vm->cfg->fdt.kernel_format,
		.firmware_address = vm->cfg->fdt.firmware_address,
	};
	int ret = boot_load_list(&b);

	if (!ret)
		ret = add_fdt(vm, &b);
	if (!ret)
		check_variables(&b, vm->cfg);
	*at = b.at;
	return ret;
}
