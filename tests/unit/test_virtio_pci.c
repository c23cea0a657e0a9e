/*
 * test_virtio_pci.c - the PCI transport: capabilities, registers and vectors (VIRTIO 1.2, 4.1), and
 * the rules of both transports.
 */
#include "transport.h"
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <pthread.h>
#include <stdatomic.h>
#include <vmm/pci/pci_msix.h>
#include <vmm/virtio/virtio_pci.h>

#define SLOT 1u
#define N_VECTORS (QUEUES + 1)

struct area {
	uint64_t at;
	uint32_t len;
	unsigned int cap;
};
static struct area common, notifications, isr, config;
static uint32_t multiplier;
static unsigned int msix_cap;
static struct kvm_msi last;

static uint32_t get(unsigned int off, unsigned int size)
{
	return (uint32_t)fake_read(&f, common.at + off, size);
}

static void put(unsigned int off, unsigned int size, uint32_t val)
{
	fake_write(&f, common.at + off, size, val);
}

static uint32_t cfg(unsigned int off, unsigned int size)
{
	return fake_config_read(&f, SLOT, off, size);
}

/* Finds the first capability of the type, and where it leads. */
static struct area find_area(uint8_t type)
{
	for (unsigned int n = 0;; n++) {
		unsigned int cap = fake_find_cap(&f, SLOT, PCI_CAP_ID_VNDR, n);
		uint64_t bar;

		if (cap == 0)
			return (struct area){ 0 };
		if (cfg(cap + VIRTIO_PCI_CAP_CFG_TYPE, 1) != type)
			continue;
		bar = fake_bar(&f, SLOT, cfg(cap + VIRTIO_PCI_CAP_BAR, 1));
		return (struct area){
			.at = bar + cfg(cap + VIRTIO_PCI_CAP_OFFSET, 4),
			.len = cfg(cap + VIRTIO_PCI_CAP_LENGTH, 4),
			.cap = cap,
		};
	}
}

static int t_create(struct device **out, struct virtio_dev *v, struct err *e)
{
	return virtio_pci_create(out, &f.env, v, e);
}

static void find_areas(void)
{
	common = find_area(VIRTIO_PCI_CAP_COMMON_CFG);
	notifications = find_area(VIRTIO_PCI_CAP_NOTIFY_CFG);
	isr = find_area(VIRTIO_PCI_CAP_ISR_CFG);
	config = find_area(VIRTIO_PCI_CAP_DEVICE_CFG);
	multiplier = cfg(notifications.cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
	msix_cap = fake_find_cap(&f, SLOT, PCI_CAP_ID_MSIX, 0);
}

static void t_find(void)
{
	fake_command(&f, SLOT, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	find_areas();
}

static uint8_t t_status(void)
{
	return (uint8_t)get(VIRTIO_PCI_COMMON_STATUS, 1);
}

static void t_set_status(uint8_t status)
{
	put(VIRTIO_PCI_COMMON_STATUS, 1, status);
}

static uint32_t t_offered(uint32_t word)
{
	put(VIRTIO_PCI_COMMON_DFSELECT, 4, word);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_DFSELECT, 4), word);
	return get(VIRTIO_PCI_COMMON_DF, 4);
}

static void t_set_features(uint32_t word, uint32_t bits)
{
	put(VIRTIO_PCI_COMMON_GFSELECT, 4, word);
	put(VIRTIO_PCI_COMMON_GF, 4, bits);
}

static void t_select(uint32_t qi)
{
	put(VIRTIO_PCI_COMMON_Q_SELECT, 2, qi);
}

static uint32_t t_size(void)
{
	return get(VIRTIO_PCI_COMMON_Q_SIZE, 2);
}

static void t_set_size(uint32_t size)
{
	put(VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
}

static void t_set_rings(uint64_t desc, uint64_t avail, uint64_t used)
{
	fake_write(&f, common.at + VIRTIO_PCI_COMMON_Q_DESCLO, 8, desc); /* two of 32 bits */
	put(VIRTIO_PCI_COMMON_Q_AVAILLO, 4, (uint32_t)avail);
	put(VIRTIO_PCI_COMMON_Q_AVAILHI, 4, (uint32_t)(avail >> 32));
	put(VIRTIO_PCI_COMMON_Q_USEDLO, 4, (uint32_t)used);
	put(VIRTIO_PCI_COMMON_Q_USEDHI, 4, (uint32_t)(used >> 32));
}

static uint32_t t_enabled(void)
{
	return get(VIRTIO_PCI_COMMON_Q_ENABLE, 2);
}

static void t_enable(uint32_t val)
{
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 2, val);
}

