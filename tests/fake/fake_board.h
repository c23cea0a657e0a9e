/*
 * fake_board.h - a machine around PCI and virtio devices: two buses, a host bridge, RAM, a loop,
 * and a VM on the fake KVM.
 *
 * Accesses are those of a vCPU, on the thread that calls.
 */
#ifndef TESTS_FAKE_BOARD_H
#define TESTS_FAKE_BOARD_H
#include "fake_kvm.h"
#include <vmm/bus/bus.h>
#include <vmm/dev/board.h>
#include <vmm/dev/device.h>
#include <vmm/host/evloop.h>
#include <vmm/mem/gmem.h>
#include <vmm/pci/pci_host.h>

#define FAKE_BOARD_RAM (UINT64_C(1) << 20)
#define FAKE_BOARD_PCI32 UINT64_C(0xc0000000)
#define FAKE_BOARD_PCI64 UINT64_C(0x100000000)
#define FAKE_BOARD_ECAM UINT64_C(0xe0000000)
#define FAKE_BOARD_MMIO UINT64_C(0xe1000000)
#define FAKE_BOARD_GSI 5u /* of slot 0; the others follow */

struct fake_board {
	struct device_env env; /* what create functions want; pci included */
	struct board board;
	struct bus *pio, *mmio;
	struct evloop *loop;
	struct gmem *mem;
	struct kvm_sys sys;
	struct kvm_vm vm;
	struct device *bridge;
};

/* Set what fake_kvm lacks between the two: init() makes the VM if power is true. */
void fake_board_init(struct fake_board *f, bool power);
void fake_board_power_on(struct fake_board *f); /* a new VM in the same place */
void fake_board_power_off(struct fake_board *f);
/* Wants the devices destroyed. Nothing may be left in KVM, and there were no mistakes. */
void fake_board_fini(struct fake_board *f);

uint64_t fake_read(struct fake_board *f, uint64_t at, unsigned int size);
void fake_write(struct fake_board *f, uint64_t at, unsigned int size, uint64_t val);
uint32_t fake_in(struct fake_board *f, uint16_t port, unsigned int size);
void fake_out(struct fake_board *f, uint16_t port, unsigned int size, uint32_t val);

/* Configuration space, function 0: by ECAM, and by ports 0xcf8 and 0xcfc. */
uint32_t fake_config_read(struct fake_board *f, unsigned int slot, unsigned int off,
			  unsigned int size);
void fake_config_write(struct fake_board *f, unsigned int slot, unsigned int off, unsigned int size,
		       uint32_t val);
uint32_t fake_cf8_read(struct fake_board *f, unsigned int slot, unsigned int off,
		       unsigned int size);
void fake_cf8_write(struct fake_board *f, unsigned int slot, unsigned int off, unsigned int size,
		    uint32_t val);

/* The n-th capability with this id, from 0; 0: there is none. */
unsigned int fake_find_cap(struct fake_board *f, unsigned int slot, uint8_t id, unsigned int n);
uint64_t fake_bar(struct fake_board *f, unsigned int slot, unsigned int bar);
void fake_move_bar(struct fake_board *f, unsigned int slot, unsigned int bar, uint64_t at);
void fake_command(struct fake_board *f, unsigned int slot, uint16_t val);

/* Runs the loop until nothing is left to do. */
void fake_idle(struct fake_board *f);

#endif
