/*
 * virtio_net_vhost.c - the rings of a network device in the hands of the host's kernel (vhost-net),
 * which moves frames between them and a tap without us.
 *
 * Life of a VM: opened with the device, owned before the first vCPU runs; a pair's rings are the
 * kernel's while the pair is in use and its queues run. They are given away on the loop alone. They
 * are taken back on any thread, and at once: when a reset or the end of bus mastering has been
 * answered, nobody may write to the driver's memory any more.
 *
 * Source: VIRTIO 1.2, 5.1.6; Linux, <linux/vhost.h>.
 *
 * A notification goes from KVM to the kernel's thread by the queue's eventfd, an interrupt from
 * there to KVM by the transport's: neither passes us. Where the transport has none (no MSI-X, no
 * vector, a KVM without irqfd) the kernel gets an eventfd of ours. Control queue, link and
 * configuration stay here.
 *
 * What the driver says in rings and headers is checked by the kernel alone; the places of the rings
 * by virtq, and the kernel finds buffers by the table of our RAM. What it cannot make sense of it
 * tells by another eventfd, without saying which ring: the device needs a reset.
 */
#include "virtio_net_priv.h"
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/log.h>
#include <vmm/host/eventfd.h>
#include <vmm/host/vhost.h>

#define BIT(n) (UINT64_C(1) << (n))
/* What the kernel has to do, if it is agreed on with the driver. */
#define KERNELS                                                                                    \
	(BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |                          \
	 BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_F_VERSION_1))

struct net_vhost_ring {
	struct virtio_net *net;
	bool runs; /* the kernel has it */
	int call_fd; /* where its interrupts go */
	int own_fd; /* an eventfd, for when the transport has none */
	struct ev_fd own;
};

struct net_vhost {
	int fds[NET_MAX_PAIRS]; /* of VHOST_DEVICE; -1: none */
	uint64_t features; /* of the kernel */
	struct ev_task calls; /* interrupts may have to go elsewhere */

	/* Under the device's lock. */
	int err_fd;
	struct ev_fd err;
	struct net_vhost_ring rings[2 * NET_MAX_PAIRS]; /* by the number of the queue */
};

static struct virtq *vq_of(struct virtio_net *n, unsigned int qi)
{
	return &n->v.queues[qi].vq;
}

static unsigned int n_rings(const struct virtio_net *n)
{
	return 2 * n->netif->n_pairs;
}

/* Interrupts --------------------------------------------------------------------------------- */

static int call_fd_for(struct virtio_net *n, unsigned int qi)
{
	int fd = virtio_dev_interrupt_fd(&n->v, qi);

	return fd >= 0 ? fd : n->vhost->rings[qi].own_fd;
}

/* The kernel wants to interrupt, and the transport has no eventfd for it. */
static void on_own_call(void *arg, uint32_t events)
{
	struct net_vhost_ring *r = arg;
	struct virtio_net *n = r->net;

	(void)events;
	if (!eventfd_take(r->own_fd))
		return;
	virtio_dev_lock(&n->v);
	if (r->runs)
		virtio_dev_interrupt(&n->v, (unsigned int)(r - n->vhost->rings));
	virtio_dev_unlock(&n->v);
}

/* What has gone to the old place may be lost: one more than there were is no harm (2.3). */
static void move_call(struct virtio_net *n, unsigned int qi)
{
	struct net_vhost_ring *r = &n->vhost->rings[qi];
	int fd, rc;

	if (!r->runs)
		return;
	fd = call_fd_for(n, qi);
	if (fd == r->call_fd)
		return;
	rc = vhost_set_call(n->vhost->fds[qi / 2], qi % 2, fd);
	if (rc < 0)
		log_guest(&n->v.limit, "%s: vhost: VHOST_SET_VRING_CALL: %s", n->v.name,
			  strerror(-rc));
	else
		r->call_fd = fd;
	virtio_dev_interrupt(&n->v, qi);
}

