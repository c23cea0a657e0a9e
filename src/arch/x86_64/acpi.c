/*
 * acpi.c - the tables by which the guest learns of its CPUs, interrupt controllers, buses and power
 * switches.
 *
 * Life of a VM: written into RAM just before the vCPUs are made. Main thread.
 * Source: ACPI 6.4: 5.2.5 RSDP, 5.2.6 header, 5.2.8 XSDT, 5.2.9 FADT, 5.2.12 MADT; 4.1 for what a
 * hardware-reduced platform leaves out: no PM timer, no fixed event registers, no legacy PIC or
 * PIT, and so nothing that a kernel would have to probe for or calibrate. PCI Firmware 3.2, 4.1.2:
 * MCFG.
 *
 * The DSDT is the same for all machines. What differs between them, its methods read from struct
 * board_info, which is put into RAM beside the tables.
 */
#include "memmap.h"
#include "x86.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/bytes.h>
#include <vmm/dev/acpi_pm.h>

extern const uint8_t dsdt_aml[], dsdt_aml_end[];

#define HEADER_LEN 36
#define RSDP_LEN 36
#define XSDT_ENTRIES 3 /* FADT, MADT, MCFG */
#define XSDT_LEN (HEADER_LEN + 8 * XSDT_ENTRIES)
#define FADT_LEN 276
#define MCFG_LEN (HEADER_LEN + 8 + 16)
#define TABLE_ALIGN 16

/* 5.2.9, "Fixed ACPI Description Table Fixed Feature Flags" */
#define FADT_WBINVD (1u << 0)
#define FADT_PWR_BUTTON (1u << 4) /* there is no fixed button: it is a device in the DSDT */
#define FADT_SLP_BUTTON (1u << 5)
#define FADT_RESET_REG_SUP (1u << 10)
#define FADT_HW_REDUCED_ACPI (1u << 20)
/* 5.2.9.3, IA-PC Boot Architecture Flags: what is not set (8042, legacy devices) is not there */
#define IAPC_VGA_NOT_PRESENT (1u << 2)

/* At MAP_BOARD_INFO; little-endian; firmware/dsdt.asl declares the same fields in its region BRDI.
 */
struct board_info {
	uint8_t pci32_base[4], pci32_len[4];
	uint8_t ecam_base[4], ecam_len[4];
	uint8_t pci64_base[8], pci64_len[8];
	uint8_t mmio_base[4], mmio_stride[4];
	uint8_t mmio_present[4]; /* bit n: slot n */
	uint8_t unused[4];
	uint8_t mmio_gsi[BOARD_MAX_MMIO_SLOTS];
};
_Static_assert(sizeof(struct board_info) == 64, "firmware/dsdt.asl counts on it");

struct builder {
	uint8_t *buf; /* the whole area, MAP_ACPI to MAP_ACPI_END */
	size_t used;
};

static uint8_t checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

static uint8_t *reserve(struct builder *b, size_t len)
{
	uint8_t *p = b->buf + b->used;

	b->used = align_up(b->used + len, TABLE_ALIGN);
	return p;
}

static gpa_t where(const struct builder *b, const uint8_t *p)
{
	return MAP_ACPI + (gpa_t)(p - b->buf);
}

static void finish(uint8_t *t, const char *signature, size_t len, uint8_t revision)
{
	memcpy(t, signature, 4);
	store_le32(t + 4, (uint32_t)len);
	t[8] = revision;
	memcpy(t + 10, "VMM   ", 6);
	memcpy(t + 16, "VMMTABLE", 8);
	store_le32(t + 24, 1);
	memcpy(t + 28, "VMM ", 4);
	store_le32(t + 32, 1);
	t[9] = 0;
	t[9] = checksum(t, len);
}

/* 5.2.3.2 Generic Address Structure: an 8-bit I/O port. */
static void put_port(uint8_t *p, uint16_t port)
{
	p[0] = 1; /* system I/O space */
	p[1] = 8; /* bits */
	p[2] = 0;
	p[3] = 1; /* byte access */
	store_le64(p + 4, port);
}

static size_t dsdt_len(void)
{
	/* cppcheck-suppress comparePointers ; the two ends of one object, in dsdt.S */
	return (size_t)(dsdt_aml_end - dsdt_aml);
}

static gpa_t build_dsdt(struct builder *b)
{
	size_t len = dsdt_len();
	uint8_t *t = reserve(b, len);

	memcpy(t, dsdt_aml, len); /* header and checksum by iasl */
	return where(b, t);
}

static gpa_t build_fadt(struct builder *b, gpa_t dsdt)
{
	uint8_t *t = reserve(b, FADT_LEN);

	store_le32(t + 40, (uint32_t)dsdt); /* DSDT */
	store_le16(t + 109, IAPC_VGA_NOT_PRESENT); /* IAPC_BOOT_ARCH */
	store_le32(t + 112, FADT_WBINVD | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_RESET_REG_SUP |
				    FADT_HW_REDUCED_ACPI); /* Flags */
	put_port(t + 116, ACPI_PM_BASE + ACPI_PM_RESET); /* RESET_REG */
	t[128] = ACPI_PM_RESET_VALUE; /* RESET_VALUE */
	t[131] = 4; /* FADT minor version */
	store_le64(t + 140, dsdt); /* X_DSDT */
	put_port(t + 244, ACPI_PM_BASE + ACPI_PM_SLEEP_CONTROL); /* SLEEP_CONTROL_REG */
	put_port(t + 256, ACPI_PM_BASE + ACPI_PM_SLEEP_STATUS); /* SLEEP_STATUS_REG */
	memcpy(t + 268, "KVM     ", 8); /* Hypervisor Vendor Identity */
	finish(t, "FACP", FADT_LEN, 6);
	return where(b, t);
}

