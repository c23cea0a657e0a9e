/*
 * chardev_open.c - opening the host's end of a console, without side effects on anybody else.
 *
 * Life of a VM: while the machine is built, on the main thread; the read and write calls on the
 * loop. After chardev_open() nothing is opened any more, and but for the removal of a socket's name
 * nothing is done by name.
 *
 * Standard input and output are shared with the shell and with other programs: O_NONBLOCK on them
 * would change theirs too. Pipes and terminals are therefore opened a second time through /proc.
 */
#include "chardev_open.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/emergency.h>
#include <vmm/host/path.h>
#include <vmm/host/sock.h>

static struct chardev_fd stdio_fd(int fd, int mode)
{
	struct chardev_fd f = { .fd = fd };
	char path[32];
	struct stat st;
	int again;

	if (fstat(fd, &st) < 0)
		return (struct chardev_fd){ .fd = -1 };
	f.socket = S_ISSOCK(st.st_mode);
	if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
		return f; /* files never block, and a second offset in them would be wrong */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (again >= 0)
		return (struct chardev_fd){ .fd = again, .ours = true };
	f.blocking = true;
	/* A pipe that polls as writable takes so many (pipe(7)), a terminal one. */
	f.at_once = isatty(fd) ? 1 : PIPE_BUF;
	return f;
}

static int open_stdio(struct chardev_fds *f)
{
	/* In the background a read or tcsetattr() would stop us: run without input instead. */
	bool foreground = !isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) == getpgrp();

	f->out = stdio_fd(STDOUT_FILENO, O_WRONLY);
	if (foreground)
		f->in = stdio_fd(STDIN_FILENO, O_RDONLY);
	f->terminal = foreground && tcgetattr(STDIN_FILENO, &f->settings) == 0;
	if (f->terminal) /* now, because the guard cannot be told any more when it is made raw */
		emergency_keep_terminal(STDIN_FILENO, &f->settings);
	return 0;
}

int chardev_fd_share(struct chardev_fd *out, const struct chardev_fd *in)
{
	*out = *in;
	out->ours = true;
	out->fd = fcntl(in->fd, F_DUPFD_CLOEXEC, 0);
	return out->fd;
}

/* "--serial unix=PATH: why" for COM1, as the user knows it; "port agent: unix=PATH: why". */
static int wrap(struct err *e, const struct chardev_spec *s)
{
	static const char *const kinds[] = {
		[CHARDEV_PTY] = "pty",
		[CHARDEV_FILE] = "file=",
		[CHARDEV_UNIX] = "unix=",
		[CHARDEV_SOCKET] = "socket",
	};

	return err_wrap(e, "%s%s%s%s", s->name ? s->name : "--serial", s->name ? ": " : " ",
			kinds[s->kind], s->path ? s->path : "");
}

static int open_failed(struct err *e, const struct chardev_spec *s)
{
	int code = errno ? errno : EIO;

	err_set(e, -code, "%s", strerror(code));
	return wrap(e, s);
}

static int open_pty(struct chardev_fds *f, const struct chardev_spec *spec, struct err *e)
{
	struct termios raw;
	char path[64];
	int client;

	if (openpty(&f->in.fd, &client, path, NULL, NULL) < 0)
		return open_failed(e, spec);
	f->in.ours = true;
	tcgetattr(client, &raw);
	cfmakeraw(&raw);
	tcsetattr(client, TCSANOW, &raw);
	close(client); /* from now on the other side reads as hung up until somebody opens it */
	fcntl(f->in.fd, F_SETFL, O_RDWR | O_NONBLOCK);
	fcntl(f->in.fd, F_SETFD, FD_CLOEXEC);
	if (chardev_fd_share(&f->out, &f->in) < 0)
		return open_failed(e, spec);
	log_say("%s on %s", spec->name ? spec->name : "console", path);
	return 0;
}

