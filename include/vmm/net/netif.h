/*
 * netif.h - the host's end of a network interface: frames in, frames out, and whether there is a
 * link.
 *
 * A tap, a passt process or another VM stands behind it; the device in front knows none of them. A
 * frame is Ethernet from the destination address on, without checksum, and has a header in front of
 * it in the layout of VIRTIO 1.2, 5.1.6 (struct virtio_net_hdr_v1).
 *
 * Loop thread only. Nothing blocks.
 */
#ifndef VMM_NET_NETIF_H
#define VMM_NET_NETIF_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <vmm/base/err.h>
#include <vmm/host/evloop.h>
#include <vmm/net/net_spec.h>

struct netif;

#define NETIF_HDR_LEN 12u /* struct virtio_net_hdr_v1 */
#define NETIF_FRAME_MIN 14u /* an Ethernet header */
/* The largest IP packet behind an Ethernet header with two VLAN tags. */
#define NETIF_FRAME_MAX (65535u + NETIF_FRAME_MIN + 8u)

/* Work that is left to whoever takes a frame over. */
enum netif_offload {
	NETIF_CSUM = 1, /* checksums to be completed (NEEDS_CSUM) */
	NETIF_TSO4 = 2, /* TCP segments to be cut, over IPv4 */
	NETIF_TSO6 = 4, /* and over IPv6 */
	NETIF_ECN = 8, /* the same with ECN */
};

enum netif_sent {
	NETIF_SENT,
	NETIF_DROPPED, /* there is no way for it, now or at all */
	NETIF_AGAIN, /* not taken: writable() will be called, if it is watched for */
};

/* What the device in front wants to hear. On the loop, never from within an op. */
struct netif_events {
	void (*readable)(void *arg, unsigned int pair);
	void (*writable)(void *arg, unsigned int pair);
	void (*link)(void *arg); /* n->link_up has changed */
};

/* Frames, with the guest's names: it receives what is sent to it. */
struct netif_count {
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes, rx_dropped, tx_dropped;
};

struct netif_ops {
	/*
	 * Sends one frame, of NETIF_FRAME_MIN to NETIF_FRAME_MAX bytes. iov[0] is the header, and
	 * nothing but that: checked, and without offloads that the interface has not. The array
	 * (not the bytes) may be changed.
	 */
	enum netif_sent (*send)(struct netif *n, unsigned int pair, struct iovec *iov, int n_iov);
	/*
	 * Receives one frame, the header into iov[0]; behind that there is room for more than
	 * NETIF_FRAME_MAX bytes. Returns the bytes of both; 0: there is none.
	 */
	size_t (*receive)(struct netif *n, unsigned int pair, const struct iovec *iov, int n_iov);
	/* Which of EPOLLIN and EPOLLOUT shall be told; both are levels. At first: none. */
	void (*watch)(struct netif *n, unsigned int pair, uint32_t events);
	/* Frames come by the first n_pairs pairs from now on. NULL: there is one pair. */
	void (*set_pairs)(struct netif *n, unsigned int n_pairs);
	/* What of `offloads` may be left undone in received frames; at first nothing. NULL: none
	 * is. */
	void (*set_offloads)(struct netif *n, unsigned int offloads);
	/*
	 * The descriptor by which the kernel can move the pair's frames itself, in our place
	 * (vhost); then send(), receive() and watch() are not called. Any thread. NULL: there is
	 * none.
	 */
	int (*fd)(const struct netif *n, unsigned int pair);
	/* What has passed by that way. Where fd is used; NULL: not known. */
	void (*count)(const struct netif *n, struct netif_count *c);
	void (*destroy)(struct netif *n);
};

struct netif { /* embedded in every kind */
	const struct netif_ops *ops;
	unsigned int n_pairs; /* at most NET_MAX_PAIRS */
	unsigned int offloads; /* enum netif_offload: what it can take, and give */
	uint16_t mtu; /* to be told to the guest; 0: nothing */
	bool link_up;
	char *seed; /* owned: what a stable MAC address can be made of; see net_mac() */

	const struct netif_events *events; /* set by whoever is in front, before the first watch */
	void *arg;
};

/*
 * Opens what the spec names. It and name ("net0") outlive it. Owned by the caller until
 * netif_destroy(). Errors say what is wrong with the interface, the path or the process.
 */
int netif_open(struct netif **out, const struct net_spec *spec, const char *name, struct evloop *l,
	       struct err *e);
void netif_destroy(struct netif *n); /* NULL is fine */

/*
 * A MAC address out of a seed: the same on the same host, another one for another seed; locally
 * administered, unicast.
 */
void net_mac(uint8_t mac[6], const char *seed);

#endif
