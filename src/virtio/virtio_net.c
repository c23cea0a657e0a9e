/*
 * virtio_net.c - a network interface for the guest: features, configuration, control queue.
 *
 * Life of a VM: made while the board is built, with the interface of the host behind it; frames
 * pass in virtio_net_tx.c and virtio_net_rx.c, on the loop, from DRIVER_OK to reset.
 *
 * Source: VIRTIO 1.2, 5.1 "Network Device".
 *
 * A reset and DRIVER_OK come on a vCPU thread, and the interface belongs to the loop: they note
 * what shall be, and net_settle() tells the interface before anything else happens there.
 */
#include "virtio_net_priv.h"
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <vmm/base/bytes.h>
#include <vmm/base/log.h>
#include <vmm/virtio/virtio_net.h>

#define QUEUE_SIZE 256u
#define BIT(n) (UINT64_C(1) << (n))

#define GUEST_OFFLOADS                                                                             \
	(BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) |                             \
	 BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN))

static const struct {
	unsigned int netif, host, guest; /* an offload, and the features that stand for it */
} offloads[] = {
	{ NETIF_CSUM, VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM },
	{ NETIF_TSO4, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_GUEST_TSO4 },
	{ NETIF_TSO6, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_GUEST_TSO6 },
	{ NETIF_ECN, VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_GUEST_ECN },
};

static void set_link_status(struct virtio_net *n)
{
	store_le16(n->config.status, n->netif->link_up ? VIRTIO_NET_S_LINK_UP : 0);
}

/* The interface ------------------------------------------------------------------------------ */

void net_update_watch(struct virtio_net *n, unsigned int pair)
{
	const struct net_pair *p = &n->pairs[pair];
	uint32_t events = p->tx_full ? EPOLLOUT : 0;

	if (n->vhost)
		return;
	/* What is ready and cannot be used would make the loop spin. */
	if (n->running && pair < n->n_active && !p->starved && !p->rx_late &&
	    virtio_dev_queue_runs(&n->v, net_rx_queue(pair)))
		events |= EPOLLIN;
	n->netif->ops->watch(n->netif, pair, events);
}

static void set_offloads(struct virtio_net *n)
{
	unsigned int flags = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(offloads); i++) {
		if (n->guest_offloads >> offloads[i].guest & 1)
			flags |= offloads[i].netif;
	}
	if (n->netif->ops->set_offloads)
		n->netif->ops->set_offloads(n->netif, flags);
}

static void set_pairs(struct virtio_net *n)
{
	if (n->vhost)
		net_vhost_stop(n);
	if (n->netif->ops->set_pairs)
		n->netif->ops->set_pairs(n->netif, n->n_active);
	for (unsigned int i = 0; i < n->netif->n_pairs; i++)
		net_update_watch(n, i);
	if (n->vhost)
		net_vhost_start(n);
}

void net_settle(struct virtio_net *n)
{
	if (!n->stale)
		return;
	n->stale = false;
	set_offloads(n);
	set_pairs(n);
}

static void on_settle(void *arg)
{
	struct virtio_net *n = arg;

	virtio_dev_lock(&n->v);
	net_settle(n);
	virtio_dev_unlock(&n->v);
}

static void on_readable(void *arg, unsigned int pair)
{
	struct virtio_net *n = arg;

	virtio_dev_lock(&n->v);
	net_settle(n);
	net_rx_run(n, pair);
	virtio_dev_flush(&n->v, net_rx_queue(pair));
	virtio_dev_unlock(&n->v);
}

/* Every pair that waits gets another turn. */
static void resume_tx(struct virtio_net *n)
{
	for (unsigned int i = 0; i < n->netif->n_pairs; i++) {
		struct net_pair *p = &n->pairs[i];

		if (p->tx_full || p->tx_late)
			virtio_dev_kick(&n->v, net_tx_queue(i));
		p->tx_full = p->tx_late = false;
		net_update_watch(n, i);
	}
}

static void on_writable(void *arg, unsigned int pair)
{
	struct virtio_net *n = arg;

	virtio_dev_lock(&n->v);
	n->pairs[pair].tx_full = false;
	net_update_watch(n, pair);
	virtio_dev_kick(&n->v, net_tx_queue(pair));
	virtio_dev_unlock(&n->v);
}

