/*
 * boot_pvh.c - what a kernel that is entered by its PVH note finds in memory.
 *
 * Life of a VM: written into RAM once the segments are loaded. Main thread.
 * Source: Xen, xen/include/public/arch-x86/hvm/start_info.h (struct hvm_start_info, version 1).
 */
#include "memmap.h"
#include "x86.h"
#include <errno.h>
#include <string.h>
#include <vmm/base/bytes.h>

#define START_INFO_MAGIC 0x336ec578u
#define START_INFO_LEN 56
#define MODULE_LEN 32
#define MEMMAP_ENTRY_LEN 24

int boot_pvh_load(struct arch_boot *b, struct boot_layout *l, struct gmem *m, struct err *e)
{
	uint8_t page[START_INFO_LEN + MODULE_LEN + E820_MAX * MEMMAP_ENTRY_LEN] = { 0 };
	uint8_t *module = page + START_INFO_LEN, *map = module + MODULE_LEN;
	struct e820_entry e820[E820_MAX];
	unsigned int n = e820_build(e820, m);

	if (kaslr_load(b, l, m, e) < 0)
		return e->code;
	store_le32(page, START_INFO_MAGIC);
	store_le32(page + 4, 1); /* version */
	store_le32(page + 12, l->initrd_len > 0); /* nr_modules */
	store_le64(page + 16, MAP_PVH_INFO + START_INFO_LEN); /* modlist_paddr */
	store_le64(page + 24, MAP_CMDLINE); /* cmdline_paddr */
	store_le64(page + 32, MAP_ACPI); /* rsdp_paddr */
	store_le64(page + 40, MAP_PVH_INFO + START_INFO_LEN + MODULE_LEN); /* memmap_paddr */
	store_le32(page + 48, n); /* memmap_entries */
	store_le64(module, l->initrd);
	store_le64(module + 8, l->initrd_len);
	for (unsigned int i = 0; i < n; i++, map += MEMMAP_ENTRY_LEN) {
		store_le64(map, e820[i].at);
		store_le64(map + 8, e820[i].len);
		store_le32(map + 16, e820[i].type); /* the types are E820's */
	}
	if (!gmem_write(m, MAP_PVH_INFO, page, sizeof(page)))
		return err_set(e, -EFAULT, "no RAM for the start info");
	b->entry = b->kernel->elf.pvh_entry + l->shift;
	b->argument = MAP_PVH_INFO;
	return 0;
}
