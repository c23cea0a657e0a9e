/*
 * fuzz_virtio_net.c - network interfaces: src/virtio/virtio_net*.c, frames both ways and the
 * control queue.
 */
#include "fake_netif.h"
#include "guest.h"
#include "loop.h"
#include <linux/virtio_net.h>

#define ALL_OFFLOADS (NETIF_CSUM | NETIF_TSO4 | NETIF_TSO6 | NETIF_ECN)
#define MOST (NETIF_HDR_LEN + NETIF_FRAME_MAX)
#define MAX_WAITING 64u /* frames at the host: each takes memory of ours */

/* Usual lengths, and the edges of what there can be. */
static size_t frame_len(struct guest *g)
{
	static const size_t edges[] = {
		14, 15, 59, 60, 1514, 1515, 4096, 65535, NETIF_FRAME_MAX - 1, NETIF_FRAME_MAX
	};
	uint8_t how = next_u8(g->in);

	return how < 0x80 ? 14ul + how * 12ul : edges[how % ARRAY_SIZE(edges)];
}

static void put_header(struct guest *g, uint8_t *header)
{
	static const uint8_t flags[] = { 0, 1, 2, 4, 0xff };
	static const uint8_t types[] = { 0, 1, 4, 3, 5, 0x80, 0x81, 0x84, 0xff };

	memset(header, 0, NETIF_HDR_LEN);
	header[0] = flags[next_below(g->in, ARRAY_SIZE(flags))];
	header[1] = types[next_below(g->in, ARRAY_SIZE(types))];
	for (unsigned int i = 2; i < NETIF_HDR_LEN; i += 2)
		store_le16(header + i, (uint16_t)next_number(g->in, 2));
}

static unsigned int n_pairs(const struct guest *g)
{
	return ((struct fake_netif *)g->arg)->n.n_pairs;
}

static void send_frame(struct guest *g)
{
	uint8_t header[NETIF_HDR_LEN] = { 0 }, how = next_u8(g->in);
	struct fake_seg segs[12];
	unsigned int n = 0;
	size_t len = frame_len(g), cut = how & 2 ? next_u8(g->in) % NETIF_HDR_LEN : NETIF_HDR_LEN;
	gpa_t at;

	if (how & 1)
		put_header(g, header);
	at = guest_put(g, NULL, NETIF_HDR_LEN + len);
	fake_driver_write(&g->f, at, header, sizeof(header));
	segs[n++] = (struct fake_seg){ at, (uint32_t)cut, false };
	segs[n++] = (struct fake_seg){ at + cut, (uint32_t)(NETIF_HDR_LEN + len - cut), false };
	if (how & 4)
		n = guest_segs(g, segs, n, ARRAY_SIZE(segs));
	guest_send(g, 2 * next_below(g->in, n_pairs(g)) + 1, segs, how & 8 ? 1 : n);
}

static void give_buffer(struct guest *g)
{
	unsigned int qi = 2 * next_below(g->in, n_pairs(g));
	struct fake_seg segs[12];
	unsigned int n = 0;
	uint8_t how = next_u8(g->in);

	if (how & 1)
		n = guest_segs(g, segs, 0, ARRAY_SIZE(segs));
	if (n == 0) {
		uint32_t len = how & 2 ? guest_len(g) : how & 4 ? 1526 : MOST;

		segs[n++] = (struct fake_seg){ guest_put(g, NULL, MOST), len, true };
	}
	guest_send(g, qi, segs, n);
}

/* class, command, data; then the place for the answer. */
static void command(struct guest *g)
{
	static const struct {
		uint8_t class, command, len;
	} known[] = {
		{ VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 2 },
		{ VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, 8 },
		{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 6 },
		{ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1 },
	};
	uint8_t text[34] = { 0 }, how = next_u8(g->in), i = how % ARRAY_SIZE(known);
	struct fake_seg segs[2];
	size_t n = 2;

	if (how & 0x80) {
		n = next_bytes(g->in, text, next_u8(g->in) % sizeof(text));
	} else {
		text[0] = known[i].class;
		text[1] = known[i].command;
		n += known[i].len;
		next_bytes(g->in, text + 2, known[i].len);
	}
	segs[0] = (struct fake_seg){ guest_put(g, text, n), (uint32_t)n, false };
	segs[1] = (struct fake_seg){ guest_put(g, "\xff", 1), how & 0x40 ? guest_len(g) : 1, true };
	guest_send(g, g->f.v->n_queues - 1, segs, 2);
}

static void request(struct guest *g)
{
	switch (next_below(g->in, 4)) {
	case 0:
		command(g);
		break;
	case 1:
		give_buffer(g);
		break;
	default:
		send_frame(g);
		break;
	}
}

static void host(struct guest *g)
{
	static const enum netif_sent answers[] = { NETIF_SENT, NETIF_DROPPED, NETIF_AGAIN };
	struct fake_netif *n = g->arg;
	uint8_t header[NETIF_HDR_LEN] = { 0 }, how = next_u8(g->in);

	switch (how % 8) {
	case 0:
		fake_netif_answer(n, answers[next_below(g->in, ARRAY_SIZE(answers))]);
		break;
	case 1:
		fake_netif_set_link(n, next_bool(g->in));
		break;
	default:
		if (how & 0x80)
			put_header(g, header);
		if (fake_netif_left(n) < MAX_WAITING)
			fake_netif_put(n, next_below(g->in, n->n.n_pairs), header, frame_len(g),
				       how);
		break;
	}
	if (how & 0x40)
		loop_turn(g->f.loop);
}

/* A frame out; one in. */
static void works(struct guest *g)
{
	uint8_t header[NETIF_HDR_LEN] = { 0 };
	struct fake_netif *n = g->arg;
	struct fake_seg out[2] = { { guest_put(g, header, NETIF_HDR_LEN), NETIF_HDR_LEN, false },
				   { guest_put(g, NULL, 60), 60, false } };
	struct fake_seg in = { guest_put(g, NULL, MOST), MOST, true };

	loop_advance(100000 * NS_PER_S); /* what a rate limit may take */
	fake_netif_answer(n, NETIF_SENT);
	FUZZ_CHECK(guest_ask(g, 1, out, 2) == 0);
	fake_netif_put(n, 0, NULL, 60, 1);
	FUZZ_CHECK(guest_ask(g, 0, &in, 1) >= NETIF_HDR_LEN + NETIF_FRAME_MIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct guest_ops ops = { .request = request, .host = host, .works = works };
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };
	struct input in = { data, data + size };
	struct virtio_net_params p = { .name = "net0" };
	struct fake_netif *n;
	struct virtio_dev *v;
	struct guest g;
	struct err e;
	uint8_t how = next_u8(&in);

	guest_init(&g, &ops, &in, NULL);
	n = fake_netif_create(g.f.loop, how & 1 ? 4 : 1, how & 2 ? ALL_OFFLOADS : 0);
	g.arg = n;
	p.netif = &n->n;
	memcpy(p.mac, mac, sizeof(mac));
	p.mtu = how & 4 ? 1500 : 0;
	if (how & 8)
		p.rate = (struct rate_spec){ .bytes_per_s = 65536,
					     .bytes_burst = 65536,
					     .ops_per_s = 100,
					     .ops_burst = 100 };
	VMM_BUG_ON(virtio_net_create_on(&v, &p, &g.f.env, &e) < 0);
	fake_driver_attach(&g.f, v);
	guest_play(&g);
	guest_fini(&g);
	return 0;
}