static void on_link(void *arg)
{
	struct virtio_net *n = arg;

	virtio_dev_lock(&n->v);
	set_link_status(n);
	if (virtio_dev_has(&n->v, VIRTIO_NET_F_STATUS))
		virtio_dev_config_changed(&n->v);
	resume_tx(n); /* if the link is down, frames are dropped instead of waiting */
	virtio_dev_unlock(&n->v);
}

static const struct netif_events netif_events = {
	.readable = on_readable,
	.writable = on_writable,
	.link = on_link,
};

static void on_rx_rate(void *arg)
{
	struct virtio_net *n = arg;

	virtio_dev_lock(&n->v);
	net_settle(n);
	for (unsigned int i = 0; i < n->netif->n_pairs; i++) {
		if (!n->pairs[i].rx_late)
			continue;
		n->pairs[i].rx_late = false;
		net_rx_run(n, i);
		virtio_dev_flush(&n->v, net_rx_queue(i));
	}
	virtio_dev_unlock(&n->v);
}

static void on_tx_rate(void *arg)
{
	struct virtio_net *n = arg;

	virtio_dev_lock(&n->v);
	for (unsigned int i = 0; i < n->netif->n_pairs; i++) {
		if (n->pairs[i].tx_late)
			virtio_dev_kick(&n->v, net_tx_queue(i));
		n->pairs[i].tx_late = false;
	}
	virtio_dev_unlock(&n->v);
}

/* The control queue, 5.1.6.5 ------------------------------------------------------------------ */

static unsigned int control_queue(const struct virtio_net *n)
{
	return virtio_dev_has(&n->v, VIRTIO_NET_F_MQ) ? 2 * n->netif->n_pairs : 2;
}

/* The argument of a command: exactly len bytes. */
static bool read_argument(struct virtio_net *n, void *arg, size_t len)
{
	return vchain_left_readable(&n->chain) == len && vchain_read(&n->chain, arg, len) == len;
}

static bool set_queue_pairs(struct virtio_net *n)
{
	uint8_t raw[2];
	uint16_t pairs;

	if (!virtio_dev_has(&n->v, VIRTIO_NET_F_MQ) || !read_argument(n, raw, sizeof(raw)))
		return false;
	pairs = load_le16(raw);
	if (pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs > n->netif->n_pairs)
		return false;
	n->n_active = pairs;
	set_pairs(n);
	/* What a pair has held back is not forgotten; a queue that is new may have buffers. */
	for (unsigned int i = 0; i < pairs; i++)
		virtio_dev_kick(&n->v, net_rx_queue(i));
	return true;
}

