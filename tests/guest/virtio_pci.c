/*
 * virtio_pci.c - walks the PCI bus by ports and by memory, which must agree, and uses the virtio
 * devices that are there.
 *
 * Source: PCI Local Bus 3.0, 3.2.2.3.2 and chapter 6; VIRTIO 1.2, 4.1.4 "PCI Device Layout".
 */
#include "virtio.h"

#define VENDOR 0x1af4
#define COMMON_CFG 1
#define NOTIFY_CFG 2

static uint64_t ecam;

static uint32_t config(unsigned int slot, unsigned int off)
{
	uint32_t by_port, by_memory;

	out32(0xcf8, 0x80000000 | slot << 11 | (off & ~3u));
	by_port = in32(0xcfc);
	by_memory = *(volatile uint32_t *)(uintptr_t)(ecam + (slot << 15) + (off & ~3u));
	check(by_port == by_memory, "ports and memory disagree");
	return by_port >> 8 * (off & 3);
}

static uint8_t get_status(const struct virtio *v)
{
	return v->regs[20];
}

static void set_status(const struct virtio *v, uint8_t status)
{
	v->regs[20] = status;
}

#define SET16(off, val) (*(volatile uint16_t *)(v->regs + (off)) = (val))
#define SET32(off, val) (*(volatile uint32_t *)(v->regs + (off)) = (val))

static void accept_version_1(const struct virtio *v)
{
	SET32(0, 1); /* device_feature_select */
	check(*(volatile uint32_t *)(v->regs + 4) & 1, "VERSION_1 is not offered");
	SET32(8, 0);
	SET32(12, 0);
	SET32(8, 1);
	SET32(12, 1);
}

static void set_address(const struct virtio *v, unsigned int off, uint64_t at)
{
	SET32(off, (uint32_t)at);
	SET32(off + 4, (uint32_t)(at >> 32));
}

static void setup_queue(const struct virtio *v, uint16_t size, uint64_t desc, uint64_t avail,
			uint64_t used)
{
	SET16(22, 0); /* queue_select */
	check(*(volatile uint16_t *)(v->regs + 24) >= size, "queue_size");
	SET16(24, size);
	set_address(v, 32, desc);
	set_address(v, 40, avail);
	set_address(v, 48, used);
	SET16(28, 1); /* queue_enable */
}

static void notify(const struct virtio *v)
{
	*(volatile uint16_t *)v->notify_at = 0;
}

static volatile uint8_t *bar(unsigned int slot, unsigned int i)
{
	uint64_t low = config(slot, 0x10 + 4 * i), high = config(slot, 0x14 + 4 * i);

	check((low & 7) == 4, "not a BAR of 64 bits");
	return (volatile uint8_t *)(uintptr_t)(high << 32 | (low & ~15ull));
}

static void use(unsigned int slot)
{
	struct virtio v = {
		.id = (config(slot, 2) & 0xffff) - 0x1040,
		.get_status = get_status,
		.set_status = set_status,
		.accept_version_1 = accept_version_1,
		.setup_queue = setup_queue,
		.notify = notify,
	};

	out32(0xcf8, 0x80000000 | slot << 11 | 4);
	out16(0xcfc, 6); /* memory, bus master */
	for (unsigned int cap = config(slot, 0x34) & 0xff; cap;
	     cap = config(slot, cap + 1) & 0xff) {
		unsigned int type = config(slot, cap + 3) & 0xff;
		volatile uint8_t *at;

		if ((config(slot, cap) & 0xff) != 9 || (type != COMMON_CFG && type != NOTIFY_CFG))
			continue;
		at = bar(slot, config(slot, cap + 4) & 0xff) + config(slot, cap + 8);
		if (type == COMMON_CFG)
			v.regs = at;
		else
			v.notify_at = at; /* of queue 0, whose queue_notify_off is 0 */
	}
	check(v.regs && v.notify_at, "a capability is missing");
	virtio_try(&v);
}

void guest_main(void)
{
	ecam = option("ecam", 0);
	check((config(0, 8) >> 8 & 0xffff00) == 0x060000, "no host bridge in slot 0");
	for (unsigned int slot = 1; slot < 32; slot++) {
		if ((config(slot, 0) & 0xffff) == VENDOR)
			use(slot);
		else
			check(config(slot, 0) == 0xffffffff, "something else");
	}
	put("no more devices\n");
	power_off();
}
