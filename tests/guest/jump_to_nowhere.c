/*
 * jump_to_nowhere.c - runs into addresses where nothing is: no KVM can go on, and vmm says why.
 */
#include "guest.h"

void guest_main(void)
{
	put("jumping\n");
	((void (*)(void))(uintptr_t)0xd0000000)();
}
