/*
 * test_rtc_cmos.c - the CMOS clock: formats, setting, memory.
 */
#include "fake_env.h"
#include "unit.h"
#include <time.h>
#include <unistd.h>
#include <vmm/bus/bus.h>
#include <vmm/dev/rtc_cmos.h>

enum { SECONDS = 0, MINUTES = 2, HOURS = 4, WEEKDAY = 6, DAY = 7, MONTH = 8, YEAR = 9 };
enum { REG_A = 0x0a, REG_B = 0x0b, REG_C = 0x0c, REG_D = 0x0d, CENTURY = 0x32 };
#define B_SET 0x80
#define B_DM 0x04
#define B_24H 0x02
#define HOURS_PM 0x80

static struct fake_env f;
static struct device *dev;

static void start(void)
{
	struct err e;

	fake_env_init(&f);
	ck_ok(rtc_cmos_create(&dev, &f.env, &e));
}

static void stop(void)
{
	dev->ops->destroy(dev);
	fake_env_fini(&f);
}

static uint8_t get(uint8_t reg)
{
	fake_out8(&f, RTC_CMOS_BASE, reg);
	return fake_in8(&f, RTC_CMOS_BASE + 1);
}

static void put(uint8_t reg, uint8_t val)
{
	fake_out8(&f, RTC_CMOS_BASE, reg);
	fake_out8(&f, RTC_CMOS_BASE + 1, val);
}

static int from_bcd(uint8_t val)
{
	ck_assert_uint_le(val & 0xf, 9);
	return (val >> 4) * 10 + (val & 0xf);
}

/* The time as a driver reads it: again if a second began meanwhile. BCD, 24 hours. */
static time_t read_clock(void)
{
	struct tm tm;
	uint8_t second;

	do {
		second = get(SECONDS);
		tm = (struct tm){
			.tm_sec = from_bcd(second),
			.tm_min = from_bcd(get(MINUTES)),
			.tm_hour = from_bcd(get(HOURS)),
			.tm_mday = from_bcd(get(DAY)),
			.tm_mon = from_bcd(get(MONTH)) - 1,
			.tm_year = from_bcd(get(CENTURY)) * 100 + from_bcd(get(YEAR)) - 1900,
		};
	} while (get(SECONDS) != second);
	return timegm(&tm);
}

/* Sets the time as Linux does: stop, write, go. */
static void set_clock(const uint8_t regs[7])
{
	static const uint8_t order[] = { YEAR, MONTH, DAY, HOURS, MINUTES, SECONDS, CENTURY };
	uint8_t b = get(REG_B);

	put(REG_B, b | B_SET);
	for (unsigned int i = 0; i < sizeof(order); i++)
		put(order[i], regs[i]);
	put(REG_B, b);
}

START_TEST(the_clock_shows_the_hosts_utc)
{
	time_t before = time(NULL), now;
	struct tm tm;

	start();
	now = read_clock();
	ck_assert_int_ge(now, before);
	ck_assert_int_le(now, time(NULL));
	gmtime_r(&now, &tm);
	ck_assert_int_eq(get(WEEKDAY), tm.tm_wday + 1);
	stop();
}
END_TEST

START_TEST(a_time_that_the_guest_sets_goes_on_from_there)
{
	/* 2099-12-31 23:59:59: the next second changes every register. */
	const uint8_t eve[] = { 0x99, 0x12, 0x31, 0x23, 0x59, 0x59, 0x20 };
	time_t set_to = 4102444799;

	start();
	set_clock(eve);
	ck_assert_int_le(read_clock() - set_to, 1);
	ck_assert_int_ge(read_clock() - set_to, 0);
	while (get(SECONDS) == 0x59)
		usleep(10000);
	ck_assert_int_ge(read_clock(), set_to + 1);
	ck_assert_int_eq(get(CENTURY), 0x21);
	ck_assert_int_eq(get(YEAR), 0x00);
	ck_assert_int_eq(get(MONTH), 0x01);
	ck_assert_int_eq(get(WEEKDAY), 6); /* a Friday */
	dev->ops->reset(dev);
	ck_assert_int_ge(read_clock(), set_to + 1); /* there is a battery */
	stop();
}
END_TEST

START_TEST(a_single_register_can_be_set_while_the_clock_runs)
{
	time_t before = time(NULL);
	struct tm tm;

	start();
	put(CENTURY, 0x21);
	gmtime_r(&before, &tm);
	ck_assert_int_eq(get(CENTURY), 0x21);
	ck_assert_int_eq(from_bcd(get(YEAR)), (tm.tm_year + 1900) % 100);
	stop();
}
END_TEST

