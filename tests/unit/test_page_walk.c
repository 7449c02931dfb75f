/* SPDX-License-Identifier: MIT */
/* page-walk.c over tables that the test makes: what is mapped, what is not memory, and tables that
 * never end. */
#include "page_rig.h"

#define RAM  0x40000000ULL
#define SIZE (16 * MiB)
#define BASE 0xffff800000000000ULL

/* Bit 0: present; bit 1: memory, of any size. */
static enum page_entry read_entry(const struct page_tables *t, u64 entry, u64 va, u32 shift,
				  u64 *addr)
{
	*addr = entry & ~0xfffULL;
	if (!(entry & 1))
		return PAGE_ENTRY_NONE;
	return entry & 2 || shift == t->page_shift ? PAGE_ENTRY_LEAF : PAGE_ENTRY_TABLE;
}

static const struct page_tables tables = {
	.root = RAM, .base = BASE, .bits = 47, .page_shift = 12, .read = read_entry
};

static int set_up(void **state)
{
	return page_rig_begin(RAM, SIZE);
}

/* Tables for the last GiB, as a kernel has them: page directories at RAM + 0x1000 and on. */
static void chain(void)
{
	put(RAM, 255, (RAM + 0x1000) | 1);
	put(RAM + 0x1000, 511, (RAM + 0x2000) | 1);
	put(RAM + 0x2000, 511, (RAM + 0x3000) | 1);
}

static void test_pages(void **state)
{
	chain();
	/* Two that are adjacent, one that is elsewhere, one that is not there, one without RAM. */
	put(RAM + 0x3000, 0, (RAM + 0x10000) | 1);
	put(RAM + 0x3000, 1, (RAM + 0x11000) | 1);
	put(RAM + 0x3000, 2, (RAM + 0x20000) | 1);
	put(RAM + 0x3000, 3, RAM + 0x21000);
	put(RAM + 0x3000, 4, 0x21000 | 1);
	put(RAM + 0x3000, 511, (RAM + 0x30000) | 1);
	page_walk(&tables, &mem, &maps);
	assert_int_equal(maps.nr, 3);
	is_map(0, 0xffffffffffe00000, RAM + 0x10000, 0x2000);
	is_map(1, 0xffffffffffe02000, RAM + 0x20000, 0x1000);
	is_map(2, 0xfffffffffffff000, RAM + 0x30000, 0x1000);
	assert_int_equal(maps.left_out, 0);
	assert_false(maps.cut);
}

/* A direct map: one entry for more than there is, with a device and a hole in it. */
static void test_large(void **state)
{
	static u8 device[0x2000] __attribute__((aligned(4096)));

	assert_int_equal(
		memory_add_borrowed(&mem, RAM + SIZE, sizeof(device), device, MEM_DEVICE, "device"),
		0);
	assert_int_equal(memory_add(&mem, &(struct memory_desc){ .gpa = RAM + 2 * SIZE,
								 .size = MiB,
								 .name = "more" }),
			 0);
	put(RAM, 0, (RAM + 0x1000) | 1);
	put(RAM + 0x1000, 0, 0 | 3);
	put(RAM + 0x1000, 1, RAM | 3);
	put(RAM + 0x1000, 2, (2 * RAM) | 3);
	page_walk(&tables, &mem, &maps);
	assert_int_equal(maps.nr, 2);
	is_map(0, BASE + RAM, RAM, SIZE);
	is_map(1, BASE + RAM + 2 * SIZE, RAM + 2 * SIZE, MiB);
}

/* Each table all entries of which lead back to it, or to the next one. */
static void test_endless(void **state)
{
	for (u32 i = 0; i < 512; i++)
		put(RAM, i, RAM | 1);
	page_walk(&tables, &mem, &maps);
	assert_false(maps.cut); /* the same table again is the same again */
	free(maps.list);
	maps = (struct page_maps){ 0 };
	for (u32 i = 0; i < SIZE / 8; i++)
		put(RAM, i, (RAM + (i * 4096ULL) % SIZE) | 1);
	page_walk(&tables, &mem, &maps);
	assert_true(maps.cut);
	assert_in_range(maps.nr, 1, PAGE_MAPS_MAX);
}

/* More pieces than there is room for: the large ones stay. */
static void test_too_many(void **state)
{
	u64 table = RAM + 0x100000;

	put(RAM, 0, (RAM + 0x1000) | 1);
	put(RAM + 0x1000, 0, (RAM + 0x2000) | 1);
	for (u32 i = 0; i < 511; i++, table += 0x1000) {
		put(RAM + 0x2000, i, table | 1);
		for (u32 k = 0; k < 512; k += 2)
			put(table, k, (RAM + (k + i) % 1024 * 0x1000) | 1);
	}
	put(RAM + 0x2000, 511, RAM | 3);
	put(RAM, 255, (RAM + 0x1000) | 1);
	page_walk(&tables, &mem, &maps);
	assert_int_equal(maps.nr, 2);
	is_map(0, BASE + 511 * 2 * MiB, RAM, 2 * MiB);
	is_map(1, BASE + (255ULL << 39) + 511 * 2 * MiB, RAM, 2 * MiB);
	assert_int_equal(maps.left_out, 2 * 511 * 256);
}

/* Tables that are no memory. */
static void test_nowhere(void **state)
{
	struct page_tables t = tables;

	t.root = 0xffffffffffff000;
	page_walk(&t, &mem, &maps);
	free(maps.list);
	put(RAM, 0, 0x1000 | 1);
	put(RAM, 1, (RAM + SIZE - 8) | 1);
	page_walk(&tables, &mem, &maps);
	assert_int_equal(maps.nr, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, page_rig_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pages),    TEST(test_large),	 TEST(test_endless),
		TEST(test_too_many), TEST(test_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
