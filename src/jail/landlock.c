/*
 * landlock.c - no path leads anywhere, whatever the file system says.
 *
 * Life of a VM: from jail_enter(). Main thread. What is open stays open.
 *
 * Source: Linux, Documentation/userspace-api/landlock.rst: a ruleset that handles every kind of
 * access that this kernel knows, and has no rule, allows none.
 */
#include "layers.h"
#include <errno.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct landlock_ruleset_attr as of ABI 6; older kernels take its beginning. */
struct ruleset {
	uint64_t fs, net, scoped;
};

/* How many rights to files each version of the ABI knows, and how much of the struct. */
static const struct {
	unsigned int n_fs, n_net, n_scoped;
} abi[] = {
	{ 13, 0, 0 }, { 14, 0, 0 }, { 15, 0, 0 }, { 15, 2, 0 }, { 16, 2, 0 }, { 16, 2, 2 },
};

static uint64_t ones(unsigned int n)
{
	return (UINT64_C(1) << n) - 1;
}

int restrict_paths(struct jail *j)
{
	struct ruleset all;
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	size_t size, i;
	int fd, rc;

	(void)j;
	if (version < 1)
		return version < 0 ? -errno : -ENOSYS;
	i = (size_t)version <= sizeof(abi) / sizeof(abi[0]) ? (size_t)version - 1
							    : sizeof(abi) / sizeof(abi[0]) - 1;
	all = (struct ruleset){ ones(abi[i].n_fs), ones(abi[i].n_net), ones(abi[i].n_scoped) };
	size = abi[i].n_scoped ? sizeof(all) : abi[i].n_net ? 2 * sizeof(all.fs) : sizeof(all.fs);
	fd = (int)syscall(SYS_landlock_create_ruleset, &all, size, 0);
	if (fd < 0)
		return -errno;
	rc = syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
	close(fd);
	return rc;
}
