/*
 * test_chardev_pace.c - how fast input may come: at a line's speed until the guest shows flow
 * control.
 */
#include "fake_console.h"
#include "unit.h"
#include <fcntl.h>
#include <unistd.h>
#include <vmm/base/util.h>

#define LINE_PER_S 11520u /* 115200 baud, 8N1 */
#define BURST 1024u

static struct fake_console con;
static uint64_t n_taken;

/* The device takes all there is and counts. */
static void take(void)
{
	uint8_t buf[512];
	size_t n;

	while ((n = chardev_get(con.c, buf, sizeof(buf))) > 0)
		n_taken += n;
}

static void run_and_take(unsigned int ms)
{
	uint64_t until = evloop_now_ns() + ms * NS_PER_MS;

	while (evloop_now_ns() < until) {
		fake_console_run(&con, 1);
		take();
	}
}

/* A pipe of 256 KiB, filled, as stdin. */
static void start_with_full_stdin(void)
{
	static uint8_t zeros[262144];
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_ge(fcntl(ends[1], F_SETPIPE_SZ, sizeof(zeros)), (int)sizeof(zeros));
	ck_assert_int_eq(write(ends[1], zeros, sizeof(zeros)), sizeof(zeros));
	ck_assert_int_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	con.takes = false;
}

START_TEST(without_flow_control_input_is_a_burst_and_then_the_speed_of_a_line)
{
	uint64_t began, ms;

	start_with_full_stdin();
	chardev_flow_controlled(con.c, false);
	began = evloop_now_ns();
	run_and_take(300);
	ms = (evloop_now_ns() - began) / NS_PER_MS + 5;
	ck_assert_uint_ge(n_taken, BURST);
	ck_assert_uint_le(n_taken, BURST + ms * LINE_PER_S / 1000 + 1);
	run_and_take(300);
	ck_assert_uint_gt(n_taken, BURST + LINE_PER_S / 4);
	fake_console_fini(&con);
}
END_TEST

START_TEST(with_flow_control_it_comes_as_fast_as_it_is_taken)
{
	start_with_full_stdin();
	chardev_flow_controlled(con.c, false);
	run_and_take(50);
	chardev_flow_controlled(con.c, true);
	run_and_take(1000);
	ck_assert_uint_eq(n_taken, 262144);
	fake_console_fini(&con);
}
END_TEST

START_TEST(waiting_for_its_time_costs_no_cpu_time)
{
	start_with_full_stdin();
	chardev_flow_controlled(con.c, false);
	run_and_take(50);
	ck_assert_uint_le(fake_console_idle_cost_ms(&con, 200), 50);
	fake_console_fini(&con);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("chardev_pace");

	UNIT_TEST(s, without_flow_control_input_is_a_burst_and_then_the_speed_of_a_line);
	UNIT_TEST(s, with_flow_control_it_comes_as_fast_as_it_is_taken);
	UNIT_TEST(s, waiting_for_its_time_costs_no_cpu_time);
	return s;
}

UNIT_MAIN("chardev_pace", suite)
