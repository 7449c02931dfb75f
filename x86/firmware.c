/* SPDX-License-Identifier: MIT */
/*
 * Raw firmware: a ROM that ends right below 4 GiB, where the CPU starts at reset (Intel SDM volume
 * 3, 10.1.4: first instruction at 0xfffffff0), and its end copied below 1 MiB, as a PC's chipset
 * shadows it.
 */
#include "boot.h"
#include "snp.h"

#define SHADOW_MAX (128 * KiB)
#define RESET_LEN  16ULL /* from the reset vector to the end */

int firmware_load(struct x86_boot *b)
{
	u64 size = b->image->size, shadow = MIN(size, SHADOW_MAX);
	u64 min = b->snp ? 4 * KiB : X86_ROM_MIN;
	int ret;

	if (bzimage_probe(b->image))
		return boot_error(b, -ENOEXEC, "a Linux kernel; pass kernels with -k");
	if (size >= RESET_LEN && size <= X86_ROM_MAX) {
		ret = boot_firmware_check(b->image, size - RESET_LEN, "at the reset vector");
		if (ret)
			return ret;
	}
	if (size < min || size > X86_ROM_MAX || !IS_ALIGNED(size, 4 * KiB))
		return boot_error(b, -EINVAL,
				  "raw firmware must be %lluK to 16M and a multiple of 4K; this "
				  "file has %llu bytes",
				  min / KiB, size);
	b->entry = (struct x86_entry){ .mode = X86_ENTRY_RESET };
	ret = boot_plan_add_rom(b->plan, b->what, X86_HOLE_END - size, b->image);
	/* Below 1 MiB is memory like any other there, which the firmware accepts itself. */
	if (!ret && b->snp)
		return x86_snp_firmware_plan(b);
	if (!ret)
		ret = boot_plan_add_image(b->plan, BOOT_FIRMWARE, b->what, X86_HIGH_BASE - shadow,
					  b->image, size - shadow, shadow);
	if (ret)
		return place_error(b, ret);
	return 0;
}
