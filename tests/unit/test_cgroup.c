/*
 * test_cgroup.c - src/jail/cgroup*.c: what --limit says, and what becomes of it on hosts that are
 * made of files. What Linux does with it, tests/boot/limits has.
 */
#include "fake_cgroup.h"
#include "fake_stderr.h"
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/jail/cgroup.h>

#define OURS "/user.slice/run-7.scope"

static struct cgroup_limits l;
static struct cgroup c;
static struct err e;

/* Parsing ---------------------------------------------------------------------------------------
 */

START_TEST(any_of_the_limits_may_be_given_in_any_order)
{
	ck_assert(!cgroup_limits_any(&l));
	ck_ok(cgroup_limits_parse(&l, "pids=100", &e));
	ck_assert(cgroup_limits_any(&l));
	ck_assert_uint_eq(l.pids, 100);
	ck_assert(l.mem_bytes == 0 && l.milli_cpu == 0 && l.io_bytes_per_s == 0);
	ck_ok(cgroup_limits_parse(&l, "io=20M,mem=600", &e));
	ck_assert_uint_eq(l.pids, 100);
	ck_assert_uint_eq(l.io_bytes_per_s, 20 * MIB);
	ck_assert_uint_eq(l.mem_bytes, 600 * MIB);
	ck_ok(cgroup_limits_parse(&l, "mem=1G,mem=2G", &e));
	ck_assert_uint_eq(l.mem_bytes, 2 * GIB);
}
END_TEST

START_TEST(cpu_is_a_number_with_up_to_three_digits_behind_the_point)
{
	static const struct {
		const char *text;
		unsigned int milli;
	} cases[] = {
		{ "cpu=1", 1000 },         { "cpu=0.2", 200 },    { "cpu=1.5", 1500 },
		{ "cpu=0.01", 10 },        { "cpu=2.125", 2125 }, { "cpu=0.050", 50 },
		{ "cpu=65536", 65536000 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_ok(cgroup_limits_parse(&l, cases[i].text, &e));
		ck_assert_msg(l.milli_cpu == cases[i].milli, "%s: %u", cases[i].text, l.milli_cpu);
	}
}
END_TEST

START_TEST(what_is_no_limit_is_named_and_changes_nothing)
{
	static const struct {
		const char *text;
		int code;
		const char *words;
	} cases[] = {
		{ "", -EINVAL, "expected mem=SIZE" },
		{ "mem", -EINVAL, "'mem': expected mem=SIZE, cpu=N, pids=N or io=SIZE" },
		{ "ram=1G", -EINVAL, "'ram'" },
		{ "mem=1G,", -EINVAL, "''" },
		{ "mem=", -EINVAL, "mem=: not a number" },
		{ "mem=0", -EINVAL, "mem=0: must be more than 0" },
		{ "io=0", -EINVAL, "io=0: must be more than 0" },
		{ "mem=5Q", -EINVAL, "mem=5Q: unknown unit 'Q'" },
		{ "mem=99999999999999999999", -ERANGE, "too large" },
		{ "pids=0", -ERANGE, "pids=0: must be 1 to 4194304" },
		{ "pids=4194305", -ERANGE, "must be 1 to" },
		{ "pids=-1", -EINVAL, "not a number" },
		{ "pids=1M", -EINVAL, "unknown unit" },
		{ "cpu=0", -ERANGE, "the least is 0.01" },
		{ "cpu=0.009", -ERANGE, "the least is 0.01" },
		{ "cpu=65537", -ERANGE, "must be 0 to 65536" },
		{ "cpu=.5", -EINVAL, "not a number" },
		{ "cpu=1.", -EINVAL, "one to three digits" },
		{ "cpu=1.0001", -EINVAL, "one to three digits" },
		{ "cpu=1.5.5", -EINVAL, "one to three digits" },
		{ "cpu=-1", -EINVAL, "not a number" },
		{ "cpu=50%", -EINVAL, "unknown unit" },
		{ "pids=7,cpu=x", -EINVAL, "cpu=x: not a number" },
	};
	static char longest[400];
	const struct cgroup_limits none = { 0 };

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_fails(cgroup_limits_parse(&l, cases[i].text, &e), cases[i].code, cases[i].words);
		ck_assert(memcmp(&l, &none, sizeof(l)) == 0);
	}
	memset(longest, '1', sizeof(longest) - 1);
	memcpy(longest, "pids=", 5);
	ck_fails(cgroup_limits_parse(&l, longest, &e), -EINVAL, "too long");
}
END_TEST

