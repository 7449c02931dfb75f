/* SPDX-License-Identifier: MIT */
/* util/options-parse.c and -help.c with rows of their own. */
#include "capture.h"

#include <stdio.h>
#include <stdlib.h>

#include "lkvm/options.h"
#include "lkvm/util.h"

static const u32 here = OPT_ARCH_X86;
static const u64 begins_at = 2 * GiB;

struct target {
	bool flag, other, no_thing;
	char *string;
	u32 number;
	u64 size, placed;
	char *joined;
	int choice;
	unsigned int calls, bare_calls, moods;
	char mood[32];
};

static int count_call(const char *shown, const char *arg, void *opaque)
{
	struct target *t = opaque;

	if (!arg) {
		t->bare_calls++;
		return 0;
	}
	t->calls++;
	return strcmp(arg, "bad") ? 0 : -EINVAL;
}

static int mood_parse(const char *shown, const char *arg, void *opaque)
{
	struct target *t = opaque;

	t->moods++;
	snprintf(t->mood, sizeof(t->mood), "%s", arg);
	return 0;
}

static char *mood_text(const void *opaque, u32 i)
{
	const struct target *t = opaque;

	return i || !t->moods ? NULL : xstrdup(t->mood);
}

static const char *const mood_items[] = { "merry", "colour=NAME", NULL };
static const struct option_hooks mood_hooks = {
	.parse = mood_parse,
	.text = mood_text,
	.items = mood_items,
};

static void mood_list(FILE *out) {}

static const char *const colours[] = { "red", "green", "blue", NULL };
#define MEMBER(m) .offset = offsetof(struct target, m)
static const char *const shapes_elsewhere[] = { "square", NULL };
static const char *const shapes_here[] = { "circle", "oval", NULL };
static const struct option_spec options[] = {
	{ .type = OPT_GROUP, .help = "Some" },
	{ .type = OPT_FLAG, .short_name = 'a', .name = "flag", .help = "a flag", MEMBER(flag) },
	{ .type = OPT_FLAG, .short_name = 'b', .name = "other", .help = "other", MEMBER(other) },
	{ .type = OPT_FLAG, .name = "no-thing", .help = ".thing", MEMBER(no_thing) },
	{ .type = OPT_STRING,
	  .short_name = 's',
	  .name = "string",
	  .arg = "TEXT",
	  .help = "a string with a help text that is so long that it must be wrapped, \\ --twice",
	  .def = "none",
	  MEMBER(string) },
	{ .type = OPT_U32,
	  .short_name = 'n',
	  .name = "number",
	  .arg = "N",
	  .help = "a number",
	  .min = 2,
	  MEMBER(number) },
	{ .type = OPT_SIZE,
	  .name = "size",
	  .arg = "SIZE",
	  .min = MiB,
	  .help = "a size",
	  MEMBER(size) },
	{ .type = OPT_SIZE,
	  .name = "placed",
	  .arg = "SIZE",
	  .address = &begins_at,
	  .help = "a size at an address",
	  MEMBER(placed) },
	{ .type = OPT_STRING,
	  .short_name = 'j',
	  .name = "joined",
	  .arg = "WORDS",
	  .flags = OPT_JOIN,
	  .help = "words",
	  MEMBER(joined) },
	{ .type = OPT_GROUP, .help = "More" },
	{ .type = OPT_CHOICE, .name = "colour", .choices = colours, .help = "c", MEMBER(choice) },
	{ .type = OPT_CALL,
	  .short_name = 'x',
	  .name = "call",
	  .arg = "X",
	  .help = "call",
	  .parse = count_call },
	{ .type = OPT_CALL, .name = "bare", .help = "bare", .parse = count_call },
	{ .type = OPT_TYPED,
	  .name = "mood",
	  .arg = "[WORD]...",
	  .help = "m",
	  .hooks = &mood_hooks,
	  .list = mood_list,
	  .flags = OPT_OPTIONAL },
	{ .type = OPT_FLAG,
	  .name = "secret",
	  .help = "hidden",
	  .flags = OPT_HIDDEN,
	  MEMBER(other) },
	OPT_END,
};
/* The same option on two architectures, with words of its own on each. */
static const struct option_spec rows_elsewhere[] = {
	{ .type = OPT_GROUP, .help = "Elsewhere" },
	{ .type = OPT_FLAG, .name = "arm-only", .short_name = 'A', .help = "arm", MEMBER(other) },
	{ .type = OPT_CHOICE,
	  .name = "shape",
	  .choices = shapes_elsewhere,
	  .help = "s",
	  MEMBER(choice) },
	OPT_END,
};
static const struct option_spec rows_here[] = {
	{ .type = OPT_GROUP, .help = "More" },
	{ .type = OPT_CHOICE,
	  .name = "shape",
	  .choices = shapes_here,
	  .help = "s",
	  MEMBER(choice) },
	OPT_END,
};
/* The last array is taken in part, at another place, with another default. */
static const struct option_spec partly[] = {
	{ .type = OPT_GROUP, .help = "Left out" },
	{ .type = OPT_FLAG, .name = "left-out", .help = "l" },
	{ .type = OPT_GROUP, .help = "Taken" },
	{ .type = OPT_U32,
	  .name = "taken",
	  .arg = "N",
	  .help = "t",
	  .def = "1",
	  .flags = OPT_OWNER },
	OPT_END,
};
static const struct option_default defaults[] = { { "taken", "2" }, { 0 } };
static const struct option_source sources[] = {
	{ .rows = options },
	{ .rows = rows_elsewhere, .archs = OPT_ARCH_ARM64 | OPT_ARCH_RISCV },
	{ .rows = rows_here, .archs = OPT_ARCH_X86 },
	{ .rows = partly,
	  .offset = offsetof(struct target, number),
	  .only = OPT_OWNER,
	  .defaults = defaults },
	{ 0 },
};
static const struct option_set set = { .sources = sources, .here = &here };
static const struct command command = {
	.name = "try",
	.usage = "lkvm try [options]",
	.description = "Tries.",
	.options = &set,
	.word = "file",
};

