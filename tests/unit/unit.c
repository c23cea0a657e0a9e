/*
 * unit.c - runs one Check suite and reports each test by name, for people and for tests/run.
 */
#include "unit.h"
#include <signal.h>
#include <stdio.h>

/* Sanitizers and slow machines take longer than Check's own limit of 4 s allows for. */
#define PATIENCE 4

static TCase *add(Suite *s, const char *name, const TTest *fn, int n, int seconds)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, seconds * PATIENCE);
	tcase_add_loop_test(tc, fn, 0, n);
	suite_add_tcase(s, tc);
	return tc;
}

void unit_add(Suite *s, const char *name, const TTest *fn, int n, int seconds)
{
	add(s, name, fn, n, seconds);
}

void unit_add_with(Suite *s, const char *name, const TTest *fn, void (*setup)(void),
		   void (*teardown)(void))
{
	tcase_add_checked_fixture(add(s, name, fn, 1, 10), setup, teardown);
}

void unit_add_loop_with(Suite *s, const char *name, const TTest *fn, int n, void (*setup)(void),
			void (*teardown)(void))
{
	tcase_add_checked_fixture(add(s, name, fn, n, 10), setup, teardown);
}

static void report(const char *name, TestResult *r)
{
	if (tr_rtype(r) == CK_PASS)
		printf("ok %s: %s\n", name, tr_tcname(r));
	else
		printf("FAIL %s: %s: %s:%d: %s\n", name, tr_tcname(r), tr_lfile(r), tr_lno(r),
		       tr_msg(r));
}

int unit_run(Suite *s, const char *name)
{
	SRunner *sr = srunner_create(s);
	TestResult **results;
	int n, failed;

	/* A shell starts what runs in the background with these ignored. */
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	srunner_run_all(sr, CK_SILENT);
	n = srunner_ntests_run(sr);
	failed = srunner_ntests_failed(sr);
	results = srunner_results(sr);
	for (int i = 0; i < n; i++)
		report(name, results[i]);
	free(results);
	srunner_free(sr);
	if (n == 0)
		printf("FAIL %s: no test ran\n", name);
	return failed > 0 || n == 0;
}
