/*
 * pci_host.c - the host bridge: ports 0xcf8 and 0xcfc, the ECAM window, and which BARs are on the
 * bus.
 *
 * Life of a VM: built before any PCI device. We are the firmware, so every function gets addresses
 * for its BARs when it is attached, and again at each reset; the guest's kernel finds the
 * functions, may move the BARs, and enables them, on vCPU threads.
 *
 * Sources: PCI Local Bus 3.0, 3.2.2.3.2 "Software Generation of Configuration Transactions"; PCI
 * Express Base 5.0, 7.2.2 "Enhanced Configuration Access Mechanism (ECAM)"; PCI Firmware 3.2, 4.1.
 *
 * The bridge passes on what lies in its two windows and nothing else. So a BAR that the guest puts
 * onto RAM, onto the interrupt controllers or to 0 is not decoded, like in a real machine, where no
 * such access would ever get to the PCI bus.
 */
#include "pci_host_private.h"
#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/bug.h>
#include <vmm/base/bytes.h>
#include <vmm/base/checked.h>
#include <vmm/base/util.h>
#include <vmm/dev/board.h>

#define ADDRESS_ENABLE (1u << 31)
/* 3.2.2.3.2: bits 30 to 24 are reserved, bits 1 and 0 are fixed at 0. */
#define ADDRESS_MASK (ADDRESS_ENABLE | 0x00fffffcu)

#define ECAM_BUS_LEN (1u << 20)
#define ECAM_FUNC_LEN 4096u

/*
 * Red Hat's "QEMU PCIe Host bridge": a host bridge without registers of its own. No driver binds to
 * it, no kernel has a workaround for it, and lspci has a name for it; which cannot be said of the
 * chips of real machines.
 */
#define BRIDGE_VENDOR 0x1b36
#define BRIDGE_DEVICE 0x0008

struct pci_host {
	struct device dev;
	struct bus *pio, *mmio;
	struct board_range ecam, pci32, pci64;
	uint64_t next; /* free part of pci32; main thread */
	struct pci_func bridge;

	pthread_mutex_t lock; /* guards what follows, and all functions' configuration spaces */
	struct pci_func *slots[PCI_N_SLOTS];
	uint32_t address; /* CONFIG_ADDRESS */
};

void pci_host_lock(struct pci_host *h)
{
	pthread_mutex_lock(&h->lock);
}

void pci_host_unlock(struct pci_host *h)
{
	pthread_mutex_unlock(&h->lock);
}

/* Where BARs are --------------------------------------------------------------------------- */

static bool forwards(const struct pci_host *h, uint64_t at, uint64_t len)
{
	const struct board_range *windows[] = { &h->pci32, &h->pci64 };

	for (unsigned int i = 0; i < ARRAY_SIZE(windows); i++) {
		const struct board_range *w = windows[i];

		if (at >= w->base && range_inside(at - w->base, len, w->len))
			return true;
	}
	return false;
}

/* On return no vCPU is inside its registers. */
static void take_away(struct pci_host *h, struct pci_func *f, unsigned int i)
{
	struct pci_bar *b = &f->bars[i];

	if (f->bar_moved)
		f->bar_moved(f, i, PCI_NOWHERE);
	bus_unmap(h->mmio, b->at);
	b->at = PCI_NOWHERE;
}

static void refuse(struct pci_func *f, unsigned int i, uint64_t at, const char *why)
{
	struct pci_bar *b = &f->bars[i];
	/* The lower half is all ones: the guest finds out the size (6.2.5.1), decoding or not. */
	bool sizing = (uint32_t)at == (uint32_t) ~(b->size - 1);

	if (b->refused != at && !sizing)
		log_guest(&f->limit, "%s: BAR%u at %#llx is not decoded: %s", f->name, i,
			  (unsigned long long)at, why);
	b->refused = at;
}

static void put(struct pci_host *h, struct pci_func *f, unsigned int i, uint64_t at)
{
	struct pci_bar *b = &f->bars[i];
	struct err e;

	if (!forwards(h, at, b->size)) {
		refuse(f, i, at, "not in a window of the host bridge");
	} else if (bus_map(h->mmio, at, b->size, b->ops, b->dev, &e) < 0) {
		refuse(f, i, at, e.text);
	} else {
		b->at = at;
		b->refused = PCI_NOWHERE;
		if (f->bar_moved)
			f->bar_moved(f, i, at);
	}
}

typedef void (*bar_fn)(struct pci_host *h, struct pci_func *f, unsigned int bar, uint64_t wanted);

static void each_bar_locked(struct pci_host *h, bar_fn fn)
{
	for (unsigned int slot = 0; slot < PCI_N_SLOTS; slot++) {
		struct pci_func *f = h->slots[slot];

		for (unsigned int i = 0; f && i < PCI_MAX_BARS; i++)
			fn(h, f, i, pci_func_bar_wanted(f, i));
	}
}

