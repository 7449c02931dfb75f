/* SPDX-License-Identifier: MIT */
/*
 * What all image formats share: where images may lie, the command line, the initrds' place, and how
 * an image that cannot be started is called in one line.
 */
#include "boot.h"

#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/util.h"

int place_error(const struct x86_boot *b, int error)
{
	return boot_error(b, error,
			  "it is shorter than its headers say, or than when it was opened "
			  "(truncated?)");
}

int place_check(const struct x86_boot *b, u64 base, u64 size)
{
	u64 low_end = memory_ram_end(b->mem, 0), end;
	char need[32], have[32];

	if (__builtin_add_overflow(base, size, &end) || end > X86_HOLE_BASE)
		return boot_error(
			b, -EINVAL,
			"it must be loaded at %#llx (%#llx bytes), which can never be guest memory",
			base, size);
	if (end > low_end)
		return boot_error(
			b, -ENOMEM,
			"it needs at least %s of memory and the guest has %s; increase --mem",
			format_size(ALIGN_UP(end, MiB), need, sizeof(need)),
			format_size(memory_ram_size(b->mem), have, sizeof(have)));
	if (base >= X86_HIGH_BASE || (base >= X86_FREE_BASE && end <= X86_LOADER_BASE))
		return 0;
	return boot_error(b, -EINVAL,
			  "it must be loaded at %#llx-%#llx, over the PC's low memory structures; "
			  "images must be at 1 MiB or above, or in %#x-%#x",
			  base, end - 1, X86_FREE_BASE, X86_LOADER_BASE - 1);
}

int place_elf(const struct x86_boot *b, const struct elf_image *elf)
{
	int ret;

	for (u32 i = 0; i < elf->nr_segments; i++) {
		ret = place_check(b, elf->segments[i].paddr, elf->segments[i].memsz);
		if (ret)
			return ret;
	}
	ret = elf_plan(b->image, elf, b->what, b->plan);
	return ret ? place_error(b, ret) : 0;
}

int place_cmdline(const struct x86_boot *b, const char *prefix, u64 max)
{
	size_t prefix_len = strlen(prefix);
	size_t len = b->cmdline ? strlen(b->cmdline) : 0;
	char *text;

	max = MIN(max, (u64)X86_CMDLINE_MAX - 1);
	if (prefix_len > max || len > max - prefix_len)
		return boot_error(b, -E2BIG,
				  "the command line has %zu characters; the maximum here is %llu: "
				  "shorten --params",
				  prefix_len + len, max);
	text = xasprintf("%s%s", prefix, b->cmdline ? b->cmdline : "");
	boot_plan_add(b->plan, BOOT_TABLES, "command line", X86_CMDLINE, text,
		      prefix_len + len + 1);
	free(text);
	return 0;
}

/* The highest page-aligned place for @size bytes in [bottom, top); 0: none. */
static u64 place_below(u64 bottom, u64 top, u64 size)
{
	if (top < size)
		return 0;
	top = ALIGN_DOWN(top - size, 4 * KiB);
	return top >= bottom ? top : 0;
}

int place_initrd(const struct x86_boot *b, u64 bottom, u64 limit, bool above_4g, u64 *gpa,
		 u64 *size)
{
	u64 low_top = MIN(memory_ram_end(b->mem, 0), limit);
	u64 high_top = memory_ram_end(b->mem, X86_HOLE_END);
	u64 room;
	char need[32], have[32];
	int ret;

	*gpa = *size = 0;
	ret = boot_initrd_size(b->boot, size);
	if (ret || !*size)
		return ret;
	bottom = MAX(bottom, (u64)X86_HIGH_BASE);
	*gpa = place_below(bottom, low_top, *size);
	if (!*gpa && above_4g)
		*gpa = place_below(X86_HOLE_END, high_top, *size);
	if (*gpa) {
		boot_initrd_plan(b->boot, b->plan, *gpa);
		return 0;
	}

	room = low_top > bottom ? low_top - bottom : 0;
	if (above_4g)
		room = MAX(room, high_top - X86_HOLE_END);
	err("--initrd: does not fit: needs %s, has %s; increase --mem",
	    format_size(ALIGN_UP(*size, 4 * KiB), need, sizeof(need)),
	    format_size(ALIGN_DOWN(room, 4 * KiB), have, sizeof(have)));
	return -ENOMEM;
}
