/* SPDX-License-Identifier: MIT */
/* Objects saved and loaded by their tables (include/lkvm/state.h), and records that lie. */
#include <stdio.h>
#include <stdlib.h>

#include "capture.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "unit.h"

struct part {
	u16 a;
	u8 b[3];
};

struct thing {
	u32 nothing; /* before the fields: an offset of 0 is not special */
	bool flag;
	u8 byte;
	u16 half;
	u32 word;
	u64 wide;
	s64 sign;
	u64 clock;
	u32 low, high; /* low <= high */
	u32 used;
	u16 list[8];
	u32 nr;
	u32 *heap;
	u32 nr_more;
	struct part *more, room[2];
	struct part one, many[2];
	int saves, loads, load_error;
};

static u32 thing_nr(const void *obj)
{
	return ((const struct thing *)obj)->nr;
}

static int thing_save(void *obj)
{
	((struct thing *)obj)->saves++;
	return 0;
}

static int thing_check(const void *obj)
{
	const struct thing *t = obj;

	return t->low > t->high ? -EINVAL : 0;
}

static int thing_load(void *obj)
{
	struct thing *t = obj;

	t->loads++;
	return t->load_error;
}

static const struct state_field part_fields[] = {
	STATE_UP_TO(struct part, a, 0x7fff),
	STATE_ARRAY(struct part, b),
};
static const struct device_state part_state = { .version = 1, STATE_TABLE(part_fields) };

static const struct state_field thing_fields[] = {
	STATE_BOOL(struct thing, flag),
	STATE_VALUE(struct thing, byte),
	STATE_VALUE(struct thing, half),
	STATE_VALUE(struct thing, word),
	STATE_VALUE(struct thing, wide),
	STATE_VALUE(struct thing, sign),
	STATE_CLOCK(struct thing, clock),
	STATE_VALUE(struct thing, low),
	STATE_VALUE(struct thing, high),
	STATE_USED(struct thing, list, used),
	STATE_AT(struct thing, heap, thing_nr),
	STATE_PARTS_COUNTED(struct thing, more, nr_more, &part_state),
	STATE_PART(struct thing, one, &part_state),
	STATE_PARTS(struct thing, many, &part_state),
};
static const struct device_state thing_state = {
	.version = 3,
	STATE_TABLE(thing_fields),
	.save = thing_save,
	.check = thing_check,
	.load = thing_load,
};

static void fill(struct thing *t)
{
	*t = (struct thing){
		.flag = true,
		.byte = 0x12,
		.half = 0x3456,
		.word = 0x789abcde,
		.wide = 0x1122334455667788,
		.sign = -5,
		.clock = 99,
		.low = 7,
		.high = 9,
		.used = 3,
		.list = { 10, 11, 12 },
		.nr = 2,
		.nr_more = 2,
		.one = { 1, { 2, 3, 4 } },
		.many = { { 5, { 6, 7, 8 } }, { 9, { 10, 11, 12 } } },
	};
	t->heap = calloc(2, sizeof(*t->heap));
	t->heap[0] = 0xaabbccdd;
	t->heap[1] = 1;
	t->more = t->room;
	t->room[1] = (struct part){ 13, { 14, 15, 16 } };
}

static void empty(struct thing *t)
{
	*t = (struct thing){ .nr = 2, .nr_more = 2, .more = t->room };
	t->heap = calloc(2, sizeof(*t->heap));
}

static struct state_buf saved(struct thing *t)
{
	struct state_buf buf = { 0 };

	assert_int_equal(state_save(&thing_state, "thing", t, &buf), 0);
	return buf;
}

static int load(struct thing *t, const u8 *data, size_t len)
{
	struct state_reader in = { data, len };

	return state_load(&thing_state, "thing", t, &in);
}

static void test_round_trip(void **state)
{
	struct thing a, b;
	struct state_buf first, second;
	struct state_reader in;

	fill(&a);
	empty(&b);
	first = saved(&a);
	in = (struct state_reader){ first.data, first.len };
	assert_int_equal(state_load(&thing_state, "thing", &b, &in), 0);
	assert_int_equal(in.len, 0);
	assert_int_equal(b.sign, -5);
	assert_int_equal(b.used, 3);
	assert_int_equal(b.list[2], 12);
	assert_int_equal(b.heap[0], 0xaabbccdd);
	assert_int_equal(b.many[1].b[2], 12);
	assert_int_equal(b.room[1].b[2], 16);
	assert_int_equal(a.saves, 1);
	assert_int_equal(b.loads, 1);
	second = saved(&b);
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.data, second.data, first.len);
	state_buf_free(&first);
	state_buf_free(&second);
	free(a.heap);
	free(b.heap);
}

/* The format is the same on every host: here it is, byte by byte. */
static void test_format(void **state)
{
	static const u8 expected[] = {
		3, 'o', 'n', 'e', 1, 0, 0, 0,	 19,   0, 0, 0, /* name, version, length */
		1, 'a', 2,   1,	  0, 0, 0, 0x34, 0x12,		/* a: 1 element of 2 bytes */
		1, 'b', 1,   3,	  0, 0, 0, 5,	 6,    7,	/* b: 3 of 1 byte */
	};
	struct part p = { 0x1234, { 5, 6, 7 } };
	struct state_buf buf = { 0 };

	assert_int_equal(state_save(&part_state, "one", &p, &buf), 0);
	assert_int_equal(buf.len, sizeof(expected));
	assert_memory_equal(buf.data, expected, sizeof(expected));
	state_buf_free(&buf);
}

