/*
 * exitport.c - a one-byte port by which a guest ends the VM with a status of its own.
 *
 * Life of a VM: built while the machine is assembled, before any vCPU thread exists; written at
 * most once in earnest, by a vCPU thread, as the guest's last act.
 *
 * Specification: none. Port 0xf4 is where QEMU users put its isa-debug-exit device; that the byte
 * itself becomes the VMM's exit status is ours, and README.md tells users so.
 */
#include <errno.h>
#include <stdlib.h>
#include <vmm/base/util.h>
#include <vmm/bus/bus.h>
#include <vmm/dev/exitport.h>

struct exitport {
	struct device dev;
	struct bus *pio;
	guest_event_fn on_event;
	void *event_arg;
};

static void exitport_write(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	struct exitport *port = p;

	(void)off, (void)size; /* one byte is all that there is */
	port->on_event(port->event_arg, GUEST_STATUS,
		       (unsigned int)min_u64(val, EXITPORT_MAX_STATUS));
}

/* No read: the port floats high. */
static const struct bus_ops exitport_bus_ops = {
	.name = "exitport",
	.max_size = 1,
	.write = exitport_write,
};

static void exitport_destroy(struct device *d)
{
	struct exitport *port = container_of(d, struct exitport, dev);

	bus_unmap(port->pio, EXITPORT_BASE);
	free(port);
}

static const struct device_ops exitport_ops = {
	.type = "exitport", .destroy = exitport_destroy, /* no state, so nothing to reset */
};

int exitport_create(struct device **out, const struct device_env *env, struct err *e)
{
	struct exitport *port = calloc(1, sizeof(*port));

	if (!port)
		return err_set(e, -ENOMEM, "exitport: out of memory");
	*port = (struct exitport){
		.dev.ops = &exitport_ops,
		.pio = env->pio,
		.on_event = env->on_event,
		.event_arg = env->event_arg,
	};
	if (bus_map(port->pio, EXITPORT_BASE, 1, &exitport_bus_ops, port, e) < 0) {
		free(port);
		return err_wrap(e, "exitport");
	}
	*out = &port->dev;
	return 0;
}
