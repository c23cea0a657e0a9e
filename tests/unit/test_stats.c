/*
 * test_stats.c - src/machine/stats.c: counters as JSON, to wherever the user wants them.
 */
#include "../../src/machine/machine.h"
#include "fake_stderr.h"
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/util.h>

static char dir[64], path[96];
static struct err e;

static void disk_counters(struct device *d, metric_fn fn, void *arg)
{
	(void)d;
	fn(arg, "reads", 17);
	fn(arg, "read_bytes", UINT64_C(1) << 40);
}

static const struct device_ops disk_ops = { .type = "virtio-pci", .counters = disk_counters };
static const struct device_ops plain_ops = { .type = "rtc_cmos" };

static struct device disk0 = { .ops = &disk_ops, .name = "disk0", .type = "virtio-blk" };
static struct device plain = { .ops = &plain_ops }, again = { .ops = &plain_ops };
static struct vm_config cfg;
static struct machine m;
static uint64_t vcpu_ns[3] = { 1999999, 0, UINT64_C(3600) * NS_PER_S };

static void start(void)
{
	cfg.cpus = (struct cpu_topology){ 1, 3, 1 };
	cfg.start_ns = evloop_now_ns() - 1500 * NS_PER_MS;
	m.cfg = &cfg;
	m.vcpu_ns = vcpu_ns; /* their threads have ended */
	m.devices[0] = &disk0;
	m.devices[1] = &plain;
	m.devices[2] = &again;
	m.n_devices = 3;
	snprintf(dir, sizeof(dir), "/tmp/vmm-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/stats", dir);
}

static void stop(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0); /* nothing else was left there */
}

static json_int_t number(const json_t *o, const char *name)
{
	const json_t *n = json_object_get(o, name);

	ck_assert_msg(json_is_integer(n), "no %s", name);
	return json_integer_value(n);
}

static void check_usage(const json_t *all)
{
	static const char *const some[] = { "minor_faults", "max_rss_kib" };
	static const char *const any[] = {
		"user_ms",        "system_ms",          "major_faults",        "blocks_read",
		"blocks_written", "voluntary_switches", "involuntary_switches"
	};
	const json_t *vcpus = json_object_get(all, "vcpu_cpu_ms");
	const json_t *process = json_object_get(all, "process");

	ck_assert_uint_eq(json_array_size(vcpus), 3);
	ck_assert_int_eq(json_integer_value(json_array_get(vcpus, 0)), 1);
	ck_assert_int_eq(json_integer_value(json_array_get(vcpus, 1)), 0);
	ck_assert_int_eq(json_integer_value(json_array_get(vcpus, 2)), 3600000);
	ck_assert_int_ge(number(all, "loop_cpu_ms"), 0);
	ck_assert_int_eq(number(all, "worker_cpu_ms"), 0); /* what cannot be is not negative */
	for (unsigned int i = 0; i < ARRAY_SIZE(some); i++)
		ck_assert_int_gt(number(process, some[i]), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(any); i++)
		ck_assert_int_ge(number(process, any[i]), 0);
	ck_assert_uint_eq(json_object_size(process), ARRAY_SIZE(some) + ARRAY_SIZE(any));
}

static void check(json_t *all)
{
	json_t *devices, *disk;

	ck_assert_ptr_nonnull(all);
	ck_assert_int_ge(json_integer_value(json_object_get(all, "uptime_ms")), 1500);
	ck_assert_int_lt(json_integer_value(json_object_get(all, "uptime_ms")), 60000);
	ck_assert_int_eq(json_integer_value(json_object_get(all, "vcpus")), 3);
	check_usage(all);
	devices = json_object_get(all, "devices");
	ck_assert_uint_eq(json_object_size(devices), 3);
	disk = json_object_get(devices, "disk0");
	ck_assert_str_eq(json_string_value(json_object_get(disk, "type")), "virtio-blk");
	ck_assert_int_eq(json_integer_value(json_object_get(disk, "reads")), 17);
	ck_assert_int_eq(json_integer_value(json_object_get(disk, "read_bytes")), 1ll << 40);
	ck_assert_uint_eq(json_object_size(json_object_get(devices, "rtc_cmos")), 1);
	ck_assert_uint_eq(json_object_size(json_object_get(devices, "rtc_cmos-2")), 1);
	json_decref(all);
}

