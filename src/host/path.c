/*
 * path.c - opening the files that the user names.
 *
 * Life of a VM: while the machine is built, on the main thread; statistics also later.
 *
 * A path is walked name by name, each looked up in the open folder that the one before has led to.
 * What has been looked at is held open, and nothing is looked up twice, so that nobody can exchange
 * it between a check and its use.
 *
 * path_resolution(7), symlink(7), openat2(2); protected_symlinks in proc(5), which the walk must
 * keep, because it reads links itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <vmm/host/path.h>
#include <vmm/host/procfs.h>

#define MAX_LINKS 40u /* as in the kernel */
#define PROC_ROOT_INO 1
#define NOBODY ((uid_t)-1)

struct walk {
	struct err *e;
	bool trusts_all; /* no rule: an ordinary user's */
	uid_t trusted;
	uid_t owner; /* of the links so far that are not trusted; NOBODY: there were none */
	unsigned int n_links;
	int dir; /* the folder that we are in */
	char name[NAME_MAX + 1]; /* what is to be looked up in it */
	bool last; /* nothing comes behind it */
	bool is_magic; /* the last name is a link of /proc's, to be followed by the kernel */
	char rest[PATH_MAX]; /* what comes behind it */
};

static int fail(struct walk *w, int code)
{
	return err_set(w->e, -code, "%s", strerror(code));
}

/* The rule ----------------------------------------------------------------------------------- */

static const char *user(uid_t uid, char *buf, size_t size)
{
	const struct passwd *p = getpwuid(uid);

	if (uid == 0)
		return "root";
	if (p)
		snprintf(buf, size, "user %.32s", p->pw_name);
	else
		snprintf(buf, size, "user %u", (unsigned int)uid);
	return buf;
}

static int refuse(struct walk *w, uid_t owner, const char *what, uid_t other)
{
	char a[48], b[48];

	return err_set(w->e, -ELOOP,
		       "a symbolic link of %s leads into %s of %s: name the file itself",
		       user(owner, a, sizeof(a)), what, user(other, b, sizeof(b)));
}

/* May a link that is in the folder be followed? */
static int check_link(struct walk *w, uid_t owner)
{
	char text[48];
	struct stat dir;

	if (w->trusts_all || owner == w->trusted)
		return 0;
	if (w->owner != NOBODY && w->owner != owner)
		return refuse(w, w->owner, "a symbolic link", owner);
	if (fstat(w->dir, &dir) < 0)
		return fail(w, errno);
	if ((dir.st_mode & S_ISVTX) && (dir.st_mode & S_IWOTH) && dir.st_uid != owner)
		return err_set(w->e, -ELOOP,
			       "a symbolic link of %s in a folder where anybody can make one: name "
			       "the file itself",
			       user(owner, text, sizeof(text)));
	w->owner = owner;
	return 0;
}

/* Is the folder that the links have led to one that they may lead to? */
static int check_folder(struct walk *w)
{
	struct stat dir;

	if (w->owner == NOBODY)
		return 0;
	if (fstat(w->dir, &dir) < 0)
		return fail(w, errno);
	return dir.st_uid == w->owner ? 0 : refuse(w, w->owner, "a directory", dir.st_uid);
}

/* The walk ----------------------------------------------------------------------------------- */

static int enter(struct walk *w, int dir)
{
	if (w->dir >= 0)
		close(w->dir);
	w->dir = dir;
	return 0;
}