static void test_truncated(void **state)
{
	struct thing a, b;
	struct state_buf buf;

	fill(&a);
	capture_begin();
	buf = saved(&a);
	for (size_t len = 0; len < buf.len; len++) {
		u8 *copy = malloc(len ? len : 1); /* of that size, for the sanitizer */

		memcpy(copy, buf.data, len);
		empty(&b);
		assert_int_equal(load(&b, copy, len), -EINVAL);
		assert_int_equal(b.loads + b.wide + b.used + b.heap[0], 0);
		free(b.heap);
		free(copy);
	}
	capture_end();
	state_buf_free(&buf);
	free(a.heap);
}

/* Whatever byte is wrong: nothing is half-loaded, and what is loaded is valid. */
static void test_garbled(void **state)
{
	static const u8 flips[] = { 0x01, 0x80, 0xff };
	struct thing a, b;
	struct state_buf buf;
	u32 refused = 0;

	fill(&a);
	capture_begin();
	buf = saved(&a);
	for (size_t i = 0; i < buf.len * ARRAY_SIZE(flips); i++) {
		u8 flip = flips[i % ARRAY_SIZE(flips)];
		u8 *byte = &buf.data[i / ARRAY_SIZE(flips)];

		empty(&b);
		*byte ^= flip;
		if (load(&b, buf.data, buf.len)) {
			assert_int_equal(b.loads + b.wide + b.used + b.heap[0] + b.high, 0);
			refused++;
		} else {
			assert_int_equal(b.loads, 1);
			assert_true(b.low <= b.high && b.used <= 8 && b.one.a <= 0x7fff);
			assert_true(*(u8 *)&b.flag <= 1);
		}
		*byte ^= flip;
		free(b.heap);
	}
	assert_true(refused > 300);
	capture_end();
	state_buf_free(&buf);
	free(a.heap);
}

static void refuse(struct thing *t, struct state_buf *buf, const char *message)
{
	capture_begin();
	assert_int_equal(load(t, buf->data, buf->len), -EINVAL);
	assert_non_null(strstr(capture_end(), message));
}

static void test_messages(void **state)
{
	struct device_state older = thing_state;
	struct state_buf buf = { 0 };
	struct thing a, b;

	fill(&a);
	empty(&b);
	assert_int_equal(state_save(&thing_state, "another", &a, &buf), 0);
	refuse(&b, &buf, "state: thing is missing");
	buf.len = 0;
	older.version = 2;
	assert_int_equal(state_save(&older, "thing", &a, &buf), 0);
	refuse(&b, &buf, "state of thing: version 2 is not supported");
	buf.len = 0;
	a.nr = 1;
	assert_int_equal(state_save(&thing_state, "thing", &a, &buf), 0);
	refuse(&b, &buf, "state of thing: field heap is missing, damaged or from another");
	buf.len = 0;
	a.nr = 2;
	a.nr_more = 1;
	assert_int_equal(state_save(&thing_state, "thing", &a, &buf), 0);
	refuse(&b, &buf, "state of thing: field more is missing, damaged or from another");
	buf.len = 0;
	a.nr_more = 2;
	a.one.a = 0x8000;
	assert_int_equal(state_save(&thing_state, "thing", &a, &buf), 0);
	refuse(&b, &buf, "field a is");
	buf.len = 0;
	a.one.a = 1;
	a.low = 10;
	assert_int_equal(state_save(&thing_state, "thing", &a, &buf), 0);
	refuse(&b, &buf, "state of thing: its fields contradict each other");
	assert_int_equal(b.wide + b.high + b.used, 0);
	state_buf_free(&buf);
	free(a.heap);
	free(b.heap);
}

static void test_load_hook_fails(void **state)
{
	struct state_buf buf;
	struct thing a;

	fill(&a);
	buf = saved(&a);
	a.load_error = -EIO;
	assert_int_equal(load(&a, buf.data, buf.len), -EIO);
	state_buf_free(&buf);
	free(a.heap);
}

static const char *differs(const struct state_buf *a, const struct state_buf *b)
{
	struct state_reader in_a = { a->data, a->len }, in_b = { b->data, b->len };

	return state_differs(&thing_state, &in_a, &in_b);
}

static void test_differs(void **state)
{
	struct state_buf first, second;
	struct thing a;

	fill(&a);
	first = saved(&a);
	a.clock++;
	second = saved(&a);
	assert_null(differs(&first, &second));
	state_buf_free(&second);
	a.many[1].b[2]++;
	second = saved(&a);
	assert_string_equal(differs(&first, &second), "b");
	state_buf_free(&second);
	a.used = 2;
	second = saved(&a);
	assert_string_equal(differs(&first, &second), "list");
	second.len = 5;
	assert_string_equal(differs(&first, &second), "");
	state_buf_free(&first);
	state_buf_free(&second);
	free(a.heap);
}

static void test_print(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct thing a;

	fill(&a);
	state_print(&thing_state, &a, out);
	fclose(out);
	assert_non_null(strstr(text, "wide 1122334455667788\n"));
	assert_non_null(strstr(text, "list a b c\n"));
	assert_non_null(strstr(text, "one.b 2 3 4\n"));
	assert_non_null(strstr(text, "many[1].a 9\n"));
	free(text);
	free(a.heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_format),
		cmocka_unit_test(test_truncated),  cmocka_unit_test(test_garbled),
		cmocka_unit_test(test_messages),   cmocka_unit_test(test_load_hook_fails),
		cmocka_unit_test(test_differs),	   cmocka_unit_test(test_print),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
