/*
 * kvm_irq.c - the VM's table of interrupt routes, and the sources that fire through it.
 *
 * Life of a VM: each vector of a device gets its GSI while the board is built. The guest's drivers
 * then say, on vCPU threads, where the vectors lead, and change that when the guest balances
 * its interrupts; devices fire on any thread. At a reset the owners of the sources take the routes
 * back, and then KVM gets its first table again; the GSIs stay.
 *
 * Source: Linux, Documentation/virt/kvm/api.rst: 4.52 KVM_SET_GSI_ROUTING, 4.71 KVM_SIGNAL_MSI,
 * 4.75 KVM_IRQFD. There are three ways to send a message, from best to plain:
 *   irqfd       a GSI leads to the message, and an eventfd fires the GSI
 *   SIGNAL_MSI  the message itself is given to KVM
 *   IRQ_LINE    a GSI leads to the message, and the GSI is raised as if it were a line
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/eventfd.h>
#include <vmm/kvm/kvm_irq.h>

#define N_8259_PINS 16u
#define N_FIXED (KVM_IRQ_PINS + N_8259_PINS) /* entries that are not messages */
#define MAX_GSI 4096u /* KVM_MAX_IRQ_ROUTES */

struct kvm_irq_table {
	unsigned int n_users; /* sources that have a GSI; main thread */
	uint64_t used[MAX_GSI / 64]; /* a bit for each GSI that a source has; main thread */

	pthread_mutex_t lock; /* guards what follows, and its way into the kernel */
	unsigned int capacity; /* of entries */
	struct kvm_irq_routing *routes; /* as KVM has it, or shall have next time */
	bool told; /* KVM has had a table of ours */
};

