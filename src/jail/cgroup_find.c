/*
 * cgroup_find.c - which cgroup we are in, and what can be limited there.
 *
 * Life of a VM: before its process is made, if the user wants limits. Main thread. proc(5),
 * /proc/PID/mountinfo; cgroups(7), /proc/PID/cgroup.
 */
#include "cgroup_private.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vmm/base/util.h>

#define NO_V2                                                                                      \
	"limits need cgroup v2, which this host does not have; remedy: boot it with "              \
	"systemd.unified_cgroup_hierarchy=1 on its kernel's command line"

static const struct {
	const char *name, *v1; /* and what it was called before */
	unsigned int bit;
} controllers[] = {
	{ "memory", "memory", CGROUP_MEMORY },
	{ "cpu", "cpu", CGROUP_CPU },
	{ "pids", "pids", CGROUP_PIDS },
	{ "io", "blkio", CGROUP_IO },
};

void cgroup_names(char buf[CGROUP_NAMES], unsigned int bits, const char *sign)
{
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned int i = 0; i < ARRAY_SIZE(controllers); i++) {
		if (bits & controllers[i].bit)
			n += (size_t)snprintf(buf + n, CGROUP_NAMES - n, "%s%s%s", n ? " " : "",
					      sign, controllers[i].name);
	}
}

const char *cgroup_remedy(void)
{
	if (geteuid() == 0)
		return "systemd-run --scope -p Delegate=yes vmm run ...";
	return "systemd-run --user --scope -p Delegate=yes vmm run ...";
}

static FILE *open_at(const char *dir, const char *file)
{
	FILE *f = NULL;
	char *path;

	if (asprintf(&path, "%s/%s", dir, file) >= 0) {
		f = fopen(path, "re");
		free(path);
	}
	return f;
}

unsigned int cgroup_get(const char *dir, const char *file)
{
	FILE *f = open_at(dir, file);
	unsigned int bits = 0;
	char word[32];

	while (f && fscanf(f, "%31s", word) == 1) {
		for (unsigned int i = 0; i < ARRAY_SIZE(controllers); i++) {
			if (strcmp(word, controllers[i].name) == 0)
				bits |= controllers[i].bit;
		}
	}
	if (f)
		fclose(f);
	return bits;
}

uint64_t cgroup_count(const char *dir, const char *file, const char *word)
{
	FILE *f = open_at(dir, file);
	unsigned long long n, found = 0;
	char name[32];

	while (f && fscanf(f, "%31s %llu", name, &n) == 2) {
		if (strcmp(name, word) == 0)
			found = n;
	}
	if (f)
		fclose(f);
	return found;
}

/* "ID:CONTROLLERS:PATH", in place: *path is PATH where that is of v2's hierarchy, "0::PATH". */
static void take_line(char *line, char **path, unsigned int *v1)
{
	char *id = strsep(&line, ":"), *names = strsep(&line, ":"), *name;

	if (line && strcmp(id, "0") == 0)
		*path = line;
	while ((name = strsep(&names, ","))) {
		for (unsigned int i = 0; i < ARRAY_SIZE(controllers); i++) {
			if (strcmp(name, controllers[i].v1) == 0)
				*v1 |= controllers[i].bit;
		}
	}
}

/* Our path in v2's hierarchy, or NULL; and those of our controllers that v1 has. */
static int read_own(const char *root, char **path, unsigned int *v1, struct err *e)
{
	FILE *f = open_at(root, "proc/self/cgroup");
	char *line = NULL, *found = NULL;
	size_t size = 0;
	int code = 0;

	*path = NULL;
	*v1 = 0;
	while (f && !*path && code == 0 && getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		take_line(line, &found, v1);
		if (found && !(*path = strdup(found)))
			code = err_set(e, -ENOMEM, "cgroup: out of memory");
	}
	free(line);
	if (f)
		fclose(f);
	return code;
}

