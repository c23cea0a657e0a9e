/*
 * fault.c - see fault.h: the functions that stand between src/ and the host.
 *
 * Each fails as the real one would when its resource has run out or broken; the error numbers are
 * those of the manual page.
 */
#include "fault.h"
#include <bzlib.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <jansson.h>
#include <liburing.h>
#include <lzma.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <zlib.h>
#include <zstd.h>

#define SITES 2048u /* more than src/ has calls */
#define SITE_MAX 24u /* so many of one line of src/ count: a loop that waits calls for ever */

/*
 * Shared with what fork() makes, so that the n-th call is one and the same for all processes.
 * Atomic access: any thread calls.
 */
struct state {
	bool go_on;
	unsigned int fail_at, n_calls;
	const char *failed;
	unsigned long request;
	int error;
	struct {
		uintptr_t from;
		unsigned int n;
	} site[SITES];
};
static struct state *state;
static bool in_jail; /* where nobody may ask what a descriptor is: reads and writes do not fail */

void fault_arm(unsigned int n, bool forever)
{
	struct state *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	VMM_BUG_ON(s == MAP_FAILED);
	s->fail_at = n;
	s->go_on = forever;
	__atomic_store_n(&state, s, __ATOMIC_SEQ_CST);
}

void fault_expect_jail(void)
{
	in_jail = true;
}

struct fault_seen fault_disarm(void)
{
	struct state *s = __atomic_exchange_n(&state, NULL, __ATOMIC_SEQ_CST);
	struct fault_seen seen = {
		.n_calls = __atomic_load_n(&s->n_calls, __ATOMIC_SEQ_CST),
		.failed = __atomic_load_n(&s->failed, __ATOMIC_SEQ_CST),
		.request = __atomic_load_n(&s->request, __ATOMIC_SEQ_CST),
		.error = __atomic_load_n(&s->error, __ATOMIC_SEQ_CST),
	};

	munmap(s, sizeof(*s));
	return seen;
}

