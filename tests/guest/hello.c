/*
 * hello.c - what is written to the first serial port comes out of vmm, byte for byte.
 */
#include "guest.h"

void guest_main(void)
{
	put("hello from the guest: ");
	put(command_line());
	put("\n");
	for (int i = 0; i < 256; i++)
		put_char((char)i);
	power_off();
}
