/*
 * guest.c - see guest.h.
 */
#include "guest.h"
#include "loop.h"
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#define SCRATCH (8 * MIB) /* what guest_put() uses; the rings are below */
#define SCRATCH_END (15 * MIB)
#define MAX_SEGS 12u
#define MAX_OPS 400u /* in one program: each takes its time */

void guest_init(struct guest *g, const struct guest_ops *ops, struct input *in, void *arg)
{
	struct err e;

	*g = (struct guest){ .ops = ops, .in = in, .scratch = SCRATCH, .arg = arg };
	fake_driver_init(&g->f);
	VMM_BUG_ON(gmem_add_ram(g->f.mem, GUEST_NEXT_RAM, GUEST_NEXT_LEN, &e) < 0);
	VMM_BUG_ON(gmem_add_ram(g->f.mem, GUEST_FAR_RAM, GUEST_FAR_LEN, &e) < 0);
}

void guest_fini(struct guest *g)
{
	fake_driver_fini(&g->f);
}

/* Choices ------------------------------------------------------------------------------------ */

unsigned int guest_queue(struct guest *g)
{
	return next_u8(g->in) % g->f.v->n_queues;
}

gpa_t guest_place(struct guest *g)
{
	static const gpa_t edges[] = {
		0,
		GUEST_NEXT_RAM,
		GUEST_NEXT_RAM - 512,
		GUEST_NEXT_RAM + GUEST_NEXT_LEN,
		GUEST_NEXT_RAM + GUEST_NEXT_LEN - 512,
		GUEST_FAR_RAM,
		GUEST_FAR_RAM + GUEST_FAR_LEN,
		GUEST_FAR_RAM + GUEST_FAR_LEN - 512,
		0xfee00000, /* no RAM */
		UINT64_C(1) << 63,
		UINT64_MAX - 511,
	};
	uint8_t how = next_u8(g->in);

	if (how < 0xc0)
		return SCRATCH + how * 512ul;
	if (how < 0xd0) {
		const struct fake_queue *q = &g->f.q[guest_queue(g)];
		gpa_t ring = how % 3 == 0 ? q->desc : how % 3 == 1 ? q->avail : q->used;

		return ring + next_u8(g->in);
	}
	if (how < 0xf0)
		return edges[how % ARRAY_SIZE(edges)] + (gpa_t)(int8_t)next_u8(g->in);
	return next_u64(g->in);
}

uint32_t guest_len(struct guest *g)
{
	uint8_t how = next_u8(g->in);

	if (how < 0x60)
		return how;
	if (how < 0xc0)
		return (how - 0x5fu) * 512u;
	return (uint32_t)next_number(g->in, 4);
}

unsigned int guest_segs(struct guest *g, struct fake_seg *segs, unsigned int n, unsigned int max)
{
	unsigned int more = next_below(g->in, 8);

	for (; n < max && more > 0; more--) {
		uint8_t how = next_u8(g->in);

		segs[n] = (struct fake_seg){ guest_place(g), guest_len(g), how & 1 };
		n++;
	}
	return n;
}

/* Chains ------------------------------------------------------------------------------------- */

gpa_t guest_put(struct guest *g, const void *data, size_t len)
{
	gpa_t at;

	if (g->scratch + len > SCRATCH_END)
		g->scratch = SCRATCH;
	at = g->scratch;
	g->scratch = align_up(at + len, 16);
	if (data)
		fake_driver_write(&g->f, at, data, len);
	return at;
}

static void put_desc(uint8_t *raw, const struct fake_seg *s, uint16_t flags, uint16_t next)
{
	store_le64(raw, s->at);
	store_le32(raw + 8, s->len);
	store_le16(raw + 12, flags);
	store_le16(raw + 14, next);
}

static uint16_t indirect(struct guest *g, unsigned int qi, const struct fake_seg *segs,
			 unsigned int n)
{
	struct fake_queue *q = &g->f.q[qi];
	uint16_t head = q->next_desc;
	uint8_t table[16 * (MAX_SEGS + 8)];

	for (unsigned int i = 0; i < n; i++)
		put_desc(table + 16 * i, &segs[i],
			 (uint16_t)((segs[i].writable ? VRING_DESC_F_WRITE : 0) |
				    (i + 1 < n ? VRING_DESC_F_NEXT : 0)),
			 (uint16_t)(i + 1));
	fake_driver_desc(&g->f, qi, head, guest_put(g, table, 16ul * n), 16 * n,
			 VRING_DESC_F_INDIRECT, 0);
	q->next_desc = (uint16_t)((head + 1) % q->size);
	return head;
}

