/*
 * core_sched.c - no thread of another process beside one of ours on the same core.
 *
 * Life of a VM: the first step of building the machine, if the user wants it. Main thread.
 *
 * Linux, Documentation/admin-guide/hw-vuln/core-scheduling.rst.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <vmm/base/log.h>
#include <vmm/host/core_sched.h>

#define THIS_PROCESS 0

static bool is_off(const char *smt)
{
	FILE *f = fopen(smt, "re");
	char active[4];
	bool off = f && fgets(active, sizeof(active), f) && active[0] == '0';

	if (f)
		fclose(f);
	return off;
}

int core_sched_enable(const char *smt, struct err *e)
{
	int error;

	if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, THIS_PROCESS,
		  PR_SCHED_CORE_SCOPE_THREAD_GROUP, 0) == 0)
		return 0;
	error = errno;
	if (error == ENODEV || (error == EINVAL && is_off(smt))) {
		log_info("core scheduling: no core of this host has several hardware threads: "
			 "there is nothing to keep apart");
		return 0;
	}
	if (error == EINVAL)
		return err_set(e, -EINVAL,
			       "this host's kernel cannot (CONFIG_SCHED_CORE, from Linux 5.14 on); "
			       "turn hardware threads off instead: echo off | sudo tee "
			       "/sys/devices/system/cpu/smt/control");
	errno = error;
	return err_errno(e, "prctl(PR_SCHED_CORE)");
}
