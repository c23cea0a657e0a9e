/*
 * outside.c - plays the rest of the host for one run of a VM, and is who it must not reach.
 *
 * Usage: outside SECONDS DIR CMD...
 *
 * Serves an abstract name, a path in DIR and a port of loopback; has a child that waits for
 * nothing; and leaves three descriptors open for CMD, as careless parents do: 7 a folder, 8
 * /dev/kvm, 9 a socket. The environment of CMD tells where it all is (DOOR_..., see door.c). When
 * CMD has ended, or is killed after SECONDS, "outside: reached by X" on stderr says who has come to
 * whom. The exit status is CMD's, 128 + N for signal N; 126: this program's own failure.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAILED 126
enum { ABSTRACT, PATH, TCP, UDP, N_SERVERS };
static const char *const names[N_SERVERS] = { "an abstract name", "a path", "TCP", "UDP" };

static void need(long rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "outside: %s: %s\n", what, strerror(errno));
	_exit(FAILED);
}

static void set_number(const char *name, long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", value);
	setenv(name, text, 1);
}

static int serve_unix(const char *name, int is_abstract)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = strlen(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	need(fd, "a socket");
	if (n + 2 > sizeof(a.sun_path))
		need(-1, name);
	memcpy(a.sun_path + is_abstract, name, n);
	need(bind(fd, (struct sockaddr *)&a,
		  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1)),
	     name);
	need(listen(fd, 100), name);
	return fd;
}

/* On both kinds of address; *port: 0 for one that is free. */
static int serve_inet(int type, in_port_t *port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = *port };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0), off = 0;

	need(fd, "a socket");
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (type == SOCK_DGRAM && bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return fd; /* another run's, by chance */
	if (type == SOCK_STREAM) {
		need(bind(fd, (struct sockaddr *)&a, sizeof(a)), "a port");
		need(listen(fd, 100), "listening");
	}
	need(getsockname(fd, (struct sockaddr *)&a, &len), "a port");
	*port = a.sin6_port;
	return fd;
}

static void serve(struct pollfd *servers, const char *dir)
{
	char path[100], name[40];
	in_port_t port = 0;

	snprintf(path, sizeof(path), "%s/outside", dir);
	snprintf(name, sizeof(name), "vmm-door-%ld", (long)getpid());
	servers[ABSTRACT].fd = serve_unix(name, 1);
	servers[PATH].fd = serve_unix(path, 0);
	servers[TCP].fd = serve_inet(SOCK_STREAM, &port);
	servers[UDP].fd = serve_inet(SOCK_DGRAM, &port);
	setenv("DOOR_ABSTRACT", name, 1);
	setenv("DOOR_SOCKET", path, 1);
	set_number("DOOR_PORT", ntohs(port));
}

static void leave(int as, int fd, const char *what)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 20);

	need(high, what);
	close(fd);
	need(dup2(high, as), what);
	close(high);
}

static void leave_open(const char *dir)
{
	int pair[2];

	leave(7, open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir);
	leave(8, open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "a pair of sockets");
	leave(9, pair[0], "a socket"); /* the other one stays open here */
}

static pid_t victim(void)
{
	pid_t pid = fork();

	need(pid, "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static pid_t child;

static void on_alarm(int signo)
{
	(void)signo;
	kill(child, SIGKILL);
}

static int run(unsigned int seconds, char **cmd)
{
	int status;

	child = fork();
	need(child, "fork");
	if (child == 0) {
		setsid();
		execvp(cmd[0], cmd);
		need(-1, cmd[0]);
	}
	for (int fd = 7; fd <= 9; fd++)
		close(fd);
	signal(SIGALRM, on_alarm);
	alarm(seconds);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	alarm(0);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	struct pollfd servers[N_SERVERS] = { 0 };
	pid_t other;
	int status;

	if (argc < 4)
		return FAILED;
	signal(SIGPIPE, SIG_IGN);
	close_range(3, ~0u, 0); /* what the test has open is not the VM's */
	other = victim();
	serve(servers, argv[2]);
	leave_open(argv[2]);
	set_number("DOOR_PID", other);
	setenv("DOOR_DIR", argv[2], 1);
	status = run((unsigned int)strtoul(argv[1], NULL, 10), argv + 3);
	for (int i = 0; i < N_SERVERS; i++)
		servers[i].events = POLLIN;
	poll(servers, N_SERVERS, 0);
	for (int i = 0; i < N_SERVERS; i++) {
		if (servers[i].revents & POLLIN)
			fprintf(stderr, "outside: reached by %s\n", names[i]);
	}
	if (waitpid(other, NULL, WNOHANG) != 0)
		fprintf(stderr, "outside: reached by a signal\n");
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	return status;
}
