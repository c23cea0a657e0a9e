/*
 * catalog.c - the device table: what every machine has, in the order in which it is made.
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

int catalog_create(struct machine *m, const struct device_env *env, struct err *e)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(catalog); i++) {
		struct device *d;

		if (catalog[i].create(&d, env, e) < 0)
			return err_wrap(e, "%s", catalog[i].type);
		m->devices[m->n_devices++] = d;
		if (catalog[i].create == acpi_pm_create)
			m->acpi_pm = d;
	}
	return 0;
}
