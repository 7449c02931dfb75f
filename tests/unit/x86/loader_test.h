/* SPDX-License-Identifier: MIT */
/* For unit tests of x86/: one load over plain guest memory, and what it said. */
#ifndef TEST_LOADER_TEST_H
#define TEST_LOADER_TEST_H

#include "capture.h"
#include "image_builder.h"

#include "../../../x86/loader.h"

#define TEST_RSDP 0xe0010U

struct load_result {
	int ret;
	const char *text; /* standard error */
	struct x86_entry entry;
};

static inline struct load_result load_guest(struct guest *g, enum x86_kernel_format format,
					    const char *cmdline)
{
	struct x86_loader l = { .boot = &g->boot,
				.mem = &g->mem,
				.cmdline = cmdline,
				.format = format,
				.rsdp = TEST_RSDP };
	struct load_result r;

	capture_begin();
	r.ret = x86_load(&l);
	r.text = capture_end();
	r.entry = l.entry;
	return r;
}

/* Load @image as the kernel of a fresh guest. */
static inline struct load_result load_fresh(struct guest *g, u64 memory, void *image, u64 size,
					    enum x86_kernel_format format)
{
	u32 nr_initrds = g->boot.nr_initrds;
	struct boot_image initrds[MAX_INITRDS];

	memcpy(initrds, g->initrds, sizeof(initrds));
	guest_destroy(g);
	guest_init(g, memory);
	memcpy(g->initrds, initrds, sizeof(initrds));
	g->boot.nr_initrds = nr_initrds;
	boot_image_from_buffer(&g->boot.kernel, "dir/image", image, size);
	return load_guest(g, format, "one two");
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

/* The entry of a load that succeeded must be inside the guest, whatever the image. */
static inline void assert_entry_sane(const struct guest *g, struct load_result r)
{
	if (r.ret)
		return;
	assert_true(memory_is_ram(&g->mem, r.entry.rip, 1));
	assert_true(r.entry.rip < X86_LOADER_BASE || r.entry.rip >= X86_HIGH_BASE);
}

#endif
