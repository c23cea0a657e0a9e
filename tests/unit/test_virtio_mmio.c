/*
 * test_virtio_mmio.c - the MMIO transport: its registers (VIRTIO 1.2, 4.2.2), and the rules of both
 * transports.
 */
#include "transport.h"
#include <linux/virtio_mmio.h>
#include <vmm/virtio/virtio_mmio.h>

#define SLOT 2u

static uint64_t base(void)
{
	return board_mmio_slot(&f.board, SLOT);
}

static uint32_t get(unsigned int off)
{
	return (uint32_t)fake_read(&f, base() + off, 4);
}

static void put(unsigned int off, uint32_t val)
{
	fake_write(&f, base() + off, 4, val);
}

static int t_create(struct device **out, struct virtio_dev *v, struct err *e)
{
	return virtio_mmio_create(out, &f.env, v, SLOT, e);
}

static void t_find(void)
{
	ck_assert_uint_eq(get(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	ck_assert_uint_eq(get(VIRTIO_MMIO_VERSION), 2);
	ck_assert_uint_eq(get(VIRTIO_MMIO_DEVICE_ID), FAKE_ECHO_ID);
}

static uint8_t t_status(void)
{
	ck_assert_uint_lt(get(VIRTIO_MMIO_STATUS), 256);
	return (uint8_t)get(VIRTIO_MMIO_STATUS);
}

static void t_set_status(uint8_t status)
{
	put(VIRTIO_MMIO_STATUS, status);
}

static uint32_t t_offered(uint32_t word)
{
	put(VIRTIO_MMIO_DEVICE_FEATURES_SEL, word);
	return get(VIRTIO_MMIO_DEVICE_FEATURES);
}

static void t_set_features(uint32_t word, uint32_t bits)
{
	put(VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
	put(VIRTIO_MMIO_DRIVER_FEATURES, bits);
}

static void t_select(uint32_t qi)
{
	put(VIRTIO_MMIO_QUEUE_SEL, qi);
}

static uint32_t t_size(void)
{
	return get(VIRTIO_MMIO_QUEUE_NUM_MAX);
}

static void t_set_size(uint32_t size)
{
	put(VIRTIO_MMIO_QUEUE_NUM, size);
}

static void t_set_rings(uint64_t desc, uint64_t avail, uint64_t used)
{
	put(VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)desc);
	put(VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(desc >> 32));
	put(VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)avail);
	put(VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(avail >> 32));
	put(VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)used);
	put(VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(used >> 32));
}

static uint32_t t_enabled(void)
{
	return get(VIRTIO_MMIO_QUEUE_READY);
}

static void t_enable(uint32_t val)
{
	put(VIRTIO_MMIO_QUEUE_READY, val);
}

static void t_vectors(void)
{
}

static uint64_t t_notify_at(unsigned int qi)
{
	(void)qi;
	return base() + VIRTIO_MMIO_QUEUE_NOTIFY;
}

static void t_notify_write(uint32_t qi)
{
	put(VIRTIO_MMIO_QUEUE_NOTIFY, qi);
}

static unsigned int t_take_interrupts(void)
{
	unsigned int n = fake_kvm_take_pulses(FAKE_BOARD_GSI + SLOT) + fake_kvm.n_irq_edges;

	fake_kvm.n_irq_edges = 0;
	return n;
}

static uint64_t t_config_at(void)
{
	return base() + VIRTIO_MMIO_CONFIG;
}

static uint64_t t_regs_at(void)
{
	return base();
}

static uint64_t t_regs_len(void)
{
	return VIRTIO_MMIO_CONFIG + FAKE_ECHO_CONFIG + 4;
}

/* Its own rules ------------------------------------------------------------------------------ */

START_TEST(control_registers_are_for_32_bits_only)
{
	uint8_t before[VIRTIO_MMIO_CONFIG], after[VIRTIO_MMIO_CONFIG];

	transport_start(0);
	run_device(1);
	bus_read(f.mmio, base(), before, sizeof(before));
	for (unsigned int off = 0; off < VIRTIO_MMIO_CONFIG; off++) {
		for (unsigned int size = 1; size <= 2 && off + size <= sizeof(before); size++) {
			uint64_t ones = size == 1 ? 0xff : 0xffff;

			ck_assert_uint_eq(fake_read(&f, base() + off, size), ones);
			fake_write(&f, base() + off, size, 0);
			fake_write(&f, base() + off, size, ones);
		}
	}
	bus_read(f.mmio, base(), after, sizeof(after));
	ck_assert_mem_eq(before, after, sizeof(before));
	check_echo(0);
	transport_stop();
}
END_TEST

