/*
 * fake_driver.h - a driver without a guest: real guest RAM, real rings, no transport.
 *
 * Drives one virtio device as Linux would, or as nobody should: chains are built descriptor by
 * descriptor, and every word of the rings can be written by hand (fake_queue has their addresses).
 * The loop runs when the test says so.
 */
#ifndef TESTS_FAKE_DRIVER_H
#define TESTS_FAKE_DRIVER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vmm/dev/device.h>
#include <vmm/host/evloop.h>
#include <vmm/mem/gmem.h>
#include <vmm/virtio/virtio_dev.h>

#define FAKE_DRIVER_RAM (UINT64_C(16) << 20) /* at address 0; the end of it is the end of RAM */
#define FAKE_DRIVER_QUEUES 64

struct fake_queue {
	gpa_t desc, avail, used;
	uint16_t size;
	uint16_t next_desc; /* the next free descriptor, round and round: at most `size` in use */
	uint16_t avail_idx; /* as published by fake_driver_publish() */
	uint16_t used_idx; /* the next element to look at */
	unsigned int n_interrupts;
};

struct fake_driver {
	struct gmem *mem;
	struct evloop *loop;
	struct device_env env; /* what create functions want: mem and loop */
	struct virtio_dev *v;
	gpa_t next_free; /* of fake_driver_alloc() */
	struct fake_queue q[FAKE_DRIVER_QUEUES];
	unsigned int n_config_interrupts;
	int interrupt_fd[FAKE_DRIVER_QUEUES]; /* of the transport; 0: it has none */
};

/* One descriptor: RAM at `at`, `len` long. */
struct fake_seg {
	gpa_t at;
	uint32_t len;
	bool writable;
};

/* RAM and loop; then the test creates its device with f->env and attaches it. */
void fake_driver_init(struct fake_driver *f);
/* Destroys the device, if one is attached, and all the rest. */
void fake_driver_fini(struct fake_driver *f);
void fake_driver_attach(struct fake_driver *f, struct virtio_dev *v);

/*
 * 3.1.1: reset, ACKNOWLEDGE, DRIVER, the features (with VERSION_1, as far as they are offered),
 * FEATURES_OK, all queues with rings in RAM of their own, DRIVER_OK. Fails the test if the device
 * refuses.
 */
void fake_driver_start(struct fake_driver *f, uint64_t features);
/* The steps up to FEATURES_OK, and the queues; for tests that do the rest by themselves. */
void fake_driver_negotiate(struct fake_driver *f, uint64_t features);
void fake_driver_setup_queue(struct fake_driver *f, unsigned int qi, uint16_t size);

/* RAM for buffers; never given back. Aligned to 16. */
gpa_t fake_driver_alloc(struct fake_driver *f, size_t len);
/* Copies into RAM of its own. */
gpa_t fake_driver_put(struct fake_driver *f, const void *data, size_t len);

/* Writes descriptor i by hand. flags: VRING_DESC_F_* */
void fake_driver_desc(struct fake_driver *f, unsigned int qi, uint16_t i, gpa_t addr, uint32_t len,
		      uint16_t flags, uint16_t next);
/* A chain of n descriptors; the head. Not yet available. */
uint16_t fake_driver_chain(struct fake_driver *f, unsigned int qi, const struct fake_seg *segs,
			   unsigned int n);
/* The same by an indirect table. */
uint16_t fake_driver_indirect(struct fake_driver *f, unsigned int qi, const struct fake_seg *segs,
			      unsigned int n);
/* Makes a head available, without notification. */
void fake_driver_publish(struct fake_driver *f, unsigned int qi, uint16_t head);
/* chain, publish, kick: one request, as a driver sends it; the head. */
uint16_t fake_driver_send(struct fake_driver *f, unsigned int qi, const struct fake_seg *segs,
			  unsigned int n);

/* Notifies, and runs the loop until nothing is left to do there. */
void fake_driver_kick(struct fake_driver *f, unsigned int qi);
/* Runs the loop until nothing is left to do. */
void fake_driver_idle(struct fake_driver *f);
/* Runs the loop until done(arg), or fails the test after some seconds. */
void fake_driver_until(struct fake_driver *f, bool (*done)(void *arg), void *arg);
/* Runs the loop until queue qi has another used element, and takes it. */
void fake_driver_wait_used(struct fake_driver *f, unsigned int qi, uint32_t *id, uint32_t *len);

/* Takes the next used element; false: there is none. */
bool fake_driver_take_used(struct fake_driver *f, unsigned int qi, uint32_t *id, uint32_t *len);
/* Used elements not yet taken. */
uint16_t fake_driver_n_used(struct fake_driver *f, unsigned int qi);

/* RAM, checked. */
void fake_driver_read(struct fake_driver *f, gpa_t at, void *dst, size_t len);
void fake_driver_write(struct fake_driver *f, gpa_t at, const void *src, size_t len);

bool fake_driver_needs_reset(struct fake_driver *f);

#endif