static struct target t;
static int nr_words, rest, nr_args;
static char *args[32];

static int clear(void **state)
{
	free(t.string);
	free(t.joined);
	memset(&t, 0, sizeof(t));
	return 0;
}

/* What @print writes for @cmd. */
static const char *printed(void (*print)(const struct command *, FILE *), const struct command *cmd)
{
	static char text[16384];
	FILE *out = fmemopen(text, sizeof(text), "w");

	print(cmd, out);
	fclose(out);
	return text;
}

/* Parse the words of @line, which ' ' parts ('_' stands for a blank inside a word). */
static int try(const char *line)
{
	static char copy[512];
	int ret;

	nr_args = 0;
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *save = NULL, *w = strtok_r(copy, " ", &save); w;
	     w = strtok_r(NULL, " ", &save)) {
		for (char *c = w; *c; c++)
			if (*c == '_')
				*c = ' ';
		args[nr_args++] = w;
	}
	capture_begin();
	ret = options_parse(&command, nr_args, args, &t, &nr_words, &rest);
	capture_end();
	if (ret == 0)
		assert_string_equal(captured, "");
	if (ret < 0)
		assert_one_line(captured);
	return ret;
}

static void test_forms(void **state)
{
	assert_int_equal(try("--string=a --number 7 --size=5 --colour blue -a"), 0);
	assert_string_equal(t.string, "a");
	assert_int_equal(t.number, 7);
	assert_true(t.size == 5 * MiB);
	assert_int_equal(t.choice, 2);
	assert_true(t.flag);
	assert_int_equal(try("-sb -n8 -n 9"), 0);
	assert_string_equal(t.string, "b");
	assert_int_equal(t.number, 9);
	assert_int_equal(try("--string="), 0);
	assert_string_equal(t.string, "");
	assert_int_equal(try("--string=a=b"), 0);
	assert_string_equal(t.string, "a=b");
	assert_int_equal(try("-x a --call b --call=c --bare"), 0);
	assert_int_equal(t.calls, 3);
	assert_int_equal(t.bare_calls, 1);
	clear(NULL);
	assert_int_equal(try("-abn5"), 0);
	assert_true(t.flag && t.other);
	assert_int_equal(t.number, 5);
	clear(NULL);
	assert_int_equal(try("-absx"), 0);
	assert_string_equal(t.string, "x");
}

