/*
 * virtio_dev.h - a virtio device: status machine, features, queues; what a transport shows to the
 * guest, and what a device type adds.
 *
 * Source: VIRTIO 1.2, chapter 2 "Basic Facilities". A device type (virtio_blk, virtio_net, ...)
 * knows no transport, a transport (virtio_pci, virtio_mmio, a test's fake driver) knows no type.
 *
 * Threads: the guest's register accesses come from vCPU threads, notifications and the host's side
 * from the loop. One lock for each device serialises them; every op of a device type is called with
 * it held, and none may block. config_write(), activate() and reset() come on a vCPU thread: of the
 * event loop they may call evloop_post() alone (or virtio_dev_kick(), for a turn on the loop);
 * queue_ready() comes on the loop. What the device type starts by itself (a timer, a completion, a
 * readable fd) begins with virtio_dev_lock(). Lock order: device, then the transport's own.
 */
#ifndef VMM_VIRTIO_VIRTIO_DEV_H
#define VMM_VIRTIO_VIRTIO_DEV_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <vmm/base/err.h>
#include <vmm/base/log.h>
#include <vmm/base/metric.h>
#include <vmm/host/evloop.h>
#include <vmm/virtio/virtq.h>

struct virtio_dev;

#define VIRTIO_DEV_MAX_QUEUES 64u
#define VIRTIO_DEV_BUDGET 128u /* chains taken in one turn, before others get theirs */

struct virtio_dev_ops {
	const char *type; /* "virtio-blk" */
	uint16_t id; /* VIRTIO_ID_* of <linux/virtio_ids.h> (5, "Device Types") */
	uint8_t pci_class[3]; /* base class, subclass, programming interface */

	/* As that of struct device_ops; without the lock. */
	int (*start)(struct virtio_dev *v, struct err *e);
	/* A write to [off, off+len) of the configuration space, which is inside it. NULL: ignored.
	 */
	void (*config_write)(struct virtio_dev *v, uint32_t off, const void *src, uint32_t len);
	/* DRIVER_OK: v->features is negotiated, enabled queues run. */
	void (*activate)(struct virtio_dev *v);
	/* The driver has notified queue qi, which runs, or the loop has found something in it. Pop
	 * until false; interrupts are sent on return. */
	void (*queue_ready)(struct virtio_dev *v, unsigned int qi);
	/*
	 * The driver or a power cycle resets the device. Forget all of the driver's state; chains
	 * that are at the host are handed back by virtio_dev_push() when they are done, as ever:
	 * the reset is complete for the guest when the last of them is.
	 */
	void (*reset)(struct virtio_dev *v);
	/*
	 * virtio_dev_queue_runs() may give another answer, for a reason that is neither of those
	 * two: DMA is allowed or not, the device needs a reset. For who lets somebody else work the
	 * rings: on return nobody touches those of a queue that does not run. Any thread.
	 */
	void (*runs_changed)(struct virtio_dev *v);
	/* virtio_dev_interrupt_fd() may give another answer. Any thread, whatever locks are held:
	 * may post to the loop, and nothing else. */
	void (*interrupts_changed)(struct virtio_dev *v);
	/*
	 * Waits until no chain is at the host any more. Loop thread, no vCPU runs, the lock is not
	 * held. NULL: chains never are.
	 */
	void (*drain)(struct virtio_dev *v);
	void (*counters)(struct virtio_dev *v, metric_fn fn, void *arg); /* lock held */
	/* Frees; the device is reset and drained. */
	void (*destroy)(struct virtio_dev *v);
};

/* How a transport tells the driver. Lock held, any thread; must not block. */
struct virtio_transport_ops {
	void (*queue_interrupt)(void *arg, unsigned int qi);
	void (*config_interrupt)(void *arg);
	/*
	 * An eventfd: to write to it is the same as queue_interrupt(), without us. It stays the
	 * transport's, and may lead nowhere once virtio_dev_interrupts_changed() has been called.
	 * -1: there is none, at the moment. Loop thread. NULL: there never is.
	 */
	int (*queue_interrupt_fd)(void *arg, unsigned int qi);
};

