/* SPDX-License-Identifier: MIT */
/* config-snp.c: the words of --snp and --snp-guest-requests, and what is printed of them. */
#include "capture.h"

#include <stdlib.h>

#include "lkvm/config-snp.h"
#include "lkvm/config.h"

static struct vm_config cfg;

static int parse(const struct option_hooks *hooks, const char *words)
{
	int ret;

	capture_begin();
	ret = hooks->parse("--snp", words, &cfg);
	capture_end();
	if (ret)
		assert_one_line(captured);
	return ret;
}

static int snp(const char *words)
{
	return parse(&x86_snp_hooks, words);
}

static void assert_text(const struct option_hooks *hooks, const char *text)
{
	char *got = hooks->text(&cfg, 0);

	assert_string_equal(got, text);
	free(got);
	assert_null(hooks->text(&cfg, 1));
}

static void test_policy(void **state)
{
	static const struct {
		const char *words;
		u64 policy;
	} cases[] = {
		{ "", 0x30000 },
		{ "policy=0xb0000", 0xb0000 },
		{ "policy=0x20137", 0x20137 },
		{ "+debug", 0xb0000 },
		{ "-smt,+single-socket", 0x120000 },
		{ "+migrate-ma", 0x70000 },
		{ "+cxl-allow", 0x230000 },
		{ "+mem-aes-256-xts,+rapl-dis", 0xc30000 },
		{ "+ciphertext-hiding-dram,+page-swap-disable", 0x3030000 },
		{ "abi-major=1,abi-minor=55", 0x30137 },
		{ "policy=0xb0000,-debug", 0x30000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(snp(cases[i].words), 0);
		assert_true(cfg.x86.snp.on);
		assert_true(cfg.x86.snp.policy == cases[i].policy);
		assert_int_equal(cfg.x86.snp.features, 0);
	}
}

/* What is printed is read back as the same. */
static void test_text(void **state)
{
	static const char all[] = "policy=0x3030137,+debug-swap,+secure-tsc,+secure-avic,"
				  "signature=0x800f12,cpuid-fix";
	struct x86_snp_config before;

	memset(&cfg, 0, sizeof(cfg));
	assert_null(x86_snp_hooks.text(&cfg, 0));
	assert_int_equal(snp(all), 0);
	assert_int_equal(cfg.x86.snp.features, 0x10220);
	assert_int_equal(cfg.x86.snp.signature, 0x800f12);
	assert_true(cfg.x86.snp.cpuid_fix);
	assert_text(&x86_snp_hooks, all);
	before = cfg.x86.snp;
	assert_int_equal(snp(all), 0);
	assert_memory_equal(&before, &cfg.x86.snp, sizeof(before));
	/* A further use begins anew. */
	assert_int_equal(snp(""), 0);
	assert_text(&x86_snp_hooks, "policy=0x30000");
}

static void test_refused(void **state)
{
	static const struct {
		const char *words, *why;
	} cases[] = {
		{ "policy=0x10000", "bit 17" },
		{ "policy=", "is not a number" },
		{ "policy=x", "is not a number" },
		{ "debug", "needs a sign" },
		{ "+debugg", "did you mean '+debug'" },
		{ "abi-major=256", "0xff" },
		{ "signature=0x100000000", "0xffffffff" },
		{ "polcy=3", "policy=" },
		{ "cpuid-fixx", "cpuid-fix" },
		{ ",", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(snp(cases[i].words), -EINVAL);
		assert_contains(captured, cases[i].why);
	}
}

static void test_names(void **state)
{
	char *names = x86_snp_bit_names(BIT_ULL(19) | BIT_ULL(20) | BIT_ULL(40), false);

	assert_string_equal(names, "debug, single-socket, bit 40");
	free(names);
	names = x86_snp_bit_names(BIT_ULL(5) | BIT_ULL(3), true);
	assert_string_equal(names, "bit 3, debug-swap");
	free(names);
}

static void test_host_data(void **state)
{
	static const char hex[] =
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eFF";
	u8 data[SNP_HOST_DATA_SIZE];

	assert_int_equal(x86_snp_host_data(hex, data), 0);
	for (u8 i = 0; i < 31; i++)
		assert_int_equal(data[i], i);
	assert_int_equal(data[31], 0xff);
	assert_int_equal(x86_snp_host_data("", data), -EINVAL);
	assert_int_equal(x86_snp_host_data(hex + 1, data), -EINVAL);
	assert_int_equal(
		x86_snp_host_data(
			"g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff", data),
		-EINVAL);
	assert_int_equal(
		x86_snp_host_data(
			"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff0", data),
		-EINVAL);
}

static void test_requests(void **state)
{
	const struct option_hooks *hooks = &x86_snp_requests_hooks;

	memset(&cfg, 0, sizeof(cfg));
	assert_null(hooks->text(&cfg, 0));
	assert_int_equal(parse(hooks, "interval=2000,burst=2"), 0);
	assert_text(hooks, "interval=2000,burst=2");
	assert_int_equal(parse(hooks, "interval=1000"), 0);
	assert_text(hooks, "interval=1000,burst=1");
	assert_int_equal(parse(hooks, "burst=2"), -EINVAL);
	assert_contains(captured, "lacks interval=MS");
	assert_int_equal(parse(hooks, "interval=0"), -EINVAL);
	assert_int_equal(parse(hooks, "interval=1,burst=0"), -EINVAL);
	assert_int_equal(parse(hooks, "interval=1000000001"), -EINVAL);
	assert_int_equal(parse(hooks, "intervall=1"), -EINVAL);
	assert_contains(captured, "interval=");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy),	  cmocka_unit_test(test_text),
		cmocka_unit_test(test_refused),	  cmocka_unit_test(test_names),
		cmocka_unit_test(test_host_data), cmocka_unit_test(test_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
