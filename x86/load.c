/* SPDX-License-Identifier: MIT */
/* Loads what the guest starts from: finds out the format and hands over to the format's own file.
 */
#include <elf.h>

#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/vm.h"
#include "loader.h"

static int load_unknown(struct x86_loader *l)
{
	char known[160];
	u8 signature[2];

	if (boot_identify(l->image, arch_platform.name, known, sizeof(known)))
		return loader_error(l, -ENOEXEC, "%s", known);
	/* Linux before protocol 2.00 (1.3.73) has nothing else. */
	if (!boot_image_read(l->image, 510, signature, 2) && get_le(signature, 2) == 0xaa55)
		return loader_error(l, -ENOEXEC,
				    "a boot sector or a Linux kernel too old to have a 64-bit "
				    "entry; lkvm runs no 16-bit boot code");
	return loader_error(l, -ENOEXEC,
			    "neither bzImage, ELF nor multiboot; a raw 64-bit image is started by "
			    "--kernel-format flat");
}

static int load_elf_as(struct x86_loader *l, const struct elf_image *elf,
		       enum x86_kernel_format format)
{
	struct multiboot_header mb;
	bool has_mb = !multiboot_find(l->image, &mb);

	if (elf->machine != EM_X86_64 && elf->machine != EM_386)
		return loader_error(l, -ENOEXEC,
				    "an ELF file for %s, and the guest is x86-64; give a kernel "
				    "built for x86-64",
				    elf_machine_name(elf->machine));
	if (format == X86_KERNEL_PVH || (format == X86_KERNEL_AUTO && elf->pvh_entry)) {
		if (!elf->pvh_entry)
			return loader_error(l, -ENOEXEC,
					    "it has no PVH entry note (Linux: CONFIG_PVH); %s",
					    l->image == &l->boot->firmware
						    ? "firmware is raw, or ELF with this note"
						    : "leave out --kernel-format");
		return pvh_load(l, elf);
	}
	if (format == X86_KERNEL_MULTIBOOT || (format == X86_KERNEL_AUTO && has_mb)) {
		if (!has_mb)
			return loader_error(l, -ENOEXEC,
					    "no multiboot header in its first 8 KiB; leave out "
					    "--kernel-format");
		return multiboot_load(l, &mb, elf);
	}
	if (!elf->is64 || elf->machine != EM_X86_64)
		return loader_error(l, -ENOEXEC,
				    "a 32-bit ELF file without multiboot header or PVH note; "
				    "nothing says how it is entered");
	return linux_elf_load(l, elf);
}

/* Formats that may be ELF files: @format is one of them or X86_KERNEL_AUTO. */
static int load_elf(struct x86_loader *l, enum x86_kernel_format format)
{
	struct multiboot_header mb;
	struct elf_image elf;
	const char *why;
	int ret = elf_parse(l->image, &elf, &why);

	if (!ret)
		return load_elf_as(l, &elf, format);
	if (ret == -EINVAL)
		return loader_error(l, -ENOEXEC, "a damaged or foreign ELF file: %s", why);
	/* No ELF: multiboot images may be raw. */
	if ((format == X86_KERNEL_AUTO || format == X86_KERNEL_MULTIBOOT) &&
	    !multiboot_find(l->image, &mb))
		return multiboot_load(l, &mb, NULL);
	if (format == X86_KERNEL_MULTIBOOT)
		return loader_error(l, -ENOEXEC,
				    "no multiboot header in its first 8 KiB; leave out "
				    "--kernel-format");
	if (format != X86_KERNEL_AUTO)
		return loader_error(l, -ENOEXEC, "not an ELF file; leave out --kernel-format");
	return load_unknown(l);
}

static int load_kernel(struct x86_loader *l)
{
	bool bzimage = bzimage_probe(l->image);

	switch (l->format) {
	case X86_KERNEL_FLAT:
		return linux_flat_load(l);
	case X86_KERNEL_BZIMAGE:
		if (!bzimage)
			return loader_error(l, -ENOEXEC,
					    "no Linux boot header (HdrS), so it is no bzImage; "
					    "leave out --kernel-format");
		return bzimage_load(l);
	case X86_KERNEL_AUTO:
		if (bzimage)
			return bzimage_load(l);
		break;
	default:
		break;
	}
	return load_elf(l, l->format);
}

bool x86_firmware_is_raw(const struct boot *boot)
{
	u8 magic[4];

	return boot->firmware.path && (boot_image_read(&boot->firmware, 0, magic, sizeof(magic)) ||
				       memcmp(magic, "\177ELF", sizeof(magic)));
}

/* The words of the BIOS data area that say where conventional memory ends. */
static int write_bda(const struct x86_loader *l)
{
	__le16 ebda = cpu_to_le16(X86_EBDA >> 4);
	__le16 base_kb = cpu_to_le16(X86_EBDA / KiB);
	int ret = memory_write(l->mem, X86_BDA_EBDA_SEG, &ebda, sizeof(ebda));

	if (!ret)
		ret = memory_write(l->mem, X86_BDA_BASE_KB, &base_kb, sizeof(base_kb));
	return ret;
}

/*
 * What stands at the reset vector: an OUT to the reset register. Linux on hardware-reduced ACPI
 * takes EFI's reset service for granted and, where there is no EFI, jumps here in real mode (its
 * arch/x86/kernel/reboot.c, BOOT_EFI and BOOT_BIOS).
 */
static int write_reset_vector(const struct x86_loader *l)
{
	const u8 code[] = {
		0xba,
		X86_PM_RESET & 0xff,
		X86_PM_RESET >> 8, /* mov $X86_PM_RESET, %dx */
		0xb0,
		X86_PM_RESET_VALUE, /* mov $X86_PM_RESET_VALUE, %al */
		0xee,		    /* out %al, (%dx) */
		0xf4,		    /* 1: hlt */
		0xeb,
		0xfd, /* jmp 1b */
	};

	return memory_write(l->mem, X86_RESET_VECTOR, code, sizeof(code));
}

int x86_load(struct x86_loader *l)
{
	const struct boot *boot = l->boot;
	bool firmware = boot->firmware.path;
	int ret;

	l->image = boot_first_image(boot, &l->what);
	if (!l->image)
		return -EINVAL;
	l->entry = (struct x86_entry){ 0 };
	if (!memory_is_ram(l->mem, 0, X86_HIGH_BASE))
		return loader_error(l, -ENOMEM,
				    "the guest has less than 1M of memory; give more "
				    "with -m");
	if (x86_firmware_is_raw(boot))
		return firmware_load(l);
	ret = write_bda(l);
	if (!ret)
		ret = write_reset_vector(l);
	if (!ret)
		ret = firmware ? load_elf(l, X86_KERNEL_PVH) : load_kernel(l);
	if (!ret) {
		ret = x86_write_entry_tables(l->mem, l->entry.mode);
		if (ret)
			loader_io_error(l, ret);
	}
	return ret;
}

int arch_load_guest(struct vm *vm, const struct boot *boot)
{
	struct x86_loader l = {
		.boot = boot,
		.mem = &vm->mem,
		.cmdline = vm->cfg->cmdline,
		.format = vm->cfg->x86.kernel_format,
	};
	int ret = 0;

	/* Firmware brings its own tables, or none. */
	if (!x86_firmware_is_raw(boot))
		ret = x86_acpi_write(vm, &l.rsdp);
	if (!ret)
		ret = x86_load(&l);
	if (!ret)
		vm->arch->entry = l.entry;
	return ret;
}
