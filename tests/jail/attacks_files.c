/*
 * attacks_files.c - getting at files of the host by their names.
 *
 * Life of a VM: see attack.h.
 */
#include "attack.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#define NAME_MAX_BYTES 256

struct name {
	char text[NAME_MAX_BYTES];
};

static char *append(char *at, const char *end, const char *s)
{
	while (*s && at < end - 1)
		*at++ = *s++;
	*at = '\0';
	return at;
}

static const char *join(struct name *n, const char *dir, const char *file)
{
	const char *end = n->text + sizeof(n->text);

	append(append(n->text, end, dir), end, file);
	return n->text;
}

/* PREFIX PID SUFFIX, of the process that the test has told of */
static const char *of_pid(struct name *n, const char *suffix)
{
	char digits[12], *d = digits + sizeof(digits) - 1;

	*d = '\0';
	for (int pid = door.pid; pid > 0; pid /= 10)
		*--d = (char)('0' + pid % 10);
	return join(n, join(&(struct name){ { 0 } }, "/proc/", d), suffix);
}

static long opened(const char *path, int flags)
{
	return closed(sys(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600));
}

static long open_outside(void)
{
	return opened(door.path, O_RDWR);
}

static long open_by_old_name(void)
{
	return closed(sys(SYS_open, door.path, O_RDONLY));
}

static long open_by_self(void)
{
	return opened(door.by_self, O_RDONLY);
}

static long open_by_init(void)
{
	return opened(door.by_init, O_RDONLY);
}

static long open_climbing(void)
{
	return opened(door.climbing, O_RDONLY);
}

static long open_as_path(void)
{
	return opened(door.path, O_PATH);
}

static long openat2_outside(void)
{
	const uint64_t how[3] = { O_RDONLY, 0, 0 };

	return closed(sys(SYS_openat2, AT_FDCWD, door.path, how, sizeof(how)));
}

static long create_outside(void)
{
	struct name n;

	return opened(join(&n, door.dir, "/created"), O_WRONLY | O_CREAT);
}

static long read_other_environ(void)
{
	struct name n;

	return opened(of_pid(&n, "/environ"), O_RDONLY);
}

static long read_other_memory(void)
{
	struct name n;

	return opened(of_pid(&n, "/mem"), O_RDWR);
}

static long stat_outside(void)
{
	struct stat st;

	return sys(SYS_newfstatat, AT_FDCWD, door.path, &st, 0);
}

static long statx_outside(void)
{
	struct statx st;

	return sys(SYS_statx, AT_FDCWD, door.path, 0, STATX_BASIC_STATS, &st);
}

static long statfs_outside(void)
{
	struct statfs st;

	return sys(SYS_statfs, door.dir, &st);
}

static long access_outside(void)
{
	return sys(SYS_access, door.path, R_OK);
}

static long readlink_self(void)
{
	char to[256];

	return sys(SYS_readlink, "/proc/self/exe", to, sizeof(to));
}

/* The root has more in it than itself. */
static long list_root(void)
{
	char entries[4096] __attribute__((aligned(8)));
	long fd = sys(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), len, n = 0;

	if (fd < 0)
		return fd;
	len = sys(SYS_getdents64, fd, entries, sizeof(entries));
	sys(SYS_close, fd);
	for (long at = 0; at < len; n++)
		at += *(uint16_t *)(entries + at + 16);
	return len < 0 ? len : n > 2 ? 0 : -ENOENT;
}

static long enter_outside(void)
{
	long rc = sys(SYS_chdir, door.dir);

	sys(SYS_chdir, "/");
	return rc;
}

static long mkdir_outside(void)
{
	struct name n;

	return sys(SYS_mkdir, join(&n, door.dir, "/folder"), 0777);
}

static long symlink_outside(void)
{
	struct name n;

	return sys(SYS_symlink, "/etc/shadow", join(&n, door.dir, "/symlink"));
}

static long mkfifo_outside(void)
{
	struct name n;

	return sys(SYS_mknod, join(&n, door.dir, "/fifo"), S_IFIFO | 0666, 0);
}

static long mkdev_outside(void)
{
	struct name n;

	return sys(SYS_mknod, join(&n, door.dir, "/memory"), S_IFCHR | 0600, 1 << 8 | 1);
}

static long link_outside(void)
{
	struct name n;

	return sys(SYS_link, door.path, join(&n, door.dir, "/link"));
}

static long chmod_outside(void)
{
	struct name n;

	return sys(SYS_chmod, join(&n, door.dir, "/prey"), 04777);
}

static long chown_outside(void)
{
	struct name n;

	return sys(SYS_chown, join(&n, door.dir, "/prey"), -1, -1);
}

static long touch_outside(void)
{
	struct name n;

	return sys(SYS_utimensat, AT_FDCWD, join(&n, door.dir, "/prey"), NULL, 0);
}

static long truncate_outside(void)
{
	struct name n;

	return sys(SYS_truncate, join(&n, door.dir, "/prey"), 1);
}

static long getxattr_outside(void)
{
	struct name n;
	char list[256];

	return sys(SYS_listxattr, join(&n, door.dir, "/prey"), list, sizeof(list));
}

static long rename_outside(void)
{
	struct name from, to;

	return sys(SYS_rename, join(&from, door.dir, "/prey"), join(&to, door.dir, "/renamed"));
}

/* What the last one has made, or would have. */
static long unlink_outside(void)
{
	struct name n;

	return sys(SYS_unlink, join(&n, door.dir, "/renamed"));
}

