/*
 * net_cases.c - frames and headers that cannot be, receive buffers that are too few or too small,
 * commands that are cut off.
 *
 * Source: VIRTIO 1.2: 5.1.6.2 transmission, 5.1.6.3 receive buffers, 5.1.6.5 the control queue. A
 * frame that is sent comes back from the host; then an honest one is, so that one that is dropped
 * is known to be.
 */
#include "hostile.h"

#define HEADER 12
#define SIZE 64
#define TOKEN 0x6b6f7401 /* of the hostile frame */

static uint8_t frame[HEADER + 0x12000];
static struct session s;

static void make_frame(void)
{
	const uint32_t token = TOKEN;

	memset(frame, 0, HEADER + 64);
	memset(frame + HEADER, 0xff, 6);
	frame[HEADER + 6] = 0x02; /* a source that a bridge takes */
	frame[HEADER + 12] = 0x88;
	frame[HEADER + 13] = 0xb5;
	memcpy(frame + HEADER + 14, &token, 4);
}

/* Transmission
 * ------------------------------------------------------------------------------------- */

static const struct {
	const char *rule, *name;
	uint8_t flags, gso;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
	uint32_t bytes; /* with the header */
	enum what what;
} frames[] = {
	{ "R11", "good", 0, 0, 0, 0, 0, 0, 72, SENT },
	{ "R11", "no-header", 0, 0, 0, 0, 0, 0, 0, DROPPED },
	{ "R11", "header-of-1-byte", 0, 0, 0, 0, 0, 0, 1, DROPPED },
	{ "R11", "header-of-11-bytes", 0, 0, 0, 0, 0, 0, 11, DROPPED },
	{ "R11", "header-only", 0, 0, 0, 0, 0, 0, 12, DROPPED },
	{ "R11", "frame-of-1-byte", 0, 0, 0, 0, 0, 0, 13, DROPPED },
	{ "R11", "frame-of-13-bytes", 0, 0, 0, 0, 0, 0, 25, DROPPED },
	{ "R11", "frame-of-64-KiB", 0, 0, 0, 0, 0, 0, HEADER + 0x10000, SENT },
	{ "R11", "frame-that-is-too-long", 0, 0, 0, 0, 0, 0, HEADER + 0x12000, DROPPED },
	{ "R11", "unknown-flags", 0xfe, 0, 0, 0, 0, 0, 72, SENT },
	{ "R11", "unknown-gso-type", 0, 0x7f, 0, 1000, 0, 0, 72, DROPPED },
	{ "R11", "csum-not-negotiated", 1, 0, 0, 0, 34, 6, 72, DROPPED },
	{ "R11", "csum-past-the-end", 1, 0, 0, 0, 0xffff, 0xffff, 72, DROPPED },
	{ "R11", "gso-size-0", 1, 1, 54, 0, 34, 16, 72, DROPPED },
	{ "R11", "gso-size-65535", 1, 1, 54, 0xffff, 34, 16, 72, DROPPED },
	{ "R11", "gso-without-csum", 0, 1, 54, 1000, 0, 0, 72, DROPPED },
	{ "R11", "gso-of-tcp6", 1, 4, 74, 1000, 54, 16, 90, DROPPED },
	{ "R11", "gso-ecn", 1, 0x81, 54, 1000, 34, 16, 72, DROPPED },
	{ "R11", "hdr-len-65535", 0, 0, 0xffff, 0, 0, 0, 72, SENT },
};

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void frame_cases(const struct dev *d)
{
	for (unsigned int i = 0; i < N_ELEMENTS(frames); i++) {
		const struct piece p = { frame, frames[i].bytes, false };

		case_begin(frames[i].rule, d, "frame.", frames[i].name, "", is(frames[i].what));
		make_frame();
		frame[0] = frames[i].flags;
		frame[1] = frames[i].gso;
		put16(frame + 2, frames[i].hdr_len);
		put16(frame + 4, frames[i].gso_size);
		put16(frame + 6, frames[i].csum_start);
		put16(frame + 8, frames[i].csum_offset);
		session_start(&s, d, 0, SIZE);
		case_end(d, net_send(&s, &p, 1, TOKEN));
	}
}

