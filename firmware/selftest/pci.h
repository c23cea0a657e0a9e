/*
 * pci.h - configuration space, BARs and MSI-X, as a driver needs them.
 *
 * Source: PCI Local Bus 3.0, chapter 6; PCI Express Base 5.0, 7.2.2 ECAM; MSI-X: 6.8.2 of the
 * former.
 */
#ifndef VMM_FIRMWARE_SELFTEST_PCI_H
#define VMM_FIRMWARE_SELFTEST_PCI_H
#include "guest.h"

#define PCI_SLOTS 32u
#define PCI_ID 0x00u
#define PCI_COMMAND 0x04u
#define PCI_CLASS 0x08u
#define PCI_BARS 0x10u
#define PCI_CAPABILITIES 0x34u
#define PCI_COMMAND_MEMORY 2u
#define PCI_COMMAND_MASTER 4u
#define PCI_CAP_VENDOR 9u
#define PCI_CAP_MSIX 0x11u
#define PCI_NOTHING 0xffffffffu /* what an empty slot reads as */

/* The 32 bits around offset off, shifted so that it comes first. By ports. */
uint32_t pci_read(unsigned int slot, unsigned int off);
void pci_write(unsigned int slot, unsigned int off, uint32_t v);
/* The same in memory; 0 if there is no such window. */
volatile uint8_t *pci_ecam(unsigned int slot);
/* Offset of the first capability of that kind behind `after` (0: of all); 0: there is none. */
unsigned int pci_capability(unsigned int slot, unsigned int kind, unsigned int after);
/* Where a memory BAR is; NULL: there is none. */
volatile uint8_t *pci_bar(unsigned int slot, unsigned int i);
/* Its size; it is moved away and back meanwhile, so that nothing may use it. */
uint64_t pci_bar_size(unsigned int slot, unsigned int i);

/* Sends entry i of a function's table to a vector of this CPU. */
void msix_set(volatile uint8_t *table, unsigned int i, uint8_t vector);
void msix_enable(unsigned int slot, bool on);

#endif