/* What begins with a slash goes on from the root. */
static int enter_start(struct walk *w)
{
	int dir;

	if (w->rest[0] != '/' && w->dir >= 0)
		return 0;
	dir = open(w->rest[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? fail(w, errno) : enter(w, dir);
}

/* Cuts the next name off the rest. One with slashes behind it is a folder, and "." in it the last.
 */
static int take_name(struct walk *w)
{
	const char *from = w->rest + strspn(w->rest, "/");
	size_t len = strcspn(from, "/");

	if (len > NAME_MAX)
		return fail(w, ENAMETOOLONG);
	memcpy(w->name, from, len);
	w->name[len] = '\0';
	if (len == 0)
		memcpy(w->name, ".", 2);
	w->last = from[len] == '\0';
	memmove(w->rest, from + len, strlen(from + len) + 1);
	return 0;
}

/* /proc's links lead to what cannot be named; and those at its top are the kernel's, whoever's. */
static int follow_magic(struct walk *w, uid_t owner)
{
	struct stat dir;
	int fd;

	if (fstat(w->dir, &dir) < 0)
		return fail(w, errno);
	if (dir.st_ino != PROC_ROOT_INO && check_link(w, owner) < 0)
		return w->e->code;
	w->is_magic = w->last;
	if (w->last)
		return 0;
	fd = openat(w->dir, w->name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? fail(w, errno) : enter(w, fd);
}

/* Puts what the link says in front of the rest. */
static int follow_text(struct walk *w, int link, uid_t owner)
{
	char text[PATH_MAX];
	ssize_t len;
	size_t rest = strlen(w->rest);

	if (check_link(w, owner) < 0)
		return w->e->code;
	len = readlinkat(link, "", text, sizeof(text));
	if (len <= 0)
		return fail(w, len < 0 ? errno : ENOENT);
	if ((size_t)len + rest >= sizeof(w->rest))
		return fail(w, ENAMETOOLONG);
	memmove(w->rest + len, w->rest, rest + 1);
	memcpy(w->rest, text, (size_t)len);
	return enter_start(w);
}

static int follow(struct walk *w, int link, uid_t owner)
{
	struct statfs fs;

	if (++w->n_links > MAX_LINKS)
		return fail(w, ELOOP);
	if (fstatfs(link, &fs) < 0)
		return fail(w, errno);
	return fs.f_type == PROC_SUPER_MAGIC ? follow_magic(w, owner) : follow_text(w, link, owner);
}

/* Goes on by one name. 1: that was the last one, and w->name is what the path leads to. */
static int step(struct walk *w)
{
	int fd = openat(w->dir, w->name, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc;
	struct stat st;

	if (fd < 0)
		return w->last && errno == ENOENT ? 1 : fail(w, errno);
	if (fstat(fd, &st) < 0)
		rc = fail(w, errno);
	else if (S_ISLNK(st.st_mode))
		rc = follow(w, fd, st.st_uid);
	else if (S_ISDIR(st.st_mode) && !w->last)
		return enter(w, fd);
	else
		rc = w->last ? 1 : fail(w, ENOTDIR);
	close(fd);
	return rc == 0 && w->is_magic ? 1 : rc;
}

/* false: it is none, or no folder that is not mounted yet. */
static bool enter_folder(struct walk *w)
{
	int fd = openat(w->dir, w->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		enter(w, fd);
	return fd >= 0;
}

static int start(struct walk *w, const char *path, bool is_folder)
{
	int n = snprintf(w->rest, sizeof(w->rest), "%s%s", path, is_folder ? "/." : "");

	if (!*path)
		return fail(w, ENOENT);
	return n < (int)sizeof(w->rest) ? enter_start(w) : fail(w, ENAMETOOLONG);
}

/* To the last name, or to what it leads to. is_folder: into it, and "." is the last name then. */
static int walk(struct walk *w, const char *path, bool is_folder, bool follow_last)
{
	int rc = start(w, path, is_folder);

	while (rc == 0) {
		rc = take_name(w);
		if (rc == 0 && w->last && !follow_last)
			break;
		if (rc == 0 && (w->last || !enter_folder(w)))
			rc = step(w);
	}
	return rc < 0 ? rc : check_folder(w);
}

/* What was no link when the walk came by is not followed if it is one now. */
static int open_last(struct walk *w, int flags, mode_t mode)
{
	int fd = openat(w->dir, w->name, flags | (w->is_magic ? 0 : O_NOFOLLOW), mode);
	struct stat st;

	if (fd < 0)
		return fail(w, errno);
	if (!(flags & O_PATH) || flags & O_NOFOLLOW ||
	    (fstat(fd, &st) == 0 && !S_ISLNK(st.st_mode)))
		return fd;
	close(fd);
	return fail(w, ELOOP);
}

int path_walk(const char *path, int flags, mode_t mode, uid_t trusted, struct err *e)
{
	const bool never = flags & O_NOFOLLOW || (flags & O_CREAT && flags & O_EXCL);
	struct walk w = { .e = e, .trusted = trusted, .owner = NOBODY, .dir = -1 };
	size_t len = strlen(path);
	int rc;

	if (flags & O_CREAT && strspn(path, "/") < len && path[len - 1] == '/')
		return fail(&w, EISDIR); /* whether or not it is there */
	rc = walk(&w, path, flags & O_DIRECTORY && !never, !never);
	if (rc == 0)
		rc = open_last(&w, flags, mode);
	enter(&w, -1);
	return rc;
}

/* For anybody -------------------------------------------------------------------------------- */

/* Root of a namespace that was made for one user has no more power than that user. */
static bool is_root(void)
{
	return geteuid() == 0 && !procfs_is_lone_user();
}

/* One call, where there is no link; -ENOSYS before Linux 5.6. */
static int open_plain(const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned int)flags,
		.mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? mode : 0,
		.resolve = RESOLVE_NO_SYMLINKS,
	};
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

int path_open(const char *path, int flags, mode_t mode, struct err *e)
{
	int fd = geteuid() == 0 ? open_plain(path, flags, mode) : -ELOOP;

	if (fd == -ELOOP || fd == -ENOSYS || fd == -EPERM) { /* or that call is forbidden */
		if (is_root())
			return path_walk(path, flags, mode, 0, e);
		fd = open(path, flags, mode);
		fd = fd < 0 ? -errno : fd;
	}
	return fd < 0 ? err_set(e, fd, "%s", strerror(-fd)) : fd;
}

int path_create(FILE **out, const char *path, struct err *e)
{
	int fd = path_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666, e);

	if (fd < 0)
		return fd;
	*out = fdopen(fd, "w");
	if (*out)
		return 0;
	err_set(e, -errno, "%s", strerror(errno));
	close(fd);
	return e->code;
}

int path_open_folder(const char *path, char name[NAME_MAX + 1], struct err *e)
{
	struct walk w = { .e = e, .trusts_all = !is_root(), .owner = NOBODY, .dir = -1 };
	int rc = walk(&w, path, false, true);

	if (rc < 0) {
		enter(&w, -1);
		return rc;
	}
	memcpy(name, w.name, sizeof(w.name));
	return w.dir;
}
