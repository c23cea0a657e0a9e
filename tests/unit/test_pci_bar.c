/*
 * test_pci_bar.c - BARs: sized, moved anywhere, onto each other, switched off, while others look.
 */
#include "pci_device.h"
#include <pthread.h>

static struct pci_device a, b;
static uint64_t home; /* of a's BAR 0 */

static void start(void)
{
	struct err e;

	fake_kvm_init();
	fake_board_init(&f, true);
	ck_ok(device_create(&a, &e));
	ck_ok(device_create(&b, &e));
	home = fake_bar(&f, 1, 0);
}

static void stop(void)
{
	device_destroy(&a);
	device_destroy(&b);
	fake_board_fini(&f);
	fake_kvm_fini();
}

START_TEST(at_power_on_bars_have_addresses_and_are_not_decoded)
{
	start();
	ck_assert_uint_ge(home, FAKE_BOARD_PCI32);
	for (unsigned int slot = 1; slot <= 2; slot++) {
		for (unsigned int bar = 0; bar <= 2; bar += 2) {
			ck_assert_uint_ne(fake_bar(&f, slot, bar), 0);
			ck_assert_uint_eq(fake_read(&f, fake_bar(&f, slot, bar), 4), UINT32_MAX);
		}
	}
	ck_assert_uint_ne(fake_bar(&f, 2, 0), home);
	ck_assert(!answers(&a, home));
	fake_command(&f, 1, PCI_COMMAND_MEMORY);
	ck_assert(answers(&a, home));
	ck_assert_uint_eq(a.at, home);
	ck_assert(!answers(&b, fake_bar(&f, 2, 0)));
	fake_command(&f, 1, 0);
	ck_assert(!answers(&a, home));
	ck_assert_uint_eq(a.at, PCI_NOWHERE);
	stop();
}
END_TEST

/* 6.2.5.1: write all ones, read back, mask, invert, add one. With decoding off and on. */
START_TEST(sizing_tells_the_size_and_leaves_no_trace)
{
	static const uint64_t sizes[] = { BAR_LEN, PCI_MSIX_BAR_LEN };

	start();
	for (unsigned int on = 0; on < 2; on++) {
		fake_command(&f, 1, on ? PCI_COMMAND_MEMORY : 0);
		for (unsigned int bar = 0; bar <= 2; bar += 2) {
			uint64_t was = fake_bar(&f, 1, bar);
			unsigned int off = PCI_BASE_ADDRESS_0 + 4 * bar;

			ck_assert_uint_eq(fake_config_read(&f, 1, off, 4) & 0xf, 4);
			fake_config_write(&f, 1, off, 4, UINT32_MAX);
			fake_config_write(&f, 1, off + 4, 4, UINT32_MAX);
			ck_assert_uint_eq(~fake_bar(&f, 1, bar) + 1, sizes[bar / 2]);
			ck_assert_uint_eq(fake_config_read(&f, 1, off, 4) & 0xf, 4);
			fake_move_bar(&f, 1, bar, was);
		}
		ck_assert(answers(&a, home) == on);
	}
	for (unsigned int off = PCI_BASE_ADDRESS_4; off <= PCI_ROM_ADDRESS; off += 4) {
		if (off == PCI_SUBSYSTEM_VENDOR_ID)
			continue;
		fake_config_write(&f, 1, off, 4, UINT32_MAX);
		ck_assert_uint_eq(fake_config_read(&f, 1, off, 4), 0); /* there is no such BAR */
	}
	stop();
}
END_TEST

