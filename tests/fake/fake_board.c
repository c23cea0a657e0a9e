/*
 * fake_board.c - see fake_board.h.
 */
#include "fake_board.h"
#include <check.h>
#include <linux/pci_regs.h>
#include <vmm/base/bug.h>
#include <vmm/base/bytes.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>

void fake_board_init(struct fake_board *f, bool power)
{
	struct err e;

	log_set_level(LOG_ERROR);
	*f = (struct fake_board){
		.board = {
			.ecam = { FAKE_BOARD_ECAM, MIB },
			.pci32 = { FAKE_BOARD_PCI32, 16 * MIB },
			.pci64 = { FAKE_BOARD_PCI64, GIB },
			.mmio = { FAKE_BOARD_MMIO, BOARD_MAX_MMIO_SLOTS * 4096 },
			.mmio_stride = 4096,
			.n_mmio_slots = BOARD_MAX_MMIO_SLOTS,
		},
		.vm.fd = -1,
	};
	for (unsigned int i = 0; i < BOARD_MAX_MMIO_SLOTS; i++)
		f->board.mmio_gsi[i] = FAKE_BOARD_GSI + i;
	VMM_BUG_ON(kvm_sys_open(&f->sys, &e) < 0);
	VMM_BUG_ON(bus_create(&f->pio, "port", UINT16_MAX, &e) < 0);
	VMM_BUG_ON(bus_create(&f->mmio, "address", UINT64_MAX, &e) < 0);
	VMM_BUG_ON(evloop_create(&f->loop, &e) < 0);
	VMM_BUG_ON(gmem_create(&f->mem, &e) < 0);
	VMM_BUG_ON(gmem_add_ram(f->mem, 0, FAKE_BOARD_RAM, &e) < 0);
	f->env = (struct device_env){
		.pio = f->pio,
		.mmio = f->mmio,
		.loop = f->loop,
		.mem = f->mem,
		.vm = &f->vm,
		.board = &f->board,
	};
	VMM_BUG_ON(pci_host_create(&f->bridge, &f->env, &e) < 0);
	f->env.pci = pci_host_from(f->bridge);
	if (power)
		fake_board_power_on(f);
}

void fake_board_power_on(struct fake_board *f)
{
	struct err e;

	VMM_BUG_ON(kvm_vm_create(&f->vm, &f->sys, &e) < 0);
}

void fake_board_power_off(struct fake_board *f)
{
	ck_assert_uint_eq(fake_kvm_irqs().n_mistakes, 0);
	kvm_vm_destroy(&f->vm);
}

void fake_board_fini(struct fake_board *f)
{
	struct fake_kvm_irqs irqs = fake_kvm_irqs();

	ck_assert_uint_eq(irqs.n_irqfds, 0);
	ck_assert_uint_eq(irqs.n_ioeventfds, 0);
	ck_assert_ptr_null(f->vm.irq_table);
	f->bridge->ops->destroy(f->bridge);
	fake_board_power_off(f);
	gmem_destroy(f->mem);
	evloop_destroy(f->loop);
	bus_destroy(f->mmio);
	bus_destroy(f->pio);
	kvm_sys_close(&f->sys);
}

uint64_t fake_read(struct fake_board *f, uint64_t at, unsigned int size)
{
	uint8_t bytes[8] = { 0 };

	bus_read(f->mmio, at, bytes, size);
	return load_le64(bytes);
}

void fake_write(struct fake_board *f, uint64_t at, unsigned int size, uint64_t val)
{
	uint8_t bytes[8];

	store_le64(bytes, val);
	bus_write(f->mmio, at, bytes, size);
}

uint32_t fake_in(struct fake_board *f, uint16_t port, unsigned int size)
{
	uint8_t bytes[4] = { 0 };

	bus_read(f->pio, port, bytes, size);
	return load_le32(bytes);
}

void fake_out(struct fake_board *f, uint16_t port, unsigned int size, uint32_t val)
{
	uint8_t bytes[4];

	store_le32(bytes, val);
	bus_write(f->pio, port, bytes, size);
}

static uint64_t ecam(unsigned int slot, unsigned int off)
{
	return FAKE_BOARD_ECAM + slot * UINT64_C(0x8000) + off;
}

uint32_t fake_config_read(struct fake_board *f, unsigned int slot, unsigned int off,
			  unsigned int size)
{
	return (uint32_t)fake_read(f, ecam(slot, off), size);
}

void fake_config_write(struct fake_board *f, unsigned int slot, unsigned int off, unsigned int size,
		       uint32_t val)
{
	fake_write(f, ecam(slot, off), size, val);
}

static uint16_t cf8_select(struct fake_board *f, unsigned int slot, unsigned int off)
{
	fake_out(f, PCI_CONFIG_ADDRESS, 4, 1u << 31 | slot << 11 | (off & 0xfcu));
	return (uint16_t)(PCI_CONFIG_DATA + off % 4);
}

uint32_t fake_cf8_read(struct fake_board *f, unsigned int slot, unsigned int off, unsigned int size)
{
	return fake_in(f, cf8_select(f, slot, off), size);
}

void fake_cf8_write(struct fake_board *f, unsigned int slot, unsigned int off, unsigned int size,
		    uint32_t val)
{
	fake_out(f, cf8_select(f, slot, off), size, val);
}

unsigned int fake_find_cap(struct fake_board *f, unsigned int slot, uint8_t id, unsigned int n)
{
	unsigned int at = fake_config_read(f, slot, PCI_CAPABILITY_LIST, 1);

	for (unsigned int steps = 0; at != 0; at = fake_config_read(f, slot, at + 1, 1)) {
		ck_assert_uint_lt(steps++, 48); /* the list ends */
		ck_assert_uint_ge(at, PCI_STD_HEADER_SIZEOF);
		ck_assert_uint_eq(at % 4, 0);
		if (fake_config_read(f, slot, at, 1) == id && n-- == 0)
			return at;
	}
	return 0;
}

uint64_t fake_bar(struct fake_board *f, unsigned int slot, unsigned int bar)
{
	unsigned int off = PCI_BASE_ADDRESS_0 + 4 * bar;

	return (fake_config_read(f, slot, off, 4) & ~0xfu) |
	       (uint64_t)fake_config_read(f, slot, off + 4, 4) << 32;
}

void fake_move_bar(struct fake_board *f, unsigned int slot, unsigned int bar, uint64_t at)
{
	unsigned int off = PCI_BASE_ADDRESS_0 + 4 * bar;

	fake_config_write(f, slot, off, 4, (uint32_t)at);
	fake_config_write(f, slot, off + 4, 4, (uint32_t)(at >> 32));
}

void fake_command(struct fake_board *f, unsigned int slot, uint16_t val)
{
	fake_config_write(f, slot, PCI_COMMAND, 2, val);
}

static void stop_loop(void *arg)
{
	evloop_stop(arg);
}

/* A timer, so that what is ready now comes first. */
void fake_idle(struct fake_board *f)
{
	struct ev_timer t = { .fn = stop_loop, .arg = f->loop };

	evloop_timer_set(f->loop, &t, evloop_now_ns() + NS_PER_MS);
	evloop_run(f->loop);
}
