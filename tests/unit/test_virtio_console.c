/*
 * test_virtio_console.c - src/virtio/virtio_console.c: the bytes of console and ports, both ways.
 *
 * The messages of the control queues: test_virtio_console_control.c.
 */
#include "console_driver.h"

/* Output ------------------------------------------------------------------------------------- */

START_TEST(each_port_has_its_own_output)
{
	char text[16];
	uint32_t id, len;

	start(0, 4);
	for (unsigned int i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "port %u", i);
		write_port(i, text, (uint32_t)strlen(text));
		ck_assert(fake_driver_take_used(&f, tx_of(i), &id, &len));
		ck_assert_uint_eq(len, 0);
		ck_assert_uint_gt(f.q[tx_of(i)].n_interrupts, 0);
	}
	for (unsigned int i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "port %u", i);
		host_got(i, text);
	}
	stop();
}
END_TEST

START_TEST(output_may_be_in_many_pieces_and_indirect)
{
	struct fake_seg segs[4];
	uint32_t id, len;

	start(0, 1);
	for (unsigned int i = 0; i < 4; i++)
		segs[i] = (struct fake_seg){ fake_driver_put(&f, &"abcdefgh"[2 * i], 2), 2, false };
	fake_driver_publish(&f, 1, fake_driver_indirect(&f, 1, segs, 4));
	fake_driver_kick(&f, 1);
	ck_assert(fake_driver_take_used(&f, 1, &id, &len));
	host_got(0, "abcdefgh");
	stop();
}
END_TEST

START_TEST(output_from_before_the_port_is_open_is_not_lost)
{
	create(0, 2);
	fake_driver_start(&f, ALL_FEATURES);
	write_port(0, "early", 5); /* Linux prints its log before it says PORT_OPEN */
	write_port(1, "too", 3);
	host_got(0, "early");
	host_got(1, "too");
	stop();
}
END_TEST

START_TEST(a_full_chardev_leaves_output_in_the_queue_until_there_is_room)
{
	static uint8_t text[3 * ROOM], got[3 * ROOM];
	size_t n = 0;
	uint32_t id, len;

	start(0, 2);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7 + i / 256);
	write_port(1, text, 2 * ROOM + 100);
	write_port(1, text + 2 * ROOM + 100, ROOM - 100);
	ck_assert_uint_eq(fake_driver_n_used(&f, tx_of(1)), 0);
	while (n < sizeof(got)) {
		size_t some = fake_chardev_take(chardevs[1], got + n, 1000);

		ck_assert_uint_gt(some, 0);
		n += some;
		fake_driver_idle(&f);
	}
	ck_assert(memcmp(text, got, sizeof(got)) == 0);
	ck_assert(fake_driver_take_used(&f, tx_of(1), &id, &len));
	ck_assert(fake_driver_take_used(&f, tx_of(1), &id, &len));
	stop();
}
END_TEST

static bool is_used(void *arg)
{
	return fake_driver_n_used(&f, *(unsigned int *)arg) > 0;
}

START_TEST(a_port_that_nobody_reads_waits_and_holds_nothing_else_up)
{
	static uint8_t text[2 * ROOM];
	struct fake_seg all = { 0, FAKE_DRIVER_RAM, false };

	start(0, 3);
	memset(text, 'x', sizeof(text));
	write_port(1, text, sizeof(text));
	fake_driver_send(&f, tx_of(1), &all, 1);
	write_port(2, "two", 3);
	write_port(0, "zero", 4);
	host_got(2, "two");
	host_got(0, "zero");
	ck_assert_uint_eq(fake_driver_n_used(&f, tx_of(1)), 0);
	stop(); /* with two chains at the host */
}
END_TEST

