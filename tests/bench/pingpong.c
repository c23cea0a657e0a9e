/*
 * pingpong.c - one byte there and one byte back over TCP, again and again: round trips per second.
 *
 * Run by tests/bench/devices.sh: `pingpong PORT` on the host answers for ever, one client at a
 * time; `pingpong PORT ADDRESS N` in the guest does N round trips and prints "PER-SECOND N". A
 * static program, because the guest has no compiler and the host may have another C library.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static int new_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int serve(const struct sockaddr_in *at)
{
	int fd = new_socket();

	if (fd < 0 || bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 || listen(fd, 1) < 0)
		return fail("listen");
	for (;;) {
		int client = accept(fd, NULL, NULL), one = 1;
		char byte;

		if (client < 0)
			return fail("accept");
		setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		while (read(client, &byte, 1) == 1 && write(client, &byte, 1) == 1)
			;
		close(client);
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int play(const struct sockaddr_in *to, long n)
{
	int fd = new_socket();
	char byte = 'x';
	double from;

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		return fail("connect");
	from = now();
	for (long i = 0; i < n; i++) {
		if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
			return fail("round trip");
	}
	printf("%.1f %ld\n", (double)n / (now() - from), n);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET };

	if (argc != 2 && argc != 4) {
		fprintf(stderr, "usage: pingpong PORT [ADDRESS N]\n");
		return 2;
	}
	a.sin_port = htons((uint16_t)atoi(argv[1]));
	if (argc == 2)
		return serve(&a);
	if (inet_pton(AF_INET, argv[2], &a.sin_addr) != 1) {
		fprintf(stderr, "pingpong: %s: not an address\n", argv[2]);
		return 2;
	}
	return play(&a, atol(argv[3]));
}
