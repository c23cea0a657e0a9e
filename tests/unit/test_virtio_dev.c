/*
 * test_virtio_dev.c - what every virtio device has in common, by a device that echoes.
 *
 * Queue 0 answers each chain at once with its own bytes; queue 1 holds chains until the test lets
 * them go, as a disk does.
 */
#include "fake_driver.h"
#include "unit.h"
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>

#define N_QUEUES 2
#define QUEUE_SIZE 256
#define FEATURE 5
#define ACK VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER VIRTIO_CONFIG_S_DRIVER
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define DRIVER_OK VIRTIO_CONFIG_S_DRIVER_OK
#define FAILED VIRTIO_CONFIG_S_FAILED
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

struct echo {
	struct virtio_dev v;
	uint8_t config[8];
	uint16_t held[QUEUE_SIZE]; /* heads of queue 1 */
	unsigned int n_held;
	unsigned int n_activated, n_reset, n_turns, n_echoed;
	bool destroyed;
};

static struct echo d;
static struct fake_driver f;

static void config_write(struct virtio_dev *v, uint32_t off, const void *src, uint32_t len)
{
	memcpy(v->config + off, src, len);
}

static void activate(struct virtio_dev *v)
{
	container_of(v, struct echo, v)->n_activated++;
}

static void queue_ready(struct virtio_dev *v, unsigned int qi)
{
	struct echo *echo = container_of(v, struct echo, v);
	struct vchain c;
	uint8_t buf[64];

	echo->n_turns++;
	while (virtio_dev_pop(v, qi, &c)) {
		if (qi == 1) {
			echo->held[echo->n_held++] = c.head;
			continue;
		}
		size_t n = vchain_read(&c, buf, sizeof(buf));

		echo->n_echoed++;
		virtio_dev_push(v, qi, c.head, (uint32_t)vchain_write(&c, buf, n));
	}
}

static void let_go(void)
{
	virtio_dev_lock(&d.v);
	for (unsigned int i = 0; i < d.n_held; i++)
		virtio_dev_push(&d.v, 1, d.held[i], 0);
	d.n_held = 0;
	virtio_dev_flush(&d.v, 1);
	virtio_dev_unlock(&d.v);
}

static void on_reset(struct virtio_dev *v)
{
	container_of(v, struct echo, v)->n_reset++;
}

static void drain(struct virtio_dev *v)
{
	(void)v;
	let_go();
}

static void destroy(struct virtio_dev *v)
{
	struct echo *echo = container_of(v, struct echo, v);

	echo->destroyed = true;
	virtio_dev_fini(v);
}

static const struct virtio_dev_ops echo_ops = {
	.type = "echo",
	.id = 42,
	.config_write = config_write,
	.activate = activate,
	.queue_ready = queue_ready,
	.reset = on_reset,
	.drain = drain,
	.destroy = destroy,
};

static void setup(void)
{
	struct err e;
	struct virtio_dev_params p;

	log_set_level(LOG_ERROR);
	d = (struct echo){ .config = { 1, 2, 3, 4, 5, 6, 7, 8 } };
	fake_driver_init(&f);
	p = (struct virtio_dev_params){
		.name = "echo0",
		.mem = f.mem,
		.loop = f.loop,
		.features = UINT64_C(1) << FEATURE,
		.config = d.config,
		.config_len = sizeof(d.config),
		.n_queues = N_QUEUES,
		.queue_size = QUEUE_SIZE,
	};
	ck_ok(virtio_dev_init(&d.v, &echo_ops, &p, &e));
	fake_driver_attach(&f, &d.v);
}

static void teardown(void)
{
	fake_driver_fini(&f);
	ck_assert(d.destroyed);
}

static void set_status(uint8_t s)
{
	virtio_dev_set_status(&d.v, s);
}

static uint8_t status(void)
{
	return virtio_dev_status(&d.v);
}

