/* SPDX-License-Identifier: MIT */
/* The Gregorian calendar, extended to the years before it. */
#include "lkvm/calendar.h"

#define DAY	 86400
#define MAX_YEAR 9999
/* The average year has 365.2425 days. */
#define DAYS_OF_400_YEARS 146097

/* Days between 1 January of year 1 and 1 January of @year. */
static s64 days_before_year(s64 year)
{
	year--;
	return year * 365 + year / 4 - year / 100 + year / 400;
}

static bool is_leap(s64 year)
{
	return days_before_year(year + 1) - days_before_year(year) == 366;
}

static int days_before_month(s64 year, int month)
{
	static const u16 before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };

	return before[month - 1] + (month > 2 && is_leap(year));
}

bool date_of_seconds(s64 seconds, struct date *out)
{
	s64 days = seconds / DAY, rest = seconds % DAY, year;
	int month = 1;

	if (rest < 0) {
		rest += DAY;
		days--;
	}
	days += days_before_year(1970);
	if (days < 0 || days >= days_before_year(MAX_YEAR + 1))
		return false;
	/* At most one too early. */
	year = days * 400 / DAYS_OF_400_YEARS + 1;
	while (days >= days_before_year(year + 1))
		year++;
	while (days < days_before_year(year))
		year--;
	/* 1 January of year 1 is a Monday. */
	out->weekday = (int)((days + 1) % 7);
	days -= days_before_year(year);
	while (days >= days_before_month(year, month + 1))
		month++;
	out->year = (int)year;
	out->month = month;
	out->day = (int)days - days_before_month(year, month) + 1;
	out->hour = (int)rest / 3600;
	out->minute = (int)rest / 60 % 60;
	out->second = (int)rest % 60;
	return true;
}

s64 seconds_of_date(const struct date *date)
{
	s64 days = days_before_year(date->year) - days_before_year(1970) +
		   days_before_month(date->year, date->month) + date->day - 1;

	return days * DAY + (s64)date->hour * 3600 + date->minute * 60 + date->second;
}
