/*
 * pci_func.h - one function of a PCI device: configuration space, BARs, capabilities.
 *
 * Sources: PCI Local Bus 3.0: 6.1 and 6.2 (type 0 header), 6.2.5 (BARs), 6.7 (capability list).
 *
 * A function is embedded in its device, which fills it on the main thread in this order: init(),
 * add_bar(), add_cap(), add_reg(), and last attach(). From then on vCPU threads read and write its
 * configuration space, with the host's lock held (see pci_host.h).
 */
#ifndef VMM_PCI_PCI_FUNC_H
#define VMM_PCI_PCI_FUNC_H
#include <stdbool.h>
#include <stdint.h>
#include <vmm/base/err.h>
#include <vmm/base/log.h>
#include <vmm/bus/bus.h>

#define PCI_CONFIG_LEN 256u
#define PCI_MAX_REGS 24
#define PCI_MAX_BARS 6
#define PCI_NOWHERE UINT64_MAX /* of a BAR: not decoded */

struct pci_func;
struct pci_host;
struct pci_msix;

/*
 * A register of which something can be written, or whose reads and writes do something. All else in
 * configuration space is read-only, and 0 where nothing was put. Both hooks are called with the
 * host's lock held, once for each access that touches the register: reading() before the bytes are
 * taken out of config[], written() after they have been put there.
 */
struct pci_reg {
	uint8_t off, len; /* bytes; 1, 2 or 4 */
	uint32_t writable; /* mask */
	void (*reading)(struct pci_func *f);
	void (*written)(struct pci_func *f);
};

/* A 64-bit memory BAR, not prefetchable; it takes two BAR registers. */
struct pci_bar {
	uint64_t size; /* a power of two from 16 on; 0: there is none */
	const struct bus_ops *ops; /* none of them may take the host's lock */
	void *dev;
	uint64_t at; /* where it is on the bus; PCI_NOWHERE: it is not */
	uint64_t refused; /* the address that was last complained of */
};

struct pci_ids {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint8_t revision;
	uint8_t class_code[3]; /* base class, subclass, programming interface */
};

struct pci_func {
	const char *name; /* of the device; for the log */
	struct pci_host *host; /* NULL: not attached */
	unsigned int slot;
	struct pci_msix *msix; /* NULL: none */
	/*
	 * A BAR is on the bus at `at` now, or will not be from now on (PCI_NOWHERE). Host's lock
	 * held. NULL: nobody wants to know.
	 */
	void (*bar_moved)(struct pci_func *f, unsigned int bar, uint64_t at);

	/* Bus Master Enable may have changed. Host's lock held. NULL: nobody wants to know. */
	void (*master_set)(struct pci_func *f, bool on);

	/* Guarded by the host's lock. */
	uint8_t config[PCI_CONFIG_LEN];
	struct pci_bar bars[PCI_MAX_BARS]; /* by the number of the first register */
	struct log_limit limit;

	/* Fixed at attach(). */
	uint8_t initial[PCI_CONFIG_LEN]; /* config[] as after power-on */
	struct pci_reg regs[PCI_MAX_REGS];
	unsigned int n_regs;
	uint8_t last_cap, end_of_caps;
};

void pci_func_init(struct pci_func *f, const char *name, const struct pci_ids *ids);

/* ops and dev outlive the function's time on the bus. */
void pci_func_add_bar(struct pci_func *f, unsigned int bar, uint64_t size,
		      const struct bus_ops *ops, void *dev);
/* A capability of len bytes, which are all 0 but for id and link; returns its offset. */
uint8_t pci_func_add_cap(struct pci_func *f, uint8_t id, uint8_t len);
void pci_func_add_reg(struct pci_func *f, const struct pci_reg *r);

/*
 * Puts the function into the next free place of the bus, and its BARs at addresses of the 32-bit
 * window, not decoded yet. The configuration space as it is now is what a reset goes back to.
 * -ENOSPC: no place, or no addresses.
 */
int pci_func_attach(struct pci_func *f, struct pci_host *host, struct err *e);
/* Takes its BARs off the bus, and it from its place. Main thread, no vCPU runs. Not attached: fine.
 */
void pci_func_detach(struct pci_func *f);
/* As after power-on. Main thread, no vCPU runs. */
void pci_func_reset(struct pci_func *f);

/* Host's lock held. size is 1, 2 or 4, off a multiple of it, both inside the configuration space.
 */
uint32_t pci_func_read(struct pci_func *f, unsigned int off, unsigned int size);
void pci_func_write(struct pci_func *f, unsigned int off, unsigned int size, uint32_t val);

/*
 * An access to a BAR by another way than the bus, wherever the BAR is. size is 1, 2 or 4. What is
 * not in a BAR, or not a multiple of size, reads as all-ones and ignores writes. Host's lock held.
 */
uint32_t pci_func_bar_read(struct pci_func *f, unsigned int bar, uint32_t off, unsigned int size);
void pci_func_bar_write(struct pci_func *f, unsigned int bar, uint32_t off, unsigned int size,
			uint32_t val);

/* For pci_host.c. Where the guest wants the BAR; PCI_NOWHERE: it is not to be decoded. */
uint64_t pci_func_bar_wanted(const struct pci_func *f, unsigned int bar);

#endif
