/*
 * fuzz_virtio_blk.c - disks: src/virtio/virtio_blk.c over a backend that answers when, in which
 * order and how the input says.
 */
#include "fake_blk.h"
#include "guest.h"
#include "loop.h"
#include <errno.h>
#include <linux/virtio_blk.h>
#include <vmm/virtio/virtio_blk.h>

#define HEADER_LEN 16u

/* What the kernel would do with the pieces: they must be RAM, and what is read is the device's. */
static void do_io(const struct blk_req *r)
{
	for (unsigned int i = 0; i < r->n_iov; i++) {
		if (r->op == BLK_READ)
			memset(r->iov[i].iov_base, 0xda, r->iov[i].iov_len);
		else
			FUZZ_CHECK(!memchr(r->iov[i].iov_base, 0, 0));
	}
}

static void answer_one(struct fake_blk *b, unsigned int i, int result)
{
	struct blk_req *r = b->held[i];

	if (r->op == BLK_READ || r->op == BLK_WRITE)
		do_io(r);
	fake_blk_answer(b, i, result);
}

static void host(struct guest *g)
{
	static const int results[] = { 0, 0, 0, -EIO, -ENOSPC, -EOPNOTSUPP, -ENOMEM };
	struct fake_blk *b = g->arg;

	switch (next_below(g->in, 4)) {
	case 0:
		if (b->n_held > 0)
			answer_one(b, next_u8(g->in) % b->n_held,
				   results[next_below(g->in, ARRAY_SIZE(results))]);
		break;
	case 1:
		while (b->n_held > 0)
			answer_one(b, 0, 0);
		break;
	case 2:
		b->at_once = next_bool(g->in);
		b->result = results[next_below(g->in, ARRAY_SIZE(results))];
		break;
	case 3:
		b->size_now = next_number(g->in, 8);
		break;
	}
}

static uint64_t next_sector(struct guest *g)
{
	static const uint64_t edges[] = { MIB / 512,         MIB / 512 - 1,    MIB / 512 - 8,
					  UINT64_C(1) << 55, UINT64_MAX / 512, UINT64_MAX };
	uint8_t how = next_u8(g->in);

	return how < 0xc0   ? how * 8u
	       : how < 0xf0 ? edges[how % ARRAY_SIZE(edges)]
			    : next_u64(g->in);
}

static uint32_t next_type(struct guest *g)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_IN,           VIRTIO_BLK_T_OUT,     VIRTIO_BLK_T_FLUSH,
		VIRTIO_BLK_T_GET_ID,       VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
		VIRTIO_BLK_T_SECURE_ERASE, VIRTIO_BLK_T_IN,      VIRTIO_BLK_T_OUT,
	};
	uint8_t how = next_u8(g->in);

	return how < 0xf0 ? types[how % ARRAY_SIZE(types)] : next_u32(g->in);
}

/* The ranges of a discard or write-zeroes request. */
static uint32_t put_ranges(struct guest *g, gpa_t *at)
{
	uint8_t raw[16 * 34] = { 0 };
	unsigned int n = next_below(g->in, 4);

	n = n == 3 ? 34 : n + 1;
	for (unsigned int i = 0; i < n && left(g->in) > 0; i++) {
		store_le64(raw + 16 * i, next_sector(g));
		store_le32(raw + 16 * i + 8, (uint32_t)next_number(g->in, 4));
		store_le32(raw + 16 * i + 12, next_u8(g->in));
	}
	*at = guest_put(g, raw, 16ul * n);
	return 16 * n;
}

/* Whole sectors, as a driver has them. */
static unsigned int put_data(struct guest *g, struct fake_seg *segs, unsigned int n, bool writable)
{
	for (unsigned int more = next_below(g->in, 4); more > 0; more--) {
		uint32_t len = 512u * (1 + next_u8(g->in) % 16);

		segs[n++] = (struct fake_seg){ guest_put(g, NULL, len), len, writable };
	}
	return n;
}

/* header, data, status; each part may be missing, elsewhere or of another length. */
static void request(struct guest *g)
{
	uint8_t header[HEADER_LEN] = { 0 }, how = next_u8(g->in);
	struct fake_seg segs[16];
	uint32_t type = next_type(g), len;
	unsigned int n = 0;
	gpa_t at;

	store_le32(header, type);
	store_le64(header + 8, next_sector(g));
	at = guest_put(g, header, sizeof(header));
	if (how & 1) { /* split */
		len = next_u8(g->in) % HEADER_LEN;
		segs[n++] = (struct fake_seg){ at, len, false };
		segs[n++] = (struct fake_seg){ at + len, HEADER_LEN - len, false };
	} else {
		segs[n++] = (struct fake_seg){ at, how & 2 ? guest_len(g) : HEADER_LEN, false };
	}
	if (type == VIRTIO_BLK_T_DISCARD || type == VIRTIO_BLK_T_WRITE_ZEROES) {
		len = put_ranges(g, &at);
		segs[n++] = (struct fake_seg){ at, len, false };
	} else {
		n = put_data(g, segs, n, type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID);
	}
	if (how & 4)
		n = guest_segs(g, segs, n, 14);
	if (!(how & 8))
		segs[n++] = (struct fake_seg){ guest_put(g, "\xff", 1), 1, true };
	guest_send(g, guest_queue(g), segs, n);
}

static void works(struct guest *g)
{
	uint8_t header[HEADER_LEN] = { 0 }, status = 0xff;
	struct fake_blk *b = g->arg;
	struct fake_seg segs[3] = {
		{ guest_put(g, header, sizeof(header)), HEADER_LEN, false },
		{ guest_put(g, NULL, 512), 512, true },
		{ guest_put(g, &status, 1), 1, true },
	};

	b->at_once = true;
	b->result = 0;
	loop_advance(100000 * NS_PER_S); /* what a rate limit may take */
	FUZZ_CHECK(guest_ask(g, 0, segs, 3) == 513);
	fake_driver_read(&g->f, segs[2].at, &status, 1);
	FUZZ_CHECK(status == VIRTIO_BLK_S_OK);
}

static void create(struct guest *g, struct fake_blk *b)
{
	struct disk_spec spec = { .queues = 1 };
	struct virtio_dev *v;
	uint8_t how = next_u8(g->in);
	struct err e;

	b->blk.info.ro = how & 1;
	b->blk.info.zeroes = !(how & 2);
	b->blk.info.discard_unit = how & 4 ? 0 : 4096;
	spec.queues = how & 8 ? 4 : 1;
	if (how & 16)
		spec.rate = (struct rate_spec){
			.bytes_per_s = 65536, .bytes_burst = 65536, .ops_per_s = 50, .ops_burst = 50
		};
	VMM_BUG_ON(virtio_blk_create_on(&v, &b->blk, &spec, "disk0", &g->f.env, &e) < 0);
	fake_driver_attach(&g->f, v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct guest_ops ops = { .request = request, .host = host, .works = works };
	struct input in = { data, data + size };
	bool destroyed = false;
	struct fake_blk *b;
	struct guest g;

	guest_init(&g, &ops, &in, NULL);
	b = fake_blk_create(g.f.loop, &destroyed);
	g.arg = b;
	create(&g, b);
	guest_play(&g);
	guest_fini(&g);
	FUZZ_CHECK(destroyed);
	return 0;
}
