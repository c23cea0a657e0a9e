/*
 * test_virtio_rng.c - src/virtio/virtio_rng.c: random bytes, and no more of them than allowed.
 */
#include "fake_driver.h"
#include "unit.h"
#include <errno.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/virtio/virtio_rng.h>

static struct fake_driver f;
static struct rng_spec spec;
static struct err e;

static void start_with(uint64_t per_s, uint64_t burst)
{
	struct virtio_dev *v;

	log_set_level(LOG_ERROR);
	fake_driver_init(&f);
	spec = (struct rng_spec){ true, { .bytes_per_s = per_s, .bytes_burst = burst } };
	ck_ok(virtio_rng_create(&v, &spec, "rng0", &f.env, &e));
	fake_driver_attach(&f, v);
	fake_driver_start(&f, ~UINT64_C(0));
}

static void stop(void)
{
	fake_driver_fini(&f);
}

/* Asks for so many bytes at `at`; how many came, UINT32_MAX: no answer yet. */
static uint32_t ask(gpa_t at, uint32_t len)
{
	struct fake_seg s = { at, len, true };
	uint32_t id, got;

	fake_driver_send(&f, 0, &s, 1);
	return fake_driver_take_used(&f, 0, &id, &got) ? got : UINT32_MAX;
}

static unsigned int n_zero(gpa_t at, uint32_t len)
{
	unsigned int n = 0;
	uint8_t byte;

	for (uint32_t i = 0; i < len; i++) {
		fake_driver_read(&f, at + i, &byte, 1);
		n += byte == 0;
	}
	return n;
}

START_TEST(a_request_is_filled_with_random_bytes)
{
	gpa_t at, other;
	uint8_t a[64], b[64];

	start_with(0, 0);
	at = fake_driver_alloc(&f, 1024);
	other = fake_driver_alloc(&f, 1024);
	ck_assert_uint_eq(ask(at, 1000), 1000);
	ck_assert_uint_lt(n_zero(at, 1000), 40);
	ck_assert_uint_eq(n_zero(at + 1000, 24), 24); /* not one byte more */
	ck_assert_uint_eq(ask(other, 64), 64);
	fake_driver_read(&f, at, a, 64);
	fake_driver_read(&f, other, b, 64);
	ck_assert(memcmp(a, b, 64) != 0);
	ck_assert_uint_gt(f.q[0].n_interrupts, 0);
	stop();
}
END_TEST

START_TEST(requests_of_every_small_size_and_in_pieces_are_filled)
{
	struct fake_seg segs[3] = { { 0x8000, 1, true },
				    { 0x8100, 0, true },
				    { 0x8200, 300, true } };
	uint32_t id, len;

	start_with(0, 0);
	for (uint32_t n = 1; n < 600; n += 37)
		ck_assert_uint_eq(ask(fake_driver_alloc(&f, n), n), n);
	fake_driver_send(&f, 0, segs, 3);
	ck_assert(fake_driver_take_used(&f, 0, &id, &len));
	ck_assert_uint_eq(len, 301);
	ck_assert_uint_lt(n_zero(0x8200, 300), 20);
	stop();
}
END_TEST

START_TEST(a_request_for_gibibytes_gets_a_bounded_answer)
{
	struct fake_seg segs[60];
	uint32_t id, len;

	start_with(0, 0);
	ck_assert_uint_eq(ask(0x100000, FAKE_DRIVER_RAM - 0x100000), RNG_MAX_BYTES);
	ck_assert_uint_eq(n_zero(0x100000 + RNG_MAX_BYTES, 4096), 4096);
	for (unsigned int i = 0; i < ARRAY_SIZE(segs); i++)
		segs[i] = (struct fake_seg){ 0x100000, FAKE_DRIVER_RAM - 0x100000, true };
	fake_driver_send(&f, 0, segs, ARRAY_SIZE(segs)); /* 900 MiB */
	ck_assert(fake_driver_take_used(&f, 0, &id, &len));
	ck_assert_uint_eq(len, RNG_MAX_BYTES);
	ck_assert_uint_eq(ask(0x100000, UINT32_MAX), UINT32_MAX); /* beyond RAM */
	ck_assert(fake_driver_needs_reset(&f));
	stop();
}
END_TEST

START_TEST(requests_without_room_are_given_back)
{
	struct fake_seg readable = { 0x1000, 64, false };
	uint32_t id, len;

	start_with(KIB, KIB);
	for (unsigned int i = 0; i < 200; i++) {
		ck_assert_uint_eq(ask(0x1000, 0), 0);
		fake_driver_send(&f, 0, &readable, 1);
		ck_assert(fake_driver_take_used(&f, 0, &id, &len) && len == 0);
	}
	ck_assert(!fake_driver_needs_reset(&f));
	stop();
}
END_TEST

