/*
 * cgroup.h - limits on what a VM takes of its host: a cgroup (v2) for it, made and removed by us.
 *
 * The process that watches the VM's makes the cgroup, moves the VM's process there before that has
 * taken anything, and removes the cgroup when that process has ended. Main thread only. Linux,
 * Documentation/admin-guide/cgroup-v2.rst.
 */
#ifndef VMM_JAIL_CGROUP_H
#define VMM_JAIL_CGROUP_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <vmm/base/err.h>

#define CGROUP_MIN_MILLI_CPU 10u /* cpu.max: the kernel's least is 1 of 100 ms */
#define CGROUP_MAX_CPU 65536u

struct cgroup_limits { /* 0: no limit */
	uint64_t mem_bytes; /* RAM, what the kernel keeps for it, page cache; swap: none */
	unsigned int milli_cpu; /* CPU time a time, in thousandths: 1500 is one CPU and a half */
	uint64_t pids; /* processes and threads, those of the kernel for us included */
	uint64_t io_bytes_per_s; /* that are read, and as many that are written, of each disk */
	/*
	 * Of which disks: those that hold these files and folders, and those that are these block
	 * devices. The caller's, and not part of the text.
	 */
	const char *const *io_paths;
	unsigned int n_io_paths;
};

/*
 * "mem=SIZE,cpu=N[.N],pids=N,io=SIZE", any of them. Adds to what earlier texts have said; the last
 * word on each counts. -EINVAL, -ERANGE, with the part that is wrong; *l is as before then.
 */
int cgroup_limits_parse(struct cgroup_limits *l, const char *text, struct err *e);
bool cgroup_limits_any(const struct cgroup_limits *l);
/* "600M", as a user would write it: in K where it is not whole MiB. */
#define CGROUP_SIZE_TEXT 24u
void cgroup_size_text(char buf[CGROUP_SIZE_TEXT], uint64_t bytes);

struct cgroup { /* embedded; zeroed: there is none */
	const char *root; /* a test's folder in front of /proc, /sys and /sys/fs/cgroup; or NULL */
	char *base; /* the folder of the cgroup that we have been started in */
	char *leaf; /* that of the VM's, below it; NULL: there is none */
	char *side; /* that of the one that we have moved to; NULL: we have not */
	unsigned int enabled; /* by us, for the children of base */
};

/*
 * Makes the cgroup "vmm-PID" below our own one and sets its limits; nobody is in it yet.
 * Controllers are enabled where they are not. A cgroup with such children must not have processes
 * of its own (but for the root of all), so if we are the only one there we move to "vmm-PID-outer",
 * beside the other; -EBUSY: we are not. c->root is the caller's, the rest is filled in; on errors
 * nothing is left. -ENOTSUP: no cgroup v2, or a controller is missing; -EACCES, -EPERM, -EROFS: not
 * ours to change. All errors name the remedy.
 */
int cgroup_create(struct cgroup *c, const struct cgroup_limits *l, struct err *e);

/* Moves a process there, with all its threads. Memory that it has already stays with its old one.
 */
int cgroup_join(const struct cgroup *c, pid_t pid, struct err *e);

/* How many processes of it the kernel has killed because mem was used up. 0: none, or unknown. */
uint64_t cgroup_oom_kills(const struct cgroup *c);
/* How often a process or thread could not be made because of pids. */
uint64_t cgroup_pids_refused(const struct cgroup *c);

/*
 * Removes it, and moves us back. Its processes have ended, or are about to: that is waited for
 * for a moment, and nobody is killed; a cgroup that is still in use then stays, with a warning.
 * Controllers that were enabled in the root cgroup stay so: others may rely on them by now. Zeroed
 * is fine.
 */
void cgroup_destroy(struct cgroup *c);
/* In a process that is in it, or was forked: only gives back the memory. */
void cgroup_forget(struct cgroup *c);

#endif
