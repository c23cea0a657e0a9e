/*
 * blk_file.c - opening and locking a disk's file.
 *
 * Life of a VM: while the machine is built, on the main thread. Nothing is opened by name later.
 *
 * The lock is flock(2)'s: it belongs to the open file, so it lives exactly as long as we may use
 * it, and goes away with us however we end. A reader of the lock's name finds it in /proc/locks.
 */
#include "blk_file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/path.h>
#include <vmm/host/procfs.h>

#define SECTOR 512u
#define LOCK_WAIT_MS 1000u
#define LOCK_RETRY_MS 20u
#define NAME_TRIES 100u

/* Locks -------------------------------------------------------------------------------------- */

/* Who has the lock, as /proc knows it; 0: not to be found (it may be gone by now). */
static pid_t holder(int fd)
{
	FILE *locks = fopen("/proc/locks", "re");
	char line[256];
	struct stat st;
	pid_t found = 0;

	if (!locks)
		return 0;
	while (fstat(fd, &st) == 0 && !found && fgets(line, sizeof(line), locks)) {
		unsigned int maj, min;
		uint64_t inode;
		int pid;

		/* One that waits for a lock has "->" in front of FLOCK. */
		if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%" SCNu64, &pid, &maj, &min,
			   &inode) == 4 &&
		    inode == st.st_ino && maj == major(st.st_dev) && min == minor(st.st_dev))
			found = pid;
	}
	fclose(locks);
	return found;
}

static int refuse(pid_t pid, bool exclusive, struct err *e)
{
	char comm[32], who[64] = "another process";

	if (pid > 0 && pid == procfs_self()) {
		snprintf(who, sizeof(who), "this VM as another disk");
	} else if (pid > 0) {
		if (!procfs_read(pid, "comm", comm, sizeof(comm)))
			snprintf(comm, sizeof(comm), "a process");
		snprintf(who, sizeof(who), "%.*s (pid %d)", (int)strcspn(comm, "\n"), comm,
			 (int)pid);
	}
	if (exclusive)
		return err_set(e, -EBUSY,
			       "in use by %s; to share it, give it ,ro or ,snapshot in both places",
			       who);
	return err_set(e, -EBUSY,
		       "in use by %s, which may write to it; to share it, give it ,ro or ,snapshot "
		       "in both places",
		       who);
}

/*
 * One that was killed keeps its lock until the host has done what it had asked for, which may be
 * after its end: that is worth waiting for.
 */
static bool is_gone(pid_t pid)
{
	return pid == 0 || procfs_is_gone(pid);
}

int blk_lock(int fd, bool exclusive, struct err *e)
{
	pid_t pid;

	for (unsigned int waited_ms = 0;; waited_ms += LOCK_RETRY_MS) {
		if (flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_errno(e, "lock");
		pid = holder(fd);
		if (waited_ms >= LOCK_WAIT_MS || !is_gone(pid))
			return refuse(pid, exclusive, e);
		usleep(LOCK_RETRY_MS * 1000);
	}
}

/* Opening ------------------------------------------------------------------------------------ */

static bool is_about_writing(int code)
{
	return code == EACCES || code == EPERM || code == EROFS || code == ETXTBSY;
}

/* e: why it could not be opened. */
static int open_error(const struct disk_spec *spec, bool writes, struct err *e)
{
	int code = -e->code;

	if (code == EINVAL && spec->direct)
		return err_set(e, -code, "its file system knows no direct I/O: leave ,direct out");
	if (code == EBUSY)
		return err_set(e, -code, "the host uses this device; is it mounted?");
	if (code == EISDIR)
		return err_set(e, -code, "neither a file nor a block device");
	if (writes && is_about_writing(code) && access(spec->path, R_OK) == 0)
		return err_set(e, -code, "%s; with ,ro or ,snapshot it need not be writable",
			       strerror(code));
	return err_wrap(e, "open");
}

static bool is_device(const char *path)
{
	struct stat st;
	struct err e;
	int fd = path_open(path, O_PATH | O_CLOEXEC, 0, &e);
	bool yes = fd >= 0 && fstat(fd, &st) == 0 && S_ISBLK(st.st_mode);

	if (fd >= 0)
		close(fd);
	return yes;
}

/* O_NONBLOCK: opening a pipe must not wait. io_uring would take it as "fail rather than wait". */
static int open_path(struct blk_file *f, const struct disk_spec *spec, struct err *e)
{
	bool writes = !spec->ro && !spec->snapshot;
	int flags = (writes ? O_RDWR : O_RDONLY) | (spec->direct ? O_DIRECT : 0) | O_CLOEXEC |
		    O_NONBLOCK | O_NOCTTY;
	struct stat st;

	/* O_EXCL on a block device: not while it is mounted. */
	if (writes && is_device(spec->path))
		flags |= O_EXCL;
	f->fd = path_open(spec->path, flags, 0, e);
	if (f->fd < 0)
		return open_error(spec, writes, e);
	if (fstat(f->fd, &st) < 0)
		return err_errno(e, "open");
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, -EINVAL, "neither a file nor a block device");
	f->is_device = S_ISBLK(st.st_mode);
	if (writes && f->is_device && !(flags & O_EXCL))
		return err_set(e, -EBUSY, "it has become a device while it was opened");
	f->info.ro = !writes;
	if (fcntl(f->fd, F_SETFL, fcntl(f->fd, F_GETFL) & ~O_NONBLOCK) < 0)
		return err_errno(e, "open");
	return blk_lock(f->fd, writes, e);
}