/* Linux spins until the buffer of a console has been used. */
START_TEST(a_console_that_nobody_reads_loses_output_after_a_while)
{
	static uint8_t text[2 * ROOM], got[FAKE_CHARDEV_BYTES];
	unsigned int tx = tx_of(0);
	uint64_t before = evloop_now_ns(), took;
	uint32_t id, len;

	start(0, 1);
	memset(text, 'x', sizeof(text));
	write_port(0, text, sizeof(text));
	ck_assert_uint_eq(fake_driver_n_used(&f, tx), 0);
	fake_driver_until(&f, is_used, &tx);
	took = evloop_now_ns() - before;
	ck_assert_uint_ge(took, 900 * NS_PER_MS);
	ck_assert_uint_le(took, 5 * NS_PER_S);
	ck_assert(fake_driver_take_used(&f, tx, &id, &len));
	before = evloop_now_ns();
	for (unsigned int i = 0; i < 50; i++) { /* from here on it waits no more */
		write_port(0, text, 1000);
		ck_assert(fake_driver_take_used(&f, tx, &id, &len));
	}
	ck_assert_uint_lt(evloop_now_ns() - before, NS_PER_S);
	ck_assert_uint_eq(fake_chardev_take(chardevs[0], got, sizeof(got)), ROOM);
	fake_driver_idle(&f);
	write_port(0, "again", 5); /* somebody reads: nothing is lost */
	ck_assert(fake_driver_take_used(&f, tx, &id, &len));
	host_got(0, "again");
	write_port(0, text, sizeof(text));
	ck_assert_uint_eq(fake_driver_n_used(&f, tx), 0);
	stop();
}
END_TEST

START_TEST(a_console_that_is_read_slowly_loses_nothing)
{
	static uint8_t text[4 * ROOM];
	unsigned int tx = tx_of(0);
	uint8_t buf[128];
	size_t n = 0;

	start(0, 1);
	memset(text, 'x', sizeof(text));
	write_port(0, text, sizeof(text));
	for (unsigned int i = 0; i < 75 && fake_driver_n_used(&f, tx) == 0; i++) {
		for (unsigned int ms = 0; ms < 20; ms += 2) /* 1.5 s in all, 20 ms at a time */
			fake_driver_idle(&f);
		n += fake_chardev_take(chardevs[0], buf, sizeof(buf));
	}
	n += fake_chardev_take(chardevs[0], text, sizeof(text));
	while (fake_driver_n_used(&f, tx) == 0) {
		fake_driver_idle(&f);
		n += fake_chardev_take(chardevs[0], text, sizeof(text));
	}
	n += fake_chardev_take(chardevs[0], text, sizeof(text));
	ck_assert_uint_eq(n, sizeof(text));
	stop();
}
END_TEST

START_TEST(what_is_queued_at_the_end_goes_out_without_the_loop)
{
	static uint8_t text[3 * ROOM], got[FAKE_CHARDEV_BYTES];
	size_t n = 0, some;

	start(0, 2);
	memset(text, 'x', sizeof(text));
	write_port(1, text, ROOM);
	write_port(1, text, ROOM);
	write_port(1, text, 10);
	ck_assert_uint_eq(fake_driver_n_used(&f, tx_of(1)), 1);
	virtio_console_flush(f.v);
	while ((some = fake_chardev_take(chardevs[1], got, sizeof(got))) > 0)
		n += some;
	ck_assert_uint_eq(n, 2 * ROOM + 10);
	stop();
}
END_TEST

/* A chain may name the same RAM again and again. */
START_TEST(the_last_words_of_a_guest_have_an_end)
{
	static uint8_t got[FAKE_CHARDEV_BYTES];
	struct fake_seg segs[32];
	size_t n = 0, some;

	start(0, 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(segs); i++)
		segs[i] = (struct fake_seg){ 0x800000, 4 * MIB, false };
	fake_driver_send(&f, tx_of(1), segs, ARRAY_SIZE(segs));
	virtio_console_flush(f.v);
	while ((some = fake_chardev_take(chardevs[1], got, sizeof(got))) > 0)
		n += some;
	ck_assert_uint_ge(n, 1 * MIB);
	ck_assert_uint_le(n, 1 * MIB + 2 * ROOM + 4096);
	ck_assert_uint_eq(fake_driver_n_used(&f, tx_of(1)), 1);
	stop();
}
END_TEST

/* Input -------------------------------------------------------------------------------------- */

/* What the guest reads out of a buffer of that size; 0: nothing came. */
static uint32_t read_port(unsigned int id, char *buf, uint32_t size)
{
	gpa_t at = give(rx_of(id), size);
	uint32_t head, len;

	fake_driver_kick(&f, rx_of(id));
	if (!fake_driver_take_used(&f, rx_of(id), &head, &len))
		return 0;
	ck_assert_uint_le(len, size);
	fake_driver_read(&f, at, buf, len);
	return len;
}

