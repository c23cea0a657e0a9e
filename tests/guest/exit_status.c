/*
 * exit_status.c - a byte written to the exit port ends the VM and is vmm's exit status: status=N.
 */
#include "guest.h"

void guest_main(void)
{
	end_with((uint8_t)option("status", 0));
}
