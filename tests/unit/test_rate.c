/* SPDX-License-Identifier: MIT */
/* util/rate.c and config-rate.c: token buckets over a clock of the test's, and their words. */
#include "capture.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../config-items.h"
#include "lkvm/rate.h"
#include "lkvm/util.h"

#define SECOND 1000000000ULL

/* How many requests of @bytes begin in [0, @until), tried as soon as the limit says. */
static u64 begun(struct rate_limit *limit, u64 bytes, u64 until)
{
	u64 now = 0, n = 0;

	while (now < until) {
		u64 wait = rate_take(limit, bytes, 1, now);

		n += !wait;
		now += wait;
	}
	return n;
}

static struct rate_limit make(struct rate_config cfg)
{
	struct rate_limit limit;

	rate_init(&limit, &cfg);
	return limit;
}

static void test_none(void **state)
{
	struct rate_limit limit = make((struct rate_config){ 0 });

	assert_false(rate_limited(&limit));
	for (int i = 0; i < 1000; i++)
		assert_int_equal(rate_take(&limit, 1ULL << 40, 1000, 0), 0);
}

static void test_ops(void **state)
{
	/* The bucket, and what comes into it before ten seconds are over. */
	struct rate_limit limit = make((struct rate_config){ .ops = 100, .ops_burst = 50 });

	assert_true(rate_limited(&limit));
	assert_int_equal(begun(&limit, 1ULL << 30, 10 * SECOND), 50 + 999);
	/* A tenth of a second is the burst that nobody has to name; at least one. */
	limit = make((struct rate_config){ .ops = 100 });
	assert_int_equal(begun(&limit, 0, SECOND), 10 + 99);
	limit = make((struct rate_config){ .ops = 1 });
	assert_int_equal(begun(&limit, 0, 10 * SECOND), 10);
	/* Timers are late by a millisecond: less than ten of them are not taken. */
	limit = make((struct rate_config){ .ops = 10000, .ops_burst = 1 });
	assert_int_equal(begun(&limit, 0, SECOND), 100 + 9999);
}

/* A rate that does not divide a second is kept too, however long it goes. */
static void test_exact(void **state)
{
	struct rate_limit limit = make((struct rate_config){ .ops = 3, .ops_burst = 1 });
	u64 n = begun(&limit, 0, 100000 * SECOND);

	assert_in_range(n, 300000, 300001);
	limit = make((struct rate_config){ .bytes = 7ULL * GiB + 1, .bytes_burst = 1 });
	n = begun(&limit, 512, SECOND / 10);
	assert_in_range(n, 7 * GiB / 5120, 7 * GiB / 5120 + 7 * GiB / 51200 + 2);
}

static void test_bytes(void **state)
{
	struct rate_limit limit =
		make((struct rate_config){ .bytes = MiB, .bytes_burst = 2 * MiB });

	assert_int_equal(begun(&limit, 64 * KiB, 10 * SECOND), (2 + 10) * 16);
}

/* What is larger than the bucket passes, and what follows waits for all of it. */
static void test_large(void **state)
{
	struct rate_limit limit = make((struct rate_config){ .bytes = MiB, .bytes_burst = MiB });
	u64 wait;

	assert_int_equal(rate_take(&limit, 100 * MiB, 1, SECOND), 0);
	wait = rate_take(&limit, 1, 1, SECOND);
	assert_int_equal(wait, 99 * SECOND + SECOND / MiB);
	assert_int_equal(rate_take(&limit, 1, 1, SECOND + wait), 0);
	/* More than can be counted. */
	limit = make((struct rate_config){ .bytes = 1024 });
	for (u64 now = 0, i = 0; i < 8; i++) {
		wait = rate_take(&limit, UINT64_MAX, UINT64_MAX, now);
		assert_true(wait <= 1ULL << 61);
		now += wait;
	}
}

/* Of two limits the stricter holds, and what it holds back takes nothing from the other. */
static void test_both(void **state)
{
	struct rate_limit limit = make(
		(struct rate_config){ .bytes = MiB, .bytes_burst = MiB, .ops = 1, .ops_burst = 1 });

	assert_int_equal(rate_take(&limit, 512, 1, 0), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(rate_take(&limit, MiB, 1, 0), SECOND);
	assert_int_equal(rate_take(&limit, MiB, 2, SECOND), 0);
	assert_int_equal(rate_take(&limit, 0, 1, SECOND), 2 * SECOND);
}

/* A clock that stood still or went on for a year changes nothing but the bucket, which is full. */
static void test_idle(void **state)
{
	struct rate_limit limit = make((struct rate_config){ .ops = 10, .ops_burst = 5 });
	u64 year = 31536000ULL * SECOND;

	for (int i = 0; i < 5; i++)
		assert_int_equal(rate_take(&limit, 0, 1, 7), 0);
	assert_int_equal(rate_take(&limit, 0, 1, 7), SECOND / 10);
	for (int i = 0; i < 5; i++)
		assert_int_equal(rate_take(&limit, 0, 1, year), 0);
	assert_int_equal(rate_take(&limit, 0, 1, year), SECOND / 10);
}

static const char *words(const char *prefix, const char *const *items)
{
	struct rate_config rate = { 0 };
	static char text[200];
	char *out;

	for (; *items; items++)
		assert_int_equal(config_rate_item("--disk", &rate, prefix, *items), 1);
	out = xstrdup("");
	config_add_rate(&out, &rate, prefix);
	snprintf(text, sizeof(text), "%s", out);
	free(out);
	return text;
}

static void test_words(void **state)
{
	assert_string_equal(words("", (const char *[]){ NULL }), "");
	assert_string_equal(words("", (const char *[]){ "rate=50M", NULL }), ",rate=50M");
	assert_string_equal(words("", (const char *[]){ "ops=10:20", "rate=1048576:3072", NULL }),
			    ",rate=1M:3K,ops=10:20");
	assert_string_equal(words("rx-", (const char *[]){ "rx-ops=7", NULL }), ",rx-ops=7");
	/* The last word counts, its burst too. */
	assert_string_equal(words("", (const char *[]){ "ops=10:20", "ops=9", NULL }), ",ops=9");
}

static void test_wrong_words(void **state)
{
	static const char *const others[] = { "rat=1M", "rx-rate=1M", "ro", "", "ops" };
	static const char *const wrong[] = {
		"rate=",   "rate=0", "rate=10",	  "rate=1M:",  "ops=0",	    "ops=x",   "ops=1:0",
		"ops=10K", "ops=-1", "rate=1M:x", "rate=1M:0", "ops=1:2:3", "rate=9e9"
	};
	struct rate_config rate = { .bytes = 5, .ops = 6 };

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(config_rate_item("--disk", &rate, "", others[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const char *said;

		capture_begin();
		assert_int_equal(config_rate_item("--disk", &rate, "", wrong[i]), -EINVAL);
		said = capture_end();
		assert_one_line(said);
		assert_contains(said, "--disk: ");
		assert_contains(said, wrong[i]);
		assert_contains(said, "must be ");
	}
	assert_int_equal(rate.bytes, 5);
	assert_int_equal(rate.ops, 6);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),	    cmocka_unit_test(test_ops),
		cmocka_unit_test(test_exact),	    cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_large),	    cmocka_unit_test(test_both),
		cmocka_unit_test(test_idle),	    cmocka_unit_test(test_words),
		cmocka_unit_test(test_wrong_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
