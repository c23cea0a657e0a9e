/*
 * console.c - a virtio console. At its other end the program sends back whatever comes.
 *
 * Source: VIRTIO 1.2, 5.3: without MULTIPORT there are two queues, and bytes.
 */
#include "check.h"
#include "cpu.h"
#include "virtio.h"

#define RX 0u
#define TX 1u
#define BYTES 256u
#define LONG_BYTES 5000u /* more than the host's end takes in one piece */

static uint8_t sent[LONG_BYTES], received[LONG_BYTES];

static const char *starts(struct virtio *v)
{
	return virtio_start(v, F_EVENT_IDX | F_INDIRECT_DESC, 2);
}

/* Input may come in pieces of any size; each buffer that is used is given again. */
static const char *receive(struct virtio *v, uint32_t len)
{
	uint32_t done = 0;

	while (done < len) {
		const struct piece p = { received + done, len - done, true };
		uint32_t written;

		WANT(virtq_request(v, &v->q[RX], &p, 1, &written),
		     "what was sent does not come back");
		WANT(written > 0 && written <= len - done, "a buffer of an impossible length");
		done += written;
	}
	return NULL;
}

static const char *echo(struct virtio *v, uint32_t len)
{
	const struct piece p[2] = { { sent, len / 2, false },
				    { sent + len / 2, len - len / 2, false } };
	const char *why;

	for (uint32_t i = 0; i < len; i++)
		sent[i] = (uint8_t)(i * 31 + len);
	memset(received, 0, len);
	WANT(virtq_request(v, &v->q[TX], p, 2, NULL), "it is not sent");
	why = receive(v, len);
	WANT(!why, why);
	for (uint32_t i = 0; i < len; i++)
		WANT(received[i] == sent[i], "another byte comes back");
	return NULL;
}

/* Every value that a byte can have: nothing is a command here. */
static const char *all_bytes(struct virtio *v)
{
	return echo(v, BYTES);
}

static const char *long_text(struct virtio *v)
{
	return echo(v, LONG_BYTES);
}

const struct check console_checks[] = {
	{ "console: it starts", starts },
	{ "console: each byte goes out and comes in", all_bytes },
	{ "console: so does a long text", long_text },
	{ 0 },
};