START_TEST(input_goes_to_its_port)
{
	char buf[64];

	start(0, 3);
	fake_chardev_type(chardevs[2], "two", 3);
	fake_chardev_type(chardevs[0], "zero", 4);
	ck_assert_uint_eq(read_port(2, buf, sizeof(buf)), 3);
	ck_assert(memcmp(buf, "two", 3) == 0);
	ck_assert_uint_eq(read_port(0, buf, sizeof(buf)), 4);
	ck_assert(memcmp(buf, "zero", 4) == 0);
	ck_assert_uint_eq(read_port(1, buf, sizeof(buf)), 0);
	stop();
}
END_TEST

START_TEST(input_waits_in_the_chardev_until_there_are_buffers)
{
	static uint8_t text[10000];
	char buf[300];
	size_t n = 0;
	uint32_t len;

	start(0, 1);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7 + i / 256);
	fake_chardev_type(chardevs[0], text, sizeof(text));
	fake_driver_idle(&f);
	ck_assert_uint_eq(fake_chardev_untaken(chardevs[0]), sizeof(text));
	while (n < sizeof(text)) {
		len = read_port(0, buf, sizeof(buf));
		ck_assert_uint_gt(len, 0);
		ck_assert(memcmp(buf, text + n, len) == 0);
		n += len;
		ck_assert_uint_eq(fake_chardev_untaken(chardevs[0]), sizeof(text) - n);
	}
	stop();
}
END_TEST

START_TEST(buffers_wait_for_input_and_are_filled_as_it_comes)
{
	gpa_t at[3];
	uint32_t id, len;
	char got[3];

	start(0, 1);
	for (unsigned int i = 0; i < 3; i++)
		at[i] = give(0, 3);
	fake_driver_kick(&f, 0);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 0);
	fake_chardev_type(chardevs[0], "abcd", 4);
	fake_driver_idle(&f);
	ck_assert(fake_driver_take_used(&f, 0, &id, &len) && len == 3);
	ck_assert(fake_driver_take_used(&f, 0, &id, &len) && len == 1);
	ck_assert_uint_eq(f.q[0].n_interrupts, 1);
	fake_driver_read(&f, at[1], got, 1);
	ck_assert_int_eq(got[0], 'd');
	fake_chardev_type(chardevs[0], "e", 1);
	fake_driver_idle(&f);
	ck_assert(fake_driver_take_used(&f, 0, &id, &len) && len == 1);
	fake_driver_read(&f, at[2], got, 1);
	ck_assert_int_eq(got[0], 'e');
	stop();
}
END_TEST

