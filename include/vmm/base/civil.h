/*
 * civil.h - seconds since 1970 as a date and a time of the day, in UTC, and back.
 *
 * Any thread; nothing but arithmetic: gmtime_r(3) and timegm(3) read the time zone's file first.
 */
#ifndef VMM_BASE_CIVIL_H
#define VMM_BASE_CIVIL_H
#include <stdint.h>

/* Of the Gregorian calendar, also for the time before it; there is a year 0. */
struct civil {
	int64_t year;
	int month, day; /* from 1 */
	int hour, minute, second; /* from 0; there are no leap seconds */
	int weekday; /* 0: Sunday */
};

/* Any number is a time. */
void civil_from_seconds(struct civil *c, int64_t seconds);
/*
 * The weekday does not matter. A month is 1 to 12; a day that the month does not have is one of the
 * next month, as with timegm(3). Years: at most a million, either way.
 */
int64_t civil_to_seconds(const struct civil *c);

#endif
