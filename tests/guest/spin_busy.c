/*
 * spin_busy.c - computes for ever without leaving the guest: at ring 0, or at ring 3 (ring=3).
 */
#include "guest.h"

static void spin(void)
{
	put("spinning\n");
	for (;;)
		__asm__ volatile("");
}

void guest_main(void)
{
	if (option("ring", 0) == 3)
		ring3(spin);
	spin();
}
