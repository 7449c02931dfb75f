/* SPDX-License-Identifier: MIT */
/* Following a guest's page tables from one end to the other (see include/lkvm/page-walk.h). */
#include "lkvm/page-walk.h"

#include <assert.h>
#include <stdlib.h>

#include "lkvm/memory.h"
#include "lkvm/util.h"

#define PIECE 512U /* entries that are read at once */

struct walk {
	const struct page_tables *t;
	const struct guest_memory *mem;
	struct page_maps *maps;
	u32 tables; /* that were read */
	u64 least;  /* shorter pieces are left out */
};

/* All are complete; only the larger ones stay. */
static void thin_out(struct walk *w)
{
	struct page_maps *maps = w->maps;
	u32 kept = 0;

	w->least = w->least ? 2 * w->least : 2 * BIT_ULL(w->t->page_shift);
	for (u32 i = 0; i < maps->nr; i++)
		if (maps->list[i].len >= w->least)
			maps->list[kept++] = maps->list[i];
	maps->left_out += maps->nr - kept;
	maps->nr = kept;
}

static void add(struct walk *w, u64 va, u64 gpa, u64 len)
{
	struct page_maps *maps = w->maps;
	struct page_map *last;

	assert(maps->list);
	last = maps->nr ? &maps->list[maps->nr - 1] : NULL;
	if (last && last->va + last->len == va && last->gpa + last->len == gpa) {
		last->len += len;
		return;
	}
	/* That one grows no more. */
	if (last && last->len < w->least) {
		maps->left_out++;
		maps->nr--;
	}
	while (maps->nr == PAGE_MAPS_MAX)
		thin_out(w);
	maps->list[maps->nr++] = (struct page_map){ .va = va, .gpa = gpa, .len = len };
}

/* What of it is memory: a direct map has holes, and devices, in its large pages. */
static void add_memory(struct walk *w, u64 va, u64 gpa, u64 len)
{
	const struct memory_region *r;

	memory_for_each(w->mem, r) {
		u64 first = MAX(gpa, r->gpa), last = MIN(gpa + (len - 1), r->gpa + (r->size - 1));

		if (r->kind != MEM_DEVICE && first <= last)
			add(w, va + (first - gpa), first, last - first + 1);
	}
}

/* The table at @gpa, of @nr entries for 2^shift bytes each, from @va on. */
static void walk_table(struct walk *w, u64 gpa, u32 nr, u32 shift, u64 va)
{
	u64 entries[PIECE], before = 0, addr;
	u32 page_shift = w->t->page_shift, stride = page_shift - 3;

	if (++w->tables > PAGE_TABLES_MAX) {
		w->maps->cut = true;
		return;
	}
	for (u32 i = 0; i < nr && !w->maps->cut; i++, va += BIT_ULL(shift)) {
		u32 n = i % PIECE;

		if (!n && memory_peek(w->mem, gpa + i * 8ULL, entries, MIN(nr - i, PIECE) * 8ULL))
			return;
		switch (w->t->read(w->t, le64_to_cpu(entries[n]), va, shift, &addr)) {
		case PAGE_ENTRY_LEAF:
			add_memory(w, va, addr & ~(BIT_ULL(shift) - 1), BIT_ULL(shift));
			break;
		case PAGE_ENTRY_TABLE:
			/* One table again and again is how whole areas are made of zeroes (KASAN);
			 * and it could go on for ever. */
			if (shift > page_shift && entries[n] != before)
				walk_table(w, addr, BIT(stride), shift - stride, va);
			break;
		case PAGE_ENTRY_NONE:
			break;
		}
		before = entries[n];
	}
}

void page_walk(const struct page_tables *t, const struct guest_memory *mem, struct page_maps *maps)
{
	struct walk w = { .t = t, .mem = mem, .maps = maps };
	u32 stride = t->page_shift - 3, shift = t->page_shift;

	while (t->bits - shift > stride)
		shift += stride;
	maps->list = xcalloc(PAGE_MAPS_MAX, sizeof(*maps->list));
	walk_table(&w, t->root, BIT(t->bits - shift), shift, t->base);
}
