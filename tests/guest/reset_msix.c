/*
 * reset_msix.c - an entropy device over PCI that has sent a message which nobody takes. See
 * reset_clean.c.
 *
 * Source: VIRTIO 1.2, 4.1.4; PCI Local Bus 3.0, 6.8.2 MSI-X.
 */
#include "reset.h"
#include "virtio.h"

#define RNG 0x10441af4u
#define COMMON_LEN_TO_VECTORS 26
#define CAP_MSIX 0x11
#define CAP_VENDOR 9

static unsigned int slot;

static uint32_t config(unsigned int off)
{
	out32(0xcf8, 0x80000000 | slot << 11 | (off & ~3u));
	return in32(0xcfc) >> 8 * (off & 3);
}

static void config_set(unsigned int off, uint32_t v)
{
	out32(0xcf8, 0x80000000 | slot << 11 | off);
	out32(0xcfc, v);
}

static volatile uint8_t *bar(unsigned int i)
{
	uint64_t low = config(0x10 + 4 * i), high = config(0x14 + 4 * i);

	return (volatile uint8_t *)(uintptr_t)(high << 32 | (low & ~15ull));
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
#define SET32(off, val) (*(volatile uint32_t *)(v->regs + (off)) = (uint32_t)(val))

static void accept_version_1(const struct virtio *v)
{
	SET32(8, 1);
	SET32(12, 1);
}

static void setup_queue(const struct virtio *v, uint16_t size, uint64_t desc, uint64_t avail,
			uint64_t used)
{
	SET16(16, 0); /* msix_config */
	SET16(22, 0); /* queue_select */
	SET16(24, size);
	SET16(COMMON_LEN_TO_VECTORS, 0);
	SET32(32, desc);
	SET32(40, avail);
	SET32(48, used);
	SET16(28, 1); /* queue_enable */
}

static void notify(const struct virtio *v)
{
	*(volatile uint16_t *)v->notify_at = 0;
}

static void enable_msix(uint8_t vector)
{
	unsigned int cap = config(0x34) & 0xff;
	volatile uint32_t *table;

	while ((config(cap) & 0xff) != CAP_MSIX)
		cap = config(cap) >> 8 & 0xff;
	table = (volatile uint32_t *)(bar(config(cap + 4) & 7) + (config(cap + 4) & ~7u));
	table[0] = LAPIC | mem_get(LAPIC + LAPIC_ID) >> 12;
	table[1] = 0;
	table[2] = vector;
	table[3] = 0;
	config_set(cap, (config(cap) & 0xffff) | 1u << 31);
}

void dirty_msix(uint8_t vector)
{
	static uint8_t bytes[16];
	const struct virtio_piece p = { bytes, sizeof(bytes), true };
	struct virtio v = {
		.id = VIRTIO_ID_RNG,
		.get_status = get_status,
		.set_status = set_status,
		.accept_version_1 = accept_version_1,
		.setup_queue = setup_queue,
		.notify = notify,
	};

	for (slot = 1; config(0) != RNG; slot++)
		check(slot < 31, "no entropy device");
	config_set(4, 6);
	enable_msix(vector);
	v.regs = bar(0);
	v.notify_at = bar(0) + 0x3000;
	virtio_start(&v);
	check(virtio_request(&v, &p, 1) == sizeof(bytes), "no entropy");
	while (!(mem_get(LAPIC + LAPIC_IRR + (vector / 32u << 4)) >> vector % 32 & 1))
		;
}