/* Whether it is one of the first calls from this line. */
static bool counts(struct state *s, uintptr_t from)
{
	for (unsigned int i = from % SITES, looked = 0;; i = (i + 1) % SITES) {
		uintptr_t nobody = 0;

		VMM_BUG_ON(looked++ == SITES);
		if (__atomic_compare_exchange_n(&s->site[i].from, &nobody, from, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ||
		    nobody == from)
			return __atomic_add_fetch(&s->site[i].n, 1, __ATOMIC_SEQ_CST) <= SITE_MAX;
	}
}

static bool fails_too(const struct state *s, const char *name, unsigned long request, int error)
{
	const char *first = __atomic_load_n(&s->failed, __ATOMIC_SEQ_CST);

	/* An interruption never lasts. */
	return s->go_on && error != EINTR && first && strcmp(first, name) == 0 &&
	       __atomic_load_n(&s->request, __ATOMIC_SEQ_CST) == request;
}

/* Whether this call fails; then errno is set. name: a literal, the same in all processes. */
static bool is_time_from(uintptr_t from, const char *name, unsigned long request, int error)
{
	struct state *s = __atomic_load_n(&state, __ATOMIC_SEQ_CST);

	if (!s)
		return false;
	if (counts(s, from) && __atomic_add_fetch(&s->n_calls, 1, __ATOMIC_SEQ_CST) == s->fail_at) {
		__atomic_store_n(&s->request, request, __ATOMIC_SEQ_CST);
		__atomic_store_n(&s->error, error, __ATOMIC_SEQ_CST);
		__atomic_store_n(&s->failed, name, __ATOMIC_SEQ_CST);
	} else if (!fails_too(s, name, request, error)) {
		return false;
	}
	errno = error;
	return true;
}
#define is_time(name, request, error)                                                              \
	is_time_from((uintptr_t)__builtin_return_address(0), name, request, error)

/* Declares fault_NAME, which src/ knows as NAME, and defines it. */
#define FAULT(type, name, params, args, value, error)                                              \
	type fault_##name params;                                                                  \
	type fault_##name params                                                                   \
	{                                                                                          \
		return is_time(#name, 0, error) ? (value) : name args;                             \
	}

/* Memory -----------------------------------------------------------------------------------------
 */
FAULT(void *, malloc, (size_t n), (n), NULL, ENOMEM)
FAULT(void *, calloc, (size_t n, size_t size), (n, size), NULL, ENOMEM)
FAULT(void *, realloc, (void *at, size_t n), (at, n), NULL, ENOMEM)
FAULT(void *, aligned_alloc, (size_t align, size_t n), (align, n), NULL, ENOMEM)
FAULT(char *, strdup, (const char *s), (s), NULL, ENOMEM)
FAULT(int, vasprintf, (char **s, const char *fmt, va_list ap), (s, fmt, ap), -1, ENOMEM)
FAULT(void *, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t off),
      (at, n, prot, flags, fd, off), MAP_FAILED, ENOMEM)
FAULT(int, mprotect, (void *at, size_t n, int prot), (at, n, prot), -1, ENOMEM)
FAULT(int, madvise, (void *at, size_t n, int advice), (at, n, advice), -1, ENOMEM)
FAULT(int, mlock2, (const void *at, size_t n, unsigned int flags), (at, n, flags), -1, ENOMEM)

int fault_asprintf(char **s, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) int fault_asprintf(char **s, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (is_time("asprintf", 0, ENOMEM))
		return -1;
	va_start(ap, fmt);
	n = vasprintf(s, fmt, ap);
	va_end(ap);
	return n;
}

/* Files ------------------------------------------------------------------------------------------
 */

/* As the C library does it, the optional argument is taken whether it is there or not. */
#define FAULT_OPTIONAL(name, params, last, opt_type, args, request, error)                         \
	int fault_##name params;                                                                   \
	int fault_##name params                                                                    \
	{                                                                                          \
		opt_type opt;                                                                      \
		va_list ap;                                                                        \
                                                                                                   \
		va_start(ap, last);                                                                \
		opt = va_arg(ap, opt_type);                                                        \
		va_end(ap);                                                                        \
		return is_time(#name, request, error) ? -1 : name args;                            \
	}

FAULT_OPTIONAL(open, (const char *path, int flags, ...), flags, mode_t, (path, flags, opt), 0,
	       EMFILE)
FAULT_OPTIONAL(openat, (int dir, const char *path, int flags, ...), flags, mode_t,
	       (dir, path, flags, opt), 0, EMFILE)
FAULT_OPTIONAL(ioctl, (int fd, unsigned long req, ...), req, void *, (fd, req, opt), req, EIO)
FAULT_OPTIONAL(fcntl, (int fd, int cmd, ...), cmd, void *, (fd, cmd, opt), (unsigned int)cmd,
	       EINVAL)
FAULT(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL, EMFILE)
FAULT(FILE *, fdopen, (int fd, const char *mode), (fd, mode), NULL, ENOMEM)
FAULT(DIR *, opendir, (const char *path), (path), NULL, EMFILE)
FAULT(DIR *, fdopendir, (int fd), (fd), NULL, ENOMEM)
FAULT(int, memfd_create, (const char *name, unsigned int flags), (name, flags), -1, EMFILE)
FAULT(int, stat, (const char *path, struct stat *st), (path, st), -1, EACCES)
FAULT(int, lstat, (const char *path, struct stat *st), (path, st), -1, EACCES)
FAULT(int, fstat, (int fd, struct stat *st), (fd, st), -1, EIO)
FAULT(int, fstatat, (int dir, const char *path, struct stat *st, int flags), (dir, path, st, flags),
      -1, EIO)
FAULT(int, access, (const char *path, int mode), (path, mode), -1, EACCES)
FAULT(int, faccessat, (int dir, const char *path, int mode, int flags), (dir, path, mode, flags),
      -1, EACCES)
FAULT(char *, realpath, (const char *path, char *out), (path, out), NULL, ENOMEM)
FAULT(ssize_t, readlink, (const char *path, char *out, size_t n), (path, out, n), -1, EACCES)
FAULT(ssize_t, readlinkat, (int dir, const char *path, char *out, size_t n), (dir, path, out, n),
      -1, EACCES)
FAULT(off_t, lseek, (int fd, off_t off, int whence), (fd, off, whence), -1, EINVAL)
FAULT(int, fstatfs, (int fd, struct statfs *fs), (fd, fs), -1, EIO)
/* An eventfd or a signalfd, which give and take what they count by our own mistake only. */
static bool is_anonymous(int fd)
{
	struct stat st;

	if (in_jail)
		return true;
	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == 0;
}

ssize_t fault_read(int fd, void *buf, size_t n);
ssize_t fault_read(int fd, void *buf, size_t n)
{
	return !is_anonymous(fd) && is_time("read", 0, EIO) ? -1 : read(fd, buf, n);
}

ssize_t fault_write(int fd, const void *buf, size_t n);
ssize_t fault_write(int fd, const void *buf, size_t n)
{
	return !is_anonymous(fd) && is_time("write", 0, ENOSPC) ? -1 : write(fd, buf, n);
}

FAULT(ssize_t, readv, (int fd, const struct iovec *iov, int n), (fd, iov, n), -1, EIO)
FAULT(ssize_t, pread, (int fd, void *buf, size_t n, off_t at), (fd, buf, n, at), -1, EIO)
FAULT(ssize_t, preadv, (int fd, const struct iovec *iov, int n, off_t at), (fd, iov, n, at), -1,
      EIO)
FAULT(ssize_t, preadv2, (int fd, const struct iovec *iov, int n, off_t at, int flags),
      (fd, iov, n, at, flags), -1, EIO)
FAULT(ssize_t, writev, (int fd, const struct iovec *iov, int n), (fd, iov, n), -1, ENOSPC)
FAULT(ssize_t, pwritev2, (int fd, const struct iovec *iov, int n, off_t at, int flags),
      (fd, iov, n, at, flags), -1, ENOSPC)
FAULT(int, ftruncate, (int fd, off_t len), (fd, len), -1, ENOSPC)
FAULT(int, fallocate, (int fd, int mode, off_t at, off_t len), (fd, mode, at, len), -1, ENOSPC)
FAULT(int, fdatasync, (int fd), (fd), -1, EIO)
FAULT(int, futimens, (int fd, const struct timespec times[2]), (fd, times), -1, EPERM)
FAULT(int, flock, (int fd, int op), (fd, op), -1, ENOLCK)
FAULT(int, dup, (int fd), (fd), -1, EMFILE)
FAULT(int, dup2, (int from, int to), (from, to), -1, EMFILE)
FAULT(int, chdir, (const char *path), (path), -1, EACCES)
FAULT(int, mkdir, (const char *path, mode_t mode), (path, mode), -1, ENOSPC)
FAULT(int, rmdir, (const char *path), (path), -1, EPERM)
FAULT(int, statfs, (const char *path, struct statfs *st), (path, st), -1, EACCES)
FAULT(int, linkat, (int dir, const char *path, int to_dir, const char *to, int flags),
      (dir, path, to_dir, to, flags), -1, ENOSPC)
FAULT(int, symlinkat, (const char *to, int dir, const char *path), (to, dir, path), -1, ENOSPC)
FAULT(int, renameat, (int dir, const char *from, int to_dir, const char *to),
      (dir, from, to_dir, to), -1, ENOSPC)
FAULT(int, fchmod, (int fd, mode_t mode), (fd, mode), -1, EPERM)
FAULT(int, unlink, (const char *path), (path), -1, EPERM)
FAULT(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags), -1, EPERM)

/* Descriptors of other kinds --------------------------------------------------------------------
 */
FAULT(int, epoll_create1, (int flags), (flags), -1, EMFILE)
FAULT(int, epoll_wait, (int fd, struct epoll_event *ev, int n, int ms), (fd, ev, n, ms), -1, EINTR)
FAULT(int, eventfd, (unsigned int n, int flags), (n, flags), -1, EMFILE)
FAULT(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags), -1, EMFILE)
FAULT(int, pipe2, (int fds[2], int flags), (fds, flags), -1, EMFILE)
FAULT(int, poll, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms), -1, EINTR)

