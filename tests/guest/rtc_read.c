/*
 * rtc_read.c - the CMOS clock tells the host's time, in the format that its register B says.
 *
 * Source: Motorola MC146818A data sheet; century in register 0x32, as ACPI has it.
 */
#include "guest.h"

static uint8_t cmos(uint8_t reg)
{
	out8(0x70, reg);
	return in8(0x71);
}

static uint64_t number(uint8_t reg)
{
	uint8_t v = cmos(reg);
	bool binary = cmos(0xb) & 4;

	return binary ? v : (uint64_t)(v >> 4) * 10 + (v & 15);
}

static void put_two(uint64_t n, const char *behind)
{
	put_dec(n / 10);
	put_dec(n % 10);
	put(behind);
}

void guest_main(void)
{
	uint64_t at[6];

	while (cmos(0xa) & 0x80) /* being updated */
		;
	do { /* until no second has passed between the first and the last register */
		at[5] = number(0);
		at[4] = number(2);
		at[3] = number(4);
		at[2] = number(7);
		at[1] = number(8);
		at[0] = number(9);
	} while (number(0) != at[5]);
	put("rtc 20");
	put_two(at[0], "-");
	put_two(at[1], "-");
	put_two(at[2], " ");
	put_two(at[3], ":");
	put_two(at[4], ":");
	put_two(at[5], "\n");
	power_off();
}
