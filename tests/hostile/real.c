/*
 * real.c - honest requests to each kind of device: what "works again after a reset" means.
 *
 * The host's side gives every frame and every byte of the console back, and has filled the disks
 * so that byte i of sector s is s + i.
 *
 * Source: VIRTIO 1.2: 5.1.6 net, 5.2.6 block, 5.3.6 console, 5.4.6 entropy.
 */
#include "hostile.h"

#define SIZE 8
#define N_BUFFERS 4
#define BUFFER 0x11000 /* the largest frame, and its header */
#define NET_HEADER 12
#define FRAME 60
#define TOKEN_AT (NET_HEADER + 14)
#define CHECKED_SECTOR 5 /* no case writes there */

static uint8_t buffers[N_BUFFERS][BUFFER];
static uint8_t out[NET_HEADER + FRAME];
static uint32_t last_token;

static unsigned int n_rings(const struct dev *d, uint64_t features)
{
	if (d->id == ID_NET)
		return features & F_NET_CTRL_VQ ? 3 : 2;
	if (d->id == ID_CONSOLE)
		return features & F_CONSOLE_MULTIPORT ? 4 : 2;
	return 1;
}

static void give_buffer(struct ring *r, uint16_t i)
{
	ring_chain(r, i, &(struct piece){ buffers[i], BUFFER, true }, 1);
	ring_publish(r, i);
}

bool session_start(struct session *s, const struct dev *d, uint64_t features, uint16_t size)
{
	s->dev = d;
	if (!negotiate(d, F_VERSION_1 | features))
		return false;
	for (unsigned int i = 0; i < n_rings(d, features); i++) {
		ring_init(&s->ring[i], d, i, size);
		ring_tell(&s->ring[i]);
	}
	driver_ok(d);
	if (d->id == ID_NET || d->id == ID_CONSOLE) {
		for (uint16_t i = 0; i < N_BUFFERS; i++)
			give_buffer(&s->ring[0], i);
		kick(d, 0);
	}
	return status(d) == S_RUNNING;
}

/* Takes one buffer that has come; false: the device says no more. *n: bytes in it. */
static bool take_buffer(struct session *s, uint16_t *i, uint32_t *n)
{
	struct ring *r = &s->ring[0];
	const volatile uint32_t *e = (const volatile uint32_t *)(r->used + 2);

	for (unsigned int k = 0; ring_used_idx(r) == r->seen; k++) {
		if (k == most_looks || status(s->dev) != S_RUNNING)
			return false;
	}
	e += 2 * (r->seen++ % r->size);
	*i = (uint16_t)e[0];
	*n = e[1];
	return *i < N_BUFFERS && *n <= BUFFER;
}

static uint32_t token_of(const uint8_t *frame)
{
	uint32_t t;

	memcpy(&t, frame + TOKEN_AT, 4);
	return t;
}

static bool net_send_honest(struct session *s, uint32_t token)
{
	struct piece p = { out, sizeof(out), false };

	memset(out, 0, sizeof(out));
	memset(out + NET_HEADER, 0xff, 6);
	out[NET_HEADER + 6] = 0x02; /* a source that a bridge takes */
	out[NET_HEADER + 12] = 0x88; /* IEEE 802 local experimental ethertype */
	out[NET_HEADER + 13] = 0xb5;
	memcpy(out + TOKEN_AT, &token, 4);
	return ring_request(&s->ring[1], &p, 1, NULL);
}

/* Receives until the honest frame is there; was the other one before it? */
static bool net_receive(struct session *s, uint32_t token, uint32_t other, bool *came)
{
	for (;;) {
		uint32_t n, t;
		uint16_t i;

		if (!take_buffer(s, &i, &n))
			return false;
		t = n >= TOKEN_AT + 4 ? token_of(buffers[i]) : 0;
		give_buffer(&s->ring[0], i);
		kick(s->dev, 0);
		if (t == other)
			*came = true;
		if (t == token)
			return true;
	}
}

struct outcome net_send(struct session *s, const struct piece *p, unsigned int n, uint32_t token)
{
	const uint32_t honest = 0x80000000 | ++last_token;
	bool came = false;

	if (!ring_request(&s->ring[1], p, n, NULL))
		return status(s->dev) & S_NEEDS_RESET ? is(NEEDS_RESET) : is(NOTHING);
	if (!net_send_honest(s, honest) || !net_receive(s, honest, token, &came))
		return is(WRONG);
	return is(came ? SENT : DROPPED);
}

static bool net_works(struct session *s)
{
	const uint32_t token = 0x80000000 | ++last_token;
	bool came = false;

	return net_send_honest(s, token) && net_receive(s, token, token, &came);
}

bool console_echo(struct session *s)
{
	uint32_t seen = 0, n;
	uint16_t i;

	last_token = (last_token + 1) & 0x7fffffff;
	for (unsigned int k = 0; k < 4; k++) /* letters, so that no command is among them */
		out[k] = (uint8_t)('a' + (last_token >> 4 * (3 - k) & 15));
	if (!ring_request(&s->ring[1], &(struct piece){ out, 4, false }, 1, NULL))
		return false;
	while (seen < 4) {
		if (!take_buffer(s, &i, &n))
			return false;
		for (uint32_t k = 0; k < n && seen < 4; k++) {
			if (buffers[i][k] == out[seen])
				seen++;
			else
				seen = buffers[i][k] == out[0];
		}
		give_buffer(&s->ring[0], i);
		kick(s->dev, 0);
	}
	return true;
}

static bool blk_works(struct session *s)
{
	static struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header = { .sector = CHECKED_SECTOR };
	static uint8_t data[512], answer;
	const struct piece p[] = {
		{ &header, 16, false },
		{ data, 512, true },
		{ &answer, 1, true },
	};
	uint32_t n;

	answer = 0xff;
	memset(data, 0, sizeof(data));
	if (!ring_request(&s->ring[0], p, 3, &n) || n != 513 || answer != 0)
		return false;
	for (unsigned int i = 0; i < sizeof(data); i++) {
		if (data[i] != (uint8_t)(CHECKED_SECTOR + i))
			return false;
	}
	return true;
}

static bool rng_works(struct session *s)
{
	static uint8_t bytes[16];
	uint32_t n;

	memset(bytes, 0, sizeof(bytes));
	if (!ring_request(&s->ring[0], &(struct piece){ bytes, 16, true }, 1, &n) || n != 16)
		return false;
	for (unsigned int i = 0; i < 16; i++) {
		if (bytes[i])
			return true;
	}
	return false;
}

bool session_works(struct session *s)
{
	switch (s->dev->id) {
	case ID_NET:
		return net_works(s);
	case ID_BLK:
		return blk_works(s);
	case ID_CONSOLE:
		return console_echo(s);
	default:
		return rng_works(s);
	}
}

bool works(const struct dev *d)
{
	static struct session s;

	return session_start(&s, d, 0, SIZE) && session_works(&s);
}
