/*
 * exitport.h - a one-byte port by which a guest ends the VM with a status.
 */
#ifndef VMM_DEV_EXITPORT_H
#define VMM_DEV_EXITPORT_H
#include <vmm/dev/device.h>

#define EXITPORT_BASE 0xf4
#define EXITPORT_MAX_STATUS 119 /* larger ones are told as this: 120 and up are the VMM's own */

int exitport_create(struct device **out, const struct device_env *env, struct err *e);

#endif
