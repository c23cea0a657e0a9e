/*
 * stats.c - what every device has counted and what the VM costs, as one JSON object: --stats and
 * SIGUSR1.
 *
 * Life of a VM: on the loop thread, whenever somebody asks, and once at the end.
 *
 *	{"uptime_ms": 1234, "vcpus": 2,
 *	 "vcpu_cpu_ms": [800, 17], "loop_cpu_ms": 90, "worker_cpu_ms": 5,
 *	 "process": {"user_ms": 640, "system_ms": 272, "max_rss_kib": 70000, ...},
 *	 "devices": {"disk0": {"type": "virtio-blk", "reads": 17, ...}, ...}}
 */
#include "machine.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/path.h>

#define STDERR_PIECE 4096u /* what log_write() takes */

/* As JSON ------------------------------------------------------------------------------------ */

/* An object that is being filled. failed: something of it is missing, because memory ran out. */
struct object {
	json_t *o;
	bool failed;
};

static struct object object_new(void)
{
	json_t *o = json_object();

	return (struct object){ o, !o };
}

/* Takes val over. */
static void add(struct object *o, const char *name, json_t *val)
{
	if (json_object_set_new(o->o, name, val) < 0) /* also if either is NULL */
		o->failed = true;
}

static void add_object(struct object *o, const char *name, struct object *val)
{
	add(o, name, val->o);
	o->failed |= val->failed;
}

static void add_counter(void *arg, const char *name, uint64_t value)
{
	/* JSON's numbers, as most read them, are exact up to 2^53: no counter gets there. */
	add(arg, name, json_integer((json_int_t)value));
}

/* Under its name, or its type; of two of one type the second is "type-2". */
static void add_device(struct object *devices, const struct device *d)
{
	const char *type = d->type ? d->type : d->ops->type, *name = d->name ? d->name : type;
	struct object o = object_new();
	char key[64];

	snprintf(key, sizeof(key), "%s", name);
	for (unsigned int i = 2; json_object_get(devices->o, key); i++)
		snprintf(key, sizeof(key), "%.50s-%u", name, i);
	add(&o, "type", json_string(type));
	if (d->ops->counters)
		d->ops->counters((struct device *)d, add_counter, &o);
	add_object(devices, key, &o);
}

static void add_vcpu_times(struct object *all, const struct machine *m)
{
	json_t *times = json_array();

	for (unsigned int i = 0; i < cpu_topology_total(&m->cfg->cpus); i++) {
		json_t *ms = json_integer((json_int_t)usage_vcpu_ms(m, i));

		if (json_array_append_new(times, ms) < 0) /* also if either is NULL */
			all->failed = true;
	}
	add(all, "vcpu_cpu_ms", times);
}

static void add_usage(struct object *all, const struct machine *m)
{
	struct object process = object_new();
	struct usage u;

	usage_get(m, &u);
	add_vcpu_times(all, m);
	add_counter(all, "loop_cpu_ms", u.loop_ms);
	add_counter(all, "worker_cpu_ms", u.worker_ms);
	add_counter(&process, "user_ms", u.user_ms);
	add_counter(&process, "system_ms", u.system_ms);
	add_counter(&process, "max_rss_kib", u.max_rss_kib);
	add_counter(&process, "minor_faults", u.minor_faults);
	add_counter(&process, "major_faults", u.major_faults);
	add_counter(&process, "blocks_read", u.blocks_read);
	add_counter(&process, "blocks_written", u.blocks_written);
	add_counter(&process, "voluntary_switches", u.voluntary_switches);
	add_counter(&process, "involuntary_switches", u.involuntary_switches);
	add_object(all, "process", &process);
}

/* NULL: out of memory; half of the numbers would be none. */
static char *as_text(const struct machine *m, size_t flags)
{
	uint64_t ms = (evloop_now_ns() - m->cfg->start_ns) / NS_PER_MS;
	struct object all = object_new(), devices = object_new();
	char *text;

	for (unsigned int i = 0; i < m->n_devices; i++)
		add_device(&devices, m->devices[i]);
	add_counter(&all, "uptime_ms", ms);
	add_counter(&all, "vcpus", cpu_topology_total(&m->cfg->cpus));
	add_usage(&all, m);
	add_object(&all, "devices", &devices);
	text = all.failed ? NULL : json_dumps(all.o, flags);
	json_decref(all.o);
	return text;
}

