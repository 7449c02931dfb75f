/* SPDX-License-Identifier: MIT */
/* What of a guest's RAM the list leaves out: a confidential guest's first code has to accept it. */
#include <stdlib.h>

#include "boot.h"
#include "lkvm/util.h"

struct rest {
	struct x86_span *out;
	u32 count, max;
};

static int by_start(const void *a, const void *b)
{
	const struct x86_span *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* The pages that entries in RAM are in, by ascending address; they may overlap. */
static struct x86_span *listed(const struct boot_plan *plan, u32 *count)
{
	struct x86_span *spans = xcalloc(plan->nr_entries + 1, sizeof(*spans));

	*count = 0;
	for (u32 i = 0; i < plan->nr_entries; i++) {
		const struct boot_entry *e = &plan->entries[i];

		/* What wraps is refused when the list is checked. */
		if (e->rom || e->len - 1 > UINT64_MAX - BOOT_PAGE - e->gpa)
			continue;
		spans[*count].start = ALIGN_DOWN(e->gpa, BOOT_PAGE);
		spans[(*count)++].end = ALIGN_UP(e->gpa + e->len, BOOT_PAGE);
	}
	qsort(spans, *count, sizeof(*spans), by_start);
	return spans;
}

static int add(struct rest *r, u64 start, u64 end)
{
	if (start >= end)
		return 0;
	if (r->count == r->max)
		return -E2BIG;
	r->out[r->count++] = (struct x86_span){ start, end };
	return 0;
}

/* [start, end) without @spans. */
static int add_gaps(struct rest *r, u64 start, u64 end, const struct x86_span *spans, u32 count)
{
	int ret = 0;

	for (u32 i = 0; i < count && !ret; i++) {
		if (spans[i].end <= start || spans[i].start >= end)
			continue;
		ret = add(r, start, spans[i].start);
		start = spans[i].end;
	}
	return ret ? ret : add(r, start, end);
}

int x86_ram_rest(const struct boot_plan *plan, const struct guest_memory *mem, struct x86_span *out,
		 u32 max)
{
	struct rest r = { .out = out, .max = max };
	u32 count;
	struct x86_span *spans = listed(plan, &count);
	int ret = add_gaps(&r, 0, memory_ram_end(mem, 0), spans, count);

	if (!ret)
		ret = add_gaps(&r, X86_HOLE_END, memory_ram_end(mem, X86_HOLE_END), spans, count);
	free(spans);
	return ret ? ret : (int)r.count;
}