void kvm_vm_probe(const struct kvm_sys *sys, struct kvm_vm_caps *caps)
{
	int max_routes = kvm_sys_cap(sys, KVM_CAP_IRQ_ROUTING);

	*caps = (struct kvm_vm_caps){
		.irqfd = kvm_sys_cap(sys, KVM_CAP_IRQFD) > 0,
		.ioeventfd = kvm_sys_cap(sys, KVM_CAP_IOEVENTFD) > 0,
		.ioeventfd_any_length = kvm_sys_cap(sys, KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0,
		.signal_msi = kvm_sys_cap(sys, KVM_CAP_SIGNAL_MSI) > 0,
		.max_routes = max_routes > 0 ? (unsigned int)max_routes : 0,
	};
	if (!caps->irqfd || !caps->ioeventfd)
		log_debug("this KVM lacks%s%s: devices do it the slower way",
			  caps->irqfd ? "" : " KVM_CAP_IRQFD",
			  caps->ioeventfd ? "" : " KVM_CAP_IOEVENTFD");
	if (!caps->signal_msi && !caps->max_routes)
		log_warn("this host's KVM has neither KVM_CAP_SIGNAL_MSI nor KVM_CAP_IRQ_ROUTING: "
			 "PCI devices cannot interrupt the guest");
}

/* The table --------------------------------------------------------------------------------- */

static void add_pin(struct kvm_irq_routing *r, unsigned int gsi, unsigned int chip,
		    unsigned int pin)
{
	r->entries[r->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

/* As KVM_CREATE_IRQCHIP has it: said again, because each new table replaces the old one. */
static void add_pins(struct kvm_irq_routing *r)
{
	for (unsigned int gsi = 0; gsi < KVM_IRQ_PINS; gsi++) {
		if (gsi < 8)
			add_pin(r, gsi, KVM_IRQCHIP_PIC_MASTER, gsi);
		else if (gsi < N_8259_PINS)
			add_pin(r, gsi, KVM_IRQCHIP_PIC_SLAVE, gsi - 8);
		add_pin(r, gsi, KVM_IRQCHIP_IOAPIC, gsi);
	}
}

static struct kvm_irq_table *table_create(void)
{
	struct kvm_irq_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->capacity = N_FIXED;
	t->routes = calloc(1, sizeof(*t->routes) + t->capacity * sizeof(t->routes->entries[0]));
	if (!t->routes) {
		free(t);
		return NULL;
	}
	pthread_mutex_init(&t->lock, NULL);
	add_pins(t->routes);
	VMM_BUG_ON(t->routes->nr != N_FIXED);
	return t;
}

/* The last user has gone, or the first one never came. */
static void drop_unused_table(struct kvm_vm *vm)
{
	struct kvm_irq_table *t = vm->irq_table;

	if (!t || t->n_users > 0)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t->routes);
	free(t);
	vm->irq_table = NULL;
}

/* Room for one message more; there is one for each GSI, so that no guest can make us fail later. */
static bool table_grow(struct kvm_irq_table *t)
{
	unsigned int capacity = N_FIXED + t->n_users + 1;
	struct kvm_irq_routing *r;

	if (capacity <= t->capacity)
		return true;
	r = realloc(t->routes, sizeof(*r) + capacity * sizeof(r->entries[0]));
	if (!r)
		return false;
	t->routes = r;
	t->capacity = capacity;
	return true;
}

static bool table_take_gsi(struct kvm_irq_table *t, unsigned int *gsi)
{
	for (*gsi = KVM_IRQ_PINS; *gsi < MAX_GSI; ++*gsi) {
		if (t->used[*gsi / 64] >> *gsi % 64 & 1)
			continue;
		t->used[*gsi / 64] |= UINT64_C(1) << *gsi % 64;
		t->n_users++;
		return true;
	}
	return false;
}

static struct kvm_irq_routing_entry *find_locked(struct kvm_irq_table *t, unsigned int gsi)
{
	for (unsigned int i = N_FIXED; i < t->routes->nr; i++) {
		if (t->routes->entries[i].gsi == gsi)
			return &t->routes->entries[i];
	}
	return NULL;
}

static void remove_locked(struct kvm_irq_table *t, struct kvm_irq_routing_entry *r)
{
	*r = t->routes->entries[--t->routes->nr];
}

/*
 * KVM takes the table as a whole or refuses it as a whole, and it may refuse one because of a
 * message that a guest made up: that one goes, so that the next table is not refused, too.
 */
static bool route_locked(struct kvm_irq_table *t, const struct kvm_irq_msi *m)
{
	struct kvm_irq_routing_entry *r = find_locked(t, m->gsi);
	int rc;

	if (!r) {
		if (t->routes->nr >= m->vm->caps.max_routes)
			return false;
		VMM_BUG_ON(t->routes->nr >= t->capacity);
		r = &t->routes->entries[t->routes->nr++];
	}
	*r = (struct kvm_irq_routing_entry){
		.gsi = m->gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = (uint32_t)m->address,
			   .address_hi = (uint32_t)(m->address >> 32),
			   .data = m->data },
	};
	rc = kvm_vm_set_routes(m->vm, t->routes);
	if (rc < 0) {
		log_debug("KVM_SET_GSI_ROUTING, message to %#llx: %s",
			  (unsigned long long)m->address, strerror(-rc));
		remove_locked(t, r);
	}
	t->told |= rc == 0;
	return rc == 0;
}

static bool route(const struct kvm_irq_msi *m)
{
	struct kvm_irq_table *t = m->vm->irq_table;
	bool ok;

	pthread_mutex_lock(&t->lock);
	ok = route_locked(t, m);
	pthread_mutex_unlock(&t->lock);
	return ok;
}

/* KVM keeps the route until the next table; nothing fires it. */
static void unroute(const struct kvm_irq_msi *m)
{
	struct kvm_irq_table *t = m->vm->irq_table;
	struct kvm_irq_routing_entry *r;

	pthread_mutex_lock(&t->lock);
	r = find_locked(t, m->gsi);
	if (r)
		remove_locked(t, r);
	pthread_mutex_unlock(&t->lock);
}

int kvm_irq_reset(const struct kvm_vm *vm, struct err *e)
{
	struct kvm_irq_table *t = vm->irq_table;
	int rc = 0;

	if (!t)
		return 0;
	pthread_mutex_lock(&t->lock);
	VMM_BUG_ON(t->routes->nr != N_FIXED);
	if (t->told)
		rc = kvm_vm_set_routes(vm, t->routes);
	t->told &= rc < 0;
	pthread_mutex_unlock(&t->lock);
	return rc < 0 ? err_set(e, rc, "KVM_SET_GSI_ROUTING: %s", strerror(-rc)) : 0;
}

/* Eventfds ---------------------------------------------------------------------------------- */

static bool irqfd_assign(const struct kvm_vm *vm, int fd, unsigned int gsi)
{
	const struct kvm_irqfd i = { .fd = (uint32_t)fd, .gsi = gsi };
	int rc;

	if (!vm->caps.irqfd)
		return false;
	rc = kvm_vm_irqfd(vm, &i);
	if (rc < 0)
		log_debug("KVM_IRQFD, GSI %u: %s", gsi, strerror(-rc));
	return rc == 0;
}

static void irqfd_detach(const struct kvm_vm *vm, int fd, unsigned int gsi)
{
	const struct kvm_irqfd i = { .fd = (uint32_t)fd,
				     .gsi = gsi,
				     .flags = KVM_IRQFD_FLAG_DEASSIGN };

	if (vm->fd >= 0)
		(void)kvm_vm_irqfd(vm, &i);
}

static void irqfd_deassign(const struct kvm_vm *vm, int fd, unsigned int gsi)
{
	irqfd_detach(vm, fd, gsi);
	/* What came while nobody listened would fire at the next assignment. */
	eventfd_take(fd);
}

static void irqfd_fire(int fd)
{
	const uint64_t one = 1;

	/* EAGAIN: the counter is full, so there is more than one to deliver anyway. */
	VMM_BUG_ON(write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN);
}

static int new_eventfd(struct err *e)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? err_errno(e, "interrupt (eventfd)") : fd;
}

/* Messages ---------------------------------------------------------------------------------- */