static void on_calls(void *arg)
{
	struct virtio_net *n = arg;

	virtio_dev_lock(&n->v);
	for (unsigned int qi = 0; qi < n_rings(n); qi++)
		move_call(n, qi);
	virtio_dev_unlock(&n->v);
}

void net_vhost_interrupts_changed(struct virtio_net *n)
{
	evloop_post(n->v.loop, &n->vhost->calls);
}

static void on_error(void *arg, uint32_t events)
{
	struct virtio_net *n = arg;

	(void)events;
	virtio_dev_lock(&n->v);
	if (eventfd_take(n->vhost->err_fd))
		virtio_dev_break(&n->v, "a ring, a chain or a header that the host's kernel does "
					"not accept");
	virtio_dev_unlock(&n->v);
}

/* Rings -------------------------------------------------------------------------------------- */

static bool is_wanted(const struct virtio_net *n, unsigned int qi)
{
	return n->running && qi / 2 < n->n_active && virtio_dev_queue_runs(&n->v, qi);
}

static bool any_runs(const struct virtio_net *n)
{
	for (unsigned int qi = 0; qi < n_rings(n); qi++) {
		if (n->vhost->rings[qi].runs)
			return true;
	}
	return false;
}

void net_vhost_stop(struct virtio_net *n)
{
	for (unsigned int qi = 0; qi < n_rings(n); qi++) {
		struct net_vhost_ring *r = &n->vhost->rings[qi];

		if (!r->runs || is_wanted(n, qi))
			continue;
		r->runs = false;
		virtq_goes_on_at(vq_of(n, qi), vhost_stop_ring(n->vhost->fds[qi / 2], qi % 2));
	}
	if (!any_runs(n))
		eventfd_take(n->vhost->err_fd); /* it was about what is over */
}

static int start_ring(struct virtio_net *n, unsigned int qi)
{
	const struct virtq *q = vq_of(n, qi);
	struct net_vhost_ring *r = &n->vhost->rings[qi];
	struct vhost_ring ring = {
		.size = q->size,
		.base = q->next_avail,
		.kick_fd = virtio_dev_kick_fd(&n->v, qi),
		.err_fd = n->vhost->err_fd,
	};
	void *at[3];
	int rc;

	if (!virtq_rings(q, at))
		return -EFAULT;
	ring.desc = at[0];
	ring.avail = at[1];
	ring.used = at[2];
	ring.call_fd = r->call_fd = call_fd_for(n, qi);
	rc = vhost_start_ring(n->vhost->fds[qi / 2], qi % 2, &ring,
			      n->netif->ops->fd(n->netif, qi / 2));
	r->runs = rc == 0;
	return rc;
}

static int start_pair(struct virtio_net *n, unsigned int pair)
{
	const unsigned int queues[] = { net_rx_queue(pair), net_tx_queue(pair) };
	struct net_vhost_ring *rings = n->vhost->rings;
	int rc = 0;

	if (!rings[queues[0]].runs && !rings[queues[1]].runs)
		rc = vhost_set_features(n->vhost->fds[pair], n->v.features & KERNELS);
	for (unsigned int i = 0; i < ARRAY_SIZE(queues) && rc == 0; i++) {
		unsigned int qi = queues[i];

		if (rings[qi].runs || !is_wanted(n, qi))
			continue;
		rc = start_ring(n, qi);
		/* What was notified before is there, too. */
		if (rc == 0)
			virtio_dev_kick(&n->v, qi);
	}
	return rc;
}

void net_vhost_start(struct virtio_net *n)
{
	int rc = 0;

	for (unsigned int i = 0; i < n->netif->n_pairs && rc == 0; i++) {
		if (is_wanted(n, net_rx_queue(i)) || is_wanted(n, net_tx_queue(i)))
			rc = start_pair(n, i);
	}
	if (rc < 0) {
		log_guest(&n->v.limit, "%s: vhost: %s", n->v.name, strerror(-rc));
		virtio_dev_break(&n->v, "the host's kernel does not take its rings");
	}
	for (unsigned int qi = 0; qi < n_rings(n); qi++)
		virtio_dev_lend_queue(&n->v, qi, n->vhost->rings[qi].runs);
}

