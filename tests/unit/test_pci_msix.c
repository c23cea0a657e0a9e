/*
 * test_pci_msix.c - MSI-X: masks, pending bits, messages that change while interrupts fire.
 */
#include "pci_device.h"
#include <pthread.h>
#include <unistd.h>

#define ON (PCI_MSIX_FLAGS_ENABLE)
#define ALL_MASKED (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL)

static struct pci_device dev;
static uint64_t table;
static struct kvm_msi last;

static void flags(uint16_t val)
{
	fake_config_write(&f, 1, dev.msix.cap + PCI_MSIX_FLAGS, 2, val);
}

static void set_word(unsigned int vector, unsigned int word, uint32_t val)
{
	fake_write(&f, table + 16 * vector + 4 * word, 4, val);
}

static uint32_t word(unsigned int vector, unsigned int n)
{
	return (uint32_t)fake_read(&f, table + 16 * vector + 4 * n, 4);
}

static void mask(unsigned int vector, bool on)
{
	set_word(vector, 3, on);
}

static uint32_t pending(void)
{
	return (uint32_t)fake_read(&f, table + PCI_MSIX_PBA_AT, 4);
}

static void set_message(unsigned int vector, uint32_t address, uint32_t data)
{
	set_word(vector, 0, address);
	set_word(vector, 1, 0);
	set_word(vector, 2, data);
}

