/*
 * idle.c - a guest that says that it is up, and sleeps for ever: for tests/bench/memory.sh, where
 * there is no KVM that boots kernels.
 */
#include "guest.h"

void guest_main(void)
{
	put("idle: up\n");
	stop();
}
