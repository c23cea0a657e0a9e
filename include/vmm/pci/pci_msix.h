/*
 * pci_msix.h - MSI-X: a function's interrupt vectors, each a message of the guest's choice.
 *
 * Source: PCI Local Bus 3.0, 6.8.2 and 6.8.3. Table and pending bits are in a BAR of their own.
 */
#ifndef VMM_PCI_PCI_MSIX_H
#define VMM_PCI_PCI_MSIX_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <vmm/base/err.h>
#include <vmm/kvm/kvm_irq.h>
#include <vmm/pci/pci_func.h>

#define PCI_MSIX_MAX_VECTORS 128u
#define PCI_MSIX_BAR_LEN 4096u
#define PCI_MSIX_TABLE_AT 0u /* offsets in the BAR */
#define PCI_MSIX_PBA_AT 2048u

struct pci_msix_vector {
	uint32_t word[4]; /* address, its upper half, data, control: as the guest sees them */
	bool pending;
	bool lent; /* its eventfd is somebody else's to write to: masking is KVM's business, too */
	struct kvm_irq_msi irq;
};

struct pci_msix {
	struct pci_func *func;
	uint8_t cap; /* offset of the capability */
	unsigned int n_vectors;

	pthread_mutex_t lock; /* guards what follows; the last in the order of locks */
	bool enabled, masked; /* Message Control */
	bool master; /* Bus Master Enable */
	struct pci_msix_vector *vectors;

	/*
	 * What pci_msix_fd() says may have changed. This lock and the host's may be held. Set
	 * before the function is attached; NULL: nobody wants to know.
	 */
	void (*fds_changed)(struct pci_msix *x);
};

/* Before the function is attached. On failure nothing is left. */
int pci_msix_init(struct pci_msix *x, struct pci_func *f, unsigned int bar, unsigned int n_vectors,
		  struct kvm_vm *vm, struct err *e);
/* After it was detached. */
void pci_msix_fini(struct pci_msix *x);

/* Sends the vector's message, now or once it is unmasked. Any thread. vector < n_vectors. */
void pci_msix_fire(struct pci_msix *x, unsigned int vector);
/*
 * An eventfd for a device in the kernel: to write to it is the same as pci_msix_fire(), until
 * fds_changed(). -1: there is none, now. Any thread. vector < n_vectors.
 */
int pci_msix_fd(struct pci_msix *x, unsigned int vector);
bool pci_msix_enabled(struct pci_msix *x);

/* By pci_func_reset(). */
void pci_msix_reset(struct pci_msix *x);
/* By pci_func.c: Command or Message Control was written. Host's lock held. */
void pci_msix_config_written(struct pci_msix *x);

#endif
