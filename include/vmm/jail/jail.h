/*
 * jail.h - what a VM's process can still do once a guest may run in it: next to nothing.
 *
 * jail_enter() gives up what the process has, before anything that a stranger made is looked at;
 * then each thread closes its own jail by jail_close(), before the guest's first instruction.
 * README.md, "Threat model", says what each layer is for.
 */
#ifndef VMM_JAIL_JAIL_H
#define VMM_JAIL_JAIL_H
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vmm/base/err.h>

#define JAIL_NAME 16u /* of a thread, as the kernel has it */

enum jail_mode {
	JAIL_ON, /* what the host forbids is told, and done without */
	JAIL_STRICT, /* what the host forbids is an error */
	JAIL_LOG, /* as JAIL_ON, but a call that is on no list is told and goes on */
	JAIL_OFF,
};

/* One list of system calls each: seccomp.c. */
enum jail_role {
	JAIL_BUILD, /* the main thread from jail_enter() on: the rest of the building */
	JAIL_VCPU,
	JAIL_LOOP,
	JAIL_WORKER,
	JAIL_ROLES
};

enum jail_layer { /* in the order in which they close */
		  LAYER_PID_NAMESPACE,
		  LAYER_MOUNT_NAMESPACE,
		  LAYER_NET_NAMESPACE,
		  LAYER_IPC_NAMESPACE,
		  LAYER_UTS_NAMESPACE,
		  LAYER_CGROUP_NAMESPACE,
		  LAYER_EMPTY_ROOT,
		  LAYER_GROUPS,
		  LAYER_USER,
		  LAYER_USER_NAMESPACE,
		  LAYER_CAPABILITIES,
		  LAYER_NO_NEW_PRIVILEGES,
		  LAYER_UNDUMPABLE,
		  LAYER_LIMITS,
		  LAYER_LANDLOCK,
		  LAYER_SECCOMP,
		  JAIL_LAYERS
};

struct jail {
	enum jail_mode mode;
	bool as_root; /* the process began with all power */
	uint32_t number; /* of this VM among those of the host: the broker's process number */
	int statm_fd; /* how large the process is, told where there is no /proc any more; -1 */
	int report_fd; /* where a denied call is told; the broker's, borrowed */

	pthread_mutex_t lock; /* guards what follows, once there are threads */
	int failed[JAIL_LAYERS]; /* errno; 0: it holds */
	struct {
		int fd;
		char thread[JAIL_NAME];
	} * logs; /* JAIL_LOG: of threads that have closed their jails, for the broker */
	unsigned int n_logs;
};

/* mode JAIL_OFF: nothing will happen. */
void jail_init(struct jail *j, enum jail_mode mode);
void jail_fini(struct jail *j);

/* A layer's name for people, and what it takes away. */
const char *jail_layer_name(enum jail_layer l);
const char *jail_layer_what(enum jail_layer l);

/*
 * Gives up everything that the whole process has; the function to read. Everything has been opened,
 * no other thread exists. JAIL_STRICT: -errno if the host forbids a step, which the text names.
 * Else such steps are noted in j->failed, and told in one line by jail_tell().
 */
int jail_enter(struct jail *j, struct err *e);
void jail_tell(const struct jail *j);

/*
 * Closes the jail of the calling thread, for good: from here on it makes the calls on its role's
 * list, and any other one ends the VM. name: the thread's, for that case; a literal or as
 * long-lived as the thread.
 */
int jail_close(struct jail *j, enum jail_role role, const char *name, struct err *e);

/*
 * Ends the calling thread, which has closed its jail, if it is to end so: the C library's way makes
 * two system calls more, for nothing that we have. Returns otherwise.
 */
void jail_leave_thread(const struct jail *j);

/* Once all threads are there: no further ones, no more memory and descriptors than a VM can want.
 * Main thread. */
int jail_limit(struct jail *j, struct err *e);

/* From here on a denied call is told by way of report_fd, and ends the process. jail_enter() does
 * this. */
void jail_watch(const struct jail *j);

/* What a handler of SIGSYS has told by way of report_fd. */
struct jail_denial {
	char thread[JAIL_NAME];
	int32_t number; /* of the system call */
	uint32_t arch; /* AUDIT_ARCH_*: of which table */
	uint64_t args[6];
};
/* "openat(0xffffff9c, 0x7f12, 0x0, 0x0, 0x0, 0x0)". */
void jail_describe_call(const struct jail_denial *d, char *buf, size_t size);

#endif
