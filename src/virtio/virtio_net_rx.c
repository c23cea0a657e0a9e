/*
 * virtio_net_rx.c - frames to the guest.
 *
 * Life of a VM: whenever the interface has a frame, or the driver has given buffers back, on the
 * loop.
 *
 * Source: VIRTIO 1.2, 5.1.6.3 "Setting Up Receive Buffers", 5.1.6.4 "Processing of Incoming
 * Packets".
 *
 * Buffers are taken first, as many as the last frame needed, and the interface fills them; what is
 * longer than they are lands in the pair's own room behind them, and is copied into further
 * buffers. If those do not suffice the frame is held, all buffers are the driver's again, and
 * nothing is received until it notifies: the interface is taken off the loop meanwhile, and keeps
 * the backlog.
 */
#include "virtio_net_priv.h"
#include <string.h>
#include <vmm/base/bytes.h>

#define ROOM (NETIF_FRAME_MAX + 1) /* one more, so that a frame that is too long shows */
#define VLAN_TAG 4u
#define AHEAD_MAX 32u /* buffers taken before there is a frame; what is more is copied */

static struct virtq *rx_vq(struct virtio_net *n, unsigned int pair)
{
	return &n->v.queues[net_rx_queue(pair)].vq;
}

static bool turn_is_over(const struct virtio_net *n, unsigned int pair)
{
	return n->v.turn == (int)net_rx_queue(pair) && n->v.budget == 0;
}

/* Buffers ------------------------------------------------------------------------------------ */

static bool pop(struct virtio_net *n, unsigned int pair, struct vchain *c)
{
	/* A frame that has been begun is finished in the same turn, however many buffers it takes.
	 */
	if (n->bufs.n > 0 && turn_is_over(n, pair))
		n->v.budget = 1;
	return virtio_dev_pop(&n->v, net_rx_queue(pair), c);
}

/*
 * A buffer that the header fits into. Smaller ones break a rule (5.1.6.3.1) and are handed back at
 * once, so many in one turn: the driver could go on for ever. false: there is none.
 */
static bool pop_first(struct virtio_net *n, unsigned int pair)
{
	struct net_bufs *b = &n->bufs;

	for (unsigned int i = 0; i < VIRTIO_DEV_BUDGET; i++) {
		if (!pop(n, pair, &b->first)) {
			n->pairs[pair].starved = !turn_is_over(n, pair);
			return false;
		}
		if (b->first.writable >= NETIF_HDR_LEN)
			return true;
		metric_add(&n->count.errors, 1);
		log_guest(&n->v.limit, "%s: a receive buffer too small for a header", n->v.name);
		virtio_dev_push(&n->v, net_rx_queue(pair), b->first.head, 0);
	}
	virtio_dev_kick(&n->v, net_rx_queue(pair));
	return false;
}

static bool take_first(struct virtio_net *n, unsigned int pair)
{
	struct net_bufs *b = &n->bufs;
	struct vcursor start;

	b->n = 0;
	b->total = 0;
	b->n_iov = 1;
	if (!pop_first(n, pair))
		return false;
	start = b->first.wr;
	vchain_skip_write(&b->first, NETIF_HDR_LEN);
	b->size[0] = min_size(b->first.writable - NETIF_HDR_LEN, ROOM);
	b->n_iov += vchain_iov_writable(&b->first, b->size[0], &b->iov[1]);
	b->first.wr = start;
	b->head[0] = b->first.head;
	b->total = b->size[0];
	b->n = 1;
	return true;
}

/* One more buffer, into n->chain. false: there is none. */
static bool take_next(struct virtio_net *n, unsigned int pair, size_t most)
{
	struct net_bufs *b = &n->bufs;

	if (b->n == VIRTQ_MAX_SIZE || !pop(n, pair, &n->chain))
		return false;
	b->head[b->n] = n->chain.head;
	b->size[b->n] = min_size(n->chain.writable, most);
	b->total += b->size[b->n];
	b->n++;
	return true;
}

