/*
 * fuzz_net_stream.c - a hostile network helper: frames behind lengths that lie, cut anywhere, and
 * connections that end at any moment (src/net/net_stream.c).
 */
#include "../../src/net/net_stream.h"
#include "fuzz.h"
#include "loop.h"
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_OPS 200u

static struct evloop *loop;
static struct net_stream s;
static int peer = -1; /* the helper's end */
static uint8_t *room; /* exactly what a frame may need, so that a byte more is seen */

static void connect_peer(void)
{
	int fds[2];

	VMM_BUG_ON(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0);
	peer = fds[1];
	net_stream_attach(&s, fds[0]);
}

static void hang_up(void)
{
	if (peer >= 0)
		close(peer);
	peer = -1;
}

/* As a device does: in two pieces behind the header. */
static void receive(void)
{
	uint8_t header[NETIF_HDR_LEN];
	struct iovec iov[3] = { { header, sizeof(header) },
				{ room, 100 },
				{ room + 100, NETIF_FRAME_MAX + 1 - 100 } };
	size_t n = net_stream_receive(&s, iov, 3);

	FUZZ_CHECK(n == 0 || (n > NETIF_HDR_LEN && n <= NETIF_HDR_LEN + NETIF_FRAME_MAX));
}

static void readable(void *arg)
{
	(void)arg;
	receive();
}

static void writable(void *arg)
{
	(void)arg;
	net_stream_watch(&s, EPOLLIN);
}

static void lost(void *arg, const char *why, bool bad)
{
	(void)arg, (void)bad;
	FUZZ_CHECK(why && s.fd < 0);
	hang_up();
}

static void send_frame(struct input *in)
{
	uint8_t header[NETIF_HDR_LEN] = { 0 };
	size_t len = NETIF_FRAME_MIN + next_number(in, 2) % (NETIF_FRAME_MAX + 1 - NETIF_FRAME_MIN);
	struct iovec iov[3] = { { header, sizeof(header) }, { room, 10 }, { room + 10, len - 10 } };

	if (net_stream_send(&s, iov, 3) == NETIF_AGAIN)
		net_stream_watch(&s, EPOLLIN | EPOLLOUT);
}

/* The helper's side: what it says, and how fast it listens. */
static void say(const void *data, size_t len)
{
	if (peer >= 0)
		(void)!send(peer, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void helper(struct input *in)
{
	static uint8_t bytes[STREAM_RECORD];
	uint32_t len;

	switch (next_below(in, 6)) {
	case 0: /* bytes */
		say(bytes, next_bytes(in, bytes, next_u8(in) % 64));
		break;
	case 1: /* a length */
		len = (uint32_t)next_number(in, 4);
		for (unsigned int i = 0; i < 4; i++)
			bytes[i] = (uint8_t)(len >> (24 - 8 * i));
		say(bytes, 4);
		break;
	case 2: /* a good frame, perhaps cut */
		len = next_u16(in);
		for (unsigned int i = 0; i < 4; i++)
			bytes[i] = (uint8_t)(len >> (24 - 8 * i));
		say(bytes, next_bool(in) ? len / 2 : STREAM_PREFIX + len);
		break;
	case 3:
		say(bytes, next_u16(in));
		break;
	case 4:
		if (peer >= 0)
			(void)!recv(peer, bytes, next_u16(in), MSG_DONTWAIT);
		break;
	case 5:
		hang_up();
		break;
	}
}

static void op(struct input *in)
{
	switch (next_below(in, 7)) {
	case 0:
		receive();
		break;
	case 1:
		send_frame(in);
		break;
	case 2:
		loop_turn(loop);
		break;
	case 3:
		net_stream_watch(&s, next_u8(in) & (EPOLLIN | EPOLLOUT));
		break;
	case 4:
		if (!net_stream_is_alive(&s)) {
			hang_up();
			connect_peer();
		}
		break;
	default:
		helper(in);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct net_stream_events events = { readable, writable, lost };
	struct input in = { data, data + size };
	struct err e;

	room = calloc(1, NETIF_FRAME_MAX + 1);
	VMM_BUG_ON(!room || evloop_create(&loop, &e) < 0 ||
		   net_stream_init(&s, loop, &events, NULL, &e) < 0);
	connect_peer();
	for (unsigned int n = 0; left(&in) > 0 && n < MAX_OPS; n++)
		op(&in);
	net_stream_fini(&s);
	hang_up();
	evloop_destroy(loop);
	free(room);
	return 0;
}
