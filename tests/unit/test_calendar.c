/* SPDX-License-Identifier: MIT */
/* util/calendar.c, against the C library's calendar. */
#include "unit.h"

#include <time.h>

#include "lkvm/calendar.h"

#define DAY 86400

static void check(s64 seconds)
{
	time_t t = (time_t)seconds;
	struct date date;
	struct tm tm;

	assert_non_null(gmtime_r(&t, &tm));
	assert_true(date_of_seconds(seconds, &date));
	assert_int_equal(date.year, tm.tm_year + 1900);
	assert_int_equal(date.month, tm.tm_mon + 1);
	assert_int_equal(date.day, tm.tm_mday);
	assert_int_equal(date.weekday, tm.tm_wday);
	assert_int_equal(date.hour, tm.tm_hour);
	assert_int_equal(date.minute, tm.tm_min);
	assert_int_equal(date.second, tm.tm_sec);
	assert_int_equal(seconds_of_date(&date), seconds);
}

/* The first and the last second of each day of the years 1 to 9999, of every third day at least. */
static void test_days(void **state)
{
	s64 first = -62135596800, last = 253402300799;

	for (s64 s = first; s < last; s += 3 * DAY) {
		check(s);
		check(s - (s == first ? 0 : 1));
	}
	check(last);
}

static void test_beyond(void **state)
{
	struct date date;

	assert_false(date_of_seconds(-62135596801, &date));
	assert_false(date_of_seconds(253402300800, &date));
	assert_false(date_of_seconds(INT64_MIN, &date));
	assert_false(date_of_seconds(INT64_MAX, &date));
}

/* What a guest may write: 31 February. */
static void test_long_month(void **state)
{
	struct date feb = { .year = 2023, .month = 2, .day = 31 };
	struct date mar = { .year = 2023, .month = 3, .day = 3 };

	assert_int_equal(seconds_of_date(&feb), seconds_of_date(&mar));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_beyond),
		cmocka_unit_test(test_long_month),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
