/*
 * ring.c - split virtqueues from the driver's side, with every field open to be set wrong.
 *
 * Source: VIRTIO 1.2, 2.7 "Split Virtqueues".
 */
#include "hostile.h"

#define NOT_USED                                                                                   \
	0xffffffffu /* in an element of the used ring that the device has not written yet */

static struct ring_memory memory[4];
uint8_t scratch[0x40000] __attribute__((aligned(4096)));

void ring_init(struct ring *r, const struct dev *d, unsigned int queue, uint16_t size)
{
	struct ring_memory *m = &memory[queue];

	memset(m, 0, sizeof(*m));
	for (unsigned int i = 0; i < size; i++)
		m->used[1 + 2 * i] = NOT_USED;
	*r = (struct ring){
		.dev = d,
		.queue = queue,
		.size = size,
		.desc = m->desc,
		.avail = m->avail,
		.used = (volatile uint16_t *)m->used,
		.desc_at = (uintptr_t)m->desc,
		.avail_at = (uintptr_t)m->avail,
		.used_at = (uintptr_t)m->used,
	};
}

void ring_tell(const struct ring *r)
{
	const struct dev *d = r->dev;

	reg_set(d, QUEUE_SELECT, r->queue);
	reg_set(d, QUEUE_SIZE, r->size);
	set_address(d, DESC_LOW, r->desc_at);
	set_address(d, AVAIL_LOW, r->avail_at);
	set_address(d, USED_LOW, r->used_at);
	reg_set(d, QUEUE_ENABLE, 1);
}

uint16_t ring_used_idx(const struct ring *r)
{
	uint16_t idx = r->used[USED_IDX];

	__sync_synchronize();
	return idx;
}

uint32_t ring_used_len(const struct ring *r, uint16_t i)
{
	const volatile uint32_t *elements = (const volatile uint32_t *)(r->used + 2);

	return elements[2 * (i % r->size) + 1];
}

void ring_publish(struct ring *r, uint16_t head)
{
	r->avail[AVAIL_RING + r->made % r->size] = head;
	__sync_synchronize();
	r->avail[AVAIL_IDX] = ++r->made;
	__sync_synchronize();
}

void ring_chain(struct ring *r, uint16_t head, const struct piece *p, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		volatile struct desc *d = &r->desc[head + i];

		d->addr = (uintptr_t)p[i].at;
		d->len = p[i].len;
		d->flags = (uint16_t)((p[i].writable ? WRITE : 0) | (i + 1 < n ? NEXT : 0));
		d->next = (uint16_t)(head + i + 1);
	}
}

static bool came_back(const struct ring *r, uint16_t n)
{
	const volatile uint32_t *elements = (const volatile uint32_t *)(r->used + 2);

	return ring_used_idx(r) == n && n > 0 && elements[2 * ((n - 1) % r->size)] != NOT_USED;
}

struct outcome ring_wait(const struct ring *r, uint16_t n)
{
	for (unsigned int i = 0; i < most_looks; i++) {
		if (status(r->dev) & S_NEEDS_RESET)
			return is(NEEDS_RESET);
		if (came_back(r, n))
			return is_n(USED, n);
	}
	return ring_used_idx(r) ? is_n(USED, ring_used_idx(r)) : is(NOTHING);
}

struct outcome ring_quiet(const struct ring *r)
{
	const uint16_t before = ring_used_idx(r);

	for (unsigned int i = 0; i < QUIET; i++) {
		if (status(r->dev) & S_NEEDS_RESET)
			return is(NEEDS_RESET);
	}
	return ring_used_idx(r) == before ? is(NOTHING) : is_n(USED, ring_used_idx(r));
}

static struct outcome wait_for_reset(const struct ring *r)
{
	for (unsigned int i = 0; i < most_looks; i++) {
		if (status(r->dev) & S_NEEDS_RESET)
			return is(NEEDS_RESET);
	}
	return ring_quiet(r);
}

struct outcome ring_outcome(const struct ring *r, struct outcome expected)
{
	struct outcome got;

	if (expected.what == NEEDS_RESET)
		return wait_for_reset(r);
	if (expected.what == USED)
		return ring_wait(r, (uint16_t)expected.n);
	if (expected.what == USED_LEN) {
		got = ring_wait(r, 1);
		return got.what == USED ? is_n(USED_LEN, ring_used_len(r, 0)) : got;
	}
	got = ring_quiet(r);
	return expected.what == NOTHING ? got : is(SURVIVES);
}

bool ring_request(struct ring *r, const struct piece *p, unsigned int n, uint32_t *written)
{
	const uint16_t i = r->seen;

	ring_chain(r, 0, p, n);
	ring_publish(r, 0);
	kick(r->dev, r->queue);
	if (ring_wait(r, (uint16_t)(i + 1)).what != USED)
		return false;
	r->seen++;
	if (written)
		*written = ring_used_len(r, i);
	return true;
}
