/* SPDX-License-Identifier: MIT */
/* For unit tests of page tables: memory that holds them, and what a walk finds there. */
#ifndef TEST_PAGE_RIG_H
#define TEST_PAGE_RIG_H

#include "unit.h"

#include <stdlib.h>

#include "lkvm/memory.h"
#include "lkvm/page-walk.h"
#include "lkvm/util.h"

static struct guest_memory mem;
static struct page_maps maps;

/* RAM of @size bytes at @ram. */
static inline int page_rig_begin(u64 ram, u64 size)
{
	memory_init(&mem);
	maps = (struct page_maps){ 0 };
	return memory_add(&mem, &(struct memory_desc){ .gpa = ram, .size = size, .name = "ram" });
}

static inline int page_rig_end(void **state)
{
	free(maps.list);
	memory_destroy(&mem);
	return 0;
}

static inline void put(u64 table, u32 index, u64 entry)
{
	const __le64 le = cpu_to_le64(entry);

	assert_int_equal(memory_write(&mem, table + index * 8ULL, &le, sizeof(le)), 0);
}

static inline void is_map(u32 i, u64 va, u64 gpa, u64 len)
{
	assert_true(i < maps.nr);
	assert_int_equal(maps.list[i].va, va);
	assert_int_equal(maps.list[i].gpa, gpa);
	assert_int_equal(maps.list[i].len, len);
}

/* Whatever the tables hold, it ends. */
static inline void walk_hostile(const struct page_tables *t)
{
	struct page_maps found = { 0 };

	page_walk(t, &mem, &found);
	assert_in_range(found.nr, 0, PAGE_MAPS_MAX);
	free(found.list);
}

/* The same numbers in every run; *@x is not 0. */
static inline u64 next_number(u64 *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

#endif