static void split_cases(const struct dev *d)
{
	static struct piece p[40];
	unsigned int n;

	make_frame();
	for (n = 0; n < HEADER; n++)
		p[n] = (struct piece){ frame + n, 1, false };
	p[n++] = (struct piece){ frame + HEADER, 60, false };
	case_begin("R11", d, "frame.header-in-12-pieces", "", "", is(SENT));
	session_start(&s, d, 0, SIZE);
	case_end(d, net_send(&s, p, n, TOKEN));

	for (n = 0; n < 36; n++)
		p[n] = (struct piece){ frame + 2 * n, 2, false };
	case_begin("R11", d, "frame.in-36-pieces", "", "", is(SENT));
	session_start(&s, d, 0, SIZE);
	case_end(d, net_send(&s, p, n, TOKEN));

	p[0] = (struct piece){ frame, 72, true };
	case_begin("R7", d, "frame.in-a-writable-buffer", "", "", is(DROPPED));
	session_start(&s, d, 0, SIZE);
	case_end(d, net_send(&s, p, 1, TOKEN));
}

/* Receiving
 * ---------------------------------------------------------------------------------------- */

/* A session with `n` receive buffers of `len` bytes only; then a frame of `bytes` comes. */
static void receive(const struct dev *d, uint64_t features, uint16_t n, uint32_t len,
		    uint32_t bytes)
{
	struct ring *rx = &s.ring[0], *tx = &s.ring[1];

	negotiate(d, F_VERSION_1 | features);
	for (unsigned int q = 0; q < 2; q++) {
		ring_init(&s.ring[q], d, q, SIZE);
		ring_tell(&s.ring[q]);
	}
	s.dev = d;
	driver_ok(d);
	for (uint16_t i = 0; i < n; i++) {
		ring_chain(rx, i, &(struct piece){ scratch + 0x800 * i, len, true }, 1);
		ring_publish(rx, i);
	}
	kick(d, 0);
	make_frame();
	ring_request(tx, &(struct piece){ frame, HEADER + bytes, false }, 1, NULL);
}

static void buffer_cases(const struct dev *d)
{
	static const struct {
		const char *name;
		uint64_t features;
		uint16_t n;
		uint32_t len, bytes;
		struct outcome expected;
	} cases[] = {
		{ "buffers-of-1-byte", 0, 8, 1, 60, { USED, 8 } },
		{ "buffers-of-0-bytes", 0, 8, 0, 60, { USED, 8 } },
		{ "buffers-of-11-bytes", 0, 8, 11, 60, { USED, 8 } },
		{ "buffers-of-12-bytes", 0, 8, 12, 60, { NOTHING, 0 } },
		{ "a-buffer-too-small-by-1", 0, 8, 71, 60, { NOTHING, 0 } },
		{ "a-buffer-that-fits", 0, 8, 72, 60, { USED, 1 } },
		{ "mergeable-of-1-byte", F_NET_MRG_RXBUF, 8, 1, 60, { USED, 8 } },
		{ "mergeable-of-12-bytes", F_NET_MRG_RXBUF, 8, 12, 60, { USED, 6 } },
		{ "mergeable-exhausted", F_NET_MRG_RXBUF, 8, 64, 1514, { NOTHING, 0 } },
		{ "no-buffers", 0, 0, 0, 60, { NOTHING, 0 } },
	};

	for (unsigned int i = 0; i < N_ELEMENTS(cases); i++) {
		case_begin("R11", d, "receive.", cases[i].name, "", cases[i].expected);
		receive(d, cases[i].features, cases[i].n, cases[i].len, cases[i].bytes);
		case_end(d, ring_outcome(&s.ring[0], cases[i].expected));
	}
}

