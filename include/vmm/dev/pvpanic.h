/*
 * pvpanic.h - how a guest kernel says that it has panicked.
 */
#ifndef VMM_DEV_PVPANIC_H
#define VMM_DEV_PVPANIC_H
#include <vmm/dev/device.h>

#define PVPANIC_BASE 0x505
#define PVPANIC_PANICKED 1 /* the guest has panicked: QEMU docs/specs/pvpanic */
#define PVPANIC_CRASH_LOADED 2 /* it has, and its own crash kernel takes over: not our end */

int pvpanic_create(struct device **out, const struct device_env *env, struct err *e);

#endif
