/*
 * test_virtio_poll.c - src/virtio/virtio_dev.c with a loop that looks at its rings (host/evloop.h):
 * what a driver need not notify, and that nothing it makes available is missed.
 */
#include "fake_driver.h"
#include "fake_echo.h"
#include "unit.h"
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>

#define RUNNING                                                                                    \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |      \
	 VIRTIO_CONFIG_S_DRIVER_OK)

static struct fake_echo *d;
static struct fake_driver f;

static void setup(void)
{
	log_set_level(LOG_ERROR);
	fake_driver_init(&f);
	d = fake_echo_create(&f.env);
	fake_driver_attach(&f, &d->v);
}

/* That nothing of the device is left with the loop, evloop_destroy() sees. */
static void teardown(void)
{
	fake_driver_fini(&f);
}

/*
 * What happens at each look of the loop, in order; the last one stops it. A step that answers false
 * is asked again, so that it does not matter if the loop has waited meanwhile.
 */
static bool (*const *step)(void);
static struct ev_fd pump;
static struct ev_poll stepper;

static bool at_look(void *arg)
{
	(void)arg;
	if (*step && (*step)())
		step++;
	if (!*step)
		evloop_stop(f.loop);
	return false;
}

/* Always ready: keeps the loop busy, so that it polls, and has the steps polled as well. */
static void on_pump(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	if (evloop_polls(f.loop))
		evloop_poll(f.loop, &stepper);
}

static void poll_through(bool (*const *steps)(void))
{
	const int fd = eventfd(1, EFD_CLOEXEC);

	step = steps;
	stepper = (struct ev_poll){ .look = at_look };
	evloop_may_poll(f.loop);
	ck_assert_int_eq(evloop_add(f.loop, &pump, fd, EPOLLIN, on_pump, NULL), 0);
	evloop_run(f.loop);
	evloop_del(&pump);
	close(fd);
	evloop_unpoll(f.loop, &stepper);
}

/* The loop waits, and so polls no more. */
static void rest(void)
{
	while (evloop_polls(f.loop))
		fake_driver_idle(&f);
}

static uint16_t avail_event(unsigned int qi)
{
	uint16_t v;

	ck_assert(gmem_load_le16(f.mem, f.q[qi].used + 4 + 8ull * f.q[qi].size, &v));
	return v;
}

static void make_available(unsigned int qi)
{
	struct fake_seg s = { fake_driver_alloc(&f, 8), 8, true };

	fake_driver_publish(&f, qi, fake_driver_chain(&f, qi, &s, 1));
}

static bool notify_0(void)
{
	make_available(0);
	virtio_dev_kick(&d->v, 0);
	return true;
}

static bool notify_1(void)
{
	make_available(1);
	virtio_dev_kick(&d->v, 1);
	return true;
}

/* As long as the loop does not wait, it has not asked for notifications. */
static bool is_polled(void)
{
	if (fake_driver_n_used(&f, 0) == 0)
		return false;
	ck_assert(d->v.queues[0].poll.queued);
	ck_assert_uint_eq(avail_event(0), 0);
	return true;
}

static bool make_available_0(void)
{
	make_available(0);
	return true;
}

static bool all_answered(void)
{
	return fake_driver_n_used(&f, 0) == f.q[0].avail_idx;
}

START_TEST(while_the_loop_polls_a_driver_need_not_notify)
{
	static bool (*const steps[])(void) = { notify_0,     is_polled,        make_available_0,
					       all_answered, make_available_0, all_answered,
					       NULL };

	fake_driver_start(&f, UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
	fake_driver_idle(&f);
	poll_through(steps);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 3);
	ck_assert_uint_eq(d->v.n_polls, 2);
	rest();
	ck_assert_uint_eq(d->v.n_polls, 2);
	ck_assert(!d->v.queues[0].poll.queued);
	ck_assert_uint_eq(avail_event(0), 3);
	notify_0();
	fake_driver_idle(&f);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 4);
}
END_TEST

/* Without a notification, and the loop has looked for the last time. */
static void come_late(void *arg)
{
	make_available(0);
	evloop_stop(arg);
}

static bool be_late(void)
{
	static struct ev_poll late;

	late = (struct ev_poll){ at_look, NULL, come_late, .arg = f.loop };
	evloop_poll(f.loop, &late); /* in front of the queue: rests first */
	return true;
}

