/*
 * test_rate.c - src/host/rate.c: what passes at once, what over time, and who is told when.
 */
#include "unit.h"
#include <vmm/base/util.h>
#include <vmm/host/rate.h>

static struct evloop *loop;
static struct rate r;
static struct ev_timer end;
static unsigned int n_ready;

static void stop_loop(void *arg)
{
	(void)arg;
	evloop_stop(loop);
}

static void run_for(unsigned int ms)
{
	end = (struct ev_timer){ .fn = stop_loop };
	evloop_timer_set(loop, &end, evloop_now_ns() + ms * NS_PER_MS);
	evloop_run(loop);
}

static void ready(void *arg)
{
	ck_assert_ptr_eq(arg, &r);
	n_ready++;
}

static void start(struct rate_spec spec, ev_task_fn fn)
{
	struct err e;

	n_ready = 0;
	ck_ok(evloop_create(&loop, &e));
	rate_init(&r, &spec, loop, fn, &r);
}

static void stop(void)
{
	rate_fini(&r);
	evloop_destroy(loop);
}

START_TEST(without_a_limit_everything_passes)
{
	start((struct rate_spec){ 0 }, ready);
	ck_assert(!rate_is_limited(&r));
	for (unsigned int i = 0; i < 1000; i++)
		ck_assert(rate_take(&r, UINT64_MAX));
	ck_assert_uint_eq(r.n_waits, 0);
	stop();
	memset(&r, 0, sizeof(r));
	ck_assert(rate_take(&r, 1));
	rate_fini(&r);
}
END_TEST

START_TEST(a_burst_passes_and_then_no_more)
{
	start((struct rate_spec){ .ops_per_s = 1, .ops_burst = 5 }, ready);
	ck_assert(rate_is_limited(&r));
	for (unsigned int i = 0; i < 5; i++)
		ck_assert(rate_take(&r, GIB));
	ck_assert(!rate_take(&r, 0));
	ck_assert_uint_eq(r.n_waits, 1);
	stop();
	start((struct rate_spec){ .bytes_per_s = 2 }, ready); /* a burst of one second */
	ck_assert(rate_take(&r, 1));
	ck_assert(rate_take(&r, 1));
	ck_assert(!rate_take(&r, 1));
	ck_assert(rate_take(&r, 0)); /* a flush moves nothing */
	stop();
}
END_TEST

START_TEST(what_one_limit_refuses_the_other_does_not_count)
{
	start(
		(struct rate_spec){
			.bytes_per_s = 1, .bytes_burst = 100, .ops_per_s = 1, .ops_burst = 2 },
		ready);
	ck_assert(rate_take(&r, 100));
	for (unsigned int i = 0; i < 10; i++)
		ck_assert(!rate_take(&r, 100));
	ck_assert(rate_take(&r, 0)); /* the second operation is still there */
	ck_assert(!rate_take(&r, 0));
	stop();
}
END_TEST

START_TEST(who_was_refused_is_told_once_when_it_would_pass)
{
	start((struct rate_spec){ .bytes_per_s = 2000, .bytes_burst = 2000 }, ready);
	ck_assert(rate_take(&r, 2000));
	ck_assert(!rate_take(&r, 1000));
	ck_assert(!rate_take(&r, 1000));
	run_for(5); /* of 500 */
	ck_assert_uint_eq(n_ready, 0);
	run_for(600);
	ck_assert_uint_eq(n_ready, 1);
	ck_assert(rate_take(&r, 1000));
	stop();
}
END_TEST

START_TEST(the_smallest_of_those_refused_is_told_first)
{
	start((struct rate_spec){ .bytes_per_s = 100, .bytes_burst = 1000 }, ready);
	ck_assert(rate_take(&r, 1000));
	ck_assert(!rate_take(&r, 1000));
	ck_assert(!rate_take(&r, 20));
	run_for(250);
	ck_assert_uint_eq(n_ready, 1);
	ck_assert(rate_take(&r, 20));
	ck_assert(!rate_take(&r, 980));
	stop();
}
END_TEST

START_TEST(more_than_the_burst_passes_when_it_is_full_and_is_waited_for_afterwards)
{
	uint64_t from;

	start((struct rate_spec){ .bytes_per_s = 100000, .bytes_burst = 1000 }, stop_loop);
	ck_assert(rate_take(&r, 6000));
	from = evloop_now_ns();
	ck_assert(!rate_take(&r, 1000));
	evloop_run(loop);
	ck_assert_uint_ge(evloop_now_ns() - from, 59 * NS_PER_MS); /* 5000 owed, 1000 to fill */
	ck_assert(rate_take(&r, 1000));
	stop();
}
END_TEST

START_TEST(over_time_the_rate_is_kept)
{
	uint64_t from, ms, n = 0;

	start((struct rate_spec){ .ops_per_s = 1000, .ops_burst = 10 }, stop_loop);
	from = evloop_now_ns();
	while (n < 200) {
		if (rate_take(&r, 4096))
			n++;
		else
			evloop_run(loop);
	}
	ms = (evloop_now_ns() - from) / NS_PER_MS;
	ck_assert_uint_ge(ms, 189);
	ck_assert_uint_le(r.n_waits, 191);
	stop();
}
END_TEST

START_TEST(huge_limits_and_requests_do_not_overflow)
{
	start((struct rate_spec){ UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX }, ready);
	ck_assert(rate_take(&r, GIB));
	ck_assert(rate_take(&r, GIB));
	stop();
	start((struct rate_spec){ .bytes_per_s = 1, .bytes_burst = UINT64_MAX }, ready);
	ck_assert(rate_take(&r, 16 * GIB));
	ck_assert(!rate_take(&r, 1));
	stop();
	start((struct rate_spec){ .bytes_per_s = 1 }, ready);
	ck_assert(rate_take(&r, UINT64_MAX));
	ck_assert(!rate_take(&r, 1));
	run_for(20);
	ck_assert_uint_eq(n_ready, 0);
	stop();
}
END_TEST

START_TEST(what_is_charged_afterwards_is_waited_for)
{
	const struct rate_spec spec = { .bytes_per_s = 1000000, .bytes_burst = 1000000 };
	struct err e;
	uint64_t now;

	ck_ok(evloop_create(&loop, &e));
	rate_init(&r, &spec, loop, NULL, NULL);
	ck_assert(rate_take(&r, 1));
	rate_charge(&r, 3000000);
	ck_assert(!rate_take(&r, 1));
	now = evloop_now_ns();
	ck_assert_uint_ge(r.timer.deadline_ns, now + 1900 * NS_PER_MS);
	ck_assert_uint_le(r.timer.deadline_ns, now + 2100 * NS_PER_MS);
	rate_fini(&r);
	evloop_destroy(loop);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("rate");

	UNIT_TEST(s, without_a_limit_everything_passes);
	UNIT_TEST(s, a_burst_passes_and_then_no_more);
	UNIT_TEST(s, what_one_limit_refuses_the_other_does_not_count);
	UNIT_TEST(s, who_was_refused_is_told_once_when_it_would_pass);
	UNIT_TEST(s, the_smallest_of_those_refused_is_told_first);
	UNIT_TEST(s, more_than_the_burst_passes_when_it_is_full_and_is_waited_for_afterwards);
	UNIT_TEST(s, what_is_charged_afterwards_is_waited_for);
	UNIT_TEST(s, over_time_the_rate_is_kept);
	UNIT_TEST(s, huge_limits_and_requests_do_not_overflow);
	return s;
}

UNIT_MAIN("rate", suite)