struct virtio_queue {
	struct virtq vq;
	struct virtio_dev *dev;
	int kick_fd; /* an eventfd: the driver's notifications, by KVM or by the transport */
	struct ev_fd kick;
	bool lent; /* to somebody else, who gets the notifications; loop thread */
	struct ev_poll poll; /* while notifications are not worth waiting for */
};

struct virtio_dev { /* embedded in every device type */
	const struct virtio_dev_ops *ops;
	const char *name; /* "disk0"; of the device type */
	struct gmem *mem;
	struct evloop *loop;
	uint64_t offered; /* features of the type and of the rings; fixed once a transport has it */
	uint8_t *config; /* the configuration space, little-endian; of the device type */
	uint32_t config_len;

	pthread_mutex_t lock; /* guards what follows, and the device type's own state */
	uint8_t status;
	bool resetting; /* until the last chain is back */
	uint64_t features; /* the driver's choice; checked at FEATURES_OK */
	uint8_t config_generation;
	bool no_dma; /* the transport may not let it touch RAM */
	uint64_t driven_ns; /* when a driver has set DRIVER_OK for the first time; 0: none has */
	struct virtio_queue *queues;
	unsigned int n_queues;
	const struct virtio_transport_ops *transport;
	void *transport_arg;
	struct log_limit limit;
	int turn; /* the queue that has its turn now; -1: none */
	unsigned int budget; /* chains that it may still take */
	uint64_t n_kicks, n_polls, n_interrupts; /* metrics */
};

/*
 * Main thread, before a transport has it. Adds VERSION_1, RING_INDIRECT_DESC, RING_EVENT_IDX to
 * features. name, config and ops outlive the device. queue_size: a power of two up to
 * VIRTQ_MAX_SIZE. On failure nothing is left.
 */
struct virtio_dev_params {
	const char *name;
	struct gmem *mem;
	struct evloop *loop;
	uint64_t features;
	void *config;
	uint32_t config_len;
	unsigned int n_queues;
	uint16_t queue_size;
	/*
	 * Queues whose turn takes all that is in the ring, unless it waits for something that kicks
	 * the queue then, and takes nothing until it does: these may be polled. A bit for each.
	 */
	uint64_t drained;
};
int virtio_dev_init(struct virtio_dev *v, const struct virtio_dev_ops *ops,
		    const struct virtio_dev_params *p, struct err *e);
void virtio_dev_fini(struct virtio_dev *v); /* by the type's destroy() */
/* Resets, drains, and calls the type's destroy(). Loop thread, no vCPU runs. NULL is fine. */
void virtio_dev_destroy(struct virtio_dev *v);

/* For device types ------------------------------------------------------------------------- */

static inline void virtio_dev_lock(struct virtio_dev *v)
{
	pthread_mutex_lock(&v->lock);
}
static inline void virtio_dev_unlock(struct virtio_dev *v)
{
	pthread_mutex_unlock(&v->lock);
}

/* All with the lock held. */
static inline bool virtio_dev_has(const struct virtio_dev *v, unsigned int feature_bit)
{
	return v->features >> feature_bit & 1;
}
/* DRIVER_OK, not broken, not being reset, and this queue runs. */
bool virtio_dev_queue_runs(const struct virtio_dev *v, unsigned int qi);
/*
 * false: none, see virtq_pop(), or, in queue_ready(), the turn is over: the queue will get another
 * one. A broken queue makes the device need a reset.
 */
bool virtio_dev_pop(struct virtio_dev *v, unsigned int qi, struct vchain *c);
/* virtq_unpop(). It was no work: a turn that did nothing else does not call for another. */
void virtio_dev_unpop(struct virtio_dev *v, unsigned int qi, uint16_t head);
/* put, publish. After a reset only the chain in flight is forgotten. */
void virtio_dev_push(struct virtio_dev *v, unsigned int qi, uint16_t head, uint32_t written);
/* Interrupts the driver if it wants that. Needed outside of queue_ready() only. */
void virtio_dev_flush(struct virtio_dev *v, unsigned int qi);
/*
 * A new turn for the queue, as if the driver had notified it: for when the host can go on, and for
 * notifications that do not come by KVM. No such queue: ignored. Any thread, lock held or not.
 */
