/* SPDX-License-Identifier: MIT */
/* The walk through a guest's translation tables. */
#include "page_rig.h"

#include "../../../arm/arm.h"

#define TABLES (ARM_RAM + 0x1000)
#define VALID  1ULL
#define TABLE  3ULL

static int set_up(void **state)
{
	return page_rig_begin(ARM_RAM, MiB);
}

static u64 translate(const struct arm_mmu *mmu, u64 va)
{
	u64 pa = 0;

	return arm_translate(mmu, &mem, va, &pa) ? ~0ULL : pa;
}

static void test_mmu_off(void **state)
{
	const struct arm_mmu mmu = { .on = false };

	assert_int_equal(translate(&mmu, ARM_RAM + 0x123), ARM_RAM + 0x123);
}

/* 48-bit addresses in both halves, pages of 4 KiB: four levels, and a block of 2 MiB. */
static void test_4k(void **state)
{
	const struct arm_mmu mmu = {
		.on = true,
		.two_halves = true,
		.tcr = 16 | 16 << 16 | 2U << 30,
		.ttbr = { 0, TABLES | 1ULL << 48 }, /* with an ASID */
	};

	put(TABLES, 0x100, (TABLES + 0x1000) | TABLE);
	put(TABLES + 0x1000, 0, (TABLES + 0x2000) | TABLE);
	put(TABLES + 0x2000, 0, (TABLES + 0x3000) | TABLE);
	put(TABLES + 0x2000, 1, 0x140000000ULL | VALID | 1ULL << 54);
	put(TABLES + 0x3000, 5, 0xabc000ULL | TABLE | 1ULL << 10);
	put(TABLES + 0x3000, 6, 0xabc000ULL | VALID); /* reserved at the last level */
	assert_int_equal(translate(&mmu, 0xffff800000005678ULL), 0xabc678);
	assert_int_equal(translate(&mmu, 0xffff800000234567ULL), 0x140034567ULL);
	assert_int_equal(translate(&mmu, 0xffff800000006000ULL), ~0ULL);
	assert_int_equal(translate(&mmu, 0xffff800000007000ULL), ~0ULL);
	/* The lower half has its own tables, and there is no RAM. */
	assert_int_equal(translate(&mmu, 0x800000005678ULL), ~0ULL);
}

/* 39 bits of pages of 64 KiB: two levels. One half only. */
static void test_64k(void **state)
{
	const struct arm_mmu mmu = { .on = true, .tcr = 25 | 1 << 14, .ttbr = { ARM_RAM } };

	put(ARM_RAM, 1, (ARM_RAM + 0x10000) | TABLE);
	put(ARM_RAM + 0x10000, 2, 0x7770000ULL | TABLE);
	assert_int_equal(translate(&mmu, 0x20021234ULL), 0x7771234);
	assert_int_equal(translate(&mmu, 0x20031234ULL), ~0ULL);
}

/* The upper half as a whole: a page, a block, and what is no RAM. */
static void test_tables(void **state)
{
	struct arm_mmu mmu = {
		.on = true,
		.two_halves = true,
		.tcr = 25 | 25 << 16 | 2U << 30,
		.ttbr = { 0, TABLES | 1ULL << 48 },
	};
	struct page_tables t = { 0 };

	put(TABLES, 0x100, (TABLES + 0x1000) | TABLE);
	put(TABLES + 0x1000, 0, (TABLES + 0x2000) | TABLE);
	put(TABLES + 0x1000, 1, ARM_RAM | VALID | 1ULL << 54);
	put(TABLES + 0x1000, 2, 0x140000000ULL | VALID);
	put(TABLES + 0x2000, 5, (ARM_RAM + 0x4000) | TABLE | 1ULL << 10);
	put(TABLES + 0x2000, 6, (ARM_RAM + 0x5000) | VALID);
	assert_int_equal(arm_tables(&mmu, &t), 0);
	page_walk(&t, &mem, &maps);
	assert_int_equal(maps.nr, 2);
	is_map(0, 0xffffffc000005000, ARM_RAM + 0x4000, 0x1000);
	is_map(1, 0xffffffc000200000, ARM_RAM, MiB);
	mmu.on = false;
	assert_int_equal(arm_tables(&mmu, &t), -ENOTSUP);
	mmu.on = true;
	mmu.two_halves = false;
	assert_int_equal(arm_tables(&mmu, &t), -ENOTSUP);
}

static void walk_some(const struct arm_mmu *mmu, u32 round)
{
	struct page_tables t = { 0 };

	/* Each takes a while. */
	if (round % 1000 || arm_tables(mmu, &t))
		return;
	walk_hostile(&t);
}

/* Whatever the registers and tables hold, the walk ends. */
static void test_hostile(void **state)
{
	u64 x = 88172645463325252ULL, v[4];
	u32 i, r;

	for (i = 0; i < MiB / 8; i++)
		put(ARM_RAM, i, (ARM_RAM + (i * 4096ULL) % MiB) | TABLE);
	for (r = 0; r < 100000; r++) {
		for (i = 0; i < ARRAY_SIZE(v); i++) {
			v[i] = next_number(&x);
		}
		const struct arm_mmu mmu = {
			.on = true,
			.two_halves = v[0] & 1,
			.wide = v[0] & 2,
			.tcr = v[1],
			.ttbr = { ARM_RAM + v[2] % MiB, v[2] },
		};
		translate(&mmu, v[3]);
		walk_some(&mmu, r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mmu_off, set_up, page_rig_end),
		cmocka_unit_test_setup_teardown(test_4k, set_up, page_rig_end),
		cmocka_unit_test_setup_teardown(test_64k, set_up, page_rig_end),
		cmocka_unit_test_setup_teardown(test_tables, set_up, page_rig_end),
		cmocka_unit_test_setup_teardown(test_hostile, set_up, page_rig_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
