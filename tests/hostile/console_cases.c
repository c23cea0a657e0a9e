/*
 * console_cases.c - messages that are cut off or name ports that are not there, and entropy for
 * more than there is RAM.
 *
 * Source: VIRTIO 1.2: 5.3.4 emergency writes, 5.3.6.2 messages of the control queues; 5.4.6
 * entropy.
 */
#include "hostile.h"

#define SIZE 64
#define RNG_MOST 4096 /* that the device gives for one request */

static struct session s;

static const struct {
	const char *rule, *name;
	uint8_t bytes[8];
	uint32_t len;
} messages[] = {
	{ "R7", "empty", { 0 }, 0 },
	{ "R7", "of-1-byte", { 0 }, 1 },
	{ "R7", "of-7-bytes", { 0, 0, 0, 0, 3, 0, 1 }, 7 },
	{ "R7", "unknown-event", { 0, 0, 0, 0, 255, 255, 0, 0 }, 8 },
	{ "R7", "event-of-the-device's-own", { 0, 0, 0, 0, 1, 0, 1, 0 }, 8 },
	{ "R8", "ready-of-port-2", { 2, 0, 0, 0, 3, 0, 1, 0 }, 8 },
	{ "R8", "ready-of-port-31", { 31, 0, 0, 0, 3, 0, 1, 0 }, 8 },
	{ "R8", "ready-of-port-32", { 32, 0, 0, 0, 3, 0, 1, 0 }, 8 },
	{ "R8", "ready-of-port-2^31", { 0, 0, 0, 128, 3, 0, 1, 0 }, 8 },
	{ "R8", "ready-of-port-2^32-1", { 255, 255, 255, 255, 3, 0, 1, 0 }, 8 },
	{ "R8", "open-of-port-2^32-1", { 255, 255, 255, 255, 6, 0, 1, 0 }, 8 },
	{ "R7", "open-without-ready", { 1, 0, 0, 0, 6, 0, 1, 0 }, 8 },
	{ "R7", "ready-taken-back", { 0, 0, 0, 0, 3, 0, 0, 0 }, 8 },
	{ "R7", "device-not-ready", { 0, 0, 0, 0, 0, 0, 0, 0 }, 8 },
	{ "R7", "ready-with-value-65535", { 1, 0, 0, 0, 3, 0, 255, 255 }, 8 },
};

/* Each alone, and then so often that answers cannot be kept for ever. */
static void message_cases(const struct dev *d)
{
	static uint8_t text[8];

	for (unsigned int i = 0; i < N_ELEMENTS(messages); i++) {
		const struct piece p = { text, messages[i].len, false };
		bool back = true;

		case_begin(messages[i].rule, d, "message.", messages[i].name, "", is_n(USED, 1));
		session_start(&s, d, F_CONSOLE_MULTIPORT, SIZE);
		memcpy(text, messages[i].bytes, sizeof(text));
		ring_request(&s.ring[3], &p, 1, NULL);
		case_end(d, ring_outcome(&s.ring[3], is_n(USED, 1)));

		case_begin("R6", d, "message-storm.", messages[i].name, "", is(IGNORED));
		session_start(&s, d, F_CONSOLE_MULTIPORT, SIZE);
		for (unsigned int n = 0; n < 100 && back; n++)
			back = ring_request(&s.ring[3], &p, 1, NULL);
		case_end(d, is(back ? IGNORED : WRONG));
	}
}

static void control_cases(const struct dev *d)
{
	static const uint8_t ready[] = { 0, 0, 0, 0, 0, 0, 1, 0 };
	struct ring *rx = &s.ring[2], *tx = &s.ring[3];

	/* A message that does not fit is lost; its buffer is not. */
	case_begin("R7", d, "message.answer-into-1-byte", "", "", is_n(USED, 2));
	session_start(&s, d, F_CONSOLE_MULTIPORT, SIZE);
	for (uint16_t i = 0; i < 2; i++) {
		ring_chain(rx, i, &(struct piece){ scratch + 64 * i, 1, true }, 1);
		ring_publish(rx, i);
	}
	ring_request(tx, &(struct piece){ ready, 8, false }, 1, NULL);
	kick(d, 2);
	case_end(d, ring_outcome(rx, is_n(USED, 2)));

	case_begin("R8", d, "control-queues-without-multiport", "", "", is(NOTHING));
	session_start(&s, d, 0, SIZE);
	kick(d, 2);
	kick(d, 3);
	case_end(d, ring_quiet(&s.ring[1]));
}

