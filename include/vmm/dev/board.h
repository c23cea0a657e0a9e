/*
 * board.h - where things are on the board that no guest can find by probing: PCI's windows and the
 * sockets for virtio-mmio devices.
 *
 * Filled once by arch_board(), then read-only: devices map themselves accordingly, and the
 * description of the hardware (ACPI, FDT) tells the guest.
 */
#ifndef VMM_DEV_BOARD_H
#define VMM_DEV_BOARD_H
#include <stdint.h>

#define BOARD_MAX_MMIO_SLOTS 16u

struct board_range { /* guest-physical; none of them overlaps RAM or another one */
	uint64_t base, len; /* bytes */
};

struct board {
	struct board_range ecam; /* 1 MiB for each bus, from bus 0 */
	struct board_range pci32; /* for BARs below 4 GiB; all are put here at power-on */
	struct board_range pci64; /* for BARs that the guest moves above 4 GiB */

	struct board_range mmio; /* virtio-mmio: one slot behind the other */
	uint32_t mmio_stride; /* bytes; a page, so that each slot can be mapped alone */
	unsigned int n_mmio_slots;
	unsigned int mmio_gsi[BOARD_MAX_MMIO_SLOTS]; /* edge-triggered */
};

static inline uint64_t board_mmio_slot(const struct board *b, unsigned int slot)
{
	return b->mmio.base + (uint64_t)slot * b->mmio_stride;
}

#endif
