/*
 * pci.c - see pci.h.
 */
#include "pci.h"
#include "acpi.h"
#include "cpu.h"

#define CONFIG_ADDRESS 0xcf8u
#define CONFIG_DATA 0xcfcu
#define CONFIG_ENABLE 0x80000000u

#define MCFG_FIRST 44u /* the first window's base: PCI Firmware 3.2, 4.1.2 */
#define MSIX_CONTROL_ENABLE 0x80000000u /* in the 32 bits from the capability's start */

uint32_t pci_read(unsigned int slot, unsigned int off)
{
	out32(CONFIG_ADDRESS, CONFIG_ENABLE | slot << 11 | (off & ~3u));
	return in32(CONFIG_DATA) >> 8 * (off & 3);
}

void pci_write(unsigned int slot, unsigned int off, uint32_t v)
{
	out32(CONFIG_ADDRESS, CONFIG_ENABLE | slot << 11 | off);
	out32(CONFIG_DATA, v);
}

volatile uint8_t *pci_ecam(unsigned int slot)
{
	const uint8_t *mcfg = acpi_table("MCFG");
	uintptr_t base = 0;

	for (unsigned int i = 0; i < 8; i++)
		base |= (uintptr_t)mcfg[MCFG_FIRST + i] << 8 * i;
	return (volatile uint8_t *)(base + ((uintptr_t)slot << 15));
}

unsigned int pci_capability(unsigned int slot, unsigned int kind, unsigned int after)
{
	unsigned int at = pci_read(slot, after ? after + 1 : PCI_CAPABILITIES) & 0xff;

	for (unsigned int i = 0; at && i < 48; i++, at = pci_read(slot, at + 1) & 0xff) {
		if ((pci_read(slot, at) & 0xff) == kind)
			return at;
	}
	return 0;
}

volatile uint8_t *pci_bar(unsigned int slot, unsigned int i)
{
	uint64_t low = pci_read(slot, PCI_BARS + 4 * i);

	if (low & 1) /* of ports */
		return NULL;
	if ((low & 6) == 4) /* 64 bits */
		low |= (uint64_t)pci_read(slot, PCI_BARS + 4 * i + 4) << 32;
	return (volatile uint8_t *)(uintptr_t)(low & ~UINT64_C(15));
}

/* 6.2.5.1: the address bits that stay 0 are the size. */
uint64_t pci_bar_size(unsigned int slot, unsigned int i)
{
	const unsigned int at = PCI_BARS + 4 * i;
	const uint32_t command = pci_read(slot, PCI_COMMAND), before = pci_read(slot, at);
	uint32_t mask;

	pci_write(slot, PCI_COMMAND, command & ~PCI_COMMAND_MEMORY);
	pci_write(slot, at, ~0u);
	mask = pci_read(slot, at) & ~15u;
	pci_write(slot, at, before);
	pci_write(slot, PCI_COMMAND, command);
	return mask ? (uint64_t)(~mask) + 1 : 0;
}

void msix_set(volatile uint8_t *table, unsigned int i, uint8_t vector)
{
	volatile uint32_t *e = (volatile uint32_t *)(table + 16 * (size_t)i);

	e[3] = 1; /* masked */
	e[0] = LAPIC | lapic_id() << 12;
	e[1] = 0;
	e[2] = vector;
	e[3] = 0;
}

void msix_enable(unsigned int slot, bool on)
{
	const unsigned int at = pci_capability(slot, PCI_CAP_MSIX, 0);
	const uint32_t v = pci_read(slot, at);

	pci_write(slot, at, on ? v | MSIX_CONTROL_ENABLE : v & ~MSIX_CONTROL_ENABLE);
}
