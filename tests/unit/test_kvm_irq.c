/*
 * test_kvm_irq.c - interrupt sources and their routes; notifications without exits. The fake is
 * below: the bare ioctls of kvm_vm.h.
 */
#include "fake_board.h"
#include "unit.h"
#include <errno.h>
#include <pthread.h>
#include <vmm/base/log.h>
#include <vmm/kvm/kvm_ioeventfd.h>
#include <vmm/kvm/kvm_irq.h>

static struct kvm_sys sys;
static struct kvm_vm vm;
static struct kvm_msi last;

static void power_on(void)
{
	struct err e;

	ck_ok(kvm_vm_create(&vm, &sys, &e));
}

/* What the KVM lacks is set before. */
static void start(void)
{
	struct err e;

	log_set_level(LOG_ERROR);
	vm = (struct kvm_vm){ .fd = -1 };
	ck_ok(kvm_sys_open(&sys, &e));
	power_on();
}

static void stop(void)
{
	ck_assert_uint_eq(fake_kvm_irqs().n_mistakes, 0);
	ck_assert_uint_eq(fake_kvm_irqs().n_irqfds, 0);
	ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, 0);
	ck_assert_ptr_null(vm.irq_table);
	kvm_vm_destroy(&vm);
	kvm_sys_close(&sys);
	fake_kvm_fini();
}

static void init(struct kvm_irq_msi *m)
{
	struct err e;

	ck_ok(kvm_irq_msi_init(m, &vm, &e));
}

static void check_fires(struct kvm_irq_msi *m, uint64_t address, uint32_t data)
{
	kvm_irq_msi_fire(m);
	ck_assert_uint_eq(fake_kvm_take_msis(&last), 1);
	ck_assert_uint_eq(last.address_lo, (uint32_t)address);
	ck_assert_uint_eq(last.address_hi, (uint32_t)(address >> 32));
	ck_assert_uint_eq(last.data, data);
}

static void check_silent(struct kvm_irq_msi *m)
{
	kvm_irq_msi_fire(m);
	ck_assert_uint_eq(fake_kvm_take_msis(&last), 0);
}

/* Each way to send a message, from best to plain. */
static void make_kvm(int way)
{
	fake_kvm_init();
	fake_kvm.no_irqfd = way == 1 || way == 3;
	fake_kvm.no_signal_msi = way == 2 || way == 3;
	fake_kvm.no_routing = way == 4;
	fake_kvm.irqfd_error = way == 5 ? ENOMEM : 0;
	fake_kvm.routing_error = way == 6 ? EINVAL : 0;
}
#define N_WAYS 7

START_TEST(a_message_arrives_whatever_this_kvm_can_do)
{
	struct kvm_irq_msi m[3];

	make_kvm(_i);
	start();
	for (int i = 0; i < 3; i++)
		init(&m[i]);
	check_silent(&m[0]);
	for (uint32_t i = 0; i < 3; i++)
		kvm_irq_msi_set(&m[i], 0xfee00000 + (i << 12), 0x30 + i);
	for (uint32_t i = 0; i < 3; i++)
		check_fires(&m[i], 0xfee00000 + (i << 12), 0x30 + i);
	kvm_irq_msi_set(&m[1], UINT64_C(0x500fee01000), 0x99);
	check_fires(&m[1], UINT64_C(0x500fee01000), 0x99);
	check_fires(&m[2], 0xfee02000, 0x32);
	kvm_irq_msi_clear(&m[1]);
	check_silent(&m[1]);
	check_fires(&m[0], 0xfee00000, 0x30);
	check_fires(&m[2], 0xfee02000, 0x32);
	for (int i = 0; i < 3; i++)
		kvm_irq_msi_fini(&m[i]);
	stop();
}
END_TEST