START_TEST(what_cannot_be_read_is_all_ones)
{
	static const unsigned int readable[] = {
		VIRTIO_MMIO_MAGIC_VALUE,     VIRTIO_MMIO_VERSION,
		VIRTIO_MMIO_DEVICE_ID,       VIRTIO_MMIO_VENDOR_ID,
		VIRTIO_MMIO_DEVICE_FEATURES, VIRTIO_MMIO_QUEUE_NUM_MAX,
		VIRTIO_MMIO_QUEUE_READY,     VIRTIO_MMIO_INTERRUPT_STATUS,
		VIRTIO_MMIO_STATUS,          VIRTIO_MMIO_CONFIG_GENERATION,
	};

	transport_start(0);
	for (unsigned int off = 0; off < VIRTIO_MMIO_CONFIG; off += 4) {
		bool can = false;

		for (unsigned int i = 0; i < ARRAY_SIZE(readable); i++)
			can |= readable[i] == off;
		ck_assert_msg((get(off) != UINT32_MAX) == can, "register %#x", off);
		if (off != VIRTIO_MMIO_STATUS && can) {
			uint32_t was = get(off);

			if (off == VIRTIO_MMIO_QUEUE_READY)
				continue;
			put(off, ~was); /* read-only */
			ck_assert_uint_eq(get(off), was);
		}
	}
	ck_assert_uint_eq(fake_read(&f, base() + VIRTIO_MMIO_MAGIC_VALUE, 8),
			  UINT64_C(0x274726976));
	ck_assert_uint_eq(fake_read(&f, base() + 4095, 1), 0xff);
	transport_stop();
}
END_TEST

START_TEST(interrupts_say_why_until_acknowledged)
{
	transport_start(_i);
	run_device(1);
	put(VIRTIO_MMIO_INTERRUPT_ACK, 3);
	check_echo(0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	virtio_dev_lock(&echo->v);
	virtio_dev_config_changed(&echo->v);
	virtio_dev_unlock(&echo->v);
	ck_assert_uint_eq(t_take_interrupts(), 1);
	ck_assert_uint_eq(get(VIRTIO_MMIO_CONFIG_GENERATION), 1);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS),
			  VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG);
	put(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	put(VIRTIO_MMIO_INTERRUPT_ACK, UINT32_MAX);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	check_echo(1); /* an edge comes though... */
	check_echo(2); /* ...the one before was not acknowledged */
	t_set_status(0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	transport_stop();
}
END_TEST

START_TEST(who_interrupts_by_the_pins_eventfd_need_not_say_why)
{
	const uint64_t one = 1;
	int fd;

	transport_start(0);
	ck_assert_int_lt(virtio_dev_interrupt_fd(&echo->v, 0), 0);
	run_device(1);
	put(VIRTIO_MMIO_INTERRUPT_ACK, 3);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	fd = virtio_dev_interrupt_fd(&echo->v, 1);
	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
	ck_assert_uint_eq(t_take_interrupts(), 1);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	put(VIRTIO_MMIO_INTERRUPT_ACK, UINT32_MAX); /* the next one may be there already */
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	t_set_status(0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	ck_assert_int_lt(virtio_dev_interrupt_fd(&echo->v, 1), 0);
	transport_stop();
}
END_TEST

START_TEST(queue_numbers_are_compared_as_32_bits)
{
	static const uint32_t bad[] = { 0x10000, 0x10001, 0x80000000, UINT32_MAX, 0x100000000 - 3 };

	transport_start(1);
	run_device(1);
	echo->n_ready[0] = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		t_select(bad[i]);
		ck_assert_uint_eq(t_size(), 0);
		t_notify_write(bad[i]);
	}
	fake_idle(&f);
	ck_assert_uint_eq(echo->n_ready[0], 0);
	transport_stop();
}
END_TEST

START_TEST(each_slot_has_its_place_and_its_line)
{
	struct fake_echo *more;
	struct device *d;
	struct err e;

	transport_start(0);
	more = fake_echo_create(&f.env);
	ck_fails(virtio_mmio_create(&d, &f.env, &more->v, SLOT, &e), -EBUSY, "echo0: address");
	ck_assert_uint_eq(fake_echo_n_alive, 2); /* still the caller's */
	ck_ok(virtio_mmio_create(&d, &f.env, &more->v, SLOT + 1, &e));
	ck_assert_uint_eq(fake_read(&f, base() + 4096, 4), 0x74726976);
	ck_assert_uint_eq(fake_read(&f, base() - 4096, 4), UINT32_MAX);
	d->ops->destroy(d);
	transport_stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_mmio");

	TRANSPORT_TESTS(s);
	UNIT_TEST(s, control_registers_are_for_32_bits_only);
	UNIT_TEST(s, what_cannot_be_read_is_all_ones);
	UNIT_LOOP(s, interrupts_say_why_until_acknowledged, N_KVMS);
	UNIT_TEST(s, who_interrupts_by_the_pins_eventfd_need_not_say_why);
	UNIT_TEST(s, queue_numbers_are_compared_as_32_bits);
	UNIT_TEST(s, each_slot_has_its_place_and_its_line);
	return s;
}

UNIT_MAIN("virtio_mmio", suite)