/* Linux throws away what comes before. */
START_TEST(input_waits_until_the_guest_has_opened_the_port)
{
	char buf[64];

	create(0, 2);
	fake_driver_start(&f, ALL_FEATURES);
	fake_chardev_type(chardevs[1], "early", 5);
	fake_chardev_type(chardevs[0], "bird", 4);
	ck_assert_uint_eq(read_port(1, buf, sizeof(buf)), 0);
	ck_assert_uint_eq(read_port(0, buf, sizeof(buf)), 0);
	tell(1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	ck_assert_uint_eq(fake_driver_n_used(&f, rx_of(1)), 1);
	ck_assert_uint_eq(fake_driver_n_used(&f, rx_of(0)), 0);
	tell(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	ck_assert_uint_eq(fake_driver_n_used(&f, rx_of(0)), 1);
	tell(1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	fake_chardev_type(chardevs[1], "late", 4);
	ck_assert_uint_eq(read_port(1, buf, sizeof(buf)), 5); /* what came before it was closed */
	fake_driver_kick(&f, rx_of(1));
	ck_assert_uint_eq(fake_driver_n_used(&f, rx_of(1)), 0);
	ck_assert_uint_eq(fake_chardev_untaken(chardevs[1]), 4);
	stop();
}
END_TEST

START_TEST(the_guest_does_the_flow_control)
{
	start(0, 2);
	ck_assert(fake_chardev_is_flow_controlled(chardevs[0]));
	ck_assert(fake_chardev_is_flow_controlled(chardevs[1]));
	stop();
}
END_TEST

/* Without the control queues ------------------------------------------------------------------ */

START_TEST(a_driver_without_multiport_has_the_console_alone)
{
	char buf[64];

	create(0, 2);
	fake_driver_start(&f, 0);
	write_port(0, "hello", 5);
	host_got(0, "hello");
	fake_chardev_type(chardevs[0], "typed", 5);
	ck_assert_uint_eq(read_port(0, buf, sizeof(buf)), 5);
	write_port(1, "lost", 4);
	host_got(1, "");
	give(CONTROL_RX, 64);
	fake_driver_kick(&f, CONTROL_RX);
	fake_chardev_attach(chardevs[1], true);
	fake_chardev_resize(chardevs[0], 80, 25);
	fake_driver_idle(&f);
	ck_assert_uint_eq(fake_driver_n_used(&f, CONTROL_RX), 0);
	ck_assert(!fake_driver_needs_reset(&f));
	stop();
}
END_TEST

START_TEST(without_a_console_port_0_takes_all_and_gives_nothing)
{
	char buf[8];

	start(1, 2);
	write_port(0, "nowhere", 7);
	ck_assert_uint_eq(fake_driver_n_used(&f, tx_of(0)), 1);
	ck_assert_uint_eq(read_port(0, buf, sizeof(buf)), 0);
	write_port(1, "here", 4);
	host_got(1, "here");
	stop();
}
END_TEST

/* Configuration ------------------------------------------------------------------------------- */

static void config_is(uint16_t cols, uint16_t rows, uint32_t ports)
{
	uint8_t raw[12];

	virtio_dev_config_read(f.v, 0, raw, sizeof(raw));
	ck_assert_uint_eq(load_le16(raw), cols);
	ck_assert_uint_eq(load_le16(raw + 2), rows);
	ck_assert_uint_eq(load_le32(raw + 4), ports);
	ck_assert_uint_eq(load_le32(raw + 8), 0);
}

START_TEST(the_configuration_tells_size_and_number_of_ports)
{
	unsigned int n;

	create(0, 3);
	config_is(0, 0, 3);
	fake_chardev_resize(chardevs[0], 132, 43);
	config_is(132, 43, 3);
	ck_assert_uint_eq(f.n_config_interrupts, 0); /* no driver yet */
	fake_driver_start(&f, ALL_FEATURES);
	n = virtio_dev_config_generation(f.v);
	fake_chardev_resize(chardevs[0], 80, 24);
	ck_assert_uint_eq(f.n_config_interrupts, 1);
	ck_assert_uint_ne(virtio_dev_config_generation(f.v), n);
	config_is(80, 24, 3);
	fake_chardev_resize(chardevs[1], 7, 7); /* the size is the console's */
	config_is(80, 24, 3);
	stop();
}
END_TEST

START_TEST(without_a_console_there_is_no_size_and_no_emergency_write)
{
	create(1, 2);
	ck_assert_uint_eq(virtio_dev_offered_features(f.v, 0) & 7, 1 << VIRTIO_CONSOLE_F_MULTIPORT);
	virtio_dev_config_write(f.v, 8, "x\0\0", 4);
	host_got(1, "");
	stop();
	create(0, 1);
	ck_assert_uint_eq(virtio_dev_offered_features(f.v, 0) & 7, 7);
	stop();
}
END_TEST

START_TEST(emergency_writes_print_one_character_at_any_time)
{
	create(0, 1);
	virtio_dev_config_write(f.v, 8, "a\0\0", 4);
	virtio_dev_config_write(f.v, 8, "b", 1);
	virtio_dev_config_write(f.v, 4, "xxxxc\0\0", 8);
	virtio_dev_config_write(f.v, 9, "no", 2); /* beside it */
	virtio_dev_config_write(f.v, 0, "nonono", 6);
	virtio_dev_config_write(f.v, 12, "n", 1);
	virtio_dev_config_write(f.v, UINT64_MAX, "n", 1);
	host_got(0, "abc");
	config_is(0, 0, 1);
	for (unsigned int i = 0; i < 3 * ROOM; i++)
		virtio_dev_config_write(f.v, 8, "x\0\0", 4); /* nobody reads: no wait */
	stop();
}
END_TEST

/* Hostile ------------------------------------------------------------------------------------- */

START_TEST(a_request_of_gibibytes_is_taken_in_turns)
{
	static uint8_t got[FAKE_CHARDEV_BYTES];
	struct fake_seg segs[60];
	uint64_t n = 0;
	unsigned int tx = tx_of(1);

	start(0, 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(segs); i++)
		segs[i] = (struct fake_seg){ 0, FAKE_DRIVER_RAM, false }; /* 960 MiB */
	fake_driver_send(&f, tx, segs, ARRAY_SIZE(segs));
	for (unsigned int i = 0; i < 20; i++) {
		n += fake_chardev_take(chardevs[1], got, sizeof(got));
		fake_driver_idle(&f);
	}
	ck_assert_uint_eq(n, 20 * ROOM); /* no more than there was room for */
	ck_assert_uint_eq(fake_driver_n_used(&f, tx), 0);
	stop();
}
END_TEST

START_TEST(buffers_of_the_wrong_direction_and_of_no_length_are_given_back)
{
	struct fake_seg segs[] = { { 0x1000, 0, false }, { 0x1000, 0, true } };
	uint32_t id, len;

	start(0, 1);
	fake_chardev_type(chardevs[0], "typed", 5);
	for (unsigned int i = 0; i < 2; i++) {
		fake_driver_send(&f, 0, &segs[i], 1);
		ck_assert(fake_driver_take_used(&f, 0, &id, &len) && len == 0);
		fake_driver_send(&f, 1, &segs[i], 1);
		ck_assert(fake_driver_take_used(&f, 1, &id, &len) && len == 0);
	}
	segs[0].len = segs[1].len = 16;
	fake_driver_send(&f, 0, &segs[0], 1); /* readable, for input */
	ck_assert(fake_driver_take_used(&f, 0, &id, &len) && len == 0);
	fake_driver_send(&f, 1, &segs[1], 1); /* writable, for output */
	ck_assert(fake_driver_take_used(&f, 1, &id, &len) && len == 0);
	host_got(0, "");
	ck_assert_uint_eq(fake_chardev_untaken(chardevs[0]), 5);
	stop();
}
END_TEST

START_TEST(a_reset_gives_held_chains_back_and_forgets_what_was_open)
{
	static uint8_t text[2 * ROOM];
	uint8_t buf[8];
	struct message m;

	start(0, 3);
	memset(text, 'x', sizeof(text));
	for (unsigned int i = 0; i < 10; i++) {
		for (unsigned int id = 0; id < 3; id++)
			write_port(id, text, sizeof(text));
		tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
		virtio_dev_set_status(f.v, 0);
		ck_assert_uint_eq(virtio_dev_status(f.v), 0); /* at once */
		fake_driver_start(&f, ALL_FEATURES);
	}
	ck_assert(!hear(&m)); /* of before */
	fake_chardev_type(chardevs[0], "typed", 5);
	ck_assert_uint_eq(read_port(0, (char *)buf, sizeof(buf)), 0);
	tell(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 1);
	stop();
}
END_TEST

START_TEST(a_hold_that_a_reset_ended_does_not_make_the_next_one_shorter)
{
	static uint8_t text[2 * ROOM];
	unsigned int tx = tx_of(0);
	uint64_t before;

	start(0, 1);
	memset(text, 'x', sizeof(text));
	write_port(0, text, sizeof(text));
	for (unsigned int ms = 0; ms < 700; ms += 2)
		fake_driver_idle(&f);
	fake_driver_start(&f, ALL_FEATURES);
	before = evloop_now_ns();
	write_port(0, text, sizeof(text));
	fake_driver_until(&f, is_used, &tx);
	ck_assert_uint_ge(evloop_now_ns() - before, 900 * NS_PER_MS);
	stop();
}
END_TEST

START_TEST(host_events_after_a_reset_and_before_a_driver_are_harmless)
{
	static uint8_t text[2 * ROOM], got[FAKE_CHARDEV_BYTES];

	create(0, 2);
	for (unsigned int i = 0; i < 2; i++) {
		fake_chardev_type(chardevs[1], "x", 1);
		fake_chardev_attach(chardevs[1], false);
		fake_chardev_attach(chardevs[1], true);
		fake_chardev_resize(chardevs[0], 80, 25);
		fake_driver_idle(&f);
		fake_driver_start(&f, ALL_FEATURES);
		write_port(1, text, sizeof(text));
		virtio_dev_set_status(f.v, 0);
		fake_chardev_take(chardevs[1], got, sizeof(got)); /* there is room */
		fake_driver_idle(&f);
	}
	virtio_console_flush(f.v);
	stop();
}
END_TEST

static void *vcpu(void *arg)
{
	uint8_t raw[12];

	(void)arg;
	for (unsigned int i = 0; i < 300; i++) {
		virtio_dev_config_write(f.v, 8, "x\0\0", 4);
		virtio_dev_config_read(f.v, 0, raw, sizeof(raw));
		if (i % 10 == 0) {
			virtio_dev_set_status(f.v, 0);
			virtio_dev_set_status(f.v, 1);
			virtio_dev_set_status(f.v, 3);
			virtio_dev_set_driver_features(f.v, 1, 1);
			virtio_dev_set_driver_features(f.v, 0, i % 20 ? 7 : 0);
			virtio_dev_set_status(f.v, 11);
			virtio_dev_set_status(f.v, 15);
		}
	}
	return NULL;
}

START_TEST(a_vcpu_may_do_anything_while_the_host_does)
{
	static uint8_t got[FAKE_CHARDEV_BYTES];
	pthread_t t;

	create(0, 3);
	fake_driver_start(&f, ALL_FEATURES);
	ck_assert_int_eq(pthread_create(&t, NULL, vcpu, NULL), 0);
	for (unsigned int i = 0; i < 50; i++) {
		fake_chardev_type(chardevs[i % 3], "typed", 5);
		fake_chardev_attach(chardevs[1], i % 2);
		fake_chardev_take(chardevs[0], got, sizeof(got));
		fake_driver_idle(&f);
	}
	pthread_join(t, NULL);
	stop();
}
END_TEST

struct counted {
	const char *name;
	uint64_t value;
};

static void on_counter(void *arg, const char *name, uint64_t value)
{
	struct counted *c = arg;

	if (strcmp(c->name, name) == 0)
		c->value = value;
}

static uint64_t counter(const char *name)
{
	struct counted c = { name, UINT64_MAX };

	f.v->ops->counters(f.v, on_counter, &c);
	return c.value;
}

START_TEST(bytes_are_counted)
{
	char buf[8];

	start(0, 3);
	write_port(0, "12345", 5);
	write_port(1, "123", 3);
	write_port(2, "1", 1);
	fake_chardev_type(chardevs[1], "12", 2);
	read_port(1, buf, sizeof(buf));
	ck_assert_uint_eq(counter("console_tx_bytes"), 5);
	ck_assert_uint_eq(counter("console_rx_bytes"), 0);
	ck_assert_uint_eq(counter("console_dropped_bytes"), 0);
	ck_assert_uint_eq(counter("port_tx_bytes"), 4);
	ck_assert_uint_eq(counter("port_rx_bytes"), 2);
	ck_assert_uint_gt(counter("control_messages"), 3);
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_console");

	UNIT_TEST(s, each_port_has_its_own_output);
	UNIT_TEST(s, output_may_be_in_many_pieces_and_indirect);
	UNIT_TEST(s, output_from_before_the_port_is_open_is_not_lost);
	UNIT_TEST(s, a_full_chardev_leaves_output_in_the_queue_until_there_is_room);
	UNIT_TEST(s, a_port_that_nobody_reads_waits_and_holds_nothing_else_up);
	UNIT_TEST(s, a_console_that_nobody_reads_loses_output_after_a_while);
	UNIT_TEST(s, a_console_that_is_read_slowly_loses_nothing);
	UNIT_TEST(s, what_is_queued_at_the_end_goes_out_without_the_loop);
	UNIT_TEST(s, the_last_words_of_a_guest_have_an_end);
	UNIT_TEST(s, input_goes_to_its_port);
	UNIT_TEST(s, input_waits_in_the_chardev_until_there_are_buffers);
	UNIT_TEST(s, buffers_wait_for_input_and_are_filled_as_it_comes);
	UNIT_TEST(s, input_waits_until_the_guest_has_opened_the_port);
	UNIT_TEST(s, the_guest_does_the_flow_control);
	UNIT_TEST(s, a_driver_without_multiport_has_the_console_alone);
	UNIT_TEST(s, without_a_console_port_0_takes_all_and_gives_nothing);
	UNIT_TEST(s, the_configuration_tells_size_and_number_of_ports);
	UNIT_TEST(s, without_a_console_there_is_no_size_and_no_emergency_write);
	UNIT_TEST(s, emergency_writes_print_one_character_at_any_time);
	UNIT_TEST(s, a_request_of_gibibytes_is_taken_in_turns);
	UNIT_TEST(s, buffers_of_the_wrong_direction_and_of_no_length_are_given_back);
	UNIT_TEST(s, a_reset_gives_held_chains_back_and_forgets_what_was_open);
	UNIT_TEST(s, a_hold_that_a_reset_ended_does_not_make_the_next_one_shorter);
	UNIT_TEST(s, host_events_after_a_reset_and_before_a_driver_are_harmless);
	UNIT_TEST(s, a_vcpu_may_do_anything_while_the_host_does);
	UNIT_TEST(s, bytes_are_counted);
	return s;
}

UNIT_MAIN("virtio_console", suite)
