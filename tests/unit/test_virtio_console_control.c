/*
 * test_virtio_console_control.c - src/virtio/virtio_console.c: what device and driver tell each
 * other about ports, and what they must not believe.
 */
#include "console_driver.h"
#include <linux/virtio_config.h>

START_TEST(ports_are_added_when_the_driver_is_ready_and_described_when_they_are)
{
	struct message m;

	create(0, 3);
	fake_chardev_resize(chardevs[0], 132, 43);
	fake_chardev_attach(chardevs[2], false);
	fake_driver_start(&f, ALL_FEATURES);
	expect_nothing();
	tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (unsigned int i = 0; i < 3; i++)
		expect(i, VIRTIO_CONSOLE_PORT_ADD, 1);
	expect_nothing();
	tell(0, VIRTIO_CONSOLE_PORT_READY, 1);
	expect(0, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
	expect(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	ck_assert(hear(&m));
	ck_assert(m.id == 0 && m.event == VIRTIO_CONSOLE_RESIZE && m.len == 12);
	ck_assert_uint_eq(load_le16(m.rest), 132); /* 5.3.6.2: cols, then rows */
	ck_assert_uint_eq(load_le16(m.rest + 2), 43);
	tell(1, VIRTIO_CONSOLE_PORT_READY, 1);
	ck_assert(hear(&m));
	ck_assert(m.id == 1 && m.event == VIRTIO_CONSOLE_PORT_NAME && m.value == 1);
	ck_assert_uint_eq(m.len, 10); /* no NUL */
	ck_assert_str_eq(m.rest, "p1");
	expect(1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	tell(2, VIRTIO_CONSOLE_PORT_READY, 1); /* nobody is at its other end */
	expect(2, VIRTIO_CONSOLE_PORT_NAME, 1);
	expect_nothing();
	stop();
}
END_TEST

START_TEST(without_a_console_the_numbers_begin_with_1)
{
	start(1, 3);
	tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	expect(1, VIRTIO_CONSOLE_PORT_ADD, 1);
	expect(2, VIRTIO_CONSOLE_PORT_ADD, 1);
	expect_nothing();
	stop();
}
END_TEST

START_TEST(as_many_ports_as_there_can_be)
{
	create(0, CONSOLE_MAX_PORTS);
	ck_assert_uint_eq(f.v->n_queues, 64);
	stop();
	start(1, CONSOLE_MAX_PORTS);
	write_port(CONSOLE_MAX_PORTS - 1, "last", 4);
	host_got(CONSOLE_MAX_PORTS - 1, "last");
	stop();
}
END_TEST

START_TEST(a_client_that_comes_or_goes_opens_or_closes_the_port)
{
	start(0, 2);
	fake_chardev_attach(chardevs[1], false);
	expect(1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	fake_chardev_attach(chardevs[1], true);
	expect(1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	expect_nothing();
	stop();
}
END_TEST

START_TEST(the_console_is_always_open)
{
	create(0, 1);
	fake_chardev_attach(chardevs[0], false);
	fake_driver_start(&f, ALL_FEATURES);
	tell(0, VIRTIO_CONSOLE_PORT_READY, 1);
	expect(0, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
	expect(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	fake_chardev_attach(chardevs[0], true);
	fake_chardev_attach(chardevs[0], false);
	expect_nothing(); /* it has no size either */
	stop();
}
END_TEST

START_TEST(a_new_size_is_told_and_one_that_comes_too_early_is_told_later)
{
	struct message m;

	create(0, 1);
	fake_driver_start(&f, ALL_FEATURES);
	fake_chardev_resize(chardevs[0], 80, 24);
	expect_nothing();
	tell(0, VIRTIO_CONSOLE_PORT_READY, 1);
	expect(0, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
	expect(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	expect(0, VIRTIO_CONSOLE_RESIZE, 1);
	for (unsigned int i = 1; i < 100; i++)
		fake_chardev_resize(chardevs[0], (uint16_t)(80 + i), 24);
	expect(0, VIRTIO_CONSOLE_RESIZE, 1); /* a buffer was waiting for the first one */
	ck_assert(hear(&m) || true);
	fake_chardev_resize(chardevs[0], 500, 200);
	ck_assert(hear(&m));
	ck_assert_uint_eq(load_le16(m.rest), 500);
	ck_assert_uint_eq(load_le16(m.rest + 2), 200);
	expect_nothing();
	stop();
}
END_TEST

/* Hostile ------------------------------------------------------------------------------------- */

START_TEST(port_numbers_out_of_range_are_ignored)
{
	static const uint32_t ids[] = { 2, 3, 31, 32, 0x7fffffff, 0x80000000, 0xffffffff };
	static const uint16_t events[] = { VIRTIO_CONSOLE_PORT_READY, VIRTIO_CONSOLE_PORT_OPEN };

	start(0, 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(ids); i++) {
		for (unsigned int k = 0; k < ARRAY_SIZE(events); k++) {
			tell(ids[i], events[k], 1);
			tell(ids[i], events[k], 0);
		}
	}
	expect_nothing();
	ck_assert(!fake_driver_needs_reset(&f));
	write_port(1, "alive", 5);
	host_got(1, "alive");
	stop();
	start(1, 2);
	tell(0, VIRTIO_CONSOLE_PORT_READY, 1); /* there is no port 0 */
	tell(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	expect_nothing();
	stop();
}
END_TEST

START_TEST(unknown_events_and_those_of_the_device_are_ignored)
{
	start(0, 2);
	for (unsigned int event = 0; event < 0x10000; event += event < 16 ? 1 : 4099) {
		if (event != VIRTIO_CONSOLE_DEVICE_READY && event != VIRTIO_CONSOLE_PORT_READY &&
		    event != VIRTIO_CONSOLE_PORT_OPEN)
			tell(1, (uint16_t)event, 1);
	}
	expect_nothing();
	stop();
}
END_TEST

START_TEST(messages_that_are_too_short_are_ignored_and_the_rest_of_long_ones_too)
{
	static uint8_t text[5000] = { 0, 0, 0, 0, VIRTIO_CONSOLE_DEVICE_READY, 0, 1, 0 };
	struct fake_seg writable = { 0x1000, 64, true };
	uint32_t id, len;

	start(0, 1);
	for (uint32_t n = 0; n < 8; n++)
		tell_raw(text, n);
	fake_driver_send(&f, CONTROL_TX, &writable, 1); /* nothing to read in it at all */
	ck_assert(fake_driver_take_used(&f, CONTROL_TX, &id, &len) && len == 0);
	expect_nothing();
	tell_raw(text, sizeof(text));
	expect(0, VIRTIO_CONSOLE_PORT_ADD, 1);
	expect_nothing();
	ck_assert(!fake_driver_needs_reset(&f));
	stop();
}
END_TEST

START_TEST(a_message_in_eight_pieces_and_one_of_16_mib_are_understood)
{
	static const uint8_t text[8] = { 0, 0, 0, 0, VIRTIO_CONSOLE_DEVICE_READY, 0, 1, 0 };
	struct fake_seg segs[8];
	uint32_t id, len;

	start(0, 1);
	for (unsigned int i = 0; i < 8; i++)
		segs[i] = (struct fake_seg){ fake_driver_put(&f, text + i, 1), 1, false };
	fake_driver_send(&f, CONTROL_TX, segs, 8);
	ck_assert(fake_driver_take_used(&f, CONTROL_TX, &id, &len));
	expect(0, VIRTIO_CONSOLE_PORT_ADD, 1);
	segs[1] = (struct fake_seg){ 0, FAKE_DRIVER_RAM, false };
	segs[0] = (struct fake_seg){ fake_driver_put(&f, text, 8), 8, false };
	fake_driver_send(&f, CONTROL_TX, segs, 2);
	ck_assert(fake_driver_take_used(&f, CONTROL_TX, &id, &len));
	expect(0, VIRTIO_CONSOLE_PORT_ADD, 1);
	stop();
}
END_TEST

/* Each answer is owed once, however often it is asked for. */
START_TEST(a_flood_without_buffers_for_the_answers_is_answered_once)
{
	create(0, 3);
	fake_driver_start(&f, ALL_FEATURES);
	for (unsigned int i = 0; i < 100; i++) {
		tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
		for (unsigned int id = 0; id < 3; id++)
			tell(id, VIRTIO_CONSOLE_PORT_READY, 1);
	}
	for (unsigned int i = 0; i < 100; i++) {
		fake_chardev_attach(chardevs[1], i % 2);
		fake_chardev_resize(chardevs[0], 80, 25);
	}
	expect(0, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
	expect(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	expect(0, VIRTIO_CONSOLE_RESIZE, 1);
	for (unsigned int id = 1; id < 3; id++) {
		expect(id, VIRTIO_CONSOLE_PORT_NAME, 1);
		expect(id, VIRTIO_CONSOLE_PORT_OPEN, 1);
	}
	expect_nothing();
	stop();
}
END_TEST

START_TEST(buffers_that_are_too_small_lose_their_message_and_no_more)
{
	static const uint32_t sizes[] = { 0, 1, 7 };
	struct fake_seg readable = { 0x1000, 64, false };
	uint32_t id, len;

	create(0, 4);
	fake_driver_start(&f, ALL_FEATURES);
	tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		give(CONTROL_RX, sizes[i]);
		fake_driver_kick(&f, CONTROL_RX);
		ck_assert(fake_driver_take_used(&f, CONTROL_RX, &id, &len) && len == 0);
	}
	expect(3, VIRTIO_CONSOLE_PORT_ADD, 1);
	tell(1, VIRTIO_CONSOLE_PORT_READY, 1);
	give(CONTROL_RX, 9); /* half of "p1" */
	fake_driver_kick(&f, CONTROL_RX);
	ck_assert(fake_driver_take_used(&f, CONTROL_RX, &id, &len) && len == 0);
	fake_driver_send(&f, CONTROL_RX, &readable, 1);
	ck_assert(fake_driver_take_used(&f, CONTROL_RX, &id, &len) && len == 0);
	expect_nothing();
	ck_assert(!fake_driver_needs_reset(&f));
	stop();
}
END_TEST

START_TEST(a_port_that_the_driver_gave_up_is_left_alone)
{
	start(0, 2);
	tell(1, VIRTIO_CONSOLE_PORT_READY, 0);
	fake_chardev_attach(chardevs[1], false);
	fake_chardev_type(chardevs[1], "x", 1);
	give(rx_of(1), 16);
	fake_driver_kick(&f, rx_of(1));
	ck_assert_uint_eq(fake_driver_n_used(&f, rx_of(1)), 0);
	expect_nothing();
	tell(0, VIRTIO_CONSOLE_DEVICE_READY, 0); /* it could not start at all */
	expect_nothing();
	stop();
}
END_TEST

START_TEST(a_broken_control_queue_needs_a_reset_and_then_all_is_well)
{
	start(0, 2);
	fake_driver_desc(&f, CONTROL_TX, 0, FAKE_DRIVER_RAM - 4, 8, 0, 0); /* half outside */
	fake_driver_publish(&f, CONTROL_TX, 0);
	fake_driver_kick(&f, CONTROL_TX);
	ck_assert(fake_driver_needs_reset(&f));
	fake_chardev_type(chardevs[1], "x", 1);
	fake_chardev_attach(chardevs[1], false);
	fake_driver_idle(&f);
	fake_driver_start(&f, ALL_FEATURES);
	tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	expect(0, VIRTIO_CONSOLE_PORT_ADD, 1);
	expect(1, VIRTIO_CONSOLE_PORT_ADD, 1);
	stop();
}
END_TEST

/* Whatever is said in whatever order, with resets in between; the sanitizers look on. */
START_TEST(random_messages_and_resets_are_survived)
{
	uint64_t x = 88172645463325252u + (uint64_t)_i;

	start(0, 4);
	for (unsigned int i = 0; i < 300; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (x % 16 == 0 || fake_driver_needs_reset(&f)) {
			f.next_free = 4096;
			fake_driver_start(&f, x >> 8 & 1 ? ALL_FEATURES : 0);
		}
		if (x % 16 == 1)
			fake_chardev_attach(chardevs[1 + (x >> 8) % 3], x >> 16 & 1);
		if (virtio_dev_has(f.v, VIRTIO_CONSOLE_F_MULTIPORT))
			tell((uint32_t)(x >> 8) % 6, (uint16_t)(x >> 16) % 9, x >> 24 & 1);
		if (x >> 32 & 1)
			give((unsigned int)(x >> 33) % 10, (uint32_t)(x >> 40) % 32);
	}
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_console_control");

	UNIT_TEST(s, ports_are_added_when_the_driver_is_ready_and_described_when_they_are);
	UNIT_TEST(s, without_a_console_the_numbers_begin_with_1);
	UNIT_TEST(s, as_many_ports_as_there_can_be);
	UNIT_TEST(s, a_client_that_comes_or_goes_opens_or_closes_the_port);
	UNIT_TEST(s, the_console_is_always_open);
	UNIT_TEST(s, a_new_size_is_told_and_one_that_comes_too_early_is_told_later);
	UNIT_TEST(s, port_numbers_out_of_range_are_ignored);
	UNIT_TEST(s, unknown_events_and_those_of_the_device_are_ignored);
	UNIT_TEST(s, messages_that_are_too_short_are_ignored_and_the_rest_of_long_ones_too);
	UNIT_TEST(s, a_message_in_eight_pieces_and_one_of_16_mib_are_understood);
	UNIT_TEST(s, a_flood_without_buffers_for_the_answers_is_answered_once);
	UNIT_TEST(s, buffers_that_are_too_small_lose_their_message_and_no_more);
	UNIT_TEST(s, a_port_that_the_driver_gave_up_is_left_alone);
	UNIT_TEST(s, a_broken_control_queue_needs_a_reset_and_then_all_is_well);
	UNIT_LOOP(s, random_messages_and_resets_are_survived, 4);
	return s;
}

UNIT_MAIN("virtio_console_control", suite)
