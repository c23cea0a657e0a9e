/*
 * virtio_notify.c - a device's ioeventfds: the driver's notifications go to the loop without an
 * exit.
 *
 * Life of a VM: from DRIVER_OK to the reset of the device, as long as its registers can be reached;
 * on the vCPU thread that writes the status or moves the BAR.
 *
 * Source: VIRTIO 1.2, 2.3 notifications; 4.1.5.2 and 4.2.3.3 what a driver writes where.
 *
 * What the driver and the PCI bus want is noted first; then apply_locked() makes KVM's state the
 * same. A notification that comes while a queue is not KVM's exits, and the transport does the same
 * with it: so nothing depends on when exactly the change takes place.
 */
#include "virtio_notify.h"
#include <linux/virtio_config.h>
#include <vmm/kvm/kvm_ioeventfd.h>

void virtio_notify_init(struct virtio_notify *n, struct virtio_dev *v, const struct kvm_vm *vm,
			uint32_t stride)
{
	*n = (struct virtio_notify){
		.dev = v,
		.vm = vm,
		.stride = stride,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.wanted_at = VIRTIO_NOTIFY_NOWHERE,
		.at = VIRTIO_NOTIFY_NOWHERE,
	};
}

void virtio_notify_fini(struct virtio_notify *n)
{
	pthread_mutex_destroy(&n->lock);
}

/*
 * Over PCI, each queue has an address, and what is written there does not matter: any width, which
 * KVM finds out without looking at the instruction. Over MMIO, there is one register of 32 bits.
 */
static struct kvm_ioeventfd_at where(const struct virtio_notify *n, unsigned int qi)
{
	return (struct kvm_ioeventfd_at){
		.address = n->at + (uint64_t)n->stride * qi,
		.width = n->stride ? (n->vm->caps.ioeventfd_any_length ? 0 : 2) : 4,
		.match = n->stride == 0,
		.value = n->stride ? 0 : qi,
	};
}

static void remove_locked(struct virtio_notify *n, uint64_t queues)
{
	for (unsigned int qi = 0; qi < n->dev->n_queues; qi++) {
		const struct kvm_ioeventfd_at at = where(n, qi);

		if (n->has & queues & UINT64_C(1) << qi)
			kvm_ioeventfd_del(n->vm, &at, virtio_dev_kick_fd(n->dev, qi));
	}
	n->has &= ~queues;
}

static void add_locked(struct virtio_notify *n, uint64_t queues)
{
	for (unsigned int qi = 0; qi < n->dev->n_queues; qi++) {
		const struct kvm_ioeventfd_at at = where(n, qi);

		if (!(queues & UINT64_C(1) << qi) || (n->has & UINT64_C(1) << qi))
			continue;
		if (kvm_ioeventfd_add(n->vm, &at, virtio_dev_kick_fd(n->dev, qi)))
			n->has |= UINT64_C(1) << qi;
	}
}

static void apply_locked(struct virtio_notify *n)
{
	if (n->at != n->wanted_at)
		remove_locked(n, UINT64_MAX);
	else
		remove_locked(n, ~n->wanted);
	n->at = n->wanted_at;
	if (n->at != VIRTIO_NOTIFY_NOWHERE)
		add_locked(n, n->wanted);
}

void virtio_notify_move(struct virtio_notify *n, uint64_t at)
{
	pthread_mutex_lock(&n->lock);
	n->wanted_at = at;
	apply_locked(n);
	pthread_mutex_unlock(&n->lock);
}

static void want(struct virtio_notify *n, uint64_t queues)
{
	pthread_mutex_lock(&n->lock);
	n->wanted = queues;
	apply_locked(n);
	pthread_mutex_unlock(&n->lock);
}

void virtio_notify_status(struct virtio_notify *n)
{
	uint64_t queues = 0;

	if (virtio_dev_status(n->dev) & VIRTIO_CONFIG_S_DRIVER_OK) {
		for (unsigned int qi = 0; qi < n->dev->n_queues; qi++) {
			if (virtio_dev_queue_get(n->dev, qi, VIRTIO_QUEUE_ENABLE))
				queues |= UINT64_C(1) << qi;
		}
	}
	want(n, queues);
}

void virtio_notify_stop(struct virtio_notify *n)
{
	want(n, 0);
}
