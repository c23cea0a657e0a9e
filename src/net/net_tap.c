/*
 * net_tap.c - an interface of the host as the other end of the guest's.
 *
 * Life of a VM: opened with the device. Frames go between guest RAM and the kernel without a copy
 * of ours; checksums and segmentation are left to whoever needs them last. Loop thread.
 */
#include "netif_kinds.h"
#include <errno.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <vmm/base/bug.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/tap.h>
#include <vmm/host/tap_counts.h>

#define ETHERNET_MTU 1500u

struct tap_pair {
	struct net_tap *owner;
	struct ev_fd ev;
	uint32_t wanted, armed; /* EPOLLIN, EPOLLOUT */
	bool attached; /* gets frames; its descriptor works */
};

struct net_tap {
	struct netif n;
	const char *name;
	struct evloop *loop;
	struct tap tap;
	struct tap_watch watch;
	struct tap_counts counts; /* where the kernel moves the frames */
	bool gone; /* the interface has been deleted */
	struct tap_pair pairs[NET_MAX_PAIRS];
	struct log_limit limit;
};

static const struct {
	unsigned int ours, theirs;
} offloads[] = {
	{ NETIF_CSUM, TUN_F_CSUM },
	{ NETIF_TSO4, TUN_F_TSO4 },
	{ NETIF_TSO6, TUN_F_TSO6 },
	{ NETIF_ECN, TUN_F_TSO_ECN },
};

static struct net_tap *of(struct netif *n)
{
	return container_of(n, struct net_tap, n);
}

/* Readiness ---------------------------------------------------------------------------------- */

static void on_event(void *arg, uint32_t events);

/* The descriptor of a detached queue always reports an error: the loop must not see it. */
static void rearm(struct tap_pair *p)
{
	struct net_tap *t = p->owner;
	unsigned int i = (unsigned int)(p - t->pairs);
	uint32_t events = p->attached && !t->gone ? p->wanted : 0;

	if (events == p->armed)
		return;
	evloop_del(&p->ev);
	p->armed = events;
	if (events && evloop_add(t->loop, &p->ev, t->tap.fds[i], events, on_event, p) < 0) {
		p->armed = 0;
		log_guest(&t->limit, "%s: %s: event loop: %s", t->name, t->tap.name,
			  strerror(errno));
	}
}

static void update_link(void *arg)
{
	struct net_tap *t = arg;
	bool up = !t->gone && tap_is_up(&t->tap);

	if (up == t->n.link_up)
		return;
	t->n.link_up = up;
	log_info("%s: tap=%s: link %s", t->name, t->tap.name, up ? "up" : "down");
	if (t->n.events)
		t->n.events->link(t->n.arg);
}

static void set_gone(struct net_tap *t)
{
	log_error("%s: tap=%s: the interface has been deleted", t->name, t->tap.name);
	t->gone = true;
	for (unsigned int i = 0; i < t->n.n_pairs; i++)
		rearm(&t->pairs[i]);
	update_link(t);
}

static void on_event(void *arg, uint32_t events)
{
	struct tap_pair *p = arg;
	struct net_tap *t = p->owner;
	unsigned int i = (unsigned int)(p - t->pairs);

	if (events & (EPOLLERR | EPOLLHUP)) {
		set_gone(t);
		return;
	}
	if (events & EPOLLOUT && p->wanted & EPOLLOUT)
		t->n.events->writable(t->n.arg, i);
	if (events & EPOLLIN && p->wanted & EPOLLIN)
		t->n.events->readable(t->n.arg, i);
}

/* Ops ---------------------------------------------------------------------------------------- */

static enum netif_sent tap_send(struct netif *n, unsigned int pair, struct iovec *iov, int n_iov)
{
	struct net_tap *t = of(n);

	if (t->gone || !t->pairs[pair].attached)
		return NETIF_DROPPED;
	/* Offset -1: as writev(2), by the call that disks use, too. */
	if (pwritev2(t->tap.fds[pair], iov, n_iov, -1, 0) >= 0)
		return NETIF_SENT;
	/* Others: the interface is down, or the kernel does not like the frame. */
	return errno == EAGAIN || errno == EINTR ? NETIF_AGAIN : NETIF_DROPPED;
}

static size_t tap_receive(struct netif *n, unsigned int pair, const struct iovec *iov, int n_iov)
{
	struct net_tap *t = of(n);
	ssize_t len;

	if (t->gone || !t->pairs[pair].attached)
		return 0;
	len = preadv2(t->tap.fds[pair], iov, n_iov, -1, 0);
	return len < 0 ? 0 : (size_t)len;
}

static void tap_watch(struct netif *n, unsigned int pair, uint32_t events)
{
	struct tap_pair *p = &of(n)->pairs[pair];

	p->wanted = events;
	rearm(p);
}

