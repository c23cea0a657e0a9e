/*
 * virtq.h - the device's side of one split virtqueue, and checked copies of its descriptor chains.
 *
 * Source: VIRTIO 1.2, 2.7 "Split Virtqueues". The rings are in guest RAM and the driver may rewrite
 * them at any moment: every field is read once into a private variable, checked, and used from
 * there. A queue whose driver breaks the rules is `broken` and gives nothing more until it is
 * started again. Callers hold the lock of the device that owns the queue.
 */
#ifndef VMM_VIRTIO_VIRTQ_H
#define VMM_VIRTIO_VIRTQ_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <vmm/mem/gmem.h>

#define VIRTQ_MAX_SIZE 256u /* descriptors; a power of two */
/* A chain has at most as many descriptors as the queue (2.7.5.3.1); one that lies in two regions of
 * RAM is two segments. */
#define VCHAIN_MAX_SEGS (VIRTQ_MAX_SIZE + GMEM_MAX_REGIONS)

struct virtq {
	/* The driver's word, by way of the transport; frozen while the queue runs. */
	gpa_t desc, avail, used;
	uint16_t size; /* at most max_size */
	bool enabled;

	/* Set once by the device. */
	uint16_t max_size;

	/* Running. */
	struct gmem *mem; /* NULL: not running */
	const char *broken; /* why; NULL: it is not */
	bool indirect, event_idx; /* negotiated */
	bool polled; /* the driver need not notify: whoever pops will look again by itself */
	uint16_t next_avail; /* of the next chain to pop */
	uint16_t next_used; /* of the next element to put */
	uint16_t published; /* used.idx as the driver sees it */
	uint16_t signalled; /* used.idx at the last answer of virtq_wants_interrupt() */
	unsigned int n_in_flight; /* popped and not yet put */
	uint64_t in_flight[VIRTQ_MAX_SIZE / 64]; /* a bit for each head */
};

struct vcursor { /* where the next byte of a chain is */
	uint16_t seg, end;
	size_t off;
};

/* A private copy of one chain, every segment of it proved to be RAM. Large: about 4 KiB. */
struct vchain {
	uint16_t head;
	uint16_t n_readable, n_segs; /* seg[0..n_readable) readable, the rest writable */
	size_t readable, writable; /* bytes */
	struct vcursor rd, wr; /* for vchain_read() and vchain_write() */
	struct iovec seg[VCHAIN_MAX_SEGS];
};

/*
 * Starts an enabled queue at DRIVER_OK. false: `broken` says what is wrong with size, alignment or
 * place of the rings. features: as negotiated (VIRTIO_F_*).
 */
bool virtq_start(struct virtq *q, struct gmem *mem, uint64_t features);

/*
 * For a device that works the rings by itself (vhost), and only while it does: where they are, each
 * proved to be RAM, at desc, avail, used; used.idx is as we have left it. false: not running,
 * broken, or one of them is in two regions of RAM. goes_on_at() says how far it has come.
 */
bool virtq_rings(const struct virtq *q, void *at[3]);
void virtq_goes_on_at(struct virtq *q, uint16_t next_avail);

/* As after power-on, but for max_size. Chains in flight stay counted until they are put. */
void virtq_reset(struct virtq *q);

/*
 * Takes the next available chain. false: there is none (and the driver will notify when there is
 * one, unless the queue is polled), or the queue does not run, or it is broken.
 */
bool virtq_pop(struct virtq *q, struct vchain *c);

/* Would virtq_pop() find one, or something wrong? Changes nothing, and asks for no notification. */
bool virtq_has_more(const struct virtq *q);

/* Gives the chain that was popped last back, as if it had not been; several: the last one first. */
void virtq_unpop(struct virtq *q, uint16_t head);

/*
 * Hands a chain back with `written` bytes written into it. Of a queue that was reset meanwhile,
 * only the count of chains in flight changes. put() alone is not yet seen by the driver: several
 * elements become visible at once by publish(), as 5.1.6.4.1 wants for merged receive buffers.
 */
void virtq_put(struct virtq *q, uint16_t head, uint32_t written);
void virtq_publish(struct virtq *q);

/* Has anything been published since the last call that the driver wants an interrupt for? (2.7.7.2)
 */
bool virtq_wants_interrupt(struct virtq *q);

/* Copies from the readable, to the writable part; both return the bytes moved, and advance. */
size_t vchain_read(struct vchain *c, void *dst, size_t len);
size_t vchain_write(struct vchain *c, const void *src, size_t len);
/* Moves on without copying; returns the bytes skipped. */
size_t vchain_skip_read(struct vchain *c, size_t len);
size_t vchain_skip_write(struct vchain *c, size_t len);

/*
 * What lies between the cursor and the end, at most `len` bytes of it, as pieces for the kernel to
 * drain (readable) or fill (writable); the cursor does not move. Returns the number of pieces,
 * at most VCHAIN_MAX_SEGS; iov must have room for so many.
 */
int vchain_iov_readable(const struct vchain *c, size_t len, struct iovec *iov);
int vchain_iov_writable(const struct vchain *c, size_t len, struct iovec *iov);

/* Bytes between cursor and end. */
size_t vchain_left_readable(const struct vchain *c);
size_t vchain_left_writable(const struct vchain *c);

#endif
