/*
 * attacks_brokers.c - what the VM's process can have others do for it: its broker, outside, and the
 * kernel, by a socket that was made outside.
 *
 * Life of a VM: see attack.h. Where the broker has nothing to give, because the kernel is none that
 * is kept, and where there is no tap, both are refused: tests of their own in tests/jail/run have
 * them.
 *
 * Source: src/jail/broker.c for the messages; rtnetlink(7).
 */
#include "attack.h"
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define TRIES 200000 /* for an answer: some tenths of a second */
#define EVIL "this kernel is an attacker's"

/* struct request of src/jail/broker.c */
struct request {
	uint32_t job, is_request;
	uint64_t value;
	char thread[16];
};

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

/* Bytes of the answer, or -errno. *given: a descriptor that has come along, or -1. */
static long receive(int fd, void *data, size_t len, int *given)
{
	union control c;
	struct iovec iov = { data, len };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)
	};
	long n = -EAGAIN;

	*given = -1;
	for (unsigned int i = 0; n == -EAGAIN && i < TRIES; i++) {
		n = sys(SYS_recvmsg, fd, &m, MSG_DONTWAIT);
		if (n == -EAGAIN)
			__builtin_ia32_pause();
	}
	if (n > 0 && m.msg_controllen >= CMSG_LEN(sizeof(int)))
		*given = *(int *)CMSG_DATA(&c.head);
	return n;
}

static long send_bytes(int fd, void *data, size_t len)
{
	struct iovec iov = { data, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	return sys(SYS_sendmsg, fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The broker's job with that number, if fd leads to it. What it has said, or -errno; *given as
 * above. */
static long have_done(int fd, unsigned int job, uint64_t value, int *given)
{
	struct request r = { .job = job, .is_request = 1, .value = value };
	int32_t answer;
	long rc = send_bytes(fd, &r, sizeof(r));

	*given = -1;
	if (rc >= 0)
		rc = receive(fd, &answer, sizeof(answer), given);
	return rc < 0 ? rc : rc == sizeof(answer) ? answer : -EBADF;
}

/* The unpacked kernel that others will boot: a file to write it to, then its name. */
static long replace_kernel(int fd)
{
	static char evil[] = EVIL;
	struct iovec iov = { evil, sizeof(evil) };
	int made, kept;
	long rc = have_done(fd, 0, 4096, &made);

	if (rc < 0 || made < 0)
		return rc < 0 ? rc : -EBADF;
	sys(SYS_pwritev2, made, &iov, 1, 0, 0, 0);
	return have_done(fd, 1, 0, &kept);
}

static long replace_kernel_by_each(void)
{
	return over_fds(replace_kernel);
}

/* Addresses of the network that the socket is of. */
static long learn_addresses(int fd)
{
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg addresses;
	} ask = { .head = { .nlmsg_len = sizeof(ask),
			    .nlmsg_type = RTM_GETADDR,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
	char room[4096] __attribute__((aligned(8)));
	const struct nlmsghdr *answer = (const void *)room;
	int given;
	long n = send_bytes(fd, &ask, sizeof(ask));

	if (n >= 0)
		n = receive(fd, room, sizeof(room), &given);
	if (n < 0)
		return n;
	return n >= (long)sizeof(*answer) && answer->nlmsg_type == RTM_NEWADDR ? n : -EBADF;
}

static long learn_addresses_by_each(void)
{
	return over_fds(learn_addresses);
}

static long learn_addresses_anew(void)
{
	long fd = sys(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), rc;

	if (fd < 0)
		return fd;
	rc = learn_addresses((int)fd);
	sys(SYS_close, fd);
	return rc;
}

const struct attack attacks_on_brokers[] = {
	TRY("broker-cache", "the broker has no kernel to keep", "sendmsg", NEVER,
	    replace_kernel_by_each),
	TRY("netlink-each", "there is no socket of a tap's", "sendmsg", NEVER,
	    learn_addresses_by_each),
	TRY("netlink-addresses", "learns the host's addresses", "socket", LAYER_NETNS,
	    learn_addresses_anew),
	{ 0 },
};
