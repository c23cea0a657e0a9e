/*
 * kernel_cache.c - decompressed kernels in a directory of the user's.
 *
 * Life of a VM: kernel_cache_open() before the VM has a process of its own; kernel_cache_get() in
 * that one, when it is in its jail; kernel_cache_do(), which needs the directory, in the broker
 * (jail/broker.c). Main thread. XDG Base Directory Specification 0.8 for the place.
 *
 * The name is a hash of the whole image, made before anything of it has been looked at: an image
 * that takes over the process which unpacks it can spoil the entry of that image, and no other.
 *
 * Reading and hashing an image is most of what a start costs, so a file that has been hashed is
 * remembered: a symbolic link to the entry, whose name is what the file system knows of the file
 * (device, inode, size, times). Whoever changes the file changes its ctime, which nobody can set;
 * only within the clock's grain it may stay what it was, so a file that has just changed is not
 * remembered.
 *
 * How an entry is made: an O_TMPFILE, which has no name and so vanishes with us whatever kills us,
 * is filled and then linked to its name, all at once. Two VMMs that make the same entry do not
 * disturb each other: the second link fails and that is fine. After a power failure an entry may
 * have a name but not all of its data; file systems that delay allocation set the size last, so
 * that such an entry is too short, is seen to be, and is made again. (So the file is never sized in
 * advance, and there is no fsync to wait for.)
 *
 * An entry never changes, for VMs that run have parts of it mapped as their RAM (kaslr.c). Who
 * could change it is this user, and an image that has taken over the process which unpacked it:
 * that one disturbs the VMs of that image, and no others.
 *
 * The worst that can happen is no cache: then the kernel is unpacked into a memfd.
 */
#include <blake2.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/boot/decompress.h>
#include <vmm/boot/kernel_cache.h>
#include <vmm/host/fd_stat.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u /* Linux 6.3 */
#endif

#define HASH_BYTES 32ul /* BLAKE2b-256 */
#define NAME_LEN (2 * HASH_BYTES)
#define ENTRY_MODE 0400
#define MAX_EVICTIONS 1024 /* per call: if others add as fast as we remove, let them */
#define LINK_PREFIX "file-"
#define LINK_SIZE 160 /* of its name, with the NUL: seven numbers */
#define MAX_LINKS 128u
#define SETTLED_S 2 /* the coarsest grain of a file system's clock is that of FAT */

struct kernel_cache {
	int dir; /* -1: there is no cache */
	char path[PATH_MAX]; /* for messages */
	char name[NAME_LEN + 1]; /* of the one entry that is asked for; empty: not known */
	char link[LINK_SIZE]; /* of the file; empty: it is not to be remembered */
	int found; /* the entry; -1: there is none */
	int made; /* becomes the entry; -1: there is none */
	uint64_t made_bytes; /* that it must have then */
	kernel_cache_ask_fn ask;
	void *ask_arg;
};

/* The place --------------------------------------------------------------------------------- */

static bool cache_path(char *path, size_t size)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n;

	/* The specification: relative paths are invalid and to be ignored. */
	if (xdg && xdg[0] == '/')
		n = snprintf(path, size, "%s/vmm", xdg);
	else if (home && home[0] == '/')
		n = snprintf(path, size, "%s/.cache/vmm", home);
	else
		return false;
	return n > 0 && (size_t)n < size;
}

/* mkdir -p -m 0700. What is wrong with the path, opening it will tell. */
static void make_dirs(const char *path)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(part, 0700);
		*p = '/';
	}
	mkdir(part, 0700);
}

