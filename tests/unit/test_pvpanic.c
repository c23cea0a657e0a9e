/*
 * test_pvpanic.c - how a guest kernel says that it has panicked.
 */
#include "fake_env.h"
#include "unit.h"
#include <vmm/base/log.h>
#include <vmm/dev/pvpanic.h>

static struct fake_env f;
static struct device *dev;

static void start(void)
{
	struct err e;

	log_set_level(LOG_ERROR);
	fake_env_init(&f);
	ck_ok(pvpanic_create(&dev, &f.env, &e));
}

static void stop(void)
{
	dev->ops->destroy(dev);
	fake_env_fini(&f);
}

START_TEST(reading_gives_the_events_that_are_understood)
{
	start();
	ck_assert_uint_eq(fake_in8(&f, PVPANIC_BASE), PVPANIC_PANICKED);
	stop();
}
END_TEST

START_TEST(a_panic_is_told_with_its_bits)
{
	start();
	fake_out8(&f, PVPANIC_BASE, PVPANIC_PANICKED);
	ck_assert_uint_eq(f.n_events, 1);
	ck_assert_int_eq(f.event, GUEST_PANICKED);
	ck_assert_uint_eq(f.value, PVPANIC_PANICKED);
	fake_out8(&f, PVPANIC_BASE, 0xff);
	ck_assert_uint_eq(f.n_events, 2);
	ck_assert_uint_eq(f.value, 0xff);
	stop();
}
END_TEST

START_TEST(a_crash_that_the_guest_handles_itself_is_not_the_end)
{
	start();
	for (int i = 0; i < 1000; i++)
		fake_out8(&f, PVPANIC_BASE, PVPANIC_CRASH_LOADED);
	ck_assert_uint_eq(f.n_events, 0);
	stop();
}
END_TEST

START_TEST(unknown_events_are_ignored)
{
	start();
	for (unsigned int val = 0; val < 256; val += 4)
		fake_out8(&f, PVPANIC_BASE, (uint8_t)val);
	ck_assert_uint_eq(f.n_events, 0);
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("pvpanic");

	UNIT_TEST(s, reading_gives_the_events_that_are_understood);
	UNIT_TEST(s, a_panic_is_told_with_its_bits);
	UNIT_TEST(s, a_crash_that_the_guest_handles_itself_is_not_the_end);
	UNIT_TEST(s, unknown_events_are_ignored);
	return s;
}

UNIT_MAIN("pvpanic", suite)
