/*
 * virtio_net_priv.h - private to virtio_net*.c: one network device.
 *
 * Everything but what is fixed at creation is guarded by the device's lock; netif and rate are, on
 * top of that, used on the loop alone.
 */
#ifndef VMM_SRC_VIRTIO_VIRTIO_NET_PRIV_H
#define VMM_SRC_VIRTIO_VIRTIO_NET_PRIV_H
#include <linux/virtio_net.h>
#include <vmm/base/util.h>
#include <vmm/host/rate.h>
#include <vmm/net/netif.h>
#include <vmm/virtio/virtio_dev.h>

#define NET_RX_TURN 64u /* frames received in one turn, before others get theirs */
#define NET_IOV 1024u /* IOV_MAX of the kernel */

/* 5.1.4: as far as we have it. */
struct net_config {
	uint8_t mac[6];
	uint8_t status[2];
	uint8_t max_virtqueue_pairs[2];
	uint8_t mtu[2];
};

struct net_counters {
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
	uint64_t rx_dropped, tx_dropped; /* frames that went no further */
	uint64_t errors; /* of the driver's: buffers, headers and commands that cannot be */
};

struct net_pair { /* a receive and a transmit queue */
	/*
	 * Room for a header and a frame. While one is received: what does not fit into the buffers
	 * at hand. held > 0: a whole frame, that long with its header, which waits for buffers
	 * or for its time.
	 */
	uint8_t *room;
	size_t held;
	bool paid; /* the held frame has been through the rate limit */
	unsigned int ahead; /* buffers to take before the length of a frame is known; at least 1 */
	bool starved; /* the ring was empty: nothing is received until the driver notifies */
	bool rx_late, tx_late; /* waiting for rx_rate, tx_rate */
	size_t tx_paid; /* bytes of the next frame that the rate limit has let pass already */
	bool tx_full; /* the interface took no more: waiting for writable() */
};

/* Receive buffers taken for one frame. */
struct net_bufs {
	unsigned int n;
	uint16_t head[VIRTQ_MAX_SIZE];
	size_t size[VIRTQ_MAX_SIZE]; /* bytes of frame in each: the first has the header, too */
	size_t total; /* sum of size */
	int n_iov;
	struct iovec iov[NET_IOV]; /* [0] is the header, private; then the room for the frame */
	struct vchain first; /* its write cursor is where the header goes */
};

struct virtio_net {
	struct virtio_dev v;
	struct netif *netif;
	uint8_t mac[6];
	struct rate rx_rate, tx_rate;
	struct net_vhost *vhost; /* the host's kernel moves the frames; NULL: we do */
	struct ev_task settle; /* after a reset or an activation, on a vCPU: the loop's part */

	/* Under the lock. */
	struct net_config config;
	bool running; /* between activate() and reset() */
	bool stale; /* the interface does not know yet */
	unsigned int n_active; /* pairs that receive, at least 1 (5.1.6.5.5) */
	uint64_t guest_offloads; /* VIRTIO_NET_F_GUEST_*: what the driver takes now */
	struct net_counters count;
	struct net_pair pairs[NET_MAX_PAIRS];

	/* Scratch, valid within one turn. */
	struct virtio_net_hdr_v1 hdr;
	struct net_bufs bufs;
	struct vchain chain;
	struct iovec iov[VCHAIN_MAX_SEGS + 1];
};

static inline struct virtio_net *net_of(struct virtio_dev *v)
{
	return container_of(v, struct virtio_net, v);
}

/* 5.1.2: receiveq1, transmitq1, receiveq2, ... and the control queue behind the last pair. */
static inline unsigned int net_rx_queue(unsigned int pair)
{
	return 2 * pair;
}
static inline unsigned int net_tx_queue(unsigned int pair)
{
	return 2 * pair + 1;
}
#define NET_TX_QUEUES UINT64_C(0xaaaaaaaaaaaaaaaa) /* a bit for each that there may be */

/* All on the loop, lock held. ------------------------------------------------------------------ */

/* Brings the interface in line with the driver. First thing in every turn. */
void net_settle(struct virtio_net *n);
/* Tells the interface what this pair waits for. */
void net_update_watch(struct virtio_net *n, unsigned int pair);

/* Receives until there is nothing more, no buffer, or the turn is over. */
void net_rx_run(struct virtio_net *n, unsigned int pair);
/* Sends what the driver has queued. */
void net_tx_run(struct virtio_net *n, unsigned int pair);

/* virtio_net_vhost.c ------------------------------------------------------------------------- */

struct net_vhost;

/* Opens what n->vhost needs; takes features away that this kernel has not. Errors say what to do.
 */
int net_vhost_create(struct virtio_net *n, struct err *e);
void net_vhost_destroy(struct virtio_net *n); /* stopped; without n->vhost: fine */
/* All of guest RAM becomes the kernel's to use. Main thread, before the guest runs. */
int net_vhost_own(struct virtio_net *n, struct err *e);
/* Lock held. stop() takes back what shall not run any more, on any thread, at once; start() gives
 * away what shall, on the loop. */
void net_vhost_stop(struct virtio_net *n);
void net_vhost_start(struct virtio_net *n);
/* Any thread, any lock. */
void net_vhost_interrupts_changed(struct virtio_net *n);

#endif
