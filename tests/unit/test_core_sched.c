/*
 * test_core_sched.c - src/host/core_sched.c: what a kernel may answer, and what becomes of it.
 */
#include "fake_kernel.h"
#include "fake_stderr.h"
#include "unit.h"
#include <errno.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/host/core_sched.h>

static int answer; /* 0, or an errno */
static unsigned long asked[5];
static char text[4096];

/* The C library's, for this program. */
int prctl(int what, ...)
{
	va_list ap;

	va_start(ap, what);
	asked[0] = (unsigned long)what;
	for (unsigned int i = 1; i < 5; i++)
		asked[i] = va_arg(ap, unsigned long);
	va_end(ap);
	errno = answer;
	return answer ? -1 : 0;
}

/* smt: what the file that tells of hardware threads holds; NULL: there is none. */
static int enable(int kernel_says, const char *smt, struct err *e)
{
	char *path = fake_file(smt ? smt : "", smt ? strlen(smt) : 0);
	int rc;

	answer = kernel_says;
	if (!smt)
		unlink(path);
	stderr_capture();
	log_set_level(LOG_INFO);
	rc = core_sched_enable(path, e);
	stderr_text(text, sizeof(text));
	unlink(path);
	free(path);
	return rc;
}

START_TEST(the_process_as_a_whole_gets_a_cookie_of_its_own)
{
	struct err e = { 0 };

	ck_ok(enable(0, "1\n", &e));
	ck_assert_uint_eq(asked[0], PR_SCHED_CORE);
	ck_assert_uint_eq(asked[1], PR_SCHED_CORE_CREATE);
	ck_assert_uint_eq(asked[2], 0);
	ck_assert_uint_eq(asked[3], PR_SCHED_CORE_SCOPE_THREAD_GROUP);
	ck_assert_uint_eq(asked[4], 0);
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(a_host_without_hardware_threads_has_nothing_to_keep_apart)
{
	struct err e = { 0 };

	ck_ok(enable(ENODEV, _i ? "0\n" : NULL, &e));
	ck_assert_ptr_nonnull(strstr(text, "nothing to keep apart"));
	ck_ok(enable(EINVAL, "0\n", &e)); /* though its kernel could not */
	ck_assert_ptr_nonnull(strstr(text, "nothing to keep apart"));
}
END_TEST

START_TEST(a_kernel_that_cannot_is_an_error_with_the_remedy)
{
	static const char *const smt[] = { "1\n", "", NULL };
	struct err e = { 0 };

	ck_fails(enable(EINVAL, smt[_i], &e), -EINVAL, "CONFIG_SCHED_CORE");
	ck_fails(enable(EINVAL, smt[_i], &e), -EINVAL, "echo off | sudo tee");
	ck_fails(enable(ENOMEM, smt[_i], &e), -ENOMEM, "PR_SCHED_CORE): Cannot allocate memory");
	ck_fails(enable(EPERM, smt[_i], &e), -EPERM, "not permitted");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("core_sched");

	UNIT_TEST(s, the_process_as_a_whole_gets_a_cookie_of_its_own);
	UNIT_LOOP(s, a_host_without_hardware_threads_has_nothing_to_keep_apart, 2);
	UNIT_LOOP(s, a_kernel_that_cannot_is_an_error_with_the_remedy, 3);
	return s;
}

UNIT_MAIN("core_sched", suite)
