/*
 * virtio_mmio.h - a virtio device as a page of registers and an interrupt line.
 *
 * Source: VIRTIO 1.2, 4.2 "Virtio Over MMIO", version 2.
 */
#ifndef VMM_VIRTIO_VIRTIO_MMIO_H
#define VMM_VIRTIO_VIRTIO_MMIO_H
#include <vmm/dev/device.h>
#include <vmm/virtio/virtio_dev.h>

/*
 * slot: below board->n_mmio_slots; the machine hands each out once, and tells the guest which ones
 * are in use (arch_boot.mmio_slots). Wants board, mmio and vm of env. Owns v on success, and only
 * then.
 */
int virtio_mmio_create(struct device **out, const struct device_env *env, struct virtio_dev *v,
		       unsigned int slot, struct err *e);

#endif