/* Making and unmaking ------------------------------------------------------------------------ */

struct regions {
	struct vhost_region region[VHOST_MAX_REGIONS];
	unsigned int n;
};

static int add_region(void *arg, unsigned int index, gpa_t base, uint64_t len, void *host)
{
	struct regions *r = arg;

	_Static_assert(GMEM_MAX_REGIONS <= VHOST_MAX_REGIONS, "all of RAM");
	(void)index;
	r->region[r->n++] = (struct vhost_region){ base, len, host };
	return 0;
}

int net_vhost_own(struct virtio_net *n, struct err *e)
{
	struct regions r = { .n = 0 };

	gmem_each_region(n->v.mem, add_region, &r);
	for (unsigned int i = 0; i < n->netif->n_pairs; i++) {
		if (vhost_own(n->vhost->fds[i], r.region, r.n, e) < 0)
			return err_wrap(e, "%s", n->v.name);
	}
	return 0;
}

static int add_eventfd(struct virtio_net *n, struct ev_fd *ev, int *fd, ev_fn fn, void *arg)
{
	int rc;

	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (*fd < 0)
		return -errno;
	rc = evloop_add(n->v.loop, ev, *fd, EPOLLIN, fn, arg);
	return rc;
}

static int open_all(struct virtio_net *n, struct err *e)
{
	struct net_vhost *vh = n->vhost;
	int rc;

	for (unsigned int i = 0; i < n->netif->n_pairs; i++) {
		if (vhost_open(&vh->fds[i], &vh->features, e) < 0)
			return e->code;
	}
	rc = add_eventfd(n, &vh->err, &vh->err_fd, on_error, n);
	for (unsigned int qi = 0; qi < n_rings(n) && rc == 0; qi++) {
		struct net_vhost_ring *r = &vh->rings[qi];

		rc = add_eventfd(n, &r->own, &r->own_fd, on_own_call, r);
	}
	if (rc < 0)
		return err_set(e, rc, "vhost: eventfd: %s", strerror(-rc));
	if (!(vh->features & BIT(VIRTIO_F_VERSION_1)))
		return err_set(e, -ENOTSUP,
			       "vhost=on: this kernel's vhost is too old for VIRTIO 1");
	return 0;
}

int net_vhost_create(struct virtio_net *n, struct err *e)
{
	struct net_vhost *vh = calloc(1, sizeof(*vh));

	if (!vh)
		return err_set(e, -ENOMEM, "out of memory");
	VMM_BUG_ON(!n->netif->ops->fd);
	n->vhost = vh;
	vh->calls = (struct ev_task){ .fn = on_calls, .arg = n };
	vh->err_fd = -1;
	for (unsigned int i = 0; i < NET_MAX_PAIRS; i++)
		vh->fds[i] = -1;
	for (unsigned int qi = 0; qi < ARRAY_SIZE(vh->rings); qi++)
		vh->rings[qi] = (struct net_vhost_ring){ .net = n, .own_fd = -1 };
	if (open_all(n, e) < 0) {
		net_vhost_destroy(n);
		return e->code;
	}
	/* What the kernel has to do and cannot, the driver is not offered. */
	n->v.offered &= ~(KERNELS & ~vh->features);
	return 0;
}

static void close_if(int fd)
{
	if (fd >= 0)
		close(fd);
}

void net_vhost_destroy(struct virtio_net *n)
{
	struct net_vhost *vh = n->vhost;

	if (!vh)
		return;
	VMM_BUG_ON(any_runs(n));
	evloop_unpost(n->v.loop, &vh->calls);
	for (unsigned int i = 0; i < NET_MAX_PAIRS; i++)
		close_if(vh->fds[i]);
	for (unsigned int qi = 0; qi < ARRAY_SIZE(vh->rings); qi++) {
		evloop_del(&vh->rings[qi].own);
		close_if(vh->rings[qi].own_fd);
	}
	evloop_del(&vh->err);
	close_if(vh->err_fd);
	free(vh);
	n->vhost = NULL;
}
