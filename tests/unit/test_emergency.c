/*
 * test_emergency.c - src/host/emergency.c: what is undone when a process ends in a way that it has
 * no say in.
 */
#include "unit.h"
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <vmm/host/emergency.h>

static char folder[] = "/tmp/test_emergency.XXXXXX";
static struct err e;

static const char *in(const char *name)
{
	static char path[4][64];
	static unsigned int i;
	char *p = path[++i % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	return p;
}

static void make(const char *name)
{
	int fd = open(in(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	close(fd);
}

static bool is_there(const char *name)
{
	struct stat st;

	return lstat(in(name), &st) == 0;
}

static void make_folder(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
	static const char *const names[] = { "a", "b", "c" };

	for (unsigned int i = 0; i < 3; i++) {
		unlink(in(names[i]));
		rmdir(in(names[i]));
	}
	rmdir(folder);
}

/* Runs fn() in a process of its own, which is killed then, or ends with another status if fn() has
 * failed. */
static void killed(bool (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (fn())
			raise(SIGKILL);
		syscall(SYS_exit_group, 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %#x", status);
}

/* A moment for the guard. */
static bool vanishes(const char *name)
{
	for (unsigned int i = 0; i < 500 && is_there(name); i++)
		usleep(10000);
	return !is_there(name);
}

/* The guard --------------------------------------------------------------------------------------
 */

static bool keep_two_of_three(void)
{
	if (emergency_guard_start(&e) < 0)
		return false;
	make("a");
	make("b");
	if (emergency_keep_unlink(in("a")) < 0)
		return false;
	if (mkdir(in("c"), 0700) != 0)
		return false;
	if (emergency_keep_rmdir(in("c")) < 0)
		return false;
	return true;
}

START_TEST(a_guard_undoes_what_a_killed_process_leaves)
{
	killed(keep_two_of_three);
	ck_assert(vanishes("a"));
	ck_assert(vanishes("c"));
	ck_assert(is_there("b"));
}
END_TEST

static bool keep_and_undo(void)
{
	int id;

	if (emergency_guard_start(&e) < 0)
		return false;
	make("a");
	id = emergency_keep_unlink(in("a"));
	emergency_undo_unlink(id);
	if (is_there("a"))
		return false;
	make("a"); /* somebody else's, by now */
	make("b");
	emergency_keep_unlink(in("b"));
	return true;
}

START_TEST(what_has_been_undone_is_not_undone_again)
{
	killed(keep_and_undo);
	ck_assert(vanishes("b"));
	ck_assert(is_there("a"));
}
END_TEST

static bool keep_and_replace(void)
{
	if (emergency_guard_start(&e) < 0)
		return false;
	make("a");
	make("c");
	emergency_keep_unlink(in("a"));
	if (rename(in("c"), in("a")) != 0)
		return false;
	make("b");
	emergency_keep_unlink(in("b"));
	return true;
}

START_TEST(another_file_of_that_name_stays)
{
	killed(keep_and_replace);
	ck_assert(vanishes("b"));
	ck_assert(is_there("a"));
}
END_TEST

/* As in `vmm run`: a process outside, which has started the guard, and one inside, which goes to
 * jail. */
static bool seal_and_change(void)
{
	pid_t pid;

	if (emergency_guard_start(&e) < 0)
		return false;
	pid = fork();
	if (pid == 0) {
		emergency_guard_leave();
		make("a");
		emergency_keep_unlink(in("a"));
		emergency_seal();
		/* From here on it is a stranger who calls. */
		emergency_undo_unlink(0);
		make("b");
		emergency_keep_unlink(in("b"));
		raise(SIGKILL);
	}
	waitpid(pid, NULL, 0);
	return true;
}

START_TEST(after_the_seal_nobody_inside_chooses_what_the_guard_removes)
{
	killed(seal_and_change);
	ck_assert(vanishes("a"));
	usleep(100000);
	ck_assert(is_there("b"));
}
END_TEST

static bool end_in_order(void)
{
	if (emergency_guard_start(&e) < 0)
		return false;
	make("a");
	emergency_keep_unlink(in("a"));
	emergency_guard_end();
	if (is_there("a"))
		return false;
	if (waitpid(-1, NULL, WNOHANG) != -1)
		return false; /* it is gone */
	make("b");
	emergency_keep_unlink(in("b"));
	emergency_undo();
	if (is_there("b"))
		return false;
	emergency_guard_end(); /* none: nothing */
	return true;
}

START_TEST(an_orderly_end_waits_for_the_guard_to_be_done)
{
	killed(end_in_order);
	ck_assert(!is_there("a") && !is_there("b"));
}
END_TEST

START_TEST(a_guard_has_no_descriptors_of_the_process)
{
	int fds[2], other[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(pipe(other), 0);
	pid = fork();
	if (pid == 0) {
		emergency_guard_start(&e);
		close(fds[0]);
		close(fds[1]);
		(void)!read(other[0], &byte, 1);
		raise(SIGKILL);
	}
	close(fds[1]);
	/* The process lives, and so does its guard, but neither has that end. */
	ck_assert_int_eq(poll(&(struct pollfd){ .fd = fds[0] }, 1, 5000), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

/* Terminals --------------------------------------------------------------------------------------
 */

static int terminal = -1;

static bool make_raw(void)
{
	struct termios saved, raw;

	if (emergency_guard_start(&e) < 0)
		return false;
	if (tcgetattr(terminal, &saved) != 0)
		return false;
	emergency_keep_terminal(terminal, &saved);
	raw = saved;
	cfmakeraw(&raw);
	if (tcsetattr(terminal, TCSANOW, &raw) != 0)
		return false;
	return true;
}

static bool is_cooked(void)
{
	struct termios t;

	return tcgetattr(terminal, &t) == 0 && t.c_lflag & ICANON && t.c_lflag & ECHO;
}

/* The guard has standard input, output and error, and one of them is the terminal. */
START_TEST(a_terminal_is_as_it_was_when_its_process_has_been_killed)
{
	int other;

	ck_assert_int_eq(openpty(&other, &terminal, NULL, NULL, NULL), 0);
	ck_assert_int_eq(dup2(terminal, STDIN_FILENO), STDIN_FILENO);
	close(terminal);
	terminal = STDIN_FILENO;
	ck_assert(is_cooked());
	killed(make_raw);
	for (unsigned int i = 0; i < 500 && !is_cooked(); i++)
		usleep(10000);
	ck_assert(is_cooked());
	close(other);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("emergency");

	UNIT_WITH(s, a_guard_undoes_what_a_killed_process_leaves, make_folder, remove_folder);
	UNIT_WITH(s, what_has_been_undone_is_not_undone_again, make_folder, remove_folder);
	UNIT_WITH(s, another_file_of_that_name_stays, make_folder, remove_folder);
	UNIT_WITH(s, after_the_seal_nobody_inside_chooses_what_the_guard_removes, make_folder,
		  remove_folder);
	UNIT_WITH(s, an_orderly_end_waits_for_the_guard_to_be_done, make_folder, remove_folder);
	UNIT_WITH(s, a_guard_has_no_descriptors_of_the_process, make_folder, remove_folder);
	UNIT_TEST(s, a_terminal_is_as_it_was_when_its_process_has_been_killed);
	return s;
}

UNIT_MAIN("emergency", suite)
