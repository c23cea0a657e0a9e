/*
 * fake_cgroup.h - a host with cgroups, made of plain files in a temporary folder.
 *
 * For src/jail/cgroup*.c, with fake_cgroup.root in front of every path. This program's mkdir() and
 * rmdir() do there what Linux does: a cgroup comes with its files, those of the controllers that
 * its parent hands down among them, and goes with them, unless there are processes in it. Writing
 * only replaces what a file holds: nothing moves, nothing is refused.
 */
#ifndef TESTS_FAKE_CGROUP_H
#define TESTS_FAKE_CGROUP_H
#include <stdbool.h>
#include <stddef.h>

struct fake_cgroup {
	char root[64];
	/* The test's. */
	int mkdir_error; /* errno of mkdir(); 0: it works */
	unsigned int busy; /* so often rmdir() finds processes */
	/* What has happened. */
	unsigned int n_mkdirs;
	unsigned int n_left; /* cgroups that are there now, made and not removed */
};
extern struct fake_cgroup fake_cgroup;

#define FAKE_CGROUP_MOUNT "/sys/fs/cgroup"
/*
 * A host of which we are in the cgroup `path` ("/a/b"), alone, with these controllers ("memory
 * cpu"), none of which is handed down. "/" is the root of all.
 */
void fake_cgroup_init(const char *path, const char *controllers);
void fake_cgroup_fini(void);

/* The host has this file, with its folders. Paths are the host's. */
void fake_cgroup_put(const char *path, const char *text);
/* What it holds, without the end of the line; "" if there is none. Until the next call. */
const char *fake_cgroup_text(const char *path);
bool fake_cgroup_exists(const char *path);

#endif