START_TEST(what_comes_between_the_last_look_and_the_wait_is_seen)
{
	static bool (*const steps[])(void) = { notify_0, is_polled, be_late, NULL };

	fake_driver_start(&f, UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
	fake_driver_idle(&f);
	poll_through(steps);
	evloop_run(f.loop);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 2);
	ck_assert_uint_eq(avail_event(0), 2);
}
END_TEST

static bool rests(void)
{
	return d->n_ready[1] > 1 + 1 && !d->v.queues[1].poll.queued;
}

/*
 * A turn that takes nothing waits for something else, and looking at the ring would find it full
 * for ever. The second turn is that in which the queue rests.
 */
START_TEST(a_queue_that_takes_nothing_is_not_polled)
{
	static bool (*const steps[])(void) = { notify_1, rests, NULL };

	fake_driver_start(&f, 0);
	fake_driver_idle(&f);
	poll_through(steps);
	ck_assert_uint_eq(d->n_ready[1], 1 + 2);
	fake_driver_kick(&f, 1);
	ck_assert_uint_ge(d->n_ready[1], 1 + 3);
}
END_TEST

static bool reset_and_start(void)
{
	virtio_dev_set_status(&d->v, 0);
	fake_driver_negotiate(&f, 0);
	fake_driver_setup_queue(&f, 0, 16);
	virtio_dev_set_status(&d->v, RUNNING);
	make_available(0);
	return true;
}

START_TEST(a_reset_while_the_loop_polls_is_as_any_other)
{
	static bool (*const steps[])(void) = { notify_0,     is_polled,        reset_and_start,
					       all_answered, make_available_0, all_answered,
					       NULL };

	fake_driver_start(&f, 0);
	fake_driver_idle(&f);
	poll_through(steps);
	rest();
	ck_assert(!fake_driver_needs_reset(&f));
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 2);
}
END_TEST

/* That nothing of it is left with the loop, evloop_destroy() sees. */
START_TEST(a_device_may_go_while_it_is_polled)
{
	static bool (*const steps[])(void) = { notify_0, is_polled, NULL };

	fake_driver_start(&f, 0);
	fake_driver_idle(&f);
	poll_through(steps);
	ck_assert(d->v.queues[0].poll.queued);
}
END_TEST

static bool storm_is_over;

static void restart(void)
{
	static const uint8_t steps[] = { 0, 1, 3, 11, 15 };
	static const struct {
		enum virtio_queue_reg reg;
		uint32_t value;
	} ring[] = { { VIRTIO_QUEUE_SIZE, 16 },
		     { VIRTIO_QUEUE_DESC_LOW, 0x100000 },
		     { VIRTIO_QUEUE_AVAIL_LOW, 0x101000 },
		     { VIRTIO_QUEUE_USED_LOW, 0x102000 },
		     { VIRTIO_QUEUE_ENABLE, 1 } };

	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i] == RUNNING) {
			for (unsigned int k = 0; k < ARRAY_SIZE(ring); k++)
				virtio_dev_queue_set(&d->v, 0, ring[k].reg, ring[k].value);
		}
		virtio_dev_set_status(&d->v, steps[i]);
		virtio_dev_set_driver_features(&d->v, 1, 1);
	}
}

static void *restart_often(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < 2000; i++)
		restart();
	__atomic_store_n(&storm_is_over, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool is_over(void)
{
	return __atomic_load_n(&storm_is_over, __ATOMIC_ACQUIRE);
}

START_TEST(a_storm_of_resets_harms_nobody_while_the_loop_polls)
{
	static bool (*const steps[])(void) = { is_over, NULL };
	pthread_t t;

	ck_assert_int_eq(pthread_create(&t, NULL, restart_often, NULL), 0);
	poll_through(steps);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	rest();
	fake_driver_start(&f, 0);
	notify_0();
	fake_driver_idle(&f);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_poll");

#define T(fn) UNIT_WITH(s, fn, setup, teardown)
	T(while_the_loop_polls_a_driver_need_not_notify);
	T(what_comes_between_the_last_look_and_the_wait_is_seen);
	T(a_queue_that_takes_nothing_is_not_polled);
	T(a_reset_while_the_loop_polls_is_as_any_other);
	T(a_device_may_go_while_it_is_polled);
	T(a_storm_of_resets_harms_nobody_while_the_loop_polls);
#undef T
	return s;
}

UNIT_MAIN("virtio_poll", suite)
