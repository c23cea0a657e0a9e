/*
 * test_config.c - src/machine/config.c: what a user may say, and what is answered to the rest.
 */
#include "unit.h"
#include <errno.h>
#include <pty.h>
#include <stdio.h>
#include <unistd.h>
#include <vmm/base/match.h>
#include <vmm/base/util.h>
#include <vmm/machine/config.h>

static struct vm_config c;
static struct err e;

static void start(void)
{
	config_init(&c);
	c.kernel = "vmlinux";
}

START_TEST(the_defaults_are_half_a_gib_one_cpu_and_stdio)
{
	config_init(&c);
	ck_assert_uint_eq(c.ram_bytes, 512 * MIB);
	ck_assert_uint_eq(cpu_topology_total(&c.cpus), 1);
	ck_assert_int_eq(c.serial.kind, CHARDEV_STDIO);
	ck_fails(config_check(&c, &e), -EINVAL, "--kernel FILE is needed");
	c.kernel = "vmlinux";
	ck_ok(config_check(&c, &e));
	config_fini(&c);
}
END_TEST

START_TEST(cpus_are_a_number_or_a_shape)
{
	static const struct {
		const char *text;
		struct cpu_topology want;
	} cases[] = {
		{ "1", { 1, 1, 1 } },
		{ "4", { 1, 4, 1 } },
		{ "65536", { 1, 65536, 1 } },
		{ "sockets=2,cores=4,threads=2", { 2, 4, 2 } },
		{ "threads=2", { 1, 1, 2 } },
		{ "cores=3,sockets=2", { 2, 3, 1 } },
		{ "cores=3,cores=5", { 1, 5, 1 } },
	};

	start();
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_ok(config_parse_cpus(&c, cases[i].text, &e));
		ck_assert_msg(memcmp(&c.cpus, &cases[i].want, sizeof(c.cpus)) == 0, "%s",
			      cases[i].text);
	}
}
END_TEST

START_TEST(other_cpus_are_refused_and_change_nothing)
{
	static const struct {
		const char *text;
		int code;
		const char *words;
	} cases[] = {
		{ "", -EINVAL, "not a number" },
		{ "0", -ERANGE, "must be 1 to 65536" },
		{ "65537", -ERANGE, "must be 1 to 65536" },
		{ "-1", -EINVAL, "not a number" },
		{ "2x", -EINVAL, "unknown unit 'x'" },
		{ "99999999999999999999999", -ERANGE, "too large" },
		{ "sockets=0", -ERANGE, "sockets: must be 1 to 65536" },
		{ "cores=", -EINVAL, "cores: not a number" },
		{ "dies=2", -EINVAL, "'dies': expected" },
		{ "cores,threads=2", -EINVAL, "'cores': expected" },
		{ "cores=2,", -EINVAL, "'': expected" },
		{ "=", -EINVAL, "expected" },
		{ "cores=1,cores=1,cores=1,cores=1,cores=1,cores=1,cores=1,cores=1,cores=1,"
		  "cores=1,cores=1,cores=1,cores=1,cores=1,cores=1,cores=1,cores=1",
		  -EINVAL, "too long" },
	};

	start();
	ck_ok(config_parse_cpus(&c, "sockets=2,cores=3", &e));
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_fails(config_parse_cpus(&c, cases[i].text, &e), cases[i].code, cases[i].words);
		ck_assert_uint_eq(c.cpus.sockets, 2);
		ck_assert_uint_eq(c.cpus.cores, 3);
	}
}
END_TEST

