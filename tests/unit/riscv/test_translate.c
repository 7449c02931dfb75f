/* SPDX-License-Identifier: MIT */
/* The walk through a guest's page tables. */
#include "page_rig.h"

#include "../../../riscv/riscv.h"

#define TABLES	(RISCV_RAM + 0x1000)
#define SV39	(8ULL << 60)
#define SV48	(9ULL << 60)
#define SV57	(10ULL << 60)
#define ASID	(0x5aULL << 44)
#define TABLE	1ULL	/* V */
#define PAGE	0xcfULL /* V, R, W, X, A, D */
#define NAPOT	BIT_ULL(63)
#define NOWHERE ~0ULL

static int set_up(void **state)
{
	return page_rig_begin(RISCV_RAM, MiB);
}

static void put_entry(u64 table, u32 index, u64 addr, u64 bits)
{
	put(table, index, addr >> 2 | bits);
}

static u64 satp(u64 mode)
{
	return mode | ASID | TABLES >> 12;
}

static u64 translate(u64 mode, u64 va)
{
	u64 pa = 0;

	return riscv_translate(satp(mode), &mem, va, &pa) ? NOWHERE : pa;
}

static void test_bare(void **state)
{
	assert_int_equal(translate(0, RISCV_RAM + 0x123), RISCV_RAM + 0x123);
	/* Modes that there are not. */
	for (u64 mode = 1; mode < 16; mode++)
		if (mode < 8 || mode > 10)
			assert_int_equal(translate(mode << 60, RISCV_RAM), NOWHERE);
}

/* Three levels: pages, and large ones of 2 MiB and 1 GiB. */
static void test_sv39(void **state)
{

	put_entry(TABLES, 0x100, TABLES + 0x1000, TABLE);
	put_entry(TABLES, 0x101, 0x140000000ULL, PAGE);
	put_entry(TABLES, 0x102, 0x140200000ULL, PAGE); /* not aligned */
	put_entry(TABLES, 1, 0x3ULL << 54, PAGE);	/* the highest bits of an address */
	put_entry(TABLES + 0x1000, 0, TABLES + 0x2000, TABLE);
	put_entry(TABLES + 0x1000, 1, 0x140200000ULL, PAGE);
	put_entry(TABLES + 0x1000, 2, 0x140201000ULL, PAGE); /* not aligned */
	put_entry(TABLES + 0x2000, 5, 0xabc000, PAGE);
	put_entry(TABLES + 0x2000, 6, 0xabc000, 0xb);	 /* V, R and X */
	put_entry(TABLES + 0x2000, 7, 0xabc000, 0x9);	 /* V and X */
	put_entry(TABLES + 0x2000, 8, 0xabc000, 0x5);	 /* V and W, which is reserved */
	put_entry(TABLES + 0x2000, 9, 0xabc000, 0xce);	 /* not V */
	put_entry(TABLES + 0x2000, 11, 0xabc000, 0xd);	 /* V, W and X, too */
	put_entry(TABLES + 0x2000, 10, TABLES, TABLE);	 /* one level too many */
	put_entry(TABLES + 0x1000, 3, 0x4000000, TABLE); /* no RAM */
	assert_int_equal(translate(SV39, 0xffffffc000005678ULL), 0xabc678);
	assert_int_equal(translate(SV39, 0xffffffc000006678ULL), 0xabc678);
	assert_int_equal(translate(SV39, 0xffffffc000007fffULL), 0xabcfff);
	assert_int_equal(translate(SV39, 0xffffffc000234567ULL), 0x140234567ULL);
	assert_int_equal(translate(SV39, 0xffffffc041234567ULL), 0x141234567ULL);
	assert_int_equal(translate(SV39, 0x40000001ULL), 0x00c0000000000001ULL);
	for (u64 page = 8; page < 13; page++)
		assert_int_equal(translate(SV39, 0xffffffc000000000ULL | page << 12), NOWHERE);
	assert_int_equal(translate(SV39, 0xffffffc000434567ULL), NOWHERE);
	assert_int_equal(translate(SV39, 0xffffffc000634567ULL), NOWHERE);
	assert_int_equal(translate(SV39, 0xffffffc081234567ULL), NOWHERE);
	/* Bits above 38 differ. */
	assert_int_equal(translate(SV39, 0xfffffec000005678ULL), NOWHERE);
	assert_int_equal(translate(SV39, 0x4000005678ULL), NOWHERE);
}

static u64 address(u32 levels, const u32 *index)
{
	u64 va = ~0ULL;

	for (u32 i = 0; i < levels; i++)
		va = va << 9 | index[i];
	return va << 12;
}

