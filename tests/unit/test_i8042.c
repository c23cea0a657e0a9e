/*
 * test_i8042.c - resetting a PC through its keyboard controller.
 */
#include "fake_env.h"
#include "unit.h"
#include <vmm/dev/i8042.h>

#define DATA_PORT 0x60
#define COMMAND_PORT 0x64

static struct fake_env f;
static struct device *dev;

static void start(void)
{
	struct err e;

	fake_env_init(&f);
	ck_ok(i8042_create(&dev, &f.env, &e));
}

static void stop(void)
{
	dev->ops->destroy(dev);
	fake_env_fini(&f);
}

START_TEST(only_a_pulse_on_line_0_is_a_reset)
{
	start();
	for (unsigned int command = 0; command < 256; command++) {
		bool reset = command >= 0xf0 && command % 2 == 0; /* a 0 pulses its line */

		f.n_events = 0;
		fake_out8(&f, COMMAND_PORT, (uint8_t)command);
		ck_assert_uint_eq(f.n_events, reset ? 1 : 0);
		ck_assert(!reset || f.event == GUEST_RESET);
	}
	stop();
}
END_TEST

START_TEST(output_port_bit_0_low_is_a_reset)
{
	start();
	fake_out8(&f, COMMAND_PORT, 0xd1);
	fake_out8(&f, DATA_PORT, 0xdf); /* A20 on, reset line high: what enables A20 */
	ck_assert_uint_eq(f.n_events, 0);
	fake_out8(&f, DATA_PORT, 0xfe); /* not after 0xd1 */
	ck_assert_uint_eq(f.n_events, 0);
	fake_out8(&f, COMMAND_PORT, 0xd1);
	fake_out8(&f, COMMAND_PORT, 0xaa); /* another command in between */
	fake_out8(&f, DATA_PORT, 0xfe);
	ck_assert_uint_eq(f.n_events, 0);
	fake_out8(&f, COMMAND_PORT, 0xd1);
	fake_out8(&f, DATA_PORT, 0xfe);
	ck_assert_uint_eq(f.n_events, 1);
	ck_assert_int_eq(f.event, GUEST_RESET);
	stop();
}
END_TEST

START_TEST(nobody_waits_for_the_controller)
{
	start();
	for (unsigned int command = 0; command < 256; command++) {
		fake_out8(&f, COMMAND_PORT, (uint8_t)command);
		ck_assert_uint_eq(fake_in8(&f, COMMAND_PORT) & 3, 0);
	}
	ck_assert_uint_eq(fake_in8(&f, DATA_PORT), 0);
	stop();
}
END_TEST

START_TEST(the_ports_between_belong_to_others)
{
	start();
	for (uint16_t port = DATA_PORT + 1; port < COMMAND_PORT; port++)
		ck_assert_uint_eq(fake_in8(&f, port), 0xff);
	stop();
}
END_TEST

START_TEST(a_reset_forgets_a_half_given_command)
{
	start();
	fake_out8(&f, COMMAND_PORT, 0xd1);
	dev->ops->reset(dev);
	fake_out8(&f, DATA_PORT, 0xfe);
	ck_assert_uint_eq(f.n_events, 0);
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("i8042");

	UNIT_TEST(s, only_a_pulse_on_line_0_is_a_reset);
	UNIT_TEST(s, output_port_bit_0_low_is_a_reset);
	UNIT_TEST(s, nobody_waits_for_the_controller);
	UNIT_TEST(s, the_ports_between_belong_to_others);
	UNIT_TEST(s, a_reset_forgets_a_half_given_command);
	return s;
}

UNIT_MAIN("i8042", suite)