static uint16_t send_echo(unsigned int qi)
{
	struct fake_seg s[2] = { { fake_driver_put(&f, "hello", 5), 5, false },
				 { fake_driver_alloc(&f, 8), 8, true } };

	return fake_driver_send(&f, qi, s, 2);
}

/* Working ------------------------------------------------------------------------------------ */

START_TEST(a_request_is_answered_and_interrupts)
{
	uint32_t id, len;
	uint16_t head;

	fake_driver_start(&f, 0);
	ck_assert_uint_eq(d.n_activated, 1);
	head = send_echo(0);
	ck_assert(fake_driver_take_used(&f, 0, &id, &len));
	ck_assert_uint_eq(id, head);
	ck_assert_uint_eq(len, 5);
	ck_assert_uint_eq(f.q[0].n_interrupts, 1);
	ck_assert_uint_eq(d.v.n_interrupts, 1);
}
END_TEST

START_TEST(chains_made_available_before_driver_ok_are_served)
{
	struct fake_seg s = { fake_driver_alloc(&f, 8), 8, true };

	fake_driver_negotiate(&f, 0);
	fake_driver_setup_queue(&f, 0, 16);
	fake_driver_publish(&f, 0, fake_driver_chain(&f, 0, &s, 1));
	fake_driver_kick(&f, 0);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 0);
	set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	fake_driver_idle(&f);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 1);
}
END_TEST

START_TEST(a_full_queue_is_served_in_turns)
{
	struct fake_seg s = { fake_driver_alloc(&f, 8), 8, true };
	unsigned int before;

	fake_driver_start(&f, 0);
	before = d.n_turns;
	for (unsigned int i = 0; i < QUEUE_SIZE; i++)
		fake_driver_publish(&f, 0, fake_driver_chain(&f, 0, &s, 1));
	fake_driver_kick(&f, 0);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), QUEUE_SIZE);
	ck_assert_uint_ge(d.n_turns - before, QUEUE_SIZE / VIRTIO_DEV_BUDGET);
}
END_TEST

START_TEST(notifications_of_queues_that_do_not_run_are_ignored)
{
	static const unsigned int bad[] = { N_QUEUES, 63, 64, 0xffff, UINT32_MAX };

	virtio_dev_kick(&d.v, 0);
	fake_driver_idle(&f);
	fake_driver_negotiate(&f, 0);
	fake_driver_setup_queue(&f, 0, 16);
	set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		virtio_dev_kick(&d.v, bad[i]);
	virtio_dev_kick(&d.v, 1);
	fake_driver_idle(&f);
	ck_assert_uint_eq(d.n_turns, 1); /* that of DRIVER_OK */
	ck_assert_uint_eq(status() & NEEDS_RESET, 0);
}
END_TEST

/* Status ------------------------------------------------------------------------------------- */

/* Every value after every state: bits out of order, or taken back, change nothing. */
START_TEST(status_bits_out_of_order_are_ignored)
{
	static const uint8_t states[] = { 0, ACK, ACK | DRIVER, ACK | DRIVER | FEATURES_OK };

	for (unsigned int i = 0; i < ARRAY_SIZE(states); i++) {
		for (unsigned int next = 1; next < 256; next++) {
			uint8_t now;

			set_status(0);
			virtio_dev_set_driver_features(&d.v, 1, 1);
			for (unsigned int k = 1; k <= i; k++)
				set_status(states[k]);
			ck_assert_uint_eq(status(), states[i]);
			set_status((uint8_t)next);
			now = status();
			ck_assert_uint_eq(now & 0x70, 0);
			ck_assert(!(now & DRIVER) || (now & ACK));
			ck_assert(!(now & FEATURES_OK) || (now & DRIVER));
			ck_assert(!(now & DRIVER_OK) || (now & FEATURES_OK));
			ck_assert_uint_eq(now & states[i], states[i]);
		}
	}
}
END_TEST

