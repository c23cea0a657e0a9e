/*
 * e820.c - where RAM is, for the VMM and for the guest.
 *
 * Life of a VM: while the machine is built. Main thread.
 * Source: ACPI 6.4, chapter 15 "System Address Map Interfaces".
 */
#include "memmap.h"
#include "x86.h"
#include <string.h>

int arch_add_ram(struct gmem *m, uint64_t bytes, struct err *e)
{
	uint64_t low = min_u64(bytes, MAP_HOLE);

	if (gmem_add_ram(m, 0, low, e) < 0)
		return e->code;
	return bytes > low ? gmem_add_ram(m, MAP_ABOVE_4G, bytes - low, e) : 0;
}

/*
 * Interrupts of the slots: the free ISA lines first, as those work for a kernel without ACPI, too,
 * by the 8259s; then the inputs that only the I/O APIC has. Taken are 0 timer, 1 keyboard, 2
 * cascade, 3 and 4 serial ports, 8 clock, 9 ACPI, 13 FPU.
 */
static const unsigned int mmio_gsi[BOARD_MAX_MMIO_SLOTS] = { 5,  6,  7,  10, 11, 12, 14, 15,
							     16, 17, 18, 19, 20, 21, 22, 23 };

void arch_board(uint64_t ram_bytes, struct board *out)
{
	uint64_t end = MAP_ABOVE_4G + (ram_bytes > MAP_HOLE ? ram_bytes - MAP_HOLE : 0);

	*out = (struct board){
		.ecam = { MAP_ECAM, MAP_ECAM_LEN },
		.pci32 = { MAP_PCI32, MAP_PCI32_LEN },
		.pci64 = { align_up(end, GIB), MAP_PCI64_LEN },
		.mmio = { MAP_VIRTIO_MMIO, MAP_VIRTIO_MMIO_STRIDE * BOARD_MAX_MMIO_SLOTS },
		.mmio_stride = MAP_VIRTIO_MMIO_STRIDE,
		.n_mmio_slots = BOARD_MAX_MMIO_SLOTS,
	};
	memcpy(out->mmio_gsi, mmio_gsi, sizeof(mmio_gsi));
}

struct e820_walk {
	struct e820_entry *map;
	unsigned int n;
	uint64_t low;
};

static void add(struct e820_walk *w, uint64_t at, uint64_t end, uint32_t type)
{
	w->map[w->n++] = (struct e820_entry){ at, end - at, type };
}

static int add_region(void *arg, unsigned int index, gpa_t base, uint64_t len, void *host)
{
	struct e820_walk *w = arg;

	(void)index;
	(void)host;
	if (base > 0) {
		add(w, base, base + len, E820_RAM);
		return 0;
	}
	w->low = len;
	add(w, 0, MAP_EBDA, E820_RAM);
	add(w, MAP_EBDA, 0xa0000, E820_RESERVED);
	add(w, MAP_ACPI, MAP_ACPI_END, E820_ACPI);
	add(w, MAP_ACPI_END, MAP_LOW_END, E820_RESERVED);
	add(w, MAP_HIGH_RAM, len, E820_RAM);
	/* PCI Firmware 3.2, 4.1.2: a kernel takes MCFG's word for it only if it is reserved. */
	add(w, MAP_ECAM, MAP_ECAM + MAP_ECAM_LEN, E820_RESERVED);
	return 0;
}

unsigned int e820_build(struct e820_entry *map, const struct gmem *m)
{
	struct e820_walk w = { .map = map };

	gmem_each_region(m, add_region, &w);
	return w.n;
}

uint64_t e820_low_ram(const struct gmem *m)
{
	struct e820_entry map[E820_MAX];
	struct e820_walk w = { .map = map };

	gmem_each_region(m, add_region, &w);
	return w.low;
}