START_TEST(sizes_are_told_as_they_are_written)
{
	char text[CGROUP_SIZE_TEXT];

	cgroup_size_text(text, 600 * MIB);
	ck_assert_str_eq(text, "600M");
	cgroup_size_text(text, 600 * MIB + KIB);
	ck_assert_str_eq(text, "614401K");
	cgroup_size_text(text, UINT64_MAX);
	ck_assert_str_eq(text, "18014398509481983K");
}
END_TEST

/* Making and removing ----------------------------------------------------------------------------
 */

/* A file of the cgroup that was made for us, of the one that we have moved to, of our own. */
static const char *file_in(const char *suffix, const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), FAKE_CGROUP_MOUNT OURS "/vmm-%d%s/%s", getpid(), suffix, name);
	return path;
}
#define leaf(name) fake_cgroup_text(file_in("", name))
#define side(name) fake_cgroup_text(file_in("-outer", name))
#define base(name) fake_cgroup_text(FAKE_CGROUP_MOUNT OURS "/" name)

static void limits(const char *text)
{
	l = (struct cgroup_limits){ 0 };
	ck_ok(cgroup_limits_parse(&l, text, &e));
}

/* We are alone in a cgroup that was delegated to us, as by systemd-run. */
static void start(const char *text)
{
	fake_cgroup_init(OURS, "cpu io memory pids");
	c.root = fake_cgroup.root;
	limits(text);
}

static void stop(void)
{
	ck_assert_uint_eq(fake_cgroup.n_left, 0);
	ck_assert(!c.base && !c.leaf && !c.side);
	fake_cgroup_fini();
}

static const char *own_pid(void)
{
	static char text[24];

	snprintf(text, sizeof(text), "%d", getpid());
	return text;
}

START_TEST(each_limit_is_written_where_linux_looks_for_it)
{
	start("mem=600M,cpu=0.2,pids=40");
	ck_ok(cgroup_create(&c, &l, &e));
	ck_assert_str_eq(leaf("memory.max"), "629145600");
	ck_assert_str_eq(leaf("memory.swap.max"), "0");
	ck_assert_str_eq(leaf("memory.oom.group"), "1");
	ck_assert_str_eq(leaf("cpu.max"), "20000 100000");
	ck_assert_str_eq(leaf("pids.max"), "40");
	ck_assert(!fake_cgroup_exists(file_in("", "io.max"))); /* nobody has asked for io */
	cgroup_destroy(&c);
	stop();
}
END_TEST

START_TEST(only_what_is_asked_for_is_limited)
{
	start("pids=40");
	ck_ok(cgroup_create(&c, &l, &e));
	ck_assert_str_eq(base("cgroup.subtree_control"), "+pids");
	ck_assert(!fake_cgroup_exists(file_in("", "memory.max")));
	cgroup_destroy(&c);
	stop();
}
END_TEST

START_TEST(we_move_out_of_a_cgroup_that_is_to_be_divided_and_back)
{
	start("mem=600M,cpu=2");
	ck_ok(cgroup_create(&c, &l, &e));
	ck_assert_str_eq(base("cgroup.subtree_control"), "+memory +cpu");
	ck_assert_str_eq(side("cgroup.procs"), own_pid());
	ck_assert_str_eq(leaf("cgroup.procs"), "");
	ck_ok(cgroup_join(&c, 4711, &e));
	ck_assert_str_eq(leaf("cgroup.procs"), "4711");
	fake_cgroup_put(FAKE_CGROUP_MOUNT OURS "/cgroup.procs", "");
	cgroup_destroy(&c);
	ck_assert_str_eq(base("cgroup.subtree_control"), "-memory -cpu");
	ck_assert_str_eq(base("cgroup.procs"), own_pid());
	stop();
}
END_TEST

START_TEST(one_that_is_divided_already_is_left_as_it_is)
{
	start("mem=600M");
	fake_cgroup_put(FAKE_CGROUP_MOUNT OURS "/cgroup.subtree_control", "cpu memory");
	fake_cgroup_put(FAKE_CGROUP_MOUNT OURS "/cgroup.procs", "");
	ck_ok(cgroup_create(&c, &l, &e));
	ck_assert_uint_eq(fake_cgroup.n_mkdirs, 1);
	cgroup_destroy(&c);
	ck_assert_str_eq(base("cgroup.subtree_control"), "cpu memory");
	ck_assert_str_eq(base("cgroup.procs"), "");
	stop();
}
END_TEST

