/* SPDX-License-Identifier: MIT */
/* util/json.c and util/json-out.c: what is JSON and what is not, bounds, what is written. */
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/json.h"
#include "lkvm/util.h"
#include "unit.h"

static struct json nodes[64];
static char *copy;

/* In memory of exactly its length: reading beyond it is seen by sanitizers. */
static int parse_len(const char *text, size_t len, u32 max)
{
	int ret;

	free(copy);
	copy = malloc(len ? len : 1);
	memcpy(copy, text, len);
	ret = json_parse(copy, len, nodes, max);
	return ret;
}

static int parse(const char *text)
{
	return parse_len(text, strlen(text), ARRAY_SIZE(nodes));
}

static void test_values(void **state)
{
	const struct json *v;

	assert_int_equal(parse(" {\"a\":1,\"b\":[true,false,null,\"x\"],\n\t\"c\":{\"d\":-7}}\r "),
			 0);
	assert_int_equal(nodes[0].type, JSON_OBJECT);
	assert_int_equal(nodes[0].nr, 3);
	assert_int_equal(nodes[0].size, 13);
	assert_int_equal(json_number(json_member(nodes, "a"), 9), 1);
	v = json_member(nodes, "b");
	assert_int_equal(v->type, JSON_ARRAY);
	assert_int_equal(v->nr, 4);
	v = json_first(v);
	assert_true(json_truth(v));
	v = json_next(v);
	assert_int_equal(v->type, JSON_BOOL);
	assert_false(json_truth(v));
	v = json_next(v);
	assert_int_equal(v->type, JSON_NULL);
	assert_string_equal(json_text(json_next(v), ""), "x");
	v = json_member(json_member(nodes, "c"), "d");
	assert_true(v->negative);
	assert_int_equal(v->number, 7);
	assert_int_equal(json_number(v, 9), 9);
	assert_null(json_member(nodes, "d"));
	assert_null(json_member(v, "d"));
	assert_null(json_member(NULL, "d"));
	assert_string_equal(json_text(v, "other"), "other");
	assert_false(json_truth(NULL));
	assert_int_equal(parse("{}"), 0);
	assert_int_equal(nodes[0].size, 1);
	assert_int_equal(parse("[]"), 0);
}