static void set_msix(bool on)
{
	fake_config_write(&f, SLOT, msix_cap + PCI_MSIX_FLAGS, 2, on ? PCI_MSIX_FLAGS_ENABLE : 0);
}

static void t_vectors(void)
{
	uint64_t table = fake_bar(&f, SLOT, 2);

	set_msix(true);
	for (uint32_t i = 0; i < N_VECTORS; i++) {
		fake_write(&f, table + 16 * i, 8, 0xfee00000);
		fake_write(&f, table + 16 * i + 8, 4, 0x40 + i);
		fake_write(&f, table + 16 * i + 12, 4, 0);
	}
	put(VIRTIO_PCI_COMMON_MSIX, 2, 0);
	for (uint32_t qi = 0; qi < QUEUES; qi++) {
		t_select(qi);
		put(VIRTIO_PCI_COMMON_Q_MSIX, 2, 1 + qi);
	}
}

static uint64_t t_notify_at(unsigned int qi)
{
	return notifications.at + (uint64_t)multiplier * qi;
}

static void t_notify_write(uint32_t qi)
{
	fake_write(&f, t_notify_at(qi), 2, qi);
}

static unsigned int t_take_interrupts(void)
{
	return fake_kvm_take_msis(&last);
}

static uint64_t t_config_at(void)
{
	return config.at;
}

static uint64_t t_regs_at(void)
{
	return fake_bar(&f, SLOT, 0);
}

static uint64_t t_regs_len(void)
{
	return rng() % 2 ? 64 : 0x4000;
}

/* What a driver finds ------------------------------------------------------------------------ */

START_TEST(the_function_says_what_it_is)
{
	transport_start(0);
	ck_assert_uint_eq(cfg(PCI_VENDOR_ID, 2), 0x1af4);
	ck_assert_uint_eq(cfg(PCI_DEVICE_ID, 2), 0x1040 + FAKE_ECHO_ID);
	ck_assert_uint_eq(cfg(PCI_CLASS_REVISION, 4), 0xff010201);
	ck_assert_uint_eq(cfg(PCI_SUBSYSTEM_VENDOR_ID, 2), 0x1af4);
	ck_assert_uint_ge(cfg(PCI_SUBSYSTEM_ID, 2), 0x40);
	ck_assert_uint_eq(cfg(PCI_INTERRUPT_PIN, 1), 0);
	ck_assert_uint_eq(cfg(msix_cap + PCI_MSIX_FLAGS, 2), N_VECTORS - 1);
	transport_stop();
}
END_TEST

START_TEST(the_capabilities_lead_into_the_bar_and_do_not_overlap)
{
	const struct area *areas[] = { &common, &notifications, &isr, &config };
	uint64_t bar;

	transport_start(0);
	bar = fake_bar(&f, SLOT, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(areas); i++) {
		const struct area *a = areas[i];

		ck_assert_uint_ge(a->at, bar);
		ck_assert_uint_le(a->at + a->len, bar + 0x4000);
		ck_assert_uint_eq(a->at % 4, 0);
		for (unsigned int k = 0; k < i; k++)
			ck_assert(a->at >= areas[k]->at + areas[k]->len ||
				  areas[k]->at >= a->at + a->len);
	}
	ck_assert_uint_eq(common.len, 56);
	ck_assert_uint_eq(isr.len, 1);
	ck_assert_uint_eq(config.len, FAKE_ECHO_CONFIG);
	ck_assert_uint_eq(multiplier, 4);
	ck_assert_uint_eq(notifications.len, 4 * QUEUES);
	ck_assert_uint_eq(cfg(common.cap + VIRTIO_PCI_CAP_LEN, 1), 16);
	ck_assert_uint_eq(cfg(notifications.cap + VIRTIO_PCI_CAP_LEN, 1), 20);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
	for (uint32_t qi = 0; qi < QUEUES; qi++) {
		t_select(qi);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_NOFF, 2), qi);
	}
	transport_stop();
}
END_TEST

