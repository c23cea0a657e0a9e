/*
 * test_virtio_net.c - the network device: features, configuration, control queue, link, reset.
 */
#include "fake_netif.h"
#include "unit.h"
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <sys/epoll.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>

#define BIT(n) (UINT64_C(1) << (n))
#define ALL (~UINT64_C(0))
#define EVERYTHING (NETIF_CSUM | NETIF_TSO4 | NETIF_TSO6 | NETIF_ECN)

static struct fake_driver f;
static struct fake_netif *nif;
static struct virtio_net_params params;

static void setup(unsigned int n_pairs, unsigned int offloads)
{
	nif = fake_netif_setup(&f, &params, n_pairs, offloads);
}

static void start(unsigned int n_pairs, unsigned int offloads)
{
	setup(n_pairs, offloads);
	fake_driver_start(&f, ALL);
}

static uint64_t offered(void)
{
	return virtio_dev_offered_features(f.v, 0) | (uint64_t)virtio_dev_offered_features(f.v, 1)
							     << 32;
}

static bool offers(unsigned int bit)
{
	return offered() >> bit & 1;
}

static uint16_t config16(unsigned int off)
{
	uint8_t raw[2];

	virtio_dev_config_read(f.v, off, raw, sizeof(raw));
	return load_le16(raw);
}

START_TEST(no_offload_is_offered_that_the_interface_has_not)
{
	static const unsigned int bits[] = {
		VIRTIO_NET_F_CSUM,       VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_HOST_TSO4,
		VIRTIO_NET_F_HOST_TSO6,  VIRTIO_NET_F_HOST_ECN,   VIRTIO_NET_F_GUEST_TSO4,
		VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_ECN,  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS
	};

	setup(1, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(bits); i++)
		ck_assert(!offers(bits[i]));
	ck_assert(!offers(VIRTIO_NET_F_MQ) && !offers(VIRTIO_NET_F_MTU));
	ck_assert(offers(VIRTIO_NET_F_MAC) && offers(VIRTIO_NET_F_STATUS));
	ck_assert(offers(VIRTIO_NET_F_MRG_RXBUF) && offers(VIRTIO_NET_F_CTRL_VQ));
	fake_driver_fini(&f);
}
END_TEST

