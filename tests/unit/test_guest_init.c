/* SPDX-License-Identifier: MIT */
/*
 * What guest/init reads and writes: its words, the files of the initramfs, messages of the link, in
 * pieces and broken. All else of it is tests/native/init.t's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Theirs are of another C library: none. */
#define memset	init_memset
#define memcpy	init_memcpy
#define memmove init_memmove
#define memcmp	init_memcmp
#define strlen	init_strlen
#include "../../guest/init/conf.c"
#include "../../guest/init/link.c"
#include "../../guest/init/text.c"
#undef memset
#undef memcpy
#undef memmove
#undef memcmp
#undef strlen

static char said[256];

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vformat(said, sizeof(said), fmt, ap);
	va_end(ap);
}

static void test_memory(void **state)
{
	char buf[] = "0123456789";

	init_memmove(buf + 2, buf, 5);
	assert_string_equal(buf, "0101234789");
	init_memmove(buf, buf + 2, 8);
	assert_string_equal(buf, "0123478989");
	assert_true(init_memcmp("ab\xff", "ab\1", 3) > 0);
	assert_int_equal(init_memcmp("abc", "abd", 2), 0);
	assert_int_equal(init_strlen(""), 0);
}

static void test_words(void **state)
{
	assert_true(begins("module.ko", "module"));
	assert_false(begins("mod", "module"));
	assert_false(equal("a", "ab"));
	assert_true(ends("x.zst", ".zst"));
	assert_false(ends("zst", ".zst"));
	assert_null(find_char("abc", '='));
	assert_int_equal(to_number("120 40"), 120);
	assert_int_equal(to_number("x"), 0);
	assert_string_equal(error_text(ENOENT), "No such file or directory");
	assert_string_equal(error_text(12345), "error 12345");
}

static void test_format(void **state)
{
	char buf[16];

	assert_int_equal(format(buf, sizeof(buf), "%s is %d%s", "x", -2147483647 - 1, "!"), 16 - 1);
	assert_string_equal(buf, "x is -214748364");
	assert_int_equal(format(buf, 1, "%s", "cut off"), 0);
	assert_string_equal(buf, "");
	assert_int_equal(format(buf, sizeof(buf), "%d%%", 0), 1);
	assert_string_equal(buf, "0");
}

/* A list that ends where its memory does, so that nothing behind it is looked at unnoticed. */
static char *exactly(const char *text, size_t len)
{
	char *p = malloc(len ? len : 1);

	assert_non_null(p);
	memcpy(p, text, len);
	return p;
}

#define SET(which, text) (which = exactly(text, sizeof(text) - 1), which##_len = sizeof(text) - 1)

static void test_conf(void **state)
{
	char **argv;

	SET(conf, "root=9p\0env=A=1\0envelope=x\0env=B=\0env=cut");
	assert_string_equal(conf_get("root", 0), "9p");
	assert_string_equal(conf_get("env", 0), "A=1");
	assert_string_equal(conf_get("env", 1), "B=");
	/* Without an end it is none. */
	assert_null(conf_get("env", 2));
	assert_null(conf_get("roo", 0));
	free(conf);
	SET(command, "sh\0\0-c\0x");
	assert_true(conf_command(&argv));
	assert_string_equal(argv[0], "sh");
	assert_string_equal(argv[1], "");
	assert_string_equal(argv[2], "-c");
	assert_null(argv[3]);
	free(command);
	SET(command, "cut");
	assert_true(conf_command(&argv));
	assert_null(argv);
	free(command);
	command = NULL;
	command_len = 0;
	assert_true(conf_command(&argv));
	assert_null(argv);
}

static void begin_link(int ends[2])
{
	in_at = in_len = 0;
	*said = '\0';
	assert_int_equal(pipe(ends), 0);
	fd = ends[0];
}

static void tell(int to, const void *data, size_t len)
{
	assert_int_equal(write(to, data, len), len);
	assert_true(link_read());
}

/* Messages come in any pieces, and several at once. */
static void test_messages(void **state)
{
	const u8 first[] = { 3, 0, 0, 0, LINK_DATA, LINK_STDIN, 0, 0, 'a', 'b', 'c' };
	const u8 second[] = { 0, 0, 0, 0, LINK_EOF, LINK_STDIN, 0, 0 };
	static u8 both[sizeof(first) + sizeof(second)];
	struct link_head head;
	const u8 *data;
	int ends[2];

	begin_link(ends);
	for (size_t i = 0; i < sizeof(first); i++) {
		assert_false(link_next(&head, &data));
		tell(ends[1], first + i, 1);
	}
	assert_true(link_next(&head, &data));
	assert_int_equal(head.type, LINK_DATA);
	assert_int_equal(head.len, 3);
	assert_memory_equal(data, "abc", 3);
	assert_false(link_next(&head, &data));
	memcpy(both, first, sizeof(first));
	memcpy(both + sizeof(first), second, sizeof(second));
	tell(ends[1], both, sizeof(both));
	assert_true(link_next(&head, &data));
	assert_true(link_next(&head, &data));
	assert_int_equal(head.type, LINK_EOF);
	assert_false(link_next(&head, &data));
	close(ends[1]);
	assert_false(link_read());
	close(ends[0]);
}

/* The longest there may be, again and again: they begin anywhere in the buffer. */
static void test_long_messages(void **state)
{
	static u8 message[sizeof(struct link_head) + LINK_MAX];
	struct link_head head = { .len = LINK_MAX, .type = LINK_DATA };
	const u8 *data;
	int ends[2];

	begin_link(ends);
	memcpy(message, &head, sizeof(head));
	memset(message + sizeof(head), 'x', LINK_MAX);
	for (int i = 0; i < 9; i++) {
		for (size_t at = 0, n; at < sizeof(message); at += n) {
			n = sizeof(message) - at < 4000 ? sizeof(message) - at : 4000;
			tell(ends[1], message + at, n);
		}
		assert_true(link_next(&head, &data));
		assert_int_equal(head.len, LINK_MAX);
		assert_int_equal(data[LINK_MAX - 1], 'x');
		assert_false(link_next(&head, &data));
	}
	close(ends[0]);
	close(ends[1]);
}

static void test_broken(void **state)
{
	struct link_head head = { .len = LINK_MAX + 1, .type = LINK_DATA };
	const u8 *data;
	int ends[2];

	begin_link(ends);
	tell(ends[1], &head, sizeof(head));
	assert_false(link_next(&head, &data));
	assert_false(link_is_open());
	assert_string_equal(said, "lkvm sent what this init does not understand");
	assert_false(link_read());
	/* Nobody is there to be told anything. */
	link_send(LINK_EXIT, 0, NULL, 0);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),	 cmocka_unit_test(test_words),
		cmocka_unit_test(test_format),	 cmocka_unit_test(test_conf),
		cmocka_unit_test(test_messages), cmocka_unit_test(test_long_messages),
		cmocka_unit_test(test_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
