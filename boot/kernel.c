/* SPDX-License-Identifier: MIT */
/*
 * Kernels for a machine with a device tree: Linux's Image (boot/linux-image.c), ELF files with
 * physical addresses, and raw images, which are entered at their first byte.
 */
#include <elf.h>

#include "lkvm/arch.h"
#include "lkvm/boot-fdt.h"
#include "lkvm/config.h"
#include "lkvm/log.h"

static int place_kernel(struct boot_load *b, u64 base, u64 size)
{
	return boot_place_raw(&b->at, b->plan, BOOT_KERNEL, base, size);
}

static int load_image(struct boot_load *b, const struct linux_image *image)
{
	u64 offset, base;
	const char *why = b->machine->image(image, &offset);

	if (why)
		return boot_place_error(&b->at, -ENOEXEC, "%s", why);
	if (linux_image_is_truncated(b->at.image))
		return boot_place_error(&b->at, -ENOEXEC,
					"it is shorter than its headers say (truncated?)");
	if (__builtin_add_overflow(b->machine->ram, offset, &base))
		return boot_place_error(&b->at, -ENOEXEC,
					"damaged: its header asks for an offset of %#llx bytes",
					offset);
	/* What follows the kernel proper (a signature) is loaded too. */
	return place_kernel(b, base, MAX(image->size, b->at.image->size));
}

/* Programs lie below this machine's RAM, and so does what is linked to virtual addresses. */
static int bad_address(struct boot_load *b, const struct elf_image *elf, u64 paddr)
{
	const char *known = elf_identify(b->at.image, elf);

	if (known)
		return boot_place_error(&b->at, -ENOEXEC, "%s", known);
	return boot_place_error(&b->at, -ENOEXEC,
				"an ELF file for address %#llx, and RAM begins at %#llx; for "
				"Linux, use Image instead of vmlinux",
				paddr, b->machine->ram);
}

static int check_elf(struct boot_load *b, const struct elf_image *elf)
{
	u16 machine = b->machine->elf_machine;

	if (elf->machine != machine)
		return boot_place_error(
			&b->at, -ENOEXEC,
			"an ELF file for %s, and the guest is %s; use a kernel built for %s",
			elf_machine_name(elf->machine), elf_machine_name(machine),
			elf_machine_name(machine));
	if (b->machine->elf64 && !elf->is64)
		return boot_place_error(&b->at, -ENOEXEC,
					"a 32-bit ELF file, and the guest is %s; use a kernel "
					"built for %s",
					arch_platform.name, arch_platform.name);
	if (!elf_holds(elf, elf->entry_paddr))
		return boot_place_error(&b->at, -ENOEXEC,
					"its entry point %#llx is in none of its segments",
					elf->entry);
	return 0;
}

static int load_elf(struct boot_load *b, const struct elf_image *elf)
{
	u64 ram = b->machine->ram;
	int ret = check_elf(b, elf);

	for (u32 i = 0; i < elf->nr_segments && !ret; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (s->memsz && !memory_holds_ram(b->mem, s->paddr, s->memsz) && s->paddr < ram)
			return bad_address(b, elf, s->paddr);
		ret = boot_place_check(&b->at, s->paddr, s->memsz);
	}
	if (ret)
		return ret;
	ret = elf_plan(b->at.image, elf, b->at.what, b->plan);
	if (ret)
		return boot_place_error(&b->at, ret,
					"it is shorter than its headers say (truncated?)");
	b->at.entry = elf->entry_paddr;
	b->at.low = elf->low;
	b->at.high = elf->high;
	return 0;
}

static int load_flat(struct boot_load *b)
{
	return place_kernel(b, b->machine->ram + b->machine->flat_offset, b->at.image->size);
}

static bool is_raw_linux(const struct boot_machine *m, const struct boot_image *img)
{
	return m->is_raw_linux && m->is_raw_linux(img);
}

static int load_auto(struct boot_load *b)
{
	struct elf_image elf;
	const char *why;
	char known[160];
	int ret = elf_parse(b->at.image, &elf, &why);

	if (!ret)
		return load_elf(b, &elf);
	if (ret == -EINVAL)
		return boot_place_error(&b->at, -ENOEXEC, "a damaged or unsupported ELF file: %s",
					why);
	if (b->format == FDT_KERNEL_ELF)
		return boot_place_error(&b->at, -ENOEXEC, "not an ELF file; omit --kernel-format");
	if (!is_raw_linux(b->machine, b->at.image) &&
	    boot_identify(b->at.image, arch_platform.name, known, sizeof(known)))
		return boot_place_error(&b->at, -ENOEXEC, "%s", known);
	return load_flat(b);
}

int boot_load_kernel(struct boot_load *b)
{
	struct linux_image image;

	if (b->format == FDT_KERNEL_FLAT)
		return load_flat(b);
	if (b->format != FDT_KERNEL_ELF &&
	    !linux_image_parse(b->at.image, b->machine->image_magic, &image))
		return load_image(b, &image);
	if (b->format == FDT_KERNEL_IMAGE)
		return boot_place_error(&b->at, -ENOEXEC,
					"no header of a Linux Image; omit --kernel-format");
	return load_auto(b);
}

/* ELF files are not: Linux's is linked to virtual addresses. */
bool boot_machine_is_linux(const struct boot_machine *m, const struct vm_config *cfg,
			   const struct boot *boot)
{
	enum fdt_kernel_format format = cfg->fdt.kernel_format;
	struct linux_image image;

	if (!boot)
		return format == FDT_KERNEL_AUTO || format == FDT_KERNEL_IMAGE;
	if (!boot->kernel.path || (format != FDT_KERNEL_AUTO && format != FDT_KERNEL_IMAGE))
		return false;
	return !linux_image_parse(&boot->kernel, m->image_magic, &image) ||
	       is_raw_linux(m, &boot->kernel);
}

bool boot_machine_image_base(const struct boot_machine *m, const struct vm_config *cfg,
			     const struct boot_image *img, u64 *gpa)
{
	enum fdt_kernel_format format = cfg->fdt.kernel_format;
	struct linux_image image;
	u8 magic[SELFMAG];
	u64 offset;

	*gpa = m->ram + m->flat_offset;
	if (format == FDT_KERNEL_FLAT)
		return true;
	if (format != FDT_KERNEL_ELF && !linux_image_parse(img, m->image_magic, &image))
		return !m->image(&image, &offset) && !__builtin_add_overflow(m->ram, offset, gpa);
	return format == FDT_KERNEL_AUTO &&
	       (boot_image_read(img, 0, magic, SELFMAG) || memcmp(magic, ELFMAG, SELFMAG));
}