/* A change or a removal needs nothing new, so it fails by our own mistake only. */
int fault_epoll_ctl(int fd, int op, int what, struct epoll_event *ev);
int fault_epoll_ctl(int fd, int op, int what, struct epoll_event *ev)
{
	if (op == EPOLL_CTL_ADD && is_time("epoll_ctl", 0, ENOSPC))
		return -1;
	return epoll_ctl(fd, op, what, ev);
}

/* Sockets and terminals -------------------------------------------------------------------------
 */
FAULT(int, socket, (int domain, int type, int proto), (domain, type, proto), -1, EMFILE)
FAULT(int, socketpair, (int domain, int type, int proto, int fds[2]), (domain, type, proto, fds),
      -1, EMFILE)
FAULT(int, bind, (int fd, const struct sockaddr *to, socklen_t n), (fd, to, n), -1, EACCES)
FAULT(int, listen, (int fd, int n), (fd, n), -1, EADDRINUSE)
FAULT(int, connect, (int fd, const struct sockaddr *to, socklen_t n), (fd, to, n), -1, EACCES)
FAULT(int, accept4, (int fd, struct sockaddr *from, socklen_t *n, int flags), (fd, from, n, flags),
      -1, EMFILE)
FAULT(ssize_t, send, (int fd, const void *buf, size_t n, int flags), (fd, buf, n, flags), -1,
      ENOBUFS)
