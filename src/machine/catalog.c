/*
 * catalog.c - the device table: what a machine has, in the order in which it is made.
 *
 * Life of a VM: while the board is built. Main thread. Adding a device is adding a row.
 */
#include "machine.h"
#include <vmm/base/util.h>
#include <vmm/dev/acpi_pm.h>
#include <vmm/dev/exitport.h>
#include <vmm/dev/i8042.h>
#include <vmm/dev/pvpanic.h>
#include <vmm/dev/rtc_cmos.h>
#include <vmm/dev/uart16550.h>

static const struct {
	const char *type;
	int (*create)(struct device **out, const struct device_env *env, struct err *e);
} catalog[] = {
	{ "uart16550", uart16550_create }, { "rtc_cmos", rtc_cmos_create },
	{ "i8042", i8042_create },         { "acpi_pm", acpi_pm_create },
	{ "pvpanic", pvpanic_create },     { "exitport", exitport_create },
};

/* The machine's interrupt wires end in KVM. A new VM after a reset is a new other end. */
static void irq_set_kvm(void *arg, unsigned int gsi, bool level)
{
	const struct machine *m = arg;

	if (m->vm.fd >= 0)
		kvm_vm_irq_line(&m->vm, gsi, level);
}

int catalog_create(struct machine *m, struct err *e)
{
	const struct device_env env = {
		.pio = m->pio,
		.loop = m->loop,
		.console = m->console,
		.irq_set = irq_set_kvm,
		.irq_arg = m,
		.on_event = machine_on_event,
		.event_arg = m,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(catalog); i++) {
		struct device *d;

		if (catalog[i].create(&d, &env, e) < 0)
			return err_wrap(e, "%s", catalog[i].type);
		m->devices[m->n_devices++] = d;
		if (catalog[i].create == acpi_pm_create)
			m->acpi_pm = d;
	}
	return 0;
}
