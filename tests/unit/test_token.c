/*
 * test_token.c - a token bucket lets its burst through, then its rate, and never more.
 */
#include "unit.h"
#include <vmm/base/token.h>
#include <vmm/base/util.h>

START_TEST(a_full_bucket_gives_its_burst_and_then_nothing)
{
	struct token t;

	token_init(&t, 1000, 64, 5 * NS_PER_S);
	ck_assert_uint_eq(token_take(&t, 50, 5 * NS_PER_S), 50);
	ck_assert_uint_eq(token_take(&t, 50, 5 * NS_PER_S), 14);
	ck_assert_uint_eq(token_take(&t, 50, 5 * NS_PER_S), 0);
}
END_TEST

START_TEST(over_any_time_no_more_than_burst_and_rate_pass)
{
	uint64_t now = 0, sum = 0;
	struct token t;

	token_init(&t, 11520, 100, 0);
	for (unsigned int i = 0; i < 100000;
	     i++) { /* steps that no token's time is a multiple of */
		now += 12347;
		sum += token_take(&t, 7, now);
	}
	ck_assert_uint_le(sum, 100 + now * 11520 / NS_PER_S);
	ck_assert_uint_ge(sum, now * 11520 / NS_PER_S - 1);
}
END_TEST

START_TEST(a_long_rest_fills_it_to_the_burst_only)
{
	struct token t;

	token_init(&t, UINT32_MAX, 10, 0);
	ck_assert_uint_eq(token_take(&t, 10, 0), 10);
	ck_assert_uint_eq(token_take(&t, 1000, UINT64_MAX / 2), 10);
}
END_TEST

START_TEST(a_clock_that_stands_still_gives_nothing)
{
	struct token t;

	token_init(&t, 1000, 1, 100);
	ck_assert_uint_eq(token_take(&t, 1, 100), 1);
	ck_assert_uint_eq(token_take(&t, 1, 99), 0);
}
END_TEST

START_TEST(when_says_the_moment_at_which_so_much_is_there)
{
	uint64_t when;
	struct token t;

	token_init(&t, 1000, 100, 0);
	ck_assert_uint_eq(token_when_ns(&t, 100, 7), 7);
	ck_assert_uint_eq(token_take(&t, 100, 0), 100);
	when = token_when_ns(&t, 32, 0);
	ck_assert_uint_le(when, 33 * NS_PER_MS);
	ck_assert_uint_eq(token_take(&t, 32, when), 32);
	ck_assert_uint_le(token_when_ns(&t, 1000, when), when + 101 * NS_PER_MS);
}
END_TEST

START_TEST(what_is_put_back_can_be_taken_again)
{
	struct token t;

	token_init(&t, 1000, 100, 0);
	ck_assert_uint_eq(token_take(&t, 100, 0), 100);
	token_put(&t, 40);
	ck_assert_uint_eq(token_take(&t, 100, 0), 40);
	token_put(&t, 4000);
	ck_assert_uint_eq(token_take(&t, 4000, 0), 100);
}
END_TEST

static Suite *token_suite(void)
{
	Suite *s = suite_create("token");

	UNIT_TEST(s, a_full_bucket_gives_its_burst_and_then_nothing);
	UNIT_TEST(s, over_any_time_no_more_than_burst_and_rate_pass);
	UNIT_TEST(s, a_long_rest_fills_it_to_the_burst_only);
	UNIT_TEST(s, a_clock_that_stands_still_gives_nothing);
	UNIT_TEST(s, when_says_the_moment_at_which_so_much_is_there);
	UNIT_TEST(s, what_is_put_back_can_be_taken_again);
	return s;
}

UNIT_MAIN("token", token_suite)
