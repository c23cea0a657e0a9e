/*
 * test_virtio_net_vhost.c - a network device whose rings are the kernel's: when it has them, and
 * when not any more; where notifications, interrupts and errors go.
 */
#include "fake_netif.h"
#include "fake_vhost.h"
#include "unit.h"
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vmm/base/util.h>

#define BIT(n) (UINT64_C(1) << (n))
#define ALL (~UINT64_C(0))
#define RX 0u /* queues of the first pair */
#define TX 1u

static struct fake_driver f;
static struct fake_netif *nif;

static void setup(unsigned int n_pairs)
{
	struct virtio_net_params params = { .vhost = true };

	if (fake_vhosts.offers == 0)
		fake_vhost_init();
	nif = fake_netif_setup(&f, &params, n_pairs, 0);
}

static void start(unsigned int n_pairs)
{
	setup(n_pairs);
	fake_driver_start(&f, ALL);
}

static void stop(void)
{
	fake_driver_fini(&f);
	ck_assert_uint_eq(fake_vhost_n_running(), 0);
	ck_assert_uint_eq(fake_vhosts.n_mistakes, 0);
}

static struct fake_vhost_ring *ring(unsigned int qi)
{
	return &fake_vhosts.of[qi / 2].ring[qi % 2];
}

static bool offers(unsigned int bit)
{
	return virtio_dev_offered_features(f.v, bit / 32) >> bit % 32 & 1;
}

static void tell(int fd)
{
	const uint64_t one = 1;

	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
	fake_driver_idle(&f);
}

/* Rings -------------------------------------------------------------------------------------- */

START_TEST(the_kernel_gets_the_rings_where_the_driver_has_put_them)
{
	start(1);
	for (unsigned int qi = RX; qi <= TX; qi++) {
		const struct vhost_ring *r = &ring(qi)->ring;
		const char *ram = fake_vhosts.of[0].regions[0].host;

		ck_assert(ring(qi)->runs);
		ck_assert_uint_eq(r->size, f.q[qi].size);
		ck_assert_uint_eq(r->base, 0);
		ck_assert_ptr_eq(r->desc, ram + f.q[qi].desc);
		ck_assert_ptr_eq(r->avail, ram + f.q[qi].avail);
		ck_assert_ptr_eq(r->used, ram + f.q[qi].used);
		ck_assert_int_eq(r->kick_fd, virtio_dev_kick_fd(f.v, qi));
		ck_assert_int_eq(ring(qi)->tap_fd, FAKE_NETIF_FD);
	}
	stop();
}
END_TEST

START_TEST(the_kernel_knows_all_of_ram_and_nothing_else)
{
	setup(2);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert(fake_vhosts.of[i].owned);
		ck_assert_uint_eq(fake_vhosts.of[i].n_regions, 1);
		ck_assert_uint_eq(fake_vhosts.of[i].regions[0].gpa, 0);
		ck_assert_uint_eq(fake_vhosts.of[i].regions[0].len, FAKE_DRIVER_RAM);
	}
	stop();
}
END_TEST

START_TEST(without_a_driver_the_kernel_has_no_ring)
{
	setup(1);
	fake_driver_idle(&f);
	ck_assert_uint_eq(fake_vhost_n_running(), 0);
	fake_driver_negotiate(&f, ALL);
	fake_driver_setup_queue(&f, RX, 16);
	fake_driver_idle(&f);
	ck_assert_uint_eq(fake_vhost_n_running(), 0);
	stop();
}
END_TEST

/* A driver that has read 0 from the status takes its memory for its own again. */
START_TEST(a_reset_is_over_when_the_kernel_has_let_go)
{
	start(1);
	fake_vhosts.stops_at = 77;
	virtio_dev_set_status(f.v, 0);
	ck_assert_uint_eq(fake_vhost_n_running(), 0); /* the loop has not run */
	ck_assert_uint_eq(virtio_dev_status(f.v), 0);
	ck_assert_uint_eq(f.v->queues[RX].vq.next_avail, 0);
	fake_driver_start(&f, ALL);
	ck_assert(ring(RX)->runs && ring(TX)->runs);
	ck_assert_uint_eq(ring(RX)->ring.base, 0);
	ck_assert_uint_eq(ring(TX)->n_starts, 2);
	stop();
}
END_TEST