START_TEST(features_not_offered_are_refused)
{
	static const unsigned int bad[] = { 0, 4, 6, 24, 31, 33, 34, 40, 63 };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		set_status(0);
		set_status(ACK);
		set_status(ACK | DRIVER);
		virtio_dev_set_driver_features(&d.v, 1, 1);
		virtio_dev_set_driver_features(&d.v, bad[i] / 32,
					       (bad[i] / 32) | 1u << bad[i] % 32);
		set_status(ACK | DRIVER | FEATURES_OK);
		ck_assert_uint_eq(status(), ACK | DRIVER);
		set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
		ck_assert_uint_eq(status(), ACK | DRIVER);
	}
}
END_TEST

START_TEST(a_legacy_driver_is_refused)
{
	set_status(ACK);
	set_status(ACK | DRIVER);
	virtio_dev_set_driver_features(&d.v, 0, 1u << FEATURE);
	set_status(ACK | DRIVER | FEATURES_OK);
	ck_assert_uint_eq(status(), ACK | DRIVER);
}
END_TEST

START_TEST(features_are_frozen_once_agreed_on)
{
	fake_driver_negotiate(&f, 0);
	virtio_dev_set_driver_features(&d.v, 0, UINT32_MAX);
	virtio_dev_set_driver_features(&d.v, 1, UINT32_MAX);
	ck_assert_uint_eq(virtio_dev_driver_features(&d.v, 0), 0);
	ck_assert_uint_eq(virtio_dev_driver_features(&d.v, 1), 1);
	set_status(0);
	ck_assert_uint_eq(virtio_dev_driver_features(&d.v, 1), 0);
}
END_TEST

START_TEST(feature_words_beyond_the_second_are_0)
{
	static const uint32_t bad[] = { 2, 3, 0x7fffffff, 0x80000000, UINT32_MAX };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		virtio_dev_set_driver_features(&d.v, bad[i], UINT32_MAX);
		ck_assert_uint_eq(virtio_dev_offered_features(&d.v, bad[i]), 0);
		ck_assert_uint_eq(virtio_dev_driver_features(&d.v, bad[i]), 0);
	}
	ck_assert_uint_eq(d.v.features, 0);
}
END_TEST

START_TEST(driver_ok_without_a_queue_runs_nothing)
{
	fake_driver_negotiate(&f, 0);
	set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	fake_driver_idle(&f);
	ck_assert_uint_eq(d.n_turns, 0);
	ck_assert_uint_eq(status(), ACK | DRIVER | FEATURES_OK | DRIVER_OK);
}
END_TEST

START_TEST(a_device_that_failed_can_be_reset)
{
	set_status(ACK | FAILED);
	ck_assert_uint_eq(status(), ACK | FAILED);
	set_status(0);
	fake_driver_start(&f, 0);
}
END_TEST

/* Queues are frozen -------------------------------------------------------------------------- */

static uint32_t get(unsigned int qi, enum virtio_queue_reg reg)
{
	return virtio_dev_queue_get(&d.v, qi, reg);
}

static void set(unsigned int qi, enum virtio_queue_reg reg, uint32_t val)
{
	virtio_dev_queue_set(&d.v, qi, reg, val);
}

START_TEST(registers_of_a_queue_keep_what_is_written)
{
	for (uint32_t reg = VIRTIO_QUEUE_DESC_LOW; reg <= VIRTIO_QUEUE_USED_HIGH; reg++)
		set(1, (enum virtio_queue_reg)reg, 0x11111110 * reg);
	for (uint32_t reg = VIRTIO_QUEUE_DESC_LOW; reg <= VIRTIO_QUEUE_USED_HIGH; reg++)
		ck_assert_uint_eq(get(1, (enum virtio_queue_reg)reg), 0x11111110 * reg);
	set(1, VIRTIO_QUEUE_SIZE, 64);
	ck_assert_uint_eq(get(1, VIRTIO_QUEUE_SIZE), 64);
	ck_assert_uint_eq(get(0, VIRTIO_QUEUE_SIZE), QUEUE_SIZE);
	set(1, VIRTIO_QUEUE_MAX_SIZE, 3);
	ck_assert_uint_eq(get(1, VIRTIO_QUEUE_MAX_SIZE), QUEUE_SIZE);
	set_status(0);
	ck_assert_uint_eq(get(1, VIRTIO_QUEUE_SIZE), QUEUE_SIZE);
	ck_assert_uint_eq(get(1, VIRTIO_QUEUE_DESC_LOW), 0);
}
END_TEST

