/*
 * test_virtio_net_tx.c - frames from the guest: what goes out, what must not, and who waits.
 */
#include "fake_netif.h"
#include "unit.h"
#include <linux/virtio_net.h>
#include <sys/epoll.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>

#define ALL (~UINT64_C(0))
#define EVERYTHING (NETIF_CSUM | NETIF_TSO4 | NETIF_TSO6 | NETIF_ECN)
#define TX 1u
#define HDR NETIF_HDR_LEN

static struct fake_driver f;
static struct fake_netif *nif;
static struct virtio_net_params params;

static void start(unsigned int offloads)
{
	nif = fake_netif_setup(&f, &params, 1, offloads);
	fake_driver_start(&f, ALL);
}

/* Header and frame in RAM: the address. */
static gpa_t put_frame(const struct virtio_net_hdr_v1 *hdr, size_t len, uint8_t seed)
{
	gpa_t at = fake_driver_alloc(&f, HDR + len);
	uint8_t *bytes = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		bytes[i] = fake_netif_byte(seed, i);
	fake_driver_write(&f, at, hdr, HDR);
	fake_driver_write(&f, at + HDR, bytes, len);
	free(bytes);
	return at;
}

/* One descriptor with it all, sent. */
static void send_with(const struct virtio_net_hdr_v1 *hdr, size_t len, uint8_t seed)
{
	struct fake_seg seg = { put_frame(hdr, len, seed), (uint32_t)(HDR + len), false };

	fake_driver_send(&f, TX, &seg, 1);
}

static void send_plain(size_t len, uint8_t seed)
{
	const struct virtio_net_hdr_v1 hdr = { 0 };

	send_with(&hdr, len, seed);
}

/* The chain has been handed back, and the frame dropped. */
static void is_dropped(unsigned int how_often)
{
	uint32_t id, len;

	ck_assert(fake_driver_take_used(&f, TX, &id, &len));
	ck_assert_uint_eq(len, 0);
	ck_assert_uint_eq(nif->n_sent, 0);
	ck_assert_uint_eq(fake_netif_counter(&f, "tx_dropped"), how_often);
	ck_assert(!fake_driver_needs_reset(&f));
}

