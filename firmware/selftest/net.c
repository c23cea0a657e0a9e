/*
 * net.c - a network interface whose cable leads back to itself: what is sent is received.
 *
 * Source: VIRTIO 1.2, 5.1: 5.1.2 queues, 5.1.4 configuration, 5.1.6 frames and their
 * header, 5.1.6.5 the control queue.
 */
#include "check.h"
#include "cpu.h"
#include "virtio.h"

#define F_MAC (UINT64_C(1) << 5)
#define F_STATUS (UINT64_C(1) << 16)
#define F_CTRL_VQ (UINT64_C(1) << 17)
#define F_CTRL_MAC_ADDR (UINT64_C(1) << 23)
#define WANTED (F_MAC | F_STATUS | F_CTRL_VQ | F_CTRL_MAC_ADDR | F_EVENT_IDX | F_INDIRECT_DESC)

#define RX 0u
#define TX 1u
#define CTRL 2u

#define CONFIG_MAC 0u
#define CONFIG_STATUS 6u
#define LINK_UP 1u

#define CTRL_MAC 1u
#define CTRL_MAC_ADDR_SET 1u
#define CTRL_OK 0u

#define HEADER 12u
#define FRAME_MAX 1514u
#define N_BUFFERS 8u
#define CUT 37u /* buffers are in pieces, as they may be (2.7.4) */

static uint8_t buffers[N_BUFFERS][HEADER + FRAME_MAX];
static unsigned int buffer_of[VIRTQ_SIZE]; /* by the request's number */

static bool give_buffer(struct virtio *v, unsigned int i)
{
	const struct piece p[3] = { { buffers[i], HEADER + CUT, true },
				    { buffers[i] + HEADER + CUT, CUT, true },
				    { buffers[i] + HEADER + 2 * CUT, FRAME_MAX - 2 * CUT, true } };
	const int head = virtq_add(&v->q[RX], p, 3);

	if (head < 0)
		return false;
	buffer_of[head] = i;
	return true;
}

static const char *starts(struct virtio *v)
{
	const char *why = virtio_start(v, WANTED, 3);

	WANT(!why, why);
	WANT(v->features & F_STATUS && config16(v, CONFIG_STATUS) & LINK_UP, "the link is down");
	for (unsigned int i = 0; i < N_BUFFERS; i++)
		WANT(give_buffer(v, i), "our own queue is too small");
	virtq_kick(v, &v->q[RX]);
	return NULL;
}

static const char *has_address(struct virtio *v)
{
	uint8_t any = 0;

	WANT(v->features & F_MAC, "MAC is not offered");
	for (unsigned int i = 0; i < 6; i++)
		any |= config8(v, CONFIG_MAC + i);
	WANT(any && !(config8(v, CONFIG_MAC) & 1), "it is none of an interface");
	return NULL;
}

static void make_frame(uint8_t *f, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		f[i] = (uint8_t)(i * 7 + len + (i >> 8));
	f[0] &= 0xfe; /* to one receiver */
}

/* The frame in a receive buffer, and the header in front of it, are as they should be. */
static const char *compare(const uint8_t *got, const uint8_t *frame, uint32_t written, uint32_t len)
{
	WANT(written >= HEADER, "no header");
	WANT(written == HEADER + len, "the frame has another length");
	WANT(got[0] == 0 && got[1] == 0, "the header asks for work that we did not agree to");
	WANT((got[10] | got[11] << 8) == 1, "it says that it is in more than one buffer");
	for (uint32_t i = 0; i < len; i++)
		WANT(got[HEADER + i] == frame[i], "another byte comes back");
	return NULL;
}

static const char *round_trip(struct virtio *v, uint32_t len)
{
	static uint8_t header[HEADER], frame[FRAME_MAX];
	const struct piece p[3] = { { header, HEADER - 1, false },
				    { header + HEADER - 1, 1, false },
				    { frame, len, false } };
	const uint32_t before = interrupts[v->q[RX].vector];
	const char *why;
	uint32_t written;
	int head;

	make_frame(frame, len);
	virtq_want_interrupt(&v->q[RX], 1);
	WANT(virtq_request(v, &v->q[TX], p, 3, NULL), "it is not sent");
	WANT(wait_for_interrupt(v->q[RX].vector, before), "no interrupt for what comes back");
	head = virtq_wait(&v->q[RX], &written);
	WANT(head >= 0, "it does not come back");
	why = compare(buffers[buffer_of[head]], frame, written, len);
	WANT(give_buffer(v, buffer_of[head]), "our own queue is too small");
	virtq_kick(v, &v->q[RX]);
	return why;
}

static const char *frames_intact(struct virtio *v)
{
	static const uint16_t sizes[] = { 14, 60, 61, 64, 127, 128, 512, 1000, 1513, 1514 };

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const char *why = round_trip(v, sizes[i]);

		WANT(!why, why);
	}
	return NULL;
}

/* As many as there are buffers; they come back in order. */
static const char *in_order(struct virtio *v)
{
	static uint8_t header[HEADER], frames[N_BUFFERS][100];

	virtq_want_interrupt(&v->q[TX], N_BUFFERS);
	for (unsigned int i = 0; i < N_BUFFERS; i++) {
		const struct piece p[2] = { { header, HEADER, false },
					    { frames[i], 60 + i, false } };

		make_frame(frames[i], 60 + i);
		WANT(virtq_add(&v->q[TX], p, 2) >= 0, "our own queue is too small");
	}
	virtq_kick(v, &v->q[TX]);
	for (unsigned int i = 0; i < N_BUFFERS; i++)
		WANT(virtq_wait(&v->q[TX], NULL) >= 0, "one is not sent");
	for (unsigned int i = 0; i < N_BUFFERS; i++) {
		const char *why;
		uint32_t written;
		const int head = virtq_wait(&v->q[RX], &written);

		WANT(head >= 0, "one does not come back");
		why = compare(buffers[buffer_of[head]], frames[i], written, 60 + i);
		WANT(!why, why);
		WANT(give_buffer(v, buffer_of[head]), "our own queue is too small");
	}
	virtq_kick(v, &v->q[RX]);
	return NULL;
}

/* 5.1.6.5.2 */
static const char *takes_address(struct virtio *v)
{
	static struct {
		uint8_t class, command, mac[6];
	} set = { CTRL_MAC, CTRL_MAC_ADDR_SET, { 0x52, 0x54, 0, 1, 2, 3 } };
	static uint8_t ack;
	const struct piece p[3] = { { &set, 2, false }, { set.mac, 6, false }, { &ack, 1, true } };

	WANT(v->features & F_CTRL_MAC_ADDR, "CTRL_MAC_ADDR is not offered");
	ack = 0xff;
	WANT(virtq_request(v, &v->q[CTRL], p, 3, NULL), "no answer");
	WANT(*(volatile uint8_t *)&ack == CTRL_OK, "it is refused");
	for (unsigned int i = 0; i < 6; i++)
		WANT(config8(v, CONFIG_MAC + i) == set.mac[i], "it is not what is read then");
	ack = CTRL_OK;
	set.command = 99;
	WANT(virtq_request(v, &v->q[CTRL], p, 3, NULL), "no answer to an unknown command");
	WANT(*(volatile uint8_t *)&ack != CTRL_OK, "an unknown command is accepted");
	return NULL;
}

const struct check net_checks[] = {
	{ "net: it starts, and the link is up", starts },
	{ "net: it has an address", has_address },
	{ "net: frames of all sizes come back intact", frames_intact },
	{ "net: many frames come back in order", in_order },
	{ "net: it takes another address", takes_address },
	{ 0 },
};
