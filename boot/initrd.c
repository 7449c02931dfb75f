/* SPDX-License-Identifier: MIT */
/*
 * Initial RAM disks: several are laid one after the other, as Linux unpacks them
 * (Documentation/driver-api/early-userspace/buffer-format.rst: archives start at 4-byte
 * boundaries, zeroes lie in between).
 */
#include "lkvm/boot.h"
#include "lkvm/log.h"
#include "lkvm/plan.h"

#define INITRD_ALIGN 4ULL

int boot_initrd_size(const struct boot *boot, u64 *size)
{
	u64 sum = 0;

	for (u32 i = 0; i < boot->nr_initrds; i++) {
		const struct boot_image *img = &boot->initrds[i];

		if (img->words) {
			err("--initrd %s: words after the file ('%s') are for modules of a "
			    "multiboot or PVH image; omit them",
			    img->path, img->words);
			return -EINVAL;
		}
		if (img->size > UINT64_MAX - (INITRD_ALIGN - 1) ||
		    __builtin_add_overflow(sum, ALIGN_UP(img->size, INITRD_ALIGN), &sum)) {
			err("--initrd: does not fit: larger than any memory");
			return -EOVERFLOW;
		}
	}
	*size = sum;
	return 0;
}

void boot_check_initrds(const struct boot *boot)
{
	char text[160];

	for (u32 i = 0; i < boot->nr_initrds; i++)
		if (boot_identify_initrd(&boot->initrds[i], text, sizeof(text)))
			warn("--initrd %s: %s, which Linux does not unpack; use a cpio archive",
			     boot->initrds[i].path, text);
}

void boot_initrd_plan(const struct boot *boot, struct boot_plan *plan, u64 gpa)
{
	for (u32 i = 0; i < boot->nr_initrds; i++) {
		const struct boot_image *img = &boot->initrds[i];
		u64 padded = ALIGN_UP(img->size, INITRD_ALIGN);

		/* The whole image: it reaches so far. */
		(void)!boot_plan_add_image(plan, BOOT_INITRD, "initrd", gpa, img, 0, img->size);
		boot_plan_add_zero(plan, "initrd", gpa + img->size, padded - img->size);
		gpa += padded;
	}
}