/* As many buffers as a frame is likely to need, with their places in b->iov. */
static bool take_ahead(struct virtio_net *n, unsigned int pair)
{
	struct net_bufs *b = &n->bufs;

	if (!take_first(n, pair))
		return false;
	while (b->n < n->pairs[pair].ahead && b->total < ROOM &&
	       (size_t)b->n_iov + VCHAIN_MAX_SEGS + 1 <= NET_IOV) {
		size_t most = ROOM - b->total;

		if (!take_next(n, pair, most))
			break;
		b->n_iov += vchain_iov_writable(&n->chain, most, &b->iov[b->n_iov]);
	}
	return true;
}

/* All but the first `keep` buffers are the driver's again. */
static void give_back(struct virtio_net *n, unsigned int pair, unsigned int keep)
{
	struct net_bufs *b = &n->bufs;

	while (b->n > keep) {
		b->n--;
		b->total -= b->size[b->n];
		virtio_dev_unpop(&n->v, net_rx_queue(pair), b->head[b->n]);
	}
}

/* Copies between the room for a frame in guest RAM, as taken ahead, and `bytes`. */
static void copy_ahead(const struct net_bufs *b, uint8_t *bytes, size_t len, bool to_guest)
{
	for (int i = 1; i < b->n_iov && len > 0; i++) {
		size_t part = min_size(len, b->iov[i].iov_len);

		if (to_guest)
			memcpy(b->iov[i].iov_base, bytes, part);
		else
			memcpy(bytes, b->iov[i].iov_base, part);
		bytes += part;
		len -= part;
	}
}

/* Frames ------------------------------------------------------------------------------------- */

static bool takes(const struct virtio_net *n, unsigned int guest_feature)
{
	return n->guest_offloads >> guest_feature & 1;
}