START_TEST(a_driver_that_comes_back_at_once_gets_its_new_rings_served)
{
	start(1);
	virtio_dev_set_status(f.v, 0);
	fake_driver_negotiate(&f, ALL);
	fake_driver_setup_queue(&f, RX, 16);
	fake_driver_setup_queue(&f, TX, 32);
	virtio_dev_set_status(f.v, virtio_dev_status(f.v) | VIRTIO_CONFIG_S_DRIVER_OK);
	ck_assert_uint_eq(fake_vhost_n_running(), 0);
	fake_driver_idle(&f);
	ck_assert_uint_eq(ring(RX)->ring.size, 16);
	ck_assert_uint_eq(ring(TX)->ring.size, 32);
	stop();
}
END_TEST

START_TEST(without_dma_the_kernel_has_no_ring_and_goes_on_where_it_was)
{
	start(1);
	fake_vhosts.stops_at = 77;
	virtio_dev_allow_dma(f.v, false);
	ck_assert_uint_eq(fake_vhost_n_running(), 0);
	virtio_dev_allow_dma(f.v, true);
	fake_driver_idle(&f);
	ck_assert(ring(RX)->runs && ring(TX)->runs);
	ck_assert_uint_eq(ring(RX)->ring.base, 77);
	ck_assert_uint_eq(ring(TX)->ring.base, 77);
	stop();
}
END_TEST

START_TEST(a_queue_that_is_not_enabled_stays)
{
	setup(1);
	fake_driver_negotiate(&f, ALL);
	fake_driver_setup_queue(&f, TX, 16);
	virtio_dev_set_status(f.v, virtio_dev_status(f.v) | VIRTIO_CONFIG_S_DRIVER_OK);
	fake_driver_idle(&f);
	ck_assert(!ring(RX)->runs && ring(TX)->runs);
	stop();
}
END_TEST

/* The kernel begins where it finds the index of the used ring. */
START_TEST(what_a_driver_writes_into_the_used_ring_moves_nothing)
{
	uint16_t idx = 0xffff;

	setup(1);
	fake_driver_negotiate(&f, ALL);
	fake_driver_setup_queue(&f, TX, 16);
	ck_assert(gmem_store_le16(f.mem, f.q[TX].used + 2, 7));
	virtio_dev_set_status(f.v, virtio_dev_status(f.v) | VIRTIO_CONFIG_S_DRIVER_OK);
	fake_driver_idle(&f);
	ck_assert(ring(TX)->runs);
	ck_assert(gmem_load_le16(f.mem, f.q[TX].used + 2, &idx));
	ck_assert_uint_eq(idx, 0);
	stop();
}
END_TEST

START_TEST(a_ring_outside_of_ram_never_reaches_the_kernel)
{
	setup(1);
	fake_driver_negotiate(&f, ALL);
	fake_driver_setup_queue(&f, TX, 16);
	f.next_free = FAKE_DRIVER_RAM - 4096;
	virtio_dev_queue_set(f.v, RX, VIRTIO_QUEUE_DESC_LOW, (uint32_t)FAKE_DRIVER_RAM - 16);
	virtio_dev_queue_set(f.v, RX, VIRTIO_QUEUE_ENABLE, 1);
	virtio_dev_set_status(f.v, virtio_dev_status(f.v) | VIRTIO_CONFIG_S_DRIVER_OK);
	fake_driver_idle(&f);
	ck_assert(fake_driver_needs_reset(&f));
	ck_assert_uint_eq(ring(RX)->n_starts + ring(TX)->n_starts, 0);
	stop();
}
END_TEST

