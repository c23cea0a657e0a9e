/*
 * test_cgroup_faults.c - each single call into the host fails once, while a VM gets its cgroup and
 * loses it again. tests/fault/fault.h says how.
 */
#include "../fault/fault.h"
#include "fake_cgroup.h"
#include "unit.h"
#include <errno.h>
#include <stdio.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/jail/cgroup.h>

#define OURS "/user.slice/run-7.scope"

static struct fault_seen live(unsigned int n, int *rc, struct err *e)
{
	static const char *const paths[] = { "/dev/shm" };
	struct cgroup_limits l = { .io_paths = paths, .n_io_paths = 1 };
	struct cgroup c = { .root = fake_cgroup.root };

	ck_assert_int_eq(cgroup_limits_parse(&l, "mem=600M,cpu=1,pids=9,io=1M", e), 0);
	fault_arm(n, false);
	*rc = cgroup_create(&c, &l, e);
	if (*rc == 0)
		*rc = cgroup_join(&c, 4711, e);
	cgroup_oom_kills(&c);
	cgroup_pids_refused(&c);
	cgroup_destroy(&c);
	ck_assert(!c.base && !c.leaf && !c.side);
	return fault_disarm();
}

START_TEST(whatever_the_host_refuses_is_a_clean_error_or_done_without)
{
	unsigned int n_errors = 0, n = 1;
	struct fault_seen seen;
	struct err e = { 0 };
	int rc;

	log_set_level(LOG_ERROR);
	for (;; n++) {
		fake_cgroup_init(OURS, "cpu io memory pids");
		seen = live(n, &rc, &e);
		/* Only the kernel could remove what rmdir() has left. */
		if (!seen.failed || strcmp(seen.failed, "rmdir") != 0)
			ck_assert_msg(fake_cgroup.n_left == 0, "%s fails: cgroups are left",
				      seen.failed);
		fake_cgroup_fini();
		if (!seen.failed)
			break;
		if (rc < 0) {
			ck_assert_int_eq(rc, e.code);
			ck_assert_str_ne(e.text, "");
			n_errors++;
		}
	}
	ck_ok(rc);
	ck_assert_uint_ge(n, 30);
	ck_assert_uint_ge(n_errors, 20);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("cgroup_faults");

	UNIT_TEST(s, whatever_the_host_refuses_is_a_clean_error_or_done_without);
	return s;
}

UNIT_MAIN("cgroup_faults", suite)
