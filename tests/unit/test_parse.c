/* SPDX-License-Identifier: MIT */
/* util/parse.c: numbers, sizes, truth values, the nearest word. */
#include "capture.h"

#include "lkvm/util.h"

#define UNTOUCHED 0x5ca1ab1eULL

static void test_u64(void **state)
{
	static const struct {
		const char *s;
		int ret;
		u64 value;
	} cases[] = {
		{ "0", 0, 0 },
		{ "42", 0, 42 },
		{ "0x2a", 0, 42 },
		{ "0XfF", 0, 255 },
		{ "010", 0, 8 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "0xffffffffffffffff", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, UNTOUCHED },
		{ "0x10000000000000000", -ERANGE, UNTOUCHED },
		{ "99999999999999999999999999", -ERANGE, UNTOUCHED },
		{ "", -EINVAL, UNTOUCHED },
		{ " 1", -EINVAL, UNTOUCHED },
		{ "1 ", -EINVAL, UNTOUCHED },
		{ "-1", -EINVAL, UNTOUCHED },
		{ "+1", -EINVAL, UNTOUCHED },
		{ "0x", -EINVAL, UNTOUCHED },
		{ "08", -EINVAL, UNTOUCHED },
		{ "12a", -EINVAL, UNTOUCHED },
		{ "a", -EINVAL, UNTOUCHED },
		{ "1.5", -EINVAL, UNTOUCHED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 value = UNTOUCHED;

		assert_int_equal(parse_u64(cases[i].s, &value), cases[i].ret);
		assert_true(value == cases[i].value);
	}
}

static void test_hex(void **state)
{
	static const char *const bad[] = {
		"", "0", "012", "01234", "012g", "0 23", "-123", "0x12"
	};
	u8 bytes[2];

	assert_int_equal(parse_hex("a0Ff", bytes, 2), 0);
	assert_int_equal(bytes[0], 0xa0);
	assert_int_equal(bytes[1], 0xff);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_hex(bad[i], bytes, 2), -EINVAL);
	/* What is not one leaves what was there. */
	assert_int_equal(bytes[0], 0xa0);
	assert_int_equal(parse_hex("", bytes, 0), 0);
}

