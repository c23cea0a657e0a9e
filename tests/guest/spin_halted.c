/*
 * spin_halted.c - halts with interrupts off: nothing inside the VM can ever wake it again.
 */
#include "guest.h"

void guest_main(void)
{
	put("spinning\n");
	stop();
}