START_TEST(the_root_of_all_may_keep_its_processes)
{
	char path[64];

	fake_cgroup_init("/", "cpuset cpu io memory hugetlb pids");
	c.root = fake_cgroup.root;
	fake_cgroup_put(FAKE_CGROUP_MOUNT "/cgroup.procs", "1\n2\n3\n4");
	limits("mem=600M");
	ck_ok(cgroup_create(&c, &l, &e));
	ck_assert_uint_eq(fake_cgroup.n_mkdirs, 1);
	snprintf(path, sizeof(path), FAKE_CGROUP_MOUNT "/vmm-%d/memory.max", getpid());
	ck_assert_str_eq(fake_cgroup_text(path), "629145600");
	cgroup_destroy(&c);
	/* What was enabled stays: another VM may rely on it by now. */
	ck_assert_str_eq(fake_cgroup_text(FAKE_CGROUP_MOUNT "/cgroup.subtree_control"), "+memory");
	stop();
}
END_TEST

START_TEST(others_in_our_cgroup_are_an_error_that_names_them)
{
	char text[64];

	start("mem=600M");
	fake_cgroup_put("/proc/812/comm", "bash");
	snprintf(text, sizeof(text), "812\n%d\n900", getpid());
	fake_cgroup_put(FAKE_CGROUP_MOUNT OURS "/cgroup.procs", text);
	ck_fails(cgroup_create(&c, &l, &e), -EBUSY, "(bash 812, 900)");
	ck_fails(cgroup_create(&c, &l, &e), -EBUSY, "scope -p Delegate=yes vmm run");
	fake_cgroup_put(FAKE_CGROUP_MOUNT OURS "/cgroup.procs", "1\n2\n0\n0");
	ck_fails(cgroup_create(&c, &l, &e), -EBUSY, "(1, 2, 0, ...)");
	ck_assert_str_eq(base("cgroup.subtree_control"), "");
	stop();
}
END_TEST

START_TEST(a_cgroup_of_a_dead_namesake_makes_way)
{
	start("pids=40");
	fake_cgroup_put(FAKE_CGROUP_MOUNT OURS "/cgroup.subtree_control", "pids");
	ck_ok(cgroup_create(&c, &l, &e));
	free(c.leaf); /* as if we had died: the cgroup is still there */
	free(c.base);
	ck_ok(cgroup_create(&c, &l, &e));
	ck_assert_uint_eq(fake_cgroup.n_mkdirs, 2);
	cgroup_destroy(&c);
	stop();
}
END_TEST

START_TEST(a_cgroup_that_is_not_ours_is_an_error_with_the_remedy)
{
	static const int errors[] = { EACCES, EPERM, EROFS };
	char words[128];

	start("mem=600M");
	fake_cgroup.mkdir_error = errors[_i];
	snprintf(words, sizeof(words), "-outer: %s: not ours to divide; remedy: systemd-run ",
		 strerror(errors[_i]));
	ck_fails(cgroup_create(&c, &l, &e), -errors[_i], words);
	fake_cgroup_put(FAKE_CGROUP_MOUNT OURS "/cgroup.subtree_control", "memory");
	ck_fails(cgroup_create(&c, &l, &e), -errors[_i], "not ours to divide");
	fake_cgroup.mkdir_error = ENOSPC; /* cgroup.max.descendants: EAGAIN, and its like */
	ck_fails(cgroup_create(&c, &l, &e), -ENOSPC, ": No space left on device");
	stop();
}
END_TEST

START_TEST(a_cgroup_that_is_left_in_time_is_removed)
{
	start("pids=40");
	fake_cgroup_put(FAKE_CGROUP_MOUNT OURS "/cgroup.subtree_control", "pids");
	ck_ok(cgroup_create(&c, &l, &e));
	fake_cgroup.busy = 5;
	cgroup_destroy(&c);
	stop();
}
END_TEST

START_TEST(one_that_is_in_use_stays_with_a_warning)
{
	char text[512];

	start("pids=40");
	fake_cgroup_put(FAKE_CGROUP_MOUNT OURS "/cgroup.subtree_control", "pids");
	ck_ok(cgroup_create(&c, &l, &e));
	fake_cgroup.busy = 1000000;
	stderr_capture();
	cgroup_destroy(&c);
	stderr_text(text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "Device or resource busy: it stays"));
	ck_assert_uint_eq(fake_cgroup.n_left, 1);
	fake_cgroup.n_left = 0;
	stop();
}
END_TEST