/* To where it is wanted ---------------------------------------------------------------------- */

static void to_stderr(const char *text)
{
	const char *end = log_is_raw() ? "\r\n" : "\n";
	size_t len = strlen(text);

	for (size_t at = 0; at < len; at += STDERR_PIECE)
		log_write(text + at, min_size(len - at, STDERR_PIECE), LOG_WAIT_MS);
	log_write(end, strlen(end), LOG_WAIT_MS);
}

/* The text and an end of line. A pipe that is full gets less, rather than a wait. */
static int put_text(int fd, const char *text)
{
	size_t len = strlen(text), at = 0;
	ssize_t n;

	while (at <= len) {
		n = at < len ? write(fd, text + at, len - at) : write(fd, "\n", 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		at += (size_t)n;
	}
	return 0;
}

/* By its name in its folder, which is where the path has led, links and all. */
struct place {
	int folder;
	char name[NAME_MAX + 1];
	bool is_regular; /* or nothing yet: to be replaced as a whole */
	bool is_folder;
};

static int find(struct place *p, const char *path, struct err *e)
{
	struct stat st;
	bool is_there;

	p->folder = path_open_folder(path, p->name, e);
	if (p->folder < 0)
		return err_wrap(e, "%s", path);
	is_there = fstatat(p->folder, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!is_there && errno != ENOENT) {
		err_errno(e, "%s", path);
		close(p->folder);
		return e->code;
	}
	/* A link is one of /proc's: to an open file, which is nobody's to replace. */
	p->is_regular = !is_there || S_ISREG(st.st_mode);
	p->is_folder = is_there && S_ISDIR(st.st_mode);
	return 0;
}

static int to_special_file(const char *path, const char *text, struct err *e)
{
	const int flags = O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	int fd = path_open(path, flags, 0, e), rc; /* ENXIO: nobody reads the pipe */

	if (fd < 0)
		return err_wrap(e, "%s", path);
	rc = put_text(fd, text);
	if (rc < 0)
		err_errno(e, "%s", path);
	close(fd);
	return rc < 0 ? e->code : 0;
}

/* A reader sees the old text or the new one. Permissions are what the shell's > would give. */
static int to_new_file(const struct place *p, const char *text)
{
	char tmp[NAME_MAX + 1];
	int fd, rc = 0;

	/* In a PID namespace many have the same number. */
	snprintf(tmp, sizeof(tmp), "%.200s.%d.%llx~", p->name, (int)getpid(),
		 (unsigned long long)evloop_now_ns());
	fd = openat(p->folder, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	if (put_text(fd, text) < 0 || renameat(p->folder, tmp, p->folder, p->name) < 0) {
		rc = -errno;
		unlinkat(p->folder, tmp, 0);
	}
	close(fd);
	return rc;
}

int stats_save(const char *path, const char *text, struct err *e)
{
	struct place p;
	int rc;

	if (find(&p, path, e) < 0)
		return e->code;
	rc = p.is_regular ? to_new_file(&p, text) : 0;
	close(p.folder);
	if (rc < 0)
		return err_set(e, rc, "%s: %s", path, strerror(-rc));
	return p.is_regular ? 0 : to_special_file(path, text, e);
}

/* Else its tables would be seeded from /dev/urandom; their keys are all of our own choice. */
void stats_init(void)
{
	json_object_seed(1);
}

int stats_check(const char *path, struct err *e)
{
	struct place p;
	int rc = 0;

	if (strcmp(path, "-") == 0)
		return 0;
	if (!*path)
		return err_set(e, -EINVAL, "the path is empty");
	if (find(&p, path, e) < 0)
		return e->code;
	if (p.is_folder)
		rc = err_set(e, -EISDIR, "%s: is a directory", path);
	else if (p.is_regular && faccessat(p.folder, ".", W_OK, 0) < 0)
		rc = err_errno(e, "%s", path); /* a pipe may get its reader later */
	close(p.folder);
	return rc;
}

int stats_write(const struct machine *m, const char *path, struct err *e)
{
	bool is_stderr = !path || strcmp(path, "-") == 0;
	char *text = as_text(m, is_stderr ? JSON_COMPACT : JSON_INDENT(2));
	int rc = 0;

	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	if (is_stderr)
		to_stderr(text);
	else
		rc = m->cfg->outside ? outside_save_stats(m->cfg->outside, text, e)
				     : stats_save(path, text, e);
	free(text);
	return rc;
}
