/*
 * pid_namespace.h - runs a part of a test as the first process of a PID namespace, with the host's
 * /proc: so it has two numbers, its own 1 and the one that /proc knows.
 */
#ifndef TESTS_UNIT_PID_NAMESPACE_H
#define TESTS_UNIT_PID_NAMESPACE_H
#include "unit.h"
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * fn(outside): 0, or which of its checks has failed; it makes no assertions of Check's. outside:
 * its number outside. Where the host forbids such a namespace it runs in ours, and that is said.
 */
static inline void in_pid_namespace(int (*fn)(pid_t outside))
{
	int status, tell[2];
	pid_t child;

	if (unshare(CLONE_NEWPID) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
		printf("# no PID namespace on this host\n");
	ck_assert_int_eq(pipe(tell), 0);
	child = fork();
	if (child == 0) {
		pid_t me;

		_exit(read(tell[0], &me, sizeof(me)) == sizeof(me) ? fn(me) : 99);
	}
	ck_assert_int_eq(write(tell[1], &child, sizeof(child)), sizeof(child));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "check %d, or signal %d", WEXITSTATUS(status), status & 127);
	close(tell[0]);
	close(tell[1]);
}

#endif
