/*
 * virtio_notify.h - private to the transports: a device's ioeventfds, one for each queue.
 */
#ifndef VMM_SRC_VIRTIO_VIRTIO_NOTIFY_H
#define VMM_SRC_VIRTIO_VIRTIO_NOTIFY_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <vmm/kvm/kvm_vm.h>
#include <vmm/virtio/virtio_dev.h>

#define VIRTIO_NOTIFY_NOWHERE UINT64_MAX

struct virtio_notify {
	struct virtio_dev *dev;
	const struct kvm_vm *vm;
	uint32_t stride; /* bytes from one queue's address to the next; 0: the value says which */

	pthread_mutex_t lock; /* guards what follows; the device's is not taken inside */
	uint64_t wanted_at, at; /* address of queue 0; at: of those that KVM has */
	uint64_t wanted; /* a bit for each queue */
	uint64_t has; /* the queues that KVM has */
};

void virtio_notify_init(struct virtio_notify *n, struct virtio_dev *v, const struct kvm_vm *vm,
			uint32_t stride);
void virtio_notify_fini(struct virtio_notify *n); /* after stop() */

/* The registers are at `at` now, or VIRTIO_NOTIFY_NOWHERE. Any thread. */
void virtio_notify_move(struct virtio_notify *n, uint64_t at);
/* The driver has written the status: queues that are enabled in a running device are KVM's. Any
 * thread; not with the device's lock. */
void virtio_notify_status(struct virtio_notify *n);
/* No queue runs. */
void virtio_notify_stop(struct virtio_notify *n);

#endif