static void test_size(void **state)
{
	static const struct {
		const char *s;
		int ret;
		u64 value;
	} cases[] = {
		{ "512", 0, 512 * MiB },
		{ "0", 0, 0 },
		{ "4096B", 0, 4096 },
		{ "1536K", 0, 1536 * KiB },
		{ "512M", 0, 512 * MiB },
		{ "512m", 0, 512 * MiB },
		{ "512MB", 0, 512 * MiB },
		{ "512MiB", 0, 512 * MiB },
		{ "4g", 0, 4 * GiB },
		{ "2T", 0, 2048 * GiB },
		{ "1P", 0, 1ULL << 50 },
		{ "0x10M", 0, 16 * MiB },
		{ "16383P", 0, 16383ULL << 50 },
		{ "16384P", -ERANGE, UNTOUCHED },
		{ "17592186044416", -ERANGE, UNTOUCHED }, /* 2^44 MiB */
		{ "99999999999999999999K", -ERANGE, UNTOUCHED },
		{ "99999999999999999999Q", -EINVAL, UNTOUCHED },
		{ "", -EINVAL, UNTOUCHED },
		{ "M", -EINVAL, UNTOUCHED },
		{ "1.5G", 0, 1536 * MiB },
		{ "1.5GiB", 0, 1536 * MiB },
		{ "1.5gb", 0, 1536 * MiB },
		{ "0.5g", 0, 512 * MiB },
		{ "0.1G", 0, 107374182 },
		{ "1.5", 0, 1536 * KiB },
		{ "1.9B", 0, 1 },
		{ "1.00000000000000000009P", 0, 1ULL << 50 },
		{ "16383.99999999999999999999P", 0, UINT64_MAX },
		{ "512Mi", 0, 512 * MiB },
		{ "16384.0P", -ERANGE, UNTOUCHED },
		{ "99999999999999999999.5K", -ERANGE, UNTOUCHED },
		{ ".5G", -EINVAL, UNTOUCHED },
		{ "1.G", -EINVAL, UNTOUCHED },
		{ "1.", -EINVAL, UNTOUCHED },
		{ "1.5.5G", -EINVAL, UNTOUCHED },
		{ "1.5e3", -EINVAL, UNTOUCHED },
		{ "1,5G", -EINVAL, UNTOUCHED },
		{ "01.5G", -EINVAL, UNTOUCHED },
		{ "0x1.5G", -EINVAL, UNTOUCHED },
		{ "1.-5G", -EINVAL, UNTOUCHED },
		{ "5Bi", -EINVAL, UNTOUCHED },
		{ "5Q", -EINVAL, UNTOUCHED },
		{ "5BB", -EINVAL, UNTOUCHED },
		{ "5MX", -EINVAL, UNTOUCHED },
		{ "5M ", -EINVAL, UNTOUCHED },
		{ "-5M", -EINVAL, UNTOUCHED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 value = UNTOUCHED;

		assert_int_equal(parse_size(cases[i].s, MiB, &value), cases[i].ret);
		assert_true(value == cases[i].value);
	}
}

static void test_format_size(void **state)
{
	char buf[32];
	u64 back;

	assert_string_equal(format_size(512 * MiB, buf, sizeof(buf)), "512M");
	assert_string_equal(format_size(4 * GiB, buf, sizeof(buf)), "4G");
	assert_string_equal(format_size(1536 * KiB, buf, sizeof(buf)), "1536K");
	assert_string_equal(format_size(1000, buf, sizeof(buf)), "1000B");
	assert_string_equal(format_size(0, buf, sizeof(buf)), "0B");
	assert_string_equal(format_size(1ULL << 60, buf, sizeof(buf)), "1024P");
	for (u64 v = 1; v; v <<= 1) {
		assert_int_equal(parse_size(format_size(v, buf, sizeof(buf)), MiB, &back), 0);
		assert_true(back == v);
	}
}

static void test_nearest(void **state)
{
	static const char *const words[] = {
		"name",	   "cpus",
		"mem",	   "disk",
		"kernel",  "run",
		"network", "rng",
		"irqchip", "a-word-that-is-longer-than-any-option-should-be",
		NULL
	};
	char huge[1000];

	assert_string_equal(nearest_word("mme", words), "mem");
	assert_string_equal(nearest_word("cpu", words), "cpus");
	assert_string_equal(nearest_word("kernal", words), "kernel");
	assert_string_equal(nearest_word("Kernel", words), "kernel");
	assert_string_equal(nearest_word("net", words), "network");
	assert_string_equal(nearest_word("rn", words), "run");
	assert_string_equal(nearest_word("memory", words), "mem");
	assert_null(nearest_word("x", words));
	assert_null(nearest_word("", words));
	assert_null(nearest_word("balloon", words));
	memset(huge, 'k', sizeof(huge));
	huge[sizeof(huge) - 1] = '\0';
	assert_null(nearest_word(huge, words));
}

static void test_cpu_list(void **state)
{
	static const char *const bad[] = { "",	  ",",	  "0,",	 ",0",	"-1", "1-",
					   "3-0", "0--1", "0 1", "0-x", "a",  "0-3 " };
	cpu_set_t set;

	assert_int_equal(parse_cpu_list("0-3,8", &set), 0);
	assert_int_equal(CPU_COUNT(&set), 5);
	assert_true(CPU_ISSET(0, &set) && CPU_ISSET(3, &set) && CPU_ISSET(8, &set));
	assert_int_equal(parse_cpu_list("5", &set), 0);
	assert_true(CPU_COUNT(&set) == 1 && CPU_ISSET(5, &set));
	assert_int_equal(parse_cpu_list("1-2,2-4", &set), 0);
	assert_int_equal(CPU_COUNT(&set), 4);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_cpu_list(bad[i], &set), -EINVAL);
	assert_int_equal(parse_cpu_list("1024", &set), -ERANGE);
	assert_int_equal(parse_cpu_list("0-18446744073709551615", &set), -ERANGE);
	assert_int_equal(parse_cpu_list("99999999999999999999", &set), -ERANGE);
	assert_int_equal(CPU_COUNT(&set), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),	    cmocka_unit_test(test_size),
		cmocka_unit_test(test_hex),	    cmocka_unit_test(test_cpu_list),
		cmocka_unit_test(test_format_size), cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
