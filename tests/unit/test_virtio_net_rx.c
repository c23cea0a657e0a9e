/*
 * test_virtio_net_rx.c - frames to the guest: buffers of all sizes, too few of them, and a backlog.
 */
#include "fake_netif.h"
#include "unit.h"
#include <linux/virtio_net.h>
#include <sys/epoll.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>

#define BIT(n) (UINT64_C(1) << (n))
#define ALL (~UINT64_C(0))
#define NO_MERGE (ALL & ~BIT(VIRTIO_NET_F_MRG_RXBUF))
#define EVERYTHING (NETIF_CSUM | NETIF_TSO4 | NETIF_TSO6 | NETIF_ECN)
#define RX 0u
#define HDR NETIF_HDR_LEN

static struct fake_driver f;
static struct fake_netif *nif;
static struct virtio_net_params params;
static gpa_t buffers[256]; /* by head */

static void start(uint64_t features, unsigned int offloads)
{
	nif = fake_netif_setup(&f, &params, 1, offloads);
	fake_driver_start(&f, features);
}

/* One buffer of one descriptor for the device, without notification. */
static void give(uint32_t size)
{
	struct fake_seg seg = { fake_driver_alloc(&f, size), size, true };
	uint16_t head = fake_driver_chain(&f, RX, &seg, 1);

	buffers[head] = seg.at;
	fake_driver_publish(&f, RX, head);
}

static void give_many(unsigned int n, uint32_t size)
{
	for (unsigned int i = 0; i < n; i++)
		give(size);
	fake_driver_kick(&f, RX);
}

/* Takes one frame as a driver does: the first buffer says how many there are. The bytes behind the
 * header; owned by the test. */
static uint8_t *take_frame(size_t *len, uint8_t *header)
{
	uint8_t *frame = malloc(HDR + NETIF_FRAME_MAX), raw[HDR];
	unsigned int n_buffers = 1;
	size_t total = 0;

	for (unsigned int i = 0; i < n_buffers; i++) {
		uint32_t id, written;

		ck_assert_msg(fake_driver_take_used(&f, RX, &id, &written), "buffer %u of %u", i,
			      n_buffers);
		if (i == 0) {
			ck_assert_uint_ge(written, HDR);
			fake_driver_read(&f, buffers[id], raw, HDR);
			n_buffers = load_le16(raw + 10);
			ck_assert_uint_ge(n_buffers, 1);
		}
		if (written > 0)
			fake_driver_read(&f, buffers[id], frame + total, written);
		total += written;
	}
	if (header)
		memcpy(header, raw, HDR);
	*len = total - HDR;
	memmove(frame, frame + HDR, *len);
	return frame;
}

static void expect_frame(size_t len, uint8_t seed)
{
	size_t got;
	uint8_t *frame = take_frame(&got, NULL);

	ck_assert_uint_eq(got, len);
	ck_assert(fake_netif_is(frame, len, seed));
	free(frame);
}

static void put(size_t len, uint8_t seed)
{
	fake_netif_put(nif, 0, NULL, len, seed);
	fake_driver_idle(&f);
}

START_TEST(a_frame_arrives_byte_for_byte)
{
	start(ALL, 0);
	give_many(8, 2048);
	put(1514, 9);
	expect_frame(1514, 9);
	ck_assert_uint_eq(f.q[RX].n_interrupts, 1);
	ck_assert_uint_eq(fake_netif_counter(&f, "rx_frames"), 1);
	ck_assert_uint_eq(fake_netif_counter(&f, "rx_bytes"), 1514);
	fake_driver_fini(&f);
}
END_TEST

