/*
 * fake_kvm_irq.c - the part of fake_kvm.h that is about interrupts and notifications.
 */
#include "fake_kvm.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <vmm/base/util.h>

static pthread_mutex_t irqs_lock = PTHREAD_MUTEX_INITIALIZER; /* guards fake_kvm.irqs */

void fake_kvm_forget_irqs(void)
{
	pthread_mutex_lock(&irqs_lock);
	fake_kvm.irqs = (struct fake_kvm_irqs){ 0 };
	pthread_mutex_unlock(&irqs_lock);
}

void fake_kvm_check_irqs_are_reset(void)
{
	struct fake_kvm_irqs *q = &fake_kvm.irqs;

	pthread_mutex_lock(&irqs_lock);
	q->n_mistakes += q->n_irqfds + q->n_ioeventfds;
	for (unsigned int i = 0; i < q->n_routes; i++)
		q->n_mistakes += q->routes[i].type == KVM_IRQ_ROUTING_MSI;
	pthread_mutex_unlock(&irqs_lock);
}

struct fake_kvm_irqs fake_kvm_irqs(void)
{
	struct fake_kvm_irqs copy;

	pthread_mutex_lock(&irqs_lock);
	copy = fake_kvm.irqs;
	pthread_mutex_unlock(&irqs_lock);
	return copy;
}

static const struct kvm_irq_routing_entry *route_locked(uint32_t gsi)
{
	for (unsigned int i = 0; i < fake_kvm.irqs.n_routes; i++) {
		if (fake_kvm.irqs.routes[i].gsi == gsi &&
		    fake_kvm.irqs.routes[i].type == KVM_IRQ_ROUTING_MSI)
			return &fake_kvm.irqs.routes[i];
	}
	return NULL;
}

static int mistake_locked(int code)
{
	fake_kvm.irqs.n_mistakes++;
	return code;
}

static void got_msi_locked(const struct kvm_msi *msi)
{
	fake_kvm.irqs.msi[fake_kvm.irqs.n_msis++ % FAKE_KVM_MSIS] = *msi;
}

static void route_fired_locked(uint32_t gsi)
{
	const struct kvm_irq_routing_entry *r = route_locked(gsi);

	if (!r) {
		mistake_locked(0);
		return;
	}
	got_msi_locked(&(struct kvm_msi){ .address_lo = r->u.msi.address_lo,
					  .address_hi = r->u.msi.address_hi,
					  .data = r->u.msi.data });
}

void fake_kvm_line_raised(unsigned int gsi)
{
	pthread_mutex_lock(&irqs_lock);
	fake_kvm.irqs.last_gsi = gsi;
	if (gsi >= 24)
		route_fired_locked(gsi);
	pthread_mutex_unlock(&irqs_lock);
}

int kvm_vm_set_routes(const struct kvm_vm *vm, const struct kvm_irq_routing *table)
{
	int rc = 0;

	pthread_mutex_lock(&irqs_lock);
	if (vm->fd < 0 || table->nr > ARRAY_SIZE(fake_kvm.irqs.routes))
		rc = mistake_locked(-EBADF);
	else if (fake_kvm.routing_error)
		rc = -fake_kvm.routing_error;
	for (unsigned int i = 0; rc == 0 && i < table->nr; i++) {
		if (fake_kvm.refused_msi && table->entries[i].type == KVM_IRQ_ROUTING_MSI &&
		    table->entries[i].u.msi.address_hi == fake_kvm.refused_msi)
			rc = -EINVAL;
	}
	if (rc == 0) {
		memcpy(fake_kvm.irqs.routes, table->entries, table->nr * sizeof(table->entries[0]));
		fake_kvm.irqs.n_routes = table->nr;
		fake_kvm.irqs.n_updates++;
	}
	pthread_mutex_unlock(&irqs_lock);
	return rc;
}

static int find_irqfd_locked(const struct kvm_irqfd *want)
{
	for (unsigned int i = 0; i < fake_kvm.irqs.n_irqfds; i++) {
		if (fake_kvm.irqs.irqfd[i].fd == want->fd)
			return (int)i;
	}
	return -1;
}

static int change_irqfd_locked(const struct kvm_irqfd *want)
{
	struct fake_kvm_irqs *q = &fake_kvm.irqs;
	int at = find_irqfd_locked(want);

	if (want->flags & KVM_IRQFD_FLAG_DEASSIGN) {
		if (at < 0 || q->irqfd[at].gsi != want->gsi)
			return mistake_locked(0); /* a kernel does not say so */
		q->irqfd[at] = q->irqfd[--q->n_irqfds];
		return 0;
	}
	if (fake_kvm.irqfd_error)
		return -fake_kvm.irqfd_error;
	if (at >= 0)
		return mistake_locked(-EBUSY);
	if (q->n_irqfds == FAKE_KVM_IRQFDS)
		return -ENOMEM;
	q->irqfd[q->n_irqfds++] = *want;
	return 0;
}

