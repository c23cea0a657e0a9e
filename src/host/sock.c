/*
 * sock.c - unix stream sockets by name, and bytes through any socket.
 *
 * Life of a VM: while an interface that leads to another VM is opened, and when that one comes and
 * goes. Main thread, which is the loop's.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <vmm/host/emergency.h>
#include <vmm/host/path.h>
#include <vmm/host/sock.h>

#define SOCK_FLAGS (SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
#define LOCK_TRIES 50 /* of 10 ms */

static bool address_of(struct sockaddr_un *a, const char *path)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a->sun_path))
		return false;
	memcpy(a->sun_path, path, strlen(path) + 1);
	return true;
}

/*
 * connect(2) knows no flags and follows links: root's goes to what path_open() has found. 0: no
 * detour is needed; else a descriptor for as long as the address is used, or -errno.
 */
static int detour(struct sockaddr_un *a, const char *path)
{
	struct err e;
	int at;

	if (geteuid() != 0)
		return 0;
	at = path_open(path, O_PATH | O_CLOEXEC, 0, &e);
	if (at >= 0)
		snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d", at);
	return at;
}

static int connect_to(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_FLAGS, 0), error;

	if (fd < 0)
		return -errno;
	/* Of a local socket, a full backlog is EAGAIN; nothing is ever in progress (unix(7)). */
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

int sock_connect(const char *path)
{
	struct sockaddr_un a;
	int at, fd;

	if (!address_of(&a, path))
		return -ENAMETOOLONG;
	at = detour(&a, path);
	if (at < 0)
		return at;
	fd = connect_to(&a);
	if (at > 0)
		close(at);
	return fd;
}

/*
 * From the failed connect() to listen(), others must wait: they would take a name that is bound
 * but not listened to for a stale one. The folder serves as the lock, so that no file is left
 * over. Whoever holds it for longer than a moment is none of us, and is not waited for.
 */
static int lock_folder(const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	int fd;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; fd >= 0 && i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
			break;
		poll(NULL, 0, 10);
	}
	return fd;
}

static bool is_socket(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int listen_at(struct sock_listener *l, const struct sockaddr_un *a, struct err *e)
{
	l->fd = socket(AF_UNIX, SOCK_FLAGS, 0);
	/* Before it has a name: that could lead elsewhere afterwards. */
	if (l->fd < 0 || fchmod(l->fd, 0600) < 0 ||
	    bind(l->fd, (const struct sockaddr *)a, sizeof(*a)) < 0)
		return err_errno(e, "%s", l->path);
	l->undo = emergency_keep_unlink(l->path);
	if (listen(l->fd, 1) < 0) {
		err_errno(e, "%s", l->path);
		emergency_undo_unlink(l->undo);
		return e->code;
	}
	return 0;
}

int sock_connect_or_listen(struct sock_listener *l, int *fd, char *path, struct err *e)
{
	struct sockaddr_un a;
	int lock;

	*l = (struct sock_listener){ .fd = -1, .path = path };
	if (!address_of(&a, path))
		return err_set(e, -ENAMETOOLONG, "%s: longer than %zu bytes", path,
			       sizeof(a.sun_path) - 1);
	lock = lock_folder(path);
	e->code = 0;
	*fd = sock_connect(path);
	if (*fd == -ECONNREFUSED && is_socket(path)) {
		unlink(path);
		*fd = -ENOENT;
	}
	if (*fd < 0 && *fd != -ENOENT) {
		errno = -*fd;
		err_errno(e, "%s", path);
	} else if (*fd < 0 && listen_at(l, &a, e) < 0 && l->fd >= 0) {
		close(l->fd);
		l->fd = -1;
	}
	if (lock >= 0)
		close(lock);
	*fd = *fd < 0 ? -1 : *fd;
	return e->code;
}

ssize_t sock_send(int fd, const void *data, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };
	const struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t receive(int fd, void *data, size_t len, int flags)
{
	struct iovec iov = { data, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	return recvmsg(fd, &m, MSG_DONTWAIT | flags);
}

ssize_t sock_receive(int fd, void *data, size_t len)
{
	return receive(fd, data, len, 0);
}

bool sock_has_ended(int fd)
{
	char byte;

	return receive(fd, &byte, 1, MSG_PEEK) == 0;
}

int sock_accept(struct sock_listener *l)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void sock_listener_close(struct sock_listener *l)
{
	if (l->fd < 0)
		return;
	emergency_undo_unlink(l->undo);
	close(l->fd);
	l->fd = -1;
}
