/*
 * pci_device.h - a PCI function for tests: a BAR of plain words, MSI-X, one capability.
 */
#ifndef TESTS_PCI_DEVICE_H
#define TESTS_PCI_DEVICE_H
#include "fake_board.h"
#include "unit.h"
#include <linux/pci_regs.h>
#include <stdatomic.h>
#include <vmm/base/util.h>
#include <vmm/pci/pci_func.h>
#include <vmm/pci/pci_msix.h>

#define BAR_LEN 8192u
#define N_VECTORS 5u
#define CAP_LEN 12u

struct pci_device {
	struct pci_func func;
	struct pci_msix msix;
	uint8_t cap;
	atomic_uint n_reads, n_writes, n_inside;
	atomic_bool slow; /* an access takes its time */
	uint32_t last; /* written */
	unsigned int n_moves;
	uint64_t at; /* as bar_moved() was told */
};

static struct fake_board f;

static uint64_t device_read(void *p, uint64_t off, unsigned int size)
{
	struct pci_device *d = p;

	(void)size;
	atomic_fetch_add(&d->n_inside, 1);
	atomic_fetch_add(&d->n_reads, 1);
	for (volatile int i = 0; i < 20000 && atomic_load(&d->slow); i++)
		;
	atomic_fetch_sub(&d->n_inside, 1);
	return 0xa0000000 + off + ((uint64_t)d->func.slot << 16);
}

static void device_write(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	struct pci_device *d = p;

	(void)off, (void)size;
	atomic_fetch_add(&d->n_writes, 1);
	d->last = (uint32_t)val;
}

static const struct bus_ops device_ops = {
	.name = "test BAR",
	.max_size = 4,
	.read = device_read,
	.write = device_write,
};

static inline void bar_moved(struct pci_func *func, unsigned int bar, uint64_t at)
{
	struct pci_device *d = container_of(func, struct pci_device, func);

	if (bar != 0)
		return;
	ck_assert_uint_ne(d->at, at);
	d->at = at;
	d->n_moves++;
}

static inline int device_create(struct pci_device *d, struct err *e)
{
	static const struct pci_ids ids = {
		.vendor = 0x1234,
		.device = 0x5678,
		.subsystem_vendor = 0x9abc,
		.subsystem = 0xdef0,
		.revision = 7,
		.class_code = { 1, 2, 3 },
	};

	*d = (struct pci_device){ .at = PCI_NOWHERE };
	pci_func_init(&d->func, "test0", &ids);
	ck_assert_int_eq(pci_msix_init(&d->msix, &d->func, 2, N_VECTORS, &f.vm, e), 0);
	pci_func_add_bar(&d->func, 0, BAR_LEN, &device_ops, d);
	d->cap = pci_func_add_cap(&d->func, PCI_CAP_ID_VNDR, CAP_LEN);
	d->func.config[d->cap + 2] = CAP_LEN;
	pci_func_add_reg(&d->func, &(struct pci_reg){
					   .off = (uint8_t)(d->cap + 4),
					   .len = 4,
					   .writable = 0x00ff00f0,
				   });
	d->func.bar_moved = bar_moved;
	return pci_func_attach(&d->func, f.env.pci, e);
}

static inline void device_destroy(struct pci_device *d)
{
	pci_func_detach(&d->func);
	pci_msix_fini(&d->msix);
}

static inline bool answers(const struct pci_device *d, uint64_t at)
{
	return fake_read(&f, at + 8, 4) == 0xa0000008 + (d->func.slot << 16);
}

#endif
