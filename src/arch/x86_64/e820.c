/*
 * e820.c - where RAM is, for the VMM and for the guest.
 *
 * Life of a VM: while the machine is built. Main thread.
 * Source: ACPI 6.4, chapter 15 "System Address Map Interfaces".
 */
#include "memmap.h"
#include "x86.h"

int arch_add_ram(struct gmem *m, uint64_t bytes, struct err *e)
{
	uint64_t low = min_u64(bytes, MAP_HOLE);

	if (gmem_add_ram(m, 0, low, e) < 0)
		return e->code;
	return bytes > low ? gmem_add_ram(m, MAP_ABOVE_4G, bytes - low, e) : 0;
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
