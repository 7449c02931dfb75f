/* SPDX-License-Identifier: MIT */
/* boot/plan.c: what a list refuses, what it puts into memory, how it falls into runs of pages. */
#include "capture.h"
#include "image_builder.h"
#include "lkvm/plan.h"

static struct boot_plan plan;
static struct guest g;
static u8 file[3 * 4096];
static struct boot_image image;

static void begin(void)
{
	for (u32 i = 0; i < sizeof(file); i++)
		file[i] = (u8)(i * 7 + (i >> 8) + 1);
	boot_image_from_buffer(&image, "dir/image", file, sizeof(file));
	boot_plan_init(&plan);
	guest_init(&g, MiB);
}

static void end(void)
{
	boot_plan_free(&plan);
	guest_destroy(&g);
}

static void refused(int error, const char *part)
{
	const char *text;
	int ret;

	capture_begin();
	ret = boot_plan_check(&plan, &g.mem);
	text = capture_end();
	assert_int_equal(ret, error);
	assert_one_line(text);
	assert_contains(text, part);
	boot_plan_free(&plan);
}

/* Each pair of neighbours by one byte, in either order of adding. */
static void test_overlap(void **state)
{
	begin();
	for (int first = 0; first < 2; first++) {
		for (int i = 0; i < 2; i++) {
			if (i == first)
				boot_plan_add(&plan, BOOT_TABLES, "table", 0x2fff, "ab", 2);
			else
				assert_int_equal(boot_plan_add_image(&plan, BOOT_KERNEL, "kernel",
								     0x3000, &image, 0, 100),
						 0);
		}
		refused(-EEXIST, "table (made by lkvm) and kernel (dir/image) overlap at 0x3000");
	}
	/* Zeroes count. */
	boot_plan_add_zero(&plan, "kernel", 0x1000, 0x1001);
	boot_plan_add(&plan, BOOT_STUB, "stub", 0x2000, "x", 1);
	refused(-EEXIST, "overlap at 0x2000");
	/* What only touches does not. */
	boot_plan_add_zero(&plan, "kernel", 0x1000, 0x1000);
	boot_plan_add(&plan, BOOT_STUB, "stub", 0x2000, "x", 1);
	boot_plan_add(&plan, BOOT_STUB, "nothing", 0x2000, "", 0);
	assert_int_equal(boot_plan_check(&plan, &g.mem), 0);
	assert_int_equal(plan.nr_entries, 2);
	end();
}

static void test_not_ram(void **state)
{
	begin();
	boot_plan_add(&plan, BOOT_TABLES, "table", MiB - 1, "ab", 2);
	refused(-EFAULT, "table (made by lkvm): 2 bytes at 0xfffff are not in guest memory");
	boot_plan_add_zero(&plan, "kernel", UINT64_MAX - 1, 3);
	refused(-EFAULT, "-m");
	assert_int_equal(
		boot_plan_add_image(&plan, BOOT_KERNEL, "kernel", 0, &image, 1, sizeof(file)),
		-ENODATA);
	assert_int_equal(
		boot_plan_add_image(&plan, BOOT_KERNEL, "kernel", 0, &image, UINT64_MAX, 2),
		-ENODATA);
	assert_int_equal(plan.nr_entries, 0);
	end();
}

/* Three kinds that meet in pages, a gap, and zeroes that reach into another's page. */
static void fill(void)
{
	begin();
	boot_plan_add(&plan, BOOT_STUB, "stub", 0x8ff0, "stub", 4);
	assert_int_equal(
		boot_plan_add_image(&plan, BOOT_KERNEL, "kernel", 0x3100, &image, 16, 0x1000), 0);
	boot_plan_add_zero(&plan, "kernel", 0x4100, 0x4800);
	boot_plan_add(&plan, BOOT_TABLES, "one", 0x1004, "one", 3);
	boot_plan_add(&plan, BOOT_TABLES, "two", 0x2ffd, "two", 3);
	assert_int_equal(boot_plan_check(&plan, &g.mem), 0);
}

static void test_runs(void **state)
{
	static const struct boot_run want[] = {
		{ 0x1000, 0x2000, BOOT_TABLES, true, 0 },
		{ 0x3000, 0x2000, BOOT_KERNEL, true, 0 },
		{ 0x5000, 0x3000, BOOT_ZERO, true, 0 },
		{ 0x8000, 0x1000, BOOT_STUB, true, 0 },
	};
	struct boot_run run = { 0 };
	u8 page[4096], zeroes[4096] = { 0 };

	fill();
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		assert_true(boot_plan_next(&plan, &run));
		assert_int_equal(run.gpa, want[i].gpa);
		assert_int_equal(run.len, want[i].len);
		assert_int_equal(run.kind, want[i].kind);
		assert_int_equal(run.measured, want[i].measured);
	}
	assert_false(boot_plan_next(&plan, &run));
	assert_int_equal(boot_plan_read(&plan, 0x3000, page, sizeof(page)), 0);
	assert_memory_equal(page, zeroes, 0x100);
	assert_memory_equal(page + 0x100, file + 16, 0xf00);
	assert_int_equal(boot_plan_read(&plan, 0x4000, page, sizeof(page)), 0);
	assert_memory_equal(page, file + 16 + 0xf00, 0x100);
	assert_memory_equal(page + 0x100, zeroes, 0xf00);
	assert_int_equal(boot_plan_read(&plan, 0x1006, page, sizeof(page)), 0);
	assert_memory_equal(page, "e\0\0", 3);
	end();
}

