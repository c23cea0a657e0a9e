/*
 * pci_func.c - the configuration space of one function.
 *
 * Life of a VM: filled while the board is built. The guest's firmware-less kernel enumerates the
 * bus, sizes the BARs and enables the function, on vCPU threads; after that it is looked at rarely.
 *
 * Sources: PCI Local Bus 3.0: 6.1 configuration space organisation (reserved registers read as 0
 * and ignore writes), 6.2 header type 0, 6.2.5.1 sizing of BARs, 6.7 capability list.
 */
#include "pci_host_private.h"
#include <linux/pci_regs.h>
#include <string.h>
#include <vmm/base/bug.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>
#include <vmm/pci/pci_msix.h>

static void tell_master(struct pci_func *f)
{
	if (f->master_set)
		f->master_set(f, f->config[PCI_COMMAND] & PCI_COMMAND_MASTER);
}

static void command_written(struct pci_func *f)
{
	pci_host_settle_locked(f->host);
	if (f->msix)
		pci_msix_config_written(f->msix);
	tell_master(f);
}

static void bar_written(struct pci_func *f)
{
	pci_host_settle_locked(f->host);
}

void pci_func_init(struct pci_func *f, const char *name, const struct pci_ids *ids)
{
	static const struct pci_reg header[] = {
		/*
		 * 6.2.2. There are no I/O BARs, no parity and no SERR#, so those bits are fixed at
		 * 0. INTx disable can be set, as in any function since PCI 2.3, though there is no
		 * INTx.
		 */
		{ .off = PCI_COMMAND,
		  .len = 2,
		  .writable = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE,
		  .written = command_written },
		/* PCI Express Base 5.0, 7.5.1.1.7: read-write, without effect. */
		{ .off = PCI_CACHE_LINE_SIZE, .len = 1, .writable = 0xff },
	};

	*f = (struct pci_func){ .name = name, .end_of_caps = PCI_STD_HEADER_SIZEOF };
	store_le16(f->config + PCI_VENDOR_ID, ids->vendor);
	store_le16(f->config + PCI_DEVICE_ID, ids->device);
	f->config[PCI_REVISION_ID] = ids->revision;
	f->config[PCI_CLASS_PROG] = ids->class_code[2];
	f->config[PCI_CLASS_DEVICE] = ids->class_code[1];
	f->config[PCI_CLASS_DEVICE + 1] = ids->class_code[0];
	f->config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_NORMAL;
	store_le16(f->config + PCI_SUBSYSTEM_VENDOR_ID, ids->subsystem_vendor);
	store_le16(f->config + PCI_SUBSYSTEM_ID, ids->subsystem);
	for (unsigned int i = 0; i < PCI_MAX_BARS; i++)
		f->bars[i].at = f->bars[i].refused = PCI_NOWHERE;
	for (unsigned int i = 0; i < ARRAY_SIZE(header); i++)
		pci_func_add_reg(f, &header[i]);
}

void pci_func_add_reg(struct pci_func *f, const struct pci_reg *r)
{
	VMM_BUG_ON(f->host || f->n_regs == PCI_MAX_REGS || r->off + r->len > PCI_CONFIG_LEN);
	VMM_BUG_ON(r->len != 1 && r->len != 2 && r->len != 4);
	f->regs[f->n_regs++] = *r;
}

void pci_func_add_bar(struct pci_func *f, unsigned int bar, uint64_t size,
		      const struct bus_ops *ops, void *dev)
{
	unsigned int off = PCI_BASE_ADDRESS_0 + 4 * bar;

	VMM_BUG_ON(bar + 1 >= PCI_MAX_BARS || f->bars[bar].size || f->bars[bar + 1].size);
	VMM_BUG_ON(size < 16 || size > GIB || (size & (size - 1)));
	f->bars[bar].size = size;
	f->bars[bar].ops = ops;
	f->bars[bar].dev = dev;
	f->config[off] = PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_64;
	/* 6.2.5.1: the address bits below the size are fixed at 0, which is how it is found out. */
	pci_func_add_reg(f, &(struct pci_reg){ .off = (uint8_t)off,
					       .len = 4,
					       .writable = (uint32_t) ~(size - 1),
					       .written = bar_written });
	pci_func_add_reg(f, &(struct pci_reg){ .off = (uint8_t)(off + 4),
					       .len = 4,
					       .writable = UINT32_MAX,
					       .written = bar_written });
}

