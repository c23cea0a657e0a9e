/*
 * attacks_processes.c - other processes: one that the test tells of, the parent, and all.
 *
 * Life of a VM: see attack.h. Where nothing stops them, they harm nobody: signal 0 is none, SIGURG
 * is ignored, what is set is what was, and what is stopped belongs to the test. (kill(-1) is a
 * success wherever there is anybody at all: kernel/signal.c.)
 */
#include "attack.h"
#include <errno.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define NOWHERE ((void *)4096) /* in no process is anything there */

long reap(long pid)
{
	int status;

	if (pid > 0)
		sys(SYS_wait4, pid, &status, __WALL, NULL);
	return pid;
}

/* The parent as it is seen from here: 0 is "not from here". */
static long parent(void)
{
	long pid = sys(SYS_getppid);

	return pid == 0 ? -ESRCH : pid;
}

static long signal_other(void)
{
	return sys(SYS_kill, door.pid, SIGURG);
}

static long signal_thread(void)
{
	return sys(SYS_tgkill, door.pid, door.pid, SIGURG);
}

static long signal_any_thread(void)
{
	return sys(SYS_tkill, door.pid, SIGURG);
}

static long signal_with_value(void)
{
	siginfo_t info = { .si_signo = SIGURG, .si_code = SI_QUEUE };

	return sys(SYS_rt_sigqueueinfo, door.pid, SIGURG, &info);
}

static long signal_thread_with_value(void)
{
	siginfo_t info = { .si_signo = SIGURG, .si_code = SI_QUEUE };

	return sys(SYS_rt_tgsigqueueinfo, door.pid, door.pid, SIGURG, &info);
}

static long signal_parent(void)
{
	long pid = parent();

	return pid < 0 ? pid : sys(SYS_kill, pid, 0);
}

static long signal_by_pidfd(void)
{
	long fd = sys(SYS_pidfd_open, door.pid, 0), rc;

	if (fd < 0)
		return fd;
	rc = sys(SYS_pidfd_send_signal, fd, SIGURG, NULL, 0);
	sys(SYS_close, fd);
	return rc;
}

static long take_descriptor(void)
{
	long fd = sys(SYS_pidfd_open, door.pid, 0), rc;

	if (fd < 0)
		return fd;
	rc = closed(sys(SYS_pidfd_getfd, fd, 0, 0));
	sys(SYS_close, fd);
	return rc;
}

/* EFAULT: it may, though there is nothing. */
static long move_memory(long nr, long pid)
{
	char byte = 0;
	struct iovec ours = { &byte, 1 }, theirs = { NOWHERE, 1 };
	long rc = pid < 0 ? pid : sys(nr, pid, &ours, 1, &theirs, 1, 0);

	return rc == -EFAULT ? 0 : rc;
}

static long read_other(void)
{
	return move_memory(SYS_process_vm_readv, door.pid);
}

static long write_other(void)
{
	return move_memory(SYS_process_vm_writev, door.pid);
}

static long read_parent(void)
{
	return move_memory(SYS_process_vm_readv, parent());
}

static long trace_other(void)
{
	return sys(SYS_ptrace, PTRACE_ATTACH, door.pid, 0, 0);
}

static long trace_parent(void)
{
	long pid = parent(), rc;

	if (pid < 0)
		return pid;
	rc = sys(SYS_ptrace, PTRACE_SEIZE, pid, 0, 0);
	return rc == 0 ? 0 : rc;
}

static long trace_child(void)
{
	long pid = sys(SYS_fork), rc;

	if (pid == 0) {
		sys(SYS_pause);
		sys(SYS_exit_group, 0);
	}
	if (pid < 0)
		return pid;
	rc = sys(SYS_ptrace, PTRACE_SEIZE, pid, 0, 0);
	sys(SYS_kill, pid, SIGKILL);
	reap(pid);
	return rc;
}

static long compare_with_other(void)
{
	return sys(SYS_kcmp, door.pid, door.pid, KCMP_FILE, 0, 1);
}

static long robust_list_of_other(void)
{
	void *head;
	size_t len;

	return sys(SYS_get_robust_list, door.pid, &head, &len);
}

