/* SPDX-License-Identifier: MIT */
/* util/pattern*.c: expressions that are found, byte by byte; what is refused; a second opinion. */
#include "unit.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/pattern.h"
#include "lkvm/util.h"

#define MAX_FOUND 8

/* Where each pattern was found first: the bytes that had been given, or -1. */
struct finds {
	s32 at[MAX_FOUND];
	s32 given;
};

static void on_found(void *opaque, u32 nr)
{
	struct finds *f = opaque;

	assert_in_range(nr, 0, MAX_FOUND - 1);
	if (f->at[nr] < 0)
		f->at[nr] = f->given;
}

/* Look for the patterns in @text: '\n' ends a line. */
static struct finds search(const char *const *patterns, const char *text, size_t len)
{
	struct pattern_set set = { 0 };
	struct pattern_stream s;
	struct finds f;
	const char *why = NULL;

	memset(f.at, 0xff, sizeof(f.at));
	for (f.given = 0; *patterns; patterns++)
		if (pattern_add(&set, *patterns, &why))
			fail_msg("'%s' %s", *patterns, why);
	pattern_set_ready(&set);
	pattern_stream_init(&s, &set, on_found, &f);
	for (size_t i = 0; i < len; i++) {
		f.given++;
		if (text[i] == '\n')
			pattern_end_line(&s);
		else
			pattern_byte(&s, (u8)text[i]);
	}
	pattern_stream_destroy(&s);
	pattern_set_destroy(&set);
	return f;
}

/* After how many bytes, or -1. */
static s32 find(const char *pattern, const char *text)
{
	const char *const patterns[] = { pattern, NULL };

	return search(patterns, text, strlen(text)).at[0];
}

