/* SPDX-License-Identifier: MIT */
/*
 * Kernels: Linux's Image (Documentation/arch/arm64/booting.rst, 4), ELF files with physical
 * addresses, and raw images, which are entered at their first byte.
 */
#include <elf.h>

#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "loader.h"

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

static int load_image(struct arm_loader *l, const struct arm_image *image)
{
	u64 base;

	if (l->aarch32)
		return loader_error(l, -ENOEXEC,
				    "a 64-bit kernel, and --aarch32 starts the guest in 32-bit "
				    "mode; leave out --aarch32");
	if (image->flags & ARM_IMAGE_BIG_ENDIAN)
		return loader_error(l, -ENOEXEC,
				    "a big-endian kernel; lkvm starts only little-endian ones "
				    "(Linux: CONFIG_CPU_LITTLE_ENDIAN)");
	if (__builtin_add_overflow(ARM_RAM, image->text_offset, &base))
		return loader_error(l, -ENOEXEC,
				    "damaged: its header wants it %#llx bytes into memory",
				    image->text_offset);
	return arm_loader_raw(l, base, image->size);
}

static bool elf_holds(const struct elf_image *elf, u64 paddr)
{
	for (u32 i = 0; i < elf->nr_segments; i++)
		if (range_within(paddr, 1, elf->segments[i].paddr, elf->segments[i].memsz))
			return true;
	return false;
}

static int load_elf(struct arm_loader *l, const struct elf_image *elf)
{
	u16 machine = l->aarch32 ? EM_ARM : EM_AARCH64;
	int ret;

	if (elf->machine != machine)
		return loader_error(l, -ENOEXEC,
				    "an ELF file for %s, and the guest is %s; give a kernel "
				    "built for %s",
				    elf_machine_name(elf->machine), elf_machine_name(machine),
				    elf_machine_name(machine));
	if (!elf_holds(elf, elf->entry_paddr))
		return loader_error(l, -ENOEXEC, "its entry point %#llx is in none of its segments",
				    elf->entry);
	for (u32 i = 0; i < elf->nr_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (s->memsz && !memory_is_ram(l->mem, s->paddr, s->memsz) && s->paddr < ARM_RAM)
			return loader_error(l, -ENOEXEC,
					    "an ELF file for address %#llx, and RAM begins at "
					    "%#llx; of Linux, give Image instead of vmlinux",
					    s->paddr, ARM_RAM);
		ret = arm_loader_check(l, s->paddr, s->memsz);
		if (ret)
			return ret;
	}
	ret = elf_load(l->image, elf, l->mem);
	if (ret)
		return loader_error(l, ret, "cannot load it: %s", strerror(-ret));
	l->entry = elf->entry_paddr;
	l->low = elf->low;
	l->high = elf->high;
	return 0;
}

static int load_flat(struct arm_loader *l)
{
	u64 offset = l->aarch32 ? ARM_AARCH32_OFFSET : ARM_FLAT_OFFSET;

	return arm_loader_raw(l, ARM_RAM + offset, l->image->size);
}

/* Is the image a 32-bit kernel, as this guest wants it? Its zImage is entered at its first byte. */
static bool is_zimage(const struct boot_image *img)
{
	u8 magic[4];

	return !boot_image_read(img, 36, magic, sizeof(magic)) &&
	       !memcmp(magic, "\x18\x28\x6f\x01", sizeof(magic));
}

static int load_auto(struct arm_loader *l)
{
	struct elf_image elf;
	const char *why;
	char known[160];
	int ret = elf_parse(l->image, &elf, &why);

	if (!ret)
		return load_elf(l, &elf);
	if (ret == -EINVAL)
		return loader_error(l, -ENOEXEC, "a damaged or foreign ELF file: %s", why);
	if (l->format == FDT_KERNEL_ELF)
		return loader_error(l, -ENOEXEC, "not an ELF file; leave out --kernel-format");
	if (!(l->aarch32 && is_zimage(l->image)) &&
	    boot_identify(l->image, arch_platform.name, known, sizeof(known)))
		return loader_error(l, -ENOEXEC, "%s", known);
	return load_flat(l);
}

int arm_load_kernel(struct arm_loader *l)
{
	struct arm_image image;

	if (l->format == FDT_KERNEL_FLAT)
		return load_flat(l);
	if (l->format != FDT_KERNEL_ELF && !arm_image_parse(l->image, &image))
		return load_image(l, &image);
	if (l->format == FDT_KERNEL_IMAGE)
		return loader_error(l, -ENOEXEC,
				    "no header of a Linux Image; leave out --kernel-format");
	return load_auto(l);
}