FAULT(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags), -1, ENOBUFS)
FAULT(ssize_t, recv, (int fd, void *buf, size_t n, int flags), (fd, buf, n, flags), -1, ECONNRESET)
FAULT(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags), -1, ENOMEM)
FAULT(int, setsockopt, (int fd, int level, int name, const void *val, socklen_t n),
      (fd, level, name, val, n), -1, ENOMEM)
FAULT(int, getsockname, (int fd, struct sockaddr *to, socklen_t *n), (fd, to, n), -1, ENOBUFS)
FAULT(int, openpty,
      (int *a, int *b, char *name, const struct termios *t, const struct winsize *size),
      (a, b, name, t, size), -1, ENOENT)
FAULT(int, tcgetattr, (int fd, struct termios *t), (fd, t), -1, EIO)
FAULT(int, tcsetattr, (int fd, int when, const struct termios *t), (fd, when, t), -1, EIO)
FAULT(unsigned int, if_nametoindex, (const char *name), (name), 0, ENODEV)

/* Processes and threads -------------------------------------------------------------------------
 */
static bool is_child;

pid_t fault_fork(void);
pid_t fault_fork(void)
{
	pid_t pid = is_time("fork", 0, EAGAIN) ? -1 : fork();

	is_child |= pid == 0;
	return pid;
}

bool fault_is_child(void)
{
	return is_child;
}

FAULT(int, execvp, (const char *name, char *const argv[]), (name, argv), -1, ENOENT)
FAULT(pid_t, setsid, (void), (), -1, EPERM)
FAULT(int, setgroups, (size_t n, const gid_t *groups), (n, groups), -1, EPERM)
FAULT(int, setresgid, (gid_t r, gid_t e, gid_t s), (r, e, s), -1, EPERM)
FAULT(int, setresuid, (uid_t r, uid_t e, uid_t s), (r, e, s), -1, EPERM)
FAULT(int, setrlimit, (__rlimit_resource_t what, const struct rlimit *r), (what, r), -1, EPERM)
FAULT(int, unshare, (int flags), (flags), -1, EPERM)
FAULT(int, mount,
      (const char *from, const char *to, const char *type, unsigned long flags, const void *data),
      (from, to, type, flags, data), -1, EPERM)
FAULT(int, umount2, (const char *path, int flags), (path, flags), -1, EPERM)

FAULT(int, sched_getaffinity, (pid_t pid, size_t len, cpu_set_t *set), (pid, len, set), -1, EPERM)
FAULT(int, sched_getscheduler, (pid_t pid), (pid), -1, EPERM)
FAULT(int, sched_setscheduler, (pid_t pid, int policy, const struct sched_param *p),
      (pid, policy, p), -1, EPERM)