/* In place: mountinfo writes a space as "\040". */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* What of path is below `above`; NULL: it is not. "" and "/" are the same place. */
static const char *below(const char *path, const char *above)
{
	size_t n = strcmp(above, "/") == 0 ? 0 : strlen(above);

	if (strncmp(path, "/..", 3) == 0) /* cgroup_namespaces(7): outside of what we may see */
		return NULL;
	if (strncmp(path, above, n) != 0 || (path[n] && path[n] != '/'))
		return NULL;
	return strcmp(path + n, "/") == 0 ? "" : path + n;
}

/* "ID PARENT DEV ROOT POINT OPTIONS [MORE]... - TYPE SOURCE OPTIONS": cuts the line up. */
static bool is_cgroup2(char *line, char **top, char **point)
{
	char *type = strstr(line, " - cgroup2 "), *field[5], *rest = line;

	if (!type)
		return false;
	*type = '\0';
	for (unsigned int i = 0; i < ARRAY_SIZE(field); i++)
		field[i] = strsep(&rest, " ");
	*top = field[3];
	*point = field[4];
	if (!*point)
		return false;
	unescape(*top);
	unescape(*point);
	return true;
}

/* The folder of the cgroup with that path, and the top of what is mounted there. */
static int find_folder(char **base, char **mount, const char *root, const char *path)
{
	FILE *f = open_at(root, "proc/self/mountinfo");
	char *line = NULL, *top, *point;
	const char *rest;
	int rc = -ENOTSUP;
	size_t size = 0;

	while (f && rc == -ENOTSUP && getline(&line, &size, f) > 0) {
		if (!is_cgroup2(line, &top, &point) || !(rest = below(path, top)))
			continue;
		rc = 0;
		if (asprintf(mount, "%s%s", root, point) < 0)
			*mount = NULL;
		if (!*mount || asprintf(base, "%s%s", *mount, rest) < 0) {
			*base = NULL;
			rc = -ENOMEM;
		}
	}
	free(line);
	if (f)
		fclose(f);
	return rc;
}

/* Some are missing: who has them? */
static int tell_missing(unsigned int missing, unsigned int v1, const char *mount, const char *path,
			struct err *e)
{
	char names[CGROUP_NAMES];

	if (missing & v1) {
		cgroup_names(names, missing & v1, "");
		return err_set(e, -ENOTSUP,
			       "on this host cgroup v1 has %s; remedy: boot it with "
			       "systemd.unified_cgroup_hierarchy=1 on its kernel's command line",
			       names);
	}
	cgroup_names(names, missing & ~cgroup_get(mount, "cgroup.controllers"), "");
	if (names[0])
		return err_set(e, -ENOTSUP, "this host's kernel has no cgroup controller %s",
			       names);
	cgroup_names(names, missing, "");
	return err_set(e, -ENOTSUP, "the cgroup %s may not limit %s; remedy: %s", path, names,
		       cgroup_remedy());
}

int cgroup_find(char **base, const char *root, unsigned int want, struct err *e)
{
	char *path = NULL, *mount = NULL;
	unsigned int v1, missing;

	*base = NULL;
	if (read_own(root, &path, &v1, e) < 0)
		return e->code;
	e->code = path ? find_folder(base, &mount, root, path) : -ENOTSUP;
	if (e->code == -ENOMEM)
		err_set(e, -ENOMEM, "cgroup: out of memory");
	else if (!path || (e->code < 0 && v1))
		err_set(e, -ENOTSUP, NO_V2);
	else if (e->code < 0)
		err_set(e, -ENOTSUP,
			"our cgroup %s is not to be seen in any file system; remedy, as root: "
			"mount -t cgroup2 cgroup2 /sys/fs/cgroup",
			path);
	else if ((missing = want & ~cgroup_get(*base, "cgroup.controllers")))
		tell_missing(missing, v1, mount, path, e);
	if (e->code < 0) {
		free(*base);
		*base = NULL;
	}
	free(mount);
	free(path);
	return e->code;
}
