/*
 * virtio.h - a polling virtio driver for tiny guests, over whichever transport finds the device.
 *
 * Source: VIRTIO 1.2: 2.7 split virtqueues, 3.1.1 initialisation, 4.1 PCI, 4.2 MMIO. One queue of
 * each device, one request at a time, no interrupts: what is shown is that the device is there and
 * does what it should.
 */
#ifndef VMM_TESTS_GUEST_VIRTIO_H
#define VMM_TESTS_GUEST_VIRTIO_H
#include "guest.h"

#define VIRTIO_ID_BLOCK 2
#define VIRTIO_ID_RNG 4

struct virtio { /* what a transport gives the driver */
	unsigned int id;
	uint8_t (*get_status)(const struct virtio *v);
	void (*set_status)(const struct virtio *v, uint8_t status);
	void (*accept_version_1)(const struct virtio *v); /* and no other feature */
	void (*setup_queue)(const struct virtio *v, uint16_t size, uint64_t desc, uint64_t avail,
			    uint64_t used);
	void (*notify)(const struct virtio *v);
	volatile uint8_t *regs; /* MMIO: its page; PCI: common configuration */
	volatile uint8_t *notify_at; /* PCI */
};

struct virtio_piece {
	void *at;
	uint32_t len;
	bool writable;
};

/* From reset to DRIVER_OK; fails the guest if the device does not go along. */
void virtio_start(const struct virtio *v);
/* One chain there and back; how much was written. */
uint32_t virtio_request(const struct virtio *v, const struct virtio_piece *pieces, unsigned int n);

/* Does what that kind of device is for, and says so on the console. */
void virtio_try(const struct virtio *v);

#endif