void virtio_dev_kick(struct virtio_dev *v, unsigned int qi);
/* Interrupts the driver, wanted or not; for who does not know what the rings say. */
void virtio_dev_interrupt(struct virtio_dev *v, unsigned int qi);
/* See struct virtio_transport_ops. Loop thread. */
int virtio_dev_interrupt_fd(struct virtio_dev *v, unsigned int qi);
/*
 * The queue's notifications are for somebody else, who waits for its kick_fd; false: they are the
 * loop's again. Those that have come meanwhile lead to a turn. Loop thread.
 */
void virtio_dev_lend_queue(struct virtio_dev *v, unsigned int qi, bool lent);
/* Who works the rings has found them impossible: the device needs a reset. One line in the log. */
void virtio_dev_break(struct virtio_dev *v, const char *why);
/* The type has changed v->config: the driver is told. */
void virtio_dev_config_changed(struct virtio_dev *v);

/* For transports; each takes the lock. Whatever the guest asks, none fails. ------------------- */

/* The type's start(). Loop thread, no vCPU runs. */
int virtio_dev_start(struct virtio_dev *v, struct err *e);
void virtio_dev_attach(struct virtio_dev *v, const struct virtio_transport_ops *ops, void *arg);
/* What queue_interrupt_fd() says has changed. Any thread, also with the transport's own locks. */
void virtio_dev_interrupts_changed(struct virtio_dev *v);
/* While a reset waits for chains that are at the host, the status is not 0 yet (4.1.4.3.1). */
uint8_t virtio_dev_status(struct virtio_dev *v);
void virtio_dev_set_status(struct virtio_dev *v, uint8_t status);
/* A power cycle: set_status(0), and on return no chain is at the host. Loop thread, no vCPU runs.
 */
void virtio_dev_reset(struct virtio_dev *v);
/*
 * May the device read and write RAM? It may from the start; without, queues rest, but what is at
 * the host already comes back. For PCI's Bus Master Enable.
 */
void virtio_dev_allow_dma(struct virtio_dev *v, bool allowed);
/* word 0: bits 0 to 31; 1: bits 32 to 63; others: 0, ignored. */
uint32_t virtio_dev_offered_features(struct virtio_dev *v, uint32_t word);
uint32_t virtio_dev_driver_features(struct virtio_dev *v, uint32_t word);
void virtio_dev_set_driver_features(struct virtio_dev *v, uint32_t word, uint32_t bits);
/* Offsets beyond the configuration space read as all-ones; writes there are ignored. */
void virtio_dev_config_read(struct virtio_dev *v, uint64_t off, void *dst, uint32_t len);
void virtio_dev_config_write(struct virtio_dev *v, uint64_t off, const void *src, uint32_t len);
uint8_t virtio_dev_config_generation(struct virtio_dev *v);

/*
 * The registers of a queue. A queue that does not exist reads as 0 and ignores writes; so does
 * every write once the queue is enabled or DRIVER_OK is set (R3: frozen).
 */
enum virtio_queue_reg {
	VIRTIO_QUEUE_MAX_SIZE, /* read only */
	VIRTIO_QUEUE_SIZE,
	VIRTIO_QUEUE_ENABLE, /* 1 enables; 0 disables only before DRIVER_OK */
	VIRTIO_QUEUE_DESC_LOW,
	VIRTIO_QUEUE_DESC_HIGH,
	VIRTIO_QUEUE_AVAIL_LOW,
	VIRTIO_QUEUE_AVAIL_HIGH,
	VIRTIO_QUEUE_USED_LOW,
	VIRTIO_QUEUE_USED_HIGH,
};
uint32_t virtio_dev_queue_get(struct virtio_dev *v, uint32_t qi, enum virtio_queue_reg reg);
void virtio_dev_queue_set(struct virtio_dev *v, uint32_t qi, enum virtio_queue_reg reg,
			  uint32_t val);
/* "kicks", "polls" (turns that took something without a kick), "interrupts", those of the type. */
void virtio_dev_counters(struct virtio_dev *v, metric_fn fn, void *arg);
/* The eventfd that stands for "queue qi was notified", for KVM; qi < n_queues. */
int virtio_dev_kick_fd(const struct virtio_dev *v, unsigned int qi);

#endif
