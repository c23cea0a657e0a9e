/*
 * reset_acpi.c - ACPI's reset register, found in the FADT, starts the machine over with fresh RAM.
 */
#include "acpi.h"

static uint32_t been_here = 1; /* in RAM: a reset must bring the 1 back */

void guest_main(void)
{
	struct table_reset reset;

	check(been_here++ == 1, "RAM has survived the reset");
	reset = acpi_reset_register();
	check(reset.is_port, "the reset register is no I/O port");
	put("resetting\n");
	out8(reset.port, reset.value);
	stop();
}