START_TEST(the_pins_keep_the_routes_that_kvm_gave_them)
{
	struct kvm_irq_msi m;
	struct fake_kvm_irqs irqs;
	unsigned int n_ioapic = 0, n_8259 = 0;

	fake_kvm_init();
	start();
	init(&m);
	kvm_irq_msi_set(&m, 0xfee00000, 0x30);
	irqs = fake_kvm_irqs();
	ck_assert_uint_eq(irqs.n_routes, 24 + 16 + 1);
	for (unsigned int i = 0; i < irqs.n_routes; i++) {
		const struct kvm_irq_routing_entry *r = &irqs.routes[i];

		if (r->type == KVM_IRQ_ROUTING_MSI) {
			ck_assert_uint_ge(r->gsi, KVM_IRQ_PINS);
		} else if (r->u.irqchip.irqchip == KVM_IRQCHIP_IOAPIC) {
			ck_assert_uint_eq(r->u.irqchip.pin, r->gsi);
			n_ioapic++;
		} else {
			ck_assert_uint_eq(r->u.irqchip.irqchip, r->gsi < 8 ? KVM_IRQCHIP_PIC_MASTER
									   : KVM_IRQCHIP_PIC_SLAVE);
			ck_assert_uint_eq(r->u.irqchip.pin, r->gsi % 8);
			n_8259++;
		}
	}
	ck_assert_uint_eq(n_ioapic, 24);
	ck_assert_uint_eq(n_8259, 16);
	kvm_irq_msi_fini(&m);
	stop();
}
END_TEST

START_TEST(a_message_that_stays_the_same_costs_nothing)
{
	struct kvm_irq_msi m;

	fake_kvm_init();
	start();
	init(&m);
	for (int i = 0; i < 10; i++)
		kvm_irq_msi_set(&m, 0xfee00000, 0x30);
	ck_assert_uint_eq(fake_kvm_irqs().n_updates, 1);
	kvm_irq_msi_set(&m, 0xfee00000, 0x31);
	ck_assert_uint_eq(fake_kvm_irqs().n_updates, 2);
	ck_assert_uint_eq(fake_kvm_irqs().n_irqfds, 1);
	kvm_irq_msi_fini(&m);
	stop();
}
END_TEST

START_TEST(a_message_that_kvm_refuses_spoils_no_other_one)
{
	struct kvm_irq_msi good, bad;

	make_kvm(_i);
	fake_kvm.refused_msi = 0xbad;
	start();
	init(&bad);
	init(&good);
	kvm_irq_msi_set(&bad, UINT64_C(0xbadfee00000), 1);
	check_silent(&bad);
	kvm_irq_msi_set(&good, 0xfee00000, 2);
	check_fires(&good, 0xfee00000, 2);
	kvm_irq_msi_set(&bad, 0xfee01000, 3);
	check_fires(&bad, 0xfee01000, 3);
	kvm_irq_msi_set(&bad, UINT64_C(0xbadfee00000), 1); /* while it works */
	check_silent(&bad);
	kvm_irq_msi_set(&good, 0xfee00000, 4);
	check_fires(&good, 0xfee00000, 4);
	kvm_irq_msi_fini(&bad);
	kvm_irq_msi_fini(&good);
	stop();
}
END_TEST

START_TEST(gsis_outlive_the_vm_and_routes_do_not)
{
	struct kvm_irq_msi m[2];
	unsigned int gsi;

	make_kvm(_i);
	start();
	init(&m[0]);
	init(&m[1]);
	gsi = m[1].gsi;
	ck_assert_uint_ne(gsi, m[0].gsi);
	for (int boot = 0; boot < 3; boot++) {
		kvm_irq_msi_set(&m[1], 0xfee00000, 7);
		check_fires(&m[1], 0xfee00000, 7);
		kvm_irq_msi_fire(&m[1]); /* and nobody takes it */
		if (boot % 2)
			kvm_irq_msi_clear(&m[1]);
		kvm_vm_destroy(&vm);
		kvm_irq_msi_clear(&m[1]);
		check_silent(&m[1]);
		power_on();
		check_silent(&m[1]);
		ck_assert_uint_eq(m[1].gsi, gsi);
		ck_assert_uint_eq(fake_kvm_irqs().n_irqfds, 0);
		ck_assert_uint_eq(fake_kvm_irqs().n_mistakes, 0);
	}
	kvm_irq_msi_set(&m[1], 0xfee00000, 8);
	ck_assert_uint_eq(fake_kvm_take_msis(&last), 0); /* nothing old is delivered */
	kvm_irq_msi_fini(&m[0]);
	kvm_irq_msi_fini(&m[1]);
	stop();
}
END_TEST

