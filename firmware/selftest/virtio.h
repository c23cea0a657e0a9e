/*
 * virtio.h - a virtio driver: from finding a device to a request and its answer.
 *
 * Source: VIRTIO 1.2: 2.7 split virtqueues, 3.1.1 initialisation; 4.1 PCI is in virtio_pci.c, 4.2
 * MMIO in virtio_mmio.c, and chapter 5, what each type of device does, in blk.c, net.c, console.c
 * and rng.c.
 *
 * The order in which to read it: struct virtio_transport is what the two transports offer;
 * virtio_start() brings a device up with it; virtq_add(), virtq_kick() and virtq_take() are a
 * request's way there and back, and virtq_request() does all three and waits.
 */
#ifndef VMM_FIRMWARE_SELFTEST_VIRTIO_H
#define VMM_FIRMWARE_SELFTEST_VIRTIO_H
#include "guest.h"

#define VIRTIO_ID_NET 1u
#define VIRTIO_ID_BLOCK 2u
#define VIRTIO_ID_CONSOLE 3u
#define VIRTIO_ID_RNG 4u

/* 2.1 */
#define STATUS_ACKNOWLEDGE 1u
#define STATUS_DRIVER 2u
#define STATUS_DRIVER_OK 4u
#define STATUS_FEATURES_OK 8u
#define STATUS_NEEDS_RESET 64u

/* 6 */
#define F_INDIRECT_DESC (UINT64_C(1) << 28)
#define F_EVENT_IDX (UINT64_C(1) << 29)
#define F_VERSION_1 (UINT64_C(1) << 32)

#define VIRTQ_SIZE 32u /* of each queue of ours; a power of two */
#define VIRTQ_MAX 8u /* queues of a device that we use */
#define MAX_PIECES 8u /* of a request */
#define MAX_DEVICES 16u

struct virtq { /* 2.7 */
	uint16_t index; /* which of the device's queues */
	uint16_t size;
	uint16_t free; /* head of the list of free descriptors, linked by next */
	uint16_t n_free;
	uint16_t seen; /* used->idx, as far as we have looked */
	uint16_t kicked; /* avail->idx at the last notification */
	bool event_idx, indirect; /* negotiated */
	unsigned int vector; /* the interrupt that tells of used buffers */
	uint32_t notify_off; /* PCI: where to write, behind virtio.notify */
	struct virtq_memory *memory; /* what the device reads and writes: virtio.c */
};

struct virtio {
	const struct virtio_transport *transport;
	unsigned int id; /* 5 */
	uint64_t features; /* negotiated */
	uint16_t n_queues;
	struct virtq q[VIRTQ_MAX];

	/* The transport's. */
	volatile uint8_t *regs; /* MMIO: its page; PCI: the common configuration */
	volatile uint8_t *config; /* of the type of device */
	volatile uint8_t *notify, *isr, *msix; /* PCI */
	uint32_t notify_multiplier; /* PCI */
	unsigned int slot; /* PCI: its place on the bus */
	unsigned int gsi; /* MMIO: its interrupt line */
	unsigned int vector; /* the first of its interrupts */
};

struct virtio_transport {
	uint8_t (*get_status)(struct virtio *v);
	/* 0 starts a reset, which is done when get_status() says 0. */
	void (*set_status)(struct virtio *v, uint8_t status);
	uint64_t (*get_features)(struct virtio *v);
	void (*set_features)(struct virtio *v, uint64_t features);
	/* Both return NULL, or what is wrong. */
	const char *(*setup_queue)(struct virtio *v, struct virtq *q, uint64_t desc, uint64_t avail,
				   uint64_t used);
	const char *(*setup_interrupts)(struct virtio *v); /* before any queue */
	void (*notify)(struct virtio *v, uint16_t index);
	/* Why it interrupted: bit 0 a queue, bit 1 the configuration. Reading acknowledges. */
	uint32_t (*get_isr)(struct virtio *v);
};

/* A piece of a request: those that the device reads come first (2.7.4.2). */
struct piece {
	void *at;
	uint32_t len;
	bool writable; /* by the device */
};

/* Finding devices. Each is found once, on PCI or MMIO; NULL: there is none. */
struct virtio *virtio_find(unsigned int id);
/* virtio_pci.c, virtio_mmio.c: fill in what they find, at most max; how many. */
unsigned int virtio_pci_scan(struct virtio *v, unsigned int max);
unsigned int virtio_mmio_scan(struct virtio *v, unsigned int max);
/* Of the latter: is there one at this address? */
bool virtio_mmio_probe(struct virtio *v, uint64_t base, unsigned int gsi);

/*
 * 3.1.1: reset to DRIVER_OK, with those of the wanted features that there are and the first
 * n_queues queues. What was there before is gone. NULL, or what is wrong.
 */
const char *virtio_start(struct virtio *v, uint64_t wanted, uint16_t n_queues);
/* Back to as after power-on; DRIVER_OK is gone, nothing comes any more. */
const char *virtio_reset(struct virtio *v);

/* Makes a request available; returns its number, or -1 if there is no room. */
int virtq_add(struct virtq *q, const struct piece *pieces, unsigned int n);
/* Notifies the device, if it wants to be (2.7.10). true: it did. */
bool virtq_kick(struct virtio *v, struct virtq *q);
/* The next request that the device has finished, and how many bytes it wrote; -1: none yet. */
int virtq_take(struct virtq *q, uint32_t *written);
/* Asks for an interrupt once `ahead` more requests than now taken are finished: 1 is the next one.
 */
void virtq_want_interrupt(struct virtq *q, uint16_t ahead);
/* Waits for the next one, whether or not it interrupts. -1: it did not come. */
int virtq_wait(struct virtq *q, uint32_t *written);

/* There and back, with an interrupt at the end. false: no answer. written may be NULL. */
bool virtq_request(struct virtio *v, struct virtq *q, const struct piece *pieces, unsigned int n,
		   uint32_t *written);

/* 4.1.3, 4.2.2: fields of the configuration by their own width. */
static inline uint8_t config8(struct virtio *v, unsigned int off)
{
	return v->config[off];
}
static inline uint16_t config16(struct virtio *v, unsigned int off)
{
	return *(volatile uint16_t *)(v->config + off);
}
static inline uint32_t config32(struct virtio *v, unsigned int off)
{
	return *(volatile uint32_t *)(v->config + off);
}
/* What changes while it is read has to be read again, by ConfigGeneration (2.5.1); ours do not. */
static inline uint64_t config64(struct virtio *v, unsigned int off)
{
	return config32(v, off) | (uint64_t)config32(v, off + 4) << 32;
}

#endif