static void test_found(void **state)
{
	static const struct {
		const char *pattern, *text;
		s32 at;
	} cases[] = {
		{ "login: *", "Debian login: ", 13 },
		{ "b", "aab", 3 },
		{ "ab|cd|e", "xxcdx", 4 },
		{ "(ab|c)+d", "abcabd", 6 },
		{ "a{3}", "aabaaa", 6 },
		{ "a{2,}b", "abaaab", 6 },
		{ "^a{1,2}b", "aaab\naab", 8 },
		{ "^x", "yx\nx", 4 },
		{ "x$", "xy\nzx\n", 6 },
		{ "^$", "a\n\n", 3 },
		{ "(^|[]:>] )BUG: ", "[    1.2] BUG: x", 15 },
		{ "(^|[]:>] )BUG: ", "no BUG: x", -1 },
		{ "[^a-c]", "abcd", 4 },
		{ "[]x-]", "ab-", 3 },
		{ "[[:digit:]]+\\.[0-9]", "v 12.3", 6 },
		{ "\\d+ \\w\\W\\s\\S", "1 _-\tx", 6 },
		{ "\\(initramfs\\)", "(initramfs) ", 11 },
		{ "a.c", "abc", 3 },
		{ "a.c", "ab\nc", -1 },
		{ "(a|b)?c", "c", 1 },
		{ "(a*)*b", "aaab", 4 },
		{ "((a{2}){2}){2}$", "aaaaaaaa\n", 9 },
		{ "x{0}y", "y", 1 },
		{ "a{", "a{", 2 },
		{ "\xc3\xa4|.\xe2\x82\xac", "gr\xc3\xa4", 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		s32 at = find(cases[i].pattern, cases[i].text);

		if (at != cases[i].at)
			fail_msg("'%s' in '%s': %d, not %d", cases[i].pattern, cases[i].text, at,
				 cases[i].at);
	}
}

/* Each for itself, and zeroes are bytes as others. */
static void test_many(void **state)
{
	static const char *const patterns[] = { "one", "t[w-w]o", "^three$", "\\x|four", NULL };
	static const char *const ok[] = { "one", "t[w-w]o", "^three$", "a.b", NULL };
	static const char text[] = "two\none\nthree\na\0b";
	struct pattern_set set = { 0 };
	const char *why = NULL;
	struct finds f = search(ok, text, sizeof(text) - 1);

	assert_int_equal(f.at[0], 7);
	assert_int_equal(f.at[1], 3);
	assert_int_equal(f.at[2], 14);
	assert_int_equal(f.at[3], 17);
	/* One that is refused leaves the others as they were. */
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(pattern_add(&set, patterns[i], &why), 0);
	assert_int_equal(pattern_add(&set, patterns[3], &why), -EINVAL);
	assert_int_equal(set.nr, 3);
	pattern_set_destroy(&set);
}

static void refuse(const char *pattern, const char *what)
{
	struct pattern_set set = { 0 };
	const char *why = "nothing";

	assert_int_equal(pattern_add(&set, pattern, &why), -EINVAL);
	if (!strstr(why, what))
		fail_msg("'%s' %s", pattern, why);
	pattern_set_destroy(&set);
}

static void test_refused(void **state)
{
	static const struct {
		const char *pattern, *why;
	} cases[] = {
		{ "(a", "')'" },
		{ "a)", "'('" },
		{ "[a", "']'" },
		{ "[", "']'" },
		{ "[^", "']'" },
		{ "[[:digit]", "class" },
		{ "[[:digits:]]", "class" },
		{ "[[.a.]]", "collating" },
		{ "[z-a]", "backwards" },
		{ "[\xc3\xa4]", "ASCII" },
		{ "a{2", "'}'" },
		{ "a{3,2}", "fewer" },
		{ "a{256}", "255" },
		{ "{2}", "'{'" },
		{ "*a", "repeat" },
		{ "a|+", "repeat" },
		{ "a\\", "backslash" },
		{ "(a)\\1", "back-reference" },
		{ "\\bx", "backslash before" },
		{ "(?:a)", "(?" },
		{ "a{255}{255}", "too long" },
		{ "((((a{200}){200}){200}){200})", "too long" },
		{ "", "everywhere" },
		{ "a*", "everywhere" },
		{ "^", "everywhere" },
	};
	char deep[256];

	memset(deep, '(', sizeof(deep));
	deep[sizeof(deep) - 1] = '\0';
	refuse(deep, "parentheses");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refuse(cases[i].pattern, cases[i].why);
}

/* A line of any length costs nothing but its bytes; no expression makes a text slow. */
static void test_long_line(void **state)
{
	size_t len = 4 * MiB;
	char *text = malloc(len + 8);
	const char *const patterns[] = { "(a|aa)+(a|aa)+(a*)*b", "^a+$", "end$", NULL };
	struct finds f;

	assert_non_null(text);
	memset(text, 'a', len);
	memcpy(text + len, "end\n", 4);
	f = search(patterns, text, len + 4);
	assert_int_equal(f.at[0], -1);
	assert_int_equal(f.at[1], -1);
	assert_int_equal(f.at[2], len + 4);
	free(text);
}

/* A second opinion: the C library's, of random expressions and lines. */

static u32 seed;

static u32 roll(u32 n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static size_t make_pattern(char *buf, u32 depth)
{
	size_t n = 0;

	for (u32 pieces = 1 + roll(3); pieces--;) {
		switch (roll(depth ? 8 : 5)) {
		case 0:
			n += (size_t)sprintf(buf + n, "[%s%c-c]", roll(2) ? "^" : "",
					     (char)('a' + roll(3)));
			break;
		case 1:
			buf[n++] = '.';
			break;
		case 5:
		case 6:
			buf[n++] = '(';
			n += make_pattern(buf + n, depth - 1);
			if (roll(2)) {
				buf[n++] = '|';
				n += make_pattern(buf + n, depth - 1);
			}
			buf[n++] = ')';
			break;
		default:
			buf[n++] = (char)('a' + roll(3));
		}
		switch (roll(8)) {
		case 0:
			buf[n++] = '*';
			break;
		case 1:
			buf[n++] = '+';
			break;
		case 2:
			buf[n++] = '?';
			break;
		case 3:
			n += (size_t)sprintf(buf + n, "{%u,%u}", roll(3), 2 + roll(2));
			break;
		}
	}
	buf[n] = '\0';
	return n;
}

static void compare(const char *pattern)
{
	struct pattern_set set = { 0 };
	const char *why;
	regex_t re;

	if (pattern_add(&set, pattern, &why))
		return; /* it matches nothing */
	pattern_set_destroy(&set);
	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	for (u32 i = 0; i < 20; i++) {
		char line[12];
		u32 len = roll(sizeof(line) - 2);
		bool found;

		for (u32 k = 0; k < len; k++)
			line[k] = (char)('a' + roll(4));
		line[len] = '\0';
		found = !regexec(&re, line, 0, NULL, 0);
		line[len] = '\n';
		line[len + 1] = '\0';
		if ((find(pattern, line) >= 0) != found)
			fail_msg("'%s' in '%s': %s for the C library", pattern, line,
				 found ? "found" : "not found");
	}
	regfree(&re);
}

static void test_second_opinion(void **state)
{
	char pattern[4096];

	for (seed = 1; seed < 3000; seed++) {
		u32 before = seed;
		size_t n = 0;

		if (roll(4) == 0)
			pattern[n++] = '^';
		n += make_pattern(pattern + n, 2);
		if (roll(4) == 0)
			strcpy(pattern + n, "$");
		compare(pattern);
		seed = before;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),	       cmocka_unit_test(test_many),
		cmocka_unit_test(test_refused),	       cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_second_opinion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
