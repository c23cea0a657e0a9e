/*
 * rtc_cmos.h - the CMOS clock, for guests that have no better one.
 */
#ifndef VMM_DEV_RTC_CMOS_H
#define VMM_DEV_RTC_CMOS_H
#include <vmm/dev/device.h>

#define RTC_CMOS_BASE 0x70 /* index 0x70, data 0x71 */

/* Shows the host's UTC. Source: Motorola MC146818A data sheet. */
int rtc_cmos_create(struct device **out, const struct device_env *env, struct err *e);

#endif
