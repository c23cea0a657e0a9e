/*
 * outside.c - what is decided before the VM has a process of its own, and what that one may ask of
 * the other.
 *
 * Life of a VM: outside_open() when the options have been checked. Then the process outside waits,
 * and does the jobs of this file; the VM's goes on with machine_build().
 */
#include "machine.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/block/blk.h>
#include <vmm/boot/kernel_cache.h>
#include <vmm/host/emergency.h>
#include <vmm/host/sock.h>
#include <vmm/machine/outside.h>

#define TIMEOUT_GRACE_NS (60 * NS_PER_S) /* of --timeout, for a VM that has last words */

/* Jobs: in the process outside --------------------------------------------------------------- */

static int cache_make(void *arg, uint64_t value, int *give)
{
	struct outside *o = arg;
	struct kernel_cache *c = arch_kernel_cache(o->kernel);

	if (!c || o->cache_is_closed)
		return -EPERM;
	return kernel_cache_do(c, KERNEL_CACHE_MAKE, value, give);
}

static int cache_keep(void *arg, uint64_t value, int *give)
{
	struct outside *o = arg;
	struct kernel_cache *c = arch_kernel_cache(o->kernel);

	(void)value;
	if (!c || o->cache_is_closed)
		return -EPERM;
	return kernel_cache_do(c, KERNEL_CACHE_KEEP, 0, give);
}

/* A guest that breaks out could replace the unpacked kernel that others boot. */
static int cache_close(void *arg, uint64_t value, int *give)
{
	struct outside *o = arg;

	(void)value, (void)give;
	o->cache_is_closed = true;
	return 0;
}

static void forget_stats(struct outside *o)
{
	if (o->stats_fd >= 0)
		close(o->stats_fd);
	o->stats_fd = -1;
}