START_TEST(what_the_interface_can_do_is_offered)
{
	params = (struct virtio_net_params){ .mtu = 9000 };
	setup(4, NETIF_CSUM | NETIF_TSO4);
	ck_assert(offers(VIRTIO_NET_F_CSUM) && offers(VIRTIO_NET_F_GUEST_CSUM));
	ck_assert(offers(VIRTIO_NET_F_HOST_TSO4) && offers(VIRTIO_NET_F_GUEST_TSO4));
	ck_assert(!offers(VIRTIO_NET_F_HOST_TSO6) && !offers(VIRTIO_NET_F_GUEST_ECN));
	ck_assert(offers(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) && offers(VIRTIO_NET_F_MQ));
	ck_assert(offers(VIRTIO_NET_F_MTU));
	ck_assert_uint_eq(config16(6), 1); /* VIRTIO_NET_S_LINK_UP */
	ck_assert_uint_eq(config16(8), 4);
	ck_assert_uint_eq(config16(10), 9000);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(the_interface_learns_what_the_driver_can_do_itself)
{
	setup(1, EVERYTHING);
	fake_driver_start(&f, ALL & ~BIT(VIRTIO_NET_F_GUEST_TSO6));
	ck_assert_uint_eq(nif->offloads_set, EVERYTHING & ~NETIF_TSO6);
	virtio_dev_set_status(f.v, 0);
	fake_driver_idle(&f);
	ck_assert_uint_eq(nif->offloads_set, 0);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(nothing_is_watched_without_a_driver)
{
	setup(1, 0);
	fake_netif_put(nif, 0, NULL, 60, 1);
	fake_driver_idle(&f);
	ck_assert_uint_eq(nif->watched[0], 0);
	fake_driver_start(&f, ALL);
	virtio_dev_set_status(f.v, 0);
	fake_driver_idle(&f);
	ck_assert_uint_eq(nif->watched[0], 0);
	ck_assert_uint_eq(fake_netif_left(nif), 1);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(destroying_the_device_destroys_the_interface)
{
	bool destroyed = false;

	start(1, 0);
	nif->destroyed = &destroyed;
	fake_driver_fini(&f);
	ck_assert(destroyed);
}
END_TEST

START_TEST(configuration_beyond_its_end_reads_as_ones_and_is_not_writable)
{
	uint8_t mac[6], before[6], raw[8];

	setup(1, 0);
	virtio_dev_config_read(f.v, 0, before, 6);
	virtio_dev_config_write(f.v, 0, "\1\2\3\4\5\6", 6);
	virtio_dev_config_read(f.v, 0, mac, 6);
	ck_assert_mem_eq(mac, before, 6);
	virtio_dev_config_read(f.v, 8, raw, 8);
	ck_assert_uint_eq(load_le64(raw), UINT64_MAX);
	fake_driver_fini(&f);
}
END_TEST

/* Link --------------------------------------------------------------------------------------- */

START_TEST(the_link_follows_the_interface)
{
	uint8_t generation;

	start(1, 0);
	generation = virtio_dev_config_generation(f.v);
	fake_netif_set_link(nif, false);
	ck_assert_uint_eq(config16(6), 0);
	ck_assert_uint_eq(f.n_config_interrupts, 1);
	ck_assert_uint_ne(virtio_dev_config_generation(f.v), generation);
	fake_netif_set_link(nif, true);
	ck_assert_uint_eq(config16(6), 1);
	ck_assert_uint_eq(f.n_config_interrupts, 2);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_driver_that_has_not_asked_is_not_told_of_the_link)
{
	setup(1, 0);
	fake_netif_set_link(nif, false); /* before there is a driver */
	fake_driver_start(&f, ALL & ~BIT(VIRTIO_NET_F_STATUS));
	fake_netif_set_link(nif, true);
	ck_assert_uint_eq(f.n_config_interrupts, 0);
	fake_driver_fini(&f);
}
END_TEST

/* Control queue ------------------------------------------------------------------------------ */

/* Sends bytes to queue qi as a command; the answer. 0xee: none came. */
static uint8_t command_to(unsigned int qi, const void *bytes, uint32_t len)
{
	uint8_t ack = 0xee;
	gpa_t answer = fake_driver_put(&f, &ack, 1);
	struct fake_seg segs[] = { { fake_driver_put(&f, bytes, len), len, false },
				   { answer, 1, true } };
	uint32_t id, written;

	fake_driver_send(&f, qi, segs, 2);
	if (!fake_driver_take_used(&f, qi, &id, &written))
		return 0xee;
	ck_assert_uint_eq(written, 1);
	fake_driver_read(&f, answer, &ack, 1);
	return ack;
}

START_TEST(pairs_are_set_by_the_driver)
{
	start(4, 0);
	ck_assert_uint_eq(nif->active, 1);
	ck_assert_uint_eq(command_to(8, "\4\0\3\0", 4), VIRTIO_NET_OK);
	ck_assert_uint_eq(nif->active, 3);
	ck_assert_uint_eq(command_to(8, "\4\0\1\0", 4), VIRTIO_NET_OK);
	ck_assert_uint_eq(nif->active, 1);
	virtio_dev_set_status(f.v, 0);
	fake_driver_idle(&f);
	ck_assert_uint_eq(nif->active, 1);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_number_of_pairs_that_is_not_there_is_refused)
{
	static const char *const bad[] = { "\4\0\0\0", "\4\0\5\0", "\4\0\1\1", "\4\0\377\377",
					   "\4\1\2\0" };

	start(4, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_uint_eq(command_to(8, bad[i], 4), VIRTIO_NET_ERR);
	ck_assert_uint_eq(nif->active, 1);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(truncated_and_unknown_commands_are_answered_with_an_error)
{
	uint8_t bytes[64] = { 0 };

	start(2, EVERYTHING);
	for (uint32_t len = 0; len < 4; len++)
		ck_assert_uint_eq(command_to(4, "\4\0\2", len), VIRTIO_NET_ERR);
	ck_assert_uint_eq(command_to(4, "\4\0\2\0\0", 5), VIRTIO_NET_ERR);
	for (unsigned int class = 0; class < 256; class ++) {
		bytes[0] = (uint8_t) class;
		bytes[1] = 77;
		ck_assert_uint_eq(command_to(4, bytes, sizeof(bytes)), VIRTIO_NET_ERR);
	}
	ck_assert_uint_eq(fake_netif_counter(&f, "errors"), 256 + 5);
	ck_assert_uint_eq(nif->active, 1);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_command_without_room_for_the_answer_is_handed_back_and_does_nothing)
{
	struct fake_seg seg = { 0, 4, false };
	uint32_t id, written;

	start(2, 0);
	seg.at = fake_driver_put(&f, "\4\0\2\0", 4);
	fake_driver_send(&f, 4, &seg, 1);
	ck_assert(fake_driver_take_used(&f, 4, &id, &written));
	ck_assert_uint_eq(written, 0);
	ck_assert_uint_eq(nif->active, 1);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(a_command_may_come_in_single_bytes)
{
	struct fake_seg segs[5];
	uint32_t id, written;
	uint8_t ack = 0xee;

	start(2, 0);
	for (unsigned int i = 0; i < 4; i++)
		segs[i] = (struct fake_seg){ fake_driver_put(&f, &"\4\0\2\0"[i], 1), 1, false };
	segs[4] = (struct fake_seg){ fake_driver_alloc(&f, 1), 1, true };
	fake_driver_send(&f, 4, segs, 5);
	ck_assert(fake_driver_take_used(&f, 4, &id, &written));
	fake_driver_read(&f, segs[4].at, &ack, 1);
	ck_assert_uint_eq(ack, VIRTIO_NET_OK);
	ck_assert_uint_eq(nif->active, 2);
	fake_driver_fini(&f);
}
END_TEST

/* 5.1.2: the place of the control queue depends on what was agreed on. */
START_TEST(without_mq_the_control_queue_is_the_third)
{
	setup(4, EVERYTHING);
	fake_driver_start(&f, ALL & ~BIT(VIRTIO_NET_F_MQ));
	ck_assert_uint_eq(command_to(2, "\4\0\1\0", 4), VIRTIO_NET_ERR);
	ck_assert_uint_eq(command_to(2, "\5\0\1\0\0\0\0\0\0\0", 10), VIRTIO_NET_ERR);
	ck_assert_uint_eq(command_to(2, "\5\0\2\0\0\0\0\0\0\0", 10), VIRTIO_NET_OK);
	ck_assert_uint_eq(command_to(8, "\5\0\2\0\0\0\0\0\0\0", 10), 0xee);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(guest_offloads_may_be_changed_within_what_was_agreed_on)
{
	uint8_t cmd[10] = { VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0 };

	setup(1, EVERYTHING);
	fake_driver_start(&f, ALL & ~BIT(VIRTIO_NET_F_GUEST_TSO6));
	store_le64(cmd + 2, BIT(VIRTIO_NET_F_GUEST_CSUM));
	ck_assert_uint_eq(command_to(2, cmd, sizeof(cmd)), VIRTIO_NET_OK);
	ck_assert_uint_eq(nif->offloads_set, NETIF_CSUM);
	store_le64(cmd + 2, BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO6));
	ck_assert_uint_eq(command_to(2, cmd, sizeof(cmd)), VIRTIO_NET_ERR);
	store_le64(cmd + 2, BIT(63));
	ck_assert_uint_eq(command_to(2, cmd, sizeof(cmd)), VIRTIO_NET_ERR);
	ck_assert_uint_eq(nif->offloads_set, NETIF_CSUM);
	fake_driver_fini(&f);
}
END_TEST

START_TEST(the_driver_may_choose_another_address_until_the_reset)
{
	uint8_t mac[6];

	start(1, 0);
	ck_assert_uint_eq(command_to(2, "\1\1\2\0\0\0\0\7", 8), VIRTIO_NET_OK);
	virtio_dev_config_read(f.v, 0, mac, 6);
	ck_assert_mem_eq(mac, "\2\0\0\0\0\7", 6);
	ck_assert_uint_eq(command_to(2, "\1\1\1\0\0\0\0\7", 8), VIRTIO_NET_ERR); /* multicast */
	virtio_dev_set_status(f.v, 0);
	virtio_dev_config_read(f.v, 0, mac, 6);
	ck_assert_mem_eq(mac, params.mac, 6);
	fake_driver_fini(&f);
}
END_TEST

/* Hostile notifications ---------------------------------------------------------------------- */

START_TEST(a_kick_of_any_queue_at_any_time_does_no_harm)
{
	setup(2, 0);
	for (unsigned int qi = 0; qi < 80; qi++)
		fake_driver_kick(&f, qi);
	fake_driver_start(&f, ALL & ~(BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ)));
	for (unsigned int qi = 0; qi < 80; qi++)
		fake_driver_kick(&f, qi);
	ck_assert(!fake_driver_needs_reset(&f));
	fake_driver_fini(&f);
}
END_TEST

START_TEST(resets_in_a_row_leave_a_device_that_works)
{
	struct fake_seg seg = { 0, 12 + 60, false };

	setup(2, EVERYTHING);
	for (unsigned int i = 0; i < 50; i++) {
		f.next_free = 4096;
		fake_driver_start(&f, ALL);
		seg.at = fake_driver_alloc(&f, seg.len);
		fake_driver_send(&f, 1, &seg, 1);
		virtio_dev_set_status(f.v, 0);
	}
	ck_assert_uint_eq(nif->n_sent, 50);
	fake_driver_fini(&f);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_net");

	UNIT_TEST(s, no_offload_is_offered_that_the_interface_has_not);
	UNIT_TEST(s, what_the_interface_can_do_is_offered);
	UNIT_TEST(s, the_interface_learns_what_the_driver_can_do_itself);
	UNIT_TEST(s, nothing_is_watched_without_a_driver);
	UNIT_TEST(s, destroying_the_device_destroys_the_interface);
	UNIT_TEST(s, configuration_beyond_its_end_reads_as_ones_and_is_not_writable);
	UNIT_TEST(s, the_link_follows_the_interface);
	UNIT_TEST(s, a_driver_that_has_not_asked_is_not_told_of_the_link);
	UNIT_TEST(s, pairs_are_set_by_the_driver);
	UNIT_TEST(s, a_number_of_pairs_that_is_not_there_is_refused);
	UNIT_TEST(s, truncated_and_unknown_commands_are_answered_with_an_error);
	UNIT_TEST(s, a_command_without_room_for_the_answer_is_handed_back_and_does_nothing);
	UNIT_TEST(s, a_command_may_come_in_single_bytes);
	UNIT_TEST(s, without_mq_the_control_queue_is_the_third);
	UNIT_TEST(s, guest_offloads_may_be_changed_within_what_was_agreed_on);
	UNIT_TEST(s, the_driver_may_choose_another_address_until_the_reset);
	UNIT_TEST(s, a_kick_of_any_queue_at_any_time_does_no_harm);
	UNIT_TEST(s, resets_in_a_row_leave_a_device_that_works);
	return s;
}

UNIT_MAIN("virtio_net", suite)