/* A rank comes after those below it, whatever its address. */
static void test_ranks(void **state)
{
	static const u64 want[] = { 0x5000, 0x9000, 0x2000, 0x3000, 0x7000 };
	static const u8 ranks[] = { 0, 0, 3, 3, 7 };
	struct boot_run run = { 0 };

	begin();
	plan.rank = 7;
	boot_plan_add(&plan, BOOT_TABLES, "last", 0x7000, "x", 1);
	plan.rank = 3;
	boot_plan_add(&plan, BOOT_TABLES, "middle", 0x2000, "x", 1);
	boot_plan_add(&plan, BOOT_STUB, "middle", 0x3000, "x", 1);
	plan.rank = 0;
	boot_plan_add(&plan, BOOT_TABLES, "first", 0x5000, "x", 1);
	boot_plan_add(&plan, BOOT_TABLES, "first", 0x9000, "x", 1);
	assert_int_equal(boot_plan_check(&plan, &g.mem), 0);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		assert_true(boot_plan_next(&plan, &run));
		assert_int_equal(run.gpa, want[i]);
		assert_int_equal(run.len, 0x1000);
		assert_int_equal(run.rank, ranks[i]);
	}
	assert_false(boot_plan_next(&plan, &run));
	plan.rank = 1;
	boot_plan_add(&plan, BOOT_TABLES, "intruder", 0x3800, "x", 1);
	assert_int_equal(boot_plan_check(&plan, &g.mem), -EEXIST);
	end();
}

/* Memory and runs say the same, byte for byte. */
static void test_same(void **state)
{
	static u8 pages[0x10000];

	fill();
	assert_int_equal(boot_plan_load(&plan, &g.mem), 0);
	assert_int_equal(boot_plan_read(&plan, 0, pages, sizeof(pages)), 0);
	assert_guest_bytes(&g, 0, pages, sizeof(pages));
	end();
}

static void test_rom(void **state)
{
	const struct memory_region *rom, *r;
	unsigned int n = 0;

	begin();
	assert_int_equal(boot_plan_add_rom(&plan, "firmware", 4 * GiB - sizeof(file), &image), 0);
	assert_int_equal(boot_plan_check(&plan, &g.mem), 0);
	assert_int_equal(boot_plan_load(&plan, &g.mem), 0);
	assert_int_equal(boot_plan_load(&plan, &g.mem), 0);
	rom = memory_find(&g.mem, 4 * GiB - sizeof(file));
	assert_non_null(rom);
	assert_int_equal(rom->gpa, 4 * GiB - sizeof(file));
	assert_int_equal(rom->kind, MEM_ROM);
	assert_memory_equal(rom->hva, file, sizeof(file));
	memory_for_each(&g.mem, r)
		n++;
	assert_int_equal(n, 2);
	end();
}

/* What lies there must be that ROM; whatever is wrong is one line. */
static void test_rom_taken(void **state)
{
	static const struct memory_desc others[] = {
		{ .gpa = GiB, .size = sizeof(file), .kind = MEM_RAM, .name = "other" },
		{ .gpa = GiB, .size = 2 * sizeof(file), .kind = MEM_ROM, .name = "other" },
		{ .gpa = GiB - sizeof(file),
		  .size = 2 * sizeof(file),
		  .kind = MEM_ROM,
		  .name = "other" },
		{ .gpa = GiB + 4 * KiB, .size = sizeof(file), .kind = MEM_ROM, .name = "other" },
	};

	begin();
	assert_int_equal(boot_plan_add_rom(&plan, "firmware", GiB, &image), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_int_equal(memory_add(&g.mem, &others[i]), 0);
		capture_begin();
		assert_true(boot_plan_load(&plan, &g.mem) < 0);
		capture_end();
		assert_contains(captured, "cannot map it at 0x40000000");
		assert_one_line(captured);
		assert_int_equal(memory_remove(&g.mem, others[i].gpa), 0);
	}
	assert_int_equal(boot_plan_load(&plan, &g.mem), 0);
	end();
}

static void test_find(void **state)
{
	begin();
	boot_plan_add(&plan, BOOT_TABLES, "one", 0x1000, "a", 1);
	boot_plan_add_reg(&plan, "rip", 7);
	assert_int_equal(boot_plan_find(&plan, "one")->gpa, 0x1000);
	assert_null(boot_plan_find(&plan, "two"));
	assert_int_equal(plan.regs[0].value, 7);
	assert_string_equal(boot_kind_name(BOOT_ZERO), "zero");
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overlap),	  cmocka_unit_test(test_not_ram),
		cmocka_unit_test(test_runs),	  cmocka_unit_test(test_ranks),
		cmocka_unit_test(test_same),	  cmocka_unit_test(test_rom),
		cmocka_unit_test(test_rom_taken), cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