/* Registers ---------------------------------------------------------------------------------- */

/* Offset and width of each field (4.1.4.3). */
static const struct {
	unsigned int off, size;
} fields[] = {
	{ 0, 4 },  { 4, 4 },  { 8, 4 },  { 12, 4 }, { 16, 2 }, { 18, 2 }, { 20, 1 },
	{ 21, 1 }, { 22, 2 }, { 24, 2 }, { 26, 2 }, { 28, 2 }, { 30, 2 }, { 32, 4 },
	{ 36, 4 }, { 40, 4 }, { 44, 4 }, { 48, 4 }, { 52, 4 },
};

static bool is_field(unsigned int off, unsigned int size)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].off == off && fields[i].size == size)
			return true;
	}
	return false;
}

START_TEST(fields_have_one_width_each)
{
	transport_start(0);
	run_device(1);
	t_select(0);
	for (unsigned int off = 0; off < 64; off++) {
		for (unsigned int size = 1; size <= 4; size *= 2) {
			uint32_t ones = size == 4 ? UINT32_MAX : (1u << 8 * size) - 1;

			if (off % size || is_field(off, size))
				continue;
			ck_assert_uint_eq(get(off, size), ones);
			put(off, size, 0);
			put(off, size, ones);
		}
	}
	ck_assert_uint_eq(t_status(), RUNNING);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), 1);
	check_echo(0);
	transport_stop();
}
END_TEST

START_TEST(read_only_fields_stay)
{
	static const struct {
		unsigned int off, size;
	} fixed[] = {
		{ VIRTIO_PCI_COMMON_DF, 4 },
		{ VIRTIO_PCI_COMMON_NUMQ, 2 },
		{ VIRTIO_PCI_COMMON_CFGGENERATION, 1 },
		{ VIRTIO_PCI_COMMON_Q_NOFF, 2 },
	};

	transport_start(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(fixed); i++) {
		uint32_t was = get(fixed[i].off, fixed[i].size);

		put(fixed[i].off, fixed[i].size, ~was);
		ck_assert_uint_eq(get(fixed[i].off, fixed[i].size), was);
	}
	transport_stop();
}
END_TEST

START_TEST(selectors_and_addresses_read_back)
{
	transport_start(0);
	put(VIRTIO_PCI_COMMON_GFSELECT, 4, 0xdeadbeef);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_GFSELECT, 4), 0xdeadbeef);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_GF, 4), 0);
	t_set_features(1, 5);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_GF, 4), 5);
	t_select(0xfffe);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SELECT, 2), 0xfffe);
	t_select(1);
	t_set_rings(UINT64_C(0x1111222233334440), UINT64_C(0x5555666677778880), 0x9990);
	ck_assert_uint_eq(fake_read(&f, common.at + VIRTIO_PCI_COMMON_Q_DESCLO, 8),
			  UINT64_C(0x1111222233334440));
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_AVAILLO, 4), 0x77778880);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_AVAILHI, 4), 0x55556666);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_USEDLO, 4), 0x9990);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_USEDHI, 4), 0);
	transport_stop();
}
END_TEST

START_TEST(holes_of_the_bar_are_all_ones)
{
	const struct area *areas[] = { &common, &isr, &config };

	transport_start(0);
	for (uint64_t off = 0; off < 0x4000; off += 4) {
		uint64_t at = fake_bar(&f, SLOT, 0) + off;
		bool inside = false;

		for (unsigned int i = 0; i < ARRAY_SIZE(areas); i++)
			inside |= at >= areas[i]->at - 3 && at < areas[i]->at + areas[i]->len;
		if (inside)
			continue;
		ck_assert_uint_eq(fake_read(&f, at, 4), UINT32_MAX);
		fake_write(&f, at, 4, 0);
	}
	run_device(1);
	check_echo(0);
	transport_stop();
}
END_TEST

START_TEST(a_notification_may_have_any_width_and_value)
{
	transport_start(1);
	run_device(1);
	for (unsigned int size = 1; size <= 4; size *= 2) {
		unsigned int n = echo->n_ready[0];

		fake_write(&f, t_notify_at(0), size, 0xffffffff);
		fake_idle(&f);
		ck_assert_uint_eq(echo->n_ready[0], n + 1);
		fake_write(&f, t_notify_at(0) + size, 1, 0); /* but the address is one */
		fake_idle(&f);
		ck_assert_uint_eq(echo->n_ready[0], n + 1);
	}
	transport_stop();
}
END_TEST

