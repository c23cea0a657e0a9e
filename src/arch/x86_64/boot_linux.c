/*
 * boot_linux.c - Linux's own 64-bit boot protocol: boot_params, and the kernel it goes with.
 *
 * Life of a VM: written into RAM while the machine is built. Main thread.
 * Source: Linux, Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"; zero-page.rst for the
 * offsets in boot_params.
 */
#include "memmap.h"
#include "x86.h"
#include <errno.h>
#include <string.h>
#include <vmm/base/bytes.h>

#define BOOT_PARAMS_LEN 4096
#define BP_ACPI_RSDP_ADDR 0x070
#define BP_EXT_RAMDISK_IMAGE 0x0c0
#define BP_EXT_RAMDISK_SIZE 0x0c4
#define BP_E820_ENTRIES 0x1e8
#define BP_SETUP_HEADER 0x1f1
#define BP_BOOT_FLAG 0x1fe
#define BP_HEADER_MAGIC 0x202
#define BP_VERSION 0x206
#define BP_TYPE_OF_LOADER 0x210
#define BP_LOADFLAGS 0x211
#define BP_RAMDISK_IMAGE 0x218
#define BP_RAMDISK_SIZE 0x21c
#define BP_CMD_LINE_PTR 0x228
#define BP_KERNEL_ALIGNMENT 0x230
#define BP_E820_TABLE 0x2d0
#define E820_ENTRY_LEN 20

#define LOADER_UNDEFINED 0xff /* no number is assigned to us */
#define LOADED_HIGH 1u
#define KASLR_FLAG 2u /* from the decompressor to the kernel: addresses are random */
#define ENTRY_64 0x200 /* boot.rst: "the 64-bit entry point is at 0x200 of the kernel" */

/* A vmlinux has no setup header: the fields that a kernel started this way still reads. */
static void put_plain_header(uint8_t *bp)
{
	store_le16(bp + BP_BOOT_FLAG, 0xaa55);
	memcpy(bp + BP_HEADER_MAGIC, "HdrS", 4);
	store_le16(bp + BP_VERSION, 0x020f);
	store_le32(bp + BP_KERNEL_ALIGNMENT, 16 * MIB);
}

static void put_e820(uint8_t *bp, const struct gmem *m)
{
	struct e820_entry map[E820_MAX];
	unsigned int n = e820_build(map, m);
	uint8_t *p = bp + BP_E820_TABLE;

	bp[BP_E820_ENTRIES] = (uint8_t)n;
	for (unsigned int i = 0; i < n; i++, p += E820_ENTRY_LEN) {
		store_le64(p, map[i].at);
		store_le64(p + 8, map[i].len);
		store_le32(p + 16, map[i].type);
	}
}

static int put_boot_params(const struct arch_boot *b, const struct boot_layout *l, struct gmem *m,
			   struct err *e)
{
	const struct kernel *k = b->kernel;
	uint8_t bp[BOOT_PARAMS_LEN] = { 0 };

	if (k->has_bz)
		memcpy(bp + BP_SETUP_HEADER, k->bz.header, k->bz.header_len);
	else
		put_plain_header(bp);
	bp[BP_TYPE_OF_LOADER] = LOADER_UNDEFINED;
	bp[BP_LOADFLAGS] &= (uint8_t)~KASLR_FLAG;
	bp[BP_LOADFLAGS] |= LOADED_HIGH | (l->kaslr ? KASLR_FLAG : 0);
	store_le32(bp + BP_CMD_LINE_PTR, (uint32_t)MAP_CMDLINE);
	store_le32(bp + BP_RAMDISK_IMAGE, (uint32_t)l->initrd);
	store_le32(bp + BP_RAMDISK_SIZE, (uint32_t)l->initrd_len);
	store_le32(bp + BP_EXT_RAMDISK_IMAGE, (uint32_t)(l->initrd >> 32));
	store_le32(bp + BP_EXT_RAMDISK_SIZE, (uint32_t)(l->initrd_len >> 32));
	store_le64(bp + BP_ACPI_RSDP_ADDR, MAP_ACPI);
	put_e820(bp, m);
	if (!gmem_write(m, MAP_BOOT_PARAMS, bp, sizeof(bp)))
		return err_set(e, -EFAULT, "no RAM for boot_params");
	return 0;
}

int boot_linux_load(struct arch_boot *b, struct boot_layout *l, struct gmem *m, struct err *e)
{
	const struct kernel *k = b->kernel;
	int rc;

	if (k->how == KERNEL_BZIMAGE) {
		rc = image_load(&k->file, k->bz.setup_len, k->bz.pm_len, m, l->kernel, e);
		b->entry = l->kernel + ENTRY_64;
	} else {
		rc = kaslr_load(b, l, m, e);
		b->entry = k->elf.entry + l->shift;
	}
	if (rc < 0)
		return rc;
	b->argument = MAP_BOOT_PARAMS;
	if (put_boot_params(b, l, m, e) < 0)
		return e->code;
	return regs_load_tables(m, e);
}