START_TEST(destroying_what_was_never_made_is_fine)
{
	struct cgroup none = { 0 };

	cgroup_destroy(&none);
	ck_assert_uint_eq(cgroup_oom_kills(&none), 0);
	ck_assert_uint_eq(cgroup_pids_refused(&none), 0);
}
END_TEST

/* Which limit it was -----------------------------------------------------------------------------
 */

START_TEST(the_limit_that_was_reached_is_known)
{
	start("mem=600M,pids=40");
	ck_ok(cgroup_create(&c, &l, &e));
	ck_assert_uint_eq(cgroup_oom_kills(&c), 0);
	ck_assert_uint_eq(cgroup_pids_refused(&c), 0);
	fake_cgroup_put(file_in("", "memory.events"),
			"low 1\nhigh 2\nmax 300\noom 4\noom_kill 5\noom_group_kill 6");
	fake_cgroup_put(file_in("", "pids.events"), "max 7");
	ck_assert_uint_eq(cgroup_oom_kills(&c), 5);
	ck_assert_uint_eq(cgroup_pids_refused(&c), 7);
	fake_cgroup_put(file_in("", "memory.events"), "oom_kill\nsome nonsense");
	ck_assert_uint_eq(cgroup_oom_kills(&c), 0);
	cgroup_destroy(&c);
	ck_assert_uint_eq(cgroup_oom_kills(&c), 0);
	stop();
}
END_TEST

/* Hosts -----------------------------------------------------------------------------------------
 */

START_TEST(a_host_without_cgroup_v2_is_told_with_the_remedy)
{
	start("mem=600M");
	fake_cgroup_put("/proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/\n1:name=systemd:/init");
	ck_fails(cgroup_create(&c, &l, &e), -ENOTSUP, "limits need cgroup v2");
	ck_fails(cgroup_create(&c, &l, &e), -ENOTSUP, "systemd.unified_cgroup_hierarchy=1");
	fake_cgroup_put("/proc/self/cgroup", "");
	ck_fails(cgroup_create(&c, &l, &e), -ENOTSUP, "limits need cgroup v2");
	stop();
}
END_TEST

START_TEST(controllers_that_v1_has_are_named)
{
	start("mem=600M,cpu=1,io=1M,pids=9");
	fake_cgroup_put("/proc/self/cgroup", "7:blkio:/\n4:memory:/a\n3:cpu,cpuacct:/\n0::" OURS);
	fake_cgroup_put(FAKE_CGROUP_MOUNT OURS "/cgroup.controllers", "pids");
	ck_fails(cgroup_create(&c, &l, &e), -ENOTSUP, "cgroup v1 has memory cpu io; remedy: boot");
	stop();
}
END_TEST

START_TEST(a_kernel_without_a_controller_is_told)
{
	start("mem=600M,pids=9");
	fake_cgroup_put(FAKE_CGROUP_MOUNT "/cgroup.controllers", "cpu io pids");
	fake_cgroup_put(FAKE_CGROUP_MOUNT OURS "/cgroup.controllers", "cpu io pids");
	ck_fails(cgroup_create(&c, &l, &e), -ENOTSUP, "kernel has no cgroup controller memory");
	stop();
}
END_TEST

START_TEST(controllers_that_are_not_delegated_are_named_with_the_remedy)
{
	start("mem=600M,cpu=1,pids=9");
	fake_cgroup_put(FAKE_CGROUP_MOUNT OURS "/cgroup.controllers", "memory pids");
	ck_fails(cgroup_create(&c, &l, &e), -ENOTSUP,
		 "the cgroup " OURS " may not limit cpu; remedy: systemd-run ");
	stop();
}
END_TEST

START_TEST(the_mount_may_be_anywhere_and_of_a_part_only)
{
	char path[128];

	start("pids=9");
	fake_cgroup_put("/proc/self/mountinfo",
			"30 24 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
			"31 24 0:31 /other /mnt/other rw - cgroup2 cgroup2 rw\n"
			"32 24 0:31 /user.slice /mnt/a\\040place rw,relatime - cgroup2 cgroup2 rw");
	fake_cgroup_put("/mnt/a place/run-7.scope/cgroup.controllers", "pids");
	fake_cgroup_put("/mnt/a place/run-7.scope/cgroup.subtree_control", "pids");
	/* The double makes files of cgroups at its own mount only. */
	ck_fails(cgroup_create(&c, &l, &e), -ENOENT, "/mnt/a place/run-7.scope/vmm-");
	snprintf(path, sizeof(path), "/mnt/a place/run-7.scope/vmm-%d", getpid());
	ck_assert(!fake_cgroup_exists(path));
	stop();
}
END_TEST

