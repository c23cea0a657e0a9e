/*
 * transport.h - the rules that hold for both virtio transports, and a driver to try them with.
 *
 * test_virtio_pci.c and test_virtio_mmio.c define the functions declared first, each for its own
 * registers, and add TRANSPORT_TESTS to their suite. The device is fake_echo; vCPU accesses are
 * made on the test's own thread, and the loop runs in fake_idle().
 */
#ifndef TESTS_TRANSPORT_H
#define TESTS_TRANSPORT_H
#include "fake_board.h"
#include "fake_echo.h"
#include "unit.h"
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/kvm/kvm_irq.h>

#define ACK VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER (ACK | VIRTIO_CONFIG_S_DRIVER)
#define FEATURES (DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define RUNNING (FEATURES | VIRTIO_CONFIG_S_DRIVER_OK)
#define QUEUES FAKE_ECHO_QUEUES
#define QUEUE_SIZE FAKE_ECHO_QUEUE_SIZE
#define N_KVMS 4 /* what fake_kvm lacks: see transport_start() */

/* Of the transport under test ---------------------------------------------------------------- */

static int t_create(struct device **out, struct virtio_dev *v, struct err *e);
static void t_find(void); /* as a driver after power-on: enables it, finds the registers */
static uint8_t t_status(void);
static void t_set_status(uint8_t status);
static uint32_t t_offered(uint32_t word);
static void t_set_features(uint32_t word, uint32_t bits);
static void t_select(uint32_t qi);
static uint32_t t_size(void); /* of the selected queue, the largest there may be, before set_size */
static void t_set_size(uint32_t size);
static void t_set_rings(uint64_t desc, uint64_t avail, uint64_t used);
static uint32_t t_enabled(void);
static void t_enable(uint32_t val);
static void t_vectors(void); /* prepares interrupts of all queues */
static uint64_t t_notify_at(unsigned int qi);
static void t_notify_write(uint32_t qi); /* the exit */
static unsigned int t_take_interrupts(void);
static uint64_t t_config_at(void);
static uint64_t t_regs_len(void); /* from t_regs_at() on */
static uint64_t t_regs_at(void);

/* The driver --------------------------------------------------------------------------------- */

static struct fake_board f;
static struct device *dev;
static struct fake_echo *echo;

static uint64_t rings(unsigned int qi)
{
	return 0x10000 + 0x4000 * (uint64_t)qi;
}

/* 0: a KVM that has everything. 1: neither irqfd nor ioeventfd. 2: ioeventfds want a width. 3: KVM
 * has no room. */
static void transport_start(int kvm)
{
	struct err e;

	fake_kvm_init();
	fake_kvm.no_irqfd = fake_kvm.no_ioeventfd = kvm == 1;
	fake_kvm.no_any_length = kvm == 2;
	fake_kvm.ioeventfd_error = kvm == 3 ? ENOSPC : 0;
	fake_kvm.irqfd_error = kvm == 3 ? ENOMEM : 0;
	fake_board_init(&f, false);
	echo = fake_echo_create(&f.env);
	ck_ok(t_create(&dev, &echo->v, &e));
	ck_assert_str_eq(dev->name, "echo0");
	fake_board_power_on(&f);
	t_find();
}

static void transport_stop(void)
{
	dev->ops->destroy(dev);
	ck_assert_uint_eq(fake_echo_n_alive, 0);
	fake_board_fini(&f);
	fake_kvm_fini();
}

