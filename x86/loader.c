/* SPDX-License-Identifier: MIT */
/*
 * What all image formats share: where images may lie, the command line, the initrds' place, and how
 * an image that cannot be started is called in one line.
 */
#include "loader.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

int loader_io_error(const struct x86_loader *l, int error)
{
	if (error == -ENODATA)
		return loader_error(l, error,
				    "it is shorter than its headers say, or than when it "
				    "was opened (truncated?)");
	return loader_error(l, error, "cannot load it: %s", strerror(-error));
}

int loader_check_range(const struct x86_loader *l, u64 base, u64 size)
{
	u64 low_end = memory_ram_end(l->mem, 0), end;
	char need[32], have[32];

	if (__builtin_add_overflow(base, size, &end) || end > X86_HOLE_BASE)
		return loader_error(l, -EINVAL,
				    "it wants to be at %#llx (%#llx bytes), which can never be "
				    "memory of the guest",
				    base, size);
	if (end > low_end)
		return loader_error(
			l, -ENOMEM,
			"it needs at least %s of memory and the guest has %s; give more with -m",
			format_size(ALIGN_UP(end, MiB), need, sizeof(need)),
			format_size(memory_ram_size(l->mem), have, sizeof(have)));
	if (base >= X86_HIGH_BASE || (base >= X86_FREE_BASE && end <= X86_LOADER_BASE))
		return 0;
	return loader_error(l, -EINVAL,
			    "it wants to be at %#llx-%#llx, over the PC's low memory structures; "
			    "images lie at 1 MiB or above, or in %#x-%#x",
			    base, end - 1, X86_FREE_BASE, X86_LOADER_BASE - 1);
}

bool loader_elf_holds(const struct elf_image *elf, u64 paddr)
{
	for (u32 i = 0; i < elf->nr_segments; i++)
		if (range_within(paddr, 1, elf->segments[i].paddr, elf->segments[i].memsz))
			return true;
	return false;
}

int loader_load_elf(const struct x86_loader *l, const struct elf_image *elf)
{
	int ret;

	for (u32 i = 0; i < elf->nr_segments; i++) {
		ret = loader_check_range(l, elf->segments[i].paddr, elf->segments[i].memsz);
		if (ret)
			return ret;
	}
	ret = elf_load(l->image, elf, l->mem);
	return ret ? loader_io_error(l, ret) : 0;
}

int loader_write_cmdline(const struct x86_loader *l, const char *prefix, u64 max)
{
	size_t prefix_len = strlen(prefix);
	size_t len = l->cmdline ? strlen(l->cmdline) : 0;
	int ret;

	max = MIN(max, (u64)X86_CMDLINE_MAX - 1);
	if (prefix_len > max || len > max - prefix_len)
		return loader_error(l, -E2BIG,
				    "the command line is %zu characters long, and at most %llu are "
				    "possible here; shorten it (-p)",
				    prefix_len + len, max);
	ret = memory_write(l->mem, X86_CMDLINE, prefix, prefix_len);
	if (!ret && len)
		ret = memory_write(l->mem, X86_CMDLINE + prefix_len, l->cmdline, len);
	if (!ret)
		ret = memory_zero(l->mem, X86_CMDLINE + prefix_len + len, 1);
	return ret ? loader_io_error(l, ret) : 0;
}

/* The highest page-aligned place for @size bytes in [bottom, top); 0: none. */
static u64 place_below(u64 bottom, u64 top, u64 size)
{
	if (top < size)
		return 0;
	top = ALIGN_DOWN(top - size, 4 * KiB);
	return top >= bottom ? top : 0;
}

int loader_place_initrd(const struct x86_loader *l, u64 bottom, u64 limit, bool above_4g, u64 *gpa,
			u64 *size)
{
	u64 low_top = MIN(memory_ram_end(l->mem, 0), limit);
	u64 high_top = memory_ram_end(l->mem, X86_HOLE_END);
	u64 room;
	char need[32], have[32];

	*gpa = *size = 0;
	if (boot_initrd_size(l->boot, size)) {
		err("initrd does not fit: its size is beyond all memory");
		return -EOVERFLOW;
	}
	if (!*size)
		return 0;
	bottom = MAX(bottom, (u64)X86_HIGH_BASE);
	*gpa = place_below(bottom, low_top, *size);
	if (!*gpa && above_4g)
		*gpa = place_below(X86_HOLE_END, high_top, *size);
	if (*gpa)
		return boot_initrd_load(l->boot, l->mem, *gpa);

	room = low_top > bottom ? low_top - bottom : 0;
	if (above_4g)
		room = MAX(room, high_top - X86_HOLE_END);
	err("initrd does not fit: needs %s, have %s; give more memory with -m",
	    format_size(ALIGN_UP(*size, 4 * KiB), need, sizeof(need)),
	    format_size(ALIGN_DOWN(room, 4 * KiB), have, sizeof(have)));
	return -ENOMEM;
}