START_TEST(a_console_is_one_of_five)
{
	static const char *const bad[] = { "",      "tty",  "stdio=x", "pty=",  "file", "file=",
					   "unix=", "unix", "files=x", "fil=x", "=x",   "stdiox" };

	start();
	ck_ok(config_parse_serial(&c, "file=/a=b", &e));
	ck_assert_int_eq(c.serial.kind, CHARDEV_FILE);
	ck_assert_str_eq(c.serial.path, "/a=b");
	ck_ok(config_parse_serial(&c, "unix=s", &e));
	ck_assert_int_eq(c.serial.kind, CHARDEV_UNIX);
	ck_ok(config_parse_serial(&c, "pty", &e));
	ck_assert_int_eq(c.serial.kind, CHARDEV_PTY);
	ck_ok(config_parse_serial(&c, "null", &e));
	ck_assert_int_eq(c.serial.kind, CHARDEV_NULL);
	ck_ok(config_parse_serial(&c, "stdio", &e));
	ck_assert_int_eq(c.serial.kind, CHARDEV_STDIO);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		ck_fails(config_parse_serial(&c, bad[i], &e), -EINVAL,
			 "expected stdio, pty, null, file=PATH or unix=PATH");
	ck_assert_int_eq(c.serial.kind, CHARDEV_STDIO);
}
END_TEST

START_TEST(limits_are_named)
{
	char text[MATCH_MAX + 2];

	start();
	c.ram_bytes = CONFIG_MIN_RAM - MIB;
	ck_fails(config_check(&c, &e), -EINVAL, "--mem: 63 MiB: the least is 64 MiB");
	c.ram_bytes = CONFIG_MIN_RAM + 4096;
	ck_fails(config_check(&c, &e), -EINVAL, "--mem: must be whole MiB");
	c.ram_bytes = UINT64_C(1) << 50;
	ck_fails(config_check(&c, &e), -EINVAL, "1073741824 MiB: this host has");
	c.ram_bytes = CONFIG_MIN_RAM;
	ck_ok(config_check(&c, &e));
	c.cpus = (struct cpu_topology){ 65536, 65536, 65536 };
	ck_fails(config_check(&c, &e), -ERANGE, "--cpus: more than 65536 CPUs");
	c.cpus = (struct cpu_topology){ 65536, 65536, 1 };
	ck_fails(config_check(&c, &e), -ERANGE, "--cpus: more than 65536 CPUs");
	c.cpus = (struct cpu_topology){ 256, 256, 1 };
	ck_ok(config_check(&c, &e));
	c.expect = "";
	ck_fails(config_check(&c, &e), -EINVAL, "--expect: the text must have 1 to 256 bytes");
	memset(text, 'x', sizeof(text));
	text[MATCH_MAX + 1] = '\0';
	c.expect = text;
	ck_fails(config_check(&c, &e), -EINVAL, "--expect");
	text[MATCH_MAX] = '\0';
	ck_ok(config_check(&c, &e));
}
END_TEST

static void check_line(const char *want)
{
	char *line;

	ck_ok(config_cmdline(&c, "", 2047, &line, &e));
	ck_assert_str_eq(line, want);
	free(line);
}

START_TEST(limits_that_the_vm_cannot_live_with_are_refused_with_the_least)
{
	start();
	ck_ok(cgroup_limits_parse(&c.limits, "mem=100M", &e));
	ck_fails(config_check(&c, &e), -EINVAL,
		 "--limit mem=100M: the least for --mem 512M is 613M");
	c.limits.mem_bytes = 613 * MIB - KIB;
	ck_fails(config_check(&c, &e), -EINVAL, "--limit mem=627711K: the least");
	c.limits.mem_bytes = 613 * MIB;
	ck_ok(config_check(&c, &e));
	c.cpus.cores = 4;
	ck_fails(config_check(&c, &e), -EINVAL, "the least for --mem 512M is 616M");
	c.limits = (struct cgroup_limits){ .pids = 7 };
	ck_fails(config_check(&c, &e), -EINVAL,
		 "--limit pids=7: the least for these CPUs, disks "
		 "and networks is 8");
	c.limits.pids = 8;
	ck_ok(config_check(&c, &e));
	ck_ok(config_add_disk(&c, "a", &e));
	ck_ok(config_add_net(&c, "loop", &e));
	ck_fails(config_check(&c, &e), -EINVAL, "networks is 17");
	ck_ok(config_add_net(&c, "tap,queues=4,vhost=on", &e));
	ck_fails(config_check(&c, &e), -EINVAL, "networks is 21");
	config_fini(&c);
}
END_TEST