START_TEST(a_kernel_that_does_not_take_a_ring_is_a_device_that_needs_a_reset)
{
	fake_vhost_init();
	fake_vhosts.start_error = ENOMEM;
	fake_vhosts.fail_start_at = 2;
	start(1);
	ck_assert(fake_driver_needs_reset(&f));
	ck_assert_uint_eq(ring(RX)->n_starts, 1);
	ck_assert_uint_eq(fake_vhost_n_running(), 0);
	fake_vhosts.start_error = 0;
	fake_driver_start(&f, ALL);
	ck_assert_uint_eq(fake_vhost_n_running(), 2);
	stop();
}
END_TEST

/* Pairs -------------------------------------------------------------------------------------- */

static uint8_t set_pairs(uint8_t n)
{
	const uint8_t command[] = { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, n, 0 };
	const unsigned int qi = 2 * nif->n.n_pairs;
	uint8_t ack = 0xee;
	gpa_t answer = fake_driver_put(&f, &ack, 1);
	struct fake_seg segs[] = { { fake_driver_put(&f, command, 4), 4, false },
				   { answer, 1, true } };
	uint32_t id, written;

	fake_driver_send(&f, qi, segs, 2);
	ck_assert(fake_driver_take_used(&f, qi, &id, &written));
	fake_driver_read(&f, answer, &ack, 1);
	return ack;
}

START_TEST(the_kernel_has_the_pairs_that_the_driver_uses)
{
	start(3);
	ck_assert_uint_eq(fake_vhost_n_running(), 2);
	ck_assert_uint_eq(set_pairs(3), VIRTIO_NET_OK);
	ck_assert_uint_eq(fake_vhost_n_running(), 6);
	for (unsigned int qi = 0; qi < 6; qi++) {
		ck_assert_int_eq(ring(qi)->tap_fd, FAKE_NETIF_FD + (int)qi / 2);
		ck_assert_int_eq(ring(qi)->ring.kick_fd, virtio_dev_kick_fd(f.v, qi));
	}
	fake_vhosts.stops_at = 9;
	ck_assert_uint_eq(set_pairs(2), VIRTIO_NET_OK);
	ck_assert(ring(3)->runs && !ring(4)->runs && !ring(5)->runs);
	ck_assert_uint_eq(set_pairs(3), VIRTIO_NET_OK);
	ck_assert(ring(4)->runs && ring(5)->runs);
	ck_assert_uint_eq(ring(5)->ring.base, 9);
	ck_assert_uint_eq(ring(0)->n_starts, 1); /* the others did not notice */
	stop();
}
END_TEST

/* Features ----------------------------------------------------------------------------------- */

START_TEST(what_the_kernel_cannot_the_driver_is_not_offered)
{
	fake_vhost_init();
	fake_vhosts.offers = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC);
	setup(1);
	ck_assert(!offers(VIRTIO_NET_F_MRG_RXBUF) && !offers(VIRTIO_RING_F_EVENT_IDX));
	ck_assert(offers(VIRTIO_RING_F_INDIRECT_DESC) && offers(VIRTIO_F_VERSION_1));
	ck_assert(offers(VIRTIO_NET_F_STATUS) && offers(VIRTIO_NET_F_CTRL_VQ)); /* are ours */
	fake_driver_start(&f, ALL);
	ck_assert_uint_eq(fake_vhosts.of[0].features, fake_vhosts.offers);
	stop();
}
END_TEST

START_TEST(the_kernel_learns_what_the_driver_has_chosen_of_what_is_its_business)
{
	setup(1);
	fake_driver_start(&f, ALL & ~BIT(VIRTIO_NET_F_MRG_RXBUF));
	ck_assert_uint_eq(fake_vhosts.of[0].features, BIT(VIRTIO_F_VERSION_1) |
							      BIT(VIRTIO_RING_F_INDIRECT_DESC) |
							      BIT(VIRTIO_RING_F_EVENT_IDX));
	stop();
}
END_TEST

