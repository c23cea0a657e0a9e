/*
 * civil.c - seconds since 1970 as a date and a time of the day, in UTC, and back.
 *
 * Life of a VM: whenever a guest reads or sets its clock, on its vCPU's thread. That one may open
 * no files, and the C library's functions look for a time zone even where there is none.
 *
 * A year begins in March here: then the leap day is the last one, and all before it is regular.
 * Source: ISO 8601, the Gregorian calendar, which repeats itself every 400 years.
 */
#include <stddef.h>
#include <vmm/base/civil.h>

#define DAY_S 86400
#define YEAR_DAYS 365
#define YEARS_4_DAYS (4 * YEAR_DAYS + 1)
#define CENTURY_DAYS (25 * YEARS_4_DAYS - 1)
#define YEARS_400_DAYS (4 * CENTURY_DAYS + 1)
#define DAYS_TO_1970 719468 /* from March 1st of year 0 */
#define THURSDAY 4 /* January 1st of 1970 */

/* Days of a year before each month, March being the first. */
static const int before[] = { 0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337 };

/* The quotient rounded down; *rest, if not NULL, is 0 to b - 1. */
static int64_t divide(int64_t a, int64_t b, int *rest)
{
	int64_t r = a % b;

	if (r < 0)
		r += b;
	if (rest)
		*rest = (int)r;
	return a / b - (a % b < 0);
}

static int at_most(int n, int most)
{
	return n < most ? n : most;
}

void civil_from_seconds(struct civil *c, int64_t seconds)
{
	int day, second, century, four, year, month = 11;
	int64_t days = divide(seconds, DAY_S, &second);
	int64_t cycle = divide(days + DAYS_TO_1970, YEARS_400_DAYS, &day);

	/* The last of four centuries, or years, is the one that may have a day more. */
	century = at_most(day / CENTURY_DAYS, 3);
	day -= century * CENTURY_DAYS;
	four = day / YEARS_4_DAYS;
	day -= four * YEARS_4_DAYS;
	year = at_most(day / YEAR_DAYS, 3);
	day -= year * YEAR_DAYS;
	while (before[month] > day)
		month--;
	year += 100 * century + 4 * four + (month >= 10);
	c->year = cycle * 400 + year;
	c->month = (month + 2) % 12 + 1;
	c->day = day - before[month] + 1;
	c->hour = second / 3600;
	c->minute = second / 60 % 60;
	c->second = second % 60;
	divide(days + THURSDAY, 7, &c->weekday);
}

int64_t civil_to_seconds(const struct civil *c)
{
	int64_t year = c->year - (c->month <= 2), days;
	int second = c->hour * 3600 + c->minute * 60 + c->second;

	days = year * YEAR_DAYS + divide(year, 4, NULL) - divide(year, 100, NULL) +
	       divide(year, 400, NULL) + before[(c->month + 9) % 12] + c->day - 1 - DAYS_TO_1970;
	return days * DAY_S + second;
}
