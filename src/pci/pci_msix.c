/*
 * pci_msix.c - MSI-X: a function's interrupt vectors, each a message of the guest's choice.
 *
 * Life of a VM: the guest's driver fills in the table when it sets up its device, and masks and
 * changes vectors when it moves interrupts to other CPUs, on vCPU threads; devices fire on
 * any thread.
 *
 * Source: PCI Local Bus 3.0: 6.8.2 (capability, table, pending bits), 6.8.3 (what masking means).
 *
 * KVM is told of a vector's message when that could be sent, and again only if it has changed
 * since: masking costs nothing there, as all firing comes by here and looks at the masks first.
 * Not so for a vector whose eventfd a device in the kernel has: KVM listens to it while the message
 * may be sent, and what is written there meanwhile waits in the eventfd, as its pending bit.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/bug.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>
#include <vmm/pci/pci_msix.h>

#define ADDRESS 0
#define ADDRESS_HIGH 1
#define DATA 2
#define CONTROL 3

/* 6.8.2.6 to 6.8.2.9: what can be written. Messages are DWORD writes: the address's low bits are 0.
 */
static const uint32_t writable[4] = { ~3u, ~0u, ~0u, PCI_MSIX_ENTRY_CTRL_MASKBIT };

/*
 * Without Bus Master Enable a function may not write to memory, and a message is such a write (PCI
 * Express Base 5.0, 7.5.1.1.3). It then stays pending, like that of a masked vector.
 */
