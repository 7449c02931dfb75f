/* SPDX-License-Identifier: MIT */
/* The table of extensions: the order of the ISA string, ids, and what is described of a set. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "../../../riscv/cpu.h"
#include "lkvm/util.h"

/* The ISA manual, "ISA Extension Naming Conventions": the canonical order of letters. */
static int letter(char c)
{
	const char *order = "imafdqlcbkjtpvnh", *at = strchr(order, c);

	assert_true(c && at);
	return (int)(at - order);
}

/* Single letters, then Z by their second letter, then S, then those of the machine level. */
static int rank(const char *name)
{
	if (!name[1])
		return letter(name[0]);
	if (name[0] == 'z')
		return 100 + letter(name[1]);
	assert_true(name[0] == 's');
	return name[1] == 'm' ? 300 : 200;
}

static void test_order(void **state)
{
	for (u32 i = 1; i < riscv_nr_exts; i++) {
		const char *a = riscv_exts[i - 1].name, *b = riscv_exts[i].name;

		if (rank(a) > rank(b) || (rank(a) == rank(b) && strcmp(a, b) >= 0))
			fail_msg("'%s' stands before '%s'", a, b);
	}
}

static void test_ids(void **state)
{
	struct riscv_ext_set seen = { 0 };

	for (u32 i = 0; i < riscv_nr_exts; i++) {
		const struct riscv_ext *ext = &riscv_exts[i];

		assert_true(ext->id < RISCV_MAX_EXTS);
		if (riscv_ext_in(&seen, ext->id))
			fail_msg("'%s' has another one's id", ext->name);
		riscv_ext_put(&seen, ext->id, true);
		assert_ptr_equal(riscv_ext_of(ext->id), ext);
		assert_ptr_equal(riscv_ext_named(ext->name), ext);
		assert_true(ext->help && *ext->help);
		if (ext->needs != RISCV_NO_EXT)
			assert_non_null(riscv_ext_of(ext->needs));
	}
	/* Linux 7.3 knows 80, without a gap. */
	assert_int_equal(riscv_nr_exts, 80);
	assert_true(seen.bits[0] == ~0ULL && seen.bits[1] == 0xffff);
	assert_null(riscv_ext_named("g"));
	assert_null(riscv_ext_named(""));
	assert_null(riscv_ext_of(80));
}

/* Some that a shifted table would give away (asm/kvm.h counts them). */
static void test_known(void **state)
{
	static const struct {
		const char *name;
		u32 id;
		bool fixed;
	} known[] = {
		{ "svpbmt", 7, false }, { "sstc", 8, true },	 { "zbb", 13, true },
		{ "ssaia", 14, false }, { "v", 15, false },	 { "smstateen", 23, false },
		{ "zkr", 32, true },	{ "zvkt", 45, true },	 { "ztso", 52, true },
		{ "svadu", 65, false }, { "zicbop", 71, true },	 { "zicfiss", 79, false },
		{ "h", 4, false },	{ "zicboz", 12, false }, { "zalasr", 77, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		const struct riscv_ext *ext = riscv_ext_named(known[i].name);

		assert_non_null(ext);
		assert_int_equal(ext->id, known[i].id);
		assert_int_equal(!!(ext->flags & RISCV_EXT_FIXED), known[i].fixed);
	}
}

static struct riscv_ext_set set_of(const char *words)
{
	struct riscv_ext_set set = { 0 };
	char *copy = xstrdup(words), *rest = copy, *word;

	while ((word = strsep(&rest, " ")))
		if (*word)
			riscv_ext_put(&set, riscv_ext_named(word)->id, true);
	free(copy);
	return set;
}

static void expect_isa(const char *words, const char *text)
{
	struct riscv_ext_set set = set_of(words);
	const char *names[RISCV_MAX_EXTS + 1];
	char *isa = riscv_isa_string(&set);
	size_t len = strlen("rv64");

	assert_string_equal(isa, text);
	/* The list has the same. */
	for (u32 i = 0, n = riscv_isa_names(&set, names); i < n; i++) {
		len += strlen(names[i]) + !!names[i][1];
		assert_true(strstr(isa, names[i]) != NULL);
	}
	assert_int_equal(len, strlen(isa));
	free(isa);
}

static void test_string(void **state)
{
	expect_isa("", "rv64");
	expect_isa("c d f a m i", "rv64imafdc");
	expect_isa("sstc zbb i zicsr m smstateen a zca svpbmt",
		   "rv64ima_zicsr_zca_zbb_sstc_svpbmt_smstateen");
	expect_isa("i m a f d c v h", "rv64imafdcvh");
	/* Not without what they need. */
	expect_isa("i m a d zfa zcd zca", "rv64ima_zca");
	expect_isa("i m a f v zvbb zfa", "rv64imaf_zfa");
	expect_isa("i zvbb d f v", "rv64ifdv_zvbb");
}

static void test_all(void **state)
{
	struct riscv_ext_set all;
	const char *names[RISCV_MAX_EXTS + 1];
	char *isa;

	memset(&all, 0xff, sizeof(all));
	assert_int_equal(riscv_isa_names(&all, names), riscv_nr_exts);
	assert_null(names[riscv_nr_exts]);
	isa = riscv_isa_string(&all);
	assert_int_equal(strncmp(isa, "rv64imafdcvh_zicbom_", 20), 0);
	assert_string_equal(isa + strlen(isa) - 16, "_smnpm_smstateen");
	free(isa);
}

static void test_mmu_type(void **state)
{
	assert_string_equal(riscv_mmu_type(8), "riscv,sv39");
	assert_string_equal(riscv_mmu_type(9), "riscv,sv48");
	assert_string_equal(riscv_mmu_type(10), "riscv,sv57");
	assert_string_equal(riscv_mmu_type(0), "riscv,none");
	assert_string_equal(riscv_mmu_type(~0ULL), "riscv,none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order), cmocka_unit_test(test_ids),
		cmocka_unit_test(test_known), cmocka_unit_test(test_string),
		cmocka_unit_test(test_all),   cmocka_unit_test(test_mmu_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
