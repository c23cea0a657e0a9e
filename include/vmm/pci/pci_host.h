/*
 * pci_host.h - the PCI host bridge: one bus with 31 places, reached by two mechanisms.
 *
 * Sources: PCI Local Bus 3.0, 3.2.2.3.2 (ports 0xcf8 and 0xcfc); PCI Express Base 5.0, 7.2.2
 * (ECAM); PCI Firmware 3.2, 4.1 (MCFG). Both mechanisms show the same configuration space.
 *
 * Locks: the host's lock serialises all configuration accesses, and with them the coming and going
 * of BARs. Order: host's, device's, MSI-X's. Moving a BAR waits until no vCPU is inside that BAR's
 * registers any more, with the host's lock held: so no BAR's ops may ever take it.
 */
#ifndef VMM_PCI_PCI_HOST_H
#define VMM_PCI_PCI_HOST_H
#include <stdint.h>
#include <vmm/dev/device.h>

#define PCI_CONFIG_ADDRESS 0xcf8
#define PCI_CONFIG_DATA 0xcfc
#define PCI_N_SLOTS 32 /* slot 0 is the bridge */

struct pci_host;

/* Wants pio, mmio and board of env. Outlives the functions on its bus. */
int pci_host_create(struct device **out, const struct device_env *env, struct err *e);
/* For device_env.pci of what is created later; d is what pci_host_create() made. */
struct pci_host *pci_host_from(struct device *d);

#endif
