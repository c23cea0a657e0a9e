/*
 * poweroff.c - ACPI's soft off (S5 by the sleep control register) ends the VM with status 0.
 */
#include "guest.h"

void guest_main(void)
{
	put("powering off\n");
	power_off();
}
