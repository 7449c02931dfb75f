/* SPDX-License-Identifier: MIT */
/*
 * Loading a kernel (x86/load.c and what it calls) into guest memory that is mapped once and given
 * back to the host between runs: sizes of real guests cost nothing.
 */
#ifndef LKVM_TESTS_FUZZ_LOAD_H
#define LKVM_TESTS_FUZZ_LOAD_H

#include <sys/mman.h>

#include "../../x86/loader.h"
#include "fuzz.h"

#define FL_RSDP	   0xe0010u
#define FL_INITRDS 3

struct fl {
	struct guest_memory mem;
	struct boot boot;
	struct boot_image initrds[FL_INITRDS];
	struct x86_loader l;
};

static inline u8 *fl_map(u64 size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	fz_check(p != MAP_FAILED);
	return p;
}

/* Guest sizes: too small, small, usual, and with a piece above 4 GiB. */
static inline void fl_begin(struct fl *g, u8 how)
{
	static const u64 sizes[] = { 512 * KiB, MiB,	   2 * MiB,	  16 * MiB,
				     64 * MiB,	256 * MiB, X86_HOLE_BASE, X86_HOLE_BASE };
	static u8 *low, *high;

	if (!low) {
		low = fl_map(X86_HOLE_BASE);
		high = fl_map(64 * MiB);
	}
	madvise(low, X86_HOLE_BASE, MADV_DONTNEED);
	madvise(high, 64 * MiB, MADV_DONTNEED);
	memset(g, 0, sizeof(*g));
	memory_init(&g->mem);
	g->boot.kernel.fd = g->boot.firmware.fd = -1;
	g->boot.initrds = g->initrds;
	fz_check(!memory_add_borrowed(&g->mem, 0, sizes[how % 8], low, 0, "low"));
	if (how % 8 == 7)
		fz_check(!memory_add_borrowed(&g->mem, 4 * GiB, 64 * MiB, high, 0, "high"));
}

static inline void fl_end(struct fl *g)
{
	memory_destroy(&g->mem);
}

static inline void fl_add_initrd(struct fl *g, const u8 *buf, size_t len)
{
	if (g->boot.nr_initrds < FL_INITRDS && len)
		boot_image_from_buffer(&g->initrds[g->boot.nr_initrds++], "dir/initrd", (u8 *)buf,
				       len);
}

static inline int fl_load(struct fl *g, enum x86_kernel_format format, const char *cmdline)
{
	int ret;

	g->l = (struct x86_loader){ .boot = &g->boot,
				    .mem = &g->mem,
				    .cmdline = cmdline,
				    .format = format,
				    .rsdp = FL_RSDP };
	ret = x86_load(&g->l);
	/* Whatever the image says, the guest starts in its own memory, not in what we wrote. */
	if (!ret && g->l.entry.mode != X86_ENTRY_RESET) {
		fz_check(memory_is_ram(&g->mem, g->l.entry.rip, 1));
		fz_check(g->l.entry.rip < X86_LOADER_BASE || g->l.entry.rip >= X86_HIGH_BASE);
	}
	return ret;
}

/*
 * One input: a byte of guest size (bits 0-2), format (3-5), initrd (6) and firmware (7), a byte of
 * 4 KiB blocks that follow the image, then the image.
 */
static inline int fl_one(const u8 *data, size_t size, const enum x86_kernel_format formats[8])
{
	struct fz f = fz_begin(data, size);
	u8 how = fz_u8(&f), pages = fz_u8(&f) % 32;
	size_t len;
	const u8 *bytes = fz_bytes(&f, MiB, &len);
	size_t total = len + pages * 4 * KiB;
	u8 *image = malloc(total + !total);
	struct fl g;

	fz_check(image);
	/* boot_image_open refuses empty files. */
	if (!total)
		goto out;
	memcpy(image, bytes, len);
	memset(image + len, 0, total - len);
	if (pages && how & 0x80) /* raw firmware comes in whole pages */
		total = ALIGN_DOWN(total, 4 * KiB);
	fl_begin(&g, how);
	boot_image_from_buffer(how & 0x80 ? &g.boot.firmware : &g.boot.kernel, "dir/image", image,
			       total);
	if (how & 0x40)
		fl_add_initrd(&g, image, MIN(total, (size_t)5));
	/* Twice: a reset loads it again. */
	if (!fl_load(&g, formats[how >> 3 & 7], how & 0x40 ? "one two" : NULL))
		fz_check(!fl_load(&g, formats[how >> 3 & 7], NULL));
	fl_end(&g);
out:
	free(image);
	return 0;
}

#endif
