/*
 * outside.h - the two processes of a VM: which one this is, what one does for the other, and what
 * is open in both.
 */
#ifndef VMM_MACHINE_OUTSIDE_H
#define VMM_MACHINE_OUTSIDE_H
#include <vmm/base/err.h>
#include <vmm/jail/broker.h>
#include <vmm/jail/cgroup.h>
#include <vmm/jail/jail.h>
#include <vmm/machine/config.h>

/* Behind each, what its value is. */
enum outside_job {
	OUTSIDE_CACHE_MAKE, /* bytes */
	OUTSIDE_CACHE_KEEP,
	OUTSIDE_CACHE_CLOSE, /* the two above are over: a guest runs */
	OUTSIDE_STATS_BEGIN, /* gives a file in memory for the text */
	OUTSIDE_STATS_END, /* bytes of it */
	OUTSIDE_CONNECT, /* which of cfg->nets; gives a socket that is connected to its path */
	OUTSIDE_JOBS
};
#define OUTSIDE_STATS_MAX (1u << 20) /* bytes */

struct outside {
	const struct vm_config *cfg;
	struct kernel *kernel; /* opened, not read */
	bool cache_is_closed; /* outside: what comes now may be a guest's wish */
	struct jail jail;
	struct broker broker;
	struct cgroup cgroup; /* for --limit; else none */
	struct broker_job jobs[OUTSIDE_JOBS];
	int stats_fd; /* between STATS_BEGIN and _END; -1 */
};

/*
 * Opens the kernel, and becomes two processes: returns in both, o->broker.inside tells which one
 * this is. cfg has been checked; it and o outlive both, and it is told how a lost network is found
 * again. On failure nothing is left, but for o->broker.inside.
 */
int outside_open(struct outside *o, struct vm_config *cfg, struct err *e);

/*
 * In the process outside: until the VM's has ended and all that it could have left behind is gone.
 * Says so if it was
 * --limit that ended it.
 */
int outside_wait(struct outside *o, struct broker_end *end, struct err *e);

/* In the VM's process. As stats_save(), to what cfg names. */
int outside_save_stats(const struct outside *o, const char *text, struct err *e);

/* In the VM's process, before the guest runs. 0 or -errno. */
int outside_close_cache(const struct outside *o);

void outside_close(struct outside *o);

#endif