static void test_negation(void **state)
{
	assert_int_equal(try("--flag --no-flag --no-thing"), 0);
	assert_false(t.flag);
	assert_true(t.no_thing);
	assert_int_equal(try("--thing"), 0);
	assert_false(t.no_thing);
	assert_int_equal(try("--no-string"), -EINVAL);
}

static void test_words(void **state)
{
	assert_int_equal(try("one -a two -n 4 - -- -b three"), 0);
	assert_int_equal(nr_words, 3);
	assert_string_equal(args[0], "one");
	assert_string_equal(args[1], "two");
	assert_string_equal(args[2], "-");
	assert_int_equal(rest, 7);
	assert_string_equal(args[rest], "-b");
	assert_false(t.other);
	assert_int_equal(try(""), 0);
	assert_int_equal(nr_words, 0);
	assert_int_equal(rest, 0);
	assert_int_equal(try("--"), 0);
	assert_int_equal(rest, 1);
}

static void test_missing_argument(void **state)
{
	assert_int_equal(try("--string"), -EINVAL);
	assert_contains(captured, "--string: needs an argument: TEXT");
	assert_int_equal(try("-s"), -EINVAL);
	assert_contains(captured, "-s: needs an argument: TEXT");
	/* A known option is never swallowed as an argument ... */
	assert_int_equal(try("--string --number 5"), -EINVAL);
	assert_contains(captured, "--string: needs an argument (TEXT) before '--number'");
	assert_contains(captured, "--string=--number");
	assert_int_equal(try("-s -n 5"), -EINVAL);
	assert_int_equal(try("-s --number=5"), -EINVAL);
	assert_int_equal(try("-s --no-flag"), -EINVAL);
	assert_int_equal(try("-s -- x"), -EINVAL);
	/* ... but what is none is an argument, and so is what is attached. */
	assert_int_equal(try("-s -verbose_run"), 0);
	assert_string_equal(t.string, "-verbose run");
	assert_int_equal(try("-s --_single"), 0);
	assert_string_equal(t.string, "-- single");
	assert_int_equal(try("--string=--number"), 0);
	assert_string_equal(t.string, "--number");
	assert_int_equal(try("-s -"), 0);
	assert_string_equal(t.string, "-");
}

