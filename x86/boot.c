/* SPDX-License-Identifier: MIT */
/* What the guest starts from: finds out its format and hands over to the format's own file. */
#include <elf.h>

#include "boot.h"
#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/vm.h"

static int load_unknown(struct x86_boot *b)
{
	char known[160];
	u8 signature[2];

	if (boot_identify(b->image, arch_platform.name, known, sizeof(known)))
		return boot_error(b, -ENOEXEC, "%s", known);
	/* Linux before protocol 2.00 (1.3.73) has nothing else. */
	if (!boot_image_read(b->image, 510, signature, 2) && get_le(signature, 2) == 0xaa55)
		return boot_error(b, -ENOEXEC,
				  "a boot sector or a Linux kernel too old to have a 64-bit "
				  "entry; lkvm runs no 16-bit boot code");
	return boot_error(b, -ENOEXEC,
			  "neither bzImage, ELF nor multiboot; a raw 64-bit image is started by "
			  "--kernel-format flat");
}

static int load_elf_as(struct x86_boot *b, const struct elf_image *elf,
		       enum x86_kernel_format format)
{
	struct multiboot_header mb;
	bool has_mb = !multiboot_find(b->image, &mb);

	if (elf->machine != EM_X86_64 && elf->machine != EM_386)
		return boot_error(b, -ENOEXEC,
				  "an ELF file for %s, and the guest is x86-64; use a kernel built "
				  "for x86-64",
				  elf_machine_name(elf->machine));
	if (format == X86_KERNEL_PVH || (format == X86_KERNEL_AUTO && elf->pvh_entry)) {
		if (!elf->pvh_entry)
			return boot_error(b, -ENOEXEC,
					  "it has no PVH entry note (Linux: CONFIG_PVH); %s",
					  b->image == &b->boot->firmware
						  ? "firmware is raw, or ELF with this note"
						  : "omit --kernel-format");
		return pvh_load(b, elf);
	}
	if (format == X86_KERNEL_MULTIBOOT || (format == X86_KERNEL_AUTO && has_mb)) {
		if (!has_mb)
			return boot_error(
				b, -ENOEXEC,
				"no multiboot header in its first 8 KiB; omit --kernel-format");
		return multiboot_load(b, &mb, elf);
	}
	if (!elf->is64 || elf->machine != EM_X86_64)
		return boot_error(b, -ENOEXEC,
				  "a 32-bit ELF file without multiboot header or PVH note; "
				  "nothing says how it is entered");
	return linux_elf_load(b, elf);
}

/* Formats that may be ELF files: @format is one of them or X86_KERNEL_AUTO. */
static int load_elf(struct x86_boot *b, enum x86_kernel_format format)
{
	struct multiboot_header mb;
	struct elf_image elf;
	const char *why;
	int ret = elf_parse(b->image, &elf, &why);

	if (!ret)
		return load_elf_as(b, &elf, format);
	if (ret == -EINVAL)
		return boot_error(b, -ENOEXEC, "a damaged or unsupported ELF file: %s", why);
	/* No ELF: multiboot images may be raw. */
	if ((format == X86_KERNEL_AUTO || format == X86_KERNEL_MULTIBOOT) &&
	    !multiboot_find(b->image, &mb))
		return multiboot_load(b, &mb, NULL);
	if (format == X86_KERNEL_MULTIBOOT)
		return boot_error(b, -ENOEXEC,
				  "no multiboot header in its first 8 KiB; omit --kernel-format");
	if (format != X86_KERNEL_AUTO)
		return boot_error(b, -ENOEXEC, "not an ELF file; omit --kernel-format");
	return load_unknown(b);
}

static int load_kernel(struct x86_boot *b)
{
	bool bzimage = bzimage_probe(b->image);

	switch (b->format) {
	case X86_KERNEL_FLAT:
		return linux_flat_load(b);
	case X86_KERNEL_BZIMAGE:
		if (!bzimage)
			return boot_error(
				b, -ENOEXEC,
				"no Linux boot header (HdrS), so it is not a bzImage; omit "
				"--kernel-format");
		return bzimage_load(b);
	case X86_KERNEL_AUTO:
		if (bzimage)
			return bzimage_load(b);
		break;
	default:
		break;
	}
	return load_elf(b, b->format);
}

bool x86_firmware_is_raw(const struct boot *boot)
{
	u8 magic[4];

	return boot->firmware.path && (boot_image_read(&boot->firmware, 0, magic, sizeof(magic)) ||
				       memcmp(magic, "\177ELF", sizeof(magic)));
}

int x86_boot_list(struct x86_boot *b)
{
	const struct boot *boot = b->boot;
	bool firmware = boot->firmware.path;
	int ret;

	b->image = boot_first_image(boot, &b->what);
	if (!b->image)
		return -EINVAL;
	b->entry = (struct x86_entry){ 0 };
	if (!memory_is_ram(b->mem, 0, X86_HIGH_BASE))
		return boot_error(b, -ENOMEM,
				  "the guest has less than 1M of memory; increase --mem");
	if (x86_firmware_is_raw(boot))
		return firmware_load(b);
	bios_plan(b);
	ret = firmware ? load_elf(b, X86_KERNEL_PVH) : load_kernel(b);
	if (!ret)
		x86_entry_tables(b->plan, b->entry.mode);
	return ret;
}

int arch_boot_plan(struct vm *vm, const struct boot *boot, struct boot_plan *plan)
{
	struct x86_boot b = {
		.boot = boot,
		.mem = &vm->mem,
		.plan = plan,
		.cmdline = vm->cfg->cmdline,
		.format = vm->cfg->x86.kernel_format,
	};
	int ret = 0;

	/* Firmware brings its own tables, or none. */
	if (!x86_firmware_is_raw(boot)) {
		ret = x86_acpi_plan(vm, plan, &b.rsdp);
	} else if (!vm->arch->firmware_seen) {
		fw_cfg_warn(&boot->firmware);
		vm->arch->firmware_seen = true; /* once, not at every reset */
	}
	if (!ret)
		ret = x86_boot_list(&b);
	if (ret)
		return ret;
	x86_entry_plan(&b.entry, plan);
	vm->arch->entry = b.entry;
	return 0;
}
