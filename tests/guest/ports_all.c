/*
 * ports_all.c - every port, read and written with every width, and by string instructions that are
 * long, unaligned in memory, and reach over the edges of devices: always answered, never fatal.
 *
 * Left out is what ends the VM by design: the exit port, and pvpanic and power-off for the values
 * that mean it.
 */
#include "guest.h"

#define LAST_PORT 0xffffu

static uint8_t buffer[70001]; /* odd, and more than KVM moves at once */

static bool covers(uint32_t at, uint32_t size, uint32_t port)
{
	return at <= port && port < at + size;
}

static void write_port(uint32_t at, uint32_t size, uint32_t v)
{
	if (covers(at, size, EXIT_PORT))
		return;
	if (v &&
	    (covers(at, size, PVPANIC_PORT) || covers(at, size, 0x64) || covers(at, size, 0x60)))
		return;
	if (size == 1)
		out8((uint16_t)at, (uint8_t)v);
	else if (size == 2)
		out16((uint16_t)at, (uint16_t)v);
	else
		out32((uint16_t)at, v);
}

static void read_port(uint32_t at, uint32_t size)
{
	if (size == 1)
		in8((uint16_t)at);
	else if (size == 2)
		in16((uint16_t)at);
	else
		in32((uint16_t)at);
}

static void every_port(void)
{
	for (uint32_t size = 1; size <= 4; size *= 2) {
		for (uint32_t port = 0; port <= LAST_PORT; port++) {
			read_port(port, size);
			write_port(port, size, 0);
			write_port(port, size, 0xffffffff);
		}
	}
}

/* KVM hands out an OUTS element by element, and an INS by as much as fits into a page. */
#define N_OUT 333

static void strings(uint16_t port)
{
	uint8_t *odd = buffer + 1;
	size_t n = N_OUT;

	/* clang-format off */
	__asm__ volatile("rep outsb" : "+S"(odd), "+c"(n) : "d"(port) : "memory");
	odd = buffer + 1, n = N_OUT;
	__asm__ volatile("rep outsw" : "+S"(odd), "+c"(n) : "d"(port) : "memory");
	odd = buffer + 3, n = N_OUT;
	__asm__ volatile("rep outsl" : "+S"(odd), "+c"(n) : "d"(port) : "memory");
	odd = buffer + 1, n = sizeof(buffer) - 1;
	__asm__ volatile("rep insb" : "+D"(odd), "+c"(n) : "d"(port) : "memory");
	odd = buffer + 1, n = sizeof(buffer) / 2 - 1;
	__asm__ volatile("rep insw" : "+D"(odd), "+c"(n) : "d"(port) : "memory");
	odd = buffer + 3, n = sizeof(buffer) / 4 - 1;
	__asm__ volatile("rep insl" : "+D"(odd), "+c"(n) : "d"(port) : "memory");
	/* clang-format on */
	memset(buffer, 0, sizeof(buffer));
}

/* Back to a serial port that one can print on, after all that was written to it. */
static void serial_port_again(void)
{
	out8(COM1_LCR, 3);
	out8(COM1_MCR, 0);
	out8(COM1_IER, 0);
	out8(COM1_FCR, 0);
}

void guest_main(void)
{
	/* Just before and on the serial port, the clock, power management; nobody's; in KVM. */
	static const uint16_t ports[] = { COM1 - 1, COM1,  COM1 + 7, 0x6f,   0x70, 0x71,
					  0x5ff,    0x600, 0x80,     0x1234, 0x40, 0x4d0 };

	every_port();
	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++)
		strings(ports[i]);
	serial_port_again();
	put("\nall ports answered\n");
	power_off();
}
