/*
 * test_acpi_pm.c - sleep, reset and power button of the hardware-reduced platform.
 */
#include "fake_env.h"
#include "unit.h"
#include <vmm/base/log.h>
#include <vmm/bus/bus.h>
#include <vmm/dev/acpi_pm.h>

#define SLP_EN 0x20
#define PORT(reg) ((uint16_t)(ACPI_PM_BASE + (reg)))

static struct fake_env f;
static struct device *dev;

static void start(void)
{
	struct err e;

	log_set_level(LOG_ERROR);
	fake_env_init(&f);
	ck_ok(acpi_pm_create(&dev, &f.env, &e));
}

static void stop(void)
{
	dev->ops->destroy(dev);
	fake_env_fini(&f);
}

START_TEST(only_s5_with_the_enable_bit_is_power_off)
{
	start();
	for (unsigned int val = 0; val < 256; val++) {
		bool off = val & SLP_EN && (val >> 2 & 7) == ACPI_PM_SLP_TYP_S5;

		f.n_events = 0;
		fake_out8(&f, PORT(ACPI_PM_SLEEP_CONTROL), (uint8_t)val);
		ck_assert_uint_eq(f.n_events, off ? 1 : 0);
		ck_assert(!off || f.event == GUEST_POWEROFF);
		ck_assert_uint_eq(fake_in8(&f, PORT(ACPI_PM_SLEEP_CONTROL)), 0);
	}
	stop();
}
END_TEST

START_TEST(only_the_reset_value_resets)
{
	start();
	for (unsigned int val = 0; val < 256; val++)
		fake_out8(&f, PORT(ACPI_PM_RESET), (uint8_t)(val + ACPI_PM_RESET_VALUE + 1));
	ck_assert_uint_eq(f.n_events, 1); /* by the last one */
	ck_assert_int_eq(f.event, GUEST_RESET);
	stop();
}
END_TEST

START_TEST(the_status_register_shows_no_wake_up_and_takes_its_clearing)
{
	start();
	fake_out8(&f, PORT(ACPI_PM_SLEEP_STATUS), 0x80);
	ck_assert_uint_eq(fake_in8(&f, PORT(ACPI_PM_SLEEP_STATUS)), 0);
	ck_assert_uint_eq(f.n_events, 0);
	stop();
}
END_TEST

START_TEST(the_power_button_holds_the_line_until_the_event_is_read)
{
	start();
	ck_assert_uint_eq(fake_in8(&f, PORT(ACPI_PM_EVENTS)), 0);
	ck_assert(!f.irq[ACPI_PM_IRQ].level);
	acpi_pm_press_power_button(dev);
	ck_assert(f.irq[ACPI_PM_IRQ].level);
	fake_out8(&f, PORT(ACPI_PM_EVENTS), 0xff);
	ck_assert(f.irq[ACPI_PM_IRQ].level);
	ck_assert_uint_eq(fake_in8(&f, PORT(ACPI_PM_EVENTS)), 1);
	ck_assert(!f.irq[ACPI_PM_IRQ].level);
	ck_assert_uint_eq(fake_in8(&f, PORT(ACPI_PM_EVENTS)), 0);
	stop();
}
END_TEST

START_TEST(pressing_twice_before_the_guest_looks_is_one_event)
{
	start();
	acpi_pm_press_power_button(dev);
	acpi_pm_press_power_button(dev);
	ck_assert_uint_eq(f.irq[ACPI_PM_IRQ].n_calls, 1);
	ck_assert_uint_eq(fake_in8(&f, PORT(ACPI_PM_EVENTS)), 1);
	acpi_pm_press_power_button(dev);
	ck_assert_uint_eq(f.irq[ACPI_PM_IRQ].n_rises, 2);
	stop();
}
END_TEST

START_TEST(a_reset_forgets_a_pending_event)
{
	start();
	acpi_pm_press_power_button(dev);
	dev->ops->reset(dev);
	ck_assert(!f.irq[ACPI_PM_IRQ].level);
	ck_assert_uint_eq(fake_in8(&f, PORT(ACPI_PM_EVENTS)), 0);
	stop();
}
END_TEST

START_TEST(a_wide_access_is_one_of_each_register)
{
	const uint8_t off[] = { SLP_EN | ACPI_PM_SLP_TYP_S5 << 2, 0, ACPI_PM_RESET_VALUE, 0 };
	uint8_t all[8];

	start();
	acpi_pm_press_power_button(dev);
	bus_read(f.pio, ACPI_PM_BASE, all, sizeof(all));
	ck_assert_mem_eq(all, "\0\0\0\1\xff\xff\xff\xff", sizeof(all));
	bus_write(f.pio, ACPI_PM_BASE, off, sizeof(off));
	ck_assert_uint_eq(f.n_events, 2);
	ck_assert_int_eq(f.event, GUEST_RESET);
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("acpi_pm");

	UNIT_TEST(s, only_s5_with_the_enable_bit_is_power_off);
	UNIT_TEST(s, only_the_reset_value_resets);
	UNIT_TEST(s, the_status_register_shows_no_wake_up_and_takes_its_clearing);
	UNIT_TEST(s, the_power_button_holds_the_line_until_the_event_is_read);
	UNIT_TEST(s, pressing_twice_before_the_guest_looks_is_one_event);
	UNIT_TEST(s, a_reset_forgets_a_pending_event);
	UNIT_TEST(s, a_wide_access_is_one_of_each_register);
	return s;
}

UNIT_MAIN("acpi_pm", suite)