int kvm_vm_irqfd(const struct kvm_vm *vm, const struct kvm_irqfd *want)
{
	int rc;

	pthread_mutex_lock(&irqs_lock);
	rc = vm->fd < 0 ? mistake_locked(-EBADF) : change_irqfd_locked(want);
	pthread_mutex_unlock(&irqs_lock);
	return rc;
}

int kvm_vm_signal_msi(const struct kvm_vm *vm, const struct kvm_msi *msi)
{
	int rc = 0;

	pthread_mutex_lock(&irqs_lock);
	if (vm->fd < 0)
		rc = mistake_locked(-EBADF);
	else if (fake_kvm.refused_msi && msi->address_hi == fake_kvm.refused_msi)
		rc = -EINVAL;
	else
		got_msi_locked(msi);
	pthread_mutex_unlock(&irqs_lock);
	return rc;
}

static bool same_ioeventfd(const struct kvm_ioeventfd *a, const struct kvm_ioeventfd *b)
{
	uint32_t match = KVM_IOEVENTFD_FLAG_DATAMATCH;

	return a->addr == b->addr && a->len == b->len && a->datamatch == b->datamatch &&
	       (a->flags & match) == (b->flags & match);
}

static int change_ioeventfd_locked(const struct kvm_ioeventfd *want)
{
	struct fake_kvm_irqs *q = &fake_kvm.irqs;
	unsigned int at = 0;

	while (at < q->n_ioeventfds && !same_ioeventfd(&q->ioeventfd[at], want))
		at++;
	if (want->flags & KVM_IOEVENTFD_FLAG_DEASSIGN) {
		if (at == q->n_ioeventfds || q->ioeventfd[at].fd != want->fd)
			return mistake_locked(-ENOENT);
		q->ioeventfd[at] = q->ioeventfd[--q->n_ioeventfds];
		return 0;
	}
	if (fake_kvm.ioeventfd_error)
		return -fake_kvm.ioeventfd_error;
	if (at < q->n_ioeventfds)
		return mistake_locked(-EEXIST);
	if (q->n_ioeventfds == FAKE_KVM_IOEVENTFDS)
		return -ENOSPC;
	q->ioeventfd[q->n_ioeventfds++] = *want;
	return 0;
}

int kvm_vm_ioeventfd(const struct kvm_vm *vm, const struct kvm_ioeventfd *want)
{
	int rc;

	pthread_mutex_lock(&irqs_lock);
	rc = vm->fd < 0 ? mistake_locked(-EBADF) : change_ioeventfd_locked(want);
	pthread_mutex_unlock(&irqs_lock);
	return rc;
}

static uint64_t take(uint32_t fd)
{
	uint64_t n;

	return read((int)fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

unsigned int fake_kvm_take_msis(struct kvm_msi *last)
{
	struct fake_kvm_irqs *q = &fake_kvm.irqs;
	unsigned int n;

	pthread_mutex_lock(&irqs_lock);
	for (unsigned int i = 0; i < q->n_irqfds; i++) {
		if (q->irqfd[i].gsi < 24)
			continue;
		for (uint64_t left = take(q->irqfd[i].fd); left > 0; left--)
			route_fired_locked(q->irqfd[i].gsi);
	}
	n = q->n_msis;
	if (n > 0)
		*last = q->msi[(n - 1) % FAKE_KVM_MSIS];
	q->n_msis = 0;
	pthread_mutex_unlock(&irqs_lock);
	return n;
}

unsigned int fake_kvm_take_pulses(unsigned int gsi)
{
	unsigned int n = 0;

	pthread_mutex_lock(&irqs_lock);
	for (unsigned int i = 0; i < fake_kvm.irqs.n_irqfds; i++) {
		if (fake_kvm.irqs.irqfd[i].gsi == gsi)
			n += (unsigned int)take(fake_kvm.irqs.irqfd[i].fd);
	}
	pthread_mutex_unlock(&irqs_lock);
	return n;
}

int fake_kvm_find_ioeventfd(uint64_t address, uint32_t width, uint64_t value)
{
	int fd = -1;

	pthread_mutex_lock(&irqs_lock);
	for (unsigned int i = 0; i < fake_kvm.irqs.n_ioeventfds; i++) {
		const struct kvm_ioeventfd *e = &fake_kvm.irqs.ioeventfd[i];

		if (e->addr == address && (e->len == 0 || e->len == width) &&
		    (!(e->flags & KVM_IOEVENTFD_FLAG_DATAMATCH) || e->datamatch == value))
			fd = e->fd;
	}
	pthread_mutex_unlock(&irqs_lock);
	return fd;
}