/* Vectors ------------------------------------------------------------------------------------ */

START_TEST(vectors_out_of_range_read_back_as_none)
{
	static const uint32_t bad[] = { N_VECTORS, N_VECTORS + 1, 0x7fff, 0x8000, 0xfffe, 0xffff };

	transport_start(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		put(VIRTIO_PCI_COMMON_MSIX, 2, 1);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_MSIX, 2), 1);
		put(VIRTIO_PCI_COMMON_MSIX, 2, bad[i]);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		t_select(2);
		put(VIRTIO_PCI_COMMON_Q_MSIX, 2, 3);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), 3);
		put(VIRTIO_PCI_COMMON_Q_MSIX, 2, bad[i]);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		t_select(QUEUES + i); /* no such queue */
		put(VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	}
	transport_stop();
}
END_TEST

START_TEST(each_source_has_the_vector_that_it_was_given)
{
	transport_start(_i);
	run_device(1);
	check_echo(0);
	ck_assert_uint_eq(last.data, 0x41);
	virtio_dev_lock(&echo->v);
	virtio_dev_config_changed(&echo->v);
	virtio_dev_unlock(&echo->v);
	ck_assert_uint_eq(t_take_interrupts(), 1);
	ck_assert_uint_eq(last.data, 0x40);
	t_select(0);
	put(VIRTIO_PCI_COMMON_Q_MSIX, 2, 3); /* while it runs */
	check_echo(1);
	ck_assert_uint_eq(last.data, 0x43);
	put(VIRTIO_PCI_COMMON_Q_MSIX, 2, 0); /* shared with the configuration's */
	check_echo(2);
	ck_assert_uint_eq(last.data, 0x40);
	put(VIRTIO_PCI_COMMON_MSIX, 2, VIRTIO_MSI_NO_VECTOR);
	virtio_dev_lock(&echo->v);
	virtio_dev_config_changed(&echo->v);
	virtio_dev_unlock(&echo->v);
	ck_assert_uint_eq(t_take_interrupts(), 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_CFGGENERATION, 1), 2);
	transport_stop();
}
END_TEST