START_TEST(each_format_of_the_hours_is_honoured)
{
	static const struct {
		uint8_t hour, bcd24, bin24, bcd12, bin12;
	} rows[] = {
		{ 0, 0x00, 0, 0x12, 12 },
		{ 1, 0x01, 1, 0x01, 1 },
		{ 11, 0x11, 11, 0x11, 11 },
		{ 12, 0x12, 12, 0x12 | HOURS_PM, 12 | HOURS_PM },
		{ 13, 0x13, 13, 0x01 | HOURS_PM, 1 | HOURS_PM },
		{ 23, 0x23, 23, 0x11 | HOURS_PM, 11 | HOURS_PM },
	};

	start();
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint8_t values[] = { rows[i].bcd12, rows[i].bcd24, rows[i].bin12,
					   rows[i].bin24 };
		const uint8_t formats[] = { 0, B_24H, B_DM, B_DM | B_24H };

		for (int in = 0; in < 4; in++) {
			put(REG_B, formats[in] | B_SET);
			put(MINUTES, 0);
			put(SECONDS, 0);
			put(HOURS, values[in]);
			put(REG_B, formats[in]);
			for (int out = 0; out < 4; out++) {
				put(REG_B, formats[out]);
				ck_assert_uint_eq(get(HOURS), values[out]);
			}
		}
	}
	stop();
}
END_TEST

START_TEST(binary_mode_shows_binary_numbers)
{
	const uint8_t regs[] = { 77, 11, 30, 21, 45, 10, 19 };

	start();
	put(REG_B, B_DM | B_24H);
	set_clock(regs);
	ck_assert_uint_eq(get(YEAR), 77);
	ck_assert_uint_eq(get(MONTH), 11);
	ck_assert_uint_eq(get(DAY), 30);
	ck_assert_uint_eq(get(HOURS), 21);
	ck_assert_uint_eq(get(MINUTES), 45);
	ck_assert_uint_eq(get(CENTURY), 19);
	put(REG_B, B_24H);
	ck_assert_uint_eq(get(YEAR), 0x77);
	ck_assert_uint_eq(get(MINUTES), 0x45);
	stop();
}
END_TEST

START_TEST(the_set_bit_makes_the_clock_stand_still)
{
	time_t until;
	uint8_t second;

	start();
	put(REG_B, B_24H | B_SET);
	second = get(SECONDS);
	until = time(NULL) + 2;
	while (time(NULL) < until)
		usleep(10000);
	ck_assert_uint_eq(get(SECONDS), second);
	put(MINUTES, 0x99); /* and takes what it is given */
	ck_assert_uint_eq(get(MINUTES), 0x99);
	stop();
}
END_TEST

START_TEST(a_time_that_cannot_be_leaves_the_clock_as_it_was)
{
	static const uint8_t bad[][7] = {
		{ 0x24, 0x13, 0x01, 0x00, 0x00, 0x00, 0x20 }, /* month 13 */
		{ 0x24, 0x00, 0x01, 0x00, 0x00, 0x00, 0x20 }, /* month 0 */
		{ 0x24, 0x01, 0x00, 0x00, 0x00, 0x00, 0x20 }, /* day 0 */
		{ 0x24, 0x01, 0x32, 0x00, 0x00, 0x00, 0x20 },
		{ 0x24, 0x01, 0x01, 0x24, 0x00, 0x00, 0x20 },
		{ 0x24, 0x01, 0x01, 0x00, 0x60, 0x00, 0x20 },
		{ 0x24, 0x01, 0x01, 0x00, 0x00, 0x60, 0x20 },
		{ 0xa0, 0x01, 0x01, 0x00, 0x00, 0x00, 0x20 }, /* not BCD */
		{ 0x24, 0x01, 0x01, 0x00, 0x00, 0x00, 0x2f },
		{ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
	};

	start();
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		set_clock(bad[i]);
		ck_assert_int_le(labs(read_clock() - time(NULL)), 1);
	}
	stop();
}
END_TEST

START_TEST(the_first_and_the_last_year_of_four_digits_are_fine)
{
	const uint8_t first[] = { 0x00, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00 };
	const uint8_t last[] = { 0x99, 0x12, 0x31, 0x23, 0x59, 0x59, 0x99 };

	start();
	set_clock(first);
	ck_assert_uint_eq(get(YEAR), 0);
	ck_assert_uint_eq(get(CENTURY), 0);
	set_clock(last);
	while (get(SECONDS) == 0x59)
		usleep(10000);
	ck_assert_uint_eq(get(YEAR), 0); /* after 9999 comes 0000 */
	ck_assert_uint_eq(get(CENTURY), 0);
	stop();
}
END_TEST

