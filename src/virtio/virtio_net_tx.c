/*
 * virtio_net_tx.c - frames from the guest.
 *
 * Life of a VM: whenever the driver notifies a transmit queue, on the loop. Frames go from guest
 * RAM to the interface without a copy; their headers are copied, checked and made anew, because the
 * host's kernel acts on them.
 *
 * Source: VIRTIO 1.2, 5.1.6.2 "Packet Transmission".
 */
#include "virtio_net_priv.h"
#include <string.h>
#include <sys/epoll.h>
#include <vmm/base/bytes.h>

/* The least that Linux cuts a TCP stream into; less would be a flood out of one frame. */
#define GSO_SIZE_MIN 8u

/* 5.1.6.2.2: which feature allows a kind of segmentation. */
static bool gso_is_allowed(const struct virtio_net *n, uint8_t type)
{
	bool ecn = type & VIRTIO_NET_HDR_GSO_ECN;

	if (ecn && !virtio_dev_has(&n->v, VIRTIO_NET_F_HOST_ECN))
		return false;
	switch (type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return virtio_dev_has(&n->v, VIRTIO_NET_F_HOST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return virtio_dev_has(&n->v, VIRTIO_NET_F_HOST_TSO6);
	default:
		return false;
	}
}

/*
 * Makes n->hdr out of what the driver says about a frame of `len` bytes. false: that cannot be.
 * Bits that we do not know are ignored, and so are the fields that no flag refers to (5.1.6.2.2).
 */
static bool make_header(struct virtio_net *n, const uint8_t *raw, size_t len)
{
	uint8_t flags = raw[0], type = raw[1];
	uint16_t hdr_len = load_le16(raw + 2), gso_size = load_le16(raw + 4);
	uint16_t start = load_le16(raw + 6), offset = load_le16(raw + 8);
	uint8_t *out = (uint8_t *)&n->hdr;

	memset(out, 0, NETIF_HDR_LEN);
	if (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		if (!virtio_dev_has(&n->v, VIRTIO_NET_F_CSUM))
			return false;
		if ((size_t)start + offset + 2 > len || start < NETIF_FRAME_MIN)
			return false;
		out[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		store_le16(out + 6, start);
		store_le16(out + 8, offset);
	}
	if (type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	/* Segments need checksums of their own. hdr_len is a hint, but the kernel wants it sane. */
	if (!gso_is_allowed(n, type) || !out[0] || gso_size < GSO_SIZE_MIN || hdr_len > len)
		return false;
	out[1] = type;
	store_le16(out + 2, hdr_len);
	store_le16(out + 4, gso_size);
	return true;
}

static bool has_frame(struct virtio_net *n, size_t *len)
{
	uint8_t raw[NETIF_HDR_LEN];

	if (vchain_read(&n->chain, raw, sizeof(raw)) < sizeof(raw))
		return false;
	*len = n->chain.readable - sizeof(raw);
	return *len >= NETIF_FRAME_MIN && *len <= NETIF_FRAME_MAX && make_header(n, raw, *len);
}

/* The chain in n->chain is the driver's again, and comes back with the next turn. */
static void put_back(struct virtio_net *n, unsigned int pair)
{
	virtio_dev_unpop(&n->v, net_tx_queue(pair), n->chain.head);
}

static enum netif_sent send_frame(struct virtio_net *n, unsigned int pair, size_t len)
{
	int pieces;

	n->iov[0] = (struct iovec){ &n->hdr, NETIF_HDR_LEN };
	pieces = vchain_iov_readable(&n->chain, len, n->iov + 1);
	return n->netif->ops->send(n->netif, pair, n->iov, pieces + 1);
}

/*
 * A frame that waits for the interface has been paid for; but it is read anew from the ring when
 * its turn comes, and may be longer by then. false: it is not time yet.
 */
static bool pay(struct virtio_net *n, struct net_pair *p, size_t len)
{
	if (p->tx_paid == 0) {
		if (rate_is_limited(&n->tx_rate) && !rate_take(&n->tx_rate, len))
			return false;
	} else if (len > p->tx_paid && rate_is_limited(&n->tx_rate)) {
		rate_charge(&n->tx_rate, len - p->tx_paid);
	}
	if (len > p->tx_paid)
		p->tx_paid = len;
	return true;
}

/* false: it has to wait. */
static bool send_chain(struct virtio_net *n, unsigned int pair)
{
	struct net_pair *p = &n->pairs[pair];
	size_t len;

	if (!has_frame(n, &len)) {
		metric_add(&n->count.errors, 1);
		metric_add(&n->count.tx_dropped, 1);
		log_guest(&n->v.limit,
			  "%s: a frame with an impossible header or length was dropped", n->v.name);
		return true;
	}
	if (!pay(n, p, len)) {
		p->tx_late = true;
		return false;
	}
	switch (send_frame(n, pair, len)) {
	case NETIF_AGAIN:
		p->tx_full = true;
		net_update_watch(n, pair);
		return false;
	case NETIF_DROPPED:
		metric_add(&n->count.tx_dropped, 1);
		break;
	case NETIF_SENT:
		metric_add(&n->count.tx_frames, 1);
		metric_add(&n->count.tx_bytes, len);
		break;
	}
	p->tx_paid = 0;
	return true;
}

void net_tx_run(struct virtio_net *n, unsigned int pair)
{
	struct net_pair *p = &n->pairs[pair];
	unsigned int qi = net_tx_queue(pair);

	while (!p->tx_full && !p->tx_late && virtio_dev_pop(&n->v, qi, &n->chain)) {
		if (!send_chain(n, pair)) {
			put_back(n, pair);
			break;
		}
		virtio_dev_push(&n->v, qi, n->chain.head, 0);
	}
}
