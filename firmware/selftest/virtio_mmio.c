/*
 * virtio_mmio.c - a virtio device as a page of registers and an interrupt line.
 *
 * Source: VIRTIO 1.2, 4.2: 4.2.2 registers, 4.2.3 initialisation and operation.
 *
 * No bus tells where they are. A word virtio_mmio.device=SIZE@BASE:IRQ on the command line does, or
 * else the ACPI namespace, whose methods read a block of numbers at a fixed address:
 * firmware/dsdt.asl, BRDI. To interpret them takes an AML interpreter, so we read the block
 * ourselves.
 */
#include "cpu.h"
#include "virtio.h"

#define MAGIC 0x74726976u
#define VERSION 2u

/* 4.2.2 */
#define MAGIC_VALUE 0x00
#define VERSION_REG 0x04
#define DEVICE_ID 0x08
#define DEVICE_FEATURES 0x10
#define DEVICE_FEATURES_SEL 0x14
#define DRIVER_FEATURES 0x20
#define DRIVER_FEATURES_SEL 0x24
#define QUEUE_SEL 0x30
#define QUEUE_NUM_MAX 0x34
#define QUEUE_NUM 0x38
#define QUEUE_READY 0x44
#define QUEUE_NOTIFY 0x50
#define INTERRUPT_STATUS 0x60
#define INTERRUPT_ACK 0x64
#define STATUS 0x70
#define QUEUE_DESC 0x80
#define QUEUE_DRIVER 0x90
#define QUEUE_DEVICE 0xa0
#define CONFIG 0x100

#define BOARD_INFO 0xff000u /* firmware/dsdt.asl, BRDI, and these of its fields: */
#define VIOB 0x20
#define VIOS 0x24
#define VIOP 0x28
#define VIOI 0x30

#define WORD "virtio_mmio.device="

static uint32_t get(struct virtio *v, unsigned int reg)
{
	return *(volatile uint32_t *)(v->regs + reg);
}

static void set(struct virtio *v, unsigned int reg, uint32_t val)
{
	*(volatile uint32_t *)(v->regs + reg) = val;
}

static void set64(struct virtio *v, unsigned int reg, uint64_t val)
{
	set(v, reg, (uint32_t)val);
	set(v, reg + 4, (uint32_t)(val >> 32));
}

static uint8_t get_status(struct virtio *v)
{
	return (uint8_t)get(v, STATUS);
}

static void set_status(struct virtio *v, uint8_t status)
{
	set(v, STATUS, status);
}

static uint64_t get_features(struct virtio *v)
{
	uint64_t low;

	set(v, DEVICE_FEATURES_SEL, 0);
	low = get(v, DEVICE_FEATURES);
	set(v, DEVICE_FEATURES_SEL, 1);
	return low | (uint64_t)get(v, DEVICE_FEATURES) << 32;
}

static void set_features(struct virtio *v, uint64_t features)
{
	set(v, DRIVER_FEATURES_SEL, 0);
	set(v, DRIVER_FEATURES, (uint32_t)features);
	set(v, DRIVER_FEATURES_SEL, 1);
	set(v, DRIVER_FEATURES, (uint32_t)(features >> 32));
}

static const char *setup_queue(struct virtio *v, struct virtq *q, uint64_t desc, uint64_t avail,
			       uint64_t used)
{
	set(v, QUEUE_SEL, q->index);
	if (get(v, QUEUE_NUM_MAX) < q->size)
		return get(v, QUEUE_NUM_MAX) == 0 ? "a queue is missing" : "a queue is too small";
	set(v, QUEUE_NUM, q->size);
	set64(v, QUEUE_DESC, desc);
	set64(v, QUEUE_DRIVER, avail);
	set64(v, QUEUE_DEVICE, used);
	set(v, QUEUE_READY, 1);
	return get(v, QUEUE_READY) == 1 ? NULL : "a queue cannot be enabled";
}

/* One line for all that the device has to say. */
static const char *setup_interrupts(struct virtio *v)
{
	ioapic_route(v->gsi, (uint8_t)v->vector);
	return NULL;
}

static void notify(struct virtio *v, uint16_t index)
{
	set(v, QUEUE_NOTIFY, index);
}

static uint32_t get_isr(struct virtio *v)
{
	const uint32_t why = get(v, INTERRUPT_STATUS);

	set(v, INTERRUPT_ACK, why);
	return why;
}

static const struct virtio_transport mmio = {
	.get_status = get_status,
	.set_status = set_status,
	.get_features = get_features,
	.set_features = set_features,
	.setup_queue = setup_queue,
	.setup_interrupts = setup_interrupts,
	.notify = notify,
	.get_isr = get_isr,
};

bool virtio_mmio_probe(struct virtio *v, uint64_t base, unsigned int gsi)
{
	*v = (struct virtio){
		.transport = &mmio,
		.regs = (volatile uint8_t *)(uintptr_t)base,
		.config = (volatile uint8_t *)(uintptr_t)(base + CONFIG),
		.gsi = gsi,
		.vector = VECTOR_DEVICE + gsi, /* lines cannot be shared */
	};
	v->id = get(v, DEVICE_ID);
	return get(v, MAGIC_VALUE) == MAGIC && get(v, VERSION_REG) == VERSION && v->id != 0;
}

static uint64_t number(const char **s, unsigned int base)
{
	uint64_t n = 0;

	for (;; (*s)++) {
		unsigned int digit = (unsigned int)(**s - '0');

		if (digit > 9)
			digit = (unsigned int)(**s - 'a') + 10;
		if (digit >= base)
			return n;
		n = n * base + digit;
	}
}

/* SIZE@BASE:IRQ, as in 4K@0xe1000000:16 */
static bool probe_word(struct virtio *v, const char *s)
{
	uint64_t base;

	if (number(&s, 10) != 4 || *s++ != 'K' || *s++ != '@' || *s++ != '0' || *s++ != 'x')
		return false;
	base = number(&s, 16);
	return *s++ == ':' && virtio_mmio_probe(v, base, (unsigned int)number(&s, 10));
}

static unsigned int scan_words(struct virtio *v, unsigned int max)
{
	unsigned int n = 0;

	for (const char *s = command_line(); *s && n < max; s++) {
		const char *w = WORD, *at = s;

		while (*w && *w == *at)
			w++, at++;
		if (!*w)
			n += probe_word(&v[n], at);
	}
	return n;
}

static unsigned int scan_slots(struct virtio *v, unsigned int max)
{
	const volatile uint8_t *info = (const volatile uint8_t *)BOARD_INFO;
	const uint32_t base = *(const volatile uint32_t *)(info + VIOB);
	const uint32_t stride = *(const volatile uint32_t *)(info + VIOS);
	const uint32_t present = *(const volatile uint32_t *)(info + VIOP);
	unsigned int n = 0;

	for (unsigned int i = 0; i < 16 && n < max; i++) {
		if (present >> i & 1)
			n += virtio_mmio_probe(&v[n], base + (uint64_t)i * stride, info[VIOI + i]);
	}
	return n;
}

unsigned int virtio_mmio_scan(struct virtio *v, unsigned int max)
{
	const unsigned int n = scan_words(v, max);

	return n > 0 ? n : scan_slots(v, max);
}
