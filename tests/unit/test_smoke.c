/* SPDX-License-Identifier: MIT */
/* smoke/: output of consoles to a verdict, whatever its pieces; marks of a boot; reports. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/marks.h"
#include "lkvm/smoke.h"
#include "lkvm/util.h"

#define NOT_STOPPED (~0ULL)

struct test {
	struct smoke smoke;
	struct marks marks;
	u64 stopped; /* as stop was called last */
	u32 stops;
};

static void on_stop(void *opaque, u64 ns)
{
	struct test *t = opaque;

	t->stopped = ns;
	t->stops++;
}

static void begin(struct test *t, const char *expect, const char *fail, const char *allow)
{
	const char *why;

	log_set_level(LOG_ERROR);
	memset(t, 0, sizeof(*t));
	marks_init(&t->marks, now_ns());
	t->stopped = NOT_STOPPED;
	t->smoke.stop = on_stop;
	t->smoke.opaque = t;
	t->smoke.marks = &t->marks;
	t->smoke.log_fd = -1;
	smoke_init(&t->smoke);
	if (expect)
		assert_int_equal(smoke_add(&t->smoke, SMOKE_EXPECT, expect, &why), 0);
	if (fail)
		assert_int_equal(smoke_add(&t->smoke, SMOKE_FAIL, fail, &why), 0);
	if (allow)
		assert_int_equal(smoke_add(&t->smoke, SMOKE_ALLOW, allow, &why), 0);
	smoke_add_crashes(&t->smoke, true);
	smoke_ready(&t->smoke, 2, true);
}

static void say(struct test *t, u32 console, const char *text)
{
	smoke_output(&t->smoke, console, (const u8 *)text, strlen(text));
}

static void expect_verdict(struct test *t, enum smoke_verdict verdict)
{
	smoke_finish(&t->smoke);
	assert_int_equal(t->smoke.verdict, verdict);
	smoke_destroy(&t->smoke);
}

/* The machine goes on until the line is whole, or as long as one waits for it. */
static void stops_after_the_line(void **state)
{
	struct test t;

	begin(&t, "two", NULL, NULL);
	say(&t, 0, "one\ntw");
	assert_int_equal(t.stopped, NOT_STOPPED);
	say(&t, 0, "o and");
	assert_int_equal(t.smoke.verdict, SMOKE_PASSED);
	assert_in_range(t.stopped, 1, 10000000000ULL);
	say(&t, 1, "another's\n");
	assert_int_not_equal(t.stopped, 0);
	say(&t, 0, " more\n");
	assert_int_equal(t.stopped, 0);
	say(&t, 0, "Kernel panic - not syncing\n");
	assert_int_equal(t.stops, 2);
	expect_verdict(&t, SMOKE_PASSED);
}

static void first_byte_decides(void **state)
{
	struct test t;

	begin(&t, "good", "bad", NULL);
	say(&t, 0, "good bad");
	expect_verdict(&t, SMOKE_PASSED);
	begin(&t, "good", "bad", NULL);
	say(&t, 1, "bad ");
	say(&t, 0, "good");
	assert_string_equal(t.smoke.cause->line, "bad");
	expect_verdict(&t, SMOKE_FAILED);
	begin(&t, "good", "bad", NULL);
	assert_true(smoke_decide(&t.smoke, SMOKE_TIMEOUT, "%s", "too \x1b late"));
	assert_false(smoke_decide(&t.smoke, SMOKE_PASSED, "%s", "no"));
	say(&t, 0, "good bad");
	assert_string_equal(t.smoke.reason, "too ? late");
	assert_int_equal(t.stops, 0);
	expect_verdict(&t, SMOKE_TIMEOUT);
}

/* A line that may be allowed is known at its end; consoles do not mix. */
static void allowed_lines(void **state)
{
	static const char crash[] = "[    1.0] BUG: scheduling while atomic";
	struct test t;

	begin(&t, NULL, NULL, "atomic");
	say(&t, 0, crash);
	say(&t, 0, "\n");
	assert_int_equal(t.smoke.verdict, SMOKE_OPEN);
	say(&t, 0, "[ 2.0] BUG: something else");
	assert_int_equal(t.smoke.verdict, SMOKE_OPEN);
	say(&t, 1, "atomic\n");
	say(&t, 0, "\n");
	assert_int_equal(t.smoke.verdict, SMOKE_FAILED);
	assert_int_not_equal(t.stopped, 0);
	say(&t, 0, "---[ end Kernel panic - not syncing: x ]---\r");
	assert_int_not_equal(t.stopped, 0);
	say(&t, 0, "\n");
	assert_int_equal(t.stopped, 0);
	expect_verdict(&t, SMOKE_FAILED);
	/* One without an end is a line when no more comes. */
	begin(&t, NULL, NULL, NULL);
	say(&t, 0, crash);
	expect_verdict(&t, SMOKE_FAILED);
}

