/* SPDX-License-Identifier: MIT */
/*
 * Raw firmware: a ROM that ends right below 4 GiB, where the CPU starts at reset (Intel SDM volume
 * 3, 10.1.4: first instruction at 0xfffffff0), and its end copied below 1 MiB, as a PC's chipset
 * shadows it.
 */
#include "loader.h"

#define SHADOW_MAX (128 * KiB)

/* The ROM is made once: no guest can write to it, so a reset finds it as it was. */
static int map_rom(const struct x86_loader *l, u64 base, u64 size)
{
	const struct memory_region *rom;
	int ret;

	if (memory_find(l->mem, base))
		return 0;
	ret = memory_add(l->mem, &(struct memory_desc){
					 .gpa = base,
					 .size = size,
					 .kind = MEM_ROM,
					 .name = "firmware",
				 });
	if (ret)
		return loader_error(l, ret, "cannot map it at %#llx: %s", base, strerror(-ret));
	rom = memory_find(l->mem, base);
	ret = rom ? boot_image_read(l->image, 0, rom->hva, size) : -EFAULT;
	return ret ? loader_io_error(l, ret) : 0;
}

int firmware_load(struct x86_loader *l)
{
	u64 size = l->image->size, shadow = MIN(size, SHADOW_MAX);
	int ret;

	if (size < X86_ROM_MIN || size > X86_ROM_MAX || !IS_ALIGNED(size, 4 * KiB))
		return loader_error(l, -EINVAL,
				    "raw firmware has 64K to 16M in steps of 4K, this file %llu "
				    "bytes",
				    size);
	ret = map_rom(l, X86_HOLE_END - size, size);
	if (ret)
		return ret;
	ret = boot_image_load(l->image, size - shadow, l->mem, X86_HIGH_BASE - shadow, shadow);
	if (ret)
		return loader_io_error(l, ret);
	l->entry = (struct x86_entry){ .mode = X86_ENTRY_RESET };
	return 0;
}