START_TEST(a_cgroup_that_no_mount_shows_is_an_error)
{
	static const char *const paths[] = { "0::/../x", "0::/user.slice2/x", "0::/user" };

	start("pids=9");
	fake_cgroup_put("/proc/self/cgroup", paths[_i]);
	fake_cgroup_put("/proc/self/mountinfo",
			"32 24 0:31 /user.slice /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
	ck_fails(cgroup_create(&c, &l, &e), -ENOTSUP, "not to be seen in any file system");
	stop();
}
END_TEST

START_TEST(odd_lines_of_the_kernel_do_no_harm)
{
	static const char *const texts[] = { "",
					     "x",
					     ":",
					     "::",
					     "0:",
					     "0::",
					     "\\0",
					     " - cgroup2 ",
					     "1 2 3 4 - cgroup2 x",
					     "1 2 3 \\ \\04 - cgroup2 x" };

	start("pids=9");
	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++) {
		fake_cgroup_put("/proc/self/mountinfo", texts[i]);
		fake_cgroup_put("/proc/self/cgroup", "0::" OURS);
		ck_assert_int_lt(cgroup_create(&c, &l, &e), 0);
		fake_cgroup_put("/proc/self/cgroup", texts[i]);
		ck_assert_int_lt(cgroup_create(&c, &l, &e), 0);
	}
	stop();
}
END_TEST

/* Disks -----------------------------------------------------------------------------------------
 */

/* stat() of this program says that what is called so is there. */
static struct {
	const char *path;
	mode_t mode;
	dev_t dev, rdev;
} file;

int stat(const char *path, struct stat *st)
{
	if (!file.path || strcmp(path, file.path) != 0)
		return fstatat(AT_FDCWD, path, st, 0);
	*st = (struct stat){ .st_mode = file.mode, .st_dev = file.dev, .st_rdev = file.rdev };
	return 0;
}

static const char *io_max(const char *path, mode_t mode, dev_t dev, dev_t rdev)
{
	static char text[128];

	file.path = path;
	file.mode = mode;
	file.dev = dev;
	file.rdev = rdev;
	l.io_paths = &file.path;
	l.n_io_paths = 1;
	ck_ok(cgroup_create(&c, &l, &e));
	snprintf(text, sizeof(text), "%s", leaf("io.max"));
	cgroup_destroy(&c);
	return text;
}

START_TEST(the_disk_of_a_file_or_the_device_itself_is_limited)
{
	start("io=20M");
	ck_assert_str_eq(io_max("a.img", S_IFREG, makedev(8, 16), 0),
			 "8:16 rbps=20971520 wbps=20971520");
	ck_assert_str_eq(io_max("/dev/vg/a", S_IFBLK, makedev(0, 5), makedev(253, 3)),
			 "253:3 rbps=20971520 wbps=20971520");
	ck_assert_str_eq(io_max("/var/tmp", S_IFDIR, makedev(8, 16), 0),
			 "8:16 rbps=20971520 wbps=20971520");
	stop();
}
END_TEST

START_TEST(a_partitions_limit_is_that_of_its_disk)
{
	char link[256];

	start("io=20M");
	fake_cgroup_put("/sys/devices/pci/sda/dev", "8:0");
	fake_cgroup_put("/sys/devices/pci/sda/sda3/dev", "8:3");
	fake_cgroup_put("/sys/devices/pci/sda/sda3/partition", "3");
	fake_cgroup_put("/sys/dev/block/none", "");
	snprintf(link, sizeof(link), "%s/sys/dev/block/8:3", fake_cgroup.root);
	ck_assert_int_eq(symlink("../../devices/pci/sda/sda3", link), 0);
	snprintf(link, sizeof(link), "%s/sys/dev/block/8:0", fake_cgroup.root);
	ck_assert_int_eq(symlink("../../devices/pci/sda", link), 0);
	ck_assert_str_eq(io_max("a.img", S_IFREG, makedev(8, 3), 0),
			 "8:0 rbps=20971520 wbps=20971520");
	ck_assert_str_eq(io_max("/dev/sda3", S_IFBLK, 0, makedev(8, 3)),
			 "8:0 rbps=20971520 wbps=20971520");
	ck_assert_str_eq(io_max("/dev/sda", S_IFBLK, 0, makedev(8, 0)),
			 "8:0 rbps=20971520 wbps=20971520");
	fake_cgroup_put("/sys/devices/pci/sda/dev", "nonsense");
	file.rdev = makedev(8, 3);
	ck_fails(cgroup_create(&c, &l, &e), -EIO, "8:3/../dev");
	stop();
}
END_TEST

