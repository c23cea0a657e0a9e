/*
 * pvpanic.c - a kernel with the pvpanic driver reports its panic by a port: events=N, bit 0 by
 * default.
 *
 * Source: QEMU, docs/specs/pvpanic. Bit 1 alone says that a crash kernel takes over: not the end.
 */
#include "guest.h"

void guest_main(void)
{
	check(in8(PVPANIC_PORT) & 1, "pvpanic does not offer bit 0");
	out8(PVPANIC_PORT, (uint8_t)option("events", 1));
	put("still here\n");
	power_off();
}
