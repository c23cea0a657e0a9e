/*
 * cgroup_io.c - how fast a VM may read from and write to the disks of its host.
 *
 * Life of a VM: before its process is made, if the user wants that. Main thread. Linux,
 * Documentation/admin-guide/cgroup-v2.rst, "io.max".
 */
#include "cgroup_private.h"
#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <vmm/base/log.h>

#define LINE_MAX_BYTES 128u

/* A partition's limits are those of its disk: *at becomes that one. /sys/dev/block/MAJOR:MINOR. */
static int find_disk(dev_t *at, const char *root, struct err *e)
{
	unsigned int major_nr, minor_nr;
	char *file;
	FILE *f;
	int n = 0;

	if (asprintf(&file, "%s/sys/dev/block/%u:%u/partition", root, major(*at), minor(*at)) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	n = access(file, F_OK);
	free(file);
	if (n < 0)
		return 0; /* it is a disk as a whole */
	if (asprintf(&file, "%s/sys/dev/block/%u:%u/../dev", root, major(*at), minor(*at)) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	errno = 0;
	f = fopen(file, "re");
	n = f ? fscanf(f, "%u:%u", &major_nr, &minor_nr) : 0;
	if (f)
		fclose(f);
	if (n == 2)
		*at = makedev(major_nr, minor_nr);
	else
		err_errno(e, "%s", file);
	free(file);
	return n == 2 ? 0 : e->code;
}

/* File systems without a block device have numbers with a major of 0. */
static bool has_disk(dev_t at)
{
	return major(at) != 0;
}

static bool is_in_memory(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

/* A folder in memory is no disk's, and --limit mem counts what is written there. */
static int limit_path(const char *leaf, const char *root, const char *path, uint64_t bytes_per_s,
		      struct err *e)
{
	char line[LINE_MAX_BYTES];
	struct stat st;
	dev_t at;

	if (stat(path, &st) < 0)
		return err_errno(e, "%s", path);
	at = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	if (!has_disk(at) && S_ISDIR(st.st_mode) && is_in_memory(path)) {
		log_info("--limit io: %s is in memory: there is no disk to limit", path);
		return 0;
	}
	if (!has_disk(at))
		return err_set(e, -ENOTSUP,
			       "%s is in a file system without a disk that could be limited "
			       "(tmpfs, overlay, btrfs, NFS); remedy: bps= of --disk",
			       path);
	if (find_disk(&at, root, e) < 0)
		return e->code;
	snprintf(line, sizeof(line), "%u:%u rbps=%" PRIu64 " wbps=%" PRIu64, major(at), minor(at),
		 bytes_per_s, bytes_per_s);
	if (cgroup_put(leaf, "io.max", line, e) < 0)
		return err_wrap(e, "%s: the disk %u:%u takes no limit (remedy: bps= of --disk)",
				path, major(at), minor(at));
	return 0;
}

int cgroup_limit_io(const char *leaf, const char *root, const struct cgroup_limits *l,
		    struct err *e)
{
	for (unsigned int i = 0; i < l->n_io_paths; i++) {
		if (limit_path(leaf, root, l->io_paths[i], l->io_bytes_per_s, e) < 0)
			return e->code;
	}
	return 0;
}
