/*
 * test_civil.c - src/base/civil.c against the C library's calendar.
 */
#include "unit.h"
#include <time.h>
#include <vmm/base/civil.h>

#define DAY_S 86400ll
#define YEARS_400_S (146097 * DAY_S)

static void same_as_libc(int64_t at)
{
	const time_t t = at;
	struct civil c;
	struct tm tm;

	civil_from_seconds(&c, at);
	/* Check writes to a pipe for each assertion, so there is one for what is wrong alone. */
	if (gmtime_r(&t, &tm) && c.year == tm.tm_year + 1900ll && c.month == tm.tm_mon + 1 &&
	    c.day == tm.tm_mday && c.hour == tm.tm_hour && c.minute == tm.tm_min &&
	    c.second == tm.tm_sec && c.weekday == tm.tm_wday && civil_to_seconds(&c) == at)
		return;
	ck_abort_msg("%lld: %lld-%d-%d %d:%d:%d, weekday %d", (long long)at, (long long)c.year,
		     c.month, c.day, c.hour, c.minute, c.second, c.weekday);
}

START_TEST(each_day_of_four_digit_years_is_the_c_librarys)
{
	/* From a year before 0 to one after 9999, both edges of each day. */
	const int64_t first = -62198755200, last = 253433923200;

	for (int64_t day = first; day < last; day += DAY_S) {
		same_as_libc(day);
		same_as_libc(day + DAY_S - 1);
	}
}
END_TEST

START_TEST(each_second_of_a_day_is_the_c_librarys)
{
	for (int64_t s = -DAY_S; s < DAY_S; s++)
		same_as_libc(s);
}
END_TEST

START_TEST(far_times_are_the_c_librarys)
{
	uint64_t seed = 1;

	for (int i = 0; i < 200000; i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1;
		/* An int of libc's holds these years. */
		same_as_libc((int64_t)(seed >> 8) % (INT64_C(1) << 44) - (INT64_C(1) << 43));
	}
}
END_TEST

START_TEST(any_number_is_a_time)
{
	static const int64_t numbers[] = { INT64_MIN, INT64_MIN + 1, INT64_MAX - 1, INT64_MAX };
	struct civil c, later;

	for (unsigned int i = 0; i < 4; i++) {
		const int64_t shifted =
			numbers[i] < 0 ? numbers[i] + YEARS_400_S : numbers[i] - YEARS_400_S;

		civil_from_seconds(&c, numbers[i]);
		civil_from_seconds(&later, shifted);
		ck_assert_int_eq(llabs(c.year - later.year), 400);
		ck_assert_int_eq(c.month, later.month);
		ck_assert_int_eq(c.day, later.day);
		ck_assert_int_eq(c.second, later.second);
		ck_assert_int_eq(c.weekday, later.weekday);
		ck_assert(c.month >= 1 && c.month <= 12 && c.day >= 1 && c.day <= 31);
	}
}
END_TEST

START_TEST(a_day_that_a_month_does_not_have_is_one_of_the_next)
{
	for (int year = 1896; year < 1910; year++) {
		for (int month = 1; month <= 12; month++) {
			struct tm tm = { .tm_year = year - 1900,
					 .tm_mon = month - 1,
					 .tm_mday = 31 };
			const struct civil c = { .year = year, .month = month, .day = 31 };

			ck_assert_int_eq(civil_to_seconds(&c), timegm(&tm));
		}
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("civil");

	UNIT_TEST(s, each_day_of_four_digit_years_is_the_c_librarys);
	UNIT_TEST(s, each_second_of_a_day_is_the_c_librarys);
	UNIT_TEST(s, far_times_are_the_c_librarys);
	UNIT_TEST(s, any_number_is_a_time);
	UNIT_TEST(s, a_day_that_a_month_does_not_have_is_one_of_the_next);
	return s;
}

UNIT_MAIN("civil", suite)
