/*
 * virtio.c - see virtio.h.
 */
#include "virtio.h"

#define QUEUE_SIZE 8
#define ACKNOWLEDGE 1
#define DRIVER 2
#define DRIVER_OK 4
#define FEATURES_OK 8
#define NEXT 1
#define WRITE 2
#define BLK_IN 0
#define BLK_OUT 1
#define SECTOR 512

static struct {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[QUEUE_SIZE];
	struct {
		uint16_t flags, idx, ring[QUEUE_SIZE], used_event;
	} avail;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[QUEUE_SIZE];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
} q __attribute__((aligned(4096)));

void virtio_start(const struct virtio *v)
{
	memset(&q, 0, sizeof(q));
	v->set_status(v, 0);
	while (v->get_status(v) != 0)
		;
	v->set_status(v, ACKNOWLEDGE);
	v->set_status(v, ACKNOWLEDGE | DRIVER);
	v->accept_version_1(v);
	v->set_status(v, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	check(v->get_status(v) & FEATURES_OK, "the device refuses VERSION_1");
	v->setup_queue(v, QUEUE_SIZE, (uintptr_t)q.desc, (uintptr_t)&q.avail, (uintptr_t)&q.used);
	v->set_status(v, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	check(v->get_status(v) == 15, "the device is not running");
}

uint32_t virtio_request(const struct virtio *v, const struct virtio_piece *pieces, unsigned int n)
{
	uint16_t idx = q.avail.idx;

	for (unsigned int i = 0; i < n; i++) {
		q.desc[i].addr = (uintptr_t)pieces[i].at;
		q.desc[i].len = pieces[i].len;
		q.desc[i].flags =
			(uint16_t)((pieces[i].writable ? WRITE : 0) | (i + 1 < n ? NEXT : 0));
		q.desc[i].next = (uint16_t)(i + 1);
	}
	q.avail.ring[idx % QUEUE_SIZE] = 0;
	__atomic_store_n(&q.avail.idx, (uint16_t)(idx + 1), __ATOMIC_SEQ_CST);
	v->notify(v);
	while (__atomic_load_n(&q.used.idx, __ATOMIC_ACQUIRE) != (uint16_t)(idx + 1))
		;
	return q.used.ring[idx % QUEUE_SIZE].len;
}

static void try_rng(const struct virtio *v)
{
	static uint8_t bytes[2][16];
	unsigned int same = 0;

	for (unsigned int i = 0; i < 2; i++) {
		struct virtio_piece p = { bytes[i], sizeof(bytes[i]), true };

		check(virtio_request(v, &p, 1) == sizeof(bytes[i]),
		      "not as many bytes as asked for");
	}
	for (unsigned int i = 0; i < sizeof(bytes[0]); i++)
		same += bytes[0][i] == bytes[1][i];
	check(same < 8, "not random");
	put("rng works\n");
}

static uint8_t blk(const struct virtio *v, uint32_t type, uint64_t sector, uint8_t *data)
{
	static struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	static uint8_t status;
	struct virtio_piece p[3] = {
		{ &header, sizeof(header), false },
		{ data, SECTOR, type == BLK_IN },
		{ &status, 1, true },
	};

	header.type = type;
	header.sector = sector;
	status = 0xff;
	virtio_request(v, p, 3);
	return status;
}

/* Turns the bytes of sector 1 around, in sector 0. */
static void try_blk(const struct virtio *v)
{
	static uint8_t a[SECTOR], b[SECTOR];

	check(blk(v, BLK_IN, 1, a) == 0, "reading sector 1");
	for (unsigned int i = 0; i < SECTOR; i++)
		b[i] = a[SECTOR - 1 - i];
	check(blk(v, BLK_OUT, 0, b) == 0, "writing sector 0");
	memset(a, 0, sizeof(a));
	check(blk(v, BLK_IN, 0, a) == 0, "reading sector 0");
	for (unsigned int i = 0; i < SECTOR; i++)
		check(a[i] == b[i], "what was written is not what is read");
	check(blk(v, BLK_IN, UINT64_MAX, a) == 1, "a sector that is not there");
	put("block works\n");
}

void virtio_try(const struct virtio *v)
{
	if (v->id == VIRTIO_ID_RNG || v->id == VIRTIO_ID_BLOCK)
		virtio_start(v);
	if (v->id == VIRTIO_ID_RNG)
		try_rng(v);
	else if (v->id == VIRTIO_ID_BLOCK)
		try_blk(v);
}