START_TEST(a_bar_moves_within_the_windows_and_nowhere_else)
{
	static const struct {
		uint64_t at;
		bool decoded;
	} places[] = {
		{ FAKE_BOARD_PCI32 + 0x100000, true },
		{ FAKE_BOARD_PCI64, true },
		{ FAKE_BOARD_PCI64 + GIB - BAR_LEN, true }, /* its last */
		{ FAKE_BOARD_PCI64 + GIB, false },
		{ FAKE_BOARD_PCI32 + 16 * MIB - BAR_LEN, true },
		{ FAKE_BOARD_PCI32 + 16 * MIB, false },
		{ FAKE_BOARD_PCI32 - BAR_LEN, false },
		{ 0, false },
		{ 0x10000, false }, /* RAM */
		{ FAKE_BOARD_RAM - BAR_LEN, false },
		{ FAKE_BOARD_ECAM, false },
		{ FAKE_BOARD_ECAM + 0x8000, false },
		{ FAKE_BOARD_MMIO, false },
		{ 0xfec00000, false }, /* I/O APIC */
		{ 0xfee00000, false },
		{ 0xfffffffffffffffe & ~(uint64_t)(BAR_LEN - 1), false },
		{ UINT64_C(1) << 52, false },
		{ UINT64_C(1) << 63, false },
	};

	start();
	fake_command(&f, 1, PCI_COMMAND_MEMORY);
	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		uint64_t at = places[i].at;

		fake_move_bar(&f, 1, 0, at);
		ck_assert(!answers(&a, home));
		ck_assert_uint_eq(fake_bar(&f, 1, 0), at); /* the register holds it all the same */
		ck_assert(answers(&a, at) == places[i].decoded);
		ck_assert_uint_eq(a.at, places[i].decoded ? at : PCI_NOWHERE);
		ck_assert_uint_eq(fake_config_read(&f, 1, 0, 4), 0x56781234); /* ECAM is there */
	}
	fake_move_bar(&f, 1, 0, home);
	ck_assert(answers(&a, home));
	stop();
}
END_TEST

START_TEST(of_two_bars_at_one_place_the_first_is_decoded_until_it_goes)
{
	uint64_t other;

	start();
	other = fake_bar(&f, 2, 0);
	fake_command(&f, 1, PCI_COMMAND_MEMORY);
	fake_command(&f, 2, PCI_COMMAND_MEMORY);
	fake_move_bar(&f, 2, 0, home);
	ck_assert(answers(&a, home));
	ck_assert_uint_eq(b.at, PCI_NOWHERE);
	fake_command(&f, 1, 0);
	ck_assert(answers(&b, home));
	fake_command(&f, 1, PCI_COMMAND_MEMORY);
	ck_assert(answers(&b, home));
	fake_move_bar(&f, 2, 0, other);
	ck_assert(answers(&a, home));
	ck_assert(answers(&b, other));
	stop();
}
END_TEST

START_TEST(two_bars_can_change_places_in_any_order)
{
	uint64_t other;

	start();
	other = fake_bar(&f, 2, 0);
	fake_command(&f, 1, PCI_COMMAND_MEMORY);
	fake_command(&f, 2, PCI_COMMAND_MEMORY);
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t of_a = i == 0 ? other : home, of_b = i == 0 ? home : other;

		fake_move_bar(&f, i + 1, 0, i == 0 ? of_a : of_b);
		fake_move_bar(&f, 2 - i, 0, i == 0 ? of_b : of_a);
		ck_assert(answers(&a, of_a));
		ck_assert(answers(&b, of_b));
	}
	stop();
}
END_TEST

START_TEST(bars_of_one_function_may_collide_too)
{
	start();
	fake_command(&f, 1, PCI_COMMAND_MEMORY);
	fake_move_bar(&f, 1, 2, home + PCI_MSIX_BAR_LEN); /* into the second half of BAR 0 */
	ck_assert(answers(&a, home));
	fake_move_bar(&f, 1, 0, home + 0x100000);
	ck_assert(answers(&a, home + 0x100000));
	ck_assert_uint_eq(fake_read(&f, home + PCI_MSIX_BAR_LEN + 12, 4), 1); /* MSI-X now */
	stop();
}
END_TEST

START_TEST(a_reset_takes_bars_off_and_home)
{
	start();
	fake_command(&f, 1, PCI_COMMAND_MEMORY);
	fake_move_bar(&f, 1, 0, FAKE_BOARD_PCI64);
	ck_assert(answers(&a, FAKE_BOARD_PCI64));
	pci_func_reset(&a.func);
	ck_assert(!answers(&a, FAKE_BOARD_PCI64));
	ck_assert_uint_eq(fake_bar(&f, 1, 0), home);
	ck_assert(!answers(&a, home));
	fake_command(&f, 1, PCI_COMMAND_MEMORY);
	ck_assert(answers(&a, home));
	stop();
}
END_TEST

