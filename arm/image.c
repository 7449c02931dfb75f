/* SPDX-License-Identifier: MIT */
/*
 * Kernels: Linux's Image (Documentation/arch/arm64/booting.rst, 4), ELF files with physical
 * addresses, and raw images, which are entered at their first byte.
 */
#include <elf.h>

#include "boot.h"
#include "lkvm/arch.h"
#include "lkvm/log.h"

#define IMAGE_MAGIC "ARM\x64"
/* Before Linux 3.17 there is no size, and the offset is this one. */
#define OLD_TEXT_OFFSET 0x80000

static int place_kernel(struct arm_boot *b, u64 base, u64 size)
{
	return boot_place_raw(&b->at, b->plan, BOOT_KERNEL, base, size);
}

/* The base of an Image of any size; false: none. */
static bool image_base(const struct linux_image *image, u64 *base)
{
	u64 offset = image->size ? image->text_offset : OLD_TEXT_OFFSET;

	return !__builtin_add_overflow(ARM_RAM, offset, base);
}

static int load_image(struct arm_boot *b, const struct linux_image *image)
{
	u64 base;

	if (b->aarch32)
		return boot_place_error(&b->at, -ENOEXEC,
					"a 64-bit kernel, and --aarch32 starts the guest in 32-bit "
					"mode; omit --aarch32");
	if (image->size && image->flags & LINUX_IMAGE_BIG_ENDIAN)
		return boot_place_error(&b->at, -ENOEXEC,
					"a big-endian kernel; lkvm starts only little-endian ones "
					"(Linux: CONFIG_CPU_LITTLE_ENDIAN)");
	if (!image_base(image, &base))
		return boot_place_error(&b->at, -ENOEXEC,
					"damaged: its header asks for an offset of %#llx bytes",
					image->text_offset);
	/* What follows the kernel proper (a signature) is loaded too. */
	return place_kernel(b, base, MAX(image->size, b->at.image->size));
}

/* Programs lie below this machine's RAM, and so does what is linked to virtual addresses. */
static int bad_address(struct arm_boot *b, const struct elf_image *elf, u64 paddr)
{
	const char *known = elf_identify(b->at.image, elf);

	if (known)
		return boot_place_error(&b->at, -ENOEXEC, "%s", known);
	return boot_place_error(&b->at, -ENOEXEC,
				"an ELF file for address %#llx, and RAM begins at %#llx; for "
				"Linux, use Image instead of vmlinux",
				paddr, ARM_RAM);
}

static int load_elf(struct arm_boot *b, const struct elf_image *elf)
{
	u16 machine = b->aarch32 ? EM_ARM : EM_AARCH64;
	int ret;

	if (elf->machine != machine)
		return boot_place_error(
			&b->at, -ENOEXEC,
			"an ELF file for %s, and the guest is %s; use a kernel built for %s",
			elf_machine_name(elf->machine), elf_machine_name(machine),
			elf_machine_name(machine));
	if (!elf_holds(elf, elf->entry_paddr))
		return boot_place_error(&b->at, -ENOEXEC,
					"its entry point %#llx is in none of its segments",
					elf->entry);
	for (u32 i = 0; i < elf->nr_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (s->memsz && !memory_holds_ram(b->mem, s->paddr, s->memsz) && s->paddr < ARM_RAM)
			return bad_address(b, elf, s->paddr);
		ret = boot_place_check(&b->at, s->paddr, s->memsz);
		if (ret)
			return ret;
	}
	ret = elf_plan(b->at.image, elf, b->at.what, b->plan);
	if (ret)
		return boot_place_error(&b->at, ret,
					"it is shorter than its headers say (truncated?)");
	b->at.entry = elf->entry_paddr;
	b->at.low = elf->low;
	b->at.high = elf->high;
	return 0;
}

static u64 flat_offset(bool aarch32)
{
	return aarch32 ? ARM_AARCH32_OFFSET : ARM_FLAT_OFFSET;
}

static int load_flat(struct arm_boot *b)
{
	return place_kernel(b, ARM_RAM + flat_offset(b->aarch32), b->at.image->size);
}

/* Is the image a 32-bit kernel, as this guest wants it? Its zImage is entered at its first byte. */
static bool is_zimage(const struct boot_image *img)
{
	u8 magic[4];

	return !boot_image_read(img, 36, magic, sizeof(magic)) &&
	       !memcmp(magic, "\x18\x28\x6f\x01", sizeof(magic));
}

static int load_auto(struct arm_boot *b)
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
	if (!(b->aarch32 && is_zimage(b->at.image)) &&
	    boot_identify(b->at.image, arch_platform.name, known, sizeof(known)))
		return boot_place_error(&b->at, -ENOEXEC, "%s", known);
	return load_flat(b);
}

/* ELF files are not: Linux's is linked to virtual addresses. */
bool arch_boots_linux(const struct vm_config *cfg, const struct boot *boot)
{
	enum fdt_kernel_format format = cfg->fdt.kernel_format;
	struct linux_image image;

	if (!boot)
		return format == FDT_KERNEL_AUTO || format == FDT_KERNEL_IMAGE;
	if (!boot->kernel.path || (format != FDT_KERNEL_AUTO && format != FDT_KERNEL_IMAGE))
		return false;
	return !linux_image_parse(&boot->kernel, IMAGE_MAGIC, &image) ||
	       (cfg->arm.aarch32 && is_zimage(&boot->kernel));
}

bool arch_image_base(const struct vm_config *cfg, const struct boot_image *img, u64 *gpa)
{
	enum fdt_kernel_format format = cfg->fdt.kernel_format;
	struct linux_image image;
	u8 magic[SELFMAG];

	*gpa = ARM_RAM + flat_offset(cfg->arm.aarch32);
	if (format == FDT_KERNEL_FLAT)
		return true;
	if (format != FDT_KERNEL_ELF && !linux_image_parse(img, IMAGE_MAGIC, &image))
		return image_base(&image, gpa);
	return format == FDT_KERNEL_AUTO &&
	       (boot_image_read(img, 0, magic, SELFMAG) || memcmp(magic, ELFMAG, SELFMAG));
}

int arm_load_kernel(struct arm_boot *b)
{
	struct linux_image image;

	if (b->format == FDT_KERNEL_FLAT)
		return load_flat(b);
	if (b->format != FDT_KERNEL_ELF && !linux_image_parse(b->at.image, IMAGE_MAGIC, &image))
		return load_image(b, &image);
	if (b->format == FDT_KERNEL_IMAGE)
		return boot_place_error(&b->at, -ENOEXEC,
					"no header of a Linux Image; omit --kernel-format");
	return load_auto(b);
}