/* Direct I/O has rules of alignment, which guests need not keep: a second way, without them. */
static int open_cached(struct blk_file *f, struct err *e)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
	f->cached_fd = open(path, (f->info.ro ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	return f->cached_fd < 0 ? err_errno(e, "open again, for what is not aligned") : 0;
}

static int check_size(const struct blk_file *f, const char *path, struct err *e)
{
	if (f->info.size < SECTOR)
		return err_set(e, -EINVAL, "is empty; truncate -s SIZE gives it a size");
	if (f->info.size % SECTOR)
		log_warn("disk %s: the guest does not see its last %u bytes: no whole sector", path,
			 (unsigned int)(f->info.size % SECTOR));
	return 0;
}

int blk_file_open(struct blk_file *f, const struct disk_spec *spec, struct err *e)
{
	*f = (struct blk_file){ .fd = -1, .cached_fd = -1, .align = 1 };
	if (open_path(f, spec, e) < 0 || (spec->direct && open_cached(f, e) < 0) ||
	    blk_probe(f, e) < 0 || check_size(f, spec->path, e) < 0 ||
	    (!spec->raw && blk_check_format(f, e) < 0)) {
		blk_file_close(f);
		return e->code;
	}
	return 0;
}

/* A file that nobody else has opened yet, by a name that is gone at once. */
static int open_unlinked(const char *dir, struct err *e)
{
	int folder = path_open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, e), fd = -1;
	char name[48];

	if (folder < 0)
		return folder;
	for (unsigned int i = 0; i < NAME_TRIES; i++) {
		snprintf(name, sizeof(name), "vmm-snapshot-%d-%u", (int)getpid(), i);
		fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	if (fd < 0)
		err_set(e, -errno, "%s", strerror(errno));
	else
		unlinkat(folder, name, 0);
	close(folder);
	return fd < 0 ? e->code : fd;
}

/* Not every file system has files without a name (O_TMPFILE). */
static int open_temporary(const char *dir, struct err *e)
{
	int fd = path_open(dir, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600, e);

	if (fd == -EOPNOTSUPP || fd == -EISDIR || fd == -EINVAL)
		return open_unlinked(dir, e);
	return fd;
}

int blk_file_temporary(struct blk_file *f, const char *dir, uint64_t size, struct err *e)
{
	*f = (struct blk_file){ .fd = open_temporary(dir, e), .cached_fd = -1, .align = 1 };
	if (f->fd >= 0 && ftruncate(f->fd, (off_t)size) < 0) {
		err_set(e, -errno, "%s", strerror(errno));
		blk_file_close(f);
	}
	if (f->fd < 0)
		return err_wrap(e,
				"snapshot: temporary file of %" PRIu64
				" MiB in %s (TMPDIR names another place)",
				size / MIB, dir);
	if (blk_probe(f, e) < 0) {
		blk_file_close(f);
		return err_wrap(e, "snapshot: temporary file in %s", dir);
	}
	return 0;
}

void blk_file_close(struct blk_file *f)
{
	if (f->cached_fd >= 0)
		close(f->cached_fd);
	if (f->fd >= 0) {
		/* The kernel may keep the file for a moment, in a ring that is going away. */
		flock(f->fd, LOCK_UN);
		close(f->fd);
	}
	f->fd = f->cached_fd = -1;
}