START_TEST(nothing_ever_interrupts_and_no_update_is_ever_under_way)
{
	start();
	put(REG_B, 0x72 | B_24H); /* periodic, alarm and update interrupts */
	put(REG_A, 0xff);
	ck_assert_uint_eq(get(REG_A), 0x7f);
	ck_assert_uint_eq(get(REG_B), 0x72);
	put(REG_C, 0xff);
	ck_assert_uint_eq(get(REG_C), 0);
	put(REG_D, 0);
	ck_assert_uint_eq(get(REG_D), 0x80);
	for (unsigned int line = 0; line < FAKE_ENV_LINES; line++)
		ck_assert_uint_eq(f.irq[line].n_calls, 0);
	stop();
}
END_TEST

START_TEST(the_power_on_values_are_a_pcs)
{
	start();
	ck_assert_uint_eq(get(REG_A), 0x26);
	ck_assert_uint_eq(get(REG_B), B_24H);
	ck_assert_uint_eq(get(REG_D), 0x80);
	ck_assert_uint_eq(get(0x0f), 0); /* shutdown status: an ordinary start */
	stop();
}
END_TEST

static bool is_memory(unsigned int reg)
{
	return (reg > REG_D && reg != CENTURY) || reg == 1 || reg == 3 || reg == 5;
}

START_TEST(memory_and_alarm_registers_keep_what_is_written_over_a_reset)
{
	start();
	for (unsigned int reg = 0; reg < 128; reg++) {
		if (is_memory(reg))
			put((uint8_t)reg, (uint8_t)(reg ^ 0xa5));
	}
	dev->ops->reset(dev);
	for (unsigned int reg = 0; reg < 128; reg++) {
		if (is_memory(reg))
			ck_assert_uint_eq(get((uint8_t)reg), reg ^ 0xa5);
	}
	ck_assert_int_le(labs(read_clock() - time(NULL)), 1);
	stop();
}
END_TEST

START_TEST(the_nmi_bit_of_the_index_is_no_part_of_it)
{
	start();
	put(0x40, 0x11);
	put(0xc0, 0x22);
	ck_assert_uint_eq(get(0x40), 0x22);
	ck_assert_uint_eq(fake_in8(&f, RTC_CMOS_BASE), 0xff); /* the index cannot be read back */
	stop();
}
END_TEST

START_TEST(index_and_data_can_be_written_as_one_word)
{
	const uint8_t word[] = { 0x40, 0x77 };

	start();
	bus_write(f.pio, RTC_CMOS_BASE, word, sizeof(word));
	ck_assert_uint_eq(get(0x40), 0x77);
	stop();
}
END_TEST

START_TEST(no_sequence_of_writes_upsets_the_clock)
{
	unsigned int seed = 1;

	start();
	for (int n = 0; n < 200000; n++) {
		seed = seed * 1664525 + 1013904223;
		put((uint8_t)(seed >> 12), (uint8_t)(seed >> 24));
		(void)get((uint8_t)(seed >> 18) % 16);
	}
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("rtc_cmos");

	UNIT_TEST(s, the_clock_shows_the_hosts_utc);
	UNIT_TEST(s, a_time_that_the_guest_sets_goes_on_from_there);
	UNIT_TEST(s, a_single_register_can_be_set_while_the_clock_runs);
	UNIT_TEST(s, each_format_of_the_hours_is_honoured);
	UNIT_TEST(s, binary_mode_shows_binary_numbers);
	UNIT_TEST(s, the_set_bit_makes_the_clock_stand_still);
	UNIT_TEST(s, a_time_that_cannot_be_leaves_the_clock_as_it_was);
	UNIT_TEST(s, the_first_and_the_last_year_of_four_digits_are_fine);
	UNIT_TEST(s, nothing_ever_interrupts_and_no_update_is_ever_under_way);
	UNIT_TEST(s, the_power_on_values_are_a_pcs);
	UNIT_TEST(s, memory_and_alarm_registers_keep_what_is_written_over_a_reset);
	UNIT_TEST(s, the_nmi_bit_of_the_index_is_no_part_of_it);
	UNIT_TEST(s, index_and_data_can_be_written_as_one_word);
	UNIT_TEST(s, no_sequence_of_writes_upsets_the_clock);
	return s;
}

UNIT_MAIN("rtc_cmos", suite)
