/*
 * fake_env.c - see fake_env.h.
 */
#include "fake_env.h"
#include <vmm/base/bug.h>
#include <vmm/bus/bus.h>

static void on_irq(void *arg, unsigned int gsi, bool level)
{
	struct fake_env *f = arg;

	VMM_BUG_ON(gsi >= FAKE_ENV_LINES);
	f->irq[gsi].n_calls++;
	if (level && !f->irq[gsi].level)
		f->irq[gsi].n_rises++;
	f->irq[gsi].level = level;
}

static void on_event(void *arg, enum guest_event ev, unsigned int value)
{
	struct fake_env *f = arg;

	f->n_events++;
	f->event = ev;
	f->value = value;
}

void fake_env_init(struct fake_env *f)
{
	struct err e;

	*f = (struct fake_env){ 0 };
	VMM_BUG_ON(bus_create(&f->pio, "port", 0xffff, &e) < 0);
	f->env = (struct device_env){
		.pio = f->pio,
		.irq_set = on_irq,
		.irq_arg = f,
		.on_event = on_event,
		.event_arg = f,
	};
}

void fake_env_fini(struct fake_env *f)
{
	bus_destroy(f->pio);
}

uint8_t fake_in8(struct fake_env *f, uint16_t port)
{
	uint8_t val;

	bus_read(f->pio, port, &val, 1);
	return val;
}

void fake_out8(struct fake_env *f, uint16_t port, uint8_t val)
{
	bus_write(f->pio, port, &val, 1);
}
