/*
 * uart16550.h - the serial port COM1, a 16550A.
 */
#ifndef VMM_DEV_UART16550_H
#define VMM_DEV_UART16550_H
#include <vmm/dev/device.h>

#define UART_COM1_BASE 0x3f8 /* ports 0x3f8..0x3ff */
#define UART_COM1_IRQ 4 /* edge-triggered, active high, as on every PC */

/* The other end is env->console. Source: National Semiconductor PC16550D data sheet, section 8. */
int uart16550_create(struct device **out, const struct device_env *env, struct err *e);

#endif