START_TEST(after_a_reset_kvm_has_the_routes_that_it_began_with)
{
	struct kvm_irq_msi m;
	unsigned int before;
	struct err e;

	make_kvm(_i);
	start();
	ck_ok(kvm_irq_reset(&vm, &e)); /* of a machine without any */
	init(&m);
	before = fake_kvm_irqs().n_updates;
	ck_ok(kvm_irq_reset(&vm, &e)); /* nothing has changed: it costs nothing */
	ck_assert_uint_eq(fake_kvm_irqs().n_updates, before);
	for (int boot = 0; boot < 3; boot++) {
		kvm_irq_msi_set(&m, 0xfee00000, 7);
		check_fires(&m, 0xfee00000, 7);
		kvm_irq_msi_clear(&m);
		ck_ok(kvm_irq_reset(&vm, &e));
		fake_kvm_check_irqs_are_reset();
		ck_assert_uint_eq(fake_kvm_irqs().n_mistakes, 0);
		check_silent(&m);
	}
	kvm_irq_msi_fini(&m);
	stop();
}
END_TEST

START_TEST(routes_that_kvm_does_not_take_back_are_an_error)
{
	struct kvm_irq_msi m;
	struct err e;

	make_kvm(0);
	start();
	init(&m);
	kvm_irq_msi_set(&m, 0xfee00000, 7);
	kvm_irq_msi_clear(&m);
	fake_kvm.routing_error = ENOMEM;
	ck_fails(kvm_irq_reset(&vm, &e), -ENOMEM, "KVM_SET_GSI_ROUTING: Cannot allocate");
	fake_kvm.routing_error = 0;
	ck_ok(kvm_irq_reset(&vm, &e));
	fake_kvm_check_irqs_are_reset();
	kvm_irq_msi_fini(&m);
	stop();
}
END_TEST

START_TEST(gsis_of_sources_that_are_gone_are_used_again)
{
	struct kvm_irq_msi m;
	unsigned int gsi;

	fake_kvm_init();
	start();
	for (int i = 0; i < 5000; i++) {
		init(&m);
		if (i == 0)
			gsi = m.gsi;
		ck_assert_uint_eq(m.gsi, gsi);
		kvm_irq_msi_fini(&m);
	}
	kvm_irq_msi_fini(&m); /* zeroed */
	stop();
}
END_TEST

START_TEST(more_routes_than_kvm_has_leave_the_slower_way)
{
	struct kvm_irq_msi m[4];

	fake_kvm_init();
	fake_kvm.max_routes = 24 + 16 + 2;
	start();
	for (uint32_t i = 0; i < 4; i++) {
		init(&m[i]);
		kvm_irq_msi_set(&m[i], 0xfee00000, i);
	}
	ck_assert_uint_eq(fake_kvm_irqs().n_routes, fake_kvm.max_routes);
	for (uint32_t i = 0; i < 4; i++)
		check_fires(&m[i], 0xfee00000, i);
	for (int i = 0; i < 4; i++)
		kvm_irq_msi_fini(&m[i]);
	stop();
}
END_TEST

static void *set_often(void *arg)
{
	struct kvm_irq_msi *m = arg;

	for (uint32_t i = 0; i < 500; i++) {
		kvm_irq_msi_set(m, 0xfee00000, i);
		kvm_irq_msi_fire(m);
		if (i % 7 == 0)
			kvm_irq_msi_clear(m);
	}
	kvm_irq_msi_clear(m);
	return NULL;
}