static long watch_outside(void)
{
	long fd = sys(SYS_inotify_init1, IN_CLOEXEC), rc;

	if (fd < 0)
		return fd;
	rc = sys(SYS_inotify_add_watch, fd, door.dir, IN_ALL_EVENTS);
	sys(SYS_close, fd);
	return rc;
}

static long handle_of_outside(void)
{
	struct {
		struct {
			unsigned int bytes;
			int type;
		} head;
		unsigned char handle[128];
	} h = { .head.bytes = sizeof(h.handle) };
	int mount;

	return sys(SYS_name_to_handle_at, AT_FDCWD, door.path, &h, &mount, 0);
}

#define OPENS(path, flags)                                                                         \
	ONE_CALL(openat), ARGS(AT_FDCWD, PTR(path), (flags) | O_CLOEXEC | O_NONBLOCK)

const struct attack attacks_on_files[] = {
	{ "open-passwd", "reads /etc/passwd", .flags = LAYER_FS, OPENS("/etc/passwd", O_RDONLY) },
	TRY("open-outside", "writes to a file of anyone's", "openat", LAYER_FS, open_outside),
	TRY("open-old", "opens a file by open()", "open", LAYER_FS, open_by_old_name),
	TRY("open-by-self", "opens a file by /proc/self/root", "openat", LAYER_FS, open_by_self),
	TRY("open-by-init", "opens a file by /proc/1/root", "openat", LAYER_FS, open_by_init),
	TRY("open-climbing", "climbs above its root", "openat", LAYER_FS, open_climbing),
	TRY("open-path", "opens a file as a mere name", "openat", LAYER_ROOT, open_as_path),
	TRY("openat2", "opens a file by openat2()", "openat2", LAYER_FS, openat2_outside),
	TRY("create", "creates a file", "openat", LAYER_FS, create_outside),
	{ "tmpfile", "has a place to write to", .flags = LAYER_FS, OPENS("/", O_TMPFILE | O_RDWR) },
	{ "proc-environ", "reads its environment", .flags = LAYER_FS,
	  OPENS("/proc/self/environ", O_RDONLY) },
	{ "proc-mem", "writes to its memory by name", .flags = LAYER_FS,
	  OPENS("/proc/self/mem", O_RDWR) },
	{ "proc-maps", "reads where its memory is", .flags = LAYER_FS,
	  OPENS("/proc/self/maps", O_RDONLY) },
	TRY("proc-other-environ", "reads another's environment", "openat", LAYER_FS,
	    read_other_environ),
	TRY("proc-other-mem", "opens another's memory", "openat", LAYER_FS, read_other_memory),
	{ "proc-sysctl", "opens a setting of the kernel", .flags = LAYER_FS,
	  OPENS("/proc/sys/kernel/core_pattern", O_WRONLY) },
	{ "dev-null", "opens /dev/null", .flags = LAYER_FS, OPENS("/dev/null", O_RDWR) },
	{ "dev-kvm", "opens /dev/kvm", .flags = LAYER_FS, OPENS("/dev/kvm", O_RDWR) },
	{ "dev-pts", "opens another pty", .flags = LAYER_FS, OPENS("/dev/ptmx", O_RDWR) },
	{ "dev-shm", "creates a file in /dev/shm", .flags = LAYER_FS,
	  OPENS("/dev/shm", O_TMPFILE | O_RDWR) },
	{ "sys-kernel", "reads /sys", .flags = LAYER_FS, OPENS("/sys/kernel/mm", O_DIRECTORY) },
	TRY("stat", "learns of a file by stat()", "newfstatat", LAYER_ROOT, stat_outside),
	TRY("statx", "learns of a file by statx()", "statx", LAYER_ROOT, statx_outside),
	TRY("statfs", "learns of a file system", "statfs", LAYER_ROOT, statfs_outside),
	TRY("access", "learns of a file by access()", "access", LAYER_ROOT, access_outside),
	TRY("readlink", "learns where the program is", "readlink", LAYER_ROOT, readlink_self),
	TRY("list-root", "sees what is in /", "openat getdents64", LAYER_FS, list_root),
	TRY("chdir", "enters a folder", "chdir", LAYER_ROOT, enter_outside),
	TRY("mkdir", "makes a folder", "mkdir", LAYER_FS, mkdir_outside),
	TRY("symlink", "makes a symbolic link", "symlink", LAYER_FS, symlink_outside),
	TRY("mkfifo", "makes a fifo", "mknod", LAYER_FS, mkfifo_outside),
	TRY("mkdev", "makes a device", "mknod", LAYER_FS | LAYER_PRIV, mkdev_outside),
	TRY("link", "makes a link", "link", LAYER_FS, link_outside),
	TRY("chmod", "makes a file set-uid", "chmod", LAYER_ROOT, chmod_outside),
	TRY("chown", "changes the owner of a file", "chown", LAYER_ROOT, chown_outside),
	TRY("utimensat", "changes the times of a file", "utimensat", LAYER_ROOT, touch_outside),
	TRY("truncate", "cuts a file", "truncate", LAYER_FS, truncate_outside),
	TRY("listxattr", "learns of attributes", "listxattr", LAYER_ROOT, getxattr_outside),
	TRY("rename", "renames a file", "rename", LAYER_FS, rename_outside),
	TRY("unlink", "removes a file", "unlink", LAYER_FS, unlink_outside),
	TRY("inotify", "watches a folder", "inotify_init1", LAYER_ROOT, watch_outside),
	TRY("handle", "makes a handle of a file", "name_to_handle_at", LAYER_ROOT,
	    handle_of_outside),
	{ 0 },
};
