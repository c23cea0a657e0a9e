/*
 * triple_fault.c - an exception without a handler, without a double fault handler: the guest is
 * dead.
 */
#include "guest.h"

void guest_main(void)
{
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) nothing = { 0, 0 };

	put("goodbye\n");
	__asm__ volatile("mov $0x1234567890abcdef, %%rax\n\t"
			 "lidt %0\n\t"
			 "ud2" ::"m"(nothing)
			 : "rax");
}
