/*
 * device.h - what the machine asks of every device, and what a device gets from the machine.
 */
#ifndef VMM_DEV_DEVICE_H
#define VMM_DEV_DEVICE_H
#include <stdint.h>
#include <vmm/base/err.h>
#include <vmm/base/metric.h>
#include <vmm/bus/irq.h>

struct board;
struct bus;
struct chardev;
struct device;
struct evloop;
struct gmem;
struct kvm_vm;
struct pci_host;

/*
 * A NULL op means "nothing to do". All of them run on the loop thread; all but counters() only
 * while no vCPU runs.
 */
struct device_ops {
	const char *type;
	/* Once, when the VM starts: threads are started here, and nowhere else. */
	int (*start)(struct device *d, struct err *e);
	void (*reset)(struct device *d); /* as after power-on; on return nothing writes to RAM */
	void (*counters)(struct device *d, metric_fn fn, void *arg); /* tells each one's value */
	void (*destroy)(struct device *d); /* unmaps itself and frees */
};

struct device { /* embedded as the first member of every device */
	const struct device_ops *ops;
	const char *name; /* "disk0"; NULL: there is one of its type. Lives as long as the device */
	const char *type; /* behind a transport: "virtio-blk"; NULL: ops->type */
};

/* What a guest can say that concerns the whole machine. */
enum guest_event {
	GUEST_POWEROFF, /* ACPI S5 */
	GUEST_RESET, /* the reset register or the keyboard controller */
	GUEST_STATUS, /* the exit port; value: the guest's own status */
	GUEST_PANICKED, /* pvpanic; value: its event bits */
};
/* Called on a vCPU thread, with the device's lock held or not: it must only note and post. */
typedef void (*guest_event_fn)(void *arg, enum guest_event ev, unsigned int value);

/* What each create function may use; outlives the device. */
struct device_env {
	struct bus *pio, *mmio;
	struct evloop *loop;
	struct gmem *mem;
	struct kvm_vm *vm; /* not made yet while devices are */
	const struct board *board;
	struct pci_host *pci; /* NULL until the host bridge has been created */
	struct chardev *console; /* the other end of COM1 */
	irq_set_fn irq_set;
	void *irq_arg;
	guest_event_fn on_event;
	void *event_arg;
};

static inline struct irq device_irq(const struct device_env *env, unsigned int gsi)
{
	return (struct irq){ env->irq_set, env->irq_arg, gsi };
}

#endif
