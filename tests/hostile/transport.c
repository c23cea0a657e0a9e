/*
 * transport.c - finds the devices, and reaches their registers over PCI and over MMIO alike.
 *
 * Source: VIRTIO 1.2: 4.1.4 "PCI Device Layout", 4.2.2 "MMIO Device Register Layout", 3.1.1
 * "Driver Requirements: Device Initialization".
 */
#include "hostile.h"

#define VENDOR 0x1af4
#define CAP_VENDOR 9
#define CAP_MSIX 0x11
#define MMIO_WORD "virtio_mmio.device="
#define MMIO_CONFIG 0x100
#define MMIO_NOTIFY 0x50

struct dev devs[8];
unsigned int n_devs;

static const struct {
	const char *name;
	uint8_t pci, width; /* PCI: offset and bytes */
	uint8_t mmio; /* 32 bits each */
	bool mmio_readable;
} regs[N_REGS] = {
	[DEVICE_FEATURE_SELECT] = { "device_feature_select", 0, 4, 0x14, false },
	[DEVICE_FEATURE] = { "device_feature", 4, 4, 0x10, true },
	[DRIVER_FEATURE_SELECT] = { "driver_feature_select", 8, 4, 0x24, false },
	[DRIVER_FEATURE] = { "driver_feature", 12, 4, 0x20, false },
	[DEVICE_STATUS] = { "device_status", 20, 1, 0x70, true },
	[QUEUE_SELECT] = { "queue_select", 22, 2, 0x30, false },
	[QUEUE_SIZE] = { "queue_size", 24, 2, 0x38, false },
	[QUEUE_ENABLE] = { "queue_enable", 28, 2, 0x44, true },
	[DESC_LOW] = { "queue_desc", 32, 4, 0x80, false },
	[DESC_HIGH] = { "queue_desc_high", 36, 4, 0x84, false },
	[AVAIL_LOW] = { "queue_driver", 40, 4, 0x90, false },
	[AVAIL_HIGH] = { "queue_driver_high", 44, 4, 0x94, false },
	[USED_LOW] = { "queue_device", 48, 4, 0xa0, false },
	[USED_HIGH] = { "queue_device_high", 52, 4, 0xa4, false },
};

uint64_t mem_get(uint64_t at, unsigned int size)
{
	switch (size) {
	case 1:
		return *(volatile uint8_t *)at;
	case 2:
		return *(volatile uint16_t *)at;
	case 4:
		return *(volatile uint32_t *)at;
	default:
		return *(volatile uint64_t *)at;
	}
}

void mem_set(uint64_t at, unsigned int size, uint64_t v)
{
	switch (size) {
	case 1:
		*(volatile uint8_t *)at = (uint8_t)v;
		break;
	case 2:
		*(volatile uint16_t *)at = (uint16_t)v;
		break;
	case 4:
		*(volatile uint32_t *)at = (uint32_t)v;
		break;
	default:
		*(volatile uint64_t *)at = v;
	}
}

/* Registers ------------------------------------------------------------------------------------ */

uint64_t reg_at(const struct dev *d, enum reg r)
{
	return d->regs + (d->pci ? regs[r].pci : regs[r].mmio);
}

const char *reg_name(enum reg r)
{
	return regs[r].name;
}

bool reg_is_readable(const struct dev *d, enum reg r)
{
	return d->pci || regs[r].mmio_readable;
}

uint32_t reg_get(const struct dev *d, enum reg r)
{
	return (uint32_t)mem_get(reg_at(d, r), d->pci ? regs[r].width : 4);
}

void reg_set(const struct dev *d, enum reg r, uint32_t v)
{
	mem_set(reg_at(d, r), d->pci ? regs[r].width : 4, v);
}

void set_address(const struct dev *d, enum reg low, uint64_t at)
{
	reg_set(d, low, (uint32_t)at);
	reg_set(d, low + 1, (uint32_t)(at >> 32));
}

uint8_t status(const struct dev *d)
{
	return (uint8_t)reg_get(d, DEVICE_STATUS);
}

void kick(const struct dev *d, uint32_t queue)
{
	if (d->pci) /* 4.1.4.4: queue_notify_off is the queue, the multiplier 4 */
		mem_set(d->notify + 4ull * queue, 2, queue);
	else
		mem_set(d->notify, 4, queue);
}

void reset(const struct dev *d)
{
	reg_set(d, DEVICE_STATUS, 0);
	for (unsigned int i = 0; i < most_looks && status(d) != 0; i++)
		;
}

uint64_t offered(const struct dev *d)
{
	uint64_t low;

	reg_set(d, DEVICE_FEATURE_SELECT, 0);
	low = reg_get(d, DEVICE_FEATURE);
	reg_set(d, DEVICE_FEATURE_SELECT, 1);
	return low | (uint64_t)reg_get(d, DEVICE_FEATURE) << 32;
}

void set_features(const struct dev *d, uint64_t features)
{
	reg_set(d, DRIVER_FEATURE_SELECT, 0);
	reg_set(d, DRIVER_FEATURE, (uint32_t)features);
	reg_set(d, DRIVER_FEATURE_SELECT, 1);
	reg_set(d, DRIVER_FEATURE, (uint32_t)(features >> 32));
}

