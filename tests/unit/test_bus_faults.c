/*
 * test_bus_faults.c - what of src/bus/bus.c needs memory, and what does without.
 * tests/fault/fault.h says how calls fail.
 */
#include "../fault/fault.h"
#include "unit.h"
#include <errno.h>
#include <vmm/bus/bus.h>

#define N 3u

static const struct bus_ops nothing = { .name = "nothing" };
static struct bus *b;

static int map_all(uint64_t at, struct err *e)
{
	int rc = 0;

	for (uint64_t i = 0; i < N && rc == 0; i++)
		rc = bus_map(b, at + i * 16, 16, &nothing, NULL, e);
	return rc;
}

static void unmap_all(uint64_t at)
{
	for (uint64_t i = 0; i < N; i++)
		bus_unmap(b, at + i * 16);
}

static void start(void)
{
	struct err e;

	ck_ok(bus_create(&b, "port", UINT16_MAX, &e));
	ck_ok(bus_map(b, 0x8000, 16, &nothing, NULL, &e));
	ck_ok(bus_reserve(b, N, &e));
}

START_TEST(what_is_reserved_is_mapped_and_moved_without_asking_for_memory)
{
	struct fault_seen seen;
	struct err e;
	int rc = 0;

	start();
	fault_arm(0, false);
	for (uint64_t at = 0; at < 0x8000 && rc == 0; at += 0x1000) {
		rc = map_all(at, &e);
		if (rc == 0)
			unmap_all(at);
	}
	seen = fault_disarm();
	ck_ok(rc);
	ck_assert_uint_eq(seen.n_calls, 0);
	bus_destroy(b);
}
END_TEST

START_TEST(one_more_than_is_reserved_takes_memory)
{
	struct err e;
	int rc;

	start();
	ck_ok(map_all(0, &e));
	fault_arm(1, true);
	rc = bus_map(b, 0x100, 16, &nothing, NULL, &e);
	(void)fault_disarm();
	ck_fails(rc, -ENOMEM, "port bus: out of memory");
	ck_ok(bus_map(b, 0x100, 16, &nothing, NULL, &e));
	bus_destroy(b);
}
END_TEST

START_TEST(a_reservation_without_memory_is_an_error_and_harms_nothing)
{
	struct err e;
	int rc;

	start();
	for (unsigned int n = 1; n <= 2; n++) {
		fault_arm(n, false);
		rc = bus_reserve(b, 2, &e);
		(void)fault_disarm();
		ck_fails(rc, -ENOMEM, "port bus: out of memory");
	}
	ck_ok(map_all(0, &e));
	unmap_all(0);
	bus_destroy(b);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bus_faults");

	UNIT_TEST(s, what_is_reserved_is_mapped_and_moved_without_asking_for_memory);
	UNIT_TEST(s, one_more_than_is_reserved_takes_memory);
	UNIT_TEST(s, a_reservation_without_memory_is_an_error_and_harms_nothing);
	return s;
}

UNIT_MAIN("bus_faults", suite)
