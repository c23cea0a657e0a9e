/*
 * tap.c - a tap interface of the host: opening, offloads, queues, and whether it is up.
 *
 * Life of a VM: opened with the device; offloads and queues as the guest's driver wants them. An
 * interface that we have made goes away with its descriptors, however we end.
 *
 * The process may leave the interface's network once the tap is open: what is asked later is asked
 * on one socket, which stays there. It serves whoever takes over the process for nothing else: see
 * let_only_news_of_it_in().
 *
 * Source: the kernel's Documentation/networking/tuntap.rst and filter.rst, <linux/if_tun.h>,
 * netlink(7), rtnetlink(7).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>
#include <vmm/host/sock.h>
#include <vmm/host/tap.h>

/* What the guest has sent and the host has not dealt with: bounded, then we wait. */
#define SEND_BUFFER (4 * MIB)

/* An ioctl about an interface of the network that the socket was made in. */
static int if_ioctl(const struct tap *t, unsigned long request, struct ifreq *r)
{
	return ioctl(t->sock, request, r) < 0 ? -errno : 0;
}

static void request_for(struct ifreq *r, const char *name)
{
	*r = (struct ifreq){ 0 };
	snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", name);
}

/* Opening ------------------------------------------------------------------------------------ */

static int refused(const struct tap *t, const char *name, int error, struct err *e)
{
	bool many = t->n_queues > 1;

	if (error == EPERM && !name)
		return err_set(e, -error, "making a tap needs root; as root: %s, then tap=tap0",
			       "ip tuntap add dev tap0 mode tap user USER; ip link set tap0 up");
	if (error == EPERM && if_nametoindex(name) == 0)
		return err_set(e, -error,
			       "%s does not exist; as root: ip tuntap add dev %s mode tap%s user "
			       "USER; ip link set %s up",
			       name, name, many ? " multi_queue" : "", name);
	if (error == EPERM)
		return err_set(e, -error, "%s belongs to another user", name);
	if (error == EBUSY)
		return err_set(e, -error, "%s is in use by another program", name);
	if (error == EINVAL && many && if_nametoindex(name) != 0)
		return err_set(e, -error,
			       "%s is no tap with multi_queue: make it so (ip tuntap add dev %s "
			       "mode tap multi_queue), or leave queues= out",
			       name, name);
	if (error == EINVAL)
		return err_set(e, -error, "%s is no tap interface", name);
	errno = error;
	return err_errno(e, "%s", name ? name : "tap");
}

/* One queue. An interface with or without IFF_MULTI_QUEUE stays so: the flag must agree. */
static int open_queue(struct tap *t, const char *want, bool multi, int *out)
{
	const int hdr_len = TAP_HDR_LEN, one = 1, send_buffer = SEND_BUFFER;
	struct ifreq r;
	int fd, error;

	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	request_for(&r, want);
	r.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multi ? IFF_MULTI_QUEUE : 0));
	if (ioctl(fd, TUNSETIFF, &r) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &hdr_len) < 0) {
		error = errno;
		close(fd);
		return -error;
	}
	/* Neither is vital: little-endian is what most hosts have, and no limit the default. */
	(void)ioctl(fd, TUNSETVNETLE, &one);
	(void)ioctl(fd, TUNSETSNDBUF, &send_buffer);
	snprintf(t->name, sizeof(t->name), "%s", r.ifr_name);
	*out = fd;
	return 0;
}

static int open_queues(struct tap *t, const char *name, unsigned int n, struct err *e)
{
	const char *want = name ? name : "vmtap%d"; /* the kernel finds a number */
	bool multi = n > 1;

	for (unsigned int i = 0; i < n; i++) {
		int rc = open_queue(t, i == 0 ? want : t->name, multi, &t->fds[i]);

		if (rc == -EINVAL && n == 1 && name && !multi) {
			multi = true;
			rc = open_queue(t, name, multi, &t->fds[i]);
		}
		if (rc == -EACCES)
			return err_set(e, rc,
				       "/dev/net/tun: %s: a tap needs root; --net user needs "
				       "nothing",
				       strerror(-rc));
		if (rc == -ENOENT || rc == -ENODEV)
			return err_set(e, rc, "/dev/net/tun: %s; as root: modprobe tun",
				       strerror(-rc));
		if (rc < 0)
			return refused(t, name, -rc, e);
	}
	return 0;
}

/* The most first; older kernels refuse what they do not know. */
static void probe_offloads(struct tap *t)
{
	static const unsigned int sets[] = {
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
		TUN_F_CSUM,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(sets); i++) {
		if (ioctl(t->fds[0], TUNSETOFFLOAD, sets[i]) == 0) {
			t->offloads = sets[i];
			break;
		}
	}
	tap_set_offloads(t, 0);
}

static int set_up(struct tap *t, struct err *e)
{
	struct ifreq r;
	int rc;

	request_for(&r, t->name);
	rc = if_ioctl(t, SIOCGIFFLAGS, &r);
	if (rc == 0) {
		r.ifr_flags |= IFF_UP;
		rc = if_ioctl(t, SIOCSIFFLAGS, &r);
	}
	errno = -rc;
	return rc < 0 ? err_errno(e, "%s: bringing it up", t->name) : 0;
}