static uint32_t rng(void)
{
	static uint32_t x = 2463534242;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

static void negotiate(uint64_t features)
{
	t_set_status(0);
	ck_assert_uint_eq(t_status(), 0);
	t_set_status(ACK);
	t_set_status(DRIVER);
	features |= UINT64_C(1) << VIRTIO_F_VERSION_1;
	t_set_features(0, (uint32_t)features);
	t_set_features(1, (uint32_t)(features >> 32));
	t_set_status(FEATURES);
}

static void setup_queue(unsigned int qi)
{
	uint8_t zeroes[0x4000] = { 0 };

	ck_assert(gmem_write(f.mem, rings(qi), zeroes, sizeof(zeroes)));
	t_select(qi);
	t_set_size(QUEUE_SIZE);
	t_set_rings(rings(qi), rings(qi) + 0x1000, rings(qi) + 0x2000);
	t_enable(1);
	ck_assert_uint_eq(t_enabled(), 1);
}

/* Queues of the bit mask run. */
static void run_device(unsigned int queues)
{
	negotiate(0);
	ck_assert_uint_eq(t_status(), FEATURES);
	t_vectors();
	for (unsigned int qi = 0; qi < QUEUES; qi++) {
		if (queues & 1u << qi)
			setup_queue(qi);
	}
	t_set_status(RUNNING);
	ck_assert_uint_eq(t_status(), RUNNING);
	fake_idle(&f);
	(void)t_take_interrupts();
}

/* As the CPU would: KVM's, if it has that address, else an exit. */
static void notify(unsigned int qi)
{
	const uint64_t one = 1;
	int fd = fake_kvm_find_ioeventfd(t_notify_at(qi), 2, qi);

	if (fd < 0)
		fd = fake_kvm_find_ioeventfd(t_notify_at(qi), 4, qi);
	if (fd >= 0)
		ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
	else
		t_notify_write(qi);
}

/* Sends one request through queue 0 and checks the answer. The n-th since the queue was set up. */
static void check_echo(uint16_t n)
{
	uint64_t at = rings(0), in = rings(0) + 0x3000, out = rings(0) + 0x3100;
	const struct vring_desc d[2] = {
		{ .addr = in, .len = 5, .flags = VRING_DESC_F_NEXT, .next = 1 },
		{ .addr = out, .len = 16, .flags = VRING_DESC_F_WRITE },
	};
	uint16_t used;
	char got[6] = "";

	ck_assert(gmem_write(f.mem, in, "hello", 5) && gmem_write(f.mem, out, "-----", 5));
	ck_assert(gmem_write(f.mem, at, d, sizeof(d)));
	ck_assert(gmem_store_le16(f.mem, at + 0x1000 + 4 + 2 * (uint64_t)(n % QUEUE_SIZE), 0));
	ck_assert(gmem_store_le16(f.mem, at + 0x1000 + 2, (uint16_t)(n + 1)));
	notify(0);
	fake_idle(&f);
	ck_assert(gmem_load_le16(f.mem, at + 0x2000 + 2, &used));
	ck_assert_uint_eq(used, (uint16_t)(n + 1));
	ck_assert(gmem_read(f.mem, out, got, 5));
	ck_assert_str_eq(got, "hello");
	ck_assert_uint_eq(t_take_interrupts(), 1);
}

/* The rules ---------------------------------------------------------------------------------- */

START_TEST(a_driver_gets_its_answers_whatever_this_kvm_can_do)
{
	transport_start(_i);
	run_device(7);
	ck_assert_uint_eq(echo->n_activations, 1);
	for (uint16_t n = 0; n < 100; n++)
		check_echo(n);
	transport_stop();
}
END_TEST

START_TEST(notifications_are_kvms_while_the_device_runs)
{
	unsigned int queues = 5, n = 2;

	transport_start(_i);
	negotiate(0);
	for (unsigned int qi = 0; qi < QUEUES; qi++) {
		if (queues & 1u << qi)
			setup_queue(qi);
	}
	ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, 0);
	t_set_status(RUNNING);
	if (_i == 1 || _i == 3)
		n = 0;
	ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, n);
	t_set_status(RUNNING); /* again */
	t_set_status(RUNNING | VIRTIO_CONFIG_S_FAILED);
	ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, n);
	t_set_status(0);
	ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, 0);
	run_device(1);
	ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, n / 2);
	transport_stop(); /* of a device that runs */
}
END_TEST

