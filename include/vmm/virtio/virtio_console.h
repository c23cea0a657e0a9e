/*
 * virtio_console.h - consoles and named ports: hvc0, and the guest's /dev/vportNpM.
 *
 * Source: VIRTIO 1.2, 5.3 "Console Device". One device has all ports of a machine. Port 0 is the
 * console; the others have names, which the guest finds in /sys/class/virtio-ports.
 *
 * A port's host end is a chardev. The machine creates it, starts it (chardev_start()), drains it at
 * the end and destroys it after the device; the device only listens to it. So one that watches the
 * console's output, or has its Ctrl-A commands, is the machine as well.
 *
 *   machine_build:    console_spec_chardev() + chardev_create() for each port,
 *                     virtio_console_create(), a transport for it
 *   machine_run:      chardev_start() each; chardev_resize() each at SIGWINCH;
 *                     at the end virtio_console_flush(), then chardev_drain() each
 *   machine_destroy:  virtio_dev_destroy() by the transport, then chardev_destroy() each
 */
#ifndef VMM_VIRTIO_VIRTIO_CONSOLE_H
#define VMM_VIRTIO_VIRTIO_CONSOLE_H
#include <stdbool.h>
#include <vmm/base/err.h>
#include <vmm/dev/device.h>
#include <vmm/host/chardev.h>
#include <vmm/virtio/virtio_dev.h>

#define CONSOLE_NAME_MAX 63u /* bytes of a port's name */
#define CONSOLE_MAX_NAMED 30u /* ports beside the console: 64 queues are two a port, and two */
#define CONSOLE_MAX_PORTS (CONSOLE_MAX_NAMED + 1)

/* What the user has asked for; zeroed: nothing. Paths are borrowed. */
struct console_port_spec {
	char name[CONSOLE_NAME_MAX + 1];
	char label[CONSOLE_NAME_MAX + 8]; /* "port NAME", for messages */
	struct chardev_spec chardev;
};
struct console_spec {
	bool has_console;
	struct chardev_spec console; /* if so */
	unsigned int n_ports; /* beside the console */
	struct console_port_spec ports[CONSOLE_MAX_NAMED];
};

/* Is there anything in it, and so a device to be made? */
static inline bool console_spec_is_used(const struct console_spec *s)
{
	return s->has_console || s->n_ports > 0;
}

/* --console BACKEND: "stdio", "pty", "null", "file=PATH", "unix=PATH". */
int console_spec_parse_console(struct console_spec *s, const char *text, struct err *e);
/*
 * --port NAME=BACKEND, one more. NAME: 1 to CONSOLE_NAME_MAX letters, digits, '.', '_', '-', not
 * yet used. -EINVAL, -E2BIG.
 */
int console_spec_parse_port(struct console_spec *s, const char *text, struct err *e);
/*
 * At most one of COM1 and the ports is on the VMM's terminal, and each has a file or socket of its
 * own; a character device may serve several. serial: of COM1. -EINVAL.
 */
int console_spec_check(const struct console_spec *s, const struct chardev_spec *serial,
		       struct err *e);
/* What port i of n (the console, if there is one, first) is to be opened with. s outlives it. */
unsigned int console_spec_n_ports(const struct console_spec *s);
struct chardev_spec console_spec_chardev(const struct console_spec *s, unsigned int i);

/* One port as the device wants it. chardev outlives the device. */
struct console_port {
	const char *name; /* NULL: the console. Outlives the device */
	struct chardev *chardev;
	bool is_console; /* port 0; the first of the array or none */
};

/*
 * ports: the console, if there is one, then the others, which are numbered from 1 in any case; at
 * least 1, at most CONSOLE_MAX_PORTS. name outlives the device. Main thread.
 */
int virtio_console_create(struct virtio_dev **out, const struct console_port *ports,
			  unsigned int n_ports, const char *name, const struct device_env *env,
			  struct err *e);

/*
 * The VM has ended and the loop no longer runs, no vCPU does: from here on what the guest had
 * queued goes to the chardevs as they are drained.
 */
void virtio_console_flush(struct virtio_dev *v);

#endif