static int try_to_create(struct err *e)
{
	struct virtio_net_params params = { .vhost = true, .name = "net0" };
	struct virtio_dev *v;
	int rc;

	fake_driver_init(&f);
	nif = fake_netif_create(f.loop, 2, 0);
	params.netif = &nif->n;
	rc = virtio_net_create_on(&v, &params, &f.env, e);
	netif_destroy(&nif->n);
	fake_driver_fini(&f);
	return rc;
}

START_TEST(a_kernel_without_vhost_or_with_a_very_old_one_is_an_error_of_the_interface)
{
	struct err e;

	fake_vhost_init();
	fake_vhosts.open_error = ENOENT;
	ck_fails(try_to_create(&e), -ENOENT, "net0: vhost cannot be opened");
	fake_vhosts.open_error = 0;
	fake_vhosts.offers &= ~BIT(VIRTIO_F_VERSION_1);
	ck_fails(try_to_create(&e), -ENOTSUP, "too old");
}
END_TEST

/* Eventfds ----------------------------------------------------------------------------------- */

static uint64_t kicks(unsigned int qi)
{
	uint64_t n = 0;

	(void)!read(virtio_dev_kick_fd(f.v, qi), &n, sizeof(n));
	return n;
}

START_TEST(notifications_are_for_the_kernel_alone)
{
	start(1);
	ck_assert_uint_gt(kicks(RX), 0); /* those from before it had the ring, too */
	ck_assert_uint_gt(kicks(TX), 0);
	f.v->n_kicks = 0;
	fake_driver_kick(&f, RX);
	fake_driver_kick(&f, TX);
	ck_assert_uint_eq(f.v->n_kicks, 0);
	ck_assert_uint_eq(kicks(RX), 1);
	ck_assert_uint_eq(kicks(TX), 1);
	ck_assert_uint_eq(nif->n_receives + nif->n_sent + nif->watched[0], 0);
	stop();
}
END_TEST

START_TEST(without_an_eventfd_of_the_transport_interrupts_go_by_the_loop)
{
	start(1);
	tell(ring(TX)->ring.call_fd);
	ck_assert_uint_eq(f.q[TX].n_interrupts, 1);
	ck_assert_uint_eq(f.q[RX].n_interrupts, 0);
	virtio_dev_set_status(f.v, 0);
	tell(ring(TX)->ring.call_fd);
	ck_assert_uint_eq(f.q[TX].n_interrupts, 1); /* of a ring that is no more */
	stop();
}
END_TEST

START_TEST(interrupts_go_where_the_transport_wants_them_and_none_is_lost_on_the_move)
{
	int own;

	setup(1);
	f.interrupt_fd[RX] = 500;
	fake_driver_start(&f, ALL);
	ck_assert_int_eq(ring(RX)->ring.call_fd, 500);
	own = ring(TX)->ring.call_fd;
	ck_assert_int_ne(own, 500);
	f.interrupt_fd[RX] = 501;
	f.interrupt_fd[TX] = 502;
	virtio_dev_interrupts_changed(f.v);
	fake_driver_idle(&f);
	ck_assert_int_eq(ring(RX)->ring.call_fd, 501);
	ck_assert_int_eq(ring(TX)->ring.call_fd, 502);
	ck_assert_uint_eq(f.q[RX].n_interrupts, 1);
	ck_assert_uint_eq(f.q[TX].n_interrupts, 1);
	f.interrupt_fd[TX] = 0;
	virtio_dev_interrupts_changed(f.v);
	fake_driver_idle(&f);
	ck_assert_int_eq(ring(TX)->ring.call_fd, own);
	ck_assert_uint_eq(f.q[RX].n_interrupts, 1); /* it did not move */
	stop();
}
END_TEST

