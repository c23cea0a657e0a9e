/*
 * fake_cgroup.c - see fake_cgroup.h.
 */
#include "fake_cgroup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>

struct fake_cgroup fake_cgroup;

static const struct {
	const char *controller; /* "": there in any case */
	const char *name, *text;
} files[] = {
	{ "", "cgroup.type", "domain" },
	{ "", "cgroup.procs", "" },
	{ "", "cgroup.subtree_control", "" },
	{ "memory", "memory.max", "max" },
	{ "memory", "memory.swap.max", "max" },
	{ "memory", "memory.oom.group", "0" },
	{ "memory", "memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0" },
	{ "cpu", "cpu.max", "max 100000" },
	{ "pids", "pids.max", "max" },
	{ "pids", "pids.events", "max 0" },
	{ "io", "io.max", "" },
};

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	VMM_BUG_ON(!f);
	fprintf(f, "%s\n", text);
	fclose(f);
}

static bool has_word(const char *path, const char *word)
{
	FILE *f = fopen(path, "r");
	char one[32];
	bool found = false;

	while (f && !found && fscanf(f, "%31s", one) == 1)
		found = strcmp(one + (one[0] == '+'), word) == 0;
	if (f)
		fclose(f);
	return found;
}

static bool is_cgroup(const char *path)
{
	char mount[128];

	snprintf(mount, sizeof(mount), "%s" FAKE_CGROUP_MOUNT "/", fake_cgroup.root);
	return fake_cgroup.root[0] && strncmp(path, mount, strlen(mount)) == 0;
}

static void fill(const char *path)
{
	char name[512], parent[512];

	for (unsigned int i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(parent, sizeof(parent), "%s/../cgroup.subtree_control", path);
		snprintf(name, sizeof(name), "%s/%s", path, files[i].name);
		if (!files[i].controller[0] || has_word(parent, files[i].controller))
			put(name, files[i].text);
	}
}

int mkdir(const char *path, mode_t mode)
{
	if (is_cgroup(path) && fake_cgroup.mkdir_error) {
		errno = fake_cgroup.mkdir_error;
		return -1;
	}
	if (mkdirat(AT_FDCWD, path, mode) < 0)
		return -1;
	if (is_cgroup(path)) {
		fill(path);
		fake_cgroup.n_mkdirs++;
		fake_cgroup.n_left++;
	}
	return 0;
}

int rmdir(const char *path)
{
	char name[512];

	if (is_cgroup(path) && fake_cgroup.busy > 0) {
		fake_cgroup.busy--;
		errno = EBUSY;
		return -1;
	}
	for (unsigned int i = 0; is_cgroup(path) && i < ARRAY_SIZE(files); i++) {
		snprintf(name, sizeof(name), "%s/%s", path, files[i].name);
		unlink(name);
	}
	if (unlinkat(AT_FDCWD, path, AT_REMOVEDIR) < 0)
		return -1;
	fake_cgroup.n_left -= is_cgroup(path);
	return 0;
}

static void host_path(char *buf, size_t size, const char *path)
{
	VMM_BUG_ON((size_t)snprintf(buf, size, "%s%s", fake_cgroup.root, path) >= size);
}

void fake_cgroup_put(const char *path, const char *text)
{
	char all[512];

	host_path(all, sizeof(all), path);
	for (char *p = all + strlen(fake_cgroup.root) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdirat(AT_FDCWD, all, 0700);
	}
	put(all, text);
}

const char *fake_cgroup_text(const char *path)
{
	static char text[4096];
	char all[512];
	FILE *f;
	size_t n;

	host_path(all, sizeof(all), path);
	f = fopen(all, "r");
	n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	if (f)
		fclose(f);
	text[n - (n > 0 && text[n - 1] == '\n')] = '\0';
	return text;
}

bool fake_cgroup_exists(const char *path)
{
	char all[512];

	host_path(all, sizeof(all), path);
	return access(all, F_OK) == 0;
}

void fake_cgroup_init(const char *path, const char *controllers)
{
	bool root = strcmp(path, "/") == 0;
	char text[256];

	fake_cgroup = (struct fake_cgroup){ .root = "/tmp/vmm-unit-XXXXXX" };
	VMM_BUG_ON(!mkdtemp(fake_cgroup.root));
	snprintf(text, sizeof(text), "0::%s", path);
	fake_cgroup_put("/proc/self/cgroup", text);
	fake_cgroup_put("/proc/self/mountinfo",
			"22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
			"35 24 0:31 / " FAKE_CGROUP_MOUNT
			" rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate");
	fake_cgroup_put(FAKE_CGROUP_MOUNT "/cgroup.controllers", controllers);
	for (unsigned int i = 0; i < 4; i++) {
		static const char *const names[] = { "controllers", "subtree_control", "procs",
						     "type" };
		char name[256], pid[24];

		if (root && i == 3) /* which the root has not */
			break;
		snprintf(name, sizeof(name), FAKE_CGROUP_MOUNT "%s/cgroup.%s", root ? "" : path,
			 names[i]);
		snprintf(pid, sizeof(pid), "%d", getpid());
		fake_cgroup_put(name, i == 0 ? controllers : i == 2 ? pid : i == 3 ? "domain" : "");
	}
}

static int removes(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

void fake_cgroup_fini(void)
{
	VMM_BUG_ON(nftw(fake_cgroup.root, removes, 8, FTW_DEPTH | FTW_PHYS) != 0);
	fake_cgroup.root[0] = '\0';
}
