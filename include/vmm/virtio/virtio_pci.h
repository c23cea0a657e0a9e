/*
 * virtio_pci.h - a virtio device as a PCI function.
 *
 * Source: VIRTIO 1.2, 4.1 "Virtio Over PCI Bus": modern only, interrupts by MSI-X only.
 */
#ifndef VMM_VIRTIO_VIRTIO_PCI_H
#define VMM_VIRTIO_VIRTIO_PCI_H
#include <vmm/dev/device.h>
#include <vmm/virtio/virtio_dev.h>

/* Wants pci, mmio and vm of env. Owns v on success, and only then. -ENOSPC: no place on the bus. */
int virtio_pci_create(struct device **out, const struct device_env *env, struct virtio_dev *v,
		      struct err *e);

#endif