static bool set_guest_offloads(struct virtio_net *n)
{
	uint64_t wanted;
	uint8_t raw[8];

	if (!virtio_dev_has(&n->v, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    !read_argument(n, raw, sizeof(raw)))
		return false;
	wanted = load_le64(raw);
	if (wanted & ~(n->v.features & GUEST_OFFLOADS))
		return false;
	n->guest_offloads = wanted;
	set_offloads(n);
	return true;
}

/* Frames are not filtered by address, so that it changes nothing but what the driver reads. */
static bool set_mac(struct virtio_net *n)
{
	uint8_t mac[6];

	if (!virtio_dev_has(&n->v, VIRTIO_NET_F_CTRL_MAC_ADDR) ||
	    !read_argument(n, mac, sizeof(mac)) || mac[0] & 1)
		return false;
	memcpy(n->config.mac, mac, sizeof(mac));
	return true;
}

static bool run_command(struct virtio_net *n)
{
	struct virtio_net_ctrl_hdr h;

	if (vchain_read(&n->chain, &h, sizeof(h)) < sizeof(h))
		return false;
	if (h.class == VIRTIO_NET_CTRL_MQ && h.cmd == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
		return set_queue_pairs(n);
	if (h.class == VIRTIO_NET_CTRL_GUEST_OFFLOADS &&
	    h.cmd == VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET)
		return set_guest_offloads(n);
	if (h.class == VIRTIO_NET_CTRL_MAC && h.cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET)
		return set_mac(n);
	return false;
}

static void control_run(struct virtio_net *n, unsigned int qi)
{
	while (virtio_dev_pop(&n->v, qi, &n->chain)) {
		uint8_t ack = VIRTIO_NET_ERR;

		/* Without room for the answer nothing happens. */
		if (n->chain.writable > 0 && run_command(n))
			ack = VIRTIO_NET_OK;
		if (ack == VIRTIO_NET_ERR)
			metric_add(&n->count.errors, 1);
		virtio_dev_push(&n->v, qi, n->chain.head,
				(uint32_t)vchain_write(&n->chain, &ack, sizeof(ack)));
	}
}

/* Ops ---------------------------------------------------------------------------------------- */

static void net_queue_ready(struct virtio_dev *v, unsigned int qi)
{
	struct virtio_net *n = net_of(v);
	unsigned int pair = qi / 2;

	net_settle(n);
	if (qi == control_queue(n)) {
		if (virtio_dev_has(v, VIRTIO_NET_F_CTRL_VQ))
			control_run(n, qi);
		return;
	}
	if (n->vhost || pair >= n->netif->n_pairs ||
	    (pair > 0 && !virtio_dev_has(v, VIRTIO_NET_F_MQ)))
		return;
	if (qi == net_rx_queue(pair)) {
		n->pairs[pair].starved = false;
		net_rx_run(n, pair);
	} else {
		net_tx_run(n, pair);
	}
}

static void forget_driver(struct virtio_net *n)
{
	n->n_active = 1;
	n->guest_offloads = 0;
	memcpy(n->config.mac, n->mac, sizeof(n->mac));
	for (unsigned int i = 0; i < NET_MAX_PAIRS; i++) {
		uint8_t *room = n->pairs[i].room;

		n->pairs[i] = (struct net_pair){ .room = room, .ahead = 1 };
	}
}

static void net_activate(struct virtio_dev *v)
{
	struct virtio_net *n = net_of(v);

	forget_driver(n);
	n->guest_offloads = v->features & GUEST_OFFLOADS;
	n->running = true;
	n->stale = true;
	evloop_post(v->loop, &n->settle);
}

static void net_reset(struct virtio_dev *v)
{
	struct virtio_net *n = net_of(v);

	forget_driver(n);
	n->running = false;
	if (n->vhost)
		net_vhost_stop(n);
	n->stale = true;
	evloop_post(v->loop, &n->settle);
}

static void net_runs_changed(struct virtio_dev *v)
{
	struct virtio_net *n = net_of(v);

	if (!n->vhost)
		return;
	net_vhost_stop(n);
	n->stale = true;
	evloop_post(v->loop, &n->settle);
}

static void net_interrupts_changed(struct virtio_dev *v)
{
	struct virtio_net *n = net_of(v);

	if (n->vhost)
		net_vhost_interrupts_changed(n);
}

static int net_start(struct virtio_dev *v, struct err *e)
{
	struct virtio_net *n = net_of(v);

	return n->vhost ? net_vhost_own(n, e) : 0;
}

static void net_counters(struct virtio_dev *v, metric_fn fn, void *arg)
{
	struct virtio_net *n = net_of(v);
	const struct net_counters *c = &n->count;
	struct netif_count f = {
		.rx_frames = metric_get(&c->rx_frames),
		.rx_bytes = metric_get(&c->rx_bytes),
		.tx_frames = metric_get(&c->tx_frames),
		.tx_bytes = metric_get(&c->tx_bytes),
		.rx_dropped = metric_get(&c->rx_dropped),
		.tx_dropped = metric_get(&c->tx_dropped),
	};

	if (n->vhost && n->netif->ops->count)
		n->netif->ops->count(n->netif, &f);
	fn(arg, "rx_frames", f.rx_frames);
	fn(arg, "rx_bytes", f.rx_bytes);
	fn(arg, "tx_frames", f.tx_frames);
	fn(arg, "tx_bytes", f.tx_bytes);
	fn(arg, "rx_dropped", f.rx_dropped);
	fn(arg, "tx_dropped", f.tx_dropped);
	fn(arg, "errors", metric_get(&c->errors));
}

static void free_rooms(struct virtio_net *n)
{
	for (unsigned int i = 0; i < NET_MAX_PAIRS; i++)
		free(n->pairs[i].room);
}

static void net_destroy(struct virtio_dev *v)
{
	struct virtio_net *n = net_of(v);

	net_vhost_destroy(n);
	netif_destroy(n->netif);
	evloop_unpost(v->loop, &n->settle);
	rate_fini(&n->rx_rate);
	rate_fini(&n->tx_rate);
	virtio_dev_fini(v);
	free_rooms(n);
	free(n);
}

static const struct virtio_dev_ops net_ops = {
	.type = "virtio-net",
	.id = VIRTIO_ID_NET,
	.pci_class = { 0x02, 0x00, 0x00 }, /* network controller, Ethernet */
	.activate = net_activate,
	.queue_ready = net_queue_ready,
	.start = net_start,
	.reset = net_reset,
	.runs_changed = net_runs_changed,
	.interrupts_changed = net_interrupts_changed,
	.counters = net_counters,
	.destroy = net_destroy,
};

/* Creation ----------------------------------------------------------------------------------- */

static uint64_t features_of(const struct netif *nif, uint16_t mtu)
{
	uint64_t f = BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) |
		     BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CTRL_VQ) |
		     BIT(VIRTIO_NET_F_CTRL_MAC_ADDR);

	for (unsigned int i = 0; i < ARRAY_SIZE(offloads); i++) {
		if (nif->offloads & offloads[i].netif)
			f |= BIT(offloads[i].host) | BIT(offloads[i].guest) |
			     BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	}
	if (nif->n_pairs > 1)
		f |= BIT(VIRTIO_NET_F_MQ);
	if (mtu)
		f |= BIT(VIRTIO_NET_F_MTU);
	return f;
}

