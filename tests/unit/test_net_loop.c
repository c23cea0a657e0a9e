/*
 * test_net_loop.c - src/net/net_loop.c: what is sent comes back, as it was and in order, and a
 * guest that only sends costs bounded memory.
 */
#include "unit.h"
#include <errno.h>
#include <sys/epoll.h>
#include <vmm/base/util.h>
#include <vmm/net/netif.h>

static struct evloop *loop;
static struct netif *n;
static struct err e;
static unsigned int n_readable, n_writable, take_at_once;
static uint8_t got[NETIF_HDR_LEN + NETIF_FRAME_MAX + 1];

/* One frame into got; its length without header, 0: none. */
static size_t receive(void)
{
	struct iovec iov[3] = { { got, NETIF_HDR_LEN },
				{ got + NETIF_HDR_LEN, 7 },
				{ got + NETIF_HDR_LEN + 7, NETIF_FRAME_MAX + 1 - 7 } };
	size_t len = n->ops->receive(n, 0, iov, 3);

	return len > 0 ? len - NETIF_HDR_LEN : 0;
}

static void on_readable(void *arg, unsigned int pair)
{
	(void)arg;
	ck_assert_uint_eq(pair, 0);
	n_readable++;
	for (unsigned int i = 0; i < take_at_once; i++)
		receive();
}

static void on_writable(void *arg, unsigned int pair)
{
	(void)arg, (void)pair;
	n_writable++;
}

static void on_link(void *arg)
{
	(void)arg;
}

static void setup(void)
{
	static const struct netif_events events = { on_readable, on_writable, on_link };
	struct net_spec spec;

	ck_ok(net_spec_parse(&spec, "loop,mtu=9000", &e));
	ck_ok(evloop_create(&loop, &e));
	ck_ok(netif_open(&n, &spec, "net0", loop, &e));
	net_spec_fini(&spec);
	n->events = &events;
}

static void teardown(void)
{
	netif_destroy(n);
	evloop_destroy(loop);
}

static void stop_loop(void *arg)
{
	evloop_stop(arg);
}

/* Runs the loop for a while. */
static void run_ms(unsigned int ms)
{
	struct ev_timer t = { .fn = stop_loop, .arg = loop };

	evloop_timer_set(loop, &t, evloop_now_ns() + ms * NS_PER_MS);
	evloop_run(loop);
}

/* len bytes that count up from seed, in two pieces, behind a header that is not all zeros. */
static enum netif_sent send_frame(size_t len, uint8_t seed)
{
	static uint8_t frame[NETIF_FRAME_MAX];
	uint8_t header[NETIF_HDR_LEN] = { [4] = 1 };
	struct iovec iov[3] = { { header, sizeof(header) },
				{ frame, len / 3 },
				{ frame + len / 3, len - len / 3 } };

	for (size_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(seed + i + i / 256);
	return n->ops->send(n, 0, iov, 3);
}

static void expect(size_t len, uint8_t seed)
{
	static const uint8_t zeros[NETIF_HDR_LEN];

	memset(got, 0xee, sizeof(got));
	ck_assert_uint_eq(receive(), len);
	ck_assert_mem_eq(got, zeros, NETIF_HDR_LEN);
	for (size_t i = 0; i < len; i++)
		ck_assert_uint_eq(got[NETIF_HDR_LEN + i], (uint8_t)(seed + i + i / 256));
}

START_TEST(frames_come_back_as_they_were_and_in_order)
{
	static const size_t sizes[] = { NETIF_FRAME_MIN, 60, 1514, 9014, NETIF_FRAME_MAX };

	ck_assert(n->link_up);
	ck_assert_uint_eq(n->mtu, 9000);
	ck_assert_uint_eq(n->offloads, 0);
	ck_assert_uint_eq(receive(), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
		ck_assert_int_eq(send_frame(sizes[i], (uint8_t)i), NETIF_SENT);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
		expect(sizes[i], (uint8_t)i);
	ck_assert_uint_eq(receive(), 0);
}
END_TEST

START_TEST(whoever_watches_is_told_as_long_as_there_are_frames)
{
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(send_frame(60, 0), NETIF_SENT);
	run_ms(5);
	ck_assert_uint_eq(n_readable, 0); /* nobody had asked */
	take_at_once = 1;
	n->ops->watch(n, 0, EPOLLIN);
	run_ms(20);
	ck_assert_uint_eq(n_readable, 3);
	ck_assert_int_eq(send_frame(60, 0), NETIF_SENT);
	run_ms(20);
	ck_assert_uint_eq(n_readable, 4);
	n->ops->watch(n, 0, 0);
	ck_assert_int_eq(send_frame(60, 0), NETIF_SENT);
	run_ms(5);
	ck_assert_uint_eq(n_readable, 4);
	ck_assert_uint_eq(n_writable, 0);
	n->ops->watch(n, 0, EPOLLOUT);
	run_ms(5);
	ck_assert_uint_gt(n_writable, 0);
	ck_assert_uint_eq(n_readable, 4);
}
END_TEST

START_TEST(who_only_sends_loses_frames_and_costs_bounded_memory)
{
	unsigned int n_small = 0, n_large = 0;

	while (send_frame(60, 1) == NETIF_SENT)
		ck_assert_uint_lt(n_small++, 100000);
	ck_assert_uint_ge(n_small, 256); /* more than a queue of a driver */
	for (unsigned int i = 0; i < n_small; i++)
		expect(60, 1);
	ck_assert_uint_eq(receive(), 0);
	while (send_frame(NETIF_FRAME_MAX, 2) == NETIF_SENT)
		ck_assert_uint_lt(n_large++, 64);
	ck_assert_uint_ge(n_large, 2);
	expect(NETIF_FRAME_MAX, 2);
	ck_assert_int_eq(send_frame(NETIF_FRAME_MAX, 3), NETIF_SENT); /* there is room again */
}
END_TEST

START_TEST(it_takes_nothing_that_belongs_to_other_kinds)
{
	static const char *const bad[] = { "loop=x", "loop,publish=80:80", "loop,host",
					   "loop,queues=2" };
	struct net_spec spec;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(net_spec_parse(&spec, bad[i], &e), -EINVAL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("net_loop");

	UNIT_WITH(s, frames_come_back_as_they_were_and_in_order, setup, teardown);
	UNIT_WITH(s, whoever_watches_is_told_as_long_as_there_are_frames, setup, teardown);
	UNIT_WITH(s, who_only_sends_loses_frames_and_costs_bounded_memory, setup, teardown);
	UNIT_TEST(s, it_takes_nothing_that_belongs_to_other_kinds);
	return s;
}

UNIT_MAIN("net_loop", suite)