START_TEST(what_the_kernel_cannot_make_sense_of_stops_the_device_until_a_reset)
{
	start(1);
	tell(ring(TX)->ring.err_fd);
	ck_assert(fake_driver_needs_reset(&f));
	ck_assert_uint_eq(f.n_config_interrupts, 1);
	ck_assert_uint_eq(fake_vhost_n_running(), 0);
	fake_driver_start(&f, ALL);
	ck_assert(!fake_driver_needs_reset(&f));
	ck_assert_uint_eq(fake_vhost_n_running(), 2);
	stop();
}
END_TEST

START_TEST(an_error_from_before_the_reset_is_none_of_the_new_drivers)
{
	const uint64_t one = 1;

	start(1);
	ck_assert_int_eq(write(ring(TX)->ring.err_fd, &one, sizeof(one)), sizeof(one));
	virtio_dev_set_status(f.v, 0);
	fake_driver_start(&f, ALL);
	ck_assert(!fake_driver_needs_reset(&f));
	stop();
}
END_TEST

START_TEST(the_link_is_still_told)
{
	start(1);
	fake_netif_set_link(nif, false);
	ck_assert_uint_eq(f.n_config_interrupts, 1);
	ck_assert_uint_eq(fake_vhost_n_running(), 2);
	stop();
}
END_TEST

START_TEST(what_passes_is_what_the_interface_has_counted)
{
	start(1);
	ck_assert_uint_eq(fake_netif_counter(&f, "rx_frames"), 1);
	ck_assert_uint_eq(fake_netif_counter(&f, "tx_bytes"), 4);
	ck_assert_uint_eq(fake_netif_counter(&f, "tx_dropped"), 6);
	ck_assert_uint_eq(fake_netif_counter(&f, "errors"), 0);
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_net_vhost");

	UNIT_TEST(s, the_kernel_gets_the_rings_where_the_driver_has_put_them);
	UNIT_TEST(s, the_kernel_knows_all_of_ram_and_nothing_else);
	UNIT_TEST(s, without_a_driver_the_kernel_has_no_ring);
	UNIT_TEST(s, a_reset_is_over_when_the_kernel_has_let_go);
	UNIT_TEST(s, a_driver_that_comes_back_at_once_gets_its_new_rings_served);
	UNIT_TEST(s, without_dma_the_kernel_has_no_ring_and_goes_on_where_it_was);
	UNIT_TEST(s, a_queue_that_is_not_enabled_stays);
	UNIT_TEST(s, what_a_driver_writes_into_the_used_ring_moves_nothing);
	UNIT_TEST(s, a_ring_outside_of_ram_never_reaches_the_kernel);
	UNIT_TEST(s, a_kernel_that_does_not_take_a_ring_is_a_device_that_needs_a_reset);
	UNIT_TEST(s, the_kernel_has_the_pairs_that_the_driver_uses);
	UNIT_TEST(s, what_the_kernel_cannot_the_driver_is_not_offered);
	UNIT_TEST(s, the_kernel_learns_what_the_driver_has_chosen_of_what_is_its_business);
	UNIT_TEST(s, a_kernel_without_vhost_or_with_a_very_old_one_is_an_error_of_the_interface);
	UNIT_TEST(s, notifications_are_for_the_kernel_alone);
	UNIT_TEST(s, without_an_eventfd_of_the_transport_interrupts_go_by_the_loop);
	UNIT_TEST(s, interrupts_go_where_the_transport_wants_them_and_none_is_lost_on_the_move);
	UNIT_TEST(s, what_the_kernel_cannot_make_sense_of_stops_the_device_until_a_reset);
	UNIT_TEST(s, an_error_from_before_the_reset_is_none_of_the_new_drivers);
	UNIT_TEST(s, the_link_is_still_told);
	UNIT_TEST(s, what_passes_is_what_the_interface_has_counted);
	return s;
}

UNIT_MAIN("virtio_net_vhost", suite)