START_TEST(a_limit_on_disks_needs_one)
{
	start();
	ck_ok(cgroup_limits_parse(&c.limits, "io=1M", &e));
	ck_fails(config_check(&c, &e), -EINVAL, "--limit io: there is no --disk");
	ck_ok(config_add_disk(&c, "a", &e));
	ck_ok(config_check(&c, &e));
	config_fini(&c);
}
END_TEST

START_TEST(append_adds_words_and_cmdline_replaces_all)
{
	char want[512];

	start();
	c.serial.kind = CHARDEV_NULL;
	snprintf(want, sizeof(want), "%s TERM=dumb", arch_default_cmdline(&c.cpus));
	check_line(want);
	ck_ok(config_append(&c, "quiet", &e));
	ck_ok(config_append(&c, "root=/dev/vda ro", &e));
	ck_ok(config_check(&c, &e));
	snprintf(want, sizeof(want), "%s TERM=dumb quiet root=/dev/vda ro",
		 arch_default_cmdline(&c.cpus));
	check_line(want);
	c.cmdline = "single";
	ck_fails(config_check(&c, &e), -EINVAL, "--cmdline replaces what --append adds to");
	config_fini(&c);
	c.append = NULL;
	check_line("single");
	c.cmdline = "";
	check_line("");
}
END_TEST

START_TEST(cpus_that_the_io_apic_cannot_reach_get_none_of_its_interrupts)
{
	struct cpu_topology t = { 1, 255, 1 };

	ck_assert(!strstr(arch_default_cmdline(&t), "irqaffinity"));
	t.cores = 256;
	ck_assert_ptr_nonnull(strstr(arch_default_cmdline(&t), " irqaffinity=0"));
}
END_TEST

START_TEST(a_line_that_is_too_long_is_refused_to_the_byte)
{
	char *line = NULL;

	start();
	c.cmdline = "0123456789";
	ck_ok(config_cmdline(&c, "", 10, &line, &e));
	ck_assert_str_eq(line, "0123456789");
	free(line);
	ck_fails(config_cmdline(&c, "", 9, &line, &e), -E2BIG,
		 "has 10 bytes, this kernel takes 9: shorten --cmdline");
	ck_assert_ptr_null(line);
	c.cmdline = NULL;
	ck_fails(config_cmdline(&c, "", 20, &line, &e), -E2BIG, "shorten --append");
}
END_TEST

/* stdin becomes a terminal of that size. */
static void have_terminal(const char *term, unsigned short rows)
{
	struct winsize ws = { .ws_row = rows, .ws_col = 100 };
	int master, client;

	ck_assert_int_eq(openpty(&master, &client, NULL, NULL, &ws), 0);
	ck_assert_int_eq(dup2(client, STDIN_FILENO), STDIN_FILENO);
	if (term)
		setenv("TERM", term, 1);
	else
		unsetenv("TERM");
}

static void check_words(const char *words)
{
	char want[512];

	snprintf(want, sizeof(want), "%s %s", arch_default_cmdline(&c.cpus), words);
	check_line(want);
}

START_TEST(programs_of_the_guest_learn_of_the_terminal)
{
	start();
	have_terminal("xterm-256color", 40);
	check_words("TERM=xterm-256color LINES=40 COLUMNS=100");
	have_terminal("xterm", 0);
	check_words("TERM=xterm");
	have_terminal(NULL, 0);
	check_words("TERM=vt100");
	have_terminal("bad word", 0);
	check_words("TERM=vt100");
	have_terminal("an-incredibly-long-name-of-a-terminal", 0);
	check_words("TERM=vt100");
	have_terminal("", 0);
	check_words("TERM=vt100");
	c.serial.kind = CHARDEV_PTY;
	check_words("TERM=dumb");
	have_terminal("xterm", 40);
	ck_ok(console_spec_parse_console(&c.console, "stdio", &e));
	check_words("console=hvc0 TERM=xterm");
}
END_TEST