static int set_mtu(struct tap *t, uint16_t mtu, struct err *e)
{
	struct ifreq r;
	int rc;

	request_for(&r, t->name);
	rc = if_ioctl(t, SIOCGIFMTU, &r);
	if (rc < 0) {
		errno = -rc;
		return err_errno(e, "%s", t->name);
	}
	if (mtu && r.ifr_mtu != mtu) {
		r.ifr_mtu = mtu;
		rc = if_ioctl(t, SIOCSIFMTU, &r);
		if (rc < 0)
			return err_set(e, rc,
				       "%s: mtu=%u: %s; as root: ip link set %s mtu %u (a tap "
				       "takes 68 to 65521)",
				       t->name, mtu, strerror(-rc), t->name, mtu);
	}
	t->mtu = (uint16_t)min_u64((uint64_t)r.ifr_mtu, UINT16_MAX);
	return 0;
}

int tap_open(struct tap *t, const char *name, unsigned int n_queues, uint16_t mtu, struct err *e)
{
	VMM_BUG_ON(n_queues == 0 || n_queues > TAP_MAX_QUEUES);
	*t = (struct tap){ .n_queues = n_queues };
	t->sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (t->sock < 0)
		return err_errno(e, "netlink");
	for (unsigned int i = 0; i < TAP_MAX_QUEUES; i++)
		t->fds[i] = -1;
	t->created = !name || if_nametoindex(name) == 0;
	if (open_queues(t, name, n_queues, e) < 0)
		goto fail;
	t->index = if_nametoindex(t->name);
	probe_offloads(t);
	if (set_mtu(t, mtu, e) < 0 || (t->created && set_up(t, e) < 0))
		goto fail;
	return 0;
fail:
	tap_close(t);
	return e->code;
}

void tap_close(struct tap *t)
{
	for (unsigned int i = 0; i < t->n_queues; i++) {
		if (t->fds[i] >= 0)
			close(t->fds[i]);
		t->fds[i] = -1;
	}
	if (t->sock >= 0)
		close(t->sock);
	t->sock = -1;
}

void tap_set_offloads(struct tap *t, unsigned int offloads)
{
	/* A subset of what probe_offloads() has tried; fails if the interface is gone. */
	(void)ioctl(t->fds[0], TUNSETOFFLOAD, offloads & t->offloads);
}

bool tap_attach_queue(struct tap *t, unsigned int queue, bool attach)
{
	struct ifreq r = { .ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	return ioctl(t->fds[queue], TUNSETQUEUE, &r) == 0;
}

/* State -------------------------------------------------------------------------------------- */

bool tap_is_up(const struct tap *t)
{
	const short up = IFF_UP | IFF_RUNNING;
	struct ifreq r = { .ifr_ifindex = (int)t->index };

	if (if_ioctl(t, SIOCGIFNAME, &r) < 0) /* it may have been renamed */
		return false;
	return if_ioctl(t, SIOCGIFFLAGS, &r) == 0 && (r.ifr_flags & up) == up;
}

/* What the messages say does not matter, nor whether some were lost: the state is asked for. */
static void on_message(void *arg, uint32_t events)
{
	struct tap_watch *w = arg;
	char buf[8192];
	ssize_t n;

	(void)events;
	n = sock_receive(w->ev.fd, buf, sizeof(buf));
	if (n >= 0 || errno == ENOBUFS)
		w->changed(w->arg);
}

#define LOAD16(type, field) BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(type, field))
#define LOAD32(type, field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(type, field))
#define IF_EQUAL(value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise)

/*
 * The socket gets what the kernel tells of its own accord about this interface, and no answers:
 * whoever takes over the process could else ask for the host's addresses, routes and neighbours,
 * which takes no right. An answer carries the port of the one who has asked, and a list's parts a
 * flag. The filter cannot be taken off again.
 *
 * A filter loads big-endian what netlink writes in the host's order: so the constants are turned.
 */
static int let_only_news_of_it_in(const struct tap *t, uint32_t our_port)
{
	struct link_message {
		struct nlmsghdr h;
		struct ifinfomsg link;
	};
	struct sock_filter code[] = {
		LOAD16(struct link_message, h.nlmsg_type),
		IF_EQUAL(htons(RTM_NEWLINK), 1, 0),
		IF_EQUAL(htons(RTM_DELLINK), 0, 7),
		LOAD16(struct link_message, h.nlmsg_flags),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htons(NLM_F_MULTI), 5, 0),
		LOAD32(struct link_message, h.nlmsg_pid),
		IF_EQUAL(htonl(our_port), 3, 0),
		LOAD32(struct link_message, link.ifi_index),
		IF_EQUAL(htonl(t->index), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog filter = { ARRAY_SIZE(code), code };
	const int on = 1;

	if (setsockopt(t->sock, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0 ||
	    setsockopt(t->sock, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on)) < 0)
		return -1;
	return 0;
}

int tap_watch_start(struct tap_watch *w, const struct tap *t, struct evloop *l, ev_task_fn changed,
		    void *arg, struct err *e)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	socklen_t len = sizeof(a);
	int rc;

	w->changed = changed;
	w->arg = arg;
	if (bind(t->sock, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    getsockname(t->sock, (struct sockaddr *)&a, &len) < 0 ||
	    let_only_news_of_it_in(t, a.nl_pid) < 0)
		return err_errno(e, "netlink");
	rc = evloop_add(l, &w->ev, t->sock, EPOLLIN, on_message, w);
	errno = -rc;
	return rc < 0 ? err_errno(e, "netlink") : 0;
}

void tap_watch_stop(struct tap_watch *w)
{
	evloop_del(&w->ev);
}