/* The next word is the argument only where it looks like one. */
static void test_optional_argument(void **state)
{
	static const struct {
		const char *line, *mood;
		int words;
	} lines[] = {
		{ "--mood", "", 0 },
		{ "--mood kernel", "", 1 },
		{ "--mood ./colour=x", "", 1 },
		{ "--mood --flag", "", 0 },
		{ "--mood -a=b", "", 0 },
		{ "--mood merry", "merry", 0 },
		{ "--mood merry,x kernel", "merry,x", 1 },
		{ "--mood merrykernel", "", 1 },
		{ "--mood colour=red", "colour=red", 0 },
		{ "--mood colur=red", "colur=red", 0 },
		{ "--mood=kernel", "kernel", 0 },
		{ "--mood= colour=red", "", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		memset(t.mood, 'x', sizeof(t.mood));
		if (strstr(lines[i].line, "-a="))
			assert_int_equal(try(lines[i].line), -EINVAL);
		else
			assert_int_equal(try(lines[i].line), 0);
		assert_string_equal(t.mood, lines[i].mood);
		if (!strstr(lines[i].line, "-a="))
			assert_int_equal(nr_words, lines[i].words);
	}
	assert_int_equal(try("--mood help"), 1);
}

static void test_bad_values(void **state)
{
	t.number = 77;
	assert_int_equal(try("--number many"), -EINVAL);
	assert_contains(captured, "--number many: is not a number");
	assert_int_equal(try("--number 4294967296"), -EINVAL);
	assert_contains(captured, "--number 4294967296: is too large; the maximum is 4294967295");
	assert_int_equal(try("--number 1"), -EINVAL);
	assert_contains(captured, "--number 1: is too small; the minimum is 2");
	assert_int_equal(try("--size 1023K"), -EINVAL);
	assert_contains(captured, "--size 1023K: is too small; the minimum is 1M");
	assert_int_equal(try("--size 5Q"), -EINVAL);
	assert_contains(captured, "--size 5Q: is not a size");
	assert_int_equal(try("--size 99999999999P"), -EINVAL);
	assert_contains(captured, "too large");
	assert_int_equal(try("--colour gren"), -EINVAL);
	assert_contains(captured,
			"--colour gren: is not one of red, green, blue; did you mean 'green'?");
	assert_int_equal(try("--colour="), -EINVAL);
	assert_contains(captured, "--colour '': is not one of");
	assert_int_equal(try("--number="), -EINVAL);
	assert_contains(captured, "--number '': is not a number");
	assert_int_equal(try("--help=x"), -EINVAL);
	assert_contains(captured, "--help=x: --help takes no argument");
	assert_int_equal(try("--flag=on"), -EINVAL);
	assert_contains(captured, "--flag=on: --flag takes no argument");
	assert_int_equal(t.number, 77);
	capture_begin();
	args[0] = (char *)"--call=bad";
	assert_int_equal(options_parse(&command, 1, args, &t, &nr_words, &rest), -EINVAL);
	capture_end();
}

static void test_size_and_address(void **state)
{
	assert_int_equal(try("--placed 1.5G"), 0);
	assert_true(t.placed == 1536 * MiB);
	assert_int_equal(try("--placed 512@0x80000000"), 0);
	assert_true(t.placed == 512 * MiB);
	assert_int_equal(try("--placed 1.5g@2G"), 0);
	assert_true(t.placed == 1536 * MiB);
	assert_int_equal(try("--placed 1G@1G"), -EINVAL);
	assert_contains(captured, "--placed 1G@1G: memory begins at 0x80000000 on this machine; "
				  "omit '@1G'");
	assert_int_equal(try("--placed 1G@"), -EINVAL);
	assert_contains(captured, "--placed 1G@: '' is not an address");
	assert_int_equal(try("--placed 1G@2G@2G"), -EINVAL);
	assert_int_equal(try("--placed @2G"), -EINVAL);
	assert_contains(captured, "is not a size");
	assert_int_equal(try("--placed -1G"), -EINVAL);
	assert_contains(captured, "--placed -1G: is not a size");
	/* Only where the row says so. */
	assert_int_equal(try("--size 1G@2G"), -EINVAL);
	assert_contains(captured, "--size 1G@2G: is not a size");
	assert_true(t.placed == 1536 * MiB && !t.size);
}

static void test_joined(void **state)
{
	assert_int_equal(try("-j a -j b=c_d --joined=e"), 0);
	assert_string_equal(t.joined, "a b=c d e");
	clear(NULL);
	assert_int_equal(try("-j= --joined= -jx"), 0);
	assert_string_equal(t.joined, "= x");
	clear(NULL);
	assert_int_equal(try("--joined= -jx --joined="), 0);
	assert_string_equal(t.joined, "x");
	assert_int_equal(try("-s a -s b"), 0);
	assert_string_equal(t.string, "b");
	assert_contains(printed(options_print_help, &command), "words; may be repeated\n");
}

static void test_unknown(void **state)
{
	char word[3000];

	assert_int_equal(try("--strng=x"), -EINVAL);
	assert_contains(captured, "unknown option '--strng'; did you mean '--string'?");
	assert_int_equal(try("--zzzzzz"), -EINVAL);
	assert_contains(captured, "'lkvm help try' lists the options");
	assert_int_equal(try("-z"), -EINVAL);
	assert_contains(captured, "unknown option '-z'");
	assert_int_equal(try("-aq"), -EINVAL);
	assert_int_equal(try("--=x"), -EINVAL);
	assert_int_equal(try("--secre"), -EINVAL);
	assert_lacks(captured, "secret");
	assert_int_equal(try("--shape oval"), 0);
	assert_int_equal(t.choice, 1);
	assert_int_equal(try("--shape square"), -EINVAL);
	assert_contains(captured, "circle, oval");
	assert_int_equal(try("--arm-only"), -EINVAL);
	assert_contains(captured,
			"--arm-only is an option of arm64, riscv64; this lkvm is for x86-64");
	assert_int_equal(try("-A"), -EINVAL);
	assert_contains(captured, "-A is an option of arm64");
	assert_int_equal(try("--no-arm-only"), -EINVAL);
	assert_contains(captured, "--no-arm-only is an option of arm64");
	assert_int_equal(try("--taken 7"), 0);
	assert_int_equal(t.number, 7);
	assert_int_equal(try("--left-out"), -EINVAL);
	assert_contains(captured, "unknown option '--left-out'");
	memset(word, '-', sizeof(word));
	word[sizeof(word) - 1] = '\0';
	args[0] = word;
	capture_begin();
	assert_int_equal(options_parse(&command, 1, args, &t, &nr_words, &rest), -EINVAL);
	assert_true(strlen(capture_end()) < 200);
}

static void test_help(void **state)
{
	const char *text = printed(options_print_help, &command);

	assert_contains(text, "usage: lkvm try [options]\n\nTries.\n\nSome:\n");
	assert_contains(text, "\n  -s, --string TEXT           a string");
	assert_contains(text, "(default: none)");
	assert_contains(text, "      --colour red|green|blue\n                              c\n");
	assert_lacks(text, "secret");
	assert_lacks(text, "arm-only");
	assert_lacks(text, "Elsewhere");
	assert_lacks(text, "square");
	assert_lacks(text, "Left out");
	/* A heading that goes on is not printed again. */
	assert_null(strstr(strstr(text, "More:") + 1, "More:"));
	assert_contains(text, "\nTaken:\n      --taken N               t (default: 2)\n");
	for (const char *p = text; *p; p = strchr(p, '\n') + 1)
		assert_true(strcspn(p, "\n") <= 80);
}

/* Nothing is cut off, however long a row is. */
static void test_long_help(void **state)
{
	char words[1501], name[301];
	const char *const choices[] = { name, "last", NULL };
	const struct option_spec rows[] = {
		{ .type = OPT_CHOICE, .name = "long", .choices = choices, .help = words },
		OPT_END,
	};
	const struct option_source of[] = { { .rows = rows }, { 0 } };
	const struct option_set long_set = { .sources = of, .here = &here };
	const struct command long_command = { .name = "try", .usage = "u", .options = &long_set };
	const char *text;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (size_t i = 0; i < sizeof(words) - 1; i++)
		words[i] = i % 10 == 9 ? ' ' : 'w';
	memcpy(words + sizeof(words) - 5, "done", 5);
	text = printed(options_print_help, &long_command);
	assert_contains(text, "n|last\n");
	assert_contains(text, "wdone");
	text = printed(options_print_man, &long_command);
	assert_contains(text, "n|last\"\n");
	args[0] = (char[]){ "--long=x" };
	capture_begin();
	assert_int_equal(options_parse(&long_command, 1, args, &t, &nr_words, &rest), -EINVAL);
	assert_contains(capture_end(), "n, last\n");
}

static void test_man(void **state)
{
	const char *text = printed(options_print_man, &command);

	assert_contains(text, ".Ss Some\n.Bl -tag -width Ds\n.It Fl a , Fl \\-flag\na flag.\n");
	assert_contains(text, "\n\\&.thing.\n");
	assert_contains(text, "wrapped, \\e \\--twice.\nDefault: none.\n");
	assert_contains(text, ".It Fl \\-colour Ar \"red|green|blue\"\n");
	assert_contains(text, "Only on arm64, riscv64.\n");
	assert_lacks(text, "secret");
}

static void test_completion_words(void **state)
{
	const char *text = printed(options_print_words, &command);

	assert_contains(text, "-a --flag\tflag\t-\ta flag\n");
	assert_contains(text, "-s --string\tany\t-\ta string");
	assert_contains(text, "\n--colour\tone\tred green blue\tc\n");
	assert_contains(text, "\n--help\tflag\t-\tshow this help\n");
	/* Its words are no options. */
	assert_contains(text, "\n-\tfile\t-\t-\n");
	assert_lacks(text, "arm-only");
	assert_lacks(text, "Elsewhere");
	assert_lacks(text, "square");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_forms, clear),
		cmocka_unit_test_setup(test_negation, clear),
		cmocka_unit_test_setup(test_words, clear),
		cmocka_unit_test_setup(test_missing_argument, clear),
		cmocka_unit_test_setup(test_bad_values, clear),
		cmocka_unit_test_setup(test_optional_argument, clear),
		cmocka_unit_test_setup(test_size_and_address, clear),
		cmocka_unit_test_setup(test_joined, clear),
		cmocka_unit_test_setup(test_unknown, clear),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_long_help),
		cmocka_unit_test(test_man),
		cmocka_unit_test(test_completion_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
