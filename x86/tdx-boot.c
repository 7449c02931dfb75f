/* SPDX-License-Identifier: MIT */
/*
 * A kernel as a trust domain without firmware: the list that an ordinary guest starts from, and
 * below 4 GiB the pages of include/lkvm/guest-tdx.h. All of it is added and measured; the rest of
 * RAM is for the first code to accept.
 */
#include <stdlib.h>

#include "boot.h"
#include "lkvm/guest-tdx.h"
#include "lkvm/util.h"
#include "tdx.h"

extern const u8 tdx_reset_page[BOOT_PAGE]; /* guest/x86/tdx-embed.S */

struct span {
	u64 start, end;
};

static int by_start(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* The pages that entries in RAM are in, by ascending address; they may overlap. */
static struct span *added_spans(const struct boot_plan *plan, u32 *count)
{
	struct span *spans = xcalloc(plan->nr_entries + 1, sizeof(*spans));

	*count = 0;
	for (u32 i = 0; i < plan->nr_entries; i++) {
		const struct boot_entry *e = &plan->entries[i];

		/* What wraps is refused when the list is checked. */
		if (e->rom || e->len - 1 > UINT64_MAX - BOOT_PAGE - e->gpa)
			continue;
		spans[*count].start = ALIGN_DOWN(e->gpa, BOOT_PAGE);
		spans[(*count)++].end = ALIGN_UP(e->gpa + e->len, BOOT_PAGE);
	}
	if (*count)
		qsort(spans, *count, sizeof(*spans), by_start);
	return spans;
}

static bool add_range(struct tdx_info *info, u64 start, u64 end)
{
	u64 n = le64_to_cpu(info->count);

	if (start >= end)
		return true;
	if (n == TDX_MAX_RANGES)
		return false;
	info->ranges[n].start = cpu_to_le64(start);
	info->ranges[n].end = cpu_to_le64(end);
	info->count = cpu_to_le64(n + 1);
	return true;
}

/* [start, end) without @spans. */
static bool add_gaps(struct tdx_info *info, u64 start, u64 end, const struct span *spans, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		if (spans[i].end <= start || spans[i].start >= end)
			continue;
		if (!add_range(info, start, spans[i].start))
			return false;
		start = spans[i].end;
	}
	return add_range(info, start, end);
}

bool x86_tdx_ranges(const struct boot_plan *plan, const struct guest_memory *mem,
		    struct tdx_info *info)
{
	u32 count;
	struct span *spans = added_spans(plan, &count);
	bool fit;

	info->count = 0;
	fit = add_gaps(info, 0, memory_ram_end(mem, 0), spans, count) &&
	      add_gaps(info, X86_HOLE_END, memory_ram_end(mem, X86_HOLE_END), spans, count);
	free(spans);
	return fit;
}

int x86_tdx_plan_kernel(const struct x86_boot *b)
{
	struct tdx_info info = {
		.entry = cpu_to_le64(b->entry.rip),
		.params = cpu_to_le64(b->entry.rsi),
	};
	struct boot_entry stub = {
		.gpa = TDX_MAILBOX,
		.len = TDX_STUB_SIZE,
		.kind = BOOT_STUB,
		.measured = true,
		.rom = true,
		.what = "first code of a trust domain",
	};

	_Static_assert((u64)TDX_MAILBOX + TDX_STUB_SIZE == X86_HOLE_END, "up to 4 GiB");
	if (!x86_tdx_ranges(b->plan, b->mem, &info))
		return boot_error(b, -E2BIG,
				  "it lies in too many pieces for a trust domain: at most %u gaps "
				  "in memory can be accepted",
				  TDX_MAX_RANGES);
	stub.bytes = xcalloc(1, TDX_STUB_SIZE);
	x86_identity_tables(stub.bytes + (TDX_TABLES - TDX_MAILBOX), TDX_TABLES, 0);
	memcpy(stub.bytes + (TDX_CODE - TDX_MAILBOX), tdx_reset_page, sizeof(tdx_reset_page));
	memcpy(stub.bytes + (TDX_CODE - TDX_MAILBOX), &info, sizeof(info));
	boot_plan_add_entry(b->plan, &stub);
	return 0;
}
