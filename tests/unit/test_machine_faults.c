/*
 * test_machine_faults.c - each single call into the host fails once, while a machine with all
 * devices is built, run and taken down.
 *
 * tests/fault/fault.h says how. The guest is a function of the fake KVM, whose own refusals
 * test_machine_build.c has; the real KVM and the whole program are in tests/fault/run.
 */
#include "../fault/fault.h"
#include "fake_kernel.h"
#include "fake_vm.h"
#include "unit.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/dev/acpi_pm.h>

#define SLEEP_S5 (ACPI_PM_SLP_TYP_S5 << 2 | 1 << 5)

static struct fake_vm vm;
static char dir[64]; /* of the test: everything that the machine opens or makes is here */

static int powers_off(unsigned int id, unsigned int boot, unsigned int step, struct kvm_run *run)
{
	(void)boot;
	if (id != 0 || step != 0)
		return FAKE_GUEST_HALTS;
	return guest_out(run, ACPI_PM_BASE + ACPI_PM_SLEEP_CONTROL, SLEEP_S5);
}

/* "BEFORE" DIR "/NAME": lives until sixteen more have been made. */
static const char *at(const char *before, const char *name)
{
	static char text[16][128];
	static unsigned int next;
	char *t = text[next++ % ARRAY_SIZE(text)];

	snprintf(t, sizeof(text[0]), "%s%s/%s", before, dir, name);
	return t;
}

static const char *const disks[] = { "a", "b", "c" };

static void make_dir(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/vmm-faults-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert(mkdtemp(dir) != NULL);
	for (unsigned int i = 0; i < ARRAY_SIZE(disks); i++) {
		FILE *f = fopen(at("", disks[i]), "w");

		ck_assert(f && ftruncate(fileno(f), 65536) == 0 && fclose(f) == 0);
	}
}

static void remove_dir(void)
{
	static const char *const names[] = { "a", "b", "c", "serial", "console", "stats" };

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		unlink(at("", names[i]));
	ck_assert_msg(rmdir(dir) == 0, "something is left in %s", dir);
}

/* Everything that can be had without root and other programs. */
static void all_devices(enum transport transport)
{
	struct vm_config *c = &vm.cfg;
	struct err e;

	c->transport = transport;
	c->cpus = (struct cpu_topology){ 1, 2, 1 };
	c->stats_path = at("", "stats");
	ck_ok(config_parse_serial(c, at("file=", "serial"), &e));
	ck_ok(config_add_disk(c, at("", "a"), &e));
	ck_ok(config_add_disk(c, at("", "b,snapshot"), &e));
	ck_ok(config_add_disk(c, at("", "c,ro,engine=threads"), &e));
	ck_ok(config_add_net(c, at("unix=", "net"), &e));
	ck_ok(console_spec_parse_console(&c->console, at("file=", "console"), &e));
	ck_ok(console_spec_parse_port(&c->console, at("a=unix=", "port"), &e));
	config_settle(c);
	ck_ok(config_check(c, &e));
}

static const char *const sockets[] = { "net", "port" };

static void remove_sockets(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(sockets); i++)
		unlink(at("", sockets[i]));
}

static void nothing_is_left(const struct fault_seen *seen)
{
	struct stat st;

	ck_assert_int_eq(fake_kvm.n_vms, 0);
	ck_assert_int_eq(fake_kvm.n_vcpus, 0);
	ck_assert_msg(count_fds() == vm.n_fds, "%s: file descriptors are left", seen->failed);
	check_threads(vm.n_threads);
	if (seen->failed && strcmp(seen->failed, "unlink") == 0)
		remove_sockets(); /* nobody else can */
	for (unsigned int i = 0; i < ARRAY_SIZE(sockets); i++)
		ck_assert_msg(stat(at("", sockets[i]), &st) < 0, "%s: %s is left", seen->failed,
			      at("", sockets[i]));
}

/* An error says what it was about and why: "disk0: eventfd: Too many open files". */
static void check_error(const struct fault_seen *seen, int rc, const struct err *e)
{
	const char *why = seen->error == ENOMEM ? "memory" : strerror(seen->error);

	ck_assert_int_lt(rc, 0);
	ck_assert_int_eq(e->code, rc);
	ck_assert_msg(strstr(e->text, why) > e->text, "%s: %s: \"%s\"", seen->failed, why, e->text);
}

/* A file of statistics is whole, or there is none: so many keys. */
static unsigned int count_keys(void)
{
	FILE *f = fopen(at("", "stats"), "r");
	unsigned int n = 0;

	if (!f)
		return 0;
	for (int c; (c = getc(f)) != EOF;)
		n += c == ':';
	fclose(f);
	unlink(at("", "stats"));
	return n;
}

/* Whether an error came of it. A VM that does without what failed must have worked. */
static bool live(const struct fault_seen *seen, int rc, const struct err *e)
{
	if (rc < 0) {
		ck_assert_msg(seen->failed != NULL, "an error without a cause: %s", e->text);
		check_error(seen, rc, e);
		return true;
	}
	if (vm.result.end == END_POWEROFF)
		return false;
	ck_assert_msg(seen->failed && vm.result.end == END_HOST, "%s fails: end %d", seen->failed,
		      vm.result.end);
	return true;
}

/* false: there is no n-th call. */
static bool nth_fails(enum transport transport, unsigned int n, bool forever, unsigned int *errors)
{
	struct err e = { 0 };
	struct fault_seen seen;
	int rc;

	fake_vm_init(&vm, powers_off);
	all_devices(transport);
	fault_arm(n, forever);
	rc = machine_build(&vm.m, &vm.cfg, &e);
	if (rc == 0) {
		rc = machine_run(vm.m, &vm.result, &e);
		machine_destroy(vm.m);
	}
	seen = fault_disarm();
	if (getenv("FAULT_SHOW"))
		fprintf(stderr, "%u %s %#lx: %d \"%s\"\n", n, seen.failed, seen.request, rc,
			e.text);
	*errors += live(&seen, rc, &e);
	nothing_is_left(&seen);
	fake_vm_fini(&vm);
	return seen.failed != NULL;
}

static void each_call_fails(enum transport transport, bool forever)
{
	unsigned int n = 1, errors = 0, keys, got;

	log_set_level(LOG_ERROR);
	make_dir();
	nth_fails(transport, 0, false, &errors);
	keys = count_keys();
	ck_assert_uint_ge(keys, 20);
	for (; nth_fails(transport, n, forever, &errors); n++) {
		got = count_keys();
		ck_assert_msg(got == 0 || got == keys, "call %u fails: half of the statistics", n);
	}
	remove_dir();
	ck_assert_uint_ge(n, 150);
	ck_assert_uint_ge(errors, 60);
}

START_TEST(whatever_the_host_refuses_is_a_clean_error_or_done_without)
{
	each_call_fails(_i ? TRANSPORT_MMIO : TRANSPORT_PCI, false);
}
END_TEST

START_TEST(what_the_host_refuses_from_then_on_is_a_clean_error)
{
	each_call_fails(_i ? TRANSPORT_MMIO : TRANSPORT_PCI, true);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("machine_faults");

	UNIT_LOOP(s, whatever_the_host_refuses_is_a_clean_error_or_done_without, 2);
	UNIT_LOOP(s, what_the_host_refuses_from_then_on_is_a_clean_error, 2);
	return s;
}

UNIT_MAIN("machine_faults", suite)
