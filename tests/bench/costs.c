/*
 * costs.c - what one exit costs: for tests/bench/exits.sh, where there is no KVM that boots
 * kernels.
 *
 * Each kind of access is made again and again from ring 0, which is interpreted on a software KVM,
 * but by few instructions. Prints "costs: NAME TICKS COUNT", ticks of the TSC, then "costs: end".
 */
#include "guest.h"

#define COUNT 1000u
#define NOBODY_PORT 0x2f7u /* answered by no device of anybody's */
#define COM1_SCR (COM1 + 7) /* of the serial port, which each VMM emulates: a byte to keep */
#define NOBODY_MMIO 0xd0000000u /* neither RAM nor a device */

static uint64_t ticks(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return ((uint64_t)hi << 32) | lo;
}

static void nothing(void)
{
	__asm__ volatile("");
}

static void read_nobody(void)
{
	in8(NOBODY_PORT);
}

static void read_serial(void)
{
	in8(COM1_SCR);
}

static void write_serial(void)
{
	out8(COM1_SCR, 0);
}

static void read_mmio(void)
{
	(void)*(volatile uint32_t *)(uintptr_t)NOBODY_MMIO;
}

static void cost(const char *name, void (*access)(void))
{
	uint64_t begin;

	access();
	begin = ticks();
	for (unsigned int i = 0; i < COUNT; i++)
		access();
	begin = ticks() - begin;
	put("costs: ");
	put(name);
	put(" ");
	put_dec(begin);
	put(" ");
	put_dec(COUNT);
	put("\n");
}

void guest_main(void)
{
	cost("nothing", nothing);
	cost("port-nobody-read", read_nobody);
	cost("port-serial-read", read_serial);
	cost("port-serial-write", write_serial);
	cost("memory-nobody-read", read_mmio);
	put("costs: end\n");
	out8(PM_SLEEP_CONTROL, 0x34);
	out8(0x64, 0xfe);
	stop();
}
