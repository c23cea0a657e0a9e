/*
 * irq.h - a wire from a device to the interrupt controller.
 */
#ifndef VMM_BUS_IRQ_H
#define VMM_BUS_IRQ_H
#include <stdbool.h>

/* Drives line `gsi` of whatever the machine's controller is. Any thread; must not block. */
typedef void (*irq_set_fn)(void *arg, unsigned int gsi, bool level);

struct irq {
	irq_set_fn set;
	void *arg;
	unsigned int gsi;
};

static inline void irq_set(const struct irq *i, bool level)
{
	i->set(i->arg, i->gsi, level);
}

#endif
