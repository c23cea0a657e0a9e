/*
 * blk.c - a disk: requests of a header, data and a byte of status.
 *
 * Source: VIRTIO 1.2, 5.2: 5.2.4 configuration, 5.2.6 requests.
 */
#include "check.h"
#include "cpu.h"
#include "virtio.h"

#define F_RO (UINT64_C(1) << 5)
#define F_FLUSH (UINT64_C(1) << 9)
#define F_DISCARD (UINT64_C(1) << 13)
#define F_WRITE_ZEROES (UINT64_C(1) << 14)
#define WANTED (F_FLUSH | F_DISCARD | F_WRITE_ZEROES | F_EVENT_IDX | F_INDIRECT_DESC)

#define CONFIG_CAPACITY 0u

#define TYPE_IN 0u
#define TYPE_OUT 1u
#define TYPE_FLUSH 4u
#define TYPE_GET_ID 8u
#define TYPE_DISCARD 11u
#define TYPE_WRITE_ZEROES 13u
#define S_OK 0u
#define S_IOERR 1u
#define S_UNSUPP 2u
#define NO_STATUS 0xffu
#define ID_BYTES 20u

#define SECTOR 512u
#define CHUNK (16 * SECTOR)

struct header { /* 5.2.6 */
	uint32_t type, reserved;
	uint64_t sector;
};

struct range { /* 5.2.6.2: of discard and write-zeroes */
	uint64_t sector;
	uint32_t n_sectors, flags;
};

static uint8_t out[CHUNK], in[CHUNK];

/* The status; NO_STATUS: no answer. More data than one piece is cut in two, so that chains differ.
 */
static uint8_t request(struct virtio *v, uint32_t type, uint64_t sector, void *data, uint32_t len)
{
	static struct header header;
	static uint8_t status;
	const bool writable = type == TYPE_IN || type == TYPE_GET_ID;
	const uint32_t cut = len > SECTOR ? SECTOR : 0;
	struct piece p[4] = { { &header, sizeof(header), false } };
	unsigned int n = 1;

	header = (struct header){ type, 0, sector };
	status = NO_STATUS;
	if (cut)
		p[n++] = (struct piece){ data, cut, writable };
	if (len)
		p[n++] = (struct piece){ (uint8_t *)data + cut, len - cut, writable };
	p[n++] = (struct piece){ &status, 1, true };
	return virtq_request(v, &v->q[0], p, n, NULL) ? *(volatile uint8_t *)&status : NO_STATUS;
}

static void pattern(uint8_t *p, uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

static bool same(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		if (a[i] != b[i])
			return false;
	}
	return true;
}

static const char *starts(struct virtio *v)
{
	const char *why = virtio_start(v, WANTED, 1);

	WANT(!why, why);
	WANT(!(v->features & F_RO), "it can only be read");
	WANT(config64(v, CONFIG_CAPACITY) >= 256, "it has less than 128 KiB");
	tell("disk, in sectors", config64(v, CONFIG_CAPACITY));
	return NULL;
}

static const char *keeps_patterns(struct virtio *v)
{
	const uint64_t last = config64(v, CONFIG_CAPACITY) - CHUNK / SECTOR;
	const uint64_t at[] = { 0, 1, 40, last };

	for (uint32_t i = 0; i < 4; i++) {
		pattern(out, CHUNK, i);
		WANT(request(v, TYPE_OUT, at[i], out, CHUNK) == S_OK, "a write fails");
		memset(in, 0, CHUNK);
		WANT(request(v, TYPE_IN, at[i], in, CHUNK) == S_OK, "a read fails");
		WANT(same(in, out, CHUNK), "other bytes are read than were written");
	}
	/* The write at 1 has left sector 0 alone. */
	pattern(out, CHUNK, 0);
	WANT(request(v, TYPE_IN, 0, in, SECTOR) == S_OK, "a read of one sector fails");
	WANT(same(in, out, SECTOR), "a write has changed the sector in front of it");
	return NULL;
}

/* A disk must be as it was for a driver that comes later. */
static const char *survives_reset(struct virtio *v)
{
	const char *why;

	pattern(out, SECTOR, 77);
	WANT(request(v, TYPE_OUT, 20, out, SECTOR) == S_OK, "a write fails");
	WANT(request(v, TYPE_FLUSH, 0, NULL, 0) == S_OK, "a flush fails");
	why = virtio_start(v, WANTED & ~F_INDIRECT_DESC & ~F_EVENT_IDX, 1);
	WANT(!why, why);
	memset(in, 0, SECTOR);
	WANT(request(v, TYPE_IN, 20, in, SECTOR) == S_OK, "a read fails after a reset");
	WANT(same(in, out, SECTOR), "after a reset the bytes are others");
	return virtio_start(v, WANTED, 1);
}

static const char *flushes(struct virtio *v)
{
	WANT(v->features & F_FLUSH, "FLUSH is not offered");
	WANT(request(v, TYPE_FLUSH, 0, NULL, 0) == S_OK, "it fails");
	return NULL;
}

