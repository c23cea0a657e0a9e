/*
 * register_cases.c - registers written when they are frozen, at widths that they have not, at
 * places where there are none.
 *
 * Source: VIRTIO 1.2: 4.1.3.1 and 4.2.2.2 widths, 4.1.4.3 and 4.2.2 registers, 2.5 configuration
 * space. A wrong width and a hole read as all-ones here (R9); both are undefined by the
 * specification.
 */
#include "hostile.h"

static const uint32_t patterns[] = { 0, UINT32_MAX, 0x5a5a5a5a };

/* R3: frozen once the queue is enabled, and for good with DRIVER_OK. */
static void frozen_cases(const struct dev *d)
{
	static struct session s;

	for (enum reg r = QUEUE_SIZE; r < N_REGS; r++) {
		for (unsigned int i = 0; i < N_ELEMENTS(patterns); i++) {
			case_begin("R3", d, "written-after-driver-ok.", reg_name(r),
				   i == 0   ? "=0"
				   : i == 1 ? "=all-ones"
					    : "=0x5a5a5a5a",
				   is(IGNORED));
			session_start(&s, d, 0, 8);
			for (unsigned int q = 0; q < d->n_queues; q++) {
				reg_set(d, QUEUE_SELECT, q);
				reg_set(d, r, patterns[i]);
			}
			case_end(d, is(session_works(&s) ? IGNORED : WRONG));
		}
	}
	/* The queue switched off first, and what it is made of then. */
	case_begin("R3", d, "written-after-driver-ok.", "disabled-and-moved", "", is(IGNORED));
	session_start(&s, d, 0, 8);
	for (unsigned int q = 0; q < d->n_queues; q++) {
		reg_set(d, QUEUE_SELECT, q);
		reg_set(d, QUEUE_ENABLE, 0);
		reg_set(d, QUEUE_SIZE, 1);
		for (enum reg r = DESC_LOW; r < N_REGS; r++)
			reg_set(d, r, 0xfffffff0);
		reg_set(d, QUEUE_ENABLE, 1);
	}
	case_end(d, is(session_works(&s) ? IGNORED : WRONG));
}

static void enabled_cases(const struct dev *d)
{
	static struct session s;

	for (enum reg r = QUEUE_SIZE; r < N_REGS; r++) {
		if (r == QUEUE_ENABLE)
			continue;
		case_begin("R3", d, "written-after-enable.", reg_name(r), "", is(IGNORED));
		negotiate(d, F_VERSION_1);
		for (unsigned int q = 0; q < 2 && q < d->n_queues; q++) {
			ring_init(&s.ring[q], d, q, 8);
			ring_tell(&s.ring[q]);
			reg_set(d, r, 1);
		}
		driver_ok(d);
		case_end(d, is(status(d) == S_RUNNING ? IGNORED : WRONG));
	}
}

static void selected_cases(const struct dev *d)
{
	const uint16_t numbers[] = { (uint16_t)d->n_queues, 64, 0x7fff, 0x8000, 0xffff };

	for (unsigned int i = 0; i < N_ELEMENTS(numbers); i++) {
		bool zero = true;

		case_begin("R8", d, "queue-select=", decimal(numbers[i]), "", is(REFUSED));
		negotiate(d, F_VERSION_1);
		reg_set(d, QUEUE_SELECT, numbers[i]);
		for (enum reg r = QUEUE_SIZE; r < N_REGS; r++) {
			reg_set(d, r, 1);
			if (reg_is_readable(d, r) && reg_get(d, r) != 0)
				zero = false;
		}
		if (!d->pci && mem_get(d->regs + 0x34, 4) != 0) /* QueueNumMax */
			zero = false;
		driver_ok(d);
		case_end(d, is(zero && status(d) == S_RUNNING ? REFUSED : KEPT));
	}
}

static void notify_cases(const struct dev *d)
{
	const uint32_t numbers[] = { d->n_queues, d->n_queues + 1, 64, 255, 0x7fff, 0xffff };
	static struct session s;

	for (unsigned int i = 0; i < N_ELEMENTS(numbers); i++) {
		case_begin("R8", d, "kick-of-queue-", decimal(numbers[i]), "", is(IGNORED));
		session_start(&s, d, 0, 8);
		if (!d->pci || 4 * numbers[i] < 4096) /* the area is a page */
			kick(d, numbers[i]);
		else
			mem_set(d->notify, 4, numbers[i]);
		case_end(d, is(session_works(&s) ? IGNORED : WRONG));
	}
	for (unsigned int size = 1; size <= 8; size *= 2) {
		case_begin("R9", d, "kick-of-bytes-", decimal(size), "", is(IGNORED));
		session_start(&s, d, 0, 8);
		for (unsigned int off = 0; off < 8; off++)
			mem_set(d->notify + off, size, 0);
		case_end(d, is(session_works(&s) ? IGNORED : WRONG));
	}
	case_begin("R13", d, "kick-storm", "", "", is(IGNORED));
	session_start(&s, d, 0, 8);
	for (unsigned int i = 0; i < 1000; i++)
		kick(d, i % d->n_queues);
	case_end(d, is(session_works(&s) ? IGNORED : WRONG));
	case_begin("R13", d, "kick-storm-without-driver", "", "", is_n(STATUS, 0));
	reset(d);
	for (unsigned int i = 0; i < 1000; i++)
		kick(d, i % d->n_queues);
	case_end(d, is_n(STATUS, status(d)));
}

