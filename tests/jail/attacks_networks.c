/*
 * attacks_networks.c - sockets: making them, reaching somebody, being reached.
 *
 * Life of a VM: see attack.h. Addresses are those of loopback, where the test serves: nothing
 * leaves the host.
 */
#include "attack.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Filled byte by byte: the compiler makes no call of it that the filter could stop. */
union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static socklen_t unix_address(union address *a, const char *name, bool abstract)
{
	size_t n = 0;

	*a = (union address){ .un.sun_family = AF_UNIX };
	for (char *to = a->un.sun_path + abstract; name[n]; n++)
		to[n] = name[n];
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
}

static socklen_t inet_address(union address *a, unsigned int port)
{
	*a = (union address){ .in = { .sin_family = AF_INET,
				      .sin_port = htons((uint16_t)port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	return sizeof(a->in);
}

static socklen_t inet6_address(union address *a, unsigned int port)
{
	*a = (union address){ .in6 = { .sin6_family = AF_INET6,
				       .sin6_port = htons((uint16_t)port),
				       .sin6_addr = IN6ADDR_LOOPBACK_INIT } };
	return sizeof(a->in6);
}

/* What NR(fd, address) says on a new socket of that kind. */
static long on_socket(long nr, int type, const union address *a, socklen_t len)
{
	long fd = sys(SYS_socket, a->any.sa_family, type | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return fd;
	rc = sys(nr, fd, a, len);
	if (rc == 0 && nr == SYS_bind && type == SOCK_STREAM)
		rc = sys(SYS_listen, fd, 1);
	sys(SYS_close, fd);
	return rc;
}

static long connect_inet(void)
{
	union address a;
	socklen_t len = inet_address(&a, door.port);

	return on_socket(SYS_connect, SOCK_STREAM, &a, len);
}

static long connect_inet6(void)
{
	union address a;
	socklen_t len = inet6_address(&a, door.port);

	return on_socket(SYS_connect, SOCK_STREAM, &a, len);
}

static long connect_abstract(void)
{
	union address a;
	socklen_t len = unix_address(&a, door.abstract, true);

	return on_socket(SYS_connect, SOCK_STREAM, &a, len);
}

static long connect_path(void)
{
	union address a;
	socklen_t len = unix_address(&a, door.socket, false);

	return on_socket(SYS_connect, SOCK_STREAM, &a, len);
}

static long send_udp(void)
{
	union address a;
	socklen_t len = inet_address(&a, door.port);
	long fd = sys(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return fd;
	rc = sys(SYS_sendto, fd, "x", 1, 0, &a, len);
	sys(SYS_close, fd);
	return rc;
}

static long bind_inet(void)
{
	union address a;
	socklen_t len = inet_address(&a, 0);

	return on_socket(SYS_bind, SOCK_STREAM, &a, len);
}

static long bind_inet6(void)
{
	union address a;
	socklen_t len = inet6_address(&a, 0);

	return on_socket(SYS_bind, SOCK_STREAM, &a, len);
}

static long bind_udp(void)
{
	union address a;
	socklen_t len = inet_address(&a, 0);

	return on_socket(SYS_bind, SOCK_DGRAM, &a, len);
}

static long bind_path(void)
{
	static const char name[] = "/bound";
	union address a;
	socklen_t len = unix_address(&a, door.dir, false);

	for (size_t i = 0; i < sizeof(name); i++)
		((char *)&a)[len - 1 + i] = name[i];
	return on_socket(SYS_bind, SOCK_STREAM, &a, len + (socklen_t)sizeof(name) - 1);
}

static long bind_abstract(void)
{
	union address a;
	socklen_t len = unix_address(&a, "vmm-door-is-bound", true);

	return on_socket(SYS_bind, SOCK_STREAM, &a, len);
}

static long pair(void)
{
	int fds[2];
	long rc = sys(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, fds);

	if (rc == 0) {
		closed(fds[0]);
		closed(fds[1]);
	}
	return rc;
}

static long interface_up(void)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	long fd = sys(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return fd;
	rc = sys(SYS_ioctl, fd, SIOCSIFFLAGS, &r);
	sys(SYS_close, fd);
	return rc;
}

static long tun(void)
{
	return closed(sys(SYS_openat, AT_FDCWD, "/dev/net/tun", O_RDWR | O_CLOEXEC));
}

static union address outside; /* filled before it is asked for each descriptor */
static socklen_t outside_len;

static long connect_this(int fd)
{
	return sys(SYS_connect, fd, &outside, outside_len);
}

static long connect_each(void)
{
	outside_len = unix_address(&outside, door.abstract, true);
	return over_fds(connect_this);
}

static long listen_this(int fd)
{
	return sys(SYS_listen, fd, 1000);
}

static long listen_each(void)
{
	return over_fds(listen_this);
}

/* A descriptor goes out: of stderr, which is no loss. */
static long pass_by(int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} c = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { (char[]){ "x" }, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)
	};

	*(int *)CMSG_DATA(&c.head) = 2;
	return sys(SYS_sendmsg, fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static long pass_each(void)
{
	return over_fds(pass_by);
}

static long send_this(int fd)
{
	return sys(SYS_sendto, fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL, &outside, outside_len);
}

static long send_each(void)
{
	outside_len = inet_address(&outside, door.port);
	return over_fds(send_this);
}

#define SOCKET(family, type) .flags = 0, ONE_CALL(socket), ARGS(family, type, 0)
#define PF_SMC_ 43 /* of linux/socket.h, which has no header for us */

const struct attack attacks_on_networks[] = {
	{ "socket-inet", "has an IPv4 socket", SOCKET(AF_INET, SOCK_STREAM) },
	{ "socket-inet6", "has an IPv6 socket", SOCKET(AF_INET6, SOCK_STREAM) },
	{ "socket-unix", "has a unix socket", SOCKET(AF_UNIX, SOCK_STREAM) },
	{ "socket-netlink", "talks to the kernel by netlink", SOCKET(AF_NETLINK, SOCK_RAW) },
	{ "socket-vsock", "has a vsock socket", SOCKET(AF_VSOCK, SOCK_STREAM) },
	{ "socket-alg", "uses the kernel's ciphers", SOCKET(AF_ALG, SOCK_SEQPACKET) },
	{ "socket-bluetooth", "uses Bluetooth", SOCKET(AF_BLUETOOTH, SOCK_RAW) },
	{ "socket-can", "uses CAN", SOCKET(AF_CAN, SOCK_RAW) },
	{ "socket-tipc", "uses TIPC", SOCKET(AF_TIPC, SOCK_RDM) },
	{ "socket-smc", "uses SMC", SOCKET(PF_SMC_, SOCK_STREAM) },
	{ "socket-packet", "sees frames of the network", .flags = LAYER_PRIV, .calls = "socket",
	  .nr = SYS_socket, ARGS(AF_PACKET, SOCK_RAW, 0x300) },
	{ "socket-raw", "makes packets of any kind", .flags = LAYER_PRIV, .calls = "socket",
	  .nr = SYS_socket, ARGS(AF_INET, SOCK_RAW, IPPROTO_ICMP) },
	TRY("connect-inet", "reaches a server by IPv4", "socket", LAYER_NET, connect_inet),
	TRY("connect-inet6", "reaches a server by IPv6", "socket", LAYER_NET, connect_inet6),
	TRY("connect-abstract", "reaches a server by its name", "socket", LAYER_NET,
	    connect_abstract),
	TRY("connect-path", "reaches a server by its path", "socket", LAYER_ROOT, connect_path),
	TRY("connect-each", "reaches a server by a socket that is open", "connect", NEVER,
	    connect_each),
	TRY("send-udp", "sends to a server by UDP", "socket", LAYER_NETNS, send_udp),
	TRY("send-each", "sends by a socket that is open", "sendto", 0, send_each),
	TRY("bind-inet", "is a server by IPv4", "socket", LAYER_NET, bind_inet),
	TRY("bind-inet6", "is a server by IPv6", "socket", LAYER_NET, bind_inet6),
	TRY("bind-udp", "is a server by UDP", "socket", 0, bind_udp),
	TRY("bind-path", "is a server by a path", "socket", LAYER_FS, bind_path),
	TRY("bind-abstract", "is a server by a name", "socket", 0, bind_abstract),
	TRY("listen-each", "changes how a socket listens", "listen", 0, listen_each),
	TRY("socketpair", "has a pair of sockets", "socketpair", 0, pair),
	TRY("pass-descriptor", "passes a descriptor on", "sendmsg", 0, pass_each),
	TRY("interface-up", "sets up an interface", "socket", LAYER_PRIV, interface_up),
	TRY("tun", "makes a tap", "openat", LAYER_FS, tun),
	{ 0 },
};
