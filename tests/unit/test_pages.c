/*
 * test_pages.c - src/host/pages.c: memory between two guards.
 */
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/pages.h>

#define PAGE 4096
#define LEN (4 * MIB + PAGE)

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

/* Is this among the flags of the mapping that begins there? proc(5), /proc/PID/smaps, VmFlags. */
static bool has_flag(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512], word[8];
	bool here = false, found = false;
	unsigned long from, to;

	ck_assert_ptr_nonnull(f);
	snprintf(word, sizeof(word), " %s ", flag);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = from == (uintptr_t)p;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, word) != NULL;
	}
	fclose(f);
	return found;
}

START_TEST(memory_is_not_executable_and_not_dumped)
{
	uint8_t *p = map(LEN);

	ck_assert(has_flag(p, "rd") && has_flag(p, "wr"));
	ck_assert(!has_flag(p, "ex"));
	ck_assert(has_flag(p, "dd"));
	ck_assert(!has_flag(p, "lo")); /* unless asked for */
	ck_assert(!has_flag(p, "mg"));
	pages_unmap(p, LEN);
}
END_TEST

static int file_of(const void *bytes, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	return fd;
}

START_TEST(a_files_pages_can_be_in_it_and_what_is_written_there_is_not_in_the_file)
{
	static uint8_t bytes[3 * PAGE], back[3 * PAGE];
	uint8_t *p = map(LEN);
	struct err e;
	int fd;

	memset(bytes, 7, sizeof(bytes));
	fd = file_of(bytes, sizeof(bytes));
	memset(p, 1, 4 * PAGE);
	ck_assert(pages_map_file(p + PAGE, 2 * PAGE, fd, PAGE, &e));
	ck_assert(has_flag(p + PAGE, "dd") && !has_flag(p + PAGE, "ex"));
	ck_assert(p[PAGE - 1] == 1 && p[PAGE] == 7 && p[3 * PAGE - 1] == 7 && p[3 * PAGE] == 1);
	memset(p, 2, 4 * PAGE);
	ck_assert_int_eq(pread(fd, back, sizeof(back), 0), sizeof(back));
	ck_assert_mem_eq(back, bytes, sizeof(bytes));
	ck_ok(pages_unmap_file(p + PAGE, 2 * PAGE, &e));
	for (size_t i = PAGE; i < 3 * PAGE; i++)
		ck_assert(p[i] == 0);
	ck_assert(p[PAGE - 1] == 2 && p[3 * PAGE] == 2);
	close(fd);
	pages_unmap(p, LEN);
}
END_TEST

START_TEST(a_file_that_cannot_be_mapped_leaves_zeroes)
{
	uint8_t *p = map(LEN);
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	struct err e = { .code = -1 };

	ck_assert(!pages_map_file(p, PAGE, fd, 0, &e));
	ck_assert_int_eq(e.code, 0);
	for (size_t i = 0; i < PAGE; i++)
		ck_assert(p[i] == 0);
	p[0] = 1;
	close(fd);
	pages_unmap(p, LEN);
}
END_TEST

/* KiB of this process that are locked: only pages that have been touched are in RAM at all. */
static unsigned long locked_kib(void)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	unsigned long sum = 0, n;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Locked: %lu kB", &n) == 1)
			sum += n;
	}
	fclose(f);
	return sum;
}

START_TEST(locked_memory_stays_in_ram_once_it_is_touched)
{
	struct err e = { 0 };
	struct rlimit limit = { LEN, LEN };
	uint8_t *p = map(LEN);

	setrlimit(RLIMIT_MEMLOCK, &limit); /* refused: it may be locked as it is, or not at all */
	ck_ok(pages_lock(p, LEN, &e));
	ck_assert(has_flag(p, "lo"));
	ck_assert_uint_eq(locked_kib(), 0);
	memset(p, 0xff, LEN);
	ck_assert_uint_ge(locked_kib(), LEN / KIB);
	pages_discard(p, LEN);
	ck_assert(has_flag(p, "lo"));
	for (size_t i = 0; i < LEN; i += 64)
		ck_assert(p[i] == 0);
	p[0] = 1;
	ck_assert_uint_ge(locked_kib(), 4);
	pages_unmap(p, LEN);
}
END_TEST

START_TEST(more_than_may_be_locked_is_an_error_with_the_remedy)
{
	struct rlimit limit = { 0, 0 };
	struct err e = { 0 };
	bool root = geteuid() == 0;
	uint8_t *p = map(LEN);

	if (_i)
		limit.rlim_cur = limit.rlim_max = MIB;
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	if (root)
		ck_assert_int_eq(seteuid(65534), 0); /* root may always */
	ck_fails(pages_lock(p, LEN, &e), _i ? -ENOMEM : -EPERM, _i ? "lock 1 MiB" : "lock 0 MiB");
	ck_fails(pages_lock(p, LEN, &e), _i ? -ENOMEM : -EPERM, "ulimit -l");
	if (root) /* a sanitizer that looks for leaks needs that back */
		ck_assert(seteuid(0) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0);
	pages_unmap(p, LEN);
}
END_TEST

START_TEST(memory_may_be_merged_where_the_kernel_can)
{
	struct err e = { 0 };
	uint8_t *p = map(LEN);

	if (access("/sys/kernel/mm/ksm", F_OK) == 0) {
		ck_ok(pages_merge(p, LEN, &e));
		ck_assert(has_flag(p, "mg"));
	} else {
		ck_fails(pages_merge(p, LEN, &e), -EINVAL, "CONFIG_KSM");
	}
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
	UNIT_TEST(s, a_files_pages_can_be_in_it_and_what_is_written_there_is_not_in_the_file);
	UNIT_TEST(s, a_file_that_cannot_be_mapped_leaves_zeroes);
	UNIT_TEST(s, memory_is_not_executable_and_not_dumped);
	UNIT_TEST(s, locked_memory_stays_in_ram_once_it_is_touched);
	UNIT_LOOP(s, more_than_may_be_locked_is_an_error_with_the_remedy, 2);
	UNIT_TEST(s, memory_may_be_merged_where_the_kernel_can);
	UNIT_TEST(s, unmapping_takes_the_guards_too);
	UNIT_TEST(s, more_than_an_address_space_is_an_error);
	return s;
}

UNIT_MAIN("pages", suite)