/* With a KVM that has it all, and one that has only the plainest way. */
static void start(int plain)
{
	struct err e;

	fake_kvm_init();
	fake_kvm.no_irqfd = fake_kvm.no_ioeventfd = plain;
	fake_board_init(&f, true);
	ck_ok(device_create(&dev, &e));
	table = fake_bar(&f, 1, 2);
	fake_command(&f, 1, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (uint32_t i = 0; i < N_VECTORS; i++)
		set_message(i, 0xfee00000 + (i << 12), 0x40 + i);
}

static void stop(void)
{
	device_destroy(&dev);
	fake_board_fini(&f);
	fake_kvm_fini();
}

static unsigned int n_sent(void)
{
	return fake_kvm_take_msis(&last);
}

static void check_sent(unsigned int vector)
{
	ck_assert_uint_eq(n_sent(), 1);
	ck_assert_uint_eq(last.address_lo, 0xfee00000 + (vector << 12));
	ck_assert_uint_eq(last.data, 0x40 + vector);
}

START_TEST(a_vector_sends_its_message)
{
	start(_i);
	flags(ON);
	for (unsigned int i = 0; i < N_VECTORS; i++) {
		mask(i, false);
		pci_msix_fire(&dev.msix, i);
		check_sent(i);
		ck_assert_uint_eq(pending(), 0);
	}
	stop();
}
END_TEST

START_TEST(what_fires_while_masked_is_sent_once_when_unmasked)
{
	start(_i);
	flags(ON);
	for (unsigned int i = 0; i < N_VECTORS; i++) {
		for (int n = 0; n < 3; n++)
			pci_msix_fire(&dev.msix, i);
		ck_assert_uint_eq(n_sent(), 0);
		ck_assert_uint_eq(pending(), 1u << i);
		mask(i, false);
		check_sent(i);
		ck_assert_uint_eq(pending(), 0);
		mask(i, true);
		mask(i, false);
		ck_assert_uint_eq(n_sent(), 0);
	}
	stop();
}
END_TEST

START_TEST(the_function_mask_holds_back_all_vectors)
{
	start(_i);
	flags(ALL_MASKED);
	for (unsigned int i = 0; i < N_VECTORS; i++) {
		mask(i, i == 2);
		pci_msix_fire(&dev.msix, i);
	}
	ck_assert_uint_eq(n_sent(), 0);
	ck_assert_uint_eq(pending(), (1u << N_VECTORS) - 1);
	flags(ON);
	ck_assert_uint_eq(n_sent(), N_VECTORS - 1);
	ck_assert_uint_eq(pending(), 1u << 2);
	mask(2, false);
	check_sent(2);
	stop();
}
END_TEST

START_TEST(without_bus_mastering_messages_stay_pending)
{
	start(_i);
	flags(ON);
	mask(1, false);
	fake_command(&f, 1, PCI_COMMAND_MEMORY);
	pci_msix_fire(&dev.msix, 1);
	ck_assert_uint_eq(n_sent(), 0);
	ck_assert_uint_eq(pending(), 1u << 1);
	fake_command(&f, 1, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	check_sent(1);
	stop();
}
END_TEST

START_TEST(what_fires_while_msix_is_off_is_lost)
{
	start(_i);
	mask(0, false);
	pci_msix_fire(&dev.msix, 0);
	ck_assert_uint_eq(pending(), 0);
	flags(ON);
	ck_assert_uint_eq(n_sent(), 0);
	pci_msix_fire(&dev.msix, 1); /* masked */
	flags(0);
	flags(ON);
	ck_assert_uint_eq(pending(), 0);
	mask(1, false);
	ck_assert_uint_eq(n_sent(), 0);
	flags(0);
	ck_assert_uint_eq(fake_kvm_irqs().n_irqfds, 0);
	stop();
}
END_TEST

START_TEST(a_message_that_changes_while_masked_is_the_one_that_is_sent)
{
	start(_i);
	flags(ON);
	mask(3, false);
	pci_msix_fire(&dev.msix, 3);
	check_sent(3);
	mask(3, true);
	pci_msix_fire(&dev.msix, 3);
	set_message(3, 0xfee05000, 0x99);
	ck_assert_uint_eq(n_sent(), 0);
	mask(3, false);
	ck_assert_uint_eq(n_sent(), 1);
	ck_assert_uint_eq(last.data, 0x99);
	set_word(3, 2, 0x9a); /* not masked: undefined, but not for us */
	pci_msix_fire(&dev.msix, 3);
	ck_assert_uint_eq(n_sent(), 1);
	ck_assert_uint_eq(last.data, 0x9a);
	stop();
}
END_TEST

/* Eventfds for a device in the kernel -------------------------------------------------------- */

static void write_to(int fd)
{
	const uint64_t one = 1;

	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
}

static unsigned int n_changed;

static void on_change(struct pci_msix *x)
{
	(void)x;
	n_changed++;
}

START_TEST(who_writes_to_a_vectors_eventfd_sends_its_message)
{
	int fd;

	start(0);
	ck_assert_int_lt(pci_msix_fd(&dev.msix, 1), 0); /* MSI-X is off */
	flags(ON);
	mask(1, false);
	fd = pci_msix_fd(&dev.msix, 1);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pci_msix_fd(&dev.msix, 1), fd);
	write_to(fd);
	check_sent(1);
	pci_msix_fire(&dev.msix, 1); /* it is still ours, too */
	check_sent(1);
	stop();
}
END_TEST

START_TEST(what_is_written_while_masked_is_pending_and_sent_when_unmasked)
{
	int fd;

	start(0);
	flags(ON);
	mask(2, _i);
	fd = pci_msix_fd(&dev.msix, 2); /* before and after it has ever been unmasked */
	ck_assert_int_ge(fd, 0);
	mask(2, true);
	ck_assert_uint_eq(pending(), 0);
	write_to(fd);
	ck_assert_uint_eq(n_sent(), 0);
	ck_assert_uint_eq(pending(), 1u << 2);
	write_to(fd);
	mask(2, false);
	ck_assert_uint_ge(n_sent(), 1);
	ck_assert_uint_eq(last.data, 0x42);
	ck_assert_uint_eq(pending(), 0);
	flags(ALL_MASKED);
	write_to(fd);
	ck_assert_uint_eq(n_sent(), 0);
	set_message(2, 0xfee07000, 0x77);
	flags(ON); /* pending bits that nobody has read are sent, too */
	ck_assert_uint_eq(n_sent(), 1);
	ck_assert_uint_eq(last.data, 0x77);
	stop();
}
END_TEST

START_TEST(an_eventfd_is_taken_back_when_msix_ends_and_what_is_in_it_is_lost)
{
	int fd;

	start(0);
	flags(ON);
	mask(0, false);
	fd = pci_msix_fd(&dev.msix, 0);
	dev.msix.fds_changed = on_change;
	n_changed = 0;
	mask(0, true);
	mask(0, false);
	ck_assert_uint_eq(n_changed, 0);
	mask(0, true);
	write_to(fd);
	flags(0);
	ck_assert_uint_eq(n_changed, 1);
	ck_assert_int_lt(pci_msix_fd(&dev.msix, 0), 0);
	flags(ON);
	ck_assert_uint_eq(n_changed, 2);
	mask(0, false);
	ck_assert_uint_eq(n_sent(), 0);
	stop();
}
END_TEST

START_TEST(without_irqfd_there_is_no_eventfd)
{
	start(1);
	flags(ON);
	mask(0, false);
	ck_assert_int_lt(pci_msix_fd(&dev.msix, 0), 0);
	mask(0, true);
	ck_assert_int_lt(pci_msix_fd(&dev.msix, 0), 0);
	pci_msix_fire(&dev.msix, 0);
	mask(0, false);
	check_sent(0);
	stop();
}
END_TEST

START_TEST(a_message_that_kvm_refuses_takes_the_eventfd_back)
{
	start(0);
	fake_kvm.refused_msi = 0x1234;
	flags(ON);
	mask(0, false);
	ck_assert_int_ge(pci_msix_fd(&dev.msix, 0), 0);
	dev.msix.fds_changed = on_change;
	n_changed = 0;
	set_word(0, 1, 0x1234);
	ck_assert_uint_eq(n_changed, 1);
	ck_assert_int_lt(pci_msix_fd(&dev.msix, 0), 0);
	set_word(0, 1, 0);
	ck_assert_int_ge(pci_msix_fd(&dev.msix, 0), 0);
	stop();
}
END_TEST

START_TEST(masking_costs_no_call_to_kvm)
{
	unsigned int n;

	start(0);
	flags(ON);
	mask(0, false);
	n = fake_kvm_irqs().n_updates;
	ck_assert_uint_eq(n, 1);
	for (int i = 0; i < 100; i++) {
		mask(0, true);
		flags(ALL_MASKED);
		flags(ON);
		mask(0, false);
	}
	ck_assert_uint_eq(fake_kvm_irqs().n_updates, n);
	stop();
}
END_TEST

START_TEST(the_table_holds_what_can_be_held)
{
	start(0);
	for (unsigned int v = 0; v < N_VECTORS; v++) {
		for (unsigned int n = 0; n < 4; n++) {
			static const uint32_t masks[] = { ~3u, ~0u, ~0u, 1 };

			set_word(v, n, UINT32_MAX);
			ck_assert_uint_eq(word(v, n), masks[n]);
			set_word(v, n, 0);
			ck_assert_uint_eq(word(v, n), 0);
		}
		fake_write(&f, table + 16 * v, 8, UINT64_C(0x1122334455667788));
		ck_assert_uint_eq(fake_read(&f, table + 16 * v, 8), UINT64_C(0x1122334455667788));
		ck_assert_uint_eq(word(v, 1), 0x11223344);
	}
	stop();
}
END_TEST

START_TEST(other_widths_and_holes_are_answered)
{
	start(0);
	for (unsigned int at = 0; at < PCI_MSIX_BAR_LEN; at++) {
		unsigned int entry_end = 16 * N_VECTORS;
		bool hole = at >= entry_end && !(at >= PCI_MSIX_PBA_AT && at < PCI_MSIX_PBA_AT + 4);

		ck_assert_uint_eq(fake_read(&f, table + at, 1), 0xff);
		fake_write(&f, table + at, 1, 0xa5);
		if (at % 2 == 0)
			ck_assert_uint_eq(fake_read(&f, table + at, 2), 0xffff);
		fake_write(&f, table + at, 2, 0xa5a5);
		if (at % 4 == 0 && hole) {
			fake_write(&f, table + at, 4, 0xa5a5a5a5);
			ck_assert_uint_eq(fake_read(&f, table + at, 4), UINT32_MAX);
		}
	}
	for (uint32_t v = 0; v < N_VECTORS; v++) {
		ck_assert_uint_eq(word(v, 0), 0xfee00000 + (v << 12)); /* nothing has changed */
		ck_assert_uint_eq(word(v, 2), 0x40 + v);
		ck_assert_uint_eq(word(v, 3), 1);
	}
	fake_write(&f, table + PCI_MSIX_PBA_AT, 4, UINT32_MAX);
	fake_write(&f, table + PCI_MSIX_PBA_AT, 8, UINT64_MAX);
	ck_assert_uint_eq(pending(), 0);
	ck_assert_uint_eq(fake_read(&f, table + PCI_MSIX_PBA_AT, 8), 0xffffffff00000000);
	stop();
}
END_TEST

START_TEST(any_message_a_guest_makes_up_is_survived)
{
	start(_i);
	fake_kvm.refused_msi = 0xffffffff;
	flags(ON);
	for (unsigned int v = 0; v < N_VECTORS; v++)
		mask(v, false);
	set_word(0, 1, 0xffffffff);
	pci_msix_fire(&dev.msix, 0);
	ck_assert_uint_eq(n_sent(), 0);
	pci_msix_fire(&dev.msix, 1);
	check_sent(1);
	set_word(0, 1, 0);
	pci_msix_fire(&dev.msix, 0);
	check_sent(0);
	stop();
}
END_TEST

START_TEST(a_reset_masks_and_forgets)
{
	start(_i);
	flags(ON);
	mask(0, false);
	pci_msix_fire(&dev.msix, 1);
	pci_func_reset(&dev.func);
	fake_command(&f, 1, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	ck_assert_uint_eq(pending(), 0);
	for (unsigned int v = 0; v < N_VECTORS; v++) {
		for (unsigned int n = 0; n < 4; n++)
			ck_assert_uint_eq(word(v, n), n == 3);
	}
	ck_assert(!pci_msix_enabled(&dev.msix));
	pci_msix_fire(&dev.msix, 0);
	ck_assert_uint_eq(n_sent(), 0);
	set_message(0, 0xfee00000, 0x40);
	flags(ON);
	mask(0, false);
	pci_msix_fire(&dev.msix, 0);
	check_sent(0);
	stop();
}
END_TEST

static void *fire_often(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < 3000; i++)
		pci_msix_fire(&dev.msix, i % N_VECTORS);
	return NULL;
}

static void *rewrite(void *arg)
{
	unsigned int seed = *(unsigned int *)arg;

	for (unsigned int i = 0; i < 1500; i++) {
		seed = seed * 1103515245 + 12345;
		set_word(seed >> 8 & 3, seed >> 12 & 3, seed);
		if (i % 10 == 0)
			flags((uint16_t)(seed & ALL_MASKED));
		if (i % 50 == 0)
			fake_command(&f, 1, i % 100 ? 7 : 3);
		if (i % 70 == 0)
			fake_command(&f, 1, i % 140 ? 6 : 4);
	}
	return NULL;
}

START_TEST(everything_may_change_while_interrupts_fire)
{
	static unsigned int seeds[] = { 1, 77 };
	pthread_t t[4];

	start(_i);
	flags(ON);
	ck_assert_int_eq(pthread_create(&t[0], NULL, fire_often, NULL), 0);
	ck_assert_int_eq(pthread_create(&t[1], NULL, fire_often, NULL), 0);
	ck_assert_int_eq(pthread_create(&t[2], NULL, rewrite, &seeds[0]), 0);
	ck_assert_int_eq(pthread_create(&t[3], NULL, rewrite, &seeds[1]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	fake_command(&f, 1, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	flags(ON);
	mask(2, true);
	set_message(2, 0xfee02000, 0x42);
	mask(2, false);
	(void)n_sent();
	pci_msix_fire(&dev.msix, 2);
	check_sent(2);
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("pci_msix");

	UNIT_LOOP(s, a_vector_sends_its_message, 2);
	UNIT_LOOP(s, what_fires_while_masked_is_sent_once_when_unmasked, 2);
	UNIT_LOOP(s, the_function_mask_holds_back_all_vectors, 2);
	UNIT_LOOP(s, without_bus_mastering_messages_stay_pending, 2);
	UNIT_LOOP(s, what_fires_while_msix_is_off_is_lost, 2);
	UNIT_LOOP(s, a_message_that_changes_while_masked_is_the_one_that_is_sent, 2);
	UNIT_TEST(s, masking_costs_no_call_to_kvm);
	UNIT_TEST(s, who_writes_to_a_vectors_eventfd_sends_its_message);
	UNIT_LOOP(s, what_is_written_while_masked_is_pending_and_sent_when_unmasked, 2);
	UNIT_TEST(s, an_eventfd_is_taken_back_when_msix_ends_and_what_is_in_it_is_lost);
	UNIT_TEST(s, without_irqfd_there_is_no_eventfd);
	UNIT_TEST(s, a_message_that_kvm_refuses_takes_the_eventfd_back);
	UNIT_TEST(s, the_table_holds_what_can_be_held);
	UNIT_TEST(s, other_widths_and_holes_are_answered);
	UNIT_LOOP(s, any_message_a_guest_makes_up_is_survived, 2);
	UNIT_LOOP(s, a_reset_masks_and_forgets, 2);
	UNIT_LOOP(s, everything_may_change_while_interrupts_fire, 2);
	return s;
}

UNIT_MAIN("pci_msix", suite)
