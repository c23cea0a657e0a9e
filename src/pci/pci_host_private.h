/*
 * pci_host_private.h - private to src/pci: what a function asks of its host.
 */
#ifndef VMM_SRC_PCI_PCI_HOST_PRIVATE_H
#define VMM_SRC_PCI_PCI_HOST_PRIVATE_H
#include <vmm/pci/pci_func.h>
#include <vmm/pci/pci_host.h>

/* Gives f a place and its BARs addresses. Main thread. */
int pci_host_add(struct pci_host *h, struct pci_func *f, struct err *e);
void pci_host_remove(struct pci_host *h, struct pci_func *f);

void pci_host_lock(struct pci_host *h);
void pci_host_unlock(struct pci_host *h);

/* A BAR or a memory enable bit has changed: puts each BAR where it is wanted, if that can be. */
void pci_host_settle_locked(struct pci_host *h);

#endif
