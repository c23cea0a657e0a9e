/*
 * reset_storm.c - resets as its first act, for ever: the VMM must not grow by it.
 */
#include "guest.h"

void guest_main(void)
{
	out8(0x64, 0xfe);
	stop();
}