START_TEST(no_move_is_told_twice)
{
	start();
	fake_command(&f, 1, PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(a.n_moves, 1);
	for (int i = 0; i < 3; i++) {
		fake_move_bar(&f, 1, 0, home);
		fake_command(&f, 1, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	}
	ck_assert_uint_eq(a.n_moves, 1);
	fake_command(&f, 1, 0);
	ck_assert_uint_eq(a.n_moves, 2);
	stop();
}
END_TEST

START_TEST(registers_can_be_reached_besides_the_bus)
{
	start();
	ck_assert_uint_eq(pci_func_bar_read(&a.func, 0, 8, 4), 0xa0010008);
	pci_func_bar_write(&a.func, 0, BAR_LEN - 4, 4, 77);
	ck_assert_uint_eq(a.last, 77);
	for (unsigned int bar = 1; bar < 300; bar += bar == 1 ? 2 : 1)
		ck_assert_uint_eq(pci_func_bar_read(&a.func, bar, 0, 4), UINT32_MAX);
	ck_assert_uint_eq(pci_func_bar_read(&a.func, 0, BAR_LEN, 4), UINT32_MAX);
	ck_assert_uint_eq(pci_func_bar_read(&a.func, 0, UINT32_MAX, 1), UINT32_MAX);
	ck_assert_uint_eq(pci_func_bar_read(&a.func, 0, 2, 4), UINT32_MAX);
	pci_func_bar_write(&a.func, 0, 1, 2, 78);
	pci_func_bar_write(&a.func, 1, 0, 4, 78);
	ck_assert_uint_eq(a.last, 77);
	stop();
}
END_TEST

static atomic_bool done;

static void *look(void *arg)
{
	(void)arg;
	while (!atomic_load(&done)) {
		uint64_t val = fake_read(&f, home + 8, 4);

		ck_assert(val == UINT32_MAX || val == 0xa0010008 || val == 0xa0020008);
		fake_read(&f, FAKE_BOARD_PCI64 + 8, 4);
		fake_config_read(&f, 1, PCI_BASE_ADDRESS_0, 4);
	}
	return NULL;
}

static void *enable_and_disable(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < 300; i++)
		fake_cf8_write(&f, 2, PCI_COMMAND, 2, i % 2 ? PCI_COMMAND_MEMORY : 0);
	return NULL;
}

START_TEST(bars_come_and_go_while_other_vcpus_use_them)
{
	pthread_t t[3], other;

	start();
	atomic_store(&done, false);
	atomic_store(&a.slow, true);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, look, NULL), 0);
	fake_move_bar(&f, 2, 0, home); /* onto a's */
	ck_assert_int_eq(pthread_create(&other, NULL, enable_and_disable, NULL), 0);
	for (unsigned int i = 0; i < 300; i++) {
		fake_command(&f, 1, PCI_COMMAND_MEMORY);
		fake_move_bar(&f, 1, 0, i % 2 ? FAKE_BOARD_PCI64 : home);
		fake_command(&f, 1, 0);
		/* Nobody is inside any more once the write has returned. */
		ck_assert_uint_eq(atomic_load(&a.n_inside), 0);
	}
	pthread_join(other, NULL);
	atomic_store(&done, true);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_eq(a.at, PCI_NOWHERE);
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("pci_bar");

	UNIT_TEST(s, at_power_on_bars_have_addresses_and_are_not_decoded);
	UNIT_TEST(s, sizing_tells_the_size_and_leaves_no_trace);
	UNIT_TEST(s, a_bar_moves_within_the_windows_and_nowhere_else);
	UNIT_TEST(s, of_two_bars_at_one_place_the_first_is_decoded_until_it_goes);
	UNIT_TEST(s, two_bars_can_change_places_in_any_order);
	UNIT_TEST(s, bars_of_one_function_may_collide_too);
	UNIT_TEST(s, a_reset_takes_bars_off_and_home);
	UNIT_TEST(s, no_move_is_told_twice);
	UNIT_TEST(s, registers_can_be_reached_besides_the_bus);
	UNIT_SLOW(s, bars_come_and_go_while_other_vcpus_use_them);
	return s;
}

UNIT_MAIN("pci_bar", suite)
