/*
 * test_exitport.c - the port by which a guest ends the VM.
 */
#include "fake_env.h"
#include "unit.h"
#include <vmm/base/util.h>
#include <vmm/bus/bus.h>
#include <vmm/dev/exitport.h>

static struct fake_env f;
static struct device *dev;

static void start(void)
{
	struct err e;

	fake_env_init(&f);
	ck_ok(exitport_create(&dev, &f.env, &e));
}

static void stop(void)
{
	dev->ops->destroy(dev);
	fake_env_fini(&f);
}

START_TEST(the_byte_written_becomes_the_status)
{
	start();
	for (unsigned int status = 0; status < 256; status++) {
		fake_out8(&f, EXITPORT_BASE, (uint8_t)status);
		ck_assert_uint_eq(f.n_events, status + 1);
		ck_assert_int_eq(f.event, GUEST_STATUS);
		ck_assert_uint_eq(f.value, min_u64(status, EXITPORT_MAX_STATUS));
	}
	stop();
}
END_TEST

START_TEST(only_the_low_byte_of_a_wide_write_counts)
{
	const uint8_t wide[] = { 7, 0xff, 0xff, 0xff };

	start();
	bus_write(f.pio, EXITPORT_BASE, wide, sizeof(wide));
	ck_assert_uint_eq(f.n_events, 1);
	ck_assert_uint_eq(f.value, 7);
	bus_write(f.pio, EXITPORT_BASE + 1, wide, sizeof(wide));
	ck_assert_uint_eq(f.n_events, 1);
	stop();
}
END_TEST

START_TEST(the_port_reads_as_if_nobody_were_there)
{
	start();
	ck_assert_uint_eq(fake_in8(&f, EXITPORT_BASE), 0xff);
	ck_assert_uint_eq(f.n_events, 0);
	stop();
}
END_TEST

START_TEST(a_port_that_is_taken_is_an_error_that_names_both)
{
	struct device *second;
	struct err e;

	start();
	ck_fails(exitport_create(&second, &f.env, &e), -16,
		 "exitport: port 0xf4: taken by exitport");
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("exitport");

	UNIT_TEST(s, the_byte_written_becomes_the_status);
	UNIT_TEST(s, only_the_low_byte_of_a_wide_write_counts);
	UNIT_TEST(s, the_port_reads_as_if_nobody_were_there);
	UNIT_TEST(s, a_port_that_is_taken_is_an_error_that_names_both);
	return s;
}

UNIT_MAIN("exitport", suite)
