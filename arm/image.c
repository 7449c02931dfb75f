/* SPDX-License-Identifier: MIT */
/*
 * Kernels: Linux's Image (Documentation/arch/arm64/booting.rst, 4), ELF files with physical
 * addresses, and raw images, which are entered at their first byte.
 */
#include <elf.h>

#include "boot.h"
#include "lkvm/arch.h"
#include "lkvm/log.h"

/* The header: two instructions, then these; little-endian whatever the kernel is. */
#define HDR_TEXT_OFFSET 8
#define HDR_IMAGE_SIZE	16
#define HDR_FLAGS	24
#define HDR_MAGIC	56
#define HDR_SIZE	64
#define IMAGE_MAGIC	"ARM\x64"
/* Before Linux 3.17 there is no size, and the offset is this one. */
#define OLD_TEXT_OFFSET 0x80000

int arm_image_parse(const struct boot_image *img, struct arm_image *out)
{
	u8 hdr[HDR_SIZE];

	if (boot_image_read(img, 0, hdr, sizeof(hdr)) || memcmp(hdr + HDR_MAGIC, IMAGE_MAGIC, 4))
		return -ENOEXEC;
	out->text_offset = get_le(hdr + HDR_TEXT_OFFSET, 8);
	out->size = get_le(hdr + HDR_IMAGE_SIZE, 8);
	out->flags = get_le(hdr + HDR_FLAGS, 8);
	if (!out->size) {
		out->text_offset = OLD_TEXT_OFFSET;
		out->flags = 0;
	}
	/* What follows the kernel proper (a signature) is loaded too. */
	out->size = MAX(out->size, img->size);
	return 0;
}

static int load_image(struct arm_boot *b, const struct arm_image *image)
{
	u64 base;

	if (b->aarch32)
		return boot_error(b, -ENOEXEC,
				  "a 64-bit kernel, and --aarch32 starts the guest in 32-bit "
				  "mode; leave out --aarch32");
	if (image->flags & ARM_IMAGE_BIG_ENDIAN)
		return boot_error(b, -ENOEXEC,
				  "a big-endian kernel; lkvm starts only little-endian ones "
				  "(Linux: CONFIG_CPU_LITTLE_ENDIAN)");
	if (__builtin_add_overflow(ARM_RAM, image->text_offset, &base))
		return boot_error(b, -ENOEXEC,
				  "damaged: its header wants it %#llx bytes into memory",
				  image->text_offset);
	return arm_place_raw(b, base, image->size);
}

static int load_elf(struct arm_boot *b, const struct elf_image *elf)
{
	u16 machine = b->aarch32 ? EM_ARM : EM_AARCH64;
	int ret;

	if (elf->machine != machine)
		return boot_error(b, -ENOEXEC,
				  "an ELF file for %s, and the guest is %s; give a kernel "
				  "built for %s",
				  elf_machine_name(elf->machine), elf_machine_name(machine),
				  elf_machine_name(machine));
	if (!elf_holds(elf, elf->entry_paddr))
		return boot_error(b, -ENOEXEC, "its entry point %#llx is in none of its segments",
				  elf->entry);
	for (u32 i = 0; i < elf->nr_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (s->memsz && !memory_is_ram(b->mem, s->paddr, s->memsz) && s->paddr < ARM_RAM)
			return boot_error(b, -ENOEXEC,
					  "an ELF file for address %#llx, and RAM begins at "
					  "%#llx; of Linux, give Image instead of vmlinux",
					  s->paddr, ARM_RAM);
		ret = arm_place_check(b, s->paddr, s->memsz);
		if (ret)
			return ret;
	}
	ret = elf_plan(b->image, elf, b->what, b->plan);
	if (ret)
		return boot_error(b, ret, "it is shorter than its headers say (truncated?)");
	b->entry = elf->entry_paddr;
	b->low = elf->low;
	b->high = elf->high;
	return 0;
}

static int load_flat(struct arm_boot *b)
{
	u64 offset = b->aarch32 ? ARM_AARCH32_OFFSET : ARM_FLAT_OFFSET;

	return arm_place_raw(b, ARM_RAM + offset, b->image->size);
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
	int ret = elf_parse(b->image, &elf, &why);

	if (!ret)
		return load_elf(b, &elf);
	if (ret == -EINVAL)
		return boot_error(b, -ENOEXEC, "a damaged or foreign ELF file: %s", why);
	if (b->format == KERNEL_ELF)
		return boot_error(b, -ENOEXEC, "not an ELF file; leave out --kernel-format");
	if (!(b->aarch32 && is_zimage(b->image)) &&
	    boot_identify(b->image, arch_platform.name, known, sizeof(known)))
		return boot_error(b, -ENOEXEC, "%s", known);
	return load_flat(b);
}

int arm_load_kernel(struct arm_boot *b)
{
	struct arm_image image;

	if (b->format == KERNEL_FLAT)
		return load_flat(b);
	if (b->format != KERNEL_ELF && !arm_image_parse(b->image, &image))
		return load_image(b, &image);
	if (b->format == KERNEL_IMAGE)
		return boot_error(b, -ENOEXEC,
				  "no header of a Linux Image; leave out --kernel-format");
	return load_auto(b);
}