START_TEST(a_frame_goes_out_byte_for_byte)
{
	uint32_t id, len;

	start(0);
	send_plain(1514, 7);
	ck_assert_uint_eq(nif->n_sent, 1);
	ck_assert_uint_eq(nif->sent[0]->len, 1514);
	ck_assert(fake_netif_is(nif->sent[0]->data, 1514, 7));
	ck_assert(fake_driver_take_used(&f, TX, &id, &len));
	ck_assert_uint_eq(fake_netif_counter(&f, "tx_frames"), 1);
	ck_assert_uint_eq(fake_netif_counter(&f, "tx_bytes"), 1514);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(header_and_frame_may_be_split_anywhere)
{
	static const size_t sizes[] = { 1, 2, 5, 7, 11, 12, 13, 25, 26, 71 };
	const struct virtio_net_hdr_v1 hdr = { 0 };

	start(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		gpa_t at = put_frame(&hdr, 60, (uint8_t)i);
		struct fake_seg segs[80];
		unsigned int n = 0;

		for (size_t done = 0; done < 72; done += sizes[i])
			segs[n++] =
				(struct fake_seg){ at + done,
						   (uint32_t)min_size(sizes[i], 72 - done), false };
		fake_driver_send(&f, TX, segs, n);
		ck_assert_uint_eq(nif->n_sent, i + 1);
		ck_assert(fake_netif_is(nif->sent[i]->data, 60, (uint8_t)i));
	}
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_short_header_is_dropped)
{
	start(0);
	for (uint32_t len = 0; len < HDR; len++) {
		struct fake_seg seg = { fake_driver_alloc(&f, 16), len, false };

		fake_driver_send(&f, TX, &seg, 1);
		is_dropped(len + 1);
	}
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_frame_that_is_no_frame_is_dropped)
{
	start(0);
	for (uint32_t len = 0; len < NETIF_FRAME_MIN; len++) {
		send_plain(len, 0);
		is_dropped(len + 1);
	}
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_chain_without_anything_readable_is_handed_back)
{
	struct fake_seg seg = { 4096, 2000, true };

	start(0);
	fake_driver_send(&f, TX, &seg, 1);
	is_dropped(1);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(the_largest_frame_passes_and_one_byte_more_does_not)
{
	start(0);
	send_plain(NETIF_FRAME_MAX + 1, 1);
	is_dropped(1);
	send_plain(NETIF_FRAME_MAX, 2);
	ck_assert_uint_eq(nif->n_sent, 1);
	ck_assert(fake_netif_is(nif->sent[0]->data, NETIF_FRAME_MAX, 2));
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_chain_of_many_megabytes_is_dropped)
{
	struct fake_seg segs[200];

	start(0);
	for (unsigned int i = 0; i < 200; i++)
		segs[i] = (struct fake_seg){ 0, (uint32_t)FAKE_DRIVER_RAM, false };
	fake_driver_send(&f, TX, segs, 200);
	is_dropped(1);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(writable_parts_of_a_transmit_chain_are_left_alone)
{
	const struct virtio_net_hdr_v1 hdr = { 0 };
	struct fake_seg segs[2];
	uint8_t byte = 0x5a;

	start(0);
	segs[0] = (struct fake_seg){ put_frame(&hdr, 60, 3), HDR + 60, false };
	segs[1] = (struct fake_seg){ fake_driver_put(&f, &byte, 1), 1, true };
	fake_driver_send(&f, TX, segs, 2);
	ck_assert_uint_eq(nif->sent[0]->len, 60);
	byte = 0;
	fake_driver_read(&f, segs[1].at, &byte, 1);
	ck_assert_uint_eq(byte, 0x5a);
	fake_driver_fini(&f);
}
END_TEST

/* Headers ------------------------------------------------------------------------------------ */

static const struct virtio_net_hdr_v1 good_tso4 = {
	.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	.hdr_len = 54,
	.gso_size = 1448,
	.csum_start = 34,
	.csum_offset = 16,
};

START_TEST(a_sane_header_reaches_the_interface)
{
	struct virtio_net_hdr_v1 hdr = good_tso4;

	start(EVERYTHING);
	hdr.num_buffers = 77;
	send_with(&hdr, 9000, 1);
	ck_assert_uint_eq(nif->n_sent, 1);
	ck_assert_mem_eq(nif->sent[0]->header, &good_tso4, HDR); /* num_buffers is 0 */
	hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN;
	send_with(&hdr, 9000, 1);
	ck_assert_uint_eq(nif->sent[1]->header[1], hdr.gso_type);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(fields_that_no_flag_refers_to_do_not_reach_the_interface)
{
	struct virtio_net_hdr_v1 hdr;
	static const uint8_t zeros[HDR];

	start(EVERYTHING);
	memset(&hdr, 0xff, sizeof(hdr));
	hdr.flags = (uint8_t)~VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	send_with(&hdr, 60, 1);
	ck_assert_uint_eq(nif->n_sent, 1);
	ck_assert_mem_eq(nif->sent[0]->header, zeros, HDR);
	fake_driver_fini(&f);
}
END_TEST

struct bad {
	uint8_t flags, type;
	uint16_t hdr_len, size, start, offset;
};

/* On a frame of 100 bytes. */
static const struct bad bad_headers[] = {
	{ 1, 1, 54, 0, 34, 16 }, /* segments of no length */
	{ 1, 1, 54, 7, 34, 16 }, /* a flood */
	{ 0, 1, 54, 1448, 34, 16 }, /* segments without checksums */
	{ 1, 1, 101, 1448, 34, 16 }, /* more headers than frame */
	{ 1, 1, 0xffff, 1448, 34, 16 },
	{ 1, 0, 0, 0, 83, 16 }, /* the checksum ends one byte past the frame */
	{ 1, 0, 0, 0, 100, 0 },
	{ 1, 0, 0, 0, 0xffff, 16 },
	{ 1, 0, 0, 0, 34, 0xffff },
	{ 1, 0, 0, 0, 0xffff, 0xffff },
	{ 1, 0, 0, 0, 0, 0 }, /* in the middle of the addresses */
	{ 1, 0, 0, 0, 13, 16 },
	{ 1, 3, 54, 1448, 34, 16 }, /* UDP fragmentation: not offered */
	{ 1, 5, 54, 1448, 34, 16 }, /* UDP segments: not offered */
	{ 1, 0x80, 54, 1448, 34, 16 }, /* ECN of nothing */
	{ 1, 2, 54, 1448, 34, 16 },
	{ 1, 0x7f, 54, 1448, 34, 16 },
	{ 1, 0xff, 54, 0xffff, 34, 16 },
};

START_TEST(a_header_that_cannot_be_is_dropped_and_counted)
{
	const struct bad *b = &bad_headers[_i];
	const struct virtio_net_hdr_v1 hdr = {
		.flags = b->flags,
		.gso_type = b->type,
		.hdr_len = b->hdr_len,
		.gso_size = b->size,
		.csum_start = b->start,
		.csum_offset = b->offset,
	};

	start(EVERYTHING);
	send_with(&hdr, 100, 1);
	is_dropped(1);
	ck_assert_uint_eq(fake_netif_counter(&f, "errors"), 1);
	send_plain(60, 1);
	ck_assert_uint_eq(nif->n_sent, 1);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(offloads_that_were_not_agreed_on_are_refused)
{
	struct virtio_net_hdr_v1 hdr = good_tso4;

	start(0);
	send_with(&hdr, 9000, 1);
	is_dropped(1);
	hdr.gso_type = 0;
	send_with(&hdr, 9000, 1);
	is_dropped(2);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(the_largest_segment_size_is_the_interfaces_business)
{
	struct virtio_net_hdr_v1 hdr = good_tso4;

	start(EVERYTHING);
	hdr.gso_size = 65535;
	send_with(&hdr, 60000, 1);
	ck_assert_uint_eq(nif->n_sent, 1);
	fake_driver_fini(&f);
}
END_TEST

/* Waiting ------------------------------------------------------------------------------------ */

START_TEST(a_full_interface_is_waited_for_and_nothing_is_lost_or_doubled)
{
	uint32_t id, len;

	start(0);
	fake_netif_answer(nif, NETIF_AGAIN);
	for (unsigned int i = 0; i < 100; i++)
		send_plain(60, (uint8_t)i);
	ck_assert_uint_eq(nif->n_again, 1); /* it is not asked again before it says so */
	ck_assert_uint_eq(fake_driver_n_used(&f, TX), 0);
	ck_assert_uint_eq(nif->watched[0] & EPOLLOUT, EPOLLOUT);
	fake_netif_answer(nif, NETIF_SENT);
	fake_driver_idle(&f);
	ck_assert_uint_eq(nif->n_sent, 100);
	for (unsigned int i = 0; i < 100; i++) {
		ck_assert(fake_netif_is(nif->sent[i]->data, 60, (uint8_t)i));
		ck_assert(fake_driver_take_used(&f, TX, &id, &len));
		ck_assert_uint_eq(id, i);
	}
	ck_assert_uint_eq(nif->watched[0] & EPOLLOUT, 0);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_link_that_goes_down_frees_those_who_wait)
{
	start(0);
	fake_netif_answer(nif, NETIF_AGAIN);
	send_plain(60, 1);
	ck_assert_uint_eq(fake_driver_n_used(&f, TX), 0);
	nif->answer = NETIF_DROPPED; /* and writable() never comes */
	nif->watched[0] = 0;
	fake_netif_set_link(nif, false);
	fake_driver_idle(&f);
	is_dropped(1);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_reset_while_the_interface_is_full_forgets_the_wait)
{
	start(0);
	fake_netif_answer(nif, NETIF_AGAIN);
	send_plain(60, 1);
	virtio_dev_set_status(f.v, 0);
	ck_assert_uint_eq(virtio_dev_status(f.v), 0);
	fake_driver_idle(&f);
	ck_assert_uint_eq(nif->watched[0], 0);
	fake_netif_answer(nif, NETIF_SENT);
	fake_driver_start(&f, ALL);
	send_plain(60, 2);
	ck_assert_uint_eq(nif->n_sent, 1);
	ck_assert(fake_netif_is(nif->sent[0]->data, 60, 2));
	fake_driver_fini(&f);
}
END_TEST

START_TEST(dropped_frames_are_counted_and_handed_back)
{
	start(0);
	nif->answer = NETIF_DROPPED;
	send_plain(60, 1);
	is_dropped(1);
	ck_assert_uint_eq(fake_netif_counter(&f, "errors"), 0); /* not the guest's fault */
	fake_driver_fini(&f);
}
END_TEST

static bool all_sent(void *arg)
{
	return nif->n_sent == *(unsigned int *)arg;
}

START_TEST(a_full_ring_is_sent_in_turns)
{
	const struct virtio_net_hdr_v1 hdr = { 0 };
	unsigned int all = 256;
	struct fake_seg seg;

	start(0);
	seg = (struct fake_seg){ put_frame(&hdr, 60, 1), HDR + 60, false };
	for (unsigned int i = 0; i < 256; i++)
		fake_driver_publish(&f, TX, fake_driver_chain(&f, TX, &seg, 1));
	fake_driver_kick(&f, TX);
	fake_driver_until(&f, all_sent, &all);
	fake_driver_idle(&f);
	ck_assert_uint_eq(fake_driver_n_used(&f, TX), 256);
	fake_driver_fini(&f);
}
END_TEST

/* Rate --------------------------------------------------------------------------------------- */

START_TEST(no_more_frames_a_second_than_allowed)
{
	unsigned int all = 30;
	uint64_t began;

	params = (struct virtio_net_params){ .rate = { .ops_per_s = 100, .ops_burst = 10 } };
	start(0);
	began = evloop_now_ns();
	for (unsigned int i = 0; i < all; i++)
		send_plain(60, (uint8_t)i);
	fake_driver_until(&f, all_sent, &all);
	/* 10 at once, 20 more at 10 ms each; how late they may be depends on the machine. */
	ck_assert_uint_ge(evloop_now_ns() - began, 190 * NS_PER_MS);
	for (unsigned int i = 0; i < all; i++)
		ck_assert(fake_netif_is(nif->sent[i]->data, 60, (uint8_t)i));
	fake_driver_fini(&f);
}
END_TEST

START_TEST(no_more_bytes_a_second_than_allowed)
{
	unsigned int all = 20;
	uint64_t began;

	params = (struct virtio_net_params){ .rate = { .bytes_per_s = 50000,
						       .bytes_burst = 10000 } };
	start(0);
	began = evloop_now_ns();
	for (unsigned int i = 0; i < all; i++)
		send_plain(1000, (uint8_t)i);
	fake_driver_until(&f, all_sent, &all);
	ck_assert_uint_ge(evloop_now_ns() - began, 190 * NS_PER_MS);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_frame_is_paid_for_once_even_if_the_interface_is_full)
{
	unsigned int all = 3;

	params = (struct virtio_net_params){ .rate = { .ops_per_s = 1, .ops_burst = 3 } };
	start(0);
	for (unsigned int i = 0; i < all; i++) {
		fake_netif_answer(nif, NETIF_AGAIN);
		send_plain(60, (uint8_t)i);
		fake_netif_answer(nif, NETIF_SENT);
		fake_driver_idle(&f);
	}
	ck_assert_uint_eq(nif->n_sent, all);
	fake_driver_fini(&f);
}
END_TEST

/* The driver rewrites what waits in its ring. */
START_TEST(a_frame_that_grows_while_it_waits_is_paid_for_in_full)
{
	const struct virtio_net_hdr_v1 hdr = { 0 };
	unsigned int all = 2;
	uint64_t began;

	params =
		(struct virtio_net_params){ .rate = { .bytes_per_s = 50000, .bytes_burst = 1000 } };
	start(0);
	began = evloop_now_ns();
	fake_netif_answer(nif, NETIF_AGAIN);
	send_plain(60, 1);
	fake_driver_desc(&f, TX, 0, put_frame(&hdr, 10000, 1), (uint32_t)(HDR + 10000), 0, 0);
	fake_netif_answer(nif, NETIF_SENT);
	fake_driver_idle(&f);
	ck_assert_uint_eq(nif->n_sent, 1);
	ck_assert_uint_eq(nif->sent[0]->len, 10000);
	send_plain(60, 2);
	fake_driver_until(&f, all_sent, &all);
	ck_assert_uint_ge(evloop_now_ns() - began, 170 * NS_PER_MS); /* 9 kB at 50 kB/s */
	fake_driver_fini(&f);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_net_tx");

	UNIT_TEST(s, a_frame_that_grows_while_it_waits_is_paid_for_in_full);

	UNIT_TEST(s, a_frame_goes_out_byte_for_byte);
	UNIT_TEST(s, header_and_frame_may_be_split_anywhere);
	UNIT_TEST(s, a_short_header_is_dropped);
	UNIT_TEST(s, a_frame_that_is_no_frame_is_dropped);
	UNIT_TEST(s, a_chain_without_anything_readable_is_handed_back);
	UNIT_TEST(s, the_largest_frame_passes_and_one_byte_more_does_not);
	UNIT_TEST(s, a_chain_of_many_megabytes_is_dropped);
	UNIT_TEST(s, writable_parts_of_a_transmit_chain_are_left_alone);
	UNIT_TEST(s, a_sane_header_reaches_the_interface);
	UNIT_TEST(s, fields_that_no_flag_refers_to_do_not_reach_the_interface);
	UNIT_LOOP(s, a_header_that_cannot_be_is_dropped_and_counted, ARRAY_SIZE(bad_headers));
	UNIT_TEST(s, offloads_that_were_not_agreed_on_are_refused);
	UNIT_TEST(s, the_largest_segment_size_is_the_interfaces_business);
	UNIT_TEST(s, a_full_interface_is_waited_for_and_nothing_is_lost_or_doubled);
	UNIT_TEST(s, a_link_that_goes_down_frees_those_who_wait);
	UNIT_TEST(s, a_reset_while_the_interface_is_full_forgets_the_wait);
	UNIT_TEST(s, dropped_frames_are_counted_and_handed_back);
	UNIT_TEST(s, a_full_ring_is_sent_in_turns);
	UNIT_TEST(s, no_more_frames_a_second_than_allowed);
	UNIT_TEST(s, no_more_bytes_a_second_than_allowed);
	UNIT_TEST(s, a_frame_is_paid_for_once_even_if_the_interface_is_full);
	return s;
}

UNIT_MAIN("virtio_net_tx", suite)
