/* SPDX-License-Identifier: MIT */
/*
 * util/calendar.c: seconds since 1970 to dates of the Gregorian calendar (UTC, years 1 to 9999) and
 * back. gmtime and timegm would do, but the C library's read the time zone's files first.
 */
#ifndef LKVM_CALENDAR_H
#define LKVM_CALENDAR_H

#include "lkvm/types.h"

/* @month and @day count from 1, @weekday from 0 (Sunday). */
struct date {
	int year, month, day, weekday;
	int hour, minute, second;
};

/* False: @seconds is not within those years. */
bool date_of_seconds(s64 seconds, struct date *out) __must_check;
/* @weekday is not looked at; a day after the month's last is one of the next month. */
s64 seconds_of_date(const struct date *date);

#endif
