/*
 * blk_probe.c - what a disk's file is and what it can do, found out without changing it.
 *
 * Life of a VM: while the machine is built, on the main thread; blk_file_size() also later, on the
 * loop.
 *
 * Block devices are asked by the ioctls of <linux/fs.h> and by sysfs (Documentation/ABI/stable/
 * sysfs-block); files by trying, as there is nobody to ask.
 */
#include "blk_file.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/fd_stat.h>

#define SECTOR 512u
#define PAGE 4096ul
#define MAX_BLOCK 65536u

uint64_t blk_file_size(const struct blk_file *f)
{
	uint64_t size = 0;
	struct stat st;

	if (f->is_device)
		return ioctl(f->fd, BLKGETSIZE64, &size) == 0 ? size : 0;
	return fd_stat(f->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Files -------------------------------------------------------------------------------------- */

static bool is_block_size(uint64_t n)
{
	return n >= SECTOR && n <= MAX_BLOCK && (n & (n - 1)) == 0;
}

/*
 * Behind its end there is nothing that a hole could destroy. Only a file system without holes
 * refuses.
 */
static bool can_punch(const struct blk_file *f)
{
	return !f->info.ro && fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					(off_t)align_up(f->info.size, PAGE), PAGE) == 0;
}

static void probe_file(struct blk_file *f)
{
	struct stat st;

	f->info.logical = SECTOR;
	f->info.physical = SECTOR;
	if (fstat(f->fd, &st) == 0 && is_block_size((uint64_t)st.st_blksize))
		f->info.physical = (uint32_t)st.st_blksize;
	f->info.best_min = f->info.physical;
	if (can_punch(f)) {
		f->info.discard_unit = f->info.physical;
		f->info.zeroes = true;
	}
}

/* Block devices ------------------------------------------------------------------------------ */

/* A number from the device's queue; a partition has its disk's. 0: there is none. */
static uint64_t queue_limit(dev_t dev, const char *name)
{
	static const char *const places[] = { "", "../" };
	uint64_t n = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(places) && n == 0; i++) {
		char path[128], text[32];
		FILE *f;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/%s", major(dev),
			 minor(dev), places[i], name);
		f = fopen(path, "re");
		if (f && fgets(text, sizeof(text), f))
			n = strtoull(text, NULL, 10);
		if (f)
			fclose(f);
	}
	return n;
}

static void probe_device(struct blk_file *f)
{
	struct blk_info *info = &f->info;
	unsigned int physical = 0, best_min = 0, best = 0;
	int logical = 0, offset = 0;
	struct stat st;

	info->logical = ioctl(f->fd, BLKSSZGET, &logical) == 0 && is_block_size((uint64_t)logical)
				? (uint32_t)logical
				: SECTOR;
	info->physical = info->logical;
	if (ioctl(f->fd, BLKPBSZGET, &physical) == 0 && is_block_size(physical) &&
	    physical > info->logical)
		info->physical = physical;
	if (ioctl(f->fd, BLKALIGNOFF, &offset) == 0 && offset > 0)
		info->offset = (uint32_t)offset;
	if (ioctl(f->fd, BLKIOMIN, &best_min) == 0)
		info->best_min = best_min;
	if (ioctl(f->fd, BLKIOOPT, &best) == 0)
		info->best = best;
	if (info->ro || fstat(f->fd, &st) < 0)
		return;
	info->zeroes = true; /* where the device cannot, its driver writes them */
	if (queue_limit(st.st_rdev, "discard_max_bytes") > 0) {
		uint64_t unit = queue_limit(st.st_rdev, "discard_granularity");

		info->discard_unit = unit >= info->logical && unit <= UINT32_MAX ? (uint32_t)unit
										 : info->logical;
	}
}

/* ------------------------------------------------------------------------------------------------
 */

/* What direct I/O wants to be a multiple of: what it reads when asked so; a page serves anywhere.
 */
static uint32_t probe_align(const struct blk_file *f)
{
	size_t align = SECTOR;
	uint8_t *buf = aligned_alloc(PAGE, 2 * PAGE);

	while (buf && align < PAGE &&
	       pread(f->fd, buf + align, align, (off_t)align) != (ssize_t)align)
		align *= 2;
	free(buf);
	return (uint32_t)(buf ? align : PAGE);
}

int blk_probe(struct blk_file *f, struct err *e)
{
	errno = 0;
	f->info.size = blk_file_size(f);
	if (f->info.size == 0 && errno)
		return err_errno(e, "size");
	if (f->info.size > INT64_MAX)
		return err_set(e, -EFBIG, "too large");
	if (f->is_device)
		probe_device(f);
	else
		probe_file(f);
	if (f->cached_fd >= 0)
		f->align = probe_align(f);
	return 0;
}

/*
 * A guest can write whatever it likes to the beginning of its disk. If that changed what we take
 * the file for, it could make us open others in its name; so it is never more than a reason to ask
 * the user.
 */
int blk_check_format(const struct blk_file *f, struct err *e)
{
	static const struct {
		const char *name;
		unsigned int at, len;
		const char *magic;
	} formats[] = {
		{ "qcow2", 0, 4, "QFI\xfb" },
		{ "vmdk", 0, 4, "KDMV" },
		{ "vmdk", 0, 4, "COWD" },
		{ "vmdk", 0, 21, "# Disk DescriptorFile" },
		{ "vhdx", 0, 8, "vhdxfile" },
		{ "vpc", 0, 8, "conectix" },
		{ "vdi", 0x40, 4, "\x7f\x10\xda\xbe" },
		{ "qed", 0, 4, "QED" },
	};
	uint8_t head[512];
	ssize_t n = pread(f->cached_fd >= 0 ? f->cached_fd : f->fd, head, sizeof(head), 0);

	if (n < 0)
		return err_errno(e, "read");
	for (unsigned int i = 0; i < ARRAY_SIZE(formats); i++) {
		if ((size_t)n < formats[i].at + formats[i].len ||
		    memcmp(head + formats[i].at, formats[i].magic, formats[i].len) != 0)
			continue;
		return err_set(e, -EINVAL,
			       "looks like %s, and only raw images are possible: qemu-img convert "
			       "-O raw makes one; if it is raw nevertheless, say ,format=raw",
			       formats[i].name);
	}
	return 0;
}