static void test_numbers(void **state)
{
	static const char *const bad[] = { "01", "-", "+1", "00", "-01", "0x1", "1 2", "--1" };
	static const char *const beyond[] = {
		"18446744073709551616",	  "-9223372036854775809", "1.0", "1e3", "1E3",
		"99999999999999999999999"
	};

	assert_int_equal(parse("18446744073709551615"), 0);
	assert_true(nodes[0].number == UINT64_MAX);
	assert_int_equal(parse("-9223372036854775808"), 0);
	assert_true(nodes[0].negative && nodes[0].number == 1ULL << 63);
	assert_int_equal(parse("0"), 0);
	assert_int_equal(parse("-0"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(bad[i]), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(beyond); i++)
		assert_int_equal(parse(beyond[i]), -ERANGE);
}

static void test_strings(void **state)
{
	static const char *const bad[] = {
		"\"",
		"\"abc",
		"\"\\\"",
		"\"\\x\"",
		"\"\\u12\"",
		"\"\\u12g4\"",
		"\"\\u0000\"",
		"\"\\ud800\"",
		"\"\\udc00\"",
		"\"\\ud800\\u0041\"",
		"\"\\ud800\\n\"",
		"\"\\ud800\\ud800\"",
		"\"\n\"",
		"\"\t\"",
		"\"\xff\"",
		"\"\xc3\"",
		"\"\xc0\x80\"",
		"\"\xed\xa0\x80\"",
		"'a'",
		"\"a\"b",
	};

	assert_int_equal(parse("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00\""),
			 0);
	assert_string_equal(nodes[0].text, "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	assert_int_equal(nodes[0].len, strlen(nodes[0].text));
	assert_int_equal(parse("\"gr\xc3\xbc\xc3\x9f\""), 0);
	assert_string_equal(nodes[0].text, "gr\xc3\xbc\xc3\x9f");
	assert_int_equal(parse("\"\""), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(bad[i]), -EINVAL);
	/* A NUL is no blank and ends nothing. */
	assert_int_equal(parse_len("\"a\0b\"", 5, 8), -EINVAL);
	assert_int_equal(parse_len("1\0", 2, 8), -EINVAL);
}

static void test_structure(void **state)
{
	static const char *const bad[] = {
		"",	      "  ",	   "{",	   "[",	    "{\"a\"}", "{\"a\":}",
		"{\"a\":1,}", "[1,]",	   "[,1]", "{1:2}", "[1 2]",   "{\"a\":1 \"b\":2}",
		"[1}",	      "{\"a\":1]", "nul",  "True",  "{} {}",   "{\"a\":1,\"a\":2}",
		"//x\n1",     "[1]x",	   "}",	   ",",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(bad[i]), -EINVAL);
	/* The same name in different objects. */
	assert_int_equal(parse("{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}"), 0);
	/* Escaped it is the same. */
	assert_int_equal(parse("{\"a\":1,\"\\u0061\":2}"), -EINVAL);
}

static void test_bounds(void **state)
{
	char deep[2 * JSON_MAX_DEPTH + 3] = "";

	memset(deep, '[', JSON_MAX_DEPTH);
	memset(deep + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
	assert_int_equal(parse(deep), 0);
	memset(deep, '[', JSON_MAX_DEPTH + 1);
	memset(deep + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
	assert_int_equal(parse(deep), -E2BIG);
	assert_int_equal(parse_len("[1,2]", 5, 3), 0);
	assert_int_equal(parse_len("[1,2]", 5, 2), -E2BIG);
	assert_int_equal(parse_len("{\"a\":1}", 7, 3), 0);
	assert_int_equal(parse_len("{\"a\":1}", 7, 2), -E2BIG);
	assert_int_equal(parse_len("{\"a\":1}", 7, 1), -E2BIG);
	assert_int_equal(parse_len("[\"a\"]", 5, 1), -E2BIG);
	assert_int_equal(parse_len("null", 4, 0), -E2BIG);
}

static void test_writer(void **state)
{
	struct json_out out = { .max = 1000 };

	json_open(&out, NULL, '{');
	json_put_u64(&out, "a", UINT64_MAX);
	json_put_text(&out, "b",
		      "q\" b\\ n\n e\x1b[ d\x7f \xc2\x9b \xe2\x80\xae \xff\xc3 \xf0\x9f\x98\x80");
	json_open(&out, "c", '[');
	json_put_bool(&out, NULL, true);
	json_put_bool(&out, NULL, false);
	json_put_null(&out, NULL);
	json_open(&out, NULL, '{');
	json_close(&out, '}');
	json_close(&out, ']');
	json_put_raw(&out, "d", "[1]", 3);
	json_close(&out, '}');
	json_put_bytes(&out, "", 1);
	assert_false(out.failed);
	assert_string_equal(
		out.buf, "{\"a\":18446744073709551615,\"b\":\"q\\\" b\\\\ n\\n e\\u001b[ d\\u007f "
			 "\\u009b \\u202e \xef\xbf\xbd\xef\xbf\xbd \xf0\x9f\x98\x80\","
			 "\"c\":[true,false,null,{}],\"d\":[1]}");
	json_out_free(&out);
	assert_null(out.buf);
	assert_int_equal(out.max, 1000);
}

static void test_writer_limit(void **state)
{
	struct json_out out = { .max = 10 };

	json_put_bytes(&out, "0123456789", 10);
	assert_false(out.failed);
	json_put_bytes(&out, "x", 1);
	assert_true(out.failed);
	assert_int_equal(out.len, 10);
	out.len = 0;
	json_put_bytes(&out, "x", 1); /* lost, like all after the first */
	assert_int_equal(out.len, 0);
	json_out_free(&out);
	assert_false(out.failed);
}

/* What was written is read as what it was, and the other way round. */
static void test_round(void **state)
{
	static const char text[] =
		"{\"a\":[-5,18446744073709551615,\"\\u001b\xc3\xa9\",true,null]}";
	struct json_out out = { .max = 1000 };
	const struct json *v;

	assert_int_equal(parse(text), 0);
	json_open(&out, NULL, '{');
	v = json_member(nodes, "a");
	json_open(&out, "a", '[');
	v = json_first(v);
	for (int i = 0; i < 5; i++, v = json_next(v))
		json_put(&out, NULL, v);
	json_close(&out, ']');
	json_close(&out, '}');
	json_put_bytes(&out, "", 1);
	assert_string_equal(out.buf, text);
	json_out_free(&out);
}

static int free_copy(void **state)
{
	free(copy);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),	     cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_strings),	     cmocka_unit_test(test_structure),
		cmocka_unit_test(test_bounds),	     cmocka_unit_test(test_writer),
		cmocka_unit_test(test_writer_limit), cmocka_unit_test(test_round),
	};

	return cmocka_run_group_tests(tests, NULL, free_copy);
}
