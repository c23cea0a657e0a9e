/*
 * virtio_cmdline.c - finds its virtio devices as a kernel without ACPI does, by the words
 * virtio_mmio.device=SIZE@BASE:IRQ on the command line, and uses them; devices=N: the first N.
 *
 * Source: VIRTIO 1.2, 4.2.2 "MMIO Device Register Layout".
 */
#include "virtio.h"

#define WORD "virtio_mmio.device="

static uint32_t get(const struct virtio *v, unsigned int reg)
{
	return *(volatile uint32_t *)(v->regs + reg);
}

static void set(const struct virtio *v, unsigned int reg, uint32_t val)
{
	*(volatile uint32_t *)(v->regs + reg) = val;
}

static uint8_t get_status(const struct virtio *v)
{
	return (uint8_t)get(v, 0x70);
}

static void set_status(const struct virtio *v, uint8_t status)
{
	set(v, 0x70, status);
}

static void accept_version_1(const struct virtio *v)
{
	set(v, 0x14, 1); /* DeviceFeaturesSel */
	check(get(v, 0x10) & 1, "VERSION_1 is not offered");
	set(v, 0x24, 0);
	set(v, 0x20, 0);
	set(v, 0x24, 1);
	set(v, 0x20, 1);
}

static void setup_queue(const struct virtio *v, uint16_t size, uint64_t desc, uint64_t avail,
			uint64_t used)
{
	set(v, 0x30, 0); /* QueueSel */
	check(get(v, 0x34) >= size, "QueueNumMax");
	set(v, 0x38, size);
	set(v, 0x80, (uint32_t)desc);
	set(v, 0x84, (uint32_t)(desc >> 32));
	set(v, 0x90, (uint32_t)avail);
	set(v, 0x94, (uint32_t)(avail >> 32));
	set(v, 0xa0, (uint32_t)used);
	set(v, 0xa4, (uint32_t)(used >> 32));
	set(v, 0x44, 1); /* QueueReady */
}

static void notify(const struct virtio *v)
{
	set(v, 0x50, 0);
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

static void use(const char *s)
{
	struct virtio v = {
		.get_status = get_status,
		.set_status = set_status,
		.accept_version_1 = accept_version_1,
		.setup_queue = setup_queue,
		.notify = notify,
	};

	check(number(&s, 10) == 4 && *s++ == 'K' && *s++ == '@', "the size is not 4K");
	check(*s++ == '0' && *s++ == 'x', "the address is not in hexadecimal");
	v.regs = (volatile uint8_t *)(uintptr_t)number(&s, 16);
	check(*s++ == ':' && number(&s, 10) < 24, "no interrupt");
	check(get(&v, 0) == 0x74726976 && get(&v, 4) == 2, "no virtio-mmio device of version 2");
	v.id = get(&v, 8);
	virtio_try(&v);
	check(get(&v, 0x60) & 1, "no interrupt is pending");
	set(&v, 0x64, 1);
	check(!(get(&v, 0x60) & 1), "the interrupt cannot be acknowledged");
}

void guest_main(void)
{
	uint64_t left = option("devices", UINT64_MAX);

	for (const char *s = command_line(); *s; s++) {
		const char *w = WORD, *at = s;

		while (*w && *w == *at)
			w++, at++;
		if (!*w && left > 0) {
			left--;
			use(at);
		}
	}
	put("no more devices\n");
	power_off();
}