/* 5.2.12.2 Processor Local APIC; ids of 255 and more need 5.2.12.12 Processor Local x2APIC. */
static size_t put_cpu(uint8_t *p, unsigned int uid, unsigned int apic_id)
{
	if (apic_id < 255) {
		p[0] = 0;
		p[1] = 8;
		p[2] = (uint8_t)uid;
		p[3] = (uint8_t)apic_id;
		store_le32(p + 4, 1); /* enabled */
		return 8;
	}
	p[0] = 9;
	p[1] = 16;
	store_le16(p + 2, 0);
	store_le32(p + 4, apic_id);
	store_le32(p + 8, 1); /* enabled */
	store_le32(p + 12, uid);
	return 16;
}

/* 5.2.12.3 I/O APIC */
static size_t put_ioapic(uint8_t *p)
{
	p[0] = 1;
	p[1] = 12;
	p[2] = 0; /* id */
	store_le32(p + 4, (uint32_t)MAP_IOAPIC);
	store_le32(p + 8, 0); /* first global system interrupt */
	return 12;
}

static gpa_t build_madt(struct builder *b, const struct cpu_topology *topology)
{
	unsigned int n = cpu_topology_total(topology);
	uint8_t *t = b->buf + b->used;
	size_t len = HEADER_LEN + 8;

	store_le32(t + 36, (uint32_t)MAP_LAPIC);
	store_le32(t + 40, 0); /* PCAT_COMPAT clear: no 8259s */
	for (unsigned int i = 0; i < n; i++)
		len += put_cpu(t + len, i, arch_vcpu_id(topology, i));
	len += put_ioapic(t + len);
	reserve(b, len);
	finish(t, "APIC", len, 5);
	return where(b, t);
}

static gpa_t build_mcfg(struct builder *b, const struct board *board)
{
	uint8_t *t = reserve(b, MCFG_LEN), *entry = t + HEADER_LEN + 8;

	store_le64(entry, board->ecam.base);
	store_le16(entry + 8, 0); /* PCI segment group */
	entry[10] = 0; /* first and last bus */
	entry[11] = (uint8_t)(board->ecam.len / MIB - 1);
	finish(t, "MCFG", MCFG_LEN, 1);
	return where(b, t);
}

static gpa_t build_xsdt(struct builder *b, const gpa_t tables[XSDT_ENTRIES])
{
	uint8_t *t = reserve(b, XSDT_LEN);

	for (unsigned int i = 0; i < XSDT_ENTRIES; i++)
		store_le64(t + HEADER_LEN + 8 * (size_t)i, tables[i]);
	finish(t, "XSDT", XSDT_LEN, 1);
	return where(b, t);
}

static void build_rsdp(uint8_t *t, gpa_t xsdt)
{
	memcpy(t, "RSD PTR ", 8);
	memcpy(t + 9, "VMM   ", 6);
	t[15] = 2; /* revision: there is an XSDT */
	store_le32(t + 20, RSDP_LEN);
	store_le64(t + 24, xsdt);
	t[8] = checksum(t, 20);
	t[32] = checksum(t, RSDP_LEN);
}

static int load_board_info(const struct arch_boot *b, struct gmem *m, struct err *e)
{
	const struct board *board = &b->board;
	struct board_info i = { 0 };

	store_le32(i.pci32_base, (uint32_t)board->pci32.base);
	store_le32(i.pci32_len, (uint32_t)board->pci32.len);
	store_le32(i.ecam_base, (uint32_t)board->ecam.base);
	store_le32(i.ecam_len, (uint32_t)board->ecam.len);
	store_le64(i.pci64_base, board->pci64.base);
	store_le64(i.pci64_len, board->pci64.len);
	store_le32(i.mmio_base, (uint32_t)board->mmio.base);
	store_le32(i.mmio_stride, board->mmio_stride);
	store_le32(i.mmio_present, b->mmio_slots);
	for (unsigned int n = 0; n < BOARD_MAX_MMIO_SLOTS; n++)
		i.mmio_gsi[n] = (uint8_t)board->mmio_gsi[n];
	if (!gmem_write(m, MAP_BOARD_INFO, &i, sizeof(i)))
		return err_set(e, -EFAULT, "ACPI tables: no RAM at %#llx", MAP_BOARD_INFO);
	return 0;
}

int acpi_load(const struct arch_boot *boot, struct gmem *m, struct err *e)
{
	unsigned int n_cpus = cpu_topology_total(&boot->topology);
	struct builder b = { 0 };
	gpa_t tables[XSDT_ENTRIES];
	uint8_t *rsdp;
	bool fits;

	/* The worst case: every CPU by the longer of the two MADT entries. */
	fits = 4096 + dsdt_len() + 16ull * n_cpus <= MAP_ACPI_END - MAP_ACPI;
	if (!fits)
		return err_set(e, -E2BIG, "ACPI tables: no room to describe %u CPUs", n_cpus);
	b.buf = calloc(1, MAP_ACPI_END - MAP_ACPI);
	if (!b.buf)
		return err_set(e, -ENOMEM, "ACPI tables: out of memory");
	rsdp = reserve(&b, RSDP_LEN);
	tables[0] = build_fadt(&b, build_dsdt(&b));
	tables[1] = build_madt(&b, &boot->topology);
	tables[2] = build_mcfg(&b, &boot->board);
	build_rsdp(rsdp, build_xsdt(&b, tables));
	fits = gmem_write(m, MAP_ACPI, b.buf, b.used);
	free(b.buf);
	if (!fits)
		return err_set(e, -EFAULT, "ACPI tables: no RAM at %#llx", MAP_ACPI);
	return load_board_info(boot, m, e);
}