/* Widths
 * ------------------------------------------------------------------------------------------- */

/* All bytes of the control registers. */
static uint32_t control_len(const struct dev *d)
{
	return d->pci ? 64 : 0x100;
}

static uint64_t ones(unsigned int size)
{
	return size == 8 ? UINT64_MAX : (BIT(8 * size) - 1);
}

static void width_cases(const struct dev *d)
{
	static struct session s;

	for (unsigned int size = 1; size <= 8; size *= 2) {
		case_begin("R9", d, "registers-read.bytes-", decimal(size), "", is(IGNORED));
		session_start(&s, d, 0, 8);
		for (uint32_t off = 0; off < control_len(d); off++)
			mem_get(d->regs + off, size);
		case_end(d, is(session_works(&s) ? IGNORED : WRONG));
	}
	for (unsigned int size = 1; size <= 8; size *= 2) {
		for (unsigned int i = 0; i < N_ELEMENTS(patterns); i++) {
			case_begin("R14", d, "registers-scribbled.bytes-", decimal(size),
				   i == 0   ? "=0"
				   : i == 1 ? "=all-ones"
					    : "=0x5a",
				   is(SURVIVES));
			session_start(&s, d, 0, 8);
			for (uint32_t off = 0; off < control_len(d); off++)
				mem_set(d->regs + off, size, patterns[i] * UINT64_C(0x100000001));
			case_end(d, is(SURVIVES));
		}
	}
	/* The status register is one byte over PCI, 4 over MMIO. */
	for (unsigned int size = 1; size <= 4; size *= 2) {
		if (size == (d->pci ? 1 : 4))
			continue;
		case_begin("R9", d, "status.of-bytes-", decimal(size), "", is(ALL_ONES));
		session_start(&s, d, 0, 8);
		mem_set(reg_at(d, DEVICE_STATUS), size, 0); /* no reset */
		case_end(d, is(mem_get(reg_at(d, DEVICE_STATUS), size) == ones(size) &&
					       session_works(&s)
				       ? ALL_ONES
				       : WRONG));
	}
}

/* Strings of any length, in and out of the registers. */
static void string_case(const struct dev *d)
{
	static struct session s;
	void *dst = scratch;
	const void *src = (const void *)d->regs;
	size_t n = 259;

	case_begin("R14", d, "registers.by-string-instructions", "", "", is(SURVIVES));
	session_start(&s, d, 0, 8);
	__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(n)::"memory");
	dst = (void *)(d->regs + 1), src = scratch, n = 65;
	__asm__ volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(n)::"memory");
	case_end(d, is(SURVIVES));
}

/* Configuration space
 * ------------------------------------------------------------------------------ */

static void config_cases(const struct dev *d)
{
	/* What is behind it, over MMIO, is found by reading on. */
	const uint32_t page_end = d->pci ? 0x1000 : 0xf00;
	static uint8_t before[64];
	static struct session s;

	for (unsigned int size = 1; size <= 8; size *= 2) {
		case_begin("R9", d, "config.end-of-page.bytes-", decimal(size), "", is(ALL_ONES));
		if (!d->config) /* PCI, and a device type without one */
			case_end(d, is(ALL_ONES));
		else
			case_end(d, is(mem_get(d->config + page_end - size, size) == ones(size)
					       ? ALL_ONES
					       : WRONG));
	}
	if (!d->config)
		return;
	for (unsigned int i = 0; i < N_ELEMENTS(patterns); i++) {
		bool same = true;

		case_begin("R9", d, "config.scribbled",
			   i == 0   ? "=0"
			   : i == 1 ? "=all-ones"
				    : "=0x5a",
			   "", is(REFUSED));
		session_start(&s, d, 0, 8);
		for (unsigned int k = 0; k < sizeof(before); k++)
			before[k] = (uint8_t)mem_get(d->config + k, 1);
		for (unsigned int size = 1; size <= 8; size *= 2) {
			for (unsigned int k = 0; k < sizeof(before); k++)
				mem_set(d->config + k, size, patterns[i] * UINT64_C(0x100000001));
		}
		for (unsigned int k = 0; k < sizeof(before); k++)
			same &= before[k] == (uint8_t)mem_get(d->config + k, 1);
		case_end(d, is(same && session_works(&s) ? REFUSED : KEPT));
	}
}

void register_cases(const struct dev *d)
{
	frozen_cases(d);
	enabled_cases(d);
	selected_cases(d);
	notify_cases(d);
	width_cases(d);
	string_case(d);
	config_cases(d);
}