static bool make_rooms(struct virtio_net *n)
{
	for (unsigned int i = 0; i < n->netif->n_pairs; i++) {
		n->pairs[i].room = malloc(NETIF_HDR_LEN + NETIF_FRAME_MAX + 1);
		if (!n->pairs[i].room)
			return false;
	}
	return true;
}

static int init(struct virtio_net *n, const struct virtio_net_params *p,
		const struct device_env *env, struct err *e)
{
	const struct virtio_dev_params params = {
		.name = p->name,
		.mem = env->mem,
		.loop = env->loop,
		.features = features_of(p->netif, p->mtu),
		.config = &n->config,
		.config_len = sizeof(n->config),
		.n_queues = 2 * p->netif->n_pairs + 1,
		.queue_size = QUEUE_SIZE,
		.drained = NET_TX_QUEUES,
	};

	n->netif = p->netif;
	n->settle = (struct ev_task){ .fn = on_settle, .arg = n };
	memcpy(n->mac, p->mac, sizeof(n->mac));
	store_le16(n->config.max_virtqueue_pairs, (uint16_t)n->netif->n_pairs);
	store_le16(n->config.mtu, p->mtu);
	set_link_status(n);
	if (!make_rooms(n))
		return err_set(e, -ENOMEM, "%s: out of memory", p->name);
	forget_driver(n);
	if (virtio_dev_init(&n->v, &net_ops, &params, e) < 0)
		return e->code;
	if (p->vhost && net_vhost_create(n, e) < 0) {
		virtio_dev_fini(&n->v);
		return err_wrap(e, "%s", p->name);
	}
	rate_init(&n->rx_rate, &p->rate, env->loop, on_rx_rate, n);
	rate_init(&n->tx_rate, &p->rate, env->loop, on_tx_rate, n);
	n->netif->events = &netif_events;
	n->netif->arg = n;
	return 0;
}

int virtio_net_create_on(struct virtio_dev **out, const struct virtio_net_params *p,
			 const struct device_env *env, struct err *e)
{
	struct virtio_net *n = calloc(1, sizeof(*n));

	if (!n)
		return err_set(e, -ENOMEM, "%s: out of memory", p->name);
	if (init(n, p, env, e) < 0) {
		free_rooms(n);
		free(n);
		return e->code;
	}
	log_info("%s: %02x:%02x:%02x:%02x:%02x:%02x", p->name, p->mac[0], p->mac[1], p->mac[2],
		 p->mac[3], p->mac[4], p->mac[5]);
	*out = &n->v;
	return 0;
}

int virtio_net_create(struct virtio_dev **out, const struct net_spec *spec, const char *name,
		      const struct device_env *env, struct err *e)
{
	struct virtio_net_params p = { .name = name, .rate = spec->rate, .vhost = spec->vhost };
	int rc;

	if (netif_open(&p.netif, spec, name, env->loop, e) < 0)
		return err_wrap(e, "%s", name);
	p.mtu = p.netif->mtu;
	net_mac(p.mac, p.netif->seed);
	if (spec->has_mac)
		memcpy(p.mac, spec->mac, sizeof(p.mac));
	rc = virtio_net_create_on(out, &p, env, e);
	if (rc < 0)
		netif_destroy(p.netif);
	return rc;
}