/* Four and five levels. */
static void test_levels(void **state)
{
	u32 index[5] = { 0x1ff, 0x1fe, 0x1fd, 3 };

	for (u32 i = 0; i < 4; i++)
		put_entry(TABLES + i * 0x1000, 0x1ff - i, TABLES + (i + 1) * 0x1000, TABLE);
	put_entry(TABLES + 0x3000, 3, 0x111000, PAGE);
	put_entry(TABLES + 0x4000, 4, 0x222000, PAGE);
	assert_int_equal(translate(SV48, address(4, index) + 4), 0x111004);
	assert_int_equal(translate(SV48, (address(4, index) + 4) & ~BIT_ULL(48)), NOWHERE);
	index[3] = 0x1fc;
	index[4] = 4;
	assert_int_equal(translate(SV57, address(5, index) + 4), 0x222004);
	assert_int_equal(translate(SV57, (address(5, index) + 4) & ~BIT_ULL(57)), NOWHERE);
}

/* 64 KiB as sixteen entries that are alike. */
static void test_napot(void **state)
{

	put_entry(TABLES, 0, TABLES + 0x1000, TABLE);
	put_entry(TABLES + 0x1000, 0, TABLES + 0x2000, TABLE);
	put_entry(TABLES + 0x1000, 1, 0x140000000ULL, PAGE | NAPOT); /* not for 2 MiB */
	put_entry(TABLES + 0x1000, 2, TABLES + 0x2000, TABLE | NAPOT);
	for (u32 i = 16; i < 32; i++)
		put_entry(TABLES + 0x2000, i, 0x7778000, PAGE | NAPOT);
	put_entry(TABLES + 0x2000, 32, 0x7774000, PAGE | NAPOT); /* no such size */
	assert_int_equal(translate(SV39, 0x10123ULL), 0x7770123);
	assert_int_equal(translate(SV39, 0x19123ULL), 0x7779123);
	assert_int_equal(translate(SV39, 0x1ffffULL), 0x777ffff);
	assert_int_equal(translate(SV39, 0x20123ULL), NOWHERE);
	assert_int_equal(translate(SV39, 0x234567ULL), NOWHERE);
	assert_int_equal(translate(SV39, 0x410123ULL), NOWHERE);
}

/* The upper half as a whole: pages, a large one, and what is no RAM. */
static void test_tables(void **state)
{
	struct page_tables t = { 0 };

	put_entry(TABLES, 0, TABLES + 0x1000, TABLE); /* the lower half */
	put_entry(TABLES, 0x100, TABLES + 0x1000, TABLE);
	put_entry(TABLES + 0x1000, 0, TABLES + 0x2000, TABLE);
	put_entry(TABLES + 0x1000, 1, RISCV_RAM, PAGE);
	put_entry(TABLES + 0x1000, 2, 0x140000000ULL, PAGE);
	put_entry(TABLES + 0x2000, 5, RISCV_RAM + 0x4000, PAGE);
	for (u32 i = 16; i < 32; i++)
		put_entry(TABLES + 0x2000, i, RISCV_RAM + 0x38000, PAGE | NAPOT);
	assert_int_equal(riscv_tables(satp(SV39), &t), 0);
	page_walk(&t, &mem, &maps);
	assert_int_equal(maps.nr, 3);
	is_map(0, 0xffffffc000005000, RISCV_RAM + 0x4000, 0x1000);
	is_map(1, 0xffffffc000010000, RISCV_RAM + 0x30000, 0x10000);
	is_map(2, 0xffffffc000200000, RISCV_RAM, MiB);
	assert_int_equal(riscv_tables(satp(SV57), &t), 0);
	assert_int_equal(t.base, 0xff00000000000000ULL);
	assert_int_equal(riscv_tables(satp(0), &t), -ENOTSUP);
	assert_int_equal(riscv_tables(satp(11ULL << 60), &t), -ENOTSUP);
}

/* Whatever the registers and tables hold, the walk ends. */
static void test_hostile(void **state)
{
	u64 x = 88172645463325252ULL, v[2];
	u32 i, r;

	for (i = 0; i < MiB / 8; i++)
		put_entry(RISCV_RAM, i, RISCV_RAM + (i * 4096ULL) % MiB, i % 64 ? TABLE : i);
	for (r = 0; r < 100000; r++) {
		for (i = 0; i < ARRAY_SIZE(v); i++) {
			v[i] = next_number(&x);
		}
		struct page_tables t = { 0 };
		u64 s = (v[0] & ~0xfffffffffffULL) | (RISCV_RAM + v[0] % MiB) >> 12, pa;

		(void)!riscv_translate(s, &mem, (v[1] & 1 ? ~0ULL << 56 : 0) | v[1] >> 26, &pa);
		/* Each takes a while. */
		if (r % 20000 || riscv_tables(s, &t))
			continue;
		walk_hostile(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bare, set_up, page_rig_end),
		cmocka_unit_test_setup_teardown(test_sv39, set_up, page_rig_end),
		cmocka_unit_test_setup_teardown(test_levels, set_up, page_rig_end),
		cmocka_unit_test_setup_teardown(test_napot, set_up, page_rig_end),
		cmocka_unit_test_setup_teardown(test_tables, set_up, page_rig_end),
		cmocka_unit_test_setup_teardown(test_hostile, set_up, page_rig_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
