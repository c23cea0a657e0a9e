/*
 * acpi_pm.c - the ACPI registers of a hardware-reduced platform: sleep, reset, power button.
 *
 * Life of a VM: built while the machine is assembled. The guest writes here, on a vCPU thread, as
 * the last thing before it is off or starts over; the loop thread presses the power button when the
 * user asks for an orderly end.
 *
 * Specification: ACPI 6.4, 4.8.3.7 (sleep control and status), 4.8.3.6 (reset register), 5.6.9
 * (interrupt-signaled events). Which port is which register is told by the FADT
 * (arch/x86_64/acpi.c); the EVENTS register is ours, and only firmware/dsdt.asl reads it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/bus/bus.h>
#include <vmm/dev/acpi_pm.h>

#define SLP_TYP_SHIFT 2 /* SLEEP_CONTROL bits 2-4 */
#define SLP_TYP_MASK 7u
#define SLP_EN (1u << 5)
#define EVENT_POWER_BUTTON (1u << 0)

struct acpi_pm {
	struct device dev;
	struct bus *pio;
	struct irq irq;
	guest_event_fn on_event;
	void *event_arg;

	pthread_mutex_t lock; /* guards what follows and the level of irq */
	uint8_t events; /* pending EVENT_ bits; the line is up while there are any */
	struct log_limit limit;
};

static uint8_t take_events(struct acpi_pm *pm)
{
	uint8_t events;

	pthread_mutex_lock(&pm->lock);
	events = pm->events;
	pm->events = 0;
	if (events)
		irq_set(&pm->irq, false);
	pthread_mutex_unlock(&pm->lock);
	return events;
}

static uint64_t acpi_pm_read(void *p, uint64_t off, unsigned int size)
{
	(void)size;
	/*
	 * SLEEP_CONTROL: SLP_EN is write-only and reads as 0 (4.8.3.7); no type is kept.
	 * SLEEP_STATUS: WAK_STS never gets set, as there is no sleep to wake up from.
	 */
	return off == ACPI_PM_EVENTS ? take_events(p) : 0;
}

static void sleep_control(struct acpi_pm *pm, uint8_t val)
{
	unsigned int type = (val >> SLP_TYP_SHIFT) & SLP_TYP_MASK;

	if (!(val & SLP_EN))
		return;
	if (type == ACPI_PM_SLP_TYP_S5) {
		pm->on_event(pm->event_arg, GUEST_POWEROFF, 0);
		return;
	}
	pthread_mutex_lock(&pm->lock);
	log_guest(&pm->limit, "sleep type %u asked for; there is only %u, soft off", type,
		  ACPI_PM_SLP_TYP_S5);
	pthread_mutex_unlock(&pm->lock);
}

static void acpi_pm_write(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	struct acpi_pm *pm = p;

	(void)size;
	if (off == ACPI_PM_SLEEP_CONTROL)
		sleep_control(pm, (uint8_t)val);
	else if (off == ACPI_PM_RESET && val == ACPI_PM_RESET_VALUE)
		pm->on_event(pm->event_arg, GUEST_RESET, 0);
}

static const struct bus_ops acpi_pm_bus_ops = {
	.name = "acpi-pm",
	.max_size = 1, /* byte-wide registers, says the FADT */
	.read = acpi_pm_read,
	.write = acpi_pm_write,
};

static void acpi_pm_reset(struct device *d)
{
	(void)take_events(container_of(d, struct acpi_pm, dev));
}

static void acpi_pm_destroy(struct device *d)
{
	struct acpi_pm *pm = container_of(d, struct acpi_pm, dev);

	bus_unmap(pm->pio, ACPI_PM_BASE);
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}

static const struct device_ops acpi_pm_ops = {
	.type = "acpi-pm",
	.reset = acpi_pm_reset,
	.destroy = acpi_pm_destroy,
};

int acpi_pm_create(struct device **out, const struct device_env *env, struct err *e)
{
	struct acpi_pm *pm = calloc(1, sizeof(*pm));

	if (!pm)
		return err_set(e, -ENOMEM, "acpi-pm: out of memory");
	*pm = (struct acpi_pm){
		.dev.ops = &acpi_pm_ops,
		.pio = env->pio,
		.irq = device_irq(env, ACPI_PM_IRQ),
		.on_event = env->on_event,
		.event_arg = env->event_arg,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	if (bus_map(pm->pio, ACPI_PM_BASE, ACPI_PM_LEN, &acpi_pm_bus_ops, pm, e) < 0) {
		free(pm);
		return err_wrap(e, "acpi-pm");
	}
	*out = &pm->dev;
	return 0;
}

void acpi_pm_press_power_button(struct device *d)
{
	struct acpi_pm *pm = container_of(d, struct acpi_pm, dev);

	pthread_mutex_lock(&pm->lock);
	if (!pm->events)
		irq_set(&pm->irq, true);
	pm->events |= EVENT_POWER_BUTTON;
	pthread_mutex_unlock(&pm->lock);
}
