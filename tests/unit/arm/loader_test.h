/* SPDX-License-Identifier: MIT */
/* For unit tests of arm/: guests, and kernels for them. */
#ifndef TEST_LOADER_TEST_H
#define TEST_LOADER_TEST_H

#include "fdt_loader.h"

#include "../../../arm/boot.h"

/* As the stolen time's. */
static inline void add_device_page(struct guest *g)
{
	assert_int_equal(memory_add(&g->mem, &(struct memory_desc){ .gpa = ARM_PVTIME,
								    .size = ARM_PVTIME_SIZE,
								    .name = "dev" }),
			 0);
}

static inline void arm_guest_init(struct guest *g, u64 memory)
{
	fdt_guest_init(g, ARM_RAM, memory);
	add_device_page(g);
}

static inline struct load_result arm_load_fresh(struct guest *g, u64 memory, void *image, u64 size,
						struct boot_load how)
{
	fdt_guest_again(g, ARM_RAM, memory);
	add_device_page(g);
	boot_image_from_buffer(&g->boot.kernel, "dir/image", image, size);
	return fdt_load_guest(g, how);
}

static inline void build_image(u8 *buf, u64 text_offset, u64 image_size, u64 flags)
{
	/* add x13, x18, #0x16: "MZ"; a branch */
	static const u8 code[8] = { 0x4d, 0x5a, 0x00, 0x91, 0, 0, 0, 0x14 };

	build_image_header(buf, code, "ARM\x64",
			   &(struct linux_image){ text_offset, image_size, flags });
}

#endif