void guest_send(struct guest *g, unsigned int qi, const struct fake_seg *segs, unsigned int n)
{
	uint8_t how = next_u8(g->in);
	uint16_t head;

	if (n == 0)
		return;
	VMM_BUG_ON(n > MAX_SEGS + 8);
	head = how & 1 ? indirect(g, qi, segs, n) : fake_driver_chain(&g->f, qi, segs, n);
	fake_driver_publish(&g->f, qi, head);
	if (!(how & 2))
		virtio_dev_kick(g->f.v, qi);
	if (!(how & 4))
		loop_turn(g->f.loop);
}

uint32_t guest_ask(struct guest *g, unsigned int qi, const struct fake_seg *segs, unsigned int n)
{
	uint32_t id, written;

	fake_driver_publish(&g->f, qi, fake_driver_chain(&g->f, qi, segs, n));
	virtio_dev_kick(g->f.v, qi);
	fake_driver_wait_used(&g->f, qi, &id, &written);
	return written;
}

/* Operations --------------------------------------------------------------------------------- */

static void op_chain(struct guest *g)
{
	struct fake_seg segs[MAX_SEGS];
	unsigned int qi = guest_queue(g);

	guest_send(g, qi, segs, guest_segs(g, segs, 0, MAX_SEGS));
}

static void op_request(struct guest *g)
{
	if (g->ops->request)
		g->ops->request(g);
	else
		op_chain(g);
}

static void op_host(struct guest *g)
{
	if (g->ops->host)
		g->ops->host(g);
}

static void op_kick(struct guest *g)
{
	virtio_dev_kick(g->f.v, next_u8(g->in));
	loop_turn(g->f.loop);
}

static void op_idle(struct guest *g)
{
	fake_driver_idle(&g->f);
}

static void op_time(struct guest *g)
{
	loop_advance(NS_PER_MS << (next_u8(g->in) % 14)); /* up to 8 s */
	loop_turn(g->f.loop);
}

/* A descriptor by hand: any flags, any next. */
static void op_desc(struct guest *g)
{
	unsigned int qi = guest_queue(g);
	struct fake_queue *q = &g->f.q[qi];
	uint16_t i = (uint16_t)(next_u8(g->in) % q->size);
	gpa_t at = guest_place(g);
	uint32_t len = guest_len(g);
	uint16_t flags = next_u8(g->in);

	fake_driver_desc(&g->f, qi, i, at, len, flags, (uint16_t)next_number(g->in, 2));
}

/* A head that was not made for it, perhaps one that is in flight. */
static void op_publish(struct guest *g)
{
	unsigned int qi = guest_queue(g);

	fake_driver_publish(&g->f, qi, (uint16_t)next_number(g->in, 2));
}

/* The words of the available ring: flags, index, used_event, and the ring as it is. */
static void op_avail(struct guest *g)
{
	struct fake_queue *q = &g->f.q[guest_queue(g)];
	uint16_t val = (uint16_t)next_number(g->in, 2);

	switch (next_below(g->in, 4)) {
	case 0:
		gmem_store_le16(g->f.mem, q->avail, val);
		break;
	case 1:
		gmem_store_le16(g->f.mem, q->avail + 2, (uint16_t)(q->avail_idx + val));
		break;
	case 2:
		gmem_store_le16(g->f.mem, q->avail + 4 + 2ul * q->size, val);
		break;
	case 3:
		q->avail_idx = (uint16_t)(q->avail_idx + val);
		break;
	}
}

static void op_write(struct guest *g)
{
	gpa_t at = guest_place(g);
	uint8_t data[32];
	size_t n = next_bytes(g->in, data, next_u8(g->in) % sizeof(data));

	gmem_write(g->f.mem, at, data, n);
}

static void op_race(struct guest *g)
{
	struct race r = { .delay = next_u8(g->in) % 32,
			  .count = 1 + next_u8(g->in) % 16,
			  .pattern = next_u32(g->in) };

	race_start(g->f.mem, &r);
}

static void op_status(struct guest *g)
{
	static const uint8_t usual[] = { 0, 1, 3, 11, 15, 0x8f };
	uint8_t how = next_u8(g->in);

	virtio_dev_set_status(g->f.v, how < 0x80 ? usual[how % ARRAY_SIZE(usual)] : next_u8(g->in));
	if (how & 0x40)
		loop_turn(g->f.loop);
}

static void op_features(struct guest *g)
{
	uint32_t word = next_u8(g->in) % 3;

	virtio_dev_set_driver_features(g->f.v, word,
				       virtio_dev_offered_features(g->f.v, word) & next_u32(g->in));
}