uint8_t pci_func_add_cap(struct pci_func *f, uint8_t id, uint8_t len)
{
	uint8_t cap = f->end_of_caps;

	VMM_BUG_ON(cap + len > PCI_CONFIG_LEN || len < 4);
	f->config[cap + PCI_CAP_LIST_ID] = id;
	if (f->last_cap)
		f->config[f->last_cap + PCI_CAP_LIST_NEXT] = cap;
	else
		f->config[PCI_CAPABILITY_LIST] = cap;
	f->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	f->last_cap = cap;
	f->end_of_caps = (uint8_t)align_up(cap + len, 4); /* 6.7: DWORD aligned */
	return cap;
}

int pci_func_attach(struct pci_func *f, struct pci_host *host, struct err *e)
{
	if (pci_host_add(host, f, e) < 0)
		return e->code;
	memcpy(f->initial, f->config, sizeof(f->initial));
	return 0;
}

static void disable(struct pci_func *f)
{
	f->config[PCI_COMMAND] = 0;
	pci_host_settle_locked(f->host);
}

void pci_func_detach(struct pci_func *f)
{
	struct pci_host *h = f->host;

	if (!h)
		return;
	pci_host_lock(h);
	disable(f);
	pci_host_unlock(h);
	pci_host_remove(h, f);
}

void pci_func_reset(struct pci_func *f)
{
	pci_host_lock(f->host);
	disable(f);
	memcpy(f->config, f->initial, sizeof(f->config));
	tell_master(f);
	pci_host_unlock(f->host);
	if (f->msix)
		pci_msix_reset(f->msix);
}

static bool touches(const struct pci_reg *r, unsigned int off, unsigned int size)
{
	return off < r->off + r->len && r->off < off + size;
}

uint32_t pci_func_read(struct pci_func *f, unsigned int off, unsigned int size)
{
	uint32_t val = 0;

	for (unsigned int i = 0; i < f->n_regs; i++) {
		if (f->regs[i].reading && touches(&f->regs[i], off, size))
			f->regs[i].reading(f);
	}
	for (unsigned int i = 0; i < size; i++)
		val |= (uint32_t)f->config[off + i] << (8 * i);
	return val;
}

void pci_func_write(struct pci_func *f, unsigned int off, unsigned int size, uint32_t val)
{
	for (unsigned int n = 0; n < f->n_regs; n++) {
		const struct pci_reg *r = &f->regs[n];

		for (unsigned int i = 0; i < size; i++) {
			uint8_t *byte = &f->config[off + i], mask;

			if (!touches(r, off + i, 1))
				continue;
			mask = (uint8_t)(r->writable >> (8 * (off + i - r->off)));
			*byte = (uint8_t)((*byte & ~mask) | (val >> (8 * i) & mask));
		}
	}
	for (unsigned int n = 0; n < f->n_regs; n++) {
		if (f->regs[n].written && touches(&f->regs[n], off, size))
			f->regs[n].written(f);
	}
}

uint64_t pci_func_bar_wanted(const struct pci_func *f, unsigned int bar)
{
	const uint8_t *reg = &f->config[PCI_BASE_ADDRESS_0 + 4 * bar];

	if (!f->bars[bar].size || !(f->config[PCI_COMMAND] & PCI_COMMAND_MEMORY))
		return PCI_NOWHERE;
	return load_le64(reg) & PCI_BASE_ADDRESS_MEM_MASK;
}

/* NULL: not a register of any BAR. */
static const struct pci_bar *bar_at(const struct pci_func *f, unsigned int bar, uint32_t off,
				    unsigned int size)
{
	const struct pci_bar *b = bar < PCI_MAX_BARS ? &f->bars[bar] : NULL;

	/* Sizes of BARs and accesses are powers of two: one that is aligned does not reach out. */
	return b && b->size && off < b->size && off % size == 0 ? b : NULL;
}

uint32_t pci_func_bar_read(struct pci_func *f, unsigned int bar, uint32_t off, unsigned int size)
{
	const struct pci_bar *b = bar_at(f, bar, off, size);

	VMM_BUG_ON(size != 1 && size != 2 && size != 4);
	return b ? (uint32_t)b->ops->read(b->dev, off, size) : UINT32_MAX;
}

void pci_func_bar_write(struct pci_func *f, unsigned int bar, uint32_t off, unsigned int size,
			uint32_t val)
{
	const struct pci_bar *b = bar_at(f, bar, off, size);

	VMM_BUG_ON(size != 1 && size != 2 && size != 4);
	if (b)
		b->ops->write(b->dev, off, size, val);
}