/* The same whatever the pieces are. */
static void pieces(void **state)
{
	static const char text[] =
		"a\x1b[1;31mb\x1b]0;title\x07 c\r\r\nd\x1b]8;;\x1b\\e\x1b(Bf\x1b[g\n"
		"\x1bPq~\x1b\\x\x1b[12\ny\rz\x1b";
	static const char want[] = "ab c\ndef\nx\ny\nz\n";

	for (size_t piece = 1; piece < sizeof(text); piece++) {
		struct test t;
		char *tail;

		begin(&t, "^def$", NULL, NULL);
		for (size_t at = 0; at < sizeof(text) - 1; at += piece)
			smoke_output(&t.smoke, 1, (const u8 *)text + at,
				     MIN(piece, sizeof(text) - 1 - at));
		smoke_finish(&t.smoke);
		tail = smoke_tail(&t.smoke);
		assert_string_equal(tail, want);
		free(tail);
		expect_verdict(&t, SMOKE_PASSED);
	}
}

/* Only the end of a line, and of all output, is kept. */
static void bounded(void **state)
{
	struct test t;
	char *tail;

	begin(&t, "x{200}END", NULL, NULL);
	for (u32 i = 0; i < 100000; i++)
		say(&t, 0, "xx");
	say(&t, 0, "END");
	assert_true(strlen(t.smoke.rules[1].line) <= SMOKE_LINE);
	assert_string_equal(t.smoke.rules[1].line + strlen(t.smoke.rules[1].line) - 5, "xxEND");
	smoke_finish(&t.smoke);
	tail = smoke_tail(&t.smoke);
	assert_int_equal(strlen(tail), SMOKE_TAIL);
	assert_string_equal(tail + SMOKE_TAIL - 6, "xxEND\n");
	free(tail);
	expect_verdict(&t, SMOKE_PASSED);
	/* What begins like an escape sequence and is none hides nothing for long. */
	begin(&t, "found", NULL, NULL);
	say(&t, 0, "\x1b]");
	for (u32 i = 0; i < 300; i++)
		say(&t, 0, "y");
	say(&t, 0, "found");
	expect_verdict(&t, SMOKE_PASSED);
}

static void marks_of_a_boot(void **state)
{
	struct test t;
	char name[16], *text = NULL;
	size_t len;
	FILE *out;

	begin(&t, NULL, NULL, NULL);
	marks_add(&t.marks, MARK_GUEST, 0);
	say(&t, 0, "[    0.9] Run /init as init process\n[ 0.9] Run /sbin/init as init process\n");
	marks_add(&t.marks, MARK_GUEST_SET, 7);
	marks_add(&t.marks, MARK_GUEST_SET, 7);
	marks_add(&t.marks, MARK_GUEST, 0);
	say(&t, 0, "Run /init as init process\n");
	for (u32 i = 0; i < 2 * MARKS_MAX; i++)
		marks_add(&t.marks, MARK_GUEST_SET, 1);
	marks_add(&t.marks, MARK_END, 0);
	marks_add(NULL, MARK_END, 0);
	assert_int_equal(t.marks.nr, MARKS_MAX);
	out = open_memstream(&text, &len);
	assert_non_null(out);
	for (u32 i = 0; i < 10; i++)
		fprintf(out, "%s ", mark_name(&t.marks.list[i], name, sizeof(name)));
	fprintf(out, "%s", mark_name(&t.marks.list[MARKS_MAX - 1], name, sizeof(name)));
	fclose(out);
	assert_string_equal(text,
			    "exec guest console init mark.7 mark.7 guest console init mark.1 end");
	free(text);
	for (u32 i = 1; i < t.marks.nr; i++)
		assert_true(t.marks.list[i - 1].ns <= t.marks.list[i].ns);
	text = NULL;
	out = open_memstream(&text, &len);
	marks_print(&t.marks, out);
	fclose(out);
	assert_non_null(strstr(text, "exec=0 guest="));
	assert_non_null(strstr(text, " lost=74"));
	free(text);
	smoke_destroy(&t.smoke);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stops_after_the_line),
		cmocka_unit_test(first_byte_decides),
		cmocka_unit_test(allowed_lines),
		cmocka_unit_test(pieces),
		cmocka_unit_test(bounded),
		cmocka_unit_test(marks_of_a_boot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
