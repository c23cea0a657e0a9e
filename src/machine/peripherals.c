/*
 * peripherals.c - the virtio devices that the user has asked for, each behind its transport.
 *
 * Life of a VM: while the board is built, behind the plain chips of catalog.c. Main thread.
 *
 * The order here is the order on the bus, and so the guest's: disk0 is vda, net0 is eth0.
 */
#include "machine.h"
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <vmm/base/util.h>
#include <vmm/machine/config.h>
#include <vmm/pci/pci_host.h>
#include <vmm/virtio/virtio_blk.h>
#include <vmm/virtio/virtio_mmio.h>
#include <vmm/virtio/virtio_net.h>
#include <vmm/virtio/virtio_pci.h>

__attribute__((format(printf, 3, 4))) static void append(char *buf, size_t size, const char *fmt,
							 ...)
{
	size_t n = strlen(buf);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf + n, size - n, fmt, ap);
	va_end(ap);
}

static const struct chardev_watch *watch_of_port(struct machine *m, bool is_console,
						 struct chardev_watch *w)
{
	*w = (struct chardev_watch){
		.output = is_console ? watch_output : NULL,
		.command = machine_on_command,
		.arg = &m->watch[WATCH_HVC0],
	};
	return w;
}

/* Makes the name that the device is called by, for as long as the machine lives. */
static const char *name_device(struct machine *m, const char *type, unsigned int i)
{
	char *name = m->device_names[m->n_devices];

	snprintf(name, MACHINE_DEVICE_NAME, "%s%u", type, i);
	return name;
}

/* Puts a device behind its transport and on the list; takes it over in any case. */
static int plug(struct machine *m, const struct device_env *env, struct virtio_dev *v,
		struct err *e)
{
	unsigned int slot = m->n_virtio;
	struct device *d;
	int rc;

	if (m->cfg->transport == TRANSPORT_PCI)
		rc = virtio_pci_create(&d, env, v, e);
	else
		rc = virtio_mmio_create(&d, env, v, slot, e);
	if (rc < 0) {
		virtio_dev_destroy(v);
		return rc;
	}
	if (m->cfg->transport == TRANSPORT_MMIO)
		m->boot.mmio_slots |= 1u << slot;
	m->virtio[m->n_virtio++] = v;
	m->devices[m->n_devices++] = d;
	return 0;
}

static int create_disks(struct machine *m, const struct device_env *env, struct err *e)
{
	for (unsigned int i = 0; i < m->cfg->n_disks; i++) {
		const char *name = name_device(m, "disk", i);
		struct virtio_dev *v;

		if (virtio_blk_create(&v, &m->cfg->disks[i], name, env, e) < 0 ||
		    plug(m, env, v, e) < 0)
			return e->code;
	}
	return 0;
}

static int create_nets(struct machine *m, const struct device_env *env, struct err *e)
{
	for (unsigned int i = 0; i < m->cfg->n_nets; i++) {
		const char *name = name_device(m, "net", i);
		struct virtio_dev *v;

		if (virtio_net_create(&v, &m->cfg->nets[i], name, env, e) < 0 ||
		    plug(m, env, v, e) < 0)
			return e->code;
	}
	return 0;
}

/* The host's ends are the machine's: they are started and drained like that of COM1. */
static int open_ports(struct machine *m, struct console_port *ports, struct err *e)
{
	const struct console_spec *spec = &m->cfg->console;
	unsigned int n = console_spec_n_ports(spec);

	for (unsigned int i = 0; i < n; i++) {
		bool is_console = i == 0 && spec->has_console;
		struct chardev_spec c = console_spec_chardev(spec, i);
		struct chardev_watch w;

		if (chardev_create(&m->chardevs[m->n_chardevs], m->loop, &c,
				   watch_of_port(m, is_console, &w), e) < 0)
			return e->code;
		ports[i] = (struct console_port){
			.name = is_console ? NULL : spec->ports[i - spec->has_console].name,
			.chardev = m->chardevs[m->n_chardevs++],
			.is_console = is_console,
		};
	}
	return 0;
}

static int create_console(struct machine *m, const struct device_env *env, struct err *e)
{
	struct console_port ports[CONSOLE_MAX_PORTS];
	unsigned int n = console_spec_n_ports(&m->cfg->console);

	if (n == 0)
		return 0;
	if (open_ports(m, ports, e) < 0 ||
	    virtio_console_create(&m->virtio_console, ports, n, name_device(m, "console", 0), env,
				  e) < 0)
		return e->code;
	if (plug(m, env, m->virtio_console, e) < 0) {
		m->virtio_console = NULL;
		return e->code;
	}
	return 0;
}

static int create_rng(struct machine *m, const struct device_env *env, struct err *e)
{
	struct virtio_dev *v;

	if (!m->cfg->rng.enabled)
		return 0;
	if (virtio_rng_create(&v, &m->cfg->rng, name_device(m, "rng", 0), env, e) < 0)
		return e->code;
	return plug(m, env, v, e);
}

int peripherals_create(struct machine *m, struct device_env *env, struct err *e)
{
	struct device *bridge;

	/* A kernel looks for it whatever the transport is, and complains if there is none. */
	if (pci_host_create(&bridge, env, e) < 0)
		return e->code;
	m->devices[m->n_devices++] = bridge;
	env->pci = pci_host_from(bridge);
	if (create_disks(m, env, e) < 0 || create_nets(m, env, e) < 0 ||
	    create_console(m, env, e) < 0 || create_rng(m, env, e) < 0)
		return e->code;
	return 0;
}

/* Linux, Documentation/admin-guide/kernel-parameters.txt: virtio_mmio.device=SIZE@BASE:IRQ */
void peripherals_cmdline(const struct vm_config *cfg, const struct board *b, char *buf, size_t size)
{
	buf[0] = '\0';
	if (cfg->transport != TRANSPORT_MMIO_CMDLINE)
		return;
	for (unsigned int i = 0; i < config_n_virtio(cfg); i++)
		append(buf, size, " virtio_mmio.device=%uK@0x%llx:%u",
		       (unsigned int)(b->mmio_stride / KIB),
		       (unsigned long long)board_mmio_slot(b, i), b->mmio_gsi[i]);
}

/* Nobody asks for the entropy device, and nobody misses it. */
static bool is_missed(const struct machine *m, const struct virtio_dev *v)
{
	const struct vm_result *r = &m->result;
	bool went_wrong = r->end == END_PANIC || r->end == END_CRASH || r->end == END_TIMEOUT ||
			  (m->cfg->expect && !r->expected);

	if (v->driven_ns != 0 || v->ops->id == VIRTIO_ID_RNG)
		return false;
	return went_wrong || (v == m->virtio_console && r->end != END_SIGNAL);
}

void peripherals_tell_unused(const struct machine *m)
{
	const char *over = m->cfg->transport == TRANSPORT_PCI ? "virtio_pci" : "virtio_mmio";
	char names[256] = "";

	if (m->result.end == END_HOST)
		return;
	for (unsigned int i = 0; i < m->n_virtio; i++) {
		if (is_missed(m, m->virtio[i]))
			append(names, sizeof(names), "%s%s", *names ? ", " : "",
			       m->virtio[i]->name);
	}
	if (*names)
		log_warn("the guest has not used %s: it did not get so far, or its kernel has no "
			 "driver (%s and one for the device; vmm doctor --kernel)",
			 names, over);
}