int kvm_irq_msi_init(struct kvm_irq_msi *m, struct kvm_vm *vm, struct err *e)
{
	int fd = new_eventfd(e);

	*m = (struct kvm_irq_msi){ 0 };
	if (fd < 0)
		return fd;
	if (!vm->irq_table)
		vm->irq_table = table_create();
	if (!vm->irq_table || !table_grow(vm->irq_table)) {
		drop_unused_table(vm);
		close(fd);
		return err_set(e, -ENOMEM, "interrupt routes: out of memory");
	}
	if (!table_take_gsi(vm->irq_table, &m->gsi)) {
		close(fd);
		return err_set(e, -ENOSPC, "interrupts: more than KVM's %u", MAX_GSI);
	}
	m->vm = vm;
	m->fd = fd;
	return 0;
}

void kvm_irq_msi_fini(struct kvm_irq_msi *m)
{
	struct kvm_vm *vm = m->vm;

	if (!vm)
		return;
	kvm_irq_msi_clear(m);
	close(m->fd);
	vm->irq_table->used[m->gsi / 64] &= ~(UINT64_C(1) << m->gsi % 64);
	vm->irq_table->n_users--;
	drop_unused_table(vm);
	*m = (struct kvm_irq_msi){ 0 };
}

void kvm_irq_msi_set(struct kvm_irq_msi *m, uint64_t address, uint32_t data)
{
	const struct kvm_vm_caps *caps = &m->vm->caps;

	if (m->set && m->address == address && m->data == data && !m->held)
		return;
	m->held = false;
	m->set = true;
	m->address = address;
	m->data = data;
	if (!caps->max_routes || (!caps->irqfd && caps->signal_msi))
		return;
	m->routed = route(m);
	if (m->routed && !m->has_irqfd) {
		m->has_irqfd = irqfd_assign(m->vm, m->fd, m->gsi);
	} else if (!m->routed && m->has_irqfd) {
		irqfd_deassign(m->vm, m->fd, m->gsi);
		m->has_irqfd = false;
	}
}

void kvm_irq_msi_clear(struct kvm_irq_msi *m)
{
	if (m->held)
		eventfd_take(m->fd);
	m->held = false;
	if (!m->set)
		return;
	if (m->has_irqfd)
		irqfd_deassign(m->vm, m->fd, m->gsi);
	unroute(m);
	m->set = m->routed = m->has_irqfd = false;
}

void kvm_irq_msi_fire(const struct kvm_irq_msi *m)
{
	const struct kvm_msi msi = {
		.address_lo = (uint32_t)m->address,
		.address_hi = (uint32_t)(m->address >> 32),
		.data = m->data,
	};

	if (!m->set)
		return;
	if (m->has_irqfd)
		irqfd_fire(m->fd);
	else if (m->vm->caps.signal_msi)
		(void)kvm_vm_signal_msi(m->vm, &msi); /* -EINVAL: a message to nowhere */
	else if (m->routed && m->vm->fd >= 0)
		kvm_vm_irq_line(m->vm, m->gsi, true); /* a message has no other edge */
}

int kvm_irq_msi_fd(const struct kvm_irq_msi *m)
{
	const struct kvm_vm_caps *caps = &m->vm->caps;
	bool can = caps->irqfd && caps->max_routes > 0;

	return can && (m->has_irqfd || m->held || !m->set) ? m->fd : -1;
}

void kvm_irq_msi_hold(struct kvm_irq_msi *m)
{
	if (m->has_irqfd) {
		eventfd_take(
			m->fd); /* that has been sent; kernels before 5.11 do not take it away */
		irqfd_detach(m->vm, m->fd, m->gsi);
	}
	m->has_irqfd = false;
	m->held = true;
}

bool kvm_irq_msi_take(struct kvm_irq_msi *m)
{
	return !m->has_irqfd && eventfd_take(m->fd);
}

/* Pins -------------------------------------------------------------------------------------- */

int kvm_irq_pin_init(struct kvm_irq_pin *p, struct kvm_vm *vm, unsigned int gsi, struct err *e)
{
	int fd = new_eventfd(e);

	VMM_BUG_ON(gsi >= KVM_IRQ_PINS);
	*p = (struct kvm_irq_pin){ 0 };
	if (fd < 0)
		return fd;
	*p = (struct kvm_irq_pin){ .vm = vm, .gsi = gsi, .fd = fd };
	return 0;
}

void kvm_irq_pin_fini(struct kvm_irq_pin *p)
{
	if (!p->vm)
		return;
	kvm_irq_pin_disconnect(p);
	close(p->fd);
	*p = (struct kvm_irq_pin){ 0 };
}

void kvm_irq_pin_connect(struct kvm_irq_pin *p)
{
	if (!p->has_irqfd)
		p->has_irqfd = irqfd_assign(p->vm, p->fd, p->gsi);
}

void kvm_irq_pin_disconnect(struct kvm_irq_pin *p)
{
	if (p->has_irqfd)
		irqfd_deassign(p->vm, p->fd, p->gsi);
	p->has_irqfd = false;
}

void kvm_irq_pin_pulse(const struct kvm_irq_pin *p)
{
	if (p->has_irqfd) {
		irqfd_fire(p->fd); /* without a resamplefd, KVM does both edges */
	} else if (p->vm->fd >= 0) {
		kvm_vm_irq_line(p->vm, p->gsi, true);
		kvm_vm_irq_line(p->vm, p->gsi, false);
	}
}