static long limit_other(void)
{
	const struct rlimit none = { 0, 0 };

	return sys(SYS_prlimit64, door.pid, RLIMIT_CORE, &none, NULL);
}

static long pin_other(void)
{
	unsigned long mask[16] = { 1 };
	long len = sys(SYS_sched_getaffinity, door.pid, sizeof(mask), mask);

	return len < 0 ? len : sys(SYS_sched_setaffinity, door.pid, len, mask);
}

static long schedule_other(void)
{
	const struct sched_param p = { 0 };

	return sys(SYS_sched_setscheduler, door.pid, SCHED_OTHER, &p);
}

static long slow_other_down(void)
{
	return sys(SYS_setpriority, PRIO_PROCESS, door.pid, 1);
}

static long slow_other_disks(void)
{
	return sys(SYS_ioprio_set, 1, door.pid, 2 << 13 | 4);
}

static long migrate_other(void)
{
	const unsigned long node = 1;

	return sys(SYS_migrate_pages, door.pid, 64, &node, &node);
}

static long move_pages_of_other(void)
{
	return sys(SYS_move_pages, door.pid, 0, NULL, NULL, NULL, 0);
}

static long group_of_other(void)
{
	return sys(SYS_getpgid, door.pid);
}

const struct attack attacks_on_processes[] = {
	TRY("kill", "sends a signal", "kill", LAYER_PID, signal_other),
	TRY("kill-parent", "may signal its parent", "getppid kill", LAYER_PID, signal_parent),
	{ "kill-all", "may signal everybody", .flags = LAYER_PIDNS, ONE_CALL(kill), ARGS(-1, 0) },
	TRY("tgkill", "sends a signal to a thread", "tgkill", LAYER_PID, signal_thread),
	TRY("tkill", "sends a signal to any thread", "tkill", LAYER_PID, signal_any_thread),
	TRY("sigqueue", "sends a signal with a value", "rt_sigqueueinfo", LAYER_PID,
	    signal_with_value),
	TRY("tgsigqueue", "sends a thread a signal with a value", "rt_tgsigqueueinfo", LAYER_PID,
	    signal_thread_with_value),
	TRY("pidfd-kill", "sends a signal by a pidfd", "pidfd_open", LAYER_PID, signal_by_pidfd),
	TRY("pidfd-getfd", "takes a descriptor", "pidfd_open", LAYER_PID, take_descriptor),
	TRY("vm-readv", "reads another's memory", "process_vm_readv", LAYER_PID, read_other),
	TRY("vm-writev", "writes another's memory", "process_vm_writev", LAYER_PID, write_other),
	TRY("vm-readv-parent", "reads its parent's memory", "getppid process_vm_readv", LAYER_PID,
	    read_parent),
	TRY("ptrace-attach", "traces another", "ptrace", LAYER_PID, trace_other),
	TRY("ptrace-parent", "traces its parent", "getppid ptrace", LAYER_PID | ALONE,
	    trace_parent),
	TRY("ptrace-child", "traces a child", "fork", 0, trace_child),
	TRY("kcmp", "compares kernel addresses", "kcmp", LAYER_PID, compare_with_other),
	TRY("robust-list", "learns an address of another", "get_robust_list", LAYER_PID,
	    robust_list_of_other),
	TRY("prlimit", "limits another", "prlimit64", LAYER_PIDNS, limit_other),
	TRY("setaffinity", "moves another to a CPU", "sched_getaffinity", LAYER_PIDNS, pin_other),
	TRY("setscheduler", "schedules another", "sched_setscheduler", LAYER_PIDNS, schedule_other),
	TRY("setpriority", "slows another down", "setpriority", LAYER_PIDNS, slow_other_down),
	TRY("ioprio", "slows another's disks down", "ioprio_set", LAYER_PIDNS, slow_other_disks),
	TRY("migrate-pages", "moves another's memory", "migrate_pages", LAYER_PIDNS, migrate_other),
	TRY("move-pages", "moves another's pages", "move_pages", LAYER_PIDNS, move_pages_of_other),
	TRY("getpgid", "learns of another", "getpgid", LAYER_PIDNS, group_of_other),
	{ 0 },
};
