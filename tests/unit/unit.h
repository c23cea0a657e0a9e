/*
 * unit.h - what every unit test file shares: Check, and a main that prints one line per test.
 *
 * Each tests/unit/test_<module>.c is a program of its own: it builds one suite and ends with
 * UNIT_MAIN(suite). A test's name is the rule that it holds.
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H
#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/err.h>

/* Runs the suite, prints "ok SUITE: TEST" or "FAIL SUITE: TEST: why" per test. 0: all passed. */
int unit_run(Suite *s, const char *name);

/* Adds a test to the suite: a Check test case of its own, so that results carry the test's name. */
#define UNIT_TEST(s, fn) unit_add(s, #fn, fn, 1, 10)
#define UNIT_LOOP(s, fn, n) unit_add(s, #fn, fn, n, 10) /* with _i from 0 to n-1 */
/* With functions that run before and after, in the test's own process. */
#define UNIT_WITH(s, fn, setup, teardown) unit_add_with(s, #fn, fn, setup, teardown)
#define UNIT_SLOW(s, fn) unit_add(s, #fn, fn, 1, 120) /* may take two minutes */
void unit_add(Suite *s, const char *name, const TTest *fn, int n, int seconds);
void unit_add_with(Suite *s, const char *name, const TTest *fn, void (*setup)(void),
		   void (*teardown)(void));
void unit_add_loop_with(Suite *s, const char *name, const TTest *fn, int n, void (*setup)(void),
			void (*teardown)(void));

/* Fails the test, showing the error's text, unless the call succeeded. */
#define ck_ok(call)                                                                                \
	do {                                                                                       \
		int unit_rc_ = (call);                                                             \
		ck_assert_msg(unit_rc_ >= 0, #call ": %s", e.text);                                \
	} while (0)

/* The call must fail with this code, and its text must contain these words. */
#define ck_fails(call, want_code, words)                                                           \
	do {                                                                                       \
		int unit_rc_ = (call);                                                             \
		ck_assert_msg(unit_rc_ == (want_code), #call " gave %d (%s)", unit_rc_, e.text);   \
		ck_assert_msg(strstr(e.text, words), "\"%s\" lacks \"%s\"", e.text, words);        \
	} while (0)

#define UNIT_MAIN(name, make_suite)                                                                \
	int main(void)                                                                             \
	{                                                                                          \
		return unit_run(make_suite(), name);                                               \
	}

#endif
