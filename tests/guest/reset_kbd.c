/*
 * reset_kbd.c - the keyboard controller's reset line, as old as the PC, starts the machine over.
 */
#include "guest.h"

void guest_main(void)
{
	put("resetting\n");
	while (in8(0x64) & 2) /* until the controller takes a command */
		;
	out8(0x64, 0xfe);
	stop();
}