START_TEST(a_reset_of_the_device_forgets_vectors_and_keeps_pci)
{
	transport_start(0);
	run_device(7);
	put(VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	t_set_status(0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_DFSELECT, 4), 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SELECT, 2), 0);
	for (uint32_t qi = 0; qi < QUEUES; qi++) {
		t_select(qi);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	}
	ck_assert_uint_eq(cfg(PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	ck_assert(cfg(msix_cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE);
	ck_assert_uint_eq(fake_read(&f, fake_bar(&f, SLOT, 2) + 8, 4), 0x40);
	transport_stop();
}
END_TEST

START_TEST(the_isr_tells_and_forgets)
{
	transport_start(0);
	run_device(1);
	set_msix(false);
	ck_assert_uint_eq(fake_read(&f, isr.at, 1), 0);
	gmem_store_le16(f.mem, rings(0) + 0x1002, 1); /* one chain, of descriptor 0: empty */
	notify(0);
	fake_idle(&f);
	ck_assert_uint_eq(t_take_interrupts(), 0);
	ck_assert_uint_eq(cfg(PCI_STATUS, 2), PCI_STATUS_CAP_LIST | PCI_STATUS_INTERRUPT);
	for (unsigned int size = 2; size <= 4; size *= 2)
		ck_assert_uint_eq((uint16_t)fake_read(&f, isr.at, size), 0xffff);
	fake_write(&f, isr.at, 1, 0); /* read-only */
	virtio_dev_lock(&echo->v);
	virtio_dev_config_changed(&echo->v);
	virtio_dev_unlock(&echo->v);
	ck_assert_uint_eq(fake_read(&f, isr.at, 1), 3);
	ck_assert_uint_eq(fake_read(&f, isr.at, 1), 0);
	ck_assert_uint_eq(cfg(PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	set_msix(true);
	(void)t_take_interrupts();
	virtio_dev_lock(&echo->v);
	virtio_dev_config_changed(&echo->v);
	virtio_dev_unlock(&echo->v);
	ck_assert_uint_eq(cfg(PCI_STATUS, 2), PCI_STATUS_CAP_LIST); /* MSI-X tells it */
	ck_assert_uint_eq(fake_read(&f, isr.at, 1), 2);
	transport_stop();
}
END_TEST

/* The window in configuration space (4.1.4.9) ------------------------------------------------ */

static unsigned int window;

static void aim(unsigned int bar, uint32_t off, uint32_t len)
{
	fake_config_write(&f, SLOT, window + VIRTIO_PCI_CAP_BAR, 1, bar);
	fake_config_write(&f, SLOT, window + VIRTIO_PCI_CAP_OFFSET, 4, off);
	fake_config_write(&f, SLOT, window + VIRTIO_PCI_CAP_LENGTH, 4, len);
}

static uint32_t peek(uint32_t off, uint32_t len)
{
	aim(0, off, len);
	return fake_cf8_read(&f, SLOT, window + sizeof(struct virtio_pci_cap), len);
}

static void poke(uint32_t off, uint32_t len, uint32_t val)
{
	aim(0, off, len);
	fake_cf8_write(&f, SLOT, window + sizeof(struct virtio_pci_cap), len, val);
}

START_TEST(a_driver_can_work_through_configuration_space_alone)
{
	uint32_t base;

	transport_start(1);
	window = find_area(VIRTIO_PCI_CAP_PCI_CFG).cap;
	ck_assert_uint_ne(window, 0);
	fake_command(&f, SLOT, PCI_COMMAND_MASTER); /* no BAR is decoded */
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_NUMQ, 2), 0xffff);
	base = (uint32_t)(common.at - fake_bar(&f, SLOT, 0));
	ck_assert_uint_eq(peek(base + VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
	poke(base + VIRTIO_PCI_COMMON_STATUS, 1, ACK);
	poke(base + VIRTIO_PCI_COMMON_STATUS, 1, DRIVER);
	poke(base + VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	poke(base + VIRTIO_PCI_COMMON_GF, 4, 1);
	poke(base + VIRTIO_PCI_COMMON_STATUS, 1, FEATURES);
	ck_assert_uint_eq(peek(base + VIRTIO_PCI_COMMON_STATUS, 1), FEATURES);
	poke(base + VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x10000);
	poke(base + VIRTIO_PCI_COMMON_Q_AVAILLO, 4, 0x11000);
	poke(base + VIRTIO_PCI_COMMON_Q_USEDLO, 4, 0x12000);
	poke(base + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	poke(base + VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
	fake_idle(&f);
	ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, 0);
	echo->n_ready[0] = 0;
	poke((uint32_t)(notifications.at - fake_bar(&f, SLOT, 0)), 2, 0);
	fake_idle(&f);
	ck_assert_uint_eq(echo->n_ready[0], 1);
	aim(2, 12, 4); /* the MSI-X table, too */
	ck_assert_uint_eq(cfg(window + 16, 4), 1);
	transport_stop();
}
END_TEST

START_TEST(the_window_leads_to_registers_and_nowhere_else)
{
	static const struct {
		unsigned int bar;
		uint32_t off, len;
	} bad[] = {
		{ 0, 20, 0 },
		{ 0, 20, 3 },
		{ 0, 20, 8 },
		{ 0, 20, UINT32_MAX },
		{ 0, 0x4000, 1 },
		{ 0, UINT32_MAX, 1 },
		{ 0, UINT32_MAX - 3, 4 },
		{ 0, 21, 2 },
		{ 0, 18, 4 },
		{ 0, 0x2001, 2 }, /* the device's configuration, which has registers of any width */
		{ 0, 0x2001, 4 },
		{ 1, 0, 1 },
		{ 2, 4096, 4 },
		{ 3, 0, 4 },
		{ 4, 0, 4 },
		{ 5, 0, 4 },
		{ 6, 0, 4 },
		{ 7, 0, 4 },
		{ 255, 0, 4 },
		{ 0, 0x80000000, 4 },
	};

	transport_start(0);
	window = find_area(VIRTIO_PCI_CAP_PCI_CFG).cap;
	run_device(1);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		aim(bad[i].bar, bad[i].off, bad[i].len);
		ck_assert_uint_eq(cfg(window + 16, 4), UINT32_MAX);
		fake_config_write(&f, SLOT, window + 16, 4, 0);
		fake_config_write(&f, SLOT, window + 16, 1, 0);
		ck_assert_uint_eq(cfg(window + VIRTIO_PCI_CAP_LENGTH, 4), bad[i].len);
	}
	ck_assert_uint_eq(t_status(), RUNNING);
	check_echo(0);
	transport_stop();
}
END_TEST

START_TEST(configuration_space_survives_every_byte)
{
	transport_start(0);
	for (unsigned int n = 0; n < 20000; n++) {
		unsigned int off = n < 256 * 3 ? n % 256 : rng() % 256;
		uint8_t val = n < 256 ? 0 : n < 512 ? 0xff : (uint8_t)rng();

		fake_config_write(&f, SLOT, off, 1, val);
		fake_config_read(&f, SLOT, off, 1);
		ck_assert_uint_eq(cfg(PCI_VENDOR_ID, 2), 0x1af4);
	}
	dev->ops->reset(dev);
	t_find();
	run_device(1);
	check_echo(0);
	transport_stop();
}
END_TEST

/* BARs that move ----------------------------------------------------------------------------- */

START_TEST(notifications_follow_the_bar)
{
	static const uint64_t places[] = { FAKE_BOARD_PCI64, FAKE_BOARD_PCI32 + 0x800000 };
	uint64_t old;

	transport_start(_i);
	run_device(7);
	for (uint16_t n = 0; n < 6; n++) {
		unsigned int want = _i == 1 || _i == 3 ? 0 : QUEUES;

		old = t_notify_at(0);
		fake_move_bar(&f, SLOT, 0, places[n % 2]);
		find_areas();
		ck_assert_uint_ne(t_notify_at(0), old);
		ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, want);
		ck_assert_int_eq(fake_kvm_find_ioeventfd(old, 2, 0), -1);
		check_echo(n);
	}
	fake_command(&f, SLOT, PCI_COMMAND_MASTER);
	ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, 0);
	fake_move_bar(&f, SLOT, 0, FAKE_BOARD_PCI64 + 0x100000);
	ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, 0);
	t_find();
	check_echo(6);
	fake_move_bar(&f, SLOT, 0, 0x10000); /* onto RAM */
	ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, 0);
	transport_stop();
}
END_TEST

START_TEST(no_notification_is_registered_for_a_device_that_is_out_of_sight)
{
	uint32_t base;

	transport_start(0);
	window = find_area(VIRTIO_PCI_CAP_PCI_CFG).cap;
	negotiate(0);
	setup_queue(0);
	base = (uint32_t)(common.at - fake_bar(&f, SLOT, 0));
	fake_command(&f, SLOT, 0);
	poke(base + VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
	ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, 0);
	t_find();
	ck_assert_uint_eq(fake_kvm_irqs().n_ioeventfds, 1);
	transport_stop();
}
END_TEST

/* PCI Express Base 5.0, 7.5.1.1.3: what a kernel counts on when it hands over to the next one. */
START_TEST(without_bus_mastering_the_device_leaves_ram_alone)
{
	transport_start(0);
	run_device(1);
	check_echo(0);
	fake_command(&f, SLOT, PCI_COMMAND_MEMORY);
	ck_assert(!virtio_dev_queue_runs(&echo->v, 0));
	fake_command(&f, SLOT, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	ck_assert(virtio_dev_queue_runs(&echo->v, 0));
	check_echo(1);
	transport_stop();
}
END_TEST

static atomic_bool done;

static void *move_around(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < 400; i++) {
		fake_move_bar(&f, SLOT, 0, i % 2 ? FAKE_BOARD_PCI64 : FAKE_BOARD_PCI32);
		fake_command(&f, SLOT, i % 3 ? 6 : 4);
		fake_config_write(&f, SLOT, msix_cap + PCI_MSIX_FLAGS, 2, i % 5 ? 0x8000 : 0xc000);
	}
	return NULL;
}

static void *use_registers(void *arg)
{
	uint64_t at = *(const uint64_t *)arg;
	uint32_t x = (uint32_t)at | 1;

	while (!atomic_load(&done)) {
		x = x * 1664525 + 1013904223;
		fake_read(&f, at + (x >> 8 & 0x3f), 1u << (x >> 20 & 3));
		fake_write(&f, at + (x >> 8 & 0x3f), 1u << (x >> 20 & 3), x >> 24);
		fake_write(&f, at + 0x3000, 2, 0);
		if ((x >> 16 & 15) == 0)
			fake_write(&f, at + 20, 1, 0);
	}
	return NULL;
}

static void *reset_storm(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < 300; i++) {
		for (unsigned int k = 0; k < 2; k++) {
			uint64_t at = k ? FAKE_BOARD_PCI64 : FAKE_BOARD_PCI32;

			fake_write(&f, at + 20, 1, 0);
			fake_write(&f, at + 20, 1, ACK);
			fake_write(&f, at + 20, 1, DRIVER);
			fake_write(&f, at + 8, 4, 1);
			fake_write(&f, at + 12, 4, 1);
			fake_write(&f, at + 20, 1, FEATURES);
			fake_write(&f, at + 28, 2, 1);
			fake_write(&f, at + 20, 1, RUNNING);
		}
	}
	return NULL;
}