START_TEST(any_status_after_any_other_is_answered)
{
	static const uint8_t states[] = { 0, ACK, DRIVER, FEATURES, RUNNING };

	transport_start(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(states); i++) {
		for (unsigned int next = 0; next < 256; next++) {
			uint8_t now;

			run_device(1);
			t_set_status(0);
			for (unsigned int k = 1; k <= i; k++) {
				if (states[k] == FEATURES)
					t_set_features(1, 1);
				t_set_status(states[k]);
			}
			ck_assert_uint_eq(t_status(), states[i]);
			t_set_status((uint8_t)next);
			now = t_status();
			/* Never more than was asked for, never a bit without the one before. */
			ck_assert_uint_eq(now & ~(next | states[i]), 0);
			ck_assert(!(now & VIRTIO_CONFIG_S_DRIVER) || (now & ACK));
			ck_assert(!(now & VIRTIO_CONFIG_S_DRIVER_OK) ||
				  (now & FEATURES) == FEATURES);
			ck_assert(next != 0 || now == 0);
			ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, 0); /* no queue is on */
		}
	}
	run_device(1);
	check_echo(0);
	transport_stop();
}
END_TEST

START_TEST(features_that_were_not_offered_are_refused)
{
	uint64_t offered;

	transport_start(0);
	offered = t_offered(0) | (uint64_t)t_offered(1) << 32;
	ck_assert_uint_eq(offered & FAKE_ECHO_FEATURES, FAKE_ECHO_FEATURES);
	ck_assert_uint_eq(t_offered(2), 0);
	ck_assert_uint_eq(t_offered(UINT32_MAX), 0);
	for (unsigned int bit = 0; bit < 64; bit++) {
		negotiate(UINT64_C(1) << bit);
		ck_assert_uint_eq(t_status(), offered >> bit & 1 ? FEATURES : DRIVER);
	}
	t_set_status(0);
	t_set_status(DRIVER);
	t_set_status(FEATURES); /* without VERSION_1 */
	ck_assert_uint_ne(t_status(), FEATURES);
	for (uint32_t word = 2; word != 0; word <<= 1) {
		negotiate(0);
		t_set_features(word, UINT32_MAX); /* there are only two words */
		ck_assert_uint_eq(t_status(), FEATURES);
	}
	transport_stop();
}
END_TEST

START_TEST(features_are_frozen_once_agreed_on)
{
	transport_start(0);
	negotiate(UINT64_C(1) << 3);
	t_set_features(0, UINT32_MAX);
	t_set_features(1, 0);
	ck_assert_uint_eq(echo->v.features, UINT64_C(1) << VIRTIO_F_VERSION_1 | 1 << 3);
	t_set_status(RUNNING);
	t_set_features(0, UINT32_MAX);
	ck_assert_uint_eq(echo->v.features, UINT64_C(1) << VIRTIO_F_VERSION_1 | 1 << 3);
	transport_stop();
}
END_TEST

START_TEST(a_queue_that_runs_cannot_be_changed)
{
	struct virtq before;

	transport_start(0);
	run_device(1);
	before = echo->v.queues[0].vq;
	t_select(0);
	t_set_size(4);
	t_set_rings(UINT64_MAX, UINT64_MAX, UINT64_MAX);
	t_enable(0);
	t_enable(1);
	t_enable(UINT32_MAX);
	ck_assert_mem_eq(&before, &echo->v.queues[0].vq, sizeof(before));
	t_select(1); /* not even one that does not run */
	t_enable(1);
	ck_assert_uint_eq(t_enabled(), 0);
	check_echo(0);
	transport_stop();
}
END_TEST

START_TEST(queues_that_are_not_there_have_no_size_and_no_effect)
{
	static const uint32_t bad[] = { QUEUES, 63, 64, 255, 256, 0x7fff, 0x8000, 0xffff };

	transport_start(0);
	negotiate(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		t_select(bad[i]);
		ck_assert_uint_eq(t_size(), 0);
		t_set_size(8);
		t_set_rings(0x1000, 0x2000, 0x3000);
		t_enable(1);
		ck_assert_uint_eq(t_enabled(), 0);
		ck_assert_uint_eq(t_size(), 0);
	}
	for (unsigned int qi = 0; qi < QUEUES; qi++) {
		t_select(qi);
		ck_assert_uint_eq(t_size(), QUEUE_SIZE);
		ck_assert_uint_eq(t_enabled(), 0);
	}
	transport_stop();
}
END_TEST

