/*
 * attacks_identity.c - becoming somebody else, or more than one was: users, capabilities, limits,
 * filters.
 *
 * Life of a VM: see attack.h.
 */
#include "attack.h"
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static long become_root_in_groups(void)
{
	const unsigned int root = 0;

	return sys(SYS_setgroups, 1, &root);
}

/* CAP: one more than it has. In inheritable, too, if asked. */
static long take_capability(unsigned int cap, bool inheritable)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	long rc = sys(SYS_capget, &head, data);

	if (rc < 0)
		return rc;
	data[0].permitted |= 1u << cap;
	data[0].effective |= 1u << cap;
	if (inheritable)
		data[0].inheritable |= 1u << cap;
	return sys(SYS_capset, &head, data);
}

static long take_sys_admin(void)
{
	return take_capability(CAP_SYS_ADMIN, false);
}

static long take_dac_override(void)
{
	return take_capability(CAP_DAC_OVERRIDE, false);
}

static long make_ambient(void)
{
	long rc = take_capability(CAP_SYS_ADMIN, true);

	return rc < 0 ? rc : sys(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN);
}

/* Allows everything: whoever may add this may add others. */
static struct sock_filter allow[] = { { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW } };
static const struct sock_fprog program = { 1, allow };

static long add_filter(void)
{
	return sys(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

static long add_filter_by_prctl(void)
{
	return sys(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static long raise_limit(int resource)
{
	struct rlimit old, more;
	long rc = sys(SYS_prlimit64, 0, resource, NULL, &old);

	if (rc < 0)
		return rc;
	more = (struct rlimit){ old.rlim_cur, old.rlim_max + 1 };
	if (old.rlim_max == RLIM_INFINITY)
		return 0; /* there is none */
	rc = sys(SYS_prlimit64, 0, resource, &more, NULL);
	if (rc == 0)
		sys(SYS_prlimit64, 0, resource, &old, NULL);
	return rc;
}

static long raise_files(void)
{
	return raise_limit(RLIMIT_NOFILE);
}

static long raise_core(void)
{
	return raise_limit(RLIMIT_CORE);
}

static long raise_processes(void)
{
	return raise_limit(RLIMIT_NPROC);
}

static long set_limit(void)
{
	const struct rlimit none = { 0, 0 };

	return sys(SYS_setrlimit, RLIMIT_CORE, &none);
}

static long real_time(void)
{
	const struct sched_param high = { .sched_priority = 1 }, low = { 0 };
	long rc = sys(SYS_sched_setscheduler, 0, SCHED_RR, &high);

	if (rc == 0)
		sys(SYS_sched_setscheduler, 0, SCHED_OTHER, &low);
	return rc;
}

static long more_cpu(void)
{
	long rc = sys(SYS_setpriority, PRIO_PROCESS, 0, -1);

	if (rc == 0)
		sys(SYS_setpriority, PRIO_PROCESS, 0, 0);
	return rc;
}

static long change_ldt(void)
{
	struct user_desc d = { .entry_number = 1, .limit = 1, .read_exec_only = 1 };

	return sys(SYS_modify_ldt, 1, &d, sizeof(d));
}

static long learn_gs(void)
{
	unsigned long gs;

	return sys(SYS_arch_prctl, ARCH_GET_GS, &gs);
}

#define PRCTL(...) ONE_CALL(prctl), ARGS(__VA_ARGS__)

const struct attack attacks_on_identity[] = {
	{ "setuid", "is root", .flags = LAYER_PRIV, ONE_CALL(setuid), ARGS(0) },
	{ "setresuid", "is root", .flags = LAYER_PRIV, ONE_CALL(setresuid), ARGS(0, 0, 0) },
	{ "setreuid", "is root", .flags = LAYER_PRIV, ONE_CALL(setreuid), ARGS(0, 0) },
	{ "setgid", "is of root's group", .flags = LAYER_PRIV, ONE_CALL(setgid), ARGS(0) },
	{ "setresgid", "is of root's group", .flags = LAYER_PRIV, ONE_CALL(setresgid),
	  ARGS(0, 0, 0) },
	TRY("setgroups", "is in root's group", "setgroups", LAYER_PRIV, become_root_in_groups),
	TRY("capset", "has CAP_SYS_ADMIN", "capget", LAYER_PRIV, take_sys_admin),
	TRY("capset-dac", "has CAP_DAC_OVERRIDE", "capget", LAYER_PRIV, take_dac_override),
	TRY("ambient", "passes CAP_SYS_ADMIN on", "capget", LAYER_PRIV, make_ambient),
	{ "dumpable", "can be looked at, and dumped", .flags = 0, PRCTL(PR_SET_DUMPABLE, 1) },
	{ "new-privs", "nobody can undo it", .flags = NEVER, PRCTL(PR_SET_NO_NEW_PRIVS, 0) },
	{ "keep-caps", "keeps capabilities", .flags = 0, PRCTL(PR_SET_KEEPCAPS, 0) },
	{ "orphan", "outlives its parent", .flags = 0, PRCTL(PR_SET_PDEATHSIG, 0) },
	{ "subreaper", "adopts children", .flags = 0, PRCTL(PR_SET_CHILD_SUBREAPER, 0) },
	{ "tsc", "changes what RDTSC does", .flags = 0, PRCTL(PR_SET_TSC, PR_TSC_ENABLE) },
	TRY("seccomp", "adds a filter", "seccomp", ALONE, add_filter),
	TRY("seccomp-prctl", "adds a filter", "prctl", ALONE, add_filter_by_prctl),
	TRY("limit-files", "has more descriptors", "prlimit64", LAYER_PRIV, raise_files),
	TRY("limit-core", "has a core dump", "prlimit64", LAYER_PRIV, raise_core),
	TRY("limit-processes", "has more processes", "prlimit64", LAYER_PRIV, raise_processes),
	TRY("setrlimit", "sets a limit", "setrlimit", ALONE, set_limit),
	TRY("real-time", "has real-time priority", "sched_setscheduler", LAYER_PRIV, real_time),
	TRY("nice", "has a higher priority", "setpriority", LAYER_PRIV, more_cpu),
	{ "personality", "asks how it is run", .flags = 0, ONE_CALL(personality),
	  ARGS(0xffffffff) },
	{ "read-implies-exec", "makes all memory code", .flags = ALONE, ONE_CALL(personality),
	  ARGS(READ_IMPLIES_EXEC) },
	{ "iopl", "has the host's ports", .flags = LAYER_PRIV, ONE_CALL(iopl), ARGS(3) },
	{ "ioperm", "has a port of the host", .flags = LAYER_PRIV, ONE_CALL(ioperm),
	  ARGS(0x80, 1, 1) },
	TRY("modify-ldt", "changes its descriptor table", "modify_ldt", 0, change_ldt),
	TRY("arch-prctl", "reads a segment's base", "arch_prctl", 0, learn_gs),
	{ 0 },
};
