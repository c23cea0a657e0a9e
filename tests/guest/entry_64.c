/*
 * entry_64.c - an ELF without a PVH note is entered as Linux's 64-bit boot protocol says: long
 * mode, rsi at boot_params, which has the memory map (ram=N MiB), the command line and the RSDP.
 *
 * Source: Linux, Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"; zero-page.rst. Linked
 * with start64.S.
 */
#include "guest.h"

static uint64_t at(uint64_t off, unsigned int size)
{
	const uint8_t *p = (const uint8_t *)(uintptr_t)(entry.rsi + off);
	uint64_t v = 0;

	while (size-- > 0)
		v = v << 8 | p[size];
	return v;
}

static void check_boot_params(void)
{
	check(entry.rsi % 8 == 0 && entry.rsi > 0, "rsi does not point to boot_params");
	check(at(0x1fe, 2) == 0xaa55, "boot_flag");
	check(at(0x202, 4) == 0x53726448, "the magic HdrS");
	check(at(0x206, 2) >= 0x020c, "boot protocol below 2.12");
	check(at(0x210, 1) != 0, "type_of_loader is 0");
	check(at(0x211, 1) & 1, "LOADED_HIGH is not set");
	check(at(0x228, 4) != 0, "no command line");
	check(at(0x070, 8) != 0 && *(const uint64_t *)(uintptr_t)at(0x070, 8) == 0x2052545020445352,
	      "acpi_rsdp_addr does not point to an RSDP");
}

static void check_e820(void)
{
	uint64_t n = at(0x1e8, 1), end = 0, ram = 0;

	check(n > 1, "no memory map");
	for (uint64_t i = 0, e = 0x2d0; i < n; i++, e += 20) {
		check(at(e, 8) >= end, "the memory map is not in order, or overlaps");
		end = at(e, 8) + at(e + 8, 8);
		if (at(e + 16, 4) == 1)
			ram += at(e + 8, 8);
	}
	check(ram <= option("ram", 64) << 20, "more RAM than --mem");
	check(ram + (1 << 20) >= option("ram", 64) << 20, "less RAM than --mem");
}

void guest_main(void)
{
	check((entry.cr0 & 0x80000001) == 0x80000001, "cr0: paging is promised");
	check(entry.cr4 & 0x20, "cr4: PAE is promised");
	check((entry.efer & 0x500) == 0x500, "efer: long mode is promised");
	check(entry.cs == 0x10 && entry.ds == 0x18, "__BOOT_CS and __BOOT_DS are promised");
	check(entry.es == 0x18 && entry.ss == 0x18, "__BOOT_DS is promised for es and ss");
	check(!(entry.eflags & 0x200), "interrupts off are promised");
	check_boot_params();
	check_e820();
	put("all as promised\n");
	power_off();
}
