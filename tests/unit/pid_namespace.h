/*
 * pid_namespace.h - runs a part of a test as the first process of a PID namespace, with the host's
 * /proc: so it has two numbers, its own 1 and the one that /proc knows.
 */
#ifndef TESTS_UNIT_PID_NAMESPACE_H
#define TESTS_UNIT_PID_NAMESPACE_H
#include "unit.h"
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a process of its own, which can start none but those of the namespace. Returns fn()'s. */
static inline int from_outside(int (*fn)(pid_t outside))
{
	int status, tell[2];
	pid_t child;

	if (unshare(CLONE_NEWPID) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
		dprintf(STDOUT_FILENO, "# no PID namespace on this host\n");
	if (pipe(tell) < 0)
		return 98;
	child = fork();
	if (child == 0) {
		pid_t me;

		return read(tell[0], &me, sizeof(me)) == sizeof(me) ? fn(me) : 99;
	}
	if (write(tell[1], &child, sizeof(child)) < 0 || waitpid(child, &status, 0) != child)
		return 97;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 96;
}

/*
 * fn(outside): 0, or which of its checks has failed; it makes no assertions of Check's. outside:
 * its number outside. Where the host forbids such a namespace it runs in ours, and that is said.
 */
static inline void in_pid_namespace(int (*fn)(pid_t outside))
{
	pid_t child = fork();
	int status;

	/* Not by _exit(): there LeakSanitizer looks for itself in /proc, by its number here. */
	if (child == 0)
		syscall(SYS_exit_group, from_outside(fn));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "check %d, or signal %d", WEXITSTATUS(status), status & 127);
}

#endif