static bool may_send_locked(const struct pci_msix *x, const struct pci_msix_vector *v)
{
	return x->enabled && !x->masked && x->master &&
	       !(v->word[CONTROL] & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

/* Something about the vector has changed: 6.8.3.4, what is pending is sent once it may be. */
static void update_locked(struct pci_msix *x, struct pci_msix_vector *v)
{
	if (!x->enabled) {
		v->pending = v->lent = false;
		kvm_irq_msi_clear(&v->irq);
		return;
	}
	if (!may_send_locked(x, v)) {
		if (v->lent)
			kvm_irq_msi_hold(&v->irq);
		return;
	}
	kvm_irq_msi_set(&v->irq, (uint64_t)v->word[ADDRESS_HIGH] << 32 | v->word[ADDRESS],
			v->word[DATA]);
	if (v->pending)
		kvm_irq_msi_fire(&v->irq);
	v->pending = false;
	if (v->lent && kvm_irq_msi_fd(&v->irq) < 0) { /* KVM does not take it */
		v->lent = false;
		if (x->fds_changed)
			x->fds_changed(x);
	}
}

void pci_msix_fire(struct pci_msix *x, unsigned int vector)
{
	struct pci_msix_vector *v = &x->vectors[vector];

	VMM_BUG_ON(vector >= x->n_vectors);
	pthread_mutex_lock(&x->lock);
	if (may_send_locked(x, v))
		kvm_irq_msi_fire(&v->irq);
	else
		v->pending = x->enabled;
	pthread_mutex_unlock(&x->lock);
}

int pci_msix_fd(struct pci_msix *x, unsigned int vector)
{
	struct pci_msix_vector *v = &x->vectors[vector];
	int fd = -1;

	VMM_BUG_ON(vector >= x->n_vectors);
	pthread_mutex_lock(&x->lock);
	if (x->enabled && !v->lent && !may_send_locked(x, v))
		kvm_irq_msi_hold(&v->irq);
	if (x->enabled)
		fd = kvm_irq_msi_fd(&v->irq);
	v->lent = fd >= 0;
	pthread_mutex_unlock(&x->lock);
	return fd;
}

bool pci_msix_enabled(struct pci_msix *x)
{
	bool enabled;

	pthread_mutex_lock(&x->lock);
	enabled = x->enabled;
	pthread_mutex_unlock(&x->lock);
	return enabled;
}

void pci_msix_config_written(struct pci_msix *x)
{
	const uint8_t *config = x->func->config;
	uint16_t flags = load_le16(config + x->cap + PCI_MSIX_FLAGS);
	bool was_enabled;

	pthread_mutex_lock(&x->lock);
	was_enabled = x->enabled;
	x->enabled = flags & PCI_MSIX_FLAGS_ENABLE;
	x->masked = flags & PCI_MSIX_FLAGS_MASKALL;
	x->master = config[PCI_COMMAND] & PCI_COMMAND_MASTER;
	for (unsigned int i = 0; i < x->n_vectors; i++)
		update_locked(x, &x->vectors[i]);
	if (x->fds_changed && x->enabled != was_enabled)
		x->fds_changed(x);
	pthread_mutex_unlock(&x->lock);
}

static void flags_written(struct pci_func *f)
{
	pci_msix_config_written(f->msix);
}

/* The BAR ---------------------------------------------------------------------------------- */

static uint32_t pending_locked(struct pci_msix *x, unsigned int first)
{
	uint32_t bits = 0;

	for (unsigned int i = 0; i < 32 && first + i < x->n_vectors; i++) {
		struct pci_msix_vector *v = &x->vectors[first + i];

		if (v->lent && !may_send_locked(x, v) && kvm_irq_msi_take(&v->irq))
			v->pending = true;
		bits |= (uint32_t)v->pending << i;
	}
	return bits;
}

/*
 * 6.8.2: software uses aligned DWORD or QWORD accesses, and others are undefined: here they are
 * like those to a hole. The bus makes two DWORDs of each QWORD.
 */
static uint64_t msix_read(void *p, uint64_t off, unsigned int size)
{
	struct pci_msix *x = p;
	uint32_t val = UINT32_MAX;

	if (size != 4)
		return UINT32_MAX;
	pthread_mutex_lock(&x->lock);
	if (off / PCI_MSIX_ENTRY_SIZE < x->n_vectors)
		val = x->vectors[off / PCI_MSIX_ENTRY_SIZE].word[off % PCI_MSIX_ENTRY_SIZE / 4];
	else if (off >= PCI_MSIX_PBA_AT && (off - PCI_MSIX_PBA_AT) * 8 < x->n_vectors)
		val = pending_locked(x, (unsigned int)(off - PCI_MSIX_PBA_AT) * 8);
	pthread_mutex_unlock(&x->lock);
	return val;
}

static void msix_write(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	struct pci_msix *x = p;
	unsigned int word = off % PCI_MSIX_ENTRY_SIZE / 4;
	struct pci_msix_vector *v;

	if (size != 4 || off / PCI_MSIX_ENTRY_SIZE >= x->n_vectors)
		return; /* the pending bits are read-only */
	pthread_mutex_lock(&x->lock);
	v = &x->vectors[off / PCI_MSIX_ENTRY_SIZE];
	v->word[word] = (uint32_t)val & writable[word];
	update_locked(x, v);
	pthread_mutex_unlock(&x->lock);
}

static const struct bus_ops msix_ops = {
	.name = "MSI-X table",
	.max_size = 4,
	.read = msix_read,
	.write = msix_write,
};

/* Making and unmaking ---------------------------------------------------------------------- */

void pci_msix_reset(struct pci_msix *x)
{
	pthread_mutex_lock(&x->lock);
	x->enabled = x->masked = x->master = false;
	for (unsigned int i = 0; i < x->n_vectors; i++) {
		struct pci_msix_vector *v = &x->vectors[i];

		memset(v->word, 0, sizeof(v->word));
		v->word[CONTROL] = PCI_MSIX_ENTRY_CTRL_MASKBIT; /* 6.8.2.9 */
		update_locked(x, v);
	}
	pthread_mutex_unlock(&x->lock);
}

static void add_cap(struct pci_msix *x, struct pci_func *f, unsigned int bar)
{
	x->cap = pci_func_add_cap(f, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	store_le16(f->config + x->cap + PCI_MSIX_FLAGS, (uint16_t)(x->n_vectors - 1));
	store_le32(f->config + x->cap + PCI_MSIX_TABLE, PCI_MSIX_TABLE_AT | bar);
	store_le32(f->config + x->cap + PCI_MSIX_PBA, PCI_MSIX_PBA_AT | bar);
	pci_func_add_reg(f, &(struct pci_reg){
				    .off = (uint8_t)(x->cap + PCI_MSIX_FLAGS),
				    .len = 2,
				    .writable = PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL,
				    .written = flags_written,
			    });
	pci_func_add_bar(f, bar, PCI_MSIX_BAR_LEN, &msix_ops, x);
	f->msix = x;
}

int pci_msix_init(struct pci_msix *x, struct pci_func *f, unsigned int bar, unsigned int n_vectors,
		  struct kvm_vm *vm, struct err *e)
{
	VMM_BUG_ON(n_vectors == 0 || n_vectors > PCI_MSIX_MAX_VECTORS);
	*x = (struct pci_msix){ .func = f, .lock = PTHREAD_MUTEX_INITIALIZER };
	x->vectors = calloc(n_vectors, sizeof(*x->vectors));
	if (!x->vectors)
		return err_set(e, -ENOMEM, "%s: out of memory", f->name);
	for (; x->n_vectors < n_vectors; x->n_vectors++) {
		if (kvm_irq_msi_init(&x->vectors[x->n_vectors].irq, vm, e) < 0) {
			pci_msix_fini(x);
			return err_wrap(e, "%s", f->name);
		}
	}
	add_cap(x, f, bar);
	pci_msix_reset(x);
	return 0;
}

void pci_msix_fini(struct pci_msix *x)
{
	for (unsigned int i = 0; i < x->n_vectors; i++)
		kvm_irq_msi_fini(&x->vectors[i].irq);
	free(x->vectors);
	x->vectors = NULL;
	x->n_vectors = 0;
	pthread_mutex_destroy(&x->lock);
}