START_TEST(a_file_has_every_device_with_its_counters)
{
	struct stat st;

	start();
	umask(027);
	ck_ok(stats_write(&m, path, &e));
	check(json_load_file(path, 0, NULL));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
	stop();
}
END_TEST

START_TEST(a_file_is_replaced_as_a_whole)
{
	char old[64];
	int fd;

	start();
	fd = open(path, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(write(fd, "old", 3), 3);
	ck_ok(stats_write(&m, path, &e));
	ck_assert_int_eq(pread(fd, old, sizeof(old), 0), 3); /* whoever reads it has the old one */
	check(json_load_file(path, 0, NULL));
	ck_ok(stats_write(&m, path, &e));
	check(json_load_file(path, 0, NULL));
	close(fd);
	stop();
}
END_TEST

START_TEST(a_link_stays_a_link)
{
	char link[96];
	struct stat st;

	start();
	snprintf(link, sizeof(link), "%s/link", dir);
	close(creat(path, 0600));
	ck_assert_int_eq(symlink("stats", link), 0);
	ck_ok(stats_write(&m, link, &e));
	ck_assert(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
	check(json_load_file(path, 0, NULL));
	unlink(link);
	stop();
}
END_TEST

START_TEST(stderr_gets_one_line)
{
	static char text[4096];

	start();
	stderr_capture();
	ck_ok(stats_write(&m, _i == 0 ? "-" : NULL, &e));
	stderr_text(text, sizeof(text));
	ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
	check(json_loads(text, 0, NULL));
	stop();
}
END_TEST

START_TEST(devices_are_written_to_and_not_replaced)
{
	struct stat st;

	start();
	ck_ok(stats_write(&m, "/dev/null", &e));
	ck_assert(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
	ck_fails(stats_write(&m, "/dev/full", &e), -ENOSPC, "/dev/full: No space left");
	stop();
}
END_TEST

START_TEST(a_pipe_is_never_waited_for)
{
	static char text[65536];
	int fd;

	start();
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_fails(stats_write(&m, path, &e), -ENXIO, path); /* nobody reads */
	fd = open(path, O_RDONLY | O_NONBLOCK);
	ck_ok(stats_write(&m, path, &e));
	ck_assert_int_gt(read(fd, text, sizeof(text) - 1), 0);
	check(json_loads(text, 0, NULL));
	for (int i = 0; i < 1000 && stats_write(&m, path, &e) == 0; i++)
		;
	ck_fails(stats_write(&m, path, &e), -EAGAIN, path); /* it is full */
	close(fd);
	stop();
}
END_TEST

START_TEST(a_place_that_does_not_exist_is_an_error_that_names_it)
{
	start();
	ck_fails(stats_write(&m, "/nonexistent/stats", &e), -ENOENT,
		 "/nonexistent/stats: No such file");
	ck_fails(stats_write(&m, dir, &e), -EISDIR, dir);
	stop();
}
END_TEST

START_TEST(a_file_that_cannot_be_written_is_found_out_before)
{
	ck_ok(stats_check("-", &e));
	ck_ok(stats_check("/dev/null", &e));
	ck_ok(stats_check("/tmp/vmm-stats-that-is-not-there", &e));
	ck_fails(stats_check("", &e), -EINVAL, "empty");
	ck_fails(stats_check("/tmp", &e), -EISDIR, "/tmp: is a directory");
	ck_fails(stats_check("/nonexistent/x", &e), -ENOENT, "/nonexistent/x");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("stats");

	UNIT_TEST(s, a_file_that_cannot_be_written_is_found_out_before);
	UNIT_TEST(s, a_file_has_every_device_with_its_counters);
	UNIT_TEST(s, a_file_is_replaced_as_a_whole);
	UNIT_TEST(s, a_link_stays_a_link);
	UNIT_LOOP(s, stderr_gets_one_line, 2);
	UNIT_TEST(s, devices_are_written_to_and_not_replaced);
	UNIT_TEST(s, a_pipe_is_never_waited_for);
	UNIT_TEST(s, a_place_that_does_not_exist_is_an_error_that_names_it);
	return s;
}

UNIT_MAIN("stats", suite)