START_TEST(queue_sizes_that_cannot_be_are_ignored)
{
	static const uint32_t bad[] = { 0, 3, 255, 257, 512, 0x7fff, 0x8000, 0xffff, 0x10100, ~0u };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		set(0, VIRTIO_QUEUE_SIZE, bad[i]);
		ck_assert_uint_eq(get(0, VIRTIO_QUEUE_SIZE), QUEUE_SIZE);
	}
}
END_TEST

START_TEST(queues_that_do_not_exist_read_as_0)
{
	static const uint32_t bad[] = { N_QUEUES, 63, 64, 0xffff, 0x80000000, UINT32_MAX };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		for (uint32_t reg = 0; reg <= VIRTIO_QUEUE_USED_HIGH; reg++) {
			set(bad[i], (enum virtio_queue_reg)reg, 1);
			ck_assert_uint_eq(get(bad[i], (enum virtio_queue_reg)reg), 0);
		}
	}
}
END_TEST

START_TEST(a_running_queue_cannot_be_changed)
{
	uint32_t before[VIRTIO_QUEUE_USED_HIGH + 1];

	fake_driver_start(&f, 0);
	for (uint32_t reg = 0; reg <= VIRTIO_QUEUE_USED_HIGH; reg++)
		before[reg] = get(0, (enum virtio_queue_reg)reg);
	for (uint32_t reg = 0; reg <= VIRTIO_QUEUE_USED_HIGH; reg++)
		set(0, (enum virtio_queue_reg)reg, 2);
	for (uint32_t reg = 0; reg <= VIRTIO_QUEUE_USED_HIGH; reg++)
		ck_assert_uint_eq(get(0, (enum virtio_queue_reg)reg), before[reg]);
	send_echo(0);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 1);
}
END_TEST

START_TEST(an_enabled_queue_cannot_be_changed_before_it_is_disabled)
{
	set(0, VIRTIO_QUEUE_ENABLE, 1);
	set(0, VIRTIO_QUEUE_SIZE, 2);
	set(0, VIRTIO_QUEUE_DESC_LOW, 0x1000);
	ck_assert_uint_eq(get(0, VIRTIO_QUEUE_SIZE), QUEUE_SIZE);
	ck_assert_uint_eq(get(0, VIRTIO_QUEUE_DESC_LOW), 0);
	set(0, VIRTIO_QUEUE_ENABLE, 0);
	set(0, VIRTIO_QUEUE_SIZE, 2);
	ck_assert_uint_eq(get(0, VIRTIO_QUEUE_SIZE), 2);
}
END_TEST

/* Broken rings ------------------------------------------------------------------------------- */

START_TEST(a_broken_ring_needs_a_reset_and_works_again_after_it)
{
	unsigned int turns;

	fake_driver_start(&f, 0);
	fake_driver_publish(&f, 0, 0xffff);
	fake_driver_kick(&f, 0);
	ck_assert(status() & NEEDS_RESET);
	ck_assert_uint_eq(f.n_config_interrupts, 1);
	turns = d.n_turns;
	for (unsigned int i = 0; i < 100; i++)
		virtio_dev_kick(&d.v, i % N_QUEUES);
	fake_driver_idle(&f);
	ck_assert_uint_eq(d.n_turns, turns);
	ck_assert_uint_eq(f.n_config_interrupts, 1);
	set_status(status()); /* the driver cannot clear or set it */
	ck_assert(status() & NEEDS_RESET);
	fake_driver_start(&f, 0);
	send_echo(0);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 1);
}
END_TEST