static void leave(struct pci_host *h, struct pci_func *f, unsigned int i, uint64_t wanted)
{
	if (f->bars[i].at != PCI_NOWHERE && f->bars[i].at != wanted)
		take_away(h, f, i);
}

static void come(struct pci_host *h, struct pci_func *f, unsigned int i, uint64_t wanted)
{
	if (wanted == PCI_NOWHERE)
		f->bars[i].refused = PCI_NOWHERE;
	else if (f->bars[i].at == PCI_NOWHERE)
		put(h, f, i, wanted);
}

/*
 * All functions' BARs, not only those of the one that was written to: one that was refused because
 * another was in its place gets it when that one goes, so that it does not matter in which order a
 * guest exchanges two.
 */
void pci_host_settle_locked(struct pci_host *h)
{
	each_bar_locked(h, leave);
	each_bar_locked(h, come);
}

static int assign_bars(struct pci_host *h, struct pci_func *f, struct err *e)
{
	for (unsigned int i = 0; i < PCI_MAX_BARS; i++) {
		uint8_t *reg = &f->config[PCI_BASE_ADDRESS_0 + 4 * i];
		uint64_t size = f->bars[i].size, at;

		if (!size)
			continue;
		at = align_up(h->next, size); /* 6.2.5.1: naturally aligned */
		if (!forwards(h, at, size))
			return err_set(e, -ENOSPC, "%s: no addresses left for its BAR%u", f->name,
				       i);
		store_le64(reg, at | (*reg & ~PCI_BASE_ADDRESS_MEM_MASK & 0xff));
		h->next = at + size;
	}
	return 0;
}

/* Of which one is twice on the bus, for a moment, when a guest moves it from within. */
static unsigned int n_bars(const struct pci_func *f)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < PCI_MAX_BARS; i++)
		n += f->bars[i].size > 0;
	return n;
}

int pci_host_add(struct pci_host *h, struct pci_func *f, struct err *e)
{
	unsigned int slot = 0;

	while (slot < PCI_N_SLOTS && h->slots[slot])
		slot++;
	if (slot == PCI_N_SLOTS)
		return err_set(e, -ENOSPC, "%s: more than %d PCI devices", f->name,
			       PCI_N_SLOTS - 1);
	if (assign_bars(h, f, e) < 0 || bus_reserve(h->mmio, 2 * n_bars(f), e) < 0)
		return e->code;
	f->host = h;
	f->slot = slot;
	pci_host_lock(h);
	h->slots[slot] = f;
	pci_host_unlock(h);
	return 0;
}

void pci_host_remove(struct pci_host *h, struct pci_func *f)
{
	pci_host_lock(h);
	VMM_BUG_ON(h->slots[f->slot] != f);
	h->slots[f->slot] = NULL;
	pci_host_unlock(h);
	f->host = NULL;
}

/* Configuration accesses ------------------------------------------------------------------- */

/* devfn: the device in bits 7 to 3, the function in bits 2 to 0. NULL: nobody is there. */
static struct pci_func *at_locked(struct pci_host *h, unsigned int devfn)
{
	return devfn % 8 == 0 ? h->slots[devfn / 8] : NULL;
}

/* Where nobody is, reads end in a master abort: all-ones. */
static uint32_t config_read(struct pci_host *h, unsigned int devfn, unsigned int off,
			    unsigned int size)
{
	struct pci_func *f;
	uint32_t val = UINT32_MAX;

	pci_host_lock(h);
	f = at_locked(h, devfn);
	if (f && off < PCI_CONFIG_LEN)
		val = pci_func_read(f, off, size);
	pci_host_unlock(h);
	return val;
}

static void config_write(struct pci_host *h, unsigned int devfn, unsigned int off,
			 unsigned int size, uint32_t val)
{
	struct pci_func *f;

	pci_host_lock(h);
	f = at_locked(h, devfn);
	if (f && off < PCI_CONFIG_LEN)
		pci_func_write(f, off, size, val);
	pci_host_unlock(h);
}

/* 7.2.2: address bits 19 to 15 are the device, 14 to 12 the function, 11 to 0 the register. */
static uint64_t ecam_read(void *p, uint64_t off, unsigned int size)
{
	return config_read(p, (unsigned int)(off / ECAM_FUNC_LEN),
			   (unsigned int)(off % ECAM_FUNC_LEN), size);
}

static void ecam_write(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	config_write(p, (unsigned int)(off / ECAM_FUNC_LEN), (unsigned int)(off % ECAM_FUNC_LEN),
		     size, (uint32_t)val);
}

static const struct bus_ops ecam_ops = {
	.name = "PCI ECAM",
	.max_size = 4,
	.read = ecam_read,
	.write = ecam_write,
};

