/* SPDX-License-Identifier: MIT */
/* x86/tdx-metadata.c: what a firmware image says of itself, in both forms, and every lie. */
#include "tiny_tdvf.h"

#include "../../../x86/tdx-firmware.h"
#include "lkvm/boot.h"

static u8 file[TINY_SIZE];
static struct boot_image img;
static struct tdvf tdvf;
static const char *why;

static int parse(void)
{
	boot_image_from_buffer(&img, "fw", file, sizeof(file));
	return tdvf_parse(&img, &tdvf, &why);
}

static void assert_tiny(void)
{
	static const struct tdvf_section sections[] = {
		{ 0x1000, 0x1000, 0xfffff000, 0x1000, TDVF_BFV, TDVF_EXTEND },
		{ 0, 0x1000, 0xffffe000, 0x1000, TDVF_CFV, 0 },
		{ 0, 0, 0x9000, 0x2000, TDVF_TD_HOB, 0 },
		{ 0, 0, 0xb000, 0x1000, TDVF_TEMP_MEM, 0 },
		{ 0, 0, 0xc000, 0x2000, TDVF_PERM_MEM, TDVF_AUG },
	};

	assert_int_equal(parse(), 0);
	assert_int_equal(tdvf.count, ARRAY_SIZE(sections));
	assert_memory_equal(tdvf.sections, sections, sizeof(sections));
}

static void test_tiny(void **state)
{
	tiny_tdvf(file);
	assert_tiny();
}

/* Without the table: where the file says at its end - 0x20. */
static void test_old_form(void **state)
{
	tiny_tdvf(file);
	memset(file + TINY_SIZE - 0x80, 0, 0x80);
	put_le(file + TINY_SIZE - 0x20, 4, TINY_TDVF);
	assert_tiny();
}

static void test_none(void **state)
{
	static const u64 pointers[] = { 0, TINY_SIZE - 15, 0xffffffff, TINY_TDVF + 1 };

	for (size_t i = 0; i < ARRAY_SIZE(pointers); i++) {
		tiny_tdvf(file);
		memset(file + TINY_SIZE - 0x80, 0, 0x80);
		put_le(file + TINY_SIZE - 0x20, 4, pointers[i]);
		assert_int_equal(parse(), -ENOENT);
	}
	tiny_tdvf(file);
	file[TINY_TDVF]++;
	assert_int_equal(parse(), -ENOENT);
	boot_image_from_buffer(&img, "fw", file, 31);
	assert_int_equal(tdvf_parse(&img, &tdvf, &why), -ENOENT);
}

static void assert_bad(const char *part)
{
	assert_int_equal(parse(), -EBADMSG);
	if (!strstr(why, part))
		fail_msg("'%s' is not in '%s'", part, why);
}

static void test_descriptor(void **state)
{
	static const struct {
		u32 at;
		u64 value;
	} changes[] = {
		{ 4, 16 + 32 * 4 },
		{ 8, 2 },
		{ 8, 0 },
		{ 12, 0 },
		{ 12, TDVF_MAX_SECTIONS + 1 },
		{ 12, 0xffffffff },
		{ 12, 0x08000001 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		tiny_tdvf(file);
		put_le(file + TINY_TDVF + changes[i].at, 4, changes[i].value);
		assert_bad("a damaged table");
	}
	/* As many as are allowed, but beyond the end of the file. */
	tiny_tdvf(file);
	tiny_count(file, TDVF_MAX_SECTIONS);
	assert_bad("a damaged table");
	/* The table points beyond the beginning. */
	tiny_tdvf(file);
	put_le(file + TINY_SIZE - 0x20 - 18 - 18 - 4, 4, TINY_SIZE + 1);
	assert_bad("a damaged table");
}

/* Each row is put in place of one of the sections. */
static void test_sections(void **state)
{
	static const struct {
		u32 i, offset, raw;
		u64 gpa, size;
		u32 type, attributes;
		const char *why;
	} rows[] = {
		{ 3, 0, 0, 0xb000, 0x1000, 9, 0, "an unknown type" },
		{ 3, 0, 0, 0xb000, 0x1000, 0xffffffff, 0, "an unknown type" },
		{ 0, 0x1000, 0x1001, 0xfffff000, 0x1000, 0, 1, "beyond the file" },
		{ 0, 0xffffffff, 0x1000, 0xfffff000, 0x1000, 0, 1, "beyond the file" },
		{ 3, 0, 0, 0xb001, 0x1000, 3, 0, "whole pages" },
		{ 3, 0, 0, 0xb000, 0x1001, 3, 0, "whole pages" },
		{ 3, 0, 0, 0xb000, 0, 3, 0, "whole pages" },
		{ 3, 0, 0, 0xfffff000, 0x2000, 3, 0, "below 4 GiB" },
		{ 3, 0, 0, 0x1000, 0xfffffffffffff000, 3, 0, "below 4 GiB" },
		{ 0, 0, 0x1800, 0xfffff000, 0x1000, 0, 1, "more bytes than memory" },
		{ 0, 0, 0, 0xfffff000, 0x1000, 0, 1, "without bytes" },
		{ 1, 0, 0, 0xffffe000, 0x1000, 1, 0, "without bytes" },
		{ 3, 0, 16, 0xb000, 0x1000, 3, 0, "must be zero" },
		{ 2, 0, 16, 0x9000, 0x2000, 2, 0, "must be zero" },
		{ 0, 0, 0x1000, 0xfffff000, 0x1000, 0, 2, "that is not there" },
		{ 2, 0, 0, 0x9000, 0x2000, 2, 2, "that is not there" },
		{ 4, 0, 16, 0xc000, 0x2000, 4, 2, "that is not there" },
		{ 4, 0, 0, 0xc000, 0x2000, 4, 3, "that is not there" },
		{ 2, 0, 0, 0x9000, 0x2000, 4, 0, "TD HOB" },
		{ 3, 0, 0, 0xb000, 0x1000, 2, 0, "TD HOB" },
		{ 0, 0x1000, 0x1000, 0xfffff000, 0x1000, 1, 1, "no section with code" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		tiny_tdvf(file);
		tiny_section(file, rows[i].i, rows[i].offset, rows[i].raw, rows[i].gpa,
			     rows[i].size, rows[i].type, rows[i].attributes);
		assert_bad(rows[i].why);
	}
	for (u32 type = 5; type <= 6; type++) {
		tiny_tdvf(file);
		tiny_section(file, 3, 0, 0, 0xb000, 0x1000, type, 0);
		assert_int_equal(parse(), 0);
		tiny_section(file, 4, 0, 0, 0xc000, 0x2000, type, 0);
		assert_bad("more than one");
	}
	/* What is for tools has no memory. */
	tiny_tdvf(file);
	tiny_section(file, 4, 0, 16, 0, 0, 7, 0);
	assert_int_equal(parse(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tiny),	 cmocka_unit_test(test_old_form),
		cmocka_unit_test(test_none),	 cmocka_unit_test(test_descriptor),
		cmocka_unit_test(test_sections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
