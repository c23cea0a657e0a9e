/*
 * tap.c - a tap interface of the host: opening, offloads, queues, and whether it is up.
 *
 * Life of a VM: opened with the device; offloads and queues as the guest's driver wants them. An
 * interface that we have made goes away with its descriptors, however we end.
 *
 * Source: the kernel's Documentation/networking/tuntap.rst, <linux/if_tun.h>.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>
#include <vmm/host/tap.h>

/* What the guest has sent and the host has not dealt with: bounded, then we wait. */
#define SEND_BUFFER (4 * MIB)

/* An ioctl about an interface; any socket will do. */
static int if_ioctl(unsigned long request, struct ifreq *r)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc, error;

	if (fd < 0)
		return -errno;
	rc = ioctl(fd, request, r);
	error = errno;
	close(fd);
	return rc < 0 ? -error : 0;
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
	rc = if_ioctl(SIOCGIFFLAGS, &r);
	if (rc == 0) {
		r.ifr_flags |= IFF_UP;
		rc = if_ioctl(SIOCSIFFLAGS, &r);
	}
	errno = -rc;
	return rc < 0 ? err_errno(e, "%s: bringing it up", t->name) : 0;
}

static int set_mtu(struct tap *t, uint16_t mtu, struct err *e)
{
	struct ifreq r;
	int rc;

	request_for(&r, t->name);
	rc = if_ioctl(SIOCGIFMTU, &r);
	if (rc < 0) {
		errno = -rc;
		return err_errno(e, "%s", t->name);
	}
	if (mtu && r.ifr_mtu != mtu) {
		r.ifr_mtu = mtu;
		rc = if_ioctl(SIOCSIFMTU, &r);
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
	char name[IF_NAMESIZE];
	struct ifreq r;

	if (!if_indextoname(t->index, name)) /* it may have been renamed */
		return false;
	request_for(&r, name);
	return if_ioctl(SIOCGIFFLAGS, &r) == 0 && (r.ifr_flags & up) == up;
}

/* What the messages say does not matter, nor whether some were lost: the state is asked for. */
static void on_message(void *arg, uint32_t events)
{
	struct tap_watch *w = arg;
	char buf[8192];
	ssize_t n;

	(void)events;
	n = recv(w->ev.fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n >= 0 || errno == ENOBUFS)
		w->changed(w->arg);
}

int tap_watch_start(struct tap_watch *w, struct evloop *l, ev_task_fn changed, void *arg,
		    struct err *e)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), rc;

	w->changed = changed;
	w->arg = arg;
	if (fd < 0)
		return err_errno(e, "netlink");
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		err_errno(e, "netlink");
		close(fd);
		return e->code;
	}
	rc = evloop_add(l, &w->ev, fd, EPOLLIN, on_message, w);
	if (rc < 0) {
		close(fd);
		errno = -rc;
		return err_errno(e, "netlink");
	}
	return 0;
}

void tap_watch_stop(struct tap_watch *w)
{
	if (!w->ev.loop)
		return;
	evloop_del(&w->ev);
	close(w->ev.fd);
}
