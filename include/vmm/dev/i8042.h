/*
 * i8042.h - as much of a keyboard controller as it takes to reset a PC.
 */
#ifndef VMM_DEV_I8042_H
#define VMM_DEV_I8042_H
#include <vmm/dev/device.h>

/* Ports 0x60 and 0x64; command 0xfe pulses the reset line. No keyboard is ever there. */
int i8042_create(struct device **out, const struct device_env *env, struct err *e);

#endif