/* R11: what has waited for buffers comes when they do, without a reset. */
static void drain_cases(const struct dev *d)
{
	static const uint64_t features[] = { 0, F_NET_MRG_RXBUF };

	for (unsigned int i = 0; i < 2; i++) {
		struct ring *rx = &s.ring[0], *tx = &s.ring[1];

		case_begin("R11", d, "receive.backlog-drains", i ? "-mergeable" : "", "",
			   is_n(USED, 24));
		receive(d, features[i], 0, 0, 60);
		for (unsigned int k = 1; k < 24; k++)
			ring_request(tx, &(struct piece){ frame, HEADER + 60, false }, 1, NULL);
		ring_quiet(rx);
		for (uint16_t k = 0; k < 32; k++) {
			ring_chain(rx, k, &(struct piece){ scratch + 0x800 * k, 0x800, true }, 1);
			ring_publish(rx, k);
		}
		kick(d, 0);
		case_end(d, ring_outcome(rx, is_n(USED, 24)));
	}
}

/* Commands
 * ----------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint8_t bytes[12];
	uint32_t len;
	uint8_t ack; /* 0: OK, 1: ERR */
} commands[] = {
	{ "empty", { 0 }, 0, 1 },
	{ "cut-off", { 1 }, 1, 1 },
	{ "mac-without-argument", { 1, 1 }, 2, 1 },
	{ "mac-cut-off", { 1, 1, 2, 0, 0, 0, 0 }, 7, 1 },
	{ "mac-too-long", { 1, 1, 2, 0, 0, 0, 0, 1, 9 }, 9, 1 },
	{ "mac-multicast", { 1, 1, 1, 0, 0, 0, 0, 1 }, 8, 1 },
	{ "mac-good", { 1, 1, 2, 0, 0, 0, 0, 1 }, 8, 0 },
	{ "mac-table-of-2^32-1", { 1, 0, 255, 255, 255, 255 }, 6, 1 },
	{ "pairs-without-mq", { 4, 0, 1, 0 }, 4, 1 },
	{ "pairs-0", { 4, 0, 0, 0 }, 4, 1 },
	{ "pairs-65535", { 4, 0, 255, 255 }, 4, 1 },
	{ "offloads-all", { 5, 0, 255, 255, 255, 255, 255, 255, 255, 255 }, 10, 1 },
	{ "unknown-class", { 255, 255 }, 2, 1 },
	{ "unknown-command", { 1, 255 }, 2, 1 },
};

static void command_cases(const struct dev *d)
{
	static uint8_t text[12], ack;

	for (unsigned int i = 0; i < N_ELEMENTS(commands); i++) {
		const struct piece p[] = {
			{ text, commands[i].len, false },
			{ &ack, 1, true },
		};

		case_begin("R7", d, "command.", commands[i].name, "",
			   is(commands[i].ack ? REFUSED : KEPT));
		session_start(&s, d, offered(d) & (F_NET_CTRL_VQ | BIT(23)), SIZE);
		memcpy(text, commands[i].bytes, sizeof(text));
		ack = 0xee;
		if (!ring_request(&s.ring[2], p, 2, NULL) || ack > 1)
			case_end(d, is_n(WRONG, ack));
		else
			case_end(d, is(ack ? REFUSED : KEPT));
	}
	case_begin("R7", d, "command.without-room-for-the-answer", "", "", is_n(USED, 1));
	session_start(&s, d, F_NET_CTRL_VQ, SIZE);
	ring_request(&s.ring[2], &(struct piece){ text, 8, false }, 1, NULL);
	case_end(d, ring_outcome(&s.ring[2], is_n(USED, 1)));
}

void net_cases(const struct dev *d)
{
	frame_cases(d);
	split_cases(d);
	buffer_cases(d);
	drain_cases(d);
	command_cases(d);
}
