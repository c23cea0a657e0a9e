/*
 * test_procfs.c - src/host/procfs.c, in the host's PID namespace and in one of its own.
 */
#include "pid_namespace.h"
#include "unit.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <vmm/host/procfs.h>

static int open_pid(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

START_TEST(without_a_namespace_the_numbers_are_the_usual_ones)
{
	int fd = open_pid(getpid());

	ck_assert_int_eq(procfs_self(), getpid());
	ck_assert_int_eq(procfs_pid_of(fd), getpid());
	ck_assert(!procfs_is_gone(getpid()));
	close(fd);
}
END_TEST

static int see_numbers(pid_t outside)
{
	char name[32], wanted[32] = "";
	pid_t child = fork();
	int fd = open_pid(child), rc = 0;
	FILE *f = fopen("/proc/self/comm", "re");

	if (child == 0) {
		pause();
		_exit(0);
	}
	if (!f || !fgets(wanted, sizeof(wanted), f))
		rc = 1;
	else if (procfs_self() != outside)
		rc = 2;
	else if (procfs_pid_of(fd) <= 0 || procfs_is_gone(procfs_pid_of(fd)))
		rc = 3;
	else if (!procfs_read(procfs_pid_of(fd), "comm", name, sizeof(name)) ||
		 strcmp(name, wanted) != 0)
		rc = 4;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	if (rc == 0 && procfs_pid_of(fd) != 0)
		rc = 5;
	fclose(f);
	return rc;
}

START_TEST(in_a_namespace_the_numbers_are_those_of_proc)
{
	in_pid_namespace(see_numbers);
}
END_TEST

START_TEST(a_process_that_has_gone_is_gone_and_says_nothing)
{
	pid_t child = fork();
	char text[64];

	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	ck_assert(procfs_is_gone(child));
	ck_assert(!procfs_read(child, "comm", text, sizeof(text)));
}
END_TEST

START_TEST(what_is_no_process_has_no_number)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(procfs_pid_of(fd), 0);
	ck_assert_int_eq(procfs_pid_of(-1), 0);
	close(fd);
	ck_assert_int_eq(procfs_pid_of(fd), 0);
}
END_TEST

START_TEST(a_text_is_cut_to_the_room_for_it)
{
	char text[5] = "abcd";

	ck_assert(procfs_read(getpid(), "status", text, sizeof(text)));
	ck_assert_str_eq(text, "Name");
	ck_assert(!procfs_read(getpid(), "nothing", text, sizeof(text)));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("procfs");

	UNIT_TEST(s, without_a_namespace_the_numbers_are_the_usual_ones);
	UNIT_TEST(s, in_a_namespace_the_numbers_are_those_of_proc);
	UNIT_TEST(s, a_process_that_has_gone_is_gone_and_says_nothing);
	UNIT_TEST(s, what_is_no_process_has_no_number);
	UNIT_TEST(s, a_text_is_cut_to_the_room_for_it);
	return s;
}

UNIT_MAIN("procfs", suite)
