/*
 * attacks_execution.c - other programs, more processes and threads, other namespaces.
 *
 * Life of a VM: see attack.h.
 */
#include "attack.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>

#define SAYS(name) "echo 'attack " name ": got in: runs a program' >&2"

static char *const environment[] = { NULL };

static long execute(void)
{
	static char *const argv[] = { "sh", "-c", SAYS("execve"), NULL };

	return sys(SYS_execve, "/bin/sh", argv, environment);
}

static long execute_at(void)
{
	static char *const argv[] = { "sh", "-c", SAYS("execveat"), NULL };

	return sys(SYS_execveat, AT_FDCWD, "/bin/sh", argv, environment, 0);
}

static long execute_memory(void)
{
	static const char script[] = "#!/bin/sh\n" SAYS("exec-memfd") "\n";
	static char *const argv[] = { "script", NULL };
	long fd = sys(SYS_memfd_create, "script", 0);

	if (fd < 0)
		return fd;
	sys(SYS_write, fd, script, sizeof(script) - 1);
	return sys(SYS_execveat, fd, "", argv, environment, AT_EMPTY_PATH);
}

static long child(long nr, unsigned long flags)
{
	long pid = nr == SYS_clone ? sys(SYS_clone, flags, 0, 0, 0, 0) : sys(nr);

	if (pid == 0)
		sys(SYS_exit_group, 0);
	return reap(pid);
}

static long fork_one(void)
{
	return child(SYS_fork, 0);
}

static long vfork_one(void)
{
	return child(SYS_vfork, 0);
}

static long clone_one(void)
{
	return child(SYS_clone, SIGCHLD);
}

static long clone3_one(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	long pid = sys(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		sys(SYS_exit_group, 0);
	return reap(pid);
}

static long clone3_in_time(void)
{
	struct clone_args args = { .flags = CLONE_NEWTIME, .exit_signal = SIGCHLD };
	long pid = sys(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		sys(SYS_exit_group, 0);
	return reap(pid);
}

/* It ends before it needs its stack. */
static long clone_thread(void)
{
	static char stack[4096] __attribute__((aligned(16)));
	const long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	long rc;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%edi, %%edi\n\t"
			 "mov %[exit], %%eax\n\t"
			 "syscall\n"
			 "1:"
			 : "=a"(rc)
			 : "0"((long)SYS_clone), "D"(flags), "S"(stack + sizeof(stack)), "d"(0l),
			   "r"(r10), "r"(r8), [exit] "i"(SYS_exit)
			 : "rcx", "r11", "memory");
	return rc;
}

#define IN_NAMESPACE(fn, flag)                                                                     \
	static long clone_##fn(void)                                                               \
	{                                                                                          \
		return child(SYS_clone, (flag) | SIGCHLD);                                         \
	}
IN_NAMESPACE(ns, CLONE_NEWNS)
IN_NAMESPACE(cgroup, CLONE_NEWCGROUP)
IN_NAMESPACE(uts, CLONE_NEWUTS)
IN_NAMESPACE(ipc, CLONE_NEWIPC)
IN_NAMESPACE(user, CLONE_NEWUSER)
IN_NAMESPACE(pid, CLONE_NEWPID)
IN_NAMESPACE(net, CLONE_NEWNET)

static long join_namespace(void)
{
	long fd = sys(SYS_openat, AT_FDCWD, "/proc/self/ns/uts", O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return fd;
	rc = sys(SYS_setns, fd, CLONE_NEWUTS);
	sys(SYS_close, fd);
	return rc;
}

static long join_other(void)
{
	long fd = sys(SYS_pidfd_open, door.pid, 0), rc;

	if (fd < 0)
		return fd;
	rc = sys(SYS_setns, fd, CLONE_NEWUTS);
	sys(SYS_close, fd);
	return rc;
}

#define MANY 200

static long fork_many(void)
{
	int pids[MANY];
	long n = 0, pid = 0;

	for (; n < MANY; n++) {
		pid = sys(SYS_fork);
		if (pid == 0) {
			sys(SYS_pause);
			sys(SYS_exit_group, 0);
		}
		if (pid < 0)
			break;
		pids[n] = (int)pid;
	}
	for (long i = 0; i < n; i++) {
		sys(SYS_kill, pids[i], SIGKILL);
		reap(pids[i]);
	}
	return n == MANY ? 0 : pid;
}

#define CLONES(name, fn) TRY("clone-" name, "has a new namespace", "clone", LAYER_PRIV, clone_##fn)
#define UNSHARES(name, flag)                                                                       \
	{                                                                                          \
		"unshare-" name, "has a new namespace", .flags = LAYER_PRIV | ALONE,               \
							ONE_CALL(unshare), ARGS(flag)              \
	}

const struct attack attacks_on_execution[] = {
	TRY("execve", "runs a program", "execve", LAYER_FS | ALONE, execute),
	TRY("execveat", "runs a program", "execveat", LAYER_FS | ALONE, execute_at),
	TRY("exec-memfd", "runs a program that it has made", "memfd_create", ALONE, execute_memory),
	TRY("fork", "has a child", "fork", 0, fork_one),
	TRY("vfork", "has a child", "vfork", 0, vfork_one),
	TRY("clone", "has a child", "clone", 0, clone_one),
	TRY("clone3", "has a child", "clone3", 0, clone3_one),
	TRY("clone-thread", "has another thread", "clone", 0, clone_thread),
	TRY("fork-many", "has as many children as it likes", "fork", ALONE, fork_many),
	CLONES("newns", ns),
	CLONES("newcgroup", cgroup),
	CLONES("newuts", uts),
	CLONES("newipc", ipc),
	CLONES("newuser", user),
	CLONES("newpid", pid),
	CLONES("newnet", net),
	TRY("clone3-newtime", "has a new namespace", "clone3", LAYER_PRIV, clone3_in_time),
	UNSHARES("newns", CLONE_NEWNS),
	UNSHARES("newcgroup", CLONE_NEWCGROUP),
	UNSHARES("newuts", CLONE_NEWUTS),
	UNSHARES("newipc", CLONE_NEWIPC),
	UNSHARES("newpid", CLONE_NEWPID),
	UNSHARES("newnet", CLONE_NEWNET),
	UNSHARES("newtime", CLONE_NEWTIME),
	{ "unshare-newuser", "a process with threads cannot", .flags = LAYER_PRIV | NEVER,
	  ONE_CALL(unshare), ARGS(CLONE_NEWUSER) },
	TRY("setns", "enters a namespace by its name", "openat", LAYER_FS, join_namespace),
	TRY("setns-other", "enters another's namespace", "pidfd_open", LAYER_PIDNS, join_other),
	{ 0 },
};
