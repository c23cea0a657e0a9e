/*
 * test_patience.c - src/host/patience.c: when the loop's thread yields to the guest, and when no
 * more.
 */
#include "unit.h"
#include <sched.h>
#include <vmm/base/util.h>
#include <vmm/host/patience.h>

#define US UINT64_C(1000)

static struct patience p;
static uint64_t now_ns;

static void start(void)
{
	now_ns = NS_PER_S;
	patience_init(&p);
	patience_turn(&p, 1, now_ns); /* the first one after a pause */
}

static void turns(unsigned int n, unsigned int requests, uint64_t ns)
{
	while (n-- > 0)
		patience_turn(&p, requests, now_ns += ns);
}

static void ck_is(bool patient)
{
	ck_assert_int_eq(p.patient, patient);
	ck_assert_int_eq(sched_getscheduler(0), patient ? SCHED_BATCH : SCHED_OTHER);
}

START_TEST(a_queue_that_is_busy_gets_patience_and_one_that_is_quiet_does_not)
{
	start();
	turns(1000, 1, PATIENCE_QUIET_NS + PATIENCE_EACH_NS + 1);
	ck_is(false);
	turns(PATIENCE_FIRST - 1, 1, 50 * US);
	ck_is(false);
	turns(1, 1, 50 * US);
	ck_is(true);
}
END_TEST

START_TEST(patience_that_pays_goes_on)
{
	start();
	turns(PATIENCE_FIRST, 1, 50 * US);
	turns(100 * PATIENCE_ROUND, PATIENCE_PAYS, 200 * US);
	ck_is(true);
	turns(10 * PATIENCE_ROUND, 32,
	      32 * PATIENCE_EACH_NS); /* so many take the guest their time */
	ck_is(true);
}
END_TEST

START_TEST(patience_that_brings_one_request_a_turn_ends_with_the_round)
{
	start();
	turns(PATIENCE_FIRST, 1, 50 * US);
	for (unsigned int i = 0; i < 20; i++) {
		ck_is(true);
		turns(PATIENCE_ROUND - 1, 1, 50 * US);
		ck_is(true);
		turns(1, 1, 50 * US);
		ck_is(false);
		turns(PATIENCE_AGAIN - 1, 1, 50 * US);
		ck_is(false);
		turns(1, 1, 50 * US);
	}
}
END_TEST

/* It is tried again, but each time later. */
START_TEST(a_guest_that_computes_ends_patience_at_once)
{
	unsigned int wait = PATIENCE_FIRST;

	start();
	for (unsigned int i = 0; i < 20; i++) {
		turns(wait - 1, 1, 50 * US);
		ck_is(false);
		turns(1, 1, 50 * US);
		ck_is(true);
		turns(1, 32, 4 * NS_PER_MS); /* what a scheduler's tick lets it have */
		ck_is(false);
		wait = wait < PATIENCE_MOST ? 2 * wait : PATIENCE_MOST;
	}
	ck_assert_uint_eq(wait, PATIENCE_MOST);
}
END_TEST

START_TEST(a_success_forgets_earlier_failures)
{
	start();
	turns(PATIENCE_FIRST, 1, 50 * US);
	turns(1, 1, 4 * NS_PER_MS);
	turns(2 * PATIENCE_FIRST, 1, 50 * US);
	turns(PATIENCE_ROUND, PATIENCE_PAYS, 50 * US);
	ck_is(true);
	ck_assert_uint_eq(p.wait, PATIENCE_FIRST);
}
END_TEST

START_TEST(notifications_of_nothing_do_not_count)
{
	start();
	turns(10 * PATIENCE_FIRST, 0, 50 * US);
	ck_is(false);
	ck_assert_uint_eq(p.n_turns, 0);
}
END_TEST

START_TEST(another_policy_of_the_users_stays)
{
	const struct sched_param param = { 0 };

	ck_assert_int_eq(sched_setscheduler(0, SCHED_BATCH, &param), 0);
	start();
	turns(PATIENCE_FIRST + 4 * PATIENCE_ROUND, 1, 50 * US);
	ck_assert_int_eq(sched_getscheduler(0), SCHED_BATCH);
	ck_assert(!p.patient);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("patience");

	UNIT_TEST(s, a_queue_that_is_busy_gets_patience_and_one_that_is_quiet_does_not);
	UNIT_TEST(s, patience_that_pays_goes_on);
	UNIT_TEST(s, patience_that_brings_one_request_a_turn_ends_with_the_round);
	UNIT_TEST(s, a_guest_that_computes_ends_patience_at_once);
	UNIT_TEST(s, a_success_forgets_earlier_failures);
	UNIT_TEST(s, notifications_of_nothing_do_not_count);
	UNIT_TEST(s, another_policy_of_the_users_stays);
	return s;
}

UNIT_MAIN("patience", suite)