START_TEST(resets_moves_and_notifications_may_come_all_at_once)
{
	static const uint64_t places[] = { FAKE_BOARD_PCI64, FAKE_BOARD_PCI32 };
	pthread_t t[4];

	transport_start(_i);
	run_device(1);
	atomic_store(&done, false);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(
			pthread_create(&t[i], NULL, use_registers, (void *)(uintptr_t)&places[i]),
			0);
	ck_assert_int_eq(pthread_create(&t[2], NULL, move_around, NULL), 0);
	ck_assert_int_eq(pthread_create(&t[3], NULL, reset_storm, NULL), 0);
	for (int i = 0; i < 50; i++)
		fake_idle(&f);
	pthread_join(t[2], NULL);
	pthread_join(t[3], NULL);
	atomic_store(&done, true);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	ck_assert_uint_eq(fake_kvm_irqs().n_mistakes, 0);
	fake_move_bar(&f, SLOT, 0, FAKE_BOARD_PCI32);
	t_find();
	set_msix(true);
	run_device(7);
	check_echo(0);
	transport_stop();
}
END_TEST

START_TEST(a_bus_that_is_full_leaves_the_device_to_its_owner)
{
	static struct device *more[40];
	struct fake_echo *one;
	unsigned int n = 0;
	struct err e;

	transport_start(1);
	for (;; n++) {
		one = fake_echo_create(&f.env);
		if (virtio_pci_create(&more[n], &f.env, &one->v, &e) < 0)
			break;
	}
	ck_assert_uint_eq(n, 30);
	ck_assert_int_eq(e.code, -ENOSPC);
	virtio_dev_destroy(&one->v);
	while (n-- > 0)
		more[n]->ops->destroy(more[n]);
	transport_stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_pci");

	TRANSPORT_TESTS(s);
	UNIT_TEST(s, the_function_says_what_it_is);
	UNIT_TEST(s, the_capabilities_lead_into_the_bar_and_do_not_overlap);
	UNIT_TEST(s, fields_have_one_width_each);
	UNIT_TEST(s, read_only_fields_stay);
	UNIT_TEST(s, selectors_and_addresses_read_back);
	UNIT_TEST(s, holes_of_the_bar_are_all_ones);
	UNIT_TEST(s, a_notification_may_have_any_width_and_value);
	UNIT_TEST(s, vectors_out_of_range_read_back_as_none);
	UNIT_LOOP(s, each_source_has_the_vector_that_it_was_given, N_KVMS);
	UNIT_TEST(s, a_reset_of_the_device_forgets_vectors_and_keeps_pci);
	UNIT_TEST(s, the_isr_tells_and_forgets);
	UNIT_TEST(s, a_driver_can_work_through_configuration_space_alone);
	UNIT_TEST(s, the_window_leads_to_registers_and_nowhere_else);
	UNIT_TEST(s, configuration_space_survives_every_byte);
	UNIT_LOOP(s, notifications_follow_the_bar, N_KVMS);
	UNIT_TEST(s, no_notification_is_registered_for_a_device_that_is_out_of_sight);
	UNIT_TEST(s, without_bus_mastering_the_device_leaves_ram_alone);
	UNIT_LOOP(s, resets_moves_and_notifications_may_come_all_at_once, N_KVMS);
	UNIT_TEST(s, a_bus_that_is_full_leaves_the_device_to_its_owner);
	return s;
}

UNIT_MAIN("virtio_pci", suite)
