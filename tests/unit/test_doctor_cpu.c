/*
 * test_doctor_cpu.c - src/cli/doctor_cpu.c: what is told of a host's side channels, on hosts that
 * are made of a few files.
 */
#include "../../src/cli/doctor.h"
#include "unit.h"
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/util.h>

#define CPU "/sys/devices/system/cpu"
#define LEAKS CPU "/vulnerabilities"

static char root[64], told[8192];

static void start(void)
{
	snprintf(root, sizeof(root), "/tmp/vmm-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static int removes(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

static void stop(void)
{
	ck_assert_int_eq(nftw(root, removes, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* The host has this file. */
static void put(const char *path, const char *text)
{
	char all[256];
	FILE *f;

	snprintf(all, sizeof(all), "%s%s", root, path);
	for (char *p = all + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(all, 0700);
	}
	f = fopen(all, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void look(void)
{
	FILE *f = fmemopen(told, sizeof(told), "w");

	ck_assert_ptr_nonnull(f);
	doctor_cpu(f, root);
	fclose(f);
}

/* One of the lines is this. */
static bool says(const char *line)
{
	size_t len = strlen(line);

	for (const char *p = told; (p = strstr(p, line)); p++) {
		if ((p == told || p[-1] == '\n') && p[len] == '\n')
			return true;
	}
	return false;
}
#define ck_says(line) ck_assert_msg(says(line), "no line \"%s\" in:\n%s", line, told)
#define ck_begins(text)                                                                            \
	ck_assert_msg(strstr(told, text), "nothing begins with \"%s\" in:\n%s", text, told)

START_TEST(a_host_that_tells_nothing_is_not_called_safe)
{
	start();
	look();
	ck_assert_str_eq(told, "SMT:      not known\n"
			       "leaks:    not known: this kernel does not tell\n"
			       "microcode: not known\n"
			       "KSM:      none\n"
			       "swap:     none\n");
	stop();
}
END_TEST

START_TEST(a_good_host_gets_one_line_each)
{
	start();
	put(CPU "/smt/active", "0\n");
	put(CPU "/smt/control", "notsupported\n");
	put(LEAKS "/meltdown", "Not affected\n");
	put(LEAKS "/spectre_v1", "Mitigation: usercopy/swapgs barriers\n");
	put(LEAKS "/old_microcode", "Not affected\n");
	put("/proc/cpuinfo", "processor\t: 0\nmicrocode\t: 0xa0011d5\nprocessor\t: 1\n"
			     "microcode\t: 0x1\n");
	put("/sys/kernel/mm/ksm/run", "0\n");
	put("/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	look();
	ck_assert_str_eq(told, "SMT:      none\n"
			       "leaks:    none: this CPU has none of the 2 that this kernel knows, "
			       "or it mends them\n"
			       "microcode: 0xa0011d5\n"
			       "KSM:      off\n"
			       "swap:     none\n");
	stop();
}
END_TEST

START_TEST(what_is_open_has_a_line_each_in_order_and_nothing_else_has)
{
	const char *a, *b;

	start();
	put(LEAKS "/mds", "Mitigation: Clear CPU buffers; SMT vulnerable\n");
	put(LEAKS "/l1tf", "Mitigation: PTE Inversion; VMX: vulnerable\n");
	put(LEAKS "/srbds", "Vulnerable: No microcode\n");
	put(LEAKS "/retbleed", "Mitigation: IBPB\n");
	put(LEAKS "/tsa", "Not affected\n");
	look();
	ck_says("leak:     mds: Mitigation: Clear CPU buffers; SMT vulnerable");
	ck_says("leak:     l1tf: Mitigation: PTE Inversion; VMX: vulnerable");
	ck_says("leak:     srbds: Vulnerable: No microcode");
	ck_begins("leaks:    3 of the 5 that this kernel knows; remedy: ");
	ck_assert(!strstr(told, "retbleed") && !strstr(told, "tsa"));
	a = strstr(told, "l1tf");
	b = strstr(told, "srbds");
	ck_assert(a && b && a < b);
	stop();
}
END_TEST

START_TEST(shared_cores_are_told_with_the_remedy)
{
	start();
	put(CPU "/smt/active", "1\n");
	put(CPU "/smt/control", "on\n");
	look();
	ck_begins("SMT:      on: ");
	ck_begins("remedy: --core-scheduling\n");
	put(CPU "/smt/active", "0\n");
	put(CPU "/smt/control", "forceoff\n");
	look();
	ck_says("SMT:      off");
	stop();
}
END_TEST

START_TEST(old_microcode_is_told_beside_its_revision)
{
	start();
	put(LEAKS "/old_microcode", "Vulnerable\n");
	put(LEAKS "/mds", "Not affected\n");
	put("/proc/cpuinfo", "microcode\t: 0x1d\n");
	look();
	ck_begins("microcode: 0x1d, which is old; remedy: the package ");
	ck_begins("leaks:    none: this CPU has none of the 1 ");
	stop();
}
END_TEST

START_TEST(merging_and_swap_are_told_with_the_option_that_matters)
{
	start();
	put("/sys/kernel/mm/ksm/run", "1\n");
	put("/proc/swaps",
	    "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	    "/dev/sda2                               partition\t2097152\t\t1024\t\t-2\n"
	    "/swap\\040file                           file\t\t1048576\t\t4096\t\t-3\n"
	    "/dev/zram0                              partition\t9999999\t\t0\t\t100\n");
	look();
	ck_begins("KSM:      on: ");
	ck_begins("--mem-merge only\n");
	ck_begins("swap:     3072 MiB, 5 MiB in use: ");
	ck_begins("remedy: --mem-lock\n");
	put("/sys/kernel/mm/ksm/run", "2\n");
	look();
	ck_says("KSM:      off");
	stop();
}
END_TEST

START_TEST(lines_that_are_long_or_odd_do_no_harm)
{
	static char line[4096];

	memset(line, 'x', sizeof(line) - 1);
	start();
	put(LEAKS "/mds", line);
	put(LEAKS "/srbds", "");
	put(LEAKS "/tsa/what", "a folder\n");
	put("/proc/cpuinfo", line);
	put("/proc/swaps", line);
	put("/sys/kernel/mm/ksm/run", line);
	put(CPU "/smt/active", line);
	put(CPU "/smt/control", line);
	look();
	ck_begins("leaks:    none");
	ck_says("microcode: not known");
	ck_says("KSM:      off");
	ck_says("swap:     none");
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("doctor_cpu");

	UNIT_TEST(s, a_host_that_tells_nothing_is_not_called_safe);
	UNIT_TEST(s, a_good_host_gets_one_line_each);
	UNIT_TEST(s, what_is_open_has_a_line_each_in_order_and_nothing_else_has);
	UNIT_TEST(s, shared_cores_are_told_with_the_remedy);
	UNIT_TEST(s, old_microcode_is_told_beside_its_revision);
	UNIT_TEST(s, merging_and_swap_are_told_with_the_option_that_matters);
	UNIT_TEST(s, lines_that_are_long_or_odd_do_no_harm);
	return s;
}

UNIT_MAIN("doctor_cpu", suite)
