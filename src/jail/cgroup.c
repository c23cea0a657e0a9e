/*
 * cgroup.c - a cgroup for the VM's process: made, limited, looked at, removed.
 *
 * Life of a VM: made before its process is, looked at when that has ended, then removed; by the
 * process that watches it, on its main thread.
 *
 * Linux, Documentation/admin-guide/cgroup-v2.rst. The rule behind the detour by "side": a cgroup
 * that hands controllers down to its children has no processes of its own ("No Internal Process
 * Constraint"). A service manager that delegates a cgroup puts us into that very one.
 */
#include "cgroup_private.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>

#define PERIOD_US 100000u /* of cpu.max; the kernel's own */
#define SHOWN 3u /* so many of the processes in our way are named */
#define TRIES 200u
#define PAUSE_US 10000u

int cgroup_put(const char *dir, const char *file, const char *text, struct err *e)
{
	char *path;
	ssize_t n;
	int fd;

	if (asprintf(&path, "%s/%s", dir, file) < 0)
		return err_set(e, -ENOMEM, "cgroup: out of memory");
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	n = fd < 0 ? -1 : write(fd, text, strlen(text));
	e->code = n < 0 ? err_errno(e, "%s", path) : 0;
	if (fd >= 0)
		close(fd);
	free(path);
	return e->code;
}

static int put_number(const char *dir, const char *file, uint64_t n, struct err *e)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, n);
	return cgroup_put(dir, file, text, e);
}

/* Our own cgroup --------------------------------------------------------------------------------
 */

/* Of all cgroups only that at the root of the hierarchy has no type, and may have processes. */
static bool is_root(const struct cgroup *c)
{
	struct stat st;
	char *path;
	bool root;

	if (asprintf(&path, "%s/cgroup.type", c->base) < 0)
		return false;
	root = stat(path, &st) < 0;
	free(path);
	return root;
}