START_TEST(a_ring_outside_of_ram_needs_a_reset)
{
	fake_driver_negotiate(&f, 0);
	set(0, VIRTIO_QUEUE_DESC_HIGH, 0x80000000);
	set(0, VIRTIO_QUEUE_ENABLE, 1);
	set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ck_assert(status() & NEEDS_RESET);
	fake_driver_idle(&f);
	ck_assert_uint_eq(d.n_turns, 0);
}
END_TEST

/* Reset -------------------------------------------------------------------------------------- */

START_TEST(a_reset_is_complete_when_the_last_chain_is_back)
{
	fake_driver_start(&f, 0);
	for (unsigned int i = 0; i < 3; i++)
		send_echo(1);
	ck_assert_uint_eq(d.n_held, 3);
	set_status(0);
	ck_assert_uint_ne(status(), 0);
	/* Until then nothing of the next life is taken. */
	set_status(ACK);
	set_status(ACK | DRIVER);
	virtio_dev_set_driver_features(&d.v, 1, 1);
	set(0, VIRTIO_QUEUE_ENABLE, 1);
	ck_assert_uint_eq(d.v.features, 0);
	ck_assert_uint_eq(get(0, VIRTIO_QUEUE_ENABLE), 0);
	set_status(0);
	ck_assert_uint_ne(status(), 0);
	let_go();
	ck_assert_uint_eq(status(), 0);
	ck_assert_uint_eq(fake_driver_n_used(&f, 1), 0); /* the ring is the driver's again */
	ck_assert_uint_eq(f.q[1].n_interrupts, 0);
	fake_driver_start(&f, 0);
	send_echo(1);
	let_go();
	ck_assert_uint_eq(fake_driver_n_used(&f, 1), 1);
}
END_TEST

START_TEST(a_power_cycle_waits_for_what_is_in_flight)
{
	fake_driver_start(&f, 0);
	send_echo(1);
	virtio_dev_reset(&d.v);
	ck_assert_uint_eq(status(), 0);
	ck_assert_uint_eq(d.n_held, 0);
}
END_TEST

START_TEST(a_device_can_be_reset_in_every_state)
{
	static const uint8_t states[] = { 0, ACK, ACK | DRIVER, ACK | FAILED };

	for (unsigned int i = 0; i < ARRAY_SIZE(states); i++) {
		set_status(states[i]);
		set_status(0);
		ck_assert_uint_eq(status(), 0);
	}
	fake_driver_negotiate(&f, 0);
	set_status(0);
	ck_assert_uint_eq(status(), 0);
	fake_driver_start(&f, 0);
	set_status(0);
	ck_assert_uint_eq(status(), 0);
}
END_TEST

static void *reset_storm(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < 2000; i++) {
		set_status(0);
		virtio_dev_kick(&d.v, i % N_QUEUES);
		set_status(ACK);
		set_status(ACK | DRIVER);
		virtio_dev_set_driver_features(&d.v, 1, 1);
		set_status(ACK | DRIVER | FEATURES_OK);
		set(0, VIRTIO_QUEUE_SIZE, 16);
		set(0, VIRTIO_QUEUE_DESC_LOW, 0x100000);
		set(0, VIRTIO_QUEUE_AVAIL_LOW, 0x101000);
		set(0, VIRTIO_QUEUE_USED_LOW, 0x102000);
		set(0, VIRTIO_QUEUE_ENABLE, 1);
		set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
		virtio_dev_kick(&d.v, 0);
	}
	return NULL;
}