bool negotiate(const struct dev *d, uint64_t features)
{
	reset(d);
	reg_set(d, DEVICE_STATUS, S_ACKNOWLEDGE);
	reg_set(d, DEVICE_STATUS, S_ACKNOWLEDGE | S_DRIVER);
	set_features(d, features);
	reg_set(d, DEVICE_STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK);
	return status(d) & S_FEATURES_OK;
}

void driver_ok(const struct dev *d)
{
	reg_set(d, DEVICE_STATUS, S_RUNNING);
}

/* PCI ------------------------------------------------------------------------------------------ */

uint32_t pci_get(unsigned int slot, unsigned int off, unsigned int size)
{
	uint16_t port = (uint16_t)(0xcfc + (off & 3));

	out32(0xcf8, 0x80000000 | slot << 11 | (off & ~3u));
	return size == 4 ? in32(port) : size == 2 ? in16(port) : in8(port);
}

void pci_set(unsigned int slot, unsigned int off, unsigned int size, uint32_t v)
{
	uint16_t port = (uint16_t)(0xcfc + (off & 3));

	out32(0xcf8, 0x80000000 | slot << 11 | (off & ~3u));
	if (size == 4)
		out32(port, v);
	else if (size == 2)
		out16(port, (uint16_t)v);
	else
		out8(port, (uint8_t)v);
}

static uint64_t bar(unsigned int slot, unsigned int i)
{
	uint64_t low = pci_get(slot, 0x10 + 4 * i, 4), high = pci_get(slot, 0x14 + 4 * i, 4);

	return high << 32 | (low & ~15ull);
}

static void take_cap(struct dev *d, unsigned int cap)
{
	unsigned int id = pci_get(d->slot, cap, 1), type = pci_get(d->slot, cap + 3, 1);
	uint64_t at;

	if (id == CAP_MSIX)
		d->msix = bar(d->slot, pci_get(d->slot, cap + 4, 1) & 7);
	if (id != CAP_VENDOR || type > 4)
		return;
	at = bar(d->slot, pci_get(d->slot, cap + 4, 1)) + pci_get(d->slot, cap + 8, 4);
	if (type == 1) {
		d->regs = at;
	} else if (type == 2) {
		d->notify = at;
	} else if (type == 3) {
		d->isr = at;
	} else if (type == 4) {
		d->config = at;
		d->config_len = pci_get(d->slot, cap + 12, 4);
	}
}

/* Devices ----------------------------------------------------------------------------------------
 */

static void add(struct dev *d)
{
	static const char *const names[] = { "", "net", "blk", "console", "rng" };

	check(d->id < N_ELEMENTS(names) && n_devs < N_ELEMENTS(devs), "an unknown device");
	d->name = names[d->id];
	if (d->id == ID_BLK && dev_named("blk"))
		d->name = "blk-ro";
	reset(d);
	for (;; d->n_queues++) {
		reg_set(d, QUEUE_SELECT, d->n_queues);
		if (!(d->pci ? reg_get(d, QUEUE_SIZE) : mem_get(d->regs + 0x34, 4)))
			break;
	}
	reg_set(d, QUEUE_SELECT, 0);
	d->max_size = (uint16_t)(d->pci ? reg_get(d, QUEUE_SIZE) : mem_get(d->regs + 0x34, 4));
	devs[n_devs++] = *d;
}

static void find_pci(void)
{
	for (unsigned int slot = 1; slot < 32; slot++) {
		struct dev d = { .pci = true, .slot = slot };

		if (pci_get(slot, 0, 2) != VENDOR)
			continue;
		d.id = pci_get(slot, 2, 2) - 0x1040;
		pci_set(slot, 4, 2, 6); /* memory, bus master */
		for (unsigned int cap = pci_get(slot, 0x34, 1); cap;
		     cap = pci_get(slot, cap + 1, 1))
			take_cap(&d, cap);
		add(&d);
	}
}

static uint64_t hex(const char *s)
{
	uint64_t n = 0;

	for (;; s++) {
		if (*s >= '0' && *s <= '9')
			n = n * 16 + (uint64_t)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			n = n * 16 + (uint64_t)(*s - 'a' + 10);
		else
			return n;
	}
}

static void find_mmio(void)
{
	for (const char *s = command_line(); *s; s++) {
		const char *w = MMIO_WORD, *at = s;
		struct dev d = { 0 };

		while (*w && *w == *at)
			w++, at++;
		if (*w)
			continue;
		while (*at != '@')
			at++;
		d.regs = hex(at + 3);
		d.id = (unsigned int)mem_get(d.regs + 8, 4);
		d.config = d.regs + MMIO_CONFIG;
		d.notify = d.regs + MMIO_NOTIFY;
		add(&d);
	}
}

void find_devices(void)
{
	find_mmio();
	if (n_devs == 0)
		find_pci();
}

struct dev *dev_named(const char *name)
{
	for (unsigned int i = 0; i < n_devs; i++) {
		const char *a = name, *b = devs[i].name;

		while (*a && *a == *b)
			a++, b++;
		if (*a == *b)
			return &devs[i];
	}
	return NULL;
}