/* Of a size that the VM cannot change, so that it takes no more memory than that. */
static int stats_begin(void *arg, uint64_t value, int *give)
{
	struct outside *o = arg;

	(void)value;
	forget_stats(o);
	if (!o->cfg->stats_path)
		return -EINVAL;
	o->stats_fd = memfd_create("vmm-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (o->stats_fd < 0 || ftruncate(o->stats_fd, OUTSIDE_STATS_MAX) < 0 ||
	    fcntl(o->stats_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	*give = fcntl(o->stats_fd, F_DUPFD_CLOEXEC, 0);
	return *give < 0 ? -errno : 0;
}

static int stats_end(void *arg, uint64_t value, int *give)
{
	struct outside *o = arg;
	struct err e;
	char *text;
	int rc = -ENOMEM;

	(void)give;
	if (o->stats_fd < 0 || value >= OUTSIDE_STATS_MAX)
		return -EINVAL;
	text = calloc(1, value + 1);
	if (text && pread(o->stats_fd, text, value, 0) == (ssize_t)value)
		rc = stats_save(o->cfg->stats_path, text, &e);
	free(text);
	forget_stats(o);
	return rc;
}

static int connect_net(void *arg, uint64_t value, int *give)
{
	const struct outside *o = arg;

	if (value >= o->cfg->n_nets || o->cfg->nets[value].kind != NET_UNIX)
		return -EINVAL;
	*give = sock_connect(o->cfg->nets[value].target);
	return *give < 0 ? *give : 0;
}

/* Asking: in the VM's ------------------------------------------------------------------------ */

static int ask_cache(void *arg, enum kernel_cache_job job, uint64_t size, int *give)
{
	const struct outside *o = arg;

	return broker_ask(&o->broker,
			  job == KERNEL_CACHE_MAKE ? OUTSIDE_CACHE_MAKE : OUTSIDE_CACHE_KEEP, size,
			  give);
}

int outside_save_stats(const struct outside *o, const char *text, struct err *e)
{
	size_t len = strlen(text);
	int fd = -1, rc = broker_ask(&o->broker, OUTSIDE_STATS_BEGIN, 0, &fd);

	if (rc == 0 && write(fd, text, len) != (ssize_t)len)
		rc = -ENOSPC;
	if (rc == 0)
		rc = broker_ask(&o->broker, OUTSIDE_STATS_END, len, NULL);
	if (fd >= 0)
		close(fd);
	return rc < 0 ? err_set(e, rc, "%s: %s", o->cfg->stats_path, strerror(-rc)) : 0;
}

int outside_close_cache(const struct outside *o)
{
	return broker_ask(&o->broker, OUTSIDE_CACHE_CLOSE, 0, NULL);
}

static int ask_connection(void *arg, unsigned int net)
{
	const struct outside *o = arg;
	int fd = -1, rc = broker_ask(&o->broker, OUTSIDE_CONNECT, net, &fd);

	return rc < 0 ? rc : fd;
}

/* Both --------------------------------------------------------------------------------------- */

/* Is there anything that kill -9 would leave behind? */
static bool leaves_traces(const struct chardev_spec *c)
{
	return c->kind == CHARDEV_UNIX || (c->kind == CHARDEV_STDIO && isatty(STDIN_FILENO));
}

static bool needs_guard(const struct vm_config *cfg)
{
	bool needs = leaves_traces(&cfg->serial);

	for (unsigned int i = 0; i < console_spec_n_ports(&cfg->console); i++) {
		struct chardev_spec c = console_spec_chardev(&cfg->console, i);

		needs |= leaves_traces(&c);
	}
	for (unsigned int i = 0; i < cfg->n_nets; i++)
		needs |= cfg->nets[i].kind == NET_UNIX;
	return needs;
}

/* The disks that --limit io= is about: those of images, and those of what snapshots write. */
static unsigned int io_paths(const struct vm_config *cfg, const char *paths[CONFIG_MAX_DISKS + 1])
{
	bool snapshot = false;
	unsigned int n = 0;

	for (unsigned int i = 0; i < cfg->n_disks; i++) {
		paths[n++] = cfg->disks[i].path;
		snapshot |= cfg->disks[i].snapshot;
	}
	if (snapshot)
		paths[n++] = blk_temporary_dir();
	return n;
}

static int create_cgroup(struct outside *o, struct err *e)
{
	const char *paths[CONFIG_MAX_DISKS + 1];
	struct cgroup_limits l = o->cfg->limits;

	if (!cgroup_limits_any(&l))
		return 0;
	l.io_paths = paths;
	l.n_io_paths = io_paths(o->cfg, paths);
	return cgroup_create(&o->cgroup, &l, e) < 0 ? err_wrap(e, "--limit") : 0;
}

/* Behind the cgroup: nobody but the broker may be in the one above it. */
static int start_guard(struct outside *o, struct err *e)
{
	if (!o->cgroup.leaf && !needs_guard(o->cfg))
		return 0;
	if (emergency_guard_start(e) < 0)
		return e->code;
	if (o->cgroup.leaf)
		emergency_keep_rmdir(o->cgroup.leaf);
	return 0;
}

static int split(struct outside *o, struct err *e)
{
	timeline_phase(o->cfg->timeline, "become two processes");
	if (create_cgroup(o, e) < 0 || start_guard(o, e) < 0)
		return e->code;
	if (broker_fork(&o->broker, &o->jail, o->jobs, OUTSIDE_JOBS, e) < 0) {
		if (!o->broker.inside)
			emergency_guard_end();
		return e->code;
	}
	if (o->broker.inside && o->cgroup.leaf && cgroup_join(&o->cgroup, getpid(), e) < 0)
		return err_wrap(e, "--limit");
	if (o->broker.inside)
		kernel_cache_let_ask(arch_kernel_cache(o->kernel), ask_cache, o);
	else
		arch_kernel_forget(o->kernel);
	return 0;
}

static void tell_nets(struct outside *o, struct vm_config *cfg)
{
	for (unsigned int i = 0; i < cfg->n_nets; i++) {
		cfg->nets[i].connect = ask_connection;
		cfg->nets[i].connect_arg = o;
		cfg->nets[i].index = i;
	}
}

int outside_open(struct outside *o, struct vm_config *cfg, struct err *e)
{
	*o = (struct outside){
		.cfg = cfg,
		.broker = { .fd = -1, .signal_fd = -1 },
		.jobs = { [OUTSIDE_CACHE_MAKE] = { cache_make, o },
			  [OUTSIDE_CACHE_KEEP] = { cache_keep, o },
			  [OUTSIDE_CACHE_CLOSE] = { cache_close, o },
			  [OUTSIDE_STATS_BEGIN] = { stats_begin, o },
			  [OUTSIDE_STATS_END] = { stats_end, o },
			  [OUTSIDE_CONNECT] = { connect_net, o } },
		.stats_fd = -1,
	};
	jail_init(&o->jail, cfg->jail);
	tell_nets(o, cfg);
	timeline_phase(cfg->timeline, "open the kernel, and find it in the cache");
	fflush(stdout); /* or it would be said twice */
	if (arch_kernel_open(&o->kernel, cfg->kernel, cfg->boot, e) < 0 || split(o, e) < 0) {
		outside_close(o);
		return e->code;
	}
	return 0;
}

static void tell_limits(const struct outside *o)
{
	char size[CGROUP_SIZE_TEXT];

	if (cgroup_pids_refused(&o->cgroup) > 0)
		log_warn("the VM has reached --limit pids=%llu: no more processes and threads",
			 (unsigned long long)o->cfg->limits.pids);
	cgroup_size_text(size, o->cfg->limits.mem_bytes);
	if (cgroup_oom_kills(&o->cgroup) > 0)
		log_error("the VM has reached --limit mem=%s: the host has killed it", size);
}

int outside_wait(struct outside *o, struct broker_end *end, struct err *e)
{
	uint64_t timeout = o->cfg->timeout_ns;
	int rc;

	/* The VM's own clock is the VM's. */
	if (timeout && timeout < UINT64_MAX / 2)
		o->broker.kill_at_ns = o->cfg->start_ns + timeout + TIMEOUT_GRACE_NS;
	rc = broker_serve(&o->broker, end, e);
	if (o->cgroup.leaf)
		tell_limits(o);
	emergency_guard_end();
	return rc;
}

void outside_close(struct outside *o)
{
	forget_stats(o);
	arch_kernel_close(o->kernel);
	o->kernel = NULL;
	if (o->broker.inside)
		cgroup_forget(&o->cgroup);
	else
		cgroup_destroy(&o->cgroup);
	jail_fini(&o->jail);
	broker_fini(&o->broker);
}