START_TEST(beyond_the_burst_requests_wait_for_their_time)
{
	uint64_t before, ms, n = 0;
	uint32_t id, len;

	start_with(20000, 4000);
	before = evloop_now_ns();
	ck_assert_uint_eq(ask(fake_driver_alloc(&f, 4000), 4000), 4000);
	ck_assert_uint_eq(ask(fake_driver_alloc(&f, 2000), 2000), UINT32_MAX);
	for (unsigned int i = 0; i < 4; i++)
		ask(fake_driver_alloc(&f, 2000), 2000);
	for (unsigned int i = 0; i < 5; i++) {
		fake_driver_wait_used(&f, 0, &id, &len);
		ck_assert_uint_eq(len, 2000);
		n += len;
	}
	ms = (evloop_now_ns() - before) / NS_PER_MS;
	ck_assert_uint_ge(ms, n * 1000 / 20000 - 20);
	ck_assert_uint_le(ms, 5000);
	stop();
}
END_TEST

START_TEST(waiting_costs_no_turns)
{
	uint64_t before;

	start_with(KIB, KIB);
	ask(fake_driver_alloc(&f, 4096), 4096); /* four seconds' worth */
	for (unsigned int i = 0; i < 10; i++)
		ask(fake_driver_alloc(&f, 4096), 4096);
	fake_driver_idle(&f);
	before = metric_get(&f.v->n_kicks);
	for (unsigned int i = 0; i < 50; i++)
		fake_driver_idle(&f);
	ck_assert_uint_le(metric_get(&f.v->n_kicks) - before, 2);
	stop();
}
END_TEST

START_TEST(a_reset_while_requests_wait_is_complete_at_once)
{
	start_with(KIB, KIB);
	for (unsigned int i = 0; i < 5; i++) {
		ask(fake_driver_alloc(&f, 4096), 4096);
		ask(fake_driver_alloc(&f, 4096), 4096);
		fake_driver_start(&f, 0); /* fails unless the status reads 0 */
	}
	virtio_dev_reset(f.v);
	fake_driver_idle(&f);
	stop();
}
END_TEST

struct counters {
	uint64_t requests, bytes, waits;
};

static void on_counter(void *arg, const char *name, uint64_t value)
{
	struct counters *c = arg;

	if (strcmp(name, "requests") == 0)
		c->requests = value;
	else if (strcmp(name, "bytes") == 0)
		c->bytes = value;
	else if (strcmp(name, "rate_waits") == 0)
		c->waits = value;
}

START_TEST(requests_are_counted)
{
	struct counters c = { 0 };

	start_with(KIB, KIB);
	ask(fake_driver_alloc(&f, 100), 100);
	ask(fake_driver_alloc(&f, 50), 50);
	ask(fake_driver_alloc(&f, 4096), 4096);
	f.v->ops->counters(f.v, on_counter, &c);
	ck_assert_uint_eq(c.requests, 2);
	ck_assert_uint_eq(c.bytes, 150);
	ck_assert_uint_gt(c.waits, 0);
	stop();
}
END_TEST

START_TEST(a_limit_is_a_size_of_at_least_1k)
{
	static const struct {
		const char *text;
		int code;
		const char *words;
	} bad[] = {
		{ "", -EINVAL, "expected none, or rate=SIZE" },
		{ "yes", -EINVAL, "expected none, or rate=SIZE" },
		{ "rate", -EINVAL, "expected none, or rate=SIZE" },
		{ "none=1", -EINVAL, "expected none, or rate=SIZE" },
		{ "rate=", -EINVAL, "rate: not a number" },
		{ "rate=0", -ERANGE, "rate: must be 1K a second, or more" },
		{ "rate=1x", -EINVAL, "rate: unknown unit 'x'" },
		{ "rate=99999999999999999999", -ERANGE, "rate: too large" },
	};

	rng_spec_init(&spec);
	ck_assert(spec.enabled);
	ck_assert_uint_eq(spec.rate.bytes_per_s, MIB);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_fails(rng_spec_parse(&spec, bad[i].text, &e), bad[i].code, bad[i].words);
		ck_assert(spec.enabled && spec.rate.bytes_per_s == MIB);
	}
	ck_ok(rng_spec_parse(&spec, "none", &e));
	ck_assert(!spec.enabled);
	ck_ok(rng_spec_parse(&spec, "rate=1K", &e));
	ck_assert(spec.enabled);
	ck_assert_uint_eq(spec.rate.bytes_per_s, KIB);
	ck_assert_uint_eq(spec.rate.bytes_burst, KIB);
	ck_ok(rng_spec_parse(&spec, "rate=2", &e)); /* MiB */
	ck_assert_uint_eq(spec.rate.bytes_per_s, 2 * MIB);
	ck_assert_uint_eq(spec.rate.bytes_burst, 64 * KIB);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_rng");

	UNIT_TEST(s, a_request_is_filled_with_random_bytes);
	UNIT_TEST(s, requests_of_every_small_size_and_in_pieces_are_filled);
	UNIT_TEST(s, a_request_for_gibibytes_gets_a_bounded_answer);
	UNIT_TEST(s, requests_without_room_are_given_back);
	UNIT_TEST(s, beyond_the_burst_requests_wait_for_their_time);
	UNIT_TEST(s, waiting_costs_no_turns);
	UNIT_TEST(s, a_reset_while_requests_wait_is_complete_at_once);
	UNIT_TEST(s, requests_are_counted);
	UNIT_TEST(s, a_limit_is_a_size_of_at_least_1k);
	return s;
}

UNIT_MAIN("virtio_rng", suite)