/* Whoever can write to the directory chooses what our guests boot: that must be this user alone. */
static bool is_ours(const struct stat *st)
{
	return st->st_uid == geteuid() && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static void cache_open(struct kernel_cache *c)
{
	struct stat st;

	c->dir = -1;
	if (!cache_path(c->path, sizeof(c->path))) {
		log_info("kernel cache: neither XDG_CACHE_HOME nor HOME is set; not used");
		return;
	}
	c->dir = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir < 0 && errno == ENOENT) {
		make_dirs(c->path);
		c->dir = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (c->dir < 0) {
		log_info("kernel cache: %s: %s; not used", c->path, strerror(errno));
	} else if (fstat(c->dir, &st) < 0 || !is_ours(&st)) {
		log_info("kernel cache: %s: not a directory that only this user can write to; "
			 "not used",
			 c->path);
		close(c->dir);
		c->dir = -1;
	}
}

/* The entries ------------------------------------------------------------------------------- */

static bool name_entry(struct kernel_cache *c, const uint8_t *image, size_t len)
{
	uint8_t hash[HASH_BYTES];

	if (blake2b(hash, image, NULL, sizeof(hash), len, 0) != 0)
		return false;
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(c->name + 2 * i, 3, "%02x", hash[i]);
	return true;
}

static bool is_entry_name(const char *name)
{
	return strlen(name) == NAME_LEN && strspn(name, "0123456789abcdef") == NAME_LEN;
}

/* A descriptor on the entry, marked as just used; -1: there is none, or it was no good and is gone.
 */
static int open_entry(const struct kernel_cache *c)
{
	int fd = openat(c->dir, c->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return -1;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_ours(&st)) {
		futimens(fd, NULL); /* the age by which entries are evicted; no harm if it fails */
		return fd;
	}
	log_info("kernel cache: %s/%s: damaged; made again", c->path, c->name);
	if (fd >= 0)
		close(fd);
	unlinkat(c->dir, c->name, 0);
	return -1;
}

static bool is_link_name(const char *name)
{
	return strncmp(name, LINK_PREFIX, strlen(LINK_PREFIX)) == 0 && strlen(name) < LINK_SIZE;
}

/* Of the entries, or of the links. */
struct census {
	uint64_t bytes;
	unsigned int n;
	struct timespec oldest_used;
	char oldest[NAME_MAX + 1]; /* empty: there are none */
};

static bool older(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

static bool count(const struct kernel_cache *c, bool (*is_one)(const char *name), struct census *n)
{
	int fd = openat(c->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	*n = (struct census){ 0 };
	if (!d) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while ((entry = readdir(d))) {
		if (!is_one(entry->d_name) ||
		    fstatat(c->dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* not ours to count, or gone meanwhile */
		n->n++;
		n->bytes += (uint64_t)st.st_size;
		if (n->oldest[0] == '\0' || older(st.st_mtim, n->oldest_used)) {
			n->oldest_used = st.st_mtim;
			snprintf(n->oldest, sizeof(n->oldest), "%s", entry->d_name);
		}
	}
	closedir(d);
	return true;
}

/* Counted anew for each one that goes: others may be adding and removing at the same time. */
static void evict(const struct kernel_cache *c)
{
	struct census n;

	for (int i = 0; i < MAX_EVICTIONS; i++) {
		if (!count(c, is_entry_name, &n) || n.bytes <= KERNEL_CACHE_MAX_BYTES)
			return;
		if (unlinkat(c->dir, n.oldest, 0) < 0 && errno != ENOENT)
			return;
		log_info("kernel cache: removed %s, the least recently used", n.oldest);
	}
}

/* Files that have been hashed ---------------------------------------------------------------- */

static bool has_settled(const struct stat *st)
{
	struct timespec now = { 0 };

	clock_gettime(CLOCK_REALTIME, &now);
	return st->st_ctim.tv_sec + SETTLED_S < now.tv_sec;
}

/* What the file would be remembered by; empty: it must not be. */
static void name_link(char link[LINK_SIZE], int fd)
{
	struct stat st;

	link[0] = '\0';
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !has_settled(&st))
		return;
	snprintf(link, LINK_SIZE, LINK_PREFIX "%jx-%jx-%jx-%jx.%lx-%jx.%lx", (uintmax_t)st.st_dev,
		 (uintmax_t)st.st_ino, (uintmax_t)st.st_size, (uintmax_t)st.st_mtim.tv_sec,
		 st.st_mtim.tv_nsec, (uintmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

static void find_by_link(struct kernel_cache *c)
{
	char name[NAME_LEN + 2];
	ssize_t n;

	if (c->link[0] == '\0')
		return;
	n = readlinkat(c->dir, c->link, name, sizeof(name) - 1);
	if (n < 0)
		return;
	name[n] = '\0';
	if (!is_entry_name(name))
		return;
	memcpy(c->name, name, sizeof(c->name));
	c->found = open_entry(c);
}

/* There are no more than so many, however many files come and go. No harm if any of it fails. */
static void remember(const struct kernel_cache *c)
{
	struct census n;

	if (c->link[0] == '\0')
		return;
	unlinkat(c->dir, c->link, 0); /* one whose entry has gone */
	if (symlinkat(c->name, c->dir, c->link) < 0)
		return;
	while (count(c, is_link_name, &n) && n.n > MAX_LINKS) {
		if (unlinkat(c->dir, n.oldest, 0) < 0)
			return;
	}
}

/* Filling ----------------------------------------------------------------------------------- */

struct source {
	const uint8_t *payload;
	size_t len;
	uint64_t out_len;
};

static int unpack(const struct source *s, int fd, struct err *e)
{
	uint64_t made;

	if (decompress_to_fd(s->payload, s->len, fd, s->out_len, &made, e) < 0)
		return e->code;
	if (made != s->out_len)
		return err_set(e, ERR_IMAGE,
			       "its header says it unpacks to %" PRIu64 " bytes, but only %" PRIu64
			       " come out",
			       s->out_len, made);
	return 0;
}

static int unpack_to_memory(const struct source *s, int *fd, struct err *e)
{
	*fd = memfd_create("vmm-kernel", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	if (*fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		*fd = memfd_create("vmm-kernel", MFD_CLOEXEC);
	if (*fd < 0)
		return err_errno(e, "memory for the unpacked kernel");
	if (unpack(s, *fd, e) == 0)
		return 0;
	close(*fd);
	*fd = -1;
	return e->code;
}

static void say_why_not(const struct kernel_cache *c, int code)
{
	enum log_level level = code == -ENOSPC || code == -EDQUOT ? LOG_WARN : LOG_INFO;

	log_at(level, "kernel cache: %s: %s; this kernel is not kept", c->path, strerror(-code));
}

/* A file without a name, with room for so much. */
static int make(struct kernel_cache *c, uint64_t size, int *give)
{
	int rc = 0;

	/* Whoever asks for a new one has no use for the one that is there. */
	if (c->found >= 0) {
		log_info("kernel cache: %s/%s: damaged; made again", c->path, c->name);
		unlinkat(c->dir, c->name, 0);
		close(c->found);
		c->found = -1;
	}
	if (c->made >= 0 || size > KERNEL_CACHE_MAX_BYTES)
		return -EFBIG;
	c->made_bytes = size;
	c->made = openat(c->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, ENTRY_MODE);
	if (c->made < 0)
		return -errno;
	/* A full disk is best found before the work is done. Not all file systems can tell. */
	if (fallocate(c->made, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) < 0 && errno != EOPNOTSUPP)
		rc = -errno;
	if (rc == 0)
		*give = fcntl(c->made, F_DUPFD_CLOEXEC, 0);
	if (rc == 0 && *give < 0)
		rc = -errno;
	if (rc < 0) {
		close(c->made);
		c->made = -1;
	}
	return rc;
}

/*
 * Gives the finished file its name, and what has it by that name, read-only: whoever has made it
 * must not be able to change it once others use it.
 */
static int publish(struct kernel_cache *c, int *give)
{
	char self[64];
	struct stat st;
	int rc = 0;

	if (c->made < 0)
		return -EINVAL;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", c->made);
	if (fstat(c->made, &st) < 0 || (uint64_t)st.st_size != c->made_bytes)
		rc = -EINVAL;
	else if (linkat(AT_FDCWD, self, c->dir, c->name, AT_SYMLINK_FOLLOW) < 0 && errno != EEXIST)
		rc = -errno;
	close(c->made);
	c->made = -1;
	if (rc < 0)
		return rc;
	evict(c);
	/* Where another VMM was faster, this is the other one's. */
	*give = open_entry(c);
	if (*give < 0)
		return -ENOENT;
	remember(c);
	return 0;
}

int kernel_cache_do(struct kernel_cache *c, enum kernel_cache_job job, uint64_t size, int *give)
{
	*give = -1;
	if (c->dir < 0)
		return -ENOENT;
	return job == KERNEL_CACHE_MAKE ? make(c, size, give) : publish(c, give);
}

/* Using it ----------------------------------------------------------------------------------- */

void kernel_cache_open(struct kernel_cache **out, int fd)
{
	struct kernel_cache *c = calloc(1, sizeof(*c));

	*out = c;
	if (!c)
		return;
	c->found = c->made = -1;
	cache_open(c);
	if (c->dir < 0)
		return;
	name_link(c->link, fd);
	find_by_link(c);
}

bool kernel_cache_found(const struct kernel_cache *c)
{
	return c && c->found >= 0;
}

void kernel_cache_find(struct kernel_cache *c, int fd, const uint8_t *image, size_t len)
{
	char link[LINK_SIZE];

	if (!c || c->dir < 0)
		return;
	name_link(link, fd);
	if (strcmp(link, c->link) != 0) /* it has changed while it was read */
		c->link[0] = '\0';
	if (name_entry(c, image, len)) {
		c->found = open_entry(c);
		if (c->found >= 0)
			remember(c);
		return;
	}
	close(c->dir);
	c->dir = -1;
}

void kernel_cache_let_ask(struct kernel_cache *c, kernel_cache_ask_fn ask, void *arg)
{
	if (!c)
		return;
	c->ask = ask;
	c->ask_arg = arg;
	if (c->dir >= 0)
		close(c->dir); /* a way out of any root */
	c->dir = -1;
}

void kernel_cache_close(struct kernel_cache *c)
{
	if (!c)
		return;
	if (c->found >= 0)
		close(c->found);
	if (c->made >= 0)
		close(c->made);
	if (c->dir >= 0)
		close(c->dir);
	free(c);
}

static int ask(struct kernel_cache *c, enum kernel_cache_job job, uint64_t size, int *give)
{
	return c->ask ? c->ask(c->ask_arg, job, size, give) : kernel_cache_do(c, job, size, give);
}

/* *fd -1 and 0: the cache cannot hold it. ERR_IMAGE: nothing can. */
static int unpack_to_cache(struct kernel_cache *c, const struct source *s, int *fd, struct err *e)
{
	int kept, rc;

	rc = ask(c, KERNEL_CACHE_MAKE, s->out_len, fd);
	if (rc < 0) {
		say_why_not(c, rc);
		return 0;
	}
	rc = unpack(s, *fd, e);
	if (rc == 0) {
		rc = ask(c, KERNEL_CACHE_KEEP, 0, &kept);
		if (rc < 0) { /* it is a good file all the same, for this once */
			say_why_not(c, rc);
			return 0;
		}
		close(*fd);
		*fd = kept;
		return 0;
	}
	close(*fd);
	*fd = -1;
	if (rc == ERR_IMAGE)
		return rc;
	say_why_not(c, rc);
	return 0;
}

bool kernel_cache_take(struct kernel_cache *c, uint64_t out_len, int *fd)
{
	struct stat st;

	*fd = -1;
	if (!c || c->found < 0 || fd_stat(c->found, &st) < 0 || (uint64_t)st.st_size != out_len)
		return false;
	*fd = c->found;
	c->found = -1;
	return true;
}

int kernel_cache_make(struct kernel_cache *c, int *fd, const struct kernel_cache_payload *p,
		      struct err *e)
{
	struct source s = { p->data, p->len, p->out_len };
	int rc = 0;

	*fd = -1;
	if (c && (c->dir >= 0 || c->ask))
		rc = unpack_to_cache(c, &s, fd, e);
	if (rc == 0 && *fd < 0)
		rc = unpack_to_memory(&s, fd, e);
	return rc;
}