START_TEST(a_storm_of_resets_from_another_thread_harms_nobody)
{
	pthread_t t;

	ck_assert_int_eq(pthread_create(&t, NULL, reset_storm, NULL), 0);
	for (unsigned int i = 0; i < 20; i++)
		fake_driver_idle(&f);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	fake_driver_idle(&f);
	fake_driver_start(&f, 0);
	send_echo(0);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 1);
}
END_TEST

/* Configuration space ------------------------------------------------------------------------ */

START_TEST(the_configuration_space_ends_where_it_ends)
{
	static const uint64_t bad[] = { 8, 9, 0x7fffffff, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX };
	uint8_t buf[8], kept[8];

	virtio_dev_config_read(&d.v, 0, buf, 8);
	ck_assert_mem_eq(buf, d.config, 8);
	virtio_dev_config_write(&d.v, 6, "ab", 2);
	ck_assert_mem_eq(d.config + 6, "ab", 2);
	memcpy(kept, d.config, 8);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		for (uint32_t len = 1; len <= 8; len *= 2) {
			memset(buf, 0, sizeof(buf));
			virtio_dev_config_read(&d.v, bad[i], buf, len);
			for (uint32_t k = 0; k < len; k++)
				ck_assert_uint_eq(buf[k], 0xff);
			virtio_dev_config_write(&d.v, bad[i], "xxxxxxxx", len);
		}
	}
	virtio_dev_config_read(&d.v, 7, buf, 2);
	ck_assert_uint_eq(buf[0], 0xff);
	virtio_dev_config_write(&d.v, 7, "xx", 2);
	ck_assert_mem_eq(d.config, kept, 8);
}
END_TEST

START_TEST(a_change_of_the_configuration_is_told)
{
	uint8_t before;

	virtio_dev_lock(&d.v);
	virtio_dev_config_changed(&d.v);
	virtio_dev_unlock(&d.v);
	ck_assert_uint_eq(f.n_config_interrupts, 0); /* nobody to tell yet */
	fake_driver_start(&f, 0);
	before = virtio_dev_config_generation(&d.v);
	virtio_dev_lock(&d.v);
	virtio_dev_config_changed(&d.v);
	virtio_dev_unlock(&d.v);
	ck_assert_uint_eq(f.n_config_interrupts, 1);
	ck_assert_uint_ne(virtio_dev_config_generation(&d.v), before);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_dev");

#define T(fn) UNIT_WITH(s, fn, setup, teardown)
	T(a_request_is_answered_and_interrupts);
	T(chains_made_available_before_driver_ok_are_served);
	T(a_full_queue_is_served_in_turns);
	T(notifications_of_queues_that_do_not_run_are_ignored);
	T(status_bits_out_of_order_are_ignored);
	T(features_not_offered_are_refused);
	T(a_legacy_driver_is_refused);
	T(features_are_frozen_once_agreed_on);
	T(feature_words_beyond_the_second_are_0);
	T(driver_ok_without_a_queue_runs_nothing);
	T(a_device_that_failed_can_be_reset);
	T(registers_of_a_queue_keep_what_is_written);
	T(queue_sizes_that_cannot_be_are_ignored);
	T(queues_that_do_not_exist_read_as_0);
	T(a_running_queue_cannot_be_changed);
	T(an_enabled_queue_cannot_be_changed_before_it_is_disabled);
	T(a_broken_ring_needs_a_reset_and_works_again_after_it);
	T(a_ring_outside_of_ram_needs_a_reset);
	T(a_reset_is_complete_when_the_last_chain_is_back);
	T(a_power_cycle_waits_for_what_is_in_flight);
	T(a_device_can_be_reset_in_every_state);
	T(a_storm_of_resets_from_another_thread_harms_nobody);
	T(the_configuration_space_ends_where_it_ends);
	T(a_change_of_the_configuration_is_told);
#undef T
	return s;
}

UNIT_MAIN("virtio_dev", suite)