static const char *zeroes(struct virtio *v)
{
	struct range r = { 8, 4, 0 };

	WANT(v->features & F_WRITE_ZEROES, "WRITE_ZEROES is not offered");
	pattern(out, CHUNK, 5);
	WANT(request(v, TYPE_OUT, 0, out, CHUNK) == S_OK, "a write fails");
	WANT(request(v, TYPE_WRITE_ZEROES, 0, &r, sizeof(r)) == S_OK, "it fails");
	WANT(request(v, TYPE_IN, 0, in, CHUNK) == S_OK, "a read fails");
	memset(out + 8 * SECTOR, 0, 4 * SECTOR);
	WANT(same(in, out, CHUNK), "not the four sectors are zero, and they alone");
	return NULL;
}

/* What a discarded range reads as is not defined; its neighbours are. */
static const char *discards(struct virtio *v)
{
	struct range r = { 8, 4, 0 };

	WANT(v->features & F_DISCARD, "DISCARD is not offered");
	pattern(out, CHUNK, 6);
	WANT(request(v, TYPE_OUT, 0, out, CHUNK) == S_OK, "a write fails");
	WANT(request(v, TYPE_DISCARD, 0, &r, sizeof(r)) == S_OK, "it fails");
	WANT(request(v, TYPE_IN, 0, in, CHUNK) == S_OK, "a read fails");
	WANT(same(in, out, 8 * SECTOR), "it has changed what is in front of it");
	WANT(same(in + 12 * SECTOR, out + 12 * SECTOR, 4 * SECTOR), "it has changed what follows");
	return NULL;
}

static const char *tells_id(struct virtio *v)
{
	static char id[ID_BYTES];
	static const char want[] = "selftest"; /* the program says so: --disk ...,id=selftest */

	WANT(request(v, TYPE_GET_ID, 0, id, ID_BYTES) == S_OK, "it fails");
	WANT(same((const uint8_t *)id, (const uint8_t *)want, sizeof(want)), "it is another one");
	return NULL;
}

static const char *refuses(struct virtio *v)
{
	const uint64_t end = config64(v, CONFIG_CAPACITY);
	struct range r = { end - 1, 2, 0 };

	WANT(request(v, TYPE_IN, end, in, SECTOR) == S_IOERR, "a read behind the end");
	WANT(request(v, TYPE_OUT, end - 1, out, 2 * SECTOR) == S_IOERR, "a write across the end");
	WANT(request(v, TYPE_IN, UINT64_MAX, in, SECTOR) == S_IOERR, "a sector that cannot be");
	WANT(request(v, TYPE_IN, 0, in, SECTOR / 2) == S_IOERR, "half a sector");
	WANT(request(v, TYPE_DISCARD, 0, &r, sizeof(r)) == S_IOERR, "a discard across the end");
	WANT(request(v, 99, 0, in, SECTOR) == S_UNSUPP, "a type that there is not");
	WANT(request(v, TYPE_IN, 0, in, SECTOR) == S_OK, "after all that it does not work");
	return NULL;
}

/* Several at once, one interrupt for all of them: EVENT_IDX (2.7.7), and each status at its place.
 */
static const char *many_at_once(struct virtio *v)
{
	static struct header headers[8];
	static uint8_t status[8];
	struct virtq *q = &v->q[0];
	const uint32_t before = interrupts[q->vector];

	WANT(v->features & F_EVENT_IDX, "EVENT_IDX is not offered");
	WANT(v->features & F_INDIRECT_DESC, "INDIRECT_DESC is not offered");
	virtq_want_interrupt(q, 8);
	for (unsigned int i = 0; i < 8; i++) {
		const struct piece p[] = {
			{ &headers[i], sizeof(headers[i]), false },
			{ in + (size_t)SECTOR * i, SECTOR, true },
			{ &status[i], 1, true },
		};

		headers[i] = (struct header){ TYPE_IN, 0, i };
		status[i] = NO_STATUS;
		WANT(virtq_add(q, p, 3) >= 0, "our own queue is too small");
	}
	virtq_kick(v, q);
	for (unsigned int i = 0; i < 8; i++)
		WANT(virtq_wait(q, NULL) >= 0, "a request does not come back");
	WANT(wait_for_interrupt(q->vector, before), "no interrupt for the last one");
	WANT(interrupts[q->vector] == before + 1, "an interrupt that nobody asked for");
	for (unsigned int i = 0; i < 8; i++)
		WANT(status[i] == S_OK, "a read fails");
	return NULL;
}

static const char *says_why(struct virtio *v)
{
	struct range r = { 0, 1, 0 };

	(void)v->transport->get_isr(v);
	WANT(request(v, TYPE_WRITE_ZEROES, 0, &r, sizeof(r)) == S_OK, "a request fails");
	/* Over PCI the bit is for drivers without MSI-X (4.1.4.5.1). */
	WANT((v->transport->get_isr(v) & 1) == option("mmio", 0), "not what the transport says");
	WANT(!(v->transport->get_isr(v) & 1), "it is not acknowledged");
	return NULL;
}

const struct check blk_checks[] = {
	{ "block: it starts", starts },
	{ "block: what is written is read back", keeps_patterns },
	{ "block: a flush is done", flushes },
	{ "block: a flushed write outlives a reset", survives_reset },
	{ "block: zeroes are written", zeroes },
	{ "block: a discard leaves its neighbours alone", discards },
	{ "block: it tells its serial number", tells_id },
	{ "block: what cannot be is refused", refuses },
	{ "block: many requests, one interrupt", many_at_once },
	{ "block: it says why it interrupts", says_why },
	{ 0 },
};