/* 3.2.2.3.2: only accesses of 32 bits are for the register; others pass by, to where nobody is. */
static uint64_t address_read(void *p, uint64_t off, unsigned int size)
{
	struct pci_host *h = p;
	uint32_t address;

	(void)off;
	if (size != 4)
		return UINT32_MAX;
	pci_host_lock(h);
	address = h->address;
	pci_host_unlock(h);
	return address;
}

static void address_write(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	struct pci_host *h = p;

	(void)off;
	if (size != 4)
		return;
	pci_host_lock(h);
	h->address = (uint32_t)val & ADDRESS_MASK;
	pci_host_unlock(h);
}

static const struct bus_ops address_ops = {
	.name = "PCI configuration address",
	.max_size = 4,
	.read = address_read,
	.write = address_write,
};

/* Bits 23 to 16 are the bus, 15 to 11 the device, 10 to 8 the function. false: not on bus 0. */
static bool decode_address(struct pci_host *h, unsigned int *devfn, unsigned int *off)
{
	uint32_t address = (uint32_t)address_read(h, 0, 4);

	*devfn = address >> 8 & 0xff;
	*off = address & 0xfc;
	return (address & ADDRESS_ENABLE) && (address >> 16 & 0xff) == 0;
}

static uint64_t data_read(void *p, uint64_t off, unsigned int size)
{
	unsigned int devfn, reg;

	if (!decode_address(p, &devfn, &reg))
		return UINT32_MAX;
	return config_read(p, devfn, reg + (unsigned int)off, size);
}

static void data_write(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	unsigned int devfn, reg;

	if (decode_address(p, &devfn, &reg))
		config_write(p, devfn, reg + (unsigned int)off, size, (uint32_t)val);
}

static const struct bus_ops data_ops = {
	.name = "PCI configuration data",
	.max_size = 4,
	.read = data_read,
	.write = data_write,
};

/* The device ------------------------------------------------------------------------------- */

static void host_reset(struct device *d)
{
	struct pci_host *h = container_of(d, struct pci_host, dev);

	pci_host_lock(h);
	h->address = 0;
	pci_host_unlock(h);
	pci_func_reset(&h->bridge);
}

static void host_destroy(struct device *d)
{
	struct pci_host *h = container_of(d, struct pci_host, dev);

	pci_func_detach(&h->bridge);
	for (unsigned int i = 0; i < PCI_N_SLOTS; i++)
		VMM_BUG_ON(h->slots[i]);
	bus_unmap(h->pio, PCI_CONFIG_ADDRESS);
	bus_unmap(h->pio, PCI_CONFIG_DATA);
	bus_unmap(h->mmio, h->ecam.base);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static const struct device_ops host_ops = {
	.type = "pci-host",
	.reset = host_reset,
	.destroy = host_destroy,
};

static int map(struct pci_host *h, struct err *e)
{
	if (bus_map(h->pio, PCI_CONFIG_ADDRESS, 4, &address_ops, h, e) < 0)
		return e->code;
	if (bus_map(h->pio, PCI_CONFIG_DATA, 4, &data_ops, h, e) < 0)
		goto unmap_address;
	if (bus_map(h->mmio, h->ecam.base, h->ecam.len, &ecam_ops, h, e) < 0)
		goto unmap_data;
	return 0;

unmap_data:
	bus_unmap(h->pio, PCI_CONFIG_DATA);
unmap_address:
	bus_unmap(h->pio, PCI_CONFIG_ADDRESS);
	return e->code;
}

int pci_host_create(struct device **out, const struct device_env *env, struct err *e)
{
	static const struct pci_ids ids = {
		.vendor = BRIDGE_VENDOR,
		.device = BRIDGE_DEVICE,
		.class_code = { 0x06, 0x00, 0x00 }, /* bridge, host (PCI 3.0, appendix D.7) */
	};
	struct pci_host *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, -ENOMEM, "pci-host: out of memory");
	VMM_BUG_ON(env->board->ecam.len != ECAM_BUS_LEN);
	*h = (struct pci_host){
		.dev.ops = &host_ops,
		.pio = env->pio,
		.mmio = env->mmio,
		.ecam = env->board->ecam,
		.pci32 = env->board->pci32,
		.pci64 = env->board->pci64,
		.next = env->board->pci32.base,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	if (map(h, e) < 0) {
		free(h);
		return err_wrap(e, "pci-host");
	}
	pci_func_init(&h->bridge, "pci-host", &ids);
	VMM_BUG_ON(pci_func_attach(&h->bridge, h, e) < 0); /* slot 0 is free */
	*out = &h->dev;
	return 0;
}

struct pci_host *pci_host_from(struct device *d)
{
	VMM_BUG_ON(d->ops != &host_ops);
	return container_of(d, struct pci_host, dev);
}
