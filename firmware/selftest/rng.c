/*
 * rng.c - the entropy device: empty buffers in, random bytes out.
 *
 * Source: VIRTIO 1.2, 5.4.
 */
#include "check.h"
#include "virtio.h"

#define BYTES 64u

/* Random bytes have as many ones as zeros: of 512 bits, far fewer than 160 in no lifetime. */
static unsigned int ones(const uint8_t *p, unsigned int n)
{
	unsigned int sum = 0;

	for (unsigned int i = 0; i < n; i++) {
		for (uint8_t b = p[i]; b; b = (uint8_t)(b & (b - 1)))
			sum++;
	}
	return sum;
}

static const char *is_random(struct virtio *v)
{
	static uint8_t bytes[2][BYTES];
	const char *why = virtio_start(v, F_EVENT_IDX, 1);
	unsigned int same = 0, n;

	WANT(!why, why);
	for (unsigned int i = 0; i < 2; i++) {
		const struct piece p = { bytes[i], BYTES, true };
		uint32_t written;

		WANT(virtq_request(v, &v->q[0], &p, 1, &written), "no answer");
		WANT(written == BYTES, "fewer bytes than there is room for");
	}
	for (unsigned int i = 0; i < BYTES; i++)
		same += bytes[0][i] == bytes[1][i];
	n = ones(bytes[0], BYTES) + ones(bytes[1], BYTES);
	WANT(same < BYTES / 4, "the same bytes twice");
	WANT(n > BYTES * 16 / 4 && n < BYTES * 16 * 3 / 4, "zeros and ones are not balanced");
	return NULL;
}

/* Many buffers at once, of which each is used once, with one interrupt at the end (2.7.7). */
static const char *many_buffers(struct virtio *v)
{
	static uint8_t bytes[VIRTQ_SIZE][8];
	const char *why = virtio_start(v, F_EVENT_IDX | F_INDIRECT_DESC, 1);
	uint32_t seen = 0;

	WANT(!why, why);
	virtq_want_interrupt(&v->q[0], VIRTQ_SIZE);
	for (unsigned int i = 0; i < VIRTQ_SIZE; i++) {
		const struct piece p[2] = { { bytes[i], 4, true }, { bytes[i] + 4, 4, true } };

		WANT(virtq_add(&v->q[0], p, 2) >= 0, "our own queue is too small");
	}
	virtq_kick(v, &v->q[0]);
	for (unsigned int i = 0; i < VIRTQ_SIZE; i++) {
		uint32_t written;
		const int head = virtq_wait(&v->q[0], &written);

		WANT(head >= 0, "a buffer does not come back");
		WANT(!(seen >> head & 1), "a buffer comes back twice");
		WANT(written == 8, "a buffer is not full");
		seen |= 1u << head;
	}
	return NULL;
}

const struct check rng_checks[] = {
	{ "rng: its bytes are random", is_random },
	{ "rng: a full queue of buffers comes back", many_buffers },
	{ 0 },
};