START_TEST(sizes_that_cannot_be_do_not_get_into_a_queue)
{
	static const uint32_t bad[] = {
		0, 3, 63, 65, QUEUE_SIZE * 2, 0x7fff, 0x8000, 0xffff, QUEUE_SIZE - 1
	};

	transport_start(0);
	negotiate(0);
	t_select(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		t_set_size(bad[i]);
		ck_assert_uint_eq(echo->v.queues[0].vq.size, QUEUE_SIZE);
	}
	t_set_size(16);
	ck_assert_uint_eq(echo->v.queues[0].vq.size, 16);
	transport_stop();
}
END_TEST

START_TEST(notifications_of_queues_that_do_not_run_do_nothing)
{
	transport_start(_i);
	for (unsigned int qi = 0; qi < 8; qi++)
		t_notify_write(qi);
	fake_idle(&f);
	negotiate(0);
	setup_queue(0);
	notify(0); /* not DRIVER_OK yet */
	fake_idle(&f);
	ck_assert_uint_eq(echo->n_ready[0], 0);
	run_device(1);
	echo->n_ready[0] = 0;
	for (uint32_t qi = 1; qi < 70; qi++)
		t_notify_write(qi);
	t_notify_write(0xffff);
	fake_idle(&f);
	for (unsigned int qi = 0; qi < QUEUES; qi++)
		ck_assert_uint_eq(echo->n_ready[qi], 0);
	check_echo(0);
	transport_stop();
}
END_TEST

START_TEST(a_reset_in_any_state_brings_back_the_beginning)
{
	transport_start(0);
	for (unsigned int state = 0; state < 6; state++) {
		unsigned int n = echo->n_resets;

		if (state >= 1)
			t_set_status(ACK);
		if (state >= 2)
			t_set_status(DRIVER);
		if (state >= 3)
			negotiate(1 << 3);
		if (state >= 4)
			run_device(7);
		if (state >= 5) { /* a chain that is broken */
			ck_assert(gmem_store_le16(f.mem, rings(0) + 0x1002, 0x7fff));
			notify(0);
			fake_idle(&f);
			ck_assert(t_status() & VIRTIO_CONFIG_S_NEEDS_RESET);
		}
		t_set_status(0);
		ck_assert_uint_gt(echo->n_resets, n);
		ck_assert_uint_eq(t_status(), 0);
		ck_assert_uint_eq(echo->v.features, 0);
		ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, 0);
		for (unsigned int qi = 0; qi < QUEUES; qi++) {
			t_select(qi);
			ck_assert_uint_eq(t_size(), QUEUE_SIZE);
			ck_assert_uint_eq(t_enabled(), 0);
		}
		run_device(7);
		check_echo(0);
	}
	transport_stop();
}
END_TEST

START_TEST(a_power_cycle_leaves_nothing_of_the_driver)
{
	struct err e;

	transport_start(_i);
	for (int boot = 0; boot < 3; boot++) {
		run_device(boot == 1 ? 7 : 1);
		check_echo(0);
		notify(0);
		virtio_dev_lock(&echo->v);
		virtio_dev_config_changed(&echo->v); /* an interrupt that nobody takes */
		virtio_dev_unlock(&echo->v);
		if (fake_kvm.no_irqfd || fake_kvm.irqfd_error)
			(void)t_take_interrupts(); /* it is in the interrupt controller already */
		dev->ops->reset(dev);
		ck_ok(kvm_irq_reset(&f.vm, &e));
		fake_kvm_check_irqs_are_reset();
		ck_assert_uint_eq(fake_kvm_irqs().n_mistakes, 0);
		t_find();
		ck_assert_uint_eq(t_status(), 0);
		ck_assert_uint_eq(t_take_interrupts(), 0);
		fake_idle(&f);
		ck_assert_uint_eq(t_take_interrupts(), 0);
	}
	run_device(1);
	check_echo(0);
	transport_stop();
}
END_TEST

