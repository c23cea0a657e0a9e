/*
 * unix-cat.c - connects to a unix socket: stdin goes there, what comes back goes to stdout.
 *
 *	unix-cat PATH
 *
 * Ends with status 0 when the other side closes, or half a second after the end of stdin when
 *nothing more comes; 1 if nobody listens.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define QUIET_MS 500

/* Returns what read() gave. */
static ssize_t move(int from, int to)
{
	char buf[4096];
	ssize_t n = read(from, buf, sizeof(buf));

	for (ssize_t done = 0; n > 0 && done < n;) {
		ssize_t w = write(to, buf + done, (size_t)(n - done));

		if (w < 0)
			return -1;
		done += w;
	}
	return n;
}

int main(int argc, char **argv)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct pollfd p[2] = { { .fd = -1, .events = POLLIN }, { .events = POLLIN } };

	p[0].fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strncpy(a.sun_path, argc > 1 ? argv[1] : "", sizeof(a.sun_path) - 1);
	if (connect(p[0].fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		perror(a.sun_path);
		return 1;
	}
	p[1].fd = STDIN_FILENO;
	for (;;) {
		if (poll(p, 2, p[1].fd < 0 ? QUIET_MS : -1) == 0)
			return 0;
		if (p[0].revents && move(p[0].fd, STDOUT_FILENO) <= 0)
			return 0;
		if (p[1].revents && move(STDIN_FILENO, p[0].fd) <= 0)
			p[1].fd = -1;
	}
}
