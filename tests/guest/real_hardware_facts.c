/*
 * real_hardware_facts.c - what the PVH protocol promises at the entry is so: registers, start info,
 * memory map (ram=N MiB in all), modules, and ACPI tables that hold together and name every CPU
 * (cpus=N).
 *
 * Source: Xen, docs/misc/pvh.pandoc, "PVH guest entry"; ACPI 6.4, 5.2.
 */
#include "acpi.h"

#define E820_RAM 1

static void check_registers(void)
{
	check(start_info()->magic == 0x336ec578, "ebx does not point to the start info");
	check(start_info()->version == 1, "the start info's version is not 1");
	check((entry.cr0 & 0x80000001) == 1, "cr0: PE without PG is promised");
	check(entry.cr4 == 0, "cr4: all bits clear are promised");
	check(entry.efer == 0, "efer is not 0");
	check((entry.eflags & 0x20300) == 0, "eflags: VM, TF, IF clear are promised");
}

static void check_memory_map(void)
{
	const struct memmap_entry *m = (const void *)(uintptr_t)start_info()->memmap;
	uint64_t end = 0, ram = 0;
	bool below_1m = false;

	check(start_info()->memmap_entries > 1, "no memory map");
	for (uint32_t i = 0; i < start_info()->memmap_entries; i++) {
		check(m[i].addr >= end, "the memory map is not in order, or overlaps");
		end = m[i].addr + m[i].size;
		if (m[i].type != E820_RAM)
			continue;
		ram += m[i].size;
		below_1m |= m[i].addr == 0 && m[i].size >= 0x90000;
	}
	check(below_1m, "no RAM below 640 KiB");
	check(ram <= option("ram", 64) << 20, "more RAM than --mem");
	check(ram + (1 << 20) >= option("ram", 64) << 20, "less RAM than --mem");
}

void guest_main(void)
{
	check_registers();
	check_memory_map();
	check(acpi_n_cpus() == option("cpus", 1), "the MADT names another number of CPUs");
	check(start_info()->nr_modules == option("modules", 0), "the number of modules");
	put("all as promised\n");
	power_off();
}