START_TEST(a_file_without_a_disk_is_an_error_with_the_remedy)
{
	start("io=20M");
	file.path = "a.img";
	file.mode = S_IFREG;
	file.dev = makedev(0, 44);
	l.io_paths = &file.path;
	l.n_io_paths = 1;
	ck_fails(cgroup_create(&c, &l, &e), -ENOTSUP,
		 "io: a.img is in a file system without a disk");
	ck_fails(cgroup_create(&c, &l, &e), -ENOTSUP, "bps= of --disk");
	stop();
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
	static const char *const missing = "/nonexistent/a.img";

	start("io=20M");
	l.io_paths = &missing;
	l.n_io_paths = 1;
	ck_fails(cgroup_create(&c, &l, &e), -ENOENT, "io: /nonexistent/a.img: No such file");
	stop();
}
END_TEST

START_TEST(a_folder_in_memory_needs_no_limit)
{
	static const char *const shm = "/dev/shm";

	start("io=20M");
	l.io_paths = &shm;
	l.n_io_paths = 1;
	ck_ok(cgroup_create(&c, &l, &e));
	ck_assert_str_eq(leaf("io.max"), "");
	cgroup_destroy(&c);
	stop();
}
END_TEST

static void add_io(Suite *s)
{
	UNIT_TEST(s, the_disk_of_a_file_or_the_device_itself_is_limited);
	UNIT_TEST(s, a_partitions_limit_is_that_of_its_disk);
	UNIT_TEST(s, a_file_without_a_disk_is_an_error_with_the_remedy);
	UNIT_TEST(s, a_file_that_is_not_there_is_named);
	UNIT_TEST(s, a_folder_in_memory_needs_no_limit);
}

static Suite *suite(void)
{
	Suite *s = suite_create("cgroup");

	UNIT_TEST(s, any_of_the_limits_may_be_given_in_any_order);
	UNIT_TEST(s, cpu_is_a_number_with_up_to_three_digits_behind_the_point);
	UNIT_TEST(s, what_is_no_limit_is_named_and_changes_nothing);
	UNIT_TEST(s, sizes_are_told_as_they_are_written);
	UNIT_TEST(s, each_limit_is_written_where_linux_looks_for_it);
	UNIT_TEST(s, only_what_is_asked_for_is_limited);
	UNIT_TEST(s, we_move_out_of_a_cgroup_that_is_to_be_divided_and_back);
	UNIT_TEST(s, one_that_is_divided_already_is_left_as_it_is);
	UNIT_TEST(s, the_root_of_all_may_keep_its_processes);
	UNIT_TEST(s, others_in_our_cgroup_are_an_error_that_names_them);
	UNIT_TEST(s, a_cgroup_of_a_dead_namesake_makes_way);
	UNIT_LOOP(s, a_cgroup_that_is_not_ours_is_an_error_with_the_remedy, 3);
	UNIT_TEST(s, a_cgroup_that_is_left_in_time_is_removed);
	UNIT_TEST(s, one_that_is_in_use_stays_with_a_warning);
	UNIT_TEST(s, destroying_what_was_never_made_is_fine);
	UNIT_TEST(s, the_limit_that_was_reached_is_known);
	UNIT_TEST(s, a_host_without_cgroup_v2_is_told_with_the_remedy);
	UNIT_TEST(s, controllers_that_v1_has_are_named);
	UNIT_TEST(s, a_kernel_without_a_controller_is_told);
	UNIT_TEST(s, controllers_that_are_not_delegated_are_named_with_the_remedy);
	UNIT_TEST(s, the_mount_may_be_anywhere_and_of_a_part_only);
	UNIT_LOOP(s, a_cgroup_that_no_mount_shows_is_an_error, 3);
	UNIT_TEST(s, odd_lines_of_the_kernel_do_no_harm);
	add_io(s);
	return s;
}

UNIT_MAIN("cgroup", suite)
