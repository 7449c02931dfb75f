/* SPDX-License-Identifier: MIT */
/* For unit tests of arm/: one load over plain guest memory, and what it said. */
#ifndef TEST_LOADER_TEST_H
#define TEST_LOADER_TEST_H

#include "capture.h"
#include "image_builder.h"

#include "../../../arm/boot.h"

struct load_result {
	int ret;
	const char *text; /* standard error */
	struct arm_boot l;
};

static inline void arm_guest_init(struct guest *g, u64 memory)
{
	memset(g, 0, sizeof(*g));
	memory_init(&g->mem);
	g->boot.kernel.fd = g->boot.firmware.fd = -1;
	g->boot.initrds = g->initrds;
	assert_int_equal(
		memory_add(&g->mem,
			   &(struct memory_desc){ .gpa = ARM_RAM, .size = memory, .name = "ram" }),
		0);
	/* A page of a device, as the stolen time's. */
	assert_int_equal(memory_add(&g->mem, &(struct memory_desc){ .gpa = ARM_PVTIME,
								    .size = ARM_PVTIME_SIZE,
								    .name = "dev" }),
			 0);
}

static inline struct load_result arm_load_guest(struct guest *g, struct arm_boot how)
{
	struct load_result r = { .l = how };
	struct boot_plan plan;

	r.l.boot = &g->boot;
	r.l.mem = &g->mem;
	r.l.plan = &plan;
	boot_plan_init(&plan);
	capture_begin();
	r.ret = arm_boot_list(&r.l);
	if (!r.ret)
		r.ret = boot_plan_check(&plan, &g->mem);
	if (!r.ret)
		r.ret = boot_plan_load(&plan, &g->mem);
	r.text = capture_end();
	boot_plan_free(&plan);
	return r;
}

/* Load @image as the kernel of a fresh guest with the initrds of the one before. */
static inline struct load_result arm_load_fresh(struct guest *g, u64 memory, void *image, u64 size,
						struct arm_boot how)
{
	u32 nr_initrds = g->boot.nr_initrds;
	struct boot_image initrds[MAX_INITRDS];

	memcpy(initrds, g->initrds, sizeof(initrds));
	guest_destroy(g);
	arm_guest_init(g, memory);
	memcpy(g->initrds, initrds, sizeof(initrds));
	g->boot.nr_initrds = nr_initrds;
	boot_image_from_buffer(&g->boot.kernel, "dir/image", image, size);
	return arm_load_guest(g, how);
}

static inline void assert_loads(struct load_result r)
{
	assert_string_equal(r.text, "");
	assert_int_equal(r.ret, 0);
}

static inline void assert_refused(struct load_result r, int error, const char *part)
{
	assert_int_equal(r.ret, error);
	assert_one_line(r.text);
	assert_contains(r.text, part);
}

/* All that a load that succeeded placed is RAM, and nothing lies over another. */
static inline void assert_placed(const struct guest *g, const struct arm_boot *l)
{
	assert_true(memory_is_ram(&g->mem, l->at.low, l->at.high - l->at.low));
	assert_true(l->at.low >= ARM_RAM);
	assert_true(l->at.entry >= l->at.low && l->at.entry < l->at.high);
	assert_true(memory_is_ram(&g->mem, l->at.fdt, ARM_FDT_MAX));
	assert_int_equal(l->at.fdt % (2 * MiB), 0);
	assert_false(ranges_overlap(l->at.low, l->at.high - l->at.low, l->at.fdt, ARM_FDT_MAX));
	if (!l->at.initrd_size)
		return;
	assert_true(memory_is_ram(&g->mem, l->at.initrd, l->at.initrd_size));
	assert_false(
		ranges_overlap(l->at.low, l->at.high - l->at.low, l->at.initrd, l->at.initrd_size));
	assert_false(ranges_overlap(l->at.fdt, ARM_FDT_MAX, l->at.initrd, l->at.initrd_size));
}

/* The header of an Image; @buf has at least 64 bytes. */
static inline void build_image(u8 *buf, u64 text_offset, u64 image_size, u64 flags)
{
	put_le(buf, 4, 0x91005a4d); /* add x13, x18, #0x16: "MZ" */
	put_le(buf + 4, 4, 0x14000000);
	put_le(buf + 8, 8, text_offset);
	put_le(buf + 16, 8, image_size);
	put_le(buf + 24, 8, flags);
	memset(buf + 32, 0, 24);
	memcpy(buf + 56, "ARM\x64", 4);
	put_le(buf + 60, 4, 0x40);
}

#endif