/* 5.1.6.4.1: nothing is left undone in a frame that the driver does not want to do itself. */
static bool header_is_fine(struct virtio_net *n)
{
	uint8_t *h = (uint8_t *)&n->hdr, type = h[1];

	if (h[0] & VIRTIO_NET_HDR_F_NEEDS_CSUM && !takes(n, VIRTIO_NET_F_GUEST_CSUM))
		return false;
	h[0] &= VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
	if (!takes(n, VIRTIO_NET_F_GUEST_CSUM))
		h[0] = 0;
	if (type & VIRTIO_NET_HDR_GSO_ECN && !takes(n, VIRTIO_NET_F_GUEST_ECN))
		return false;
	switch (type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return type == VIRTIO_NET_HDR_GSO_NONE;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return takes(n, VIRTIO_NET_F_GUEST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return takes(n, VIRTIO_NET_F_GUEST_TSO6);
	default:
		return false;
	}
}

static bool frame_is_fine(struct virtio_net *n, size_t len)
{
	size_t most = NETIF_FRAME_MAX;

	if (!header_is_fine(n))
		return false;
	/* 5.1.4.1: no packet beyond the MTU, once that is agreed on. */
	if (virtio_dev_has(&n->v, VIRTIO_NET_F_MTU) &&
	    ((uint8_t *)&n->hdr)[1] == VIRTIO_NET_HDR_GSO_NONE)
		most = load_le16(n->config.mtu) + NETIF_FRAME_MIN + VLAN_TAG;
	return len >= NETIF_FRAME_MIN && len <= most;
}

static void drop(struct virtio_net *n, unsigned int pair)
{
	struct net_pair *p = &n->pairs[pair];

	metric_add(&n->count.rx_dropped, 1);
	give_back(n, pair, 0);
	p->held = 0;
	p->paid = false;
}

/* Keeps a frame of len bytes, of which the first `placed` are in guest RAM. */
static void hold(struct virtio_net *n, unsigned int pair, size_t len, size_t placed)
{
	struct net_pair *p = &n->pairs[pair];

	if (p->held == 0) {
		memcpy(p->room, &n->hdr, NETIF_HDR_LEN);
		copy_ahead(&n->bufs, p->room + NETIF_HDR_LEN, placed, false);
		p->held = NETIF_HDR_LEN + len;
	}
	give_back(n, pair, 0);
}

/* Header into the first buffer, and all of them to the driver at once (5.1.6.4.1). */
static void finish(struct virtio_net *n, unsigned int pair, size_t len)
{
	struct net_pair *p = &n->pairs[pair];
	struct net_bufs *b = &n->bufs;
	size_t left = len;

	store_le16((uint8_t *)&n->hdr + 10, (uint16_t)b->n);
	vchain_write(&b->first, &n->hdr, NETIF_HDR_LEN);
	for (unsigned int i = 0; i < b->n; i++) {
		size_t part = min_size(left, b->size[i]);

		left -= part;
		virtq_put(rx_vq(n, pair), b->head[i],
			  (uint32_t)(part + (i == 0 ? NETIF_HDR_LEN : 0)));
	}
	virtq_publish(rx_vq(n, pair));
	metric_add(&n->count.rx_frames, 1);
	metric_add(&n->count.rx_bytes, len);
	p->ahead = b->n < AHEAD_MAX ? b->n : AHEAD_MAX;
	p->held = 0;
	p->paid = false;
}

/* The rest of a frame, which lies in the pair's room, into further buffers. false: too few. */
static bool copy_rest(struct virtio_net *n, unsigned int pair, size_t len)
{
	const uint8_t *frame = n->pairs[pair].room + NETIF_HDR_LEN;

	while (n->bufs.total < len) {
		size_t at = n->bufs.total;

		if (!take_next(n, pair, len - at))
			return false;
		vchain_write(&n->chain, frame + at, len - at);
	}
	return true;
}

/* A frame of len bytes, placed in the buffers at hand as far as they reach. false: it waits. */
static bool deliver(struct virtio_net *n, unsigned int pair, size_t len)
{
	struct net_pair *p = &n->pairs[pair];
	size_t placed = min_size(n->bufs.total, len);
	unsigned int needed = 0;

	if (!p->paid && rate_is_limited(&n->rx_rate) && !rate_take(&n->rx_rate, len)) {
		p->rx_late = true;
		hold(n, pair, len, placed);
		return false;
	}
	p->paid = true;
	for (size_t sum = 0; sum < placed && needed < n->bufs.n; needed++)
		sum += n->bufs.size[needed];
	if (placed == len) {
		give_back(n, pair, needed);
	} else if (!virtio_dev_has(&n->v, VIRTIO_NET_F_MRG_RXBUF)) {
		drop(n, pair);
		return true;
	} else if (!copy_rest(n, pair, len)) {
		/* A whole ring is too small: more buffers will never be there. */
		if (n->bufs.n >= rx_vq(n, pair)->size) {
			drop(n, pair);
			return true;
		}
		hold(n, pair, len, placed);
		p->starved = true;
		return false;
	}
	finish(n, pair, len);
	return true;
}

static bool deliver_held(struct virtio_net *n, unsigned int pair)
{
	struct net_pair *p = &n->pairs[pair];
	size_t len = p->held - NETIF_HDR_LEN;

	memcpy(&n->hdr, p->room, NETIF_HDR_LEN);
	copy_ahead(&n->bufs, p->room + NETIF_HDR_LEN, min_size(n->bufs.total, len), true);
	return deliver(n, pair, len);
}

/* false: the turn is over, one way or another. */
static bool receive_one(struct virtio_net *n, unsigned int pair)
{
	struct net_pair *p = &n->pairs[pair];
	struct net_bufs *b = &n->bufs;
	size_t len;

	if (!take_ahead(n, pair))
		return false;
	if (p->held)
		return deliver_held(n, pair);
	b->iov[0] = (struct iovec){ &n->hdr, NETIF_HDR_LEN };
	len = b->n_iov;
	if (b->total < ROOM)
		b->iov[len++] =
			(struct iovec){ p->room + NETIF_HDR_LEN + b->total, ROOM - b->total };
	len = n->netif->ops->receive(n->netif, pair, b->iov, (int)len);
	if (len == 0) {
		give_back(n, pair, 0);
		return false;
	}
	if (len < NETIF_HDR_LEN || !frame_is_fine(n, len - NETIF_HDR_LEN)) {
		drop(n, pair);
		return true;
	}
	return deliver(n, pair, len - NETIF_HDR_LEN);
}

void net_rx_run(struct virtio_net *n, unsigned int pair)
{
	struct net_pair *p = &n->pairs[pair];
	unsigned int qi = net_rx_queue(pair), left = NET_RX_TURN;

	if (!p->rx_late && pair < n->n_active && virtio_dev_queue_runs(&n->v, qi)) {
		while (left > 0 && receive_one(n, pair))
			left--;
		/* The interface may have more in memory than its descriptor tells. */
		if (left == 0)
			virtio_dev_kick(&n->v, qi);
	}
	net_update_watch(n, pair);
}
