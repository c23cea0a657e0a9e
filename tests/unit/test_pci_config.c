/*
 * test_pci_config.c - PCI configuration space: what can be written, and the two ways to it.
 */
#include "pci_device.h"
#include <errno.h>
#include <vmm/base/bytes.h>

static struct pci_device dev;

static void start(void)
{
	struct err e;

	fake_kvm_init();
	fake_board_init(&f, true);
	ck_ok(device_create(&dev, &e));
}

static void stop(void)
{
	device_destroy(&dev);
	fake_board_fini(&f);
	fake_kvm_fini();
}

static void snapshot(uint8_t *to)
{
	for (unsigned int i = 0; i < PCI_CONFIG_LEN; i++)
		to[i] = (uint8_t)fake_config_read(&f, 1, i, 1);
}

START_TEST(the_bridge_is_at_slot_0_and_devices_follow)
{
	start();
	ck_assert_uint_eq(fake_config_read(&f, 0, PCI_CLASS_DEVICE, 2), 0x0600);
	ck_assert_uint_ne(fake_config_read(&f, 0, PCI_VENDOR_ID, 4), UINT32_MAX);
	ck_assert_uint_eq(fake_config_read(&f, 0, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST, 0);
	ck_assert_uint_eq(dev.func.slot, 1);
	ck_assert_uint_eq(fake_config_read(&f, 1, PCI_VENDOR_ID, 4), 0x56781234);
	ck_assert_uint_eq(fake_config_read(&f, 1, PCI_CLASS_REVISION, 4), 0x01020307);
	ck_assert_uint_eq(fake_config_read(&f, 1, PCI_HEADER_TYPE, 1), 0);
	ck_assert_uint_eq(fake_config_read(&f, 1, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xdef09abc);
	ck_assert_uint_eq(fake_config_read(&f, 1, PCI_INTERRUPT_PIN, 1), 0);
	stop();
}
END_TEST

START_TEST(capabilities_form_a_list)
{
	unsigned int msix, vendor;

	start();
	ck_assert_uint_eq(fake_config_read(&f, 1, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	msix = fake_find_cap(&f, 1, PCI_CAP_ID_MSIX, 0);
	vendor = fake_find_cap(&f, 1, PCI_CAP_ID_VNDR, 0);
	ck_assert_uint_ne(msix, 0);
	ck_assert_uint_eq(vendor, dev.cap);
	ck_assert_uint_eq(fake_config_read(&f, 1, vendor + 2, 1), CAP_LEN);
	ck_assert_uint_eq(fake_find_cap(&f, 1, PCI_CAP_ID_VNDR, 1), 0);
	ck_assert_uint_eq(fake_config_read(&f, 1, msix + PCI_MSIX_FLAGS, 2), N_VECTORS - 1);
	ck_assert_uint_eq(fake_config_read(&f, 1, msix + PCI_MSIX_TABLE, 4), PCI_MSIX_TABLE_AT | 2);
	ck_assert_uint_eq(fake_config_read(&f, 1, msix + PCI_MSIX_PBA, 4), PCI_MSIX_PBA_AT | 2);
	stop();
}
END_TEST

/* The mask of what can be written, byte by byte; by the specification, not by the program. */
static void expected_masks(uint8_t mask[PCI_CONFIG_LEN])
{
	memset(mask, 0, PCI_CONFIG_LEN);
	store_le16(mask + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | 0x400);
	mask[PCI_CACHE_LINE_SIZE] = 0xff;
	store_le64(mask + PCI_BASE_ADDRESS_0, ~(uint64_t)(BAR_LEN - 1));
	store_le64(mask + PCI_BASE_ADDRESS_2, ~(uint64_t)(PCI_MSIX_BAR_LEN - 1));
	store_le16(mask + dev.msix.cap + PCI_MSIX_FLAGS, 0xc000);
	store_le32(mask + dev.cap + 4, 0x00ff00f0);
}

static uint32_t rng(void)
{
	static uint32_t x = 12345;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

START_TEST(each_byte_keeps_what_is_read_only_whatever_is_written)
{
	uint8_t mask[PCI_CONFIG_LEN], before[PCI_CONFIG_LEN], after[PCI_CONFIG_LEN];

	start();
	expected_masks(mask);
	for (unsigned int round = 0; round < 6; round++) {
		for (unsigned int i = 0; i < PCI_CONFIG_LEN; i++) {
			uint8_t val = round == 0 ? 0 : round == 1 ? 0xff : (uint8_t)rng();
			uint8_t was, now;

			snapshot(before);
			was = before[i];
			if (round % 2)
				fake_config_write(&f, 1, i, 1, val);
			else
				fake_cf8_write(&f, 1, i, 1, val);
			snapshot(after);
			now = (uint8_t)((was & ~mask[i]) | (val & mask[i]));
			before[i] = now;
			ck_assert_mem_eq(after, before, PCI_CONFIG_LEN);
		}
	}
	stop();
}
END_TEST

START_TEST(wide_writes_are_as_so_many_bytes)
{
	uint8_t mask[PCI_CONFIG_LEN], want[PCI_CONFIG_LEN], got[PCI_CONFIG_LEN];

	start();
	expected_masks(mask);
	for (unsigned int n = 0; n < 2000; n++) {
		unsigned int size = 1u << rng() % 3, off = rng() % 256 & ~(size - 1);
		uint32_t val = rng();

		snapshot(want);
		for (unsigned int i = 0; i < size; i++)
			want[off + i] = (uint8_t)((want[off + i] & ~mask[off + i]) |
						  ((val >> 8 * i) & mask[off + i]));
		if (n % 2)
			fake_config_write(&f, 1, off, size, val);
		else
			fake_cf8_write(&f, 1, off, size, val);
		snapshot(got);
		ck_assert_mem_eq(got, want, PCI_CONFIG_LEN);
	}
	stop();
}
END_TEST

START_TEST(ecam_and_cf8_show_the_same)
{
	start();
	for (unsigned int slot = 0; slot < PCI_N_SLOTS; slot++) {
		for (unsigned int size = 1; size <= 4; size *= 2) {
			for (unsigned int off = 0; off < 256; off += size)
				ck_assert_uint_eq(fake_config_read(&f, slot, off, size),
						  fake_cf8_read(&f, slot, off, size));
		}
	}
	stop();
}
END_TEST

START_TEST(ecam_takes_any_width_at_any_place)
{
	uint64_t base = FAKE_BOARD_ECAM + 0x8000;
	uint8_t bytes[PCI_CONFIG_LEN], got[16];

	start();
	snapshot(bytes);
	for (unsigned int at = 0; at < PCI_CONFIG_LEN - 16; at++) {
		for (unsigned int len = 1; len <= 16; len++) {
			bus_read(f.mmio, base + at, got, len);
			ck_assert_mem_eq(got, bytes + at, len);
		}
	}
	stop();
}
END_TEST

START_TEST(where_no_function_is_reads_are_all_ones)
{
	static const uint64_t nobody[] = {
		0x10000, /* slot 2 */
		0x9000, /* slot 1, function 1 */
		0xf000,  0xf8000,
		0xfffff, 0x8100, /* no extended configuration space: it is no PCI Express device */
		0x8fff,
	};

	start();
	for (unsigned int i = 0; i < ARRAY_SIZE(nobody); i++) {
		fake_write(&f, FAKE_BOARD_ECAM + nobody[i], 1, 0);
		ck_assert_uint_eq(fake_read(&f, FAKE_BOARD_ECAM + nobody[i], 1), 0xff);
	}
	fake_out(&f, PCI_CONFIG_ADDRESS, 4, 0x80010800); /* bus 1 */
	ck_assert_uint_eq(fake_in(&f, PCI_CONFIG_DATA, 4), UINT32_MAX);
	fake_out(&f, PCI_CONFIG_ADDRESS, 4, 0x80000900); /* function 1 */
	ck_assert_uint_eq(fake_in(&f, PCI_CONFIG_DATA, 4), UINT32_MAX);
	stop();
}
END_TEST

/* What Linux does to find out whether there is configuration mechanism 1, among others. */
START_TEST(the_address_register_is_for_32_bits_only)
{
	start();
	fake_out(&f, PCI_CONFIG_ADDRESS, 4, 0x80000800);
	for (uint16_t i = 0; i < 4; i++) {
		fake_out(&f, (uint16_t)(PCI_CONFIG_ADDRESS + i), 1, 1);
		ck_assert_uint_eq(fake_in(&f, (uint16_t)(PCI_CONFIG_ADDRESS + i), 1), 0xff);
	}
	fake_out(&f, PCI_CONFIG_ADDRESS, 2, 0x1234);
	fake_out(&f, PCI_CONFIG_ADDRESS + 2, 2, 0x1234);
	ck_assert_uint_eq(fake_in(&f, PCI_CONFIG_ADDRESS, 2), 0xffff);
	ck_assert_uint_eq(fake_in(&f, PCI_CONFIG_ADDRESS, 4), 0x80000800);
	fake_out(&f, PCI_CONFIG_ADDRESS, 4, UINT32_MAX);
	ck_assert_uint_eq(fake_in(&f, PCI_CONFIG_ADDRESS, 4), 0x80fffffc);
	fake_out(&f, PCI_CONFIG_ADDRESS + 1, 4, 0); /* across both registers */
	ck_assert_uint_eq(fake_in(&f, PCI_CONFIG_ADDRESS, 4), 0x80fffffc);
	stop();
}
END_TEST

START_TEST(without_the_enable_bit_the_data_port_is_nobodys)
{
	start();
	fake_out(&f, PCI_CONFIG_ADDRESS, 4, 0x00000800);
	ck_assert_uint_eq(fake_in(&f, PCI_CONFIG_DATA, 4), UINT32_MAX);
	fake_out(&f, PCI_CONFIG_ADDRESS, 4, 0x00000804);
	fake_out(&f, PCI_CONFIG_DATA, 4, PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(fake_config_read(&f, 1, PCI_COMMAND, 2), 0);
	stop();
}
END_TEST

START_TEST(a_reset_brings_back_everything)
{
	uint8_t before[PCI_CONFIG_LEN], after[PCI_CONFIG_LEN];

	start();
	snapshot(before);
	for (unsigned int i = 0; i < PCI_CONFIG_LEN; i++)
		fake_config_write(&f, 1, i, 1, rng());
	fake_out(&f, PCI_CONFIG_ADDRESS, 4, 0x80000800);
	pci_func_reset(&dev.func);
	f.bridge->ops->reset(f.bridge);
	ck_assert_uint_eq(fake_in(&f, PCI_CONFIG_ADDRESS, 4), 0);
	snapshot(after);
	ck_assert_mem_eq(before, after, PCI_CONFIG_LEN);
	stop();
}
END_TEST

START_TEST(the_bus_has_31_places)
{
	static struct pci_device more[31];
	struct err e;

	start();
	for (unsigned int i = 0; i < 30; i++) {
		ck_ok(device_create(&more[i], &e));
		ck_assert_uint_eq(more[i].func.slot, i + 2);
		ck_assert_uint_eq(fake_bar(&f, i + 2, 0) % BAR_LEN, 0);
	}
	ck_fails(device_create(&more[30], &e), -ENOSPC, "test0: more than 31 PCI devices");
	pci_msix_fini(&more[30].msix);
	device_destroy(&more[7]); /* a place that is free again */
	ck_ok(device_create(&more[7], &e));
	ck_assert_uint_eq(more[7].func.slot, 9);
	for (unsigned int i = 0; i < 30; i++)
		device_destroy(&more[i]);
	stop();
}
END_TEST

START_TEST(a_bus_without_addresses_left_is_an_error_of_the_host)
{
	static struct pci_device more[2];
	struct err e;

	start();
	stop();
	fake_kvm_init();
	fake_board_init(&f, true);
	f.bridge->ops->destroy(f.bridge);
	f.board.pci32.len = 3 * 8192;
	ck_ok(pci_host_create(&f.bridge, &f.env, &e));
	f.env.pci = pci_host_from(f.bridge);
	ck_ok(device_create(&more[0], &e));
	ck_fails(device_create(&more[1], &e), -ENOSPC, "no addresses left");
	pci_msix_fini(&more[1].msix);
	device_destroy(&more[0]);
	fake_board_fini(&f);
	fake_kvm_fini();
}
END_TEST

START_TEST(taken_ports_and_addresses_are_told)
{
	static const struct bus_ops squatter = { .name = "squatter" };
	struct device *d;
	struct err e;

	start();
	ck_fails(pci_host_create(&d, &f.env, &e), -EBUSY, "pci-host: port 0xcf8");
	stop();
	for (int i = 0; i < 2; i++) {
		struct bus *b;
		uint64_t at = i == 0 ? PCI_CONFIG_DATA + 1 : FAKE_BOARD_ECAM + 5;

		start();
		f.bridge->ops->reset(f.bridge);
		device_destroy(&dev);
		f.bridge->ops->destroy(f.bridge);
		b = i == 0 ? f.pio : f.mmio;
		ck_ok(bus_map(b, at, 1, &squatter, NULL, &e));
		ck_fails(pci_host_create(&f.bridge, &f.env, &e), -EBUSY, "taken by squatter");
		bus_unmap(b, at);
		ck_ok(pci_host_create(&f.bridge, &f.env, &e)); /* nothing was left behind */
		fake_board_fini(&f);
		fake_kvm_fini();
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("pci_config");

	UNIT_TEST(s, the_bridge_is_at_slot_0_and_devices_follow);
	UNIT_TEST(s, capabilities_form_a_list);
	UNIT_TEST(s, each_byte_keeps_what_is_read_only_whatever_is_written);
	UNIT_TEST(s, wide_writes_are_as_so_many_bytes);
	UNIT_TEST(s, ecam_and_cf8_show_the_same);
	UNIT_TEST(s, ecam_takes_any_width_at_any_place);
	UNIT_TEST(s, where_no_function_is_reads_are_all_ones);
	UNIT_TEST(s, the_address_register_is_for_32_bits_only);
	UNIT_TEST(s, without_the_enable_bit_the_data_port_is_nobodys);
	UNIT_TEST(s, a_reset_brings_back_everything);
	UNIT_TEST(s, the_bus_has_31_places);
	UNIT_TEST(s, a_bus_without_addresses_left_is_an_error_of_the_host);
	UNIT_TEST(s, taken_ports_and_addresses_are_told);
	return s;
}

UNIT_MAIN("pci_config", suite)