START_TEST(disks_and_networks_are_counted_and_limited)
{
	start();
	ck_assert_uint_eq(config_n_virtio(&c), 1); /* the entropy device */
	for (unsigned int i = 0; i < CONFIG_MAX_DISKS; i++)
		ck_ok(config_add_disk(&c, "disk.img,ro", &e));
	ck_fails(config_add_disk(&c, "disk.img", &e), -E2BIG, "at most 26 disks");
	for (unsigned int i = 0; i < CONFIG_MAX_NETS; i++)
		ck_ok(config_add_net(&c, "tap", &e));
	ck_fails(config_add_net(&c, "user", &e), -E2BIG, "at most 8 network interfaces");
	ck_assert_uint_eq(config_n_virtio(&c), CONFIG_MAX_DISKS + CONFIG_MAX_NETS + 1);
	ck_fails(config_check(&c, &e), -E2BIG, "35 disks, networks and other devices");
	ck_ok(config_add_net(&c, "none", &e));
	ck_assert_uint_eq(c.n_nets, 0);
	ck_ok(config_check(&c, &e));
	ck_ok(config_parse_transport(&c, "mmio", &e));
	ck_fails(config_check(&c, &e), -E2BIG, "--transport mmio has room for 16");
	config_fini(&c);
}
END_TEST

START_TEST(transports_are_one_of_three)
{
	start();
	ck_assert_int_eq(c.transport, TRANSPORT_PCI);
	ck_ok(config_parse_transport(&c, "mmio,cmdline", &e));
	ck_assert_int_eq(c.transport, TRANSPORT_MMIO_CMDLINE);
	ck_ok(config_parse_transport(&c, "pci", &e));
	ck_assert_int_eq(c.transport, TRANSPORT_PCI);
	ck_fails(config_parse_transport(&c, "isa", &e), -EINVAL,
		 "expected pci, mmio or mmio,cmdline");
	ck_fails(config_parse_transport(&c, "", &e), -EINVAL, "expected");
}
END_TEST

START_TEST(a_virtio_console_on_the_terminal_takes_it_from_com1)
{
	char want[512];

	start();
	ck_ok(console_spec_parse_console(&c.console, "stdio", &e));
	config_settle(&c);
	ck_assert_int_eq(c.serial.kind, CHARDEV_NULL);
	ck_ok(config_check(&c, &e));
	snprintf(want, sizeof(want), "%s console=hvc0 TERM=dumb", arch_default_cmdline(&c.cpus));
	check_line(want);
	ck_ok(config_parse_serial(&c, "stdio", &e));
	config_settle(&c);
	ck_assert_int_eq(config_check(&c, &e), -EINVAL);
	c.cmdline = "console=hvc0 quiet";
	check_line("console=hvc0 quiet");
}
END_TEST

START_TEST(words_for_the_hardware_are_on_every_command_line)
{
	char *line;

	start();
	c.cmdline = "quiet";
	ck_ok(config_cmdline(&c, " virtio_mmio.device=4K@0x1000:5", 2047, &line, &e));
	ck_assert_str_eq(line, "quiet virtio_mmio.device=4K@0x1000:5");
	free(line);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("config");

	UNIT_TEST(s, disks_and_networks_are_counted_and_limited);
	UNIT_TEST(s, transports_are_one_of_three);
	UNIT_TEST(s, a_virtio_console_on_the_terminal_takes_it_from_com1);
	UNIT_TEST(s, words_for_the_hardware_are_on_every_command_line);

	UNIT_TEST(s, the_defaults_are_half_a_gib_one_cpu_and_stdio);
	UNIT_TEST(s, cpus_are_a_number_or_a_shape);
	UNIT_TEST(s, other_cpus_are_refused_and_change_nothing);
	UNIT_TEST(s, a_console_is_one_of_five);
	UNIT_TEST(s, limits_are_named);
	UNIT_TEST(s, limits_that_the_vm_cannot_live_with_are_refused_with_the_least);
	UNIT_TEST(s, a_limit_on_disks_needs_one);
	UNIT_TEST(s, append_adds_words_and_cmdline_replaces_all);
	UNIT_TEST(s, cpus_that_the_io_apic_cannot_reach_get_none_of_its_interrupts);
	UNIT_TEST(s, a_line_that_is_too_long_is_refused_to_the_byte);
	UNIT_TEST(s, programs_of_the_guest_learn_of_the_terminal);
	return s;
}

UNIT_MAIN("config", suite)
