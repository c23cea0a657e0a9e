/*
 * attacks_descriptors.c - what can be done with what is open.
 *
 * Life of a VM: see attack.h. The test looks at the files afterwards, too: what was opened for
 * reading must be as it was.
 */
#include "attack.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/tiocl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>

#define STDIO 3 /* those below are the user's own */
#define FAR 4096
#define MANY 4096 /* more descriptors than any VM has */
#define PAIRS 48 /* descriptors of which each is tried with each */

/* Says nothing of an attack: there is no such descriptor, or it is of another kind. */
static bool is_pointless(long rc)
{
	return rc == -EBADF || rc == -ENOTTY || rc == -ENOTSOCK || rc == -ENOTDIR ||
	       rc == -EINVAL || rc == -ESPIPE || rc == -ENODEV || rc == -EBADFD;
}

long closed(long fd)
{
	if (fd >= 0)
		sys(SYS_close, fd);
	return fd;
}

long over_fds(long (*fn)(int fd))
{
	long last = -EBADF;

	for (int fd = STDIO; fd < MOST_FDS; fd++) {
		long rc = fd == door.busy_fd ? -EBADF : fn(fd);

		if (rc >= 0)
			return rc;
		if (!is_pointless(rc) || last == -EBADF)
			last = rc;
	}
	return last;
}

/* Folders
 * ------------------------------------------------------------------------------------- */