/* The first pair is always attached: without any, the kernel drops the interface's carrier. */
static void tap_set_pairs(struct netif *n, unsigned int n_pairs)
{
	struct net_tap *t = of(n);

	for (unsigned int i = 1; i < n->n_pairs; i++) {
		struct tap_pair *p = &t->pairs[i];
		bool attach = i < n_pairs;

		if (t->gone || attach == p->attached)
			continue;
		if (!attach) {
			p->attached = false;
			rearm(p);
		}
		if (!tap_attach_queue(&t->tap, i, attach))
			continue;
		p->attached = attach;
		rearm(p);
	}
}

static void tap_set(struct netif *n, unsigned int wanted)
{
	unsigned int flags = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(offloads); i++)
		flags |= wanted & offloads[i].ours ? offloads[i].theirs : 0;
	tap_set_offloads(&of(n)->tap, flags);
}

static int tap_fd(const struct netif *n, unsigned int pair)
{
	return container_of(n, struct net_tap, n)->tap.fds[pair];
}

/* The interface receives what the guest sends. */
static void tap_counted(const struct netif *n, struct netif_count *c)
{
	const struct tap_counts *t = &container_of(n, struct net_tap, n)->counts;

	*c = (struct netif_count){
		.rx_frames = tap_count(t, TAP_TX_FRAMES),
		.rx_bytes = tap_count(t, TAP_TX_BYTES),
		.tx_frames = tap_count(t, TAP_RX_FRAMES),
		.tx_bytes = tap_count(t, TAP_RX_BYTES),
		.rx_dropped = tap_count(t, TAP_TX_DROPPED),
		.tx_dropped = tap_count(t, TAP_RX_DROPPED),
	};
}

static void tap_destroy(struct netif *n)
{
	struct net_tap *t = of(n);

	for (unsigned int i = 0; i < NET_MAX_PAIRS; i++)
		evloop_del(&t->pairs[i].ev);
	tap_watch_stop(&t->watch);
	tap_counts_close(&t->counts);
	tap_close(&t->tap);
	free(t->n.seed);
	free(t);
}

static const struct netif_ops tap_ops = {
	.send = tap_send,
	.receive = tap_receive,
	.watch = tap_watch,
	.set_pairs = tap_set_pairs,
	.set_offloads = tap_set,
	.fd = tap_fd,
	.count = tap_counted,
	.destroy = tap_destroy,
};

static int open_all(struct net_tap *t, const struct net_spec *spec, struct err *e)
{
	if (tap_open(&t->tap, spec->target, spec->n_pairs, spec->mtu, e) < 0)
		return err_wrap(e, "tap");
	if (tap_watch_start(&t->watch, &t->tap, t->loop, update_link, t, e) < 0)
		return e->code;
	/* A free name is the first free one, so that one VM after the other has the same. */
	if (asprintf(&t->n.seed, "tap %s", t->tap.name) < 0) {
		t->n.seed = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	for (unsigned int i = 0; i < spec->n_pairs; i++)
		t->pairs[i] = (struct tap_pair){ .owner = t, .attached = true };
	for (unsigned int i = 0; i < ARRAY_SIZE(offloads); i++)
		t->n.offloads |= t->tap.offloads & offloads[i].theirs ? offloads[i].ours : 0;
	if (spec->mtu || t->tap.mtu != ETHERNET_MTU)
		t->n.mtu = t->tap.mtu;
	if (spec->vhost)
		tap_counts_open(&t->counts, &t->tap);
	tap_set_pairs(&t->n, 1);
	return 0;
}

int net_tap_open(struct netif **out, const struct net_spec *spec, const char *name,
		 struct evloop *l, struct err *e)
{
	struct net_tap *t = calloc(1, sizeof(*t));

	_Static_assert(NET_MAX_PAIRS <= TAP_MAX_QUEUES && NETIF_HDR_LEN == TAP_HDR_LEN,
		       "what the two headers say");
	if (!t)
		return err_set(e, -ENOMEM, "out of memory");
	*t = (struct net_tap){
		.n = { .ops = &tap_ops, .n_pairs = spec->n_pairs },
		.name = name,
		.loop = l,
	};
	tap_counts_init(&t->counts);
	if (open_all(t, spec, e) < 0) {
		tap_destroy(&t->n);
		return e->code;
	}
	t->n.link_up = tap_is_up(&t->tap);
	if (t->tap.created)
		log_say("%s on %s, which was made for it and goes with it", name, t->tap.name);
	if (!t->n.link_up)
		log_warn("%s: %s is down, and so is the guest's link; ip link set %s up", name,
			 t->tap.name, t->tap.name);
	*out = &t->n;
	return 0;
}
