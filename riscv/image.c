/* SPDX-License-Identifier: MIT */
/* Kernels: Linux's Image (Documentation/arch/riscv/boot-image-header.rst), and raw images, which are
 * entered at their first byte. */
#include "boot.h"
#include "lkvm/arch.h"
#include "lkvm/log.h"

#define IMAGE_MAGIC "RSC\x05"

static int place_kernel(struct riscv_boot *b, u64 base, u64 size)
{
	return boot_place_raw(&b->at, b->plan, BOOT_KERNEL, base, size);
}

static bool image_base(const struct linux_image *image, u64 *base)
{
	return !__builtin_add_overflow(RISCV_RAM, image->text_offset, base);
}

bool arch_boots_linux(const struct vm_config *cfg, const struct boot *boot)
{
	enum fdt_kernel_format format = cfg->fdt.kernel_format;
	struct linux_image image;

	if (!boot)
		return format == FDT_KERNEL_AUTO || format == FDT_KERNEL_IMAGE;
	if (!boot->kernel.path || (format != FDT_KERNEL_AUTO && format != FDT_KERNEL_IMAGE))
		return false;
	return !linux_image_parse(&boot->kernel, IMAGE_MAGIC, &image);
}

bool arch_image_base(const struct vm_config *cfg, const struct boot_image *img, u64 *gpa)
{
	struct linux_image image;

	*gpa = RISCV_RAM + RISCV_FLAT_OFFSET;
	if (cfg->fdt.kernel_format != FDT_KERNEL_FLAT &&
	    !linux_image_parse(img, IMAGE_MAGIC, &image))
		return image_base(&image, gpa);
	return true;
}

int riscv_load_kernel(struct riscv_boot *b)
{
	struct linux_image image;
	u64 base;

	if (b->format != FDT_KERNEL_FLAT && !linux_image_parse(b->at.image, IMAGE_MAGIC, &image) &&
	    image_base(&image, &base))
		return place_kernel(b, base, MAX(image.size, b->at.image->size));
	return place_kernel(b, RISCV_RAM + RISCV_FLAT_OFFSET, b->at.image->size);
}