/* One character, whatever is written there and how. */
static void emergency_cases(const struct dev *d)
{
	case_begin("R6", d, "emergency-write-storm", "", "", is(IGNORED));
	session_start(&s, d, 0, SIZE);
	for (unsigned int i = 0; i < 300; i++)
		mem_set(d->config + 8, 4, 0xffffff7a);
	case_end(d, is(console_echo(&s) ? IGNORED : WRONG));
	for (unsigned int off = 5; off < 12; off++) {
		case_begin("R9", d, "emergency-write-at-", decimal(off), "", is(IGNORED));
		session_start(&s, d, 0, SIZE);
		for (unsigned int size = 1; size <= 8; size *= 2)
			mem_set(d->config + off, size, UINT64_C(0x7a7a7a7a7a7a7a7a));
		case_end(d, is(console_echo(&s) ? IGNORED : WRONG));
	}
}

/* R13: much output, and input that nobody takes. */
static void flood_cases(const struct dev *d)
{
	struct ring *tx = &s.ring[1];

	case_begin("R13", d, "output-flood", "", "", is_n(USED, 32));
	memset(scratch, 'y', sizeof(scratch));
	session_start(&s, d, 0, SIZE);
	for (uint16_t i = 0; i < 32; i++) {
		ring_chain(tx, i, &(struct piece){ scratch, 0x8000, false }, 1);
		ring_publish(tx, i);
	}
	kick(d, 1);
	case_end(d, ring_outcome(tx, is_n(USED, 32)));

	case_begin("R6", d, "input-that-nobody-takes", "", "", is_n(USED, 16));
	negotiate(d, F_VERSION_1);
	ring_init(tx, d, 1, SIZE);
	ring_tell(tx);
	driver_ok(d);
	for (uint16_t i = 0; i < 16; i++) {
		ring_chain(tx, i, &(struct piece){ scratch, 0x4000, false }, 1);
		ring_publish(tx, i);
	}
	kick(d, 1);
	case_end(d, ring_outcome(tx, is_n(USED, 16)));
}

void console_cases(const struct dev *d)
{
	message_cases(d);
	control_cases(d);
	emergency_cases(d);
	flood_cases(d);
}

/* Entropy
 * ------------------------------------------------------------------------------------------ */

void rng_cases(const struct dev *d)
{
	static const struct {
		const char *name;
		uint32_t len;
		unsigned int n; /* descriptors of that length each */
		uint32_t expected;
	} requests[] = {
		{ "of-0-bytes", 0, 1, 0 },
		{ "of-1-byte", 1, 1, 1 },
		{ "of-4095-bytes", 4095, 1, 4095 },
		{ "of-4097-bytes", 4097, 1, RNG_MOST },
		{ "of-256-MiB", 256 << 20, 1, RNG_MOST },
		{ "of-2-GiB", 256 << 20, 8, RNG_MOST },
		{ "of-4-GiB", 256 << 20, 16, RNG_MOST },
		{ "of-12-GiB", 256 << 20, 48, RNG_MOST },
		{ "in-16-pieces", 1, 16, 16 },
	};
	static struct piece p[48];

	for (unsigned int i = 0; i < N_ELEMENTS(requests); i++) {
		const struct outcome expected = is_n(USED_LEN, requests[i].expected);

		case_begin("R6", d, "request.", requests[i].name, "", expected);
		session_start(&s, d, 0, SIZE);
		for (unsigned int k = 0; k < requests[i].n; k++)
			p[k] = (struct piece){ scratch, requests[i].len, true };
		ring_chain(&s.ring[0], 0, p, requests[i].n);
		ring_publish(&s.ring[0], 0);
		kick(d, 0);
		case_end(d, ring_outcome(&s.ring[0], expected));
	}
	case_begin("R7", d, "request.in-a-read-only-buffer", "", "", is_n(USED_LEN, 0));
	session_start(&s, d, 0, SIZE);
	ring_chain(&s.ring[0], 0, &(struct piece){ scratch, 64, false }, 1);
	ring_publish(&s.ring[0], 0);
	kick(d, 0);
	case_end(d, ring_outcome(&s.ring[0], is_n(USED_LEN, 0)));
}