START_TEST(sources_are_changed_by_several_threads_at_once)
{
	struct kvm_irq_msi m[4];
	pthread_t t[4];

	fake_kvm_init();
	start();
	for (int i = 0; i < 4; i++)
		init(&m[i]);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, set_often, &m[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	kvm_irq_msi_set(&m[0], 0xfee00000, 1);
	ck_assert_uint_eq(fake_kvm_irqs().n_routes, 24 + 16 + 1);
	for (int i = 0; i < 4; i++)
		kvm_irq_msi_fini(&m[i]);
	stop();
}
END_TEST

START_TEST(a_pin_gets_an_edge_with_and_without_irqfd)
{
	struct kvm_irq_pin p;
	struct err e;

	make_kvm(_i);
	start();
	ck_ok(kvm_irq_pin_init(&p, &vm, 11, &e));
	kvm_irq_pin_pulse(&p);
	ck_assert_uint_eq(fake_kvm.n_irq_edges, 1);
	ck_assert_uint_eq(fake_kvm_irqs().last_gsi, 11);
	kvm_irq_pin_connect(&p);
	kvm_irq_pin_connect(&p);
	kvm_irq_pin_pulse(&p);
	ck_assert_uint_eq(fake_kvm.n_irq_edges + fake_kvm_take_pulses(11), 2);
	ck_assert(p.has_irqfd == (!fake_kvm.no_irqfd && !fake_kvm.irqfd_error));
	kvm_irq_pin_disconnect(&p);
	kvm_vm_destroy(&vm);
	kvm_irq_pin_pulse(&p); /* into the void */
	power_on();
	kvm_irq_pin_connect(&p);
	ck_assert_uint_eq(fake_kvm_take_pulses(11), 0);
	kvm_irq_pin_fini(&p);
	kvm_irq_pin_fini(&p);
	stop();
}
END_TEST

START_TEST(a_write_that_kvm_will_not_take_exits)
{
	const struct kvm_ioeventfd_at any = { .address = 0xc0003000 };
	const struct kvm_ioeventfd_at value = {
		.address = 0xe1000050, .width = 4, .match = true, .value = 2
	};
	bool can_any = _i == 0, can_value = _i < 2;

	fake_kvm_init();
	fake_kvm.no_any_length = _i == 1;
	fake_kvm.no_ioeventfd = _i == 2;
	fake_kvm.ioeventfd_error = _i == 3 ? ENOSPC : 0;
	start();
	ck_assert(kvm_ioeventfd_add(&vm, &any, 3) == can_any);
	ck_assert(kvm_ioeventfd_add(&vm, &value, 4) == can_value);
	ck_assert_int_eq(fake_kvm_find_ioeventfd(0xc0003000, 2, 9), can_any ? 3 : -1);
	ck_assert_int_eq(fake_kvm_find_ioeventfd(0xe1000050, 4, 2), can_value ? 4 : -1);
	ck_assert_int_eq(fake_kvm_find_ioeventfd(0xe1000050, 4, 1), -1);
	if (can_any)
		kvm_ioeventfd_del(&vm, &any, 3);
	if (can_value)
		kvm_ioeventfd_del(&vm, &value, 4);
	ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, 0);
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("kvm_irq");

	UNIT_LOOP(s, a_message_arrives_whatever_this_kvm_can_do, N_WAYS);
	UNIT_TEST(s, the_pins_keep_the_routes_that_kvm_gave_them);
	UNIT_TEST(s, a_message_that_stays_the_same_costs_nothing);
	UNIT_LOOP(s, a_message_that_kvm_refuses_spoils_no_other_one, N_WAYS - 1);
	UNIT_LOOP(s, gsis_outlive_the_vm_and_routes_do_not, N_WAYS);
	UNIT_LOOP(s, after_a_reset_kvm_has_the_routes_that_it_began_with, N_WAYS);
	UNIT_TEST(s, routes_that_kvm_does_not_take_back_are_an_error);
	UNIT_TEST(s, gsis_of_sources_that_are_gone_are_used_again);
	UNIT_TEST(s, more_routes_than_kvm_has_leave_the_slower_way);
	UNIT_TEST(s, sources_are_changed_by_several_threads_at_once);
	UNIT_LOOP(s, a_pin_gets_an_edge_with_and_without_irqfd, N_WAYS);
	UNIT_LOOP(s, a_write_that_kvm_will_not_take_exits, 4);
	return s;
}

UNIT_MAIN("kvm_irq", suite)