/* "bash 812", where that can be told; a process of another PID namespace is 0. */
static void name_process(const char *root, unsigned int pid, char *buf, size_t size)
{
	char path[64], name[32] = "";
	char *all;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	if (asprintf(&all, "%s%s", root, path) < 0)
		all = NULL;
	f = all ? fopen(all, "re") : NULL;
	if (f && fgets(name, sizeof(name), f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
	free(all);
	snprintf(buf, size, "%s%s%u", name, name[0] ? " " : "", pid);
}

/* Are we alone there? Else -EBUSY, with some of the others. */
static int check_alone(const struct cgroup *c, struct err *e)
{
	char others[SHOWN * 48] = "", one[48], *path;
	unsigned int pid, n = 0;
	FILE *f;

	if (asprintf(&path, "%s/cgroup.procs", c->base) < 0)
		return err_set(e, -ENOMEM, "cgroup: out of memory");
	f = fopen(path, "re");
	e->code = f ? 0 : err_errno(e, "%s", path);
	free(path);
	while (f && fscanf(f, "%u", &pid) == 1) {
		size_t len = strlen(others);

		if (pid == (unsigned int)getpid() || n++ >= SHOWN)
			continue;
		name_process(c->root, pid, one, sizeof(one));
		snprintf(others + len, sizeof(others) - len, "%s%s", len ? ", " : "", one);
	}
	if (f)
		fclose(f);
	if (n > 0)
		return err_set(e, -EBUSY,
			       "other processes are in our cgroup (%s%s), so that it cannot be "
			       "divided; remedy: %s",
			       others, n > SHOWN ? ", ..." : "", cgroup_remedy());
	return e->code;
}

/* To an error: what to do where that cgroup is somebody else's. */
static int add_remedy(struct err *e)
{
	const struct err was = *e;

	if (e->code != -EACCES && e->code != -EPERM && e->code != -EROFS)
		return e->code;
	return err_set(e, was.code, "%s: not ours to divide; remedy: %s", was.text,
		       cgroup_remedy());
}

/* A cgroup below base; a left-over of a process that had our number makes way. */
static int make(char **path, const struct cgroup *c, const char *suffix, struct err *e)
{
	int rc;

	if (asprintf(path, "%s/vmm-%ld%s", c->base, (long)getpid(), suffix) < 0) {
		*path = NULL;
		return err_set(e, -ENOMEM, "cgroup: out of memory");
	}
	rc = mkdir(*path, 0755);
	if (rc < 0 && errno == EEXIST && rmdir(*path) == 0)
		rc = mkdir(*path, 0755);
	if (rc == 0)
		return 0;
	err_errno(e, "%s", *path);
	free(*path);
	*path = NULL;
	return add_remedy(e);
}

static int move_aside(struct cgroup *c, struct err *e)
{
	if (check_alone(c, e) < 0 || make(&c->side, c, "-outer", e) < 0)
		return e->code;
	return put_number(c->side, "cgroup.procs", (uint64_t)getpid(), e);
}

static void move_back(struct cgroup *c)
{
	char names[CGROUP_NAMES];
	struct err e;

	if (!c->side)
		return;
	cgroup_names(names, c->enabled, "-");
	/* Best effort: whoever has given us the cgroup removes it with what is below. */
	if ((c->enabled && cgroup_put(c->base, "cgroup.subtree_control", names, &e) < 0) ||
	    put_number(c->base, "cgroup.procs", (uint64_t)getpid(), &e) < 0)
		log_debug("%s", e.text);
	if (rmdir(c->side) < 0)
		log_debug("%s: %s", c->side, strerror(errno));
	free(c->side);
	c->side = NULL;
}

/* Controllers that base does not hand down yet. */
static int enable(struct cgroup *c, unsigned int want, struct err *e)
{
	unsigned int missing = want & ~cgroup_get(c->base, "cgroup.subtree_control");
	char names[CGROUP_NAMES];

	if (!missing)
		return 0;
	if (!is_root(c) && move_aside(c, e) < 0)
		return e->code;
	cgroup_names(names, missing, "+");
	if (cgroup_put(c->base, "cgroup.subtree_control", names, e) < 0)
		return add_remedy(e);
	c->enabled = missing;
	return 0;
}

/* The VM's
 * -----------------------------------------------------------------------------------------
 */

/* No swap: what does not fit ends the VM, as a whole, instead of making the host slow. */
static int limit_mem(const char *leaf, const struct cgroup_limits *l, struct err *e)
{
	if (put_number(leaf, "memory.max", l->mem_bytes, e) < 0)
		return e->code;
	if (put_number(leaf, "memory.swap.max", 0, e) < 0 && e->code != -ENOENT)
		return e->code; /* a kernel without swap has no such file */
	return put_number(leaf, "memory.oom.group", 1, e);
}

static int limit_cpu(const char *leaf, const struct cgroup_limits *l, struct err *e)
{
	char text[48];

	snprintf(text, sizeof(text), "%" PRIu64 " %u", (uint64_t)l->milli_cpu * PERIOD_US / 1000,
		 PERIOD_US);
	return cgroup_put(leaf, "cpu.max", text, e);
}

static int limit(const struct cgroup *c, const struct cgroup_limits *l, struct err *e)
{
	if (l->mem_bytes && limit_mem(c->leaf, l, e) < 0)
		return err_wrap(e, "mem");
	if (l->milli_cpu && limit_cpu(c->leaf, l, e) < 0)
		return err_wrap(e, "cpu");
	if (l->pids && put_number(c->leaf, "pids.max", l->pids, e) < 0)
		return err_wrap(e, "pids");
	if (l->io_bytes_per_s && cgroup_limit_io(c->leaf, c->root, l, e) < 0)
		return err_wrap(e, "io");
	return 0;
}

static unsigned int wanted(const struct cgroup_limits *l)
{
	return (l->mem_bytes ? CGROUP_MEMORY : 0) | (l->milli_cpu ? CGROUP_CPU : 0) |
	       (l->pids ? CGROUP_PIDS : 0) | (l->io_bytes_per_s ? CGROUP_IO : 0);
}

int cgroup_create(struct cgroup *c, const struct cgroup_limits *l, struct err *e)
{
	*c = (struct cgroup){ .root = c->root ? c->root : "" };
	if (cgroup_find(&c->base, c->root, wanted(l), e) == 0 && enable(c, wanted(l), e) == 0 &&
	    make(&c->leaf, c, "", e) == 0 && limit(c, l, e) == 0)
		return 0;
	cgroup_destroy(c);
	return e->code;
}

int cgroup_join(const struct cgroup *c, pid_t pid, struct err *e)
{
	return put_number(c->leaf, "cgroup.procs", (uint64_t)pid, e);
}

uint64_t cgroup_oom_kills(const struct cgroup *c)
{
	return c->leaf ? cgroup_count(c->leaf, "memory.events", "oom_kill") : 0;
}

uint64_t cgroup_pids_refused(const struct cgroup *c)
{
	return c->leaf ? cgroup_count(c->leaf, "pids.events", "max") : 0;
}

/* A process that is being killed is there for a moment more. */
static void remove_leaf(struct cgroup *c)
{
	unsigned int n = 0;

	if (!c->leaf)
		return;
	while (rmdir(c->leaf) < 0) {
		if (errno == EBUSY && n++ < TRIES) {
			usleep(PAUSE_US);
			continue;
		}
		if (errno != ENOENT) /* the guard was faster */
			log_warn("%s: %s: it stays", c->leaf, strerror(errno));
		break;
	}
}

void cgroup_destroy(struct cgroup *c)
{
	remove_leaf(c);
	move_back(c);
	cgroup_forget(c);
}

void cgroup_forget(struct cgroup *c)
{
	free(c->leaf);
	free(c->side);
	free(c->base);
	*c = (struct cgroup){ .root = c->root };
}
