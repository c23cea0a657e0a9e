/*
 * test_eager.c - src/host/eager.c: when the loop looks before it waits, and when no more.
 */
#include "unit.h"
#include <sched.h>
#include <vmm/host/eager.h>

static struct eager e;

static void waits(unsigned int n, uint64_t ns)
{
	while (n-- > 0)
		eager_waited(&e, ns);
}

START_TEST(short_waits_in_a_row_are_followed_by_a_look)
{
	eager_init(&e, true);
	waits(EAGER_FIRST - 1, EAGER_SHORT_NS);
	ck_assert(!e.on);
	waits(1, EAGER_SHORT_NS);
	ck_assert(e.on);
}
END_TEST

START_TEST(a_long_wait_begins_the_row_anew)
{
	eager_init(&e, true);
	for (unsigned int i = 0; i < 10; i++) {
		waits(EAGER_FIRST - 1, 1);
		waits(1, EAGER_SHORT_NS + 1);
	}
	ck_assert(!e.on);
	waits(EAGER_FIRST, 1);
	ck_assert(e.on);
}
END_TEST

START_TEST(it_goes_on_while_it_finds_something_and_ends_when_it_does_not)
{
	eager_init(&e, true);
	waits(EAGER_FIRST, 1);
	for (unsigned int i = 0; i < 1000; i++) {
		eager_looked(&e, true);
		ck_assert(e.on);
	}
	eager_looked(&e, false);
	ck_assert(!e.on);
}
END_TEST

/* As where the guest cannot run while we look: it costs a look in thousands of waits. */
START_TEST(looks_in_vain_become_rare)
{
	unsigned int wait = EAGER_FIRST;

	eager_init(&e, true);
	for (unsigned int i = 0; i < 20; i++) {
		waits(wait - 1, 1);
		ck_assert(!e.on);
		waits(1, 1);
		ck_assert(e.on);
		eager_looked(&e, false);
		wait = wait < EAGER_MOST ? 2 * wait : EAGER_MOST;
	}
	ck_assert_uint_eq(wait, EAGER_MOST);
	waits(EAGER_MOST, 1);
	eager_looked(&e, true);
	ck_assert_uint_eq(e.wait, EAGER_FIRST);
}
END_TEST

START_TEST(where_it_is_not_possible_it_is_never_tried)
{
	eager_init(&e, false);
	waits(10 * EAGER_MOST, 1);
	ck_assert(!e.on);
}
END_TEST

START_TEST(there_is_room_for_fewer_than_this_thread_has_processors)
{
	cpu_set_t all, one;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	ck_assert(eager_has_room((unsigned int)CPU_COUNT(&all) - 1));
	ck_assert(!eager_has_room((unsigned int)CPU_COUNT(&all)));
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	}
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	ck_assert(!eager_has_room(1));
	ck_assert(eager_has_room(0));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("eager");

	UNIT_TEST(s, short_waits_in_a_row_are_followed_by_a_look);
	UNIT_TEST(s, a_long_wait_begins_the_row_anew);
	UNIT_TEST(s, it_goes_on_while_it_finds_something_and_ends_when_it_does_not);
	UNIT_TEST(s, looks_in_vain_become_rare);
	UNIT_TEST(s, where_it_is_not_possible_it_is_never_tried);
	UNIT_TEST(s, there_is_room_for_fewer_than_this_thread_has_processors);
	return s;
}

UNIT_MAIN("eager", suite)