/* 5.1.6.4.1: num_buffers is 1 if buffers are not merged. */
START_TEST(without_merging_a_frame_is_one_buffer)
{
	uint8_t header[HDR], *frame;
	size_t len;

	start(NO_MERGE, 0);
	give_many(8, 2048);
	put(1514, 9);
	frame = take_frame(&len, header);
	ck_assert_uint_eq(load_le16(header + 10), 1);
	ck_assert_uint_eq(len, 1514);
	free(frame);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(without_merging_a_frame_that_does_not_fit_is_dropped_and_the_buffer_kept)
{
	start(NO_MERGE, 0);
	give_many(1, HDR + 100);
	put(101, 1);
	ck_assert_uint_eq(fake_driver_n_used(&f, RX), 0);
	ck_assert_uint_eq(fake_netif_counter(&f, "rx_dropped"), 1);
	put(100, 2);
	expect_frame(100, 2);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(the_largest_frame_is_spread_over_many_buffers)
{
	static const uint32_t sizes[] = { 300, 1536, 4096, 65536, 131072 };

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		start(ALL, 0);
		give_many(250, i < 3 ? sizes[i] : 12 + sizes[i] / 4);
		for (uint8_t seed = 1; seed < (i == 0 ? 2 : 4); seed++) {
			put(NETIF_FRAME_MAX, seed);
			expect_frame(NETIF_FRAME_MAX, seed);
			put(60, seed); /* and the number taken ahead adapts */
			expect_frame(60, seed);
		}
		fake_driver_fini(&f);
	}
}
END_TEST

START_TEST(a_buffer_of_many_descriptors_is_filled_in_order)
{
	struct fake_seg segs[100];
	gpa_t at;
	uint8_t bytes[HDR + 88];

	start(ALL, 0);
	at = fake_driver_alloc(&f, 100);
	for (unsigned int i = 0; i < 100; i++)
		segs[i] = (struct fake_seg){ at + i, 1, true };
	fake_driver_send(&f, RX, segs, 100);
	put(88, 5);
	ck_assert_uint_eq(fake_driver_n_used(&f, RX), 1);
	fake_driver_read(&f, at, bytes, sizeof(bytes));
	ck_assert_uint_eq(load_le16(bytes + 10), 1);
	ck_assert(fake_netif_is(bytes + HDR, 88, 5));
	fake_driver_fini(&f);
}
END_TEST

START_TEST(every_frame_size_meets_every_buffer_size)
{
	static const uint32_t sizes[] = { 13, 14, 26, 27, 74, 100, 128 };

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		start(ALL, 0);
		for (size_t len = 14; len < 140; len += 3) {
			give_many(16, sizes[i]);
			put(len, (uint8_t)len);
			expect_frame(len, (uint8_t)len);
			while (fake_driver_n_used(&f, RX) > 0)
				ck_abort_msg("more than one frame");
			virtio_dev_set_status(f.v, 0);
			f.next_free = 4096;
			fake_driver_start(&f, ALL);
		}
		fake_driver_fini(&f);
	}
}
END_TEST

/* Backlog ------------------------------------------------------------------------------------ */

