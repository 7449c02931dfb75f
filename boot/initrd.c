/* SPDX-License-Identifier: MIT */
/*
 * Initial RAM disks: several are laid one behind the other, as Linux unpacks them
 * (Documentation/driver-api/early-userspace/buffer-format.rst: archives start at 4-byte
 * boundaries, zeroes lie in between).
 */
#include "lkvm/boot.h"
#include "lkvm/log.h"

#define INITRD_ALIGN 4ULL

int boot_initrd_size(const struct boot *boot, u64 *size)
{
	u64 sum = 0;

	for (u32 i = 0; i < boot->nr_initrds; i++) {
		u64 len = boot->initrds[i].size;

		if (len > UINT64_MAX - (INITRD_ALIGN - 1))
			return -EOVERFLOW;
		if (__builtin_add_overflow(sum, ALIGN_UP(len, INITRD_ALIGN), &sum))
			return -EOVERFLOW;
	}
	*size = sum;
	return 0;
}

int boot_initrd_load(const struct boot *boot, struct guest_memory *mem, u64 gpa)
{
	for (u32 i = 0; i < boot->nr_initrds; i++) {
		const struct boot_image *img = &boot->initrds[i];
		u64 pad = ALIGN_UP(img->size, INITRD_ALIGN) - img->size;
		int ret = boot_image_load(img, 0, mem, gpa, img->size);

		if (!ret && pad)
			ret = memory_zero(mem, gpa + img->size, pad);
		if (ret == -ENODATA) {
			err("initrd '%s': it is shorter than when it was opened; do not change it "
			    "while the VM runs",
			    img->path);
			return ret;
		}
		if (ret) {
			err("initrd '%s': cannot load %llu bytes at %#llx: %s", img->path,
			    img->size, gpa, strerror(-ret));
			return ret;
		}
		gpa += img->size + pad;
	}
	return 0;
}