static void op_queue_reg(struct guest *g)
{
	uint32_t qi = next_u8(g->in), reg = next_below(g->in, VIRTIO_QUEUE_USED_HIGH + 1);

	virtio_dev_queue_set(g->f.v, qi, (enum virtio_queue_reg)reg,
			     (uint32_t)next_number(g->in, 4));
	virtio_dev_queue_get(g->f.v, qi, (enum virtio_queue_reg)reg);
}

static void set_ring(struct guest *g, unsigned int qi, enum virtio_queue_reg low)
{
	gpa_t at = guest_place(g);

	virtio_dev_queue_set(g->f.v, qi, low, (uint32_t)at);
	virtio_dev_queue_set(g->f.v, qi, (enum virtio_queue_reg)(low + 1), (uint32_t)(at >> 32));
}

/* A driver that keeps to the order, but has its rings anywhere. */
static void op_odd_start(struct guest *g)
{
	unsigned int qi = guest_queue(g);

	virtio_dev_set_status(g->f.v, 0);
	virtio_dev_set_status(g->f.v, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_dev_set_status(g->f.v, 3);
	for (uint32_t word = 0; word < 2; word++)
		virtio_dev_set_driver_features(g->f.v, word,
					       virtio_dev_offered_features(g->f.v, word));
	virtio_dev_set_status(g->f.v, 11);
	virtio_dev_queue_set(g->f.v, qi, VIRTIO_QUEUE_SIZE, 1u << next_below(g->in, 9));
	set_ring(g, qi, VIRTIO_QUEUE_DESC_LOW);
	set_ring(g, qi, VIRTIO_QUEUE_AVAIL_LOW);
	set_ring(g, qi, VIRTIO_QUEUE_USED_LOW);
	virtio_dev_queue_set(g->f.v, qi, VIRTIO_QUEUE_ENABLE, 1);
	virtio_dev_set_status(g->f.v, 15);
	loop_turn(g->f.loop);
}

static void op_config(struct guest *g)
{
	uint64_t off = next_number(g->in, 8);
	uint32_t len = 1u << next_below(g->in, 4);
	uint8_t data[8];

	virtio_dev_config_read(g->f.v, off, data, len);
	next_bytes(g->in, data, len);
	virtio_dev_config_write(g->f.v, off, data, len);
	virtio_dev_config_generation(g->f.v);
}

static void op_dma(struct guest *g)
{
	virtio_dev_allow_dma(g->f.v, next_bool(g->in));
}

static uint64_t some_features(struct guest *g)
{
	uint8_t how = next_u8(g->in);

	return how < 0x80 ? UINT64_MAX : how < 0x90 ? 0 : next_u64(g->in);
}

static void start_again(struct guest *g, uint64_t features)
{
	struct err e;

	race_stop();
	virtio_dev_reset(g->f.v);
	virtio_dev_allow_dma(g->f.v, true);
	VMM_BUG_ON(gmem_clear(g->f.mem, &e) < 0);
	g->f.next_free = 4096;
	fake_driver_start(&g->f, features);
	/* A driver that has misbehaved was another one. */
	FUZZ_CHECK(!fake_driver_needs_reset(&g->f));
}

static void op_restart(struct guest *g)
{
	start_again(g, some_features(g));
}

/* The driver's own reset, while requests are at the host; then it goes on without a pause. */
static void op_reset(struct guest *g)
{
	virtio_dev_set_status(g->f.v, 0);
	if (next_bool(g->in))
		loop_turn(g->f.loop);
}

static void on_counter(void *arg, const char *name, uint64_t value)
{
	(void)arg, (void)value;
	FUZZ_CHECK(name && *name);
}

static void op_counters(struct guest *g)
{
	virtio_dev_counters(g->f.v, on_counter, NULL);
}

void guest_play(struct guest *g)
{
	static void (*const ops[])(struct guest * g) = {
		op_request,  op_request,   op_request,  op_request,   op_host, op_host,
		op_host,     op_chain,     op_kick,     op_idle,      op_time, op_desc,
		op_publish,  op_avail,     op_write,    op_race,      op_race, op_status,
		op_reset,    op_config,    op_features, op_queue_reg, op_dma,  op_restart,
		op_counters, op_odd_start,
	};

	fake_driver_start(&g->f, some_features(g));
	for (unsigned int n = 0; left(g->in) > 0 && n < MAX_OPS; n++)
		ops[next_below(g->in, ARRAY_SIZE(ops))](g);
	start_again(g, UINT64_MAX);
	g->ops->works(g);
	FUZZ_CHECK(!fake_driver_needs_reset(&g->f));
}
