/* SPDX-License-Identifier: MIT */
/* util/scan.c: pieces of a line, and files that hold a number. */
#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "lkvm/scan.h"
#include "lkvm/util.h"

static void test_line(void **state)
{
	const char *s = "  @exit page-2m 17\t0xFf00 end\n";
	char word[8];
	u64 address;
	u32 n;

	assert_true(scan_text(&s, "@exit"));
	assert_true(scan_word(&s, word, sizeof(word)));
	assert_string_equal(word, "page-2m");
	assert_true(scan_u32(&s, 10, &n));
	assert_int_equal(n, 17);
	assert_true(scan_u64(&s, 16, &address));
	assert_int_equal(address, 0xff00);
	assert_string_equal(s, " end\n");
}

/* What is not there moves nothing and changes nothing. */
static void test_refusals(void **state)
{
	static const char *const no_number[] = { "", " ", "-1", "+1", "x", "18446744073709551616" };
	const char *s;
	u64 value = 5;
	u32 small = 5;
	char word[4] = "old";

	for (size_t i = 0; i < ARRAY_SIZE(no_number); i++) {
		s = no_number[i];
		assert_false(scan_u64(&s, 10, &value));
		assert_ptr_equal(s, no_number[i]);
	}
	s = "8";
	assert_false(scan_u64(&s, 8, &value));
	s = "4294967296";
	assert_false(scan_u32(&s, 10, &small));
	assert_false(scan_text(&s, "43"));
	s = " \n";
	assert_false(scan_word(&s, word, sizeof(word)));
	s = "one two";
	assert_false(scan_skip(&s, 3));
	assert_string_equal(s, "one two");
	assert_int_equal(value, 5);
	assert_int_equal(small, 5);
	assert_string_equal(word, "old");
}

static void test_edges(void **state)
{
	const char *s = "18446744073709551615 0 0x1 0x longword z";
	char word[5];
	u64 value;

	assert_true(scan_u64(&s, 10, &value));
	assert_true(value == UINT64_MAX);
	assert_true(scan_u64(&s, 10, &value));
	assert_int_equal(value, 0);
	assert_true(scan_u64(&s, 16, &value));
	assert_int_equal(value, 1);
	assert_true(scan_u64(&s, 16, &value));
	assert_int_equal(value, 0);
	assert_true(scan_text(&s, "x"));
	assert_true(scan_word(&s, word, sizeof(word)));
	assert_string_equal(word, "long");
	assert_true(scan_skip(&s, 1));
	assert_string_equal(s, "");
}

static int number_in(const char *text, s64 *value)
{
	char path[] = "/tmp/lkvm-scan-XXXXXX";
	int fd = mkstemp(path), ret;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	ret = read_number(path, value);
	unlink(path);
	return ret;
}

static void test_file(void **state)
{
	s64 value = 5;

	assert_int_equal(number_in("4096\n", &value), 0);
	assert_int_equal(value, 4096);
	assert_int_equal(number_in("-1\n", &value), 0);
	assert_int_equal(value, -1);
	assert_int_equal(number_in("", &value), -EINVAL);
	assert_int_equal(number_in("none\n", &value), -EINVAL);
	assert_int_equal(number_in("9223372036854775808\n", &value), -EINVAL);
	assert_int_equal(read_number("/nonexistent/lkvm", &value), -ENOENT);
	assert_int_equal(value, -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
