/*
 * virtio_pci.c - a virtio device as a PCI function: its capabilities lead to its registers, and
 * MSI-X brings its interrupts.
 *
 * Source: VIRTIO 1.2, 4.1: 4.1.2 ids, 4.1.4 capabilities, 4.1.4.3 the common configuration, 4.1.5.2
 * notification.
 */
#include "cpu.h"
#include "pci.h"
#include "virtio.h"

#define VENDOR 0x1af4u
#define DEVICE_BASE 0x1040u

/* 4.1.4: cfg_type, and where things are in a capability */
#define CAP_COMMON 1u
#define CAP_NOTIFY 2u
#define CAP_ISR 3u
#define CAP_DEVICE 4u
#define CAP_TYPE_AT 3u
#define CAP_BAR_AT 4u
#define CAP_OFFSET_AT 8u
#define CAP_MULTIPLIER_AT 16u

/* 4.1.4.3 */
#define DEVICE_FEATURE_SELECT 0
#define DEVICE_FEATURE 4
#define DRIVER_FEATURE_SELECT 8
#define DRIVER_FEATURE 12
#define CONFIG_VECTOR 16
#define NUM_QUEUES 18
#define DEVICE_STATUS 20
#define QUEUE_SELECT 22
#define QUEUE_SIZE 24
#define QUEUE_VECTOR 26
#define QUEUE_ENABLE 28
#define QUEUE_NOTIFY_OFF 30
#define QUEUE_DESC 32
#define QUEUE_DRIVER 40
#define QUEUE_DEVICE 48

static volatile uint16_t *reg16(struct virtio *v, unsigned int off)
{
	return (volatile uint16_t *)(v->regs + off);
}

static volatile uint32_t *reg32(struct virtio *v, unsigned int off)
{
	return (volatile uint32_t *)(v->regs + off);
}

static uint8_t get_status(struct virtio *v)
{
	return v->regs[DEVICE_STATUS];
}

static void set_status(struct virtio *v, uint8_t status)
{
	v->regs[DEVICE_STATUS] = status;
}

static uint64_t get_features(struct virtio *v)
{
	uint64_t low;

	*reg32(v, DEVICE_FEATURE_SELECT) = 0;
	low = *reg32(v, DEVICE_FEATURE);
	*reg32(v, DEVICE_FEATURE_SELECT) = 1;
	return low | (uint64_t)*reg32(v, DEVICE_FEATURE) << 32;
}

static void set_features(struct virtio *v, uint64_t features)
{
	*reg32(v, DRIVER_FEATURE_SELECT) = 0;
	*reg32(v, DRIVER_FEATURE) = (uint32_t)features;
	*reg32(v, DRIVER_FEATURE_SELECT) = 1;
	*reg32(v, DRIVER_FEATURE) = (uint32_t)(features >> 32);
}

/* 4.1.4.3.2: registers of 64 bits are written in halves. */
static void set_address(struct virtio *v, unsigned int off, uint64_t at)
{
	*reg32(v, off) = (uint32_t)at;
	*reg32(v, off + 4) = (uint32_t)(at >> 32);
}

/* 4.1.5.1.2: entry 0 of the table is for changes of the configuration, the next ones for queues. */
static const char *setup_queue(struct virtio *v, struct virtq *q, uint64_t desc, uint64_t avail,
			       uint64_t used)
{
	*reg16(v, QUEUE_SELECT) = q->index;
	if (*reg16(v, QUEUE_SIZE) < q->size)
		return *reg16(v, QUEUE_SIZE) == 0 ? "a queue is missing" : "a queue is too small";
	*reg16(v, QUEUE_SIZE) = q->size;
	q->notify_off = *reg16(v, QUEUE_NOTIFY_OFF) * v->notify_multiplier; /* 4.1.4.4 */
	q->vector = v->vector + 1u + q->index;
	msix_set(v->msix, q->index + 1u, (uint8_t)q->vector);
	*reg16(v, QUEUE_VECTOR) = (uint16_t)(q->index + 1);
	if (*reg16(v, QUEUE_VECTOR) != q->index + 1)
		return "a queue's vector is refused";
	set_address(v, QUEUE_DESC, desc);
	set_address(v, QUEUE_DRIVER, avail);
	set_address(v, QUEUE_DEVICE, used);
	*reg16(v, QUEUE_ENABLE) = 1;
	return *reg16(v, QUEUE_ENABLE) == 1 ? NULL : "a queue cannot be enabled";
}

static const char *setup_interrupts(struct virtio *v)
{
	msix_set(v->msix, 0, (uint8_t)v->vector);
	msix_enable(v->slot, true);
	*reg16(v, CONFIG_VECTOR) = 0;
	return *reg16(v, CONFIG_VECTOR) == 0 ? NULL : "the configuration's vector is refused";
}

static void notify(struct virtio *v, uint16_t index)
{
	*(volatile uint16_t *)(v->notify + v->q[index].notify_off) = index;
}

static uint32_t get_isr(struct virtio *v)
{
	return *v->isr; /* 4.1.4.5: reading clears it */
}

static const struct virtio_transport pci = {
	.get_status = get_status,
	.set_status = set_status,
	.get_features = get_features,
	.set_features = set_features,
	.setup_queue = setup_queue,
	.setup_interrupts = setup_interrupts,
	.notify = notify,
	.get_isr = get_isr,
};

/* 4.1.4: for each area, the first capability that names it. */
static void find_areas(struct virtio *v)
{
	unsigned int cap = 0;

	while ((cap = pci_capability(v->slot, PCI_CAP_VENDOR, cap))) {
		volatile uint8_t *at = pci_bar(v->slot, pci_read(v->slot, cap + CAP_BAR_AT) & 7) +
				       pci_read(v->slot, cap + CAP_OFFSET_AT);

		switch (pci_read(v->slot, cap + CAP_TYPE_AT) & 0xff) {
		case CAP_COMMON:
			v->regs = v->regs ? v->regs : at;
			break;
		case CAP_NOTIFY:
			if (v->notify)
				break;
			v->notify = at;
			v->notify_multiplier = pci_read(v->slot, cap + CAP_MULTIPLIER_AT);
			break;
		case CAP_ISR:
			v->isr = v->isr ? v->isr : at;
			break;
		case CAP_DEVICE:
			v->config = v->config ? v->config : at;
			break;
		}
	}
}

static bool probe(struct virtio *v, unsigned int slot)
{
	const uint32_t id = pci_read(slot, PCI_ID);
	unsigned int msix;

	if ((id & 0xffff) != VENDOR || id >> 16 < DEVICE_BASE)
		return false;
	msix = pci_capability(slot, PCI_CAP_MSIX, 0);
	if (!msix)
		return false;
	*v = (struct virtio){
		.transport = &pci,
		.id = (id >> 16) - DEVICE_BASE,
		.slot = slot,
		.vector = VECTOR_DEVICE, /* one device runs at a time */
	};
	pci_write(slot, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	find_areas(v);
	/* PCI 3.0, 6.8.2.4: in the lowest three bits, the BAR that the table is in */
	v->msix = pci_bar(slot, pci_read(slot, msix + 4) & 7) + (pci_read(slot, msix + 4) & ~7u);
	return v->regs && v->notify && v->isr; /* 5.4.4: not every type has a configuration */
}

unsigned int virtio_pci_scan(struct virtio *v, unsigned int max)
{
	unsigned int n = 0;

	for (unsigned int slot = 0; slot < PCI_SLOTS && n < max; slot++)
		n += probe(&v[n], slot);
	return n;
}