int fault_prctl(int what, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int fault_prctl(int what, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	return is_time("prctl", (unsigned int)what, EINVAL) ? -1 : prctl(what, a, b, c, d);
}

/* Linux takes up to six arguments, and those that it does not want may be anything. */
long fault_syscall(long number, ...);
long fault_syscall(long number, ...)
{
	long a[6], rc;
	va_list ap;

	va_start(ap, number);
	for (unsigned int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	/* A kick of a thread that is there fails by our own mistake only; the end of one never. */
	if (number != SYS_tgkill && number != SYS_exit &&
	    is_time("syscall", (unsigned long)number, ENOSYS))
		return -1;
	rc = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	is_child |= number == SYS_clone && rc == 0;
	return rc;
}

/* Returns its error. */
FAULT(int, pthread_create,
      (pthread_t * t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg),
      (t, attr, fn, arg), EAGAIN, EAGAIN)

/* The host's facts -------------------------------------------------------------------------------
 */

/* Once it has worked it goes on doing so: random(7), up to 256 bytes at once. */
ssize_t fault_getrandom(void *buf, size_t n, unsigned int flags);
ssize_t fault_getrandom(void *buf, size_t n, unsigned int flags)
{
	static bool ready;

	if (!__atomic_load_n(&ready, __ATOMIC_SEQ_CST) && is_time("getrandom", 0, ENOSYS))
		return -1;
	__atomic_store_n(&ready, true, __ATOMIC_SEQ_CST);
	return getrandom(buf, n, flags);
}

FAULT(int, sysinfo, (struct sysinfo * info), (info), -1, EFAULT)
FAULT(long, sysconf, (int name), (name), -1, EINVAL)
FAULT(int, uname, (struct utsname * u), (u), -1, EFAULT)

/* Libraries --------------------------------------------------------------------------------------
 */
FAULT(int, io_uring_queue_init, (unsigned int n, struct io_uring *r, unsigned int flags),
      (n, r, flags), -ENOMEM, ENOMEM)
FAULT(struct io_uring_probe *, io_uring_get_probe_ring, (struct io_uring * r), (r), NULL, ENOMEM)
FAULT(int, io_uring_submit, (struct io_uring * r), (r), -EBUSY, EBUSY)
FAULT(json_t *, json_object, (void), (), NULL, ENOMEM)
FAULT(json_t *, json_array, (void), (), NULL, ENOMEM)
FAULT(json_t *, json_integer, (json_int_t val), (val), NULL, ENOMEM)
FAULT(json_t *, json_string, (const char *s), (s), NULL, ENOMEM)
FAULT(char *, json_dumps, (const json_t *j, size_t flags), (j, flags), NULL, ENOMEM)
FAULT(int, inflateInit2_, (z_streamp z, int bits, const char *version, int size),
      (z, bits, version, size), Z_MEM_ERROR, ENOMEM)
FAULT(int, BZ2_bzDecompressInit, (bz_stream * z, int verbosity, int small), (z, verbosity, small),
      BZ_MEM_ERROR, ENOMEM)
FAULT(lzma_ret, lzma_stream_decoder, (lzma_stream * z, uint64_t limit, uint32_t flags),
      (z, limit, flags), LZMA_MEM_ERROR, ENOMEM)
FAULT(lzma_ret, lzma_alone_decoder, (lzma_stream * z, uint64_t limit), (z, limit), LZMA_MEM_ERROR,
      ENOMEM)
FAULT(ZSTD_DStream *, ZSTD_createDStream, (void), (), NULL, ENOMEM)

/* Both take the value over, whatever becomes of it. */
int fault_json_object_set_new(json_t *o, const char *key, json_t *value);
int fault_json_object_set_new(json_t *o, const char *key, json_t *value)
{
	if (is_time("json_object_set_new", 0, ENOMEM)) {
		json_decref(value);
		return -1;
	}
	return json_object_set_new(o, key, value);
}

int fault_json_array_append_new(json_t *array, json_t *value);
int fault_json_array_append_new(json_t *array, json_t *value)
{
	if (is_time("json_array_append_new", 0, ENOMEM)) {
		json_decref(value);
		return -1;
	}
	return json_array_append_new(array, value);
}