static long leave_by(int fd)
{
	return closed(sys(SYS_openat, fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static long leave_by_folder(void)
{
	return over_fds(leave_by);
}

static long enter_this(int fd)
{
	return sys(SYS_fchdir, fd);
}

static long enter_folder(void)
{
	long rc = over_fds(enter_this);

	if (rc >= 0)
		sys(SYS_chdir, "/");
	return rc;
}

/* What was opened for reading: disks that are `ro`, the kernel, the initrd
 * ------------------------------------------------------------------------------------- */

static bool is_for_reading(int fd)
{
	long flags = sys(SYS_fcntl, fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) == O_RDONLY;
}

/* Writes first and asks then, so that a filter that lets fcntl() through is not spared. */
static long write_this(int fd)
{
	long rc = sys(SYS_pwrite64, fd, "attacked", 8, FAR);

	return rc < 0 || is_for_reading(fd) ? rc : -EBADF;
}

static long write_read_only(void)
{
	return over_fds(write_this);
}

static long write_vector(int fd)
{
	struct iovec iov = { (char[]){ "attacked" }, 8 };
	long rc = sys(SYS_pwritev2, fd, &iov, 1, FAR, 0, 0);

	return rc < 0 || is_for_reading(fd) ? rc : -EBADF;
}

static long write_vector_read_only(void)
{
	return over_fds(write_vector);
}

static long cut_this(int fd)
{
	return is_for_reading(fd) ? sys(SYS_ftruncate, fd, 1) : -EBADF;
}

static long cut_read_only(void)
{
	return over_fds(cut_this);
}

static long punch_this(int fd)
{
	const int how = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	return is_for_reading(fd) ? sys(SYS_fallocate, fd, how, 0, FAR) : -EBADF;
}

static long punch_read_only(void)
{
	return over_fds(punch_this);
}

static long open_again(int fd)
{
	char path[] = "/proc/self/fd/000";
	char *at = path + sizeof(path) - 4;

	if (fd >= 100)
		*at++ = (char)('0' + fd / 100);
	if (fd >= 10)
		*at++ = (char)('0' + fd / 10 % 10);
	*at++ = (char)('0' + fd % 10);
	*at = '\0';
	return closed(sys(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC));
}

static long open_read_only_again(int fd)
{
	return is_for_reading(fd) ? open_again(fd) : -EBADF;
}

static long write_by_name(void)
{
	return over_fds(open_read_only_again);
}

static long open_each_again(void)
{
	return over_fds(open_again);
}

/* Terminals
 * ----------------------------------------------------------------------------------- */

static long type_there(int fd)
{
	return sys(SYS_ioctl, fd, TIOCSTI, "x");
}

static long type_each(void)
{
	return over_fds(type_there);
}

static long resize_this(int fd)
{
	const struct winsize ws = { 1, 1, 0, 0 };

	return sys(SYS_ioctl, fd, TIOCSWINSZ, &ws);
}

static long resize_each(void)
{
	return over_fds(resize_this);
}

static long take_terminal(int fd)
{
	return sys(SYS_ioctl, fd, TIOCSCTTY, 0);
}

static long take_each(void)
{
	return over_fds(take_terminal);
}

static long paste_there(int fd)
{
	char select = TIOCL_PASTESEL;

	return sys(SYS_ioctl, fd, TIOCLINUX, &select);
}

static long paste_each(void)
{
	return over_fds(paste_there);
}

static long raw_this(int fd)
{
	const int discipline = N_TTY;

	return sys(SYS_ioctl, fd, TIOCSETD, &discipline);
}

static long discipline_each(void)
{
	return over_fds(raw_this);
}

static long open_peer(int fd)
{
	return closed(sys(SYS_ioctl, fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
}

static long peer_each(void)
{
	return over_fds(open_peer);
}

/* From one to another
 * ------------------------------------------------------------------------------------- */

/* The first pair for which fn() succeeds. */
static long over_pairs(long (*fn)(int from, int to))
{
	long last = -EBADF;

	for (int from = STDIO; from < PAIRS; from++) {
		for (int to = STDIO; to < PAIRS; to++) {
			long rc = fn(from, to);

			if (rc >= 0)
				return rc;
			if (!is_pointless(rc))
				last = rc;
		}
	}
	return last;
}

static long copy_range(int from, int to)
{
	long in = FAR, out = FAR;

	return sys(SYS_copy_file_range, from, &in, to, &out, 16, 0);
}

static long copy_each(void)
{
	return over_pairs(copy_range);
}

static long send_file(int from, int to)
{
	long at = 0;

	return sys(SYS_sendfile, to, from, &at, 16);
}

static long send_each(void)
{
	return over_pairs(send_file);
}

/* memory -> pipe -> pipe: the first call that is let through is one too many */
static long splice_all(void)
{
	struct iovec iov = { (char[]){ "x" }, 1 };
	int a[2], b[2];
	long rc = sys(SYS_pipe2, a, O_CLOEXEC | O_NONBLOCK);

	if (rc < 0)
		return rc;
	sys(SYS_pipe2, b, O_CLOEXEC | O_NONBLOCK);
	rc = sys(SYS_vmsplice, a[1], &iov, 1, 0);
	if (rc >= 0)
		rc = sys(SYS_tee, a[0], b[1], 1, 0);
	if (rc >= 0)
		rc = sys(SYS_splice, a[0], NULL, b[1], NULL, 1, 0);
	for (int i = 0; i < 2; i++) {
		sys(SYS_close, a[i]);
		sys(SYS_close, b[i]);
	}
	return rc;
}

static long vmsplice_this(int fd)
{
	struct iovec iov = { (char[]){ "x" }, 1 };

	return sys(SYS_vmsplice, fd, &iov, 1, 0);
}

static long vmsplice_each(void)
{
	return over_fds(vmsplice_this);
}

static long splice_pair(int from, int to)
{
	return sys(SYS_splice, from, NULL, to, NULL, 1, 0);
}

static long splice_each(void)
{
	return over_pairs(splice_pair);
}

static long tee_pair(int from, int to)
{
	return sys(SYS_tee, from, to, 1, 0);
}

static long tee_each(void)
{
	return over_pairs(tee_pair);
}

/* The rest
 * ---------------------------------------------------------------------------------- */

static long own(int fd)
{
	return sys(SYS_fcntl, fd, F_SETOWN, door.pid);
}

static long signal_by_owner(void)
{
	return over_fds(own);
}

static long unlock(int fd)
{
	return sys(SYS_flock, fd, LOCK_UN);
}

static long unlock_each(void)
{
	return over_fds(unlock);
}

static long learn_flags(int fd)
{
	long flags;

	return sys(SYS_ioctl, fd, FS_IOC_GETFLAGS, &flags);
}

static long flags_of_each(void)
{
	return over_fds(learn_flags);
}

static long change_mode(int fd)
{
	return sys(SYS_fchmod, fd, 0777);
}

static long mode_of_each(void)
{
	return over_fds(change_mode);
}

static long duplicate(void)
{
	long n = 0, fd = 0;

	for (; n < MANY; n++) {
		fd = sys(SYS_dup, 2);
		if (fd < 0)
			break;
	}
	return n == MANY ? 0 : fd;
}

static long duplicate_by_fcntl(void)
{
	long n = 0, fd = 0;

	for (; n < MANY; n++) {
		fd = sys(SYS_fcntl, 2, F_DUPFD, 0);
		if (fd < 0)
			break;
	}
	return n == MANY ? 0 : fd;
}

const struct attack attacks_on_descriptors[] = {
	TRY("dirfd", "leaves by a folder that is open", "openat", LAYER_FS, leave_by_folder),
	TRY("fchdir", "enters a folder that is open", "fchdir", 0, enter_folder),
	TRY("ro-pwrite", "no descriptor for reading can be written to", "pwrite64 fcntl", NEVER,
	    write_read_only),
	TRY("ro-pwritev2", "no descriptor for reading can be written to", "pwritev2 fcntl", NEVER,
	    write_vector_read_only),
	TRY("ro-ftruncate", "no descriptor for reading can be written to", "fcntl ftruncate", NEVER,
	    cut_read_only),
	TRY("ro-fallocate", "no descriptor for reading can be written to", "fcntl fallocate", NEVER,
	    punch_read_only),
	TRY("ro-open", "writes to what was opened for reading", "fcntl openat", LAYER_FS,
	    write_by_name),
	TRY("fd-open", "opens what is open again", "openat", LAYER_FS, open_each_again),
	TRY("tiocsti", "types on a terminal", "ioctl", 0, type_each),
	TRY("tiocswinsz", "changes the size of a terminal", "ioctl", 0, resize_each),
	TRY("tiocsctty", "takes a terminal", "ioctl", 0, take_each),
	TRY("tioclinux", "only a console of the host's can be pasted into", "ioctl", NEVER,
	    paste_each),
	TRY("tiocsetd", "changes a line discipline", "ioctl", 0, discipline_each),
	TRY("tiocgptpeer", "opens a terminal", "ioctl", 0, peer_each),
	TRY("copy-range", "copies from file to file", "copy_file_range", 0, copy_each),
	TRY("sendfile", "copies from file to file", "sendfile", 0, send_each),
	TRY("pipe", "moves pages through a pipe", "pipe2", 0, splice_all),
	TRY("vmsplice", "there is no pipe", "vmsplice", NEVER, vmsplice_each),
	TRY("splice", "there is no pipe", "splice", NEVER, splice_each),
	TRY("tee", "there is no pipe", "tee", NEVER, tee_each),
	TRY("setown", "has another signalled", "fcntl", LAYER_PIDNS, signal_by_owner),
	TRY("flock", "gives up the lock on a disk", "flock", 0, unlock_each),
	TRY("getflags", "learns of a file's flags", "ioctl", 0, flags_of_each),
	TRY("fchmod", "changes the mode of an open file", "fchmod", 0, mode_of_each),
	TRY("dup-many", "has as many descriptors as it likes", "dup", LAYER_LIMIT | ALONE,
	    duplicate),
	TRY("fcntl-many", "has as many descriptors as it likes", "fcntl", LAYER_LIMIT | ALONE,
	    duplicate_by_fcntl),
	{ 0 },
};
