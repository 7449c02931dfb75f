/* SPDX-License-Identifier: MIT */
/* The walk through a guest's translation tables. */
#include "unit.h"

#include <stdlib.h>

#include "../../../arm/arm.h"
#include "lkvm/memory.h"
#include "lkvm/page-walk.h"

#define TABLES (ARM_RAM + 0x1000)
#define VALID  1ULL
#define TABLE  3ULL

static int set_up(void **state)
{
	struct guest_memory *mem = calloc(1, sizeof(*mem));

	assert_non_null(mem);
	memory_init(mem);
	assert_int_equal(
		memory_add(mem,
			   &(struct memory_desc){ .gpa = ARM_RAM, .size = MiB, .name = "ram" }),
		0);
	*state = mem;
	return 0;
}

static int tear_down(void **state)
{
	memory_destroy(*state);
	free(*state);
	return 0;
}

static void put_desc(struct guest_memory *mem, u64 table, u32 index, u64 desc)
{
	const __le64 le = cpu_to_le64(desc);

	assert_int_equal(memory_write(mem, table + index * 8ULL, &le, sizeof(le)), 0);
}

static u64 translate(const struct arm_mmu *mmu, const struct guest_memory *mem, u64 va)
{
	u64 pa = 0;

	return arm_translate(mmu, mem, va, &pa) ? ~0ULL : pa;
}

static void test_mmu_off(void **state)
{
	const struct arm_mmu mmu = { .on = false };

	assert_int_equal(translate(&mmu, *state, ARM_RAM + 0x123), ARM_RAM + 0x123);
}

/* 48-bit addresses in both halves, pages of 4 KiB: four levels, and a block of 2 MiB. */
static void test_4k(void **state)
{
	struct guest_memory *mem = *state;
	const struct arm_mmu mmu = {
		.on = true,
		.two_halves = true,
		.tcr = 16 | 16 << 16 | 2U << 30,
		.ttbr = { 0, TABLES | 1ULL << 48 }, /* with an ASID */
	};

	put_desc(mem, TABLES, 0x100, (TABLES + 0x1000) | TABLE);
	put_desc(mem, TABLES + 0x1000, 0, (TABLES + 0x2000) | TABLE);
	put_desc(mem, TABLES + 0x2000, 0, (TABLES + 0x3000) | TABLE);
	put_desc(mem, TABLES + 0x2000, 1, 0x140000000ULL | VALID | 1ULL << 54);
	put_desc(mem, TABLES + 0x3000, 5, 0xabc000ULL | TABLE | 1ULL << 10);
	put_desc(mem, TABLES + 0x3000, 6, 0xabc000ULL | VALID); /* reserved at the last level */
	assert_int_equal(translate(&mmu, mem, 0xffff800000005678ULL), 0xabc678);
	assert_int_equal(translate(&mmu, mem, 0xffff800000234567ULL), 0x140034567ULL);
	assert_int_equal(translate(&mmu, mem, 0xffff800000006000ULL), ~0ULL);
	assert_int_equal(translate(&mmu, mem, 0xffff800000007000ULL), ~0ULL);
	/* The lower half has its own tables, and there is no RAM. */
	assert_int_equal(translate(&mmu, mem, 0x800000005678ULL), ~0ULL);
}

/* 39 bits of pages of 64 KiB: two levels. One half only. */
static void test_64k(void **state)
{
	struct guest_memory *mem = *state;
	const struct arm_mmu mmu = { .on = true, .tcr = 25 | 1 << 14, .ttbr = { ARM_RAM } };

	put_desc(mem, ARM_RAM, 1, (ARM_RAM + 0x10000) | TABLE);
	put_desc(mem, ARM_RAM + 0x10000, 2, 0x7770000ULL | TABLE);
	assert_int_equal(translate(&mmu, mem, 0x20021234ULL), 0x7771234);
	assert_int_equal(translate(&mmu, mem, 0x20031234ULL), ~0ULL);
}

/* The upper half as a whole: a page, a block, and what is no RAM. */
static void test_tables(void **state)
{
	struct guest_memory *mem = *state;
	struct arm_mmu mmu = {
		.on = true,
		.two_halves = true,
		.tcr = 25 | 25 << 16 | 2U << 30,
		.ttbr = { 0, TABLES | 1ULL << 48 },
	};
	struct page_tables t = { 0 };
	struct page_maps maps = { 0 };

	put_desc(mem, TABLES, 0x100, (TABLES + 0x1000) | TABLE);
	put_desc(mem, TABLES + 0x1000, 0, (TABLES + 0x2000) | TABLE);
	put_desc(mem, TABLES + 0x1000, 1, ARM_RAM | VALID | 1ULL << 54);
	put_desc(mem, TABLES + 0x1000, 2, 0x140000000ULL | VALID);
	put_desc(mem, TABLES + 0x2000, 5, (ARM_RAM + 0x4000) | TABLE | 1ULL << 10);
	put_desc(mem, TABLES + 0x2000, 6, (ARM_RAM + 0x5000) | VALID);
	assert_int_equal(arm_tables(&mmu, &t), 0);
	page_walk(&t, mem, &maps);
	assert_int_equal(maps.nr, 2);
	assert_int_equal(maps.list[0].va, 0xffffffc000005000);
	assert_int_equal(maps.list[0].gpa, ARM_RAM + 0x4000);
	assert_int_equal(maps.list[0].len, 0x1000);
	assert_int_equal(maps.list[1].va, 0xffffffc000200000);
	assert_int_equal(maps.list[1].gpa, ARM_RAM);
	assert_int_equal(maps.list[1].len, MiB);
	free(maps.list);
	mmu.on = false;
	assert_int_equal(arm_tables(&mmu, &t), -ENOTSUP);
	mmu.on = true;
	mmu.two_halves = false;
	assert_int_equal(arm_tables(&mmu, &t), -ENOTSUP);
}

static void walk_some(const struct arm_mmu *mmu, const struct guest_memory *mem, u32 round)
{
	struct page_tables t = { 0 };
	struct page_maps maps = { 0 };

	/* Each takes a while. */
	if (round % 1000 || arm_tables(mmu, &t))
		return;
	page_walk(&t, mem, &maps);
	assert_in_range(maps.nr, 0, PAGE_MAPS_MAX);
	free(maps.list);
}

/* Whatever the registers and tables hold, the walk ends. */
static void test_hostile(void **state)
{
	struct guest_memory *mem = *state;
	u64 x = 88172645463325252ULL, v[4];
	u32 i, r;

	for (i = 0; i < MiB / 8; i++)
		put_desc(mem, ARM_RAM, i, (ARM_RAM + (i * 4096ULL) % MiB) | TABLE);
	for (r = 0; r < 100000; r++) {
		for (i = 0; i < ARRAY_SIZE(v); i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			v[i] = x;
		}
		const struct arm_mmu mmu = {
			.on = true,
			.two_halves = v[0] & 1,
			.wide = v[0] & 2,
			.tcr = v[1],
			.ttbr = { ARM_RAM + v[2] % MiB, v[2] },
		};
		translate(&mmu, mem, v[3]);
		walk_some(&mmu, mem, r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mmu_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_4k, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_64k, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tables, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hostile, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