static int open_file(struct chardev_fds *f, const struct chardev_spec *spec, struct err *e)
{
	f->out.fd = path_open(spec->path,
			      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			      0666, e);
	f->out.ours = true;
	return f->out.fd < 0 ? wrap(e, spec) : 0;
}

/* A socket file that nobody listens on any more may be replaced; anything else may not. */
static bool is_stale_socket(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool stale;
	struct stat st;

	if (fd < 0)
		return false;
	stale = lstat(a->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
		connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int open_unix(struct chardev_fds *f, const struct chardev_spec *spec, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (strlen(spec->path) >= sizeof(a.sun_path))
		return err_set(e, -ENAMETOOLONG, "%s unix=%s: longer than %zu bytes",
			       spec->name ? spec->name : "--serial", spec->path,
			       sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, spec->path, strlen(spec->path) + 1);
	if (is_stale_socket(&a))
		unlink(a.sun_path);
	f->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode before it has a name: that could lead elsewhere afterwards. */
	if (f->listen_fd < 0 || fchmod(f->listen_fd, 0600) < 0 ||
	    bind(f->listen_fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return open_failed(e, spec);
	f->unlink_id = emergency_keep_unlink(a.sun_path);
	VMM_BUG_ON(f->unlink_id < 0); /* more than a machine has chardevs */
	if (listen(f->listen_fd, 1) < 0)
		return open_failed(e, spec);
	return 0;
}

static int open_socket(struct chardev_fds *f, const struct chardev_spec *spec, struct err *e)
{
	f->in = (struct chardev_fd){ .fd = spec->fd, .socket = true };
	return chardev_fd_share(&f->out, &f->in) < 0 ? open_failed(e, spec) : 0;
}

int chardev_open(struct chardev_fds *f, const struct chardev_spec *spec, struct err *e)
{
	*f = (struct chardev_fds){ .in.fd = -1, .out.fd = -1, .listen_fd = -1, .unlink_id = -1 };
	switch (spec->kind) {
	case CHARDEV_STDIO:
		return open_stdio(f);
	case CHARDEV_PTY:
		return open_pty(f, spec, e);
	case CHARDEV_FILE:
		return open_file(f, spec, e);
	case CHARDEV_UNIX:
		return open_unix(f, spec, e);
	case CHARDEV_SOCKET:
		return open_socket(f, spec, e);
	case CHARDEV_NULL:
		break;
	}
	return 0;
}

void chardev_fd_close(struct chardev_fd *f)
{
	if (f->ours && f->fd >= 0)
		close(f->fd);
	*f = (struct chardev_fd){ .fd = -1 };
}

void chardev_close(struct chardev_fds *f)
{
	if (f->terminal)
		emergency_undo_terminal();
	f->raw = false;
	emergency_undo_unlink(f->unlink_id);
	f->unlink_id = -1;
	chardev_fd_close(&f->in);
	chardev_fd_close(&f->out);
	if (f->listen_fd >= 0)
		close(f->listen_fd);
	f->listen_fd = -1;
}

void chardev_make_raw(struct chardev_fds *f)
{
	struct termios raw = f->settings;

	cfmakeraw(&raw);
	f->raw = true;
	tcsetattr(f->in.fd, TCSANOW, &raw);
	log_set_raw(true);
}

static bool ready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 0) > 0;
}

ssize_t chardev_fd_read(const struct chardev_fd *f, void *buf, size_t len)
{
	if (f->socket)
		return sock_receive(f->fd, buf, len);
	if (f->blocking && !ready(f->fd, POLLIN)) {
		errno = EAGAIN;
		return -1;
	}
	return read(f->fd, buf, len);
}

ssize_t chardev_fd_write(const struct chardev_fd *f, const void *buf, size_t len)
{
	if (f->socket)
		return sock_send(f->fd, buf, len);
	if (f->blocking && !ready(f->fd, POLLOUT)) {
		errno = EAGAIN;
		return -1;
	}
	return write(f->fd, buf, f->blocking ? min_size(len, f->at_once) : len);
}
