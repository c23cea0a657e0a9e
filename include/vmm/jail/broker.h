/*
 * broker.h - two processes where there was one: the VM, which gives up its power, and the broker,
 * which keeps it and waits.
 *
 * The broker is the process that the user has started. It passes signals on, does a handful of jobs
 * that the VM may ask for by number, and tells how the VM has ended. The VM's process goes on as if
 * nothing had happened; when the broker dies, the kernel kills it.
 *
 * The jobs are agreed on before the two part. What the VM can say later is the number of one, and
 * one number more, so that a VM that is in a stranger's hands can ask for nothing else.
 */
#ifndef VMM_JAIL_BROKER_H
#define VMM_JAIL_BROKER_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <vmm/base/err.h>
#include <vmm/jail/jail.h>

/*
 * Does a job, in the broker. value: what the VM says, to be checked before use. *give: a descriptor
 * for the VM, which is closed here once it is on its way; -1 (as it comes): none. 0 or -errno.
 */
struct broker_job {
	int (*fn)(void *arg, uint64_t value, int *give);
	void *arg;
};

struct broker_log; /* of one thread: broker.c */
#define BROKER_MAX_LOGS 512u /* more than a VM has threads */

struct broker { /* in both processes */
	bool inside; /* this is the VM's process */
	int fd; /* to the other one; -1: there is none */

	/* The broker's */
	pid_t pid; /* of the VM, as seen from here */
	int signal_fd;
	uint64_t kill_at_ns; /* CLOCK_MONOTONIC; it has been asked to end, and must have by then; 0:
				no */
	const struct broker_job *jobs;
	unsigned int n_jobs;
	bool takes_logs; /* JAIL_LOG; else nobody has any to give */
	struct broker_log *logs;
	unsigned int n_logs; /* BROKER_MAX_LOGS at most */
};

/* How the VM's process has ended. */
struct broker_end {
	int status; /* as from wait(2) */
	bool was_denied; /* it has told of a call that its jail has denied */
	struct jail_denial denial;
	bool was_killed; /* it had not ended in time when it was asked to */
};

/*
 * Becomes two processes: returns in both, b->inside tells which one this is. The VM's is in a PID
 * namespace of its own, unless the host forbids it, which is noted in *j, or j->mode is JAIL_OFF.
 * jobs outlives b. No other thread exists.
 */
int broker_fork(struct broker *b, struct jail *j, const struct broker_job *jobs, unsigned int n,
		struct err *e);

/* In the broker: serves the VM until it ends. Signals that would end this process go to that one.
 */
int broker_serve(struct broker *b, struct broker_end *end, struct err *e);

/*
 * In the VM: has a job done, and waits for it. give: a descriptor that has come back,
 * close-on-exec, the caller's; NULL: none is expected. 0 or -errno. Main thread.
 */
int broker_ask(const struct broker *b, unsigned int job, uint64_t value, int *give);

/* In the VM: says where the broker hears of calls that are only logged (JAIL_LOG). Main thread,
 * once all are there. */
int broker_give_logs(const struct broker *b, struct jail *j);

/* In either: closes what is open. Zeroed with fd -1 is fine. */
void broker_fini(struct broker *b);

#endif
