/*
 * chardev_open.h - private to chardev: the file descriptors behind each kind of console.
 */
#ifndef VMM_SRC_HOST_CHARDEV_OPEN_H
#define VMM_SRC_HOST_CHARDEV_OPEN_H
#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>
#include <vmm/host/chardev.h>

struct chardev_fd {
	int fd; /* -1: none */
	bool ours; /* to be closed */
	bool blocking; /* could not be made non-blocking: ask poll(2) before each call */
	size_t at_once; /* if so: what a write may bring when poll(2) has said yes */
	bool socket;
};

struct chardev_fds {
	struct chardev_fd in, out;
	int listen_fd; /* unix: -1 otherwise */
	int unlink_id; /* unix: what emergency_keep_unlink() said; -1 otherwise */
	bool raw; /* the terminal is ours to give back */
	bool terminal; /* stdio, and stdin is a terminal that we own the foreground of */
	struct termios settings; /* of the terminal, as they were when it was opened */
};

/* Opens what the spec names. PTY and UNIX start with nobody attached. */
int chardev_open(struct chardev_fds *f, const struct chardev_spec *spec, struct err *e);
/* Removes the socket's name too, and gives the terminal back. What failed to open is fine. */
void chardev_close(struct chardev_fds *f);
void chardev_fd_close(struct chardev_fd *f);

/* A second number for the same file: epoll takes each number once. Negative: errno says why. */
int chardev_fd_share(struct chardev_fd *out, const struct chardev_fd *in);

/* Raw mode, to be undone by chardev_close() or emergency_undo(). */
void chardev_make_raw(struct chardev_fds *f);

/* As read(2) and write(2) on a non-blocking fd, whatever the fd is. */
ssize_t chardev_fd_read(const struct chardev_fd *f, void *buf, size_t len);
ssize_t chardev_fd_write(const struct chardev_fd *f, const void *buf, size_t len);

#endif
