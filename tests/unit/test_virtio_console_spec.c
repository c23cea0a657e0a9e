/*
 * test_virtio_console_spec.c - src/virtio/console_spec.c: --console and --port.
 */
#include "unit.h"
#include <errno.h>
#include <stdio.h>
#include <vmm/base/util.h>
#include <vmm/virtio/virtio_console.h>

static struct console_spec s;
static struct err e;

START_TEST(the_console_is_the_first_port_and_called_hvc0)
{
	struct chardev_spec c;

	ck_assert(!console_spec_is_used(&s));
	ck_ok(console_spec_parse_port(&s, "agent=unix=/run/a=b", &e));
	ck_assert(console_spec_is_used(&s));
	ck_assert_uint_eq(console_spec_n_ports(&s), 1);
	ck_ok(console_spec_parse_console(&s, "file=log", &e));
	ck_assert_uint_eq(console_spec_n_ports(&s), 2);
	c = console_spec_chardev(&s, 0);
	ck_assert_int_eq(c.kind, CHARDEV_FILE);
	ck_assert_str_eq(c.path, "log");
	ck_assert_str_eq(c.name, "hvc0");
	c = console_spec_chardev(&s, 1);
	ck_assert_int_eq(c.kind, CHARDEV_UNIX);
	ck_assert_str_eq(c.path, "/run/a=b");
	ck_assert_str_eq(c.name, "port agent");
	ck_assert_str_eq(s.ports[0].name, "agent");
}
END_TEST

START_TEST(a_console_alone_is_enough)
{
	ck_ok(console_spec_parse_console(&s, "null", &e));
	ck_assert(console_spec_is_used(&s));
	ck_assert_uint_eq(console_spec_n_ports(&s), 1);
	ck_assert_int_eq(console_spec_chardev(&s, 0).kind, CHARDEV_NULL);
	ck_ok(console_spec_parse_console(&s, "pty", &e)); /* the last one counts */
	ck_assert_uint_eq(console_spec_n_ports(&s), 1);
	ck_assert_int_eq(console_spec_chardev(&s, 0).kind, CHARDEV_PTY);
}
END_TEST

START_TEST(bad_ports_are_refused_and_change_nothing)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{ "", "expected NAME=BACKEND" },
		{ "agent", "expected NAME=BACKEND" },
		{ "=pty", "expected NAME=BACKEND" },
		{ "agent=", "agent: expected stdio, pty" },
		{ "agent=tty", "agent: expected stdio, pty" },
		{ "agent=unix=", "agent: expected stdio, pty" },
		{ "one=pty", "'one': there is one already" },
		{ "a b=pty", "'a b': a name has letters" },
		{ "a/b=pty", "'a/b': a name has" },
		{ "a\n=pty", "a name has" },
		{ "\xc3\xa4=pty", "a name has" },
		{ "0123456789012345678901234567890123456789012345678901234567890123=pty",
		  "at most 63 bytes" },
	};

	ck_ok(console_spec_parse_port(&s, "one=pty", &e));
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_fails(console_spec_parse_port(&s, bad[i].text, &e), -EINVAL, bad[i].words);
		ck_assert_uint_eq(s.n_ports, 1);
	}
	ck_fails(console_spec_parse_console(&s, "tty", &e), -EINVAL, "expected stdio, pty");
	ck_assert(!s.has_console);
	ck_ok(console_spec_parse_port(
		&s, "012345678901234567890123456789012345678901234567890123456789._-=pty", &e));
}
END_TEST

START_TEST(thirty_ports_and_no_more)
{
	char text[32];

	for (unsigned int i = 0; i < CONSOLE_MAX_NAMED; i++) {
		snprintf(text, sizeof(text), "p%u=null", i);
		ck_ok(console_spec_parse_port(&s, text, &e));
	}
	ck_fails(console_spec_parse_port(&s, "last=null", &e), -E2BIG, "more than 30 ports");
	ck_ok(console_spec_parse_console(&s, "null", &e));
	ck_assert_uint_eq(console_spec_n_ports(&s), CONSOLE_MAX_PORTS);
	ck_assert_str_eq(console_spec_chardev(&s, 30).name, "port p29");
}
END_TEST

START_TEST(only_one_can_be_on_the_terminal)
{
	struct chardev_spec serial = { .kind = CHARDEV_STDIO };

	ck_ok(console_spec_check(&s, &serial, &e));
	ck_ok(console_spec_parse_console(&s, "stdio", &e));
	ck_fails(console_spec_check(&s, &serial, &e), -EINVAL, "only one of --serial, --console");
	serial.kind = CHARDEV_NULL;
	ck_ok(console_spec_check(&s, &serial, &e));
	ck_ok(console_spec_parse_port(&s, "x=stdio", &e));
	ck_fails(console_spec_check(&s, &serial, &e), -EINVAL, "on stdio");
}
END_TEST

START_TEST(one_file_or_socket_is_the_other_end_of_one_thing_only)
{
	struct chardev_spec serial = { .kind = CHARDEV_FILE, .path = "log" };

	ck_ok(console_spec_parse_console(&s, "file=log", &e));
	ck_fails(console_spec_check(&s, &serial, &e), -EINVAL, "log is the other end of two");
	serial.path = "other";
	ck_ok(console_spec_check(&s, &serial, &e));
	ck_ok(console_spec_parse_port(&s, "a=unix=sock", &e));
	ck_ok(console_spec_check(&s, &serial, &e));
	ck_ok(console_spec_parse_port(&s, "b=unix=sock", &e));
	ck_fails(console_spec_check(&s, &serial, &e), -EINVAL, "sock is the other end of two");
	ck_ok(console_spec_parse_console(&s, "file=/dev/null", &e));
	serial.path = "/dev/null";
	s.n_ports = 0;
	ck_ok(console_spec_check(&s, &serial, &e));
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("virtio_console_spec");

	UNIT_TEST(suite, the_console_is_the_first_port_and_called_hvc0);
	UNIT_TEST(suite, a_console_alone_is_enough);
	UNIT_TEST(suite, bad_ports_are_refused_and_change_nothing);
	UNIT_TEST(suite, thirty_ports_and_no_more);
	UNIT_TEST(suite, only_one_can_be_on_the_terminal);
	UNIT_TEST(suite, one_file_or_socket_is_the_other_end_of_one_thing_only);
	return suite;
}

UNIT_MAIN("virtio_console_spec", suite)