/* R11; the interface is not asked in vain while there are no buffers. */
START_TEST(a_backlog_drains_when_buffers_return)
{
	start(ALL, 0);
	give_many(2, 2048);
	for (unsigned int i = 0; i < 100; i++)
		fake_netif_put(nif, 0, NULL, 60, (uint8_t)i);
	fake_driver_idle(&f);
	expect_frame(60, 0);
	expect_frame(60, 1);
	ck_assert_uint_eq(nif->watched[0] & EPOLLIN, 0);
	ck_assert_uint_le(nif->n_told, 2);
	for (unsigned int i = 2; i < 100; i++) {
		give_many(1, 2048);
		expect_frame(60, (uint8_t)i);
	}
	ck_assert_uint_eq(fake_netif_left(nif), 0);
	ck_assert_uint_eq(fake_netif_counter(&f, "rx_dropped"), 0);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_frame_that_runs_out_of_buffers_waits_for_the_rest)
{
	start(ALL, 0);
	give_many(3, 1000);
	put(9000, 3);
	put(60, 4);
	ck_assert_uint_eq(fake_driver_n_used(&f, RX), 0);
	ck_assert_uint_eq(nif->watched[0] & EPOLLIN, 0);
	for (unsigned int i = 0; i < 6; i++) {
		give_many(1, 1000);
		ck_assert_uint_eq(fake_driver_n_used(&f, RX), 0);
	}
	give_many(2, 1000);
	expect_frame(9000, 3);
	expect_frame(60, 4);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(what_the_guest_writes_into_a_buffer_meanwhile_does_not_matter_to_us)
{
	uint8_t junk[1000];

	memset(junk, 0xff, sizeof(junk));
	start(ALL, 0);
	give_many(1, 1000);
	put(1500, 3);
	fake_driver_write(&f, buffers[0], junk, sizeof(junk));
	give_many(1, 1000);
	expect_frame(1500, 3);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_frame_larger_than_a_whole_ring_is_dropped_and_the_next_arrives)
{
	start(ALL, 0);
	give_many(256, 100);
	put(65000, 1);
	ck_assert_uint_eq(fake_driver_n_used(&f, RX), 0);
	ck_assert_uint_eq(fake_netif_counter(&f, "rx_dropped"), 1);
	put(20000, 2);
	expect_frame(20000, 2);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_reset_forgets_a_frame_that_waits)
{
	start(ALL, 0);
	give_many(1, 1000);
	put(9000, 3);
	virtio_dev_set_status(f.v, 0);
	ck_assert_uint_eq(virtio_dev_status(f.v), 0);
	fake_driver_start(&f, ALL);
	give_many(20, 1000);
	put(60, 4);
	expect_frame(60, 4);
	fake_driver_fini(&f);
}
END_TEST

static bool all_received(void *arg)
{
	return fake_netif_counter(&f, "rx_frames") == *(unsigned int *)arg;
}

START_TEST(a_flood_passes_in_turns_and_completely)
{
	unsigned int all = 0;

	start(ALL, 0);
	for (unsigned int round = 0; round < 8; round++) {
		give_many(250, 80);
		for (unsigned int i = 0; i < 250; i++)
			fake_netif_put(nif, 0, NULL, 60, (uint8_t)i);
		all += 250;
		fake_driver_until(&f, all_received, &all);
		for (unsigned int i = 0; i < 250; i++)
			expect_frame(60, (uint8_t)i);
	}
	fake_driver_fini(&f);
}
END_TEST

/* Odd buffers -------------------------------------------------------------------------------- */

START_TEST(a_buffer_too_small_for_the_header_is_handed_back_unused)
{
	uint32_t id, len;

	start(ALL, 0);
	for (uint32_t size = 1; size < HDR; size++) {
		give_many(1, size);
		give_many(1, 200);
		put(60, (uint8_t)size);
		ck_assert(fake_driver_take_used(&f, RX, &id, &len));
		ck_assert_uint_eq(len, 0);
		expect_frame(60, (uint8_t)size);
	}
	ck_assert_uint_eq(fake_netif_counter(&f, "errors"), HDR - 1);
	ck_assert(!fake_driver_needs_reset(&f));
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_ring_full_of_buffers_of_one_byte_is_handed_back)
{
	start(ALL, 0);
	give_many(256, 1);
	put(60, 1);
	ck_assert_uint_eq(fake_driver_n_used(&f, RX), 256);
	ck_assert_uint_eq(fake_netif_left(nif), 1);
	ck_assert(!fake_driver_needs_reset(&f));
	fake_driver_fini(&f);
}
END_TEST

START_TEST(merged_buffers_of_one_byte_behind_the_first_are_filled)
{
	start(ALL, 0);
	give(HDR);
	for (unsigned int i = 0; i < 60; i++)
		give(1);
	fake_driver_kick(&f, RX);
	put(60, 6);
	expect_frame(60, 6);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_readable_receive_buffer_is_handed_back)
{
	struct fake_seg seg = { 4096, 2048, false };
	uint32_t id, len;

	start(ALL, 0);
	fake_driver_send(&f, RX, &seg, 1);
	put(60, 1);
	ck_assert(fake_driver_take_used(&f, RX, &id, &len));
	ck_assert_uint_eq(len, 0);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_buffer_of_gigabytes_claims_no_more_than_a_frame)
{
	struct fake_seg segs[250];
	uint32_t id, len;

	start(ALL, 0);
	for (unsigned int i = 0; i < 250; i++)
		segs[i] = (struct fake_seg){ 0x100000, 0x800000, true };
	fake_driver_send(&f, RX, segs, 250);
	put(60, 1);
	ck_assert(fake_driver_take_used(&f, RX, &id, &len));
	ck_assert_uint_eq(len, HDR + 60);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_ring_that_breaks_in_the_middle_of_a_frame_breaks_the_device_alone)
{
	struct fake_seg bad = { FAKE_DRIVER_RAM - 8, 1000, true };

	start(ALL, 0);
	give(1000);
	fake_driver_publish(&f, RX, fake_driver_chain(&f, RX, &bad, 1));
	fake_driver_kick(&f, RX);
	put(5000, 1);
	ck_assert(fake_driver_needs_reset(&f));
	ck_assert_uint_eq(nif->watched[0] & EPOLLIN, 0);
	fake_driver_start(&f, ALL);
	give_many(4, 2000);
	put(60, 2);
	expect_frame(60, 2);
	fake_driver_fini(&f);
}
END_TEST

/* Odd frames --------------------------------------------------------------------------------- */

START_TEST(frames_that_are_too_short_or_too_long_are_dropped)
{
	start(ALL, 0);
	give_many(250, 2048);
	for (size_t len = 0; len < NETIF_FRAME_MIN; len++)
		put(len, 0);
	put(NETIF_FRAME_MAX + 1, 0);
	put(NETIF_FRAME_MAX + 1000, 0);
	ck_assert_uint_eq(fake_netif_counter(&f, "rx_dropped"), NETIF_FRAME_MIN + 2);
	ck_assert_uint_eq(fake_driver_n_used(&f, RX), 0);
	put(60, 1);
	expect_frame(60, 1);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(nothing_beyond_the_agreed_mtu_reaches_the_guest)
{
	params = (struct virtio_net_params){ .mtu = 1280 };
	start(ALL, 0);
	give_many(250, 2048);
	put(1280 + 14 + 4, 1); /* with a VLAN tag */
	expect_frame(1280 + 14 + 4, 1);
	put(1280 + 14 + 5, 2);
	ck_assert_uint_eq(fake_netif_counter(&f, "rx_dropped"), 1);
	fake_driver_fini(&f);
}
END_TEST

static const struct virtio_net_hdr_v1 tso4 = {
	.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	.hdr_len = 54,
	.gso_size = 1448,
	.csum_start = 34,
	.csum_offset = 16,
};

START_TEST(offloads_that_were_agreed_on_reach_the_guest)
{
	uint8_t header[HDR], *frame;
	size_t len;

	start(ALL, EVERYTHING);
	give_many(100, 2048);
	fake_netif_put(nif, 0, &tso4, 9000, 1);
	fake_driver_idle(&f);
	frame = take_frame(&len, header);
	ck_assert_uint_eq(len, 9000);
	ck_assert_mem_eq(header, &tso4, 10);
	free(frame);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(offloads_that_the_driver_does_not_want_never_reach_it)
{
	struct virtio_net_hdr_v1 hdr = tso4;
	uint8_t header[HDR], *frame;
	size_t len;

	start(0, EVERYTHING);
	give_many(100, 16384);
	fake_netif_put(nif, 0, &hdr, 9000, 1);
	hdr.gso_type = 0;
	fake_netif_put(nif, 0, &hdr, 9000, 1);
	hdr = (struct virtio_net_hdr_v1){ .gso_type = VIRTIO_NET_HDR_GSO_UDP };
	fake_netif_put(nif, 0, &hdr, 9000, 1);
	fake_driver_idle(&f);
	ck_assert_uint_eq(fake_netif_counter(&f, "rx_dropped"), 3);
	hdr = (struct virtio_net_hdr_v1){ .flags = VIRTIO_NET_HDR_F_DATA_VALID };
	fake_netif_put(nif, 0, &hdr, 60, 1);
	fake_driver_idle(&f);
	frame = take_frame(&len, header);
	ck_assert_uint_eq(header[0], 0);
	free(frame);
	fake_driver_fini(&f);
}
END_TEST

/* One frame in 150 buffers of a byte makes the device expect more such; then none comes. */
START_TEST(a_turn_that_takes_buffers_and_gives_them_back_is_not_repeated)
{
	uint64_t turns;

	start(ALL, EVERYTHING);
	give(HDR);
	give_many(149, 1);
	fake_netif_put(nif, 0, NULL, 140, 5);
	fake_driver_idle(&f);
	expect_frame(140, 5);
	give(HDR);
	give_many(199, 1);
	fake_driver_idle(&f);
	turns = f.v->n_kicks;
	for (unsigned int i = 0; i < 20; i++)
		fake_driver_idle(&f);
	ck_assert_uint_eq(f.v->n_kicks, turns);
	fake_driver_fini(&f);
}
END_TEST

/* Pairs and rate ----------------------------------------------------------------------------- */

START_TEST(only_active_pairs_receive)
{
	struct fake_seg segs[2];

	nif = fake_netif_setup(&f, &params, 2, 0);
	fake_driver_start(&f, ALL);
	give_many(4, 2048);
	segs[0] = (struct fake_seg){ fake_driver_alloc(&f, 2048), 2048, true };
	fake_driver_send(&f, 2, segs, 1);
	ck_assert_uint_eq(nif->watched[1] & EPOLLIN, 0);
	fake_netif_put(nif, 1, NULL, 60, 1);
	fake_driver_idle(&f);
	ck_assert_uint_eq(fake_driver_n_used(&f, 2), 0);
	segs[0] = (struct fake_seg){ fake_driver_put(&f, "\4\0\2\0", 4), 4, false };
	segs[1] = (struct fake_seg){ fake_driver_alloc(&f, 1), 1, true };
	fake_driver_send(&f, 4, segs, 2);
	fake_driver_idle(&f);
	ck_assert_uint_eq(fake_driver_n_used(&f, 2), 1);
	ck_assert_uint_eq(fake_netif_left(nif), 0);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(no_more_frames_a_second_are_received_than_allowed)
{
	unsigned int all = 30;
	uint64_t began;

	params = (struct virtio_net_params){ .rate = { .ops_per_s = 100, .ops_burst = 10 } };
	start(ALL, 0);
	give_many(60, 1000);
	began = evloop_now_ns();
	for (unsigned int i = 0; i < 30; i++)
		fake_netif_put(nif, 0, NULL, 1500, (uint8_t)i);
	fake_driver_until(&f, all_received, &all);
	ck_assert_uint_ge(evloop_now_ns() - began, 190 * NS_PER_MS);
	ck_assert_uint_le(nif->n_told, 40); /* no busy loop */
	for (unsigned int i = 0; i < 30; i++)
		expect_frame(1500, (uint8_t)i);
	fake_driver_fini(&f);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_net_rx");

	UNIT_TEST(s, a_frame_arrives_byte_for_byte);
	UNIT_TEST(s, without_merging_a_frame_is_one_buffer);
	UNIT_TEST(s, without_merging_a_frame_that_does_not_fit_is_dropped_and_the_buffer_kept);
	UNIT_TEST(s, the_largest_frame_is_spread_over_many_buffers);
	UNIT_TEST(s, a_buffer_of_many_descriptors_is_filled_in_order);
	UNIT_TEST(s, every_frame_size_meets_every_buffer_size);
	UNIT_TEST(s, a_backlog_drains_when_buffers_return);
	UNIT_TEST(s, a_turn_that_takes_buffers_and_gives_them_back_is_not_repeated);
	UNIT_TEST(s, a_frame_that_runs_out_of_buffers_waits_for_the_rest);
	UNIT_TEST(s, what_the_guest_writes_into_a_buffer_meanwhile_does_not_matter_to_us);
	UNIT_TEST(s, a_frame_larger_than_a_whole_ring_is_dropped_and_the_next_arrives);
	UNIT_TEST(s, a_reset_forgets_a_frame_that_waits);
	UNIT_TEST(s, a_flood_passes_in_turns_and_completely);
	UNIT_TEST(s, a_buffer_too_small_for_the_header_is_handed_back_unused);
	UNIT_TEST(s, a_ring_full_of_buffers_of_one_byte_is_handed_back);
	UNIT_TEST(s, merged_buffers_of_one_byte_behind_the_first_are_filled);
	UNIT_TEST(s, a_readable_receive_buffer_is_handed_back);
	UNIT_TEST(s, a_buffer_of_gigabytes_claims_no_more_than_a_frame);
	UNIT_TEST(s, a_ring_that_breaks_in_the_middle_of_a_frame_breaks_the_device_alone);
	UNIT_TEST(s, frames_that_are_too_short_or_too_long_are_dropped);
	UNIT_TEST(s, nothing_beyond_the_agreed_mtu_reaches_the_guest);
	UNIT_TEST(s, offloads_that_were_agreed_on_reach_the_guest);
	UNIT_TEST(s, offloads_that_the_driver_does_not_want_never_reach_it);
	UNIT_TEST(s, only_active_pairs_receive);
	UNIT_TEST(s, no_more_frames_a_second_are_received_than_allowed);
	return s;
}

UNIT_MAIN("virtio_net_rx", suite)
