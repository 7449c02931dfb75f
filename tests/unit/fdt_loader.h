/* SPDX-License-Identifier: MIT */
/* For unit tests of machines with a device tree: one load over plain guest memory, and what it
 * said. */
#ifndef TEST_FDT_LOADER_H
#define TEST_FDT_LOADER_H

#include "capture.h"
#include "image_builder.h"

#include "lkvm/boot-fdt.h"

struct load_result {
	int ret;
	const char *text; /* standard error */
	struct boot_load l;
};

static inline void fdt_guest_init(struct guest *g, u64 ram, u64 memory)
{
	memset(g, 0, sizeof(*g));
	memory_init(&g->mem);
	g->boot.kernel.fd = g->boot.firmware.fd = -1;
	g->boot.initrds = g->initrds;
	assert_int_equal(
		memory_add(&g->mem,
			   &(struct memory_desc){ .gpa = ram, .size = memory, .name = "ram" }),
		0);
}

static inline struct load_result fdt_load_guest(struct guest *g, struct boot_load how)
{
	struct load_result r = { .l = how };
	struct boot_plan plan;

	r.l.boot = &g->boot;
	r.l.mem = &g->mem;
	r.l.plan = &plan;
	boot_plan_init(&plan);
	capture_begin();
	r.ret = boot_load_list(&r.l);
	if (!r.ret)
		r.ret = boot_plan_check(&plan, &g->mem);
	if (!r.ret)
		r.ret = boot_plan_load(&plan, &g->mem);
	r.text = capture_end();
	boot_plan_free(&plan);
	return r;
}

/* A fresh guest with the initrds of the one before. */
static inline void fdt_guest_again(struct guest *g, u64 ram, u64 memory)
{
	u32 nr_initrds = g->boot.nr_initrds;
	struct boot_image initrds[MAX_INITRDS];

	memcpy(initrds, g->initrds, sizeof(initrds));
	guest_destroy(g);
	fdt_guest_init(g, ram, memory);
	memcpy(g->initrds, initrds, sizeof(initrds));
	g->boot.nr_initrds = nr_initrds;
}

/* Load @image as its kernel. */
static inline struct load_result fdt_load_fresh(struct guest *g, u64 memory, void *image, u64 size,
						struct boot_load how)
{
	fdt_guest_again(g, how.machine->ram, memory);
	boot_image_from_buffer(&g->boot.kernel, "dir/image", image, size);
	return fdt_load_guest(g, how);
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
static inline void assert_placed(const struct guest *g, const struct boot_load *l)
{
	const struct boot_place *at = &l->at;
	u64 fdt_max = l->machine->place->fdt_max;

	assert_true(memory_is_ram(&g->mem, at->low, at->high - at->low));
	assert_true(at->low >= l->machine->ram);
	assert_true(at->entry >= at->low && at->entry < at->high);
	assert_true(memory_is_ram(&g->mem, at->fdt, fdt_max));
	assert_int_equal(at->fdt % l->machine->place->fdt_align, 0);
	assert_false(ranges_overlap(at->low, at->high - at->low, at->fdt, fdt_max));
	if (!at->initrd_size)
		return;
	assert_true(memory_is_ram(&g->mem, at->initrd, at->initrd_size));
	assert_false(ranges_overlap(at->low, at->high - at->low, at->initrd, at->initrd_size));
	assert_false(ranges_overlap(at->fdt, fdt_max, at->initrd, at->initrd_size));
}

/* The header of an Image, of which the architecture has the beginning and the magic number; @buf
 * has at least 64 bytes. */
static inline void build_image_header(u8 *buf, const u8 code[8], const char magic[4],
				      const struct linux_image *image)
{
	memcpy(buf, code, 8);
	put_le(buf + 8, 8, image->text_offset);
	put_le(buf + 16, 8, image->size);
	put_le(buf + 24, 8, image->flags);
	memset(buf + 32, 0, 24);
	memcpy(buf + 56, magic, 4);
	put_le(buf + 60, 4, 0x40);
}

#endif