START_TEST(configuration_space_is_bytes_at_any_width)
{
	uint64_t at;

	transport_start(0);
	at = t_config_at();
	for (unsigned int off = 0; off < FAKE_ECHO_CONFIG + 8; off++) {
		for (unsigned int size = 1; size <= 8; size *= 2) {
			uint64_t val = fake_read(&f, at + off, size);

			for (unsigned int i = 0; i < size; i++) {
				unsigned int b = off + i;
				/* What reaches across the end is not there as a whole. */
				bool in = b < FAKE_ECHO_CONFIG, odd = b + 3 >= FAKE_ECHO_CONFIG;

				if (in && !odd)
					ck_assert_uint_eq(val >> 8 * i & 0xff, 0x10 + b);
				else if (!in)
					ck_assert_uint_eq(val >> 8 * i & 0xff, 0xff);
			}
		}
	}
	ck_assert_uint_eq(fake_read(&f, at + 8, 2), 0x1918);
	ck_assert_uint_eq(fake_read(&f, at + 9, 1), 0x19);
	fake_write(&f, at, 8, UINT64_C(0x8877665544332211));
	fake_write(&f, at + 8, 2, 0xaa99);
	fake_write(&f, at + 8, 4, 0); /* half of it is outside */
	fake_write(&f, at + 10, 1, 0);
	ck_assert_uint_eq(fake_read(&f, at, 8), UINT64_C(0x8877665544332211));
	ck_assert_uint_eq(fake_read(&f, at + 8, 2), 0xaa99);
	transport_stop();
}
END_TEST

START_TEST(random_accesses_are_answered_and_a_reset_helps)
{
	transport_start(_i);
	for (unsigned int n = 0; n < 20000; n++) {
		uint64_t at = t_regs_at() + rng() % t_regs_len();
		unsigned int size = 1u << rng() % 4;

		if (rng() % 2)
			fake_write(&f, at, size, rng() % 3 ? rng() : rng() % 16);
		else
			fake_read(&f, at, size);
		if (n % 1000 == 0)
			fake_idle(&f);
		if (n % 1500 == 0)
			run_device(rng() % 8);
	}
	run_device(7);
	check_echo(0);
	transport_stop();
}
END_TEST

static void count(void *arg, const char *name, uint64_t value)
{
	unsigned int *seen = arg;

	if (!strcmp(name, "kicks") || !strcmp(name, "interrupts")) {
		ck_assert_uint_ge(value, 1);
		++*seen;
	}
}

START_TEST(kicks_and_interrupts_are_counted)
{
	unsigned int seen = 0;

	transport_start(0);
	run_device(1);
	check_echo(0);
	dev->ops->counters(dev, count, &seen);
	ck_assert_uint_eq(seen, 2);
	transport_stop();
}
END_TEST

#define TRANSPORT_TESTS(s)                                                                         \
	do {                                                                                       \
		UNIT_LOOP(s, a_driver_gets_its_answers_whatever_this_kvm_can_do, N_KVMS);          \
		UNIT_LOOP(s, notifications_are_kvms_while_the_device_runs, N_KVMS);                \
		UNIT_SLOW(s, any_status_after_any_other_is_answered);                              \
		UNIT_TEST(s, features_that_were_not_offered_are_refused);                          \
		UNIT_TEST(s, features_are_frozen_once_agreed_on);                                  \
		UNIT_TEST(s, a_queue_that_runs_cannot_be_changed);                                 \
		UNIT_TEST(s, queues_that_are_not_there_have_no_size_and_no_effect);                \
		UNIT_TEST(s, sizes_that_cannot_be_do_not_get_into_a_queue);                        \
		UNIT_LOOP(s, notifications_of_queues_that_do_not_run_do_nothing, N_KVMS);          \
		UNIT_TEST(s, a_reset_in_any_state_brings_back_the_beginning);                      \
		UNIT_LOOP(s, a_power_cycle_leaves_nothing_of_the_driver, N_KVMS);                  \
		UNIT_TEST(s, configuration_space_is_bytes_at_any_width);                           \
		UNIT_LOOP(s, random_accesses_are_answered_and_a_reset_helps, N_KVMS);              \
		UNIT_TEST(s, kicks_and_interrupts_are_counted);                                    \
	} while (0)

#endif
