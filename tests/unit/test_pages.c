/*
 * test_pages.c - src/host/pages.c: memory between two guards.
 */
#include "unit.h"
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/pages.h>

#define LEN (4 * MIB + 4096)

static uint8_t *map(size_t len)
{
	struct err e = { 0 };
	void *p;

	ck_ok(pages_map(&p, len, &e));
	return p;
}

START_TEST(memory_is_zero_writable_and_aligned_to_huge_pages)
{
	uint8_t *p = map(LEN);

	ck_assert_uint_eq((uintptr_t)p % (2 * MIB), 0);
	for (size_t i = 0; i < LEN; i += 512)
		ck_assert_uint_eq(p[i], 0);
	memset(p, 1, LEN);
	pages_unmap(p, LEN);
	pages_unmap(NULL, 0);
}
END_TEST

/* The signal that a child dies of when it touches that byte. */
static int touch(volatile uint8_t *at, bool write)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		if (write)
			*at = 1;
		_exit(*at & 0x7f);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

START_TEST(both_sides_are_guarded)
{
	static const size_t lens[] = { 4096, 2 * MIB, LEN };
	static const size_t beyond[] = { 1, 4096, MIB, 2 * MIB };
	size_t len = lens[_i];
	uint8_t *p = map(len);

	ck_assert_int_eq(touch(p, true), 0);
	ck_assert_int_eq(touch(p + len - 1, true), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(beyond); i++) {
		ck_assert_int_eq(touch(p - beyond[i], _i % 2), SIGSEGV);
		ck_assert_int_eq(touch(p + len + beyond[i] - 1, _i % 2), SIGSEGV);
	}
	pages_unmap(p, len);
}
END_TEST

START_TEST(discarded_memory_reads_zero_and_can_be_used_again)
{
	uint8_t *p = map(LEN);

	memset(p, 0xff, LEN);
	pages_discard(p, LEN);
	for (size_t i = 0; i < LEN; i += 64)
		ck_assert(p[i] == 0);
	p[LEN - 1] = 1;
	ck_assert_uint_eq(p[LEN - 1], 1);
	pages_unmap(p, LEN);
}
END_TEST

START_TEST(unmapping_takes_the_guards_too)
{
	uint8_t *first = map(LEN), *again;

	for (unsigned int i = 0; i < 1000; i++) {
		pages_unmap(first, LEN);
		again = map(LEN);
		first = again;
	}
	pages_unmap(first, LEN);
}
END_TEST

START_TEST(more_than_an_address_space_is_an_error)
{
	struct err e = { 0 };
	void *p;

	ck_fails(pages_map(&p, SIZE_MAX - 4095, &e), -ENOMEM, "more than an address space");
	ck_fails(pages_map(&p, (size_t)1 << 60, &e), -ENOMEM, "MiB of guest RAM");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("pages");

	UNIT_TEST(s, memory_is_zero_writable_and_aligned_to_huge_pages);
	UNIT_LOOP(s, both_sides_are_guarded, 3);
	UNIT_TEST(s, discarded_memory_reads_zero_and_can_be_used_again);
	UNIT_TEST(s, unmapping_takes_the_guards_too);
	UNIT_TEST(s, more_than_an_address_space_is_an_error);
	return s;
}

UNIT_MAIN("pages", suite)
