/*
 * sock.h - unix stream sockets by name, and bytes through any socket.
 */
#ifndef VMM_HOST_SOCK_H
#define VMM_HOST_SOCK_H
#include <stdbool.h>
#include <sys/types.h>
#include <vmm/base/err.h>

/* Connects at once or not at all. The fd is non-blocking, close-on-exec. Negative errno. */
int sock_connect(const char *path);

struct sock_listener { /* embedded */
	int fd; /* -1: none */
	char *path;
	int undo; /* of emergency.h */
};

/*
 * Connects if somebody listens at path, else listens there, for this user alone; what nobody
 * listens to any more is replaced if it is a socket. Of several who do this at the same time, one
 * listens. *fd: connected, or -1: then *l listens. path outlives l.
 */
int sock_connect_or_listen(struct sock_listener *l, int *fd, char *path, struct err *e);

/*
 * As send(2) and recv(2), never waiting and without SIGPIPE. By sendmsg(2) and recvmsg(2), so that
 * those two are all that the loop's list of system calls has to have.
 */
ssize_t sock_send(int fd, const void *data, size_t len);
ssize_t sock_receive(int fd, void *data, size_t len);
/* Has the other end gone, with nothing left to read? */
bool sock_has_ended(int fd);

/* Somebody who has connected: as sock_connect(). -EAGAIN: nobody. */
int sock_accept(struct sock_listener *l);

/* Closes, and removes the file. One with fd -1 is fine. */
void sock_listener_close(struct sock_listener *l);

#endif
