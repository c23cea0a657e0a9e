/*
 * chip_checks.c - the chips that no bus can enumerate: serial port, clock, power, panic port,
 * keyboard controller.
 *
 * Source: National Semiconductor PC16550D data sheet, section 8; Motorola MC146818A;
 * ACPI 6.4, 4.8.3.7; QEMU docs/specs/pvpanic; where they are: firmware/dsdt.asl.
 */
#include "check.h"
#include "cpu.h"

#define COM1_MSR (COM1 + 6)
#define COM1_SCR (COM1 + 7)
#define COM1_IRQ 4u
#define IER_TX 2u
#define IIR_TX 2u
#define IIR_FIFOS 0xc0u
#define FCR_FIFOS 1u
#define FCR_CLEAR 6u
#define MCR_OUT2 8u
#define MCR_LOOP 0x10u
#define FIFO_BYTES 16u

#define PM_SLEEP_STATUS 0x601u
#define PM_EVENTS 0x603u
#define KBD_STATUS 0x64u
#define PVPANIC_PANICKED 1u
#define NOWHERE 0x4f0u /* no chip decodes it */

/* Serial port --------------------------------------------------------------------------------- */

static const char *serial_scratch(struct virtio *v)
{
	(void)v;
	for (unsigned int i = 0; i < 256; i += 51) {
		out8(COM1_SCR, (uint8_t)i);
		WANT(in8(COM1_SCR) == i, "the scratch register forgets");
	}
	return NULL;
}

static const char *serial_fifo(struct virtio *v)
{
	(void)v;
	out8(COM1_FCR, FCR_FIFOS | FCR_CLEAR);
	WANT((in8(COM1_IIR) & IIR_FIFOS) == IIR_FIFOS, "IIR does not tell of FIFOs");
	WANT(in8(COM1_LSR) & LSR_THRE, "the transmitter is not empty");
	WANT(!(in8(COM1_LSR) & LSR_DR), "there is a byte that nobody sent");
	return NULL;
}

/* Nothing leaves the machine meanwhile; the modem's outputs are its inputs (8.8). */
static const char *serial_loopback(struct virtio *v)
{
	const char *why = NULL;

	(void)v;
	out8(COM1_MCR, MCR_LOOP | MCR_OUT2);
	if ((in8(COM1_MSR) & 0xf0) != 0x80)
		why = "the modem lines are not looped back";
	for (unsigned int i = 0; i < FIFO_BYTES; i++)
		out8(COM1, (uint8_t)(0xa0 + i));
	for (unsigned int i = 0; i < FIFO_BYTES; i++) {
		if (!(in8(COM1_LSR) & LSR_DR) || in8(COM1) != 0xa0 + i)
			why = "another byte comes back than was sent";
	}
	if (in8(COM1_LSR) & LSR_DR)
		why = "more bytes come back than were sent";
	out8(COM1_MCR, 0);
	return why;
}

static const char *serial_interrupt(struct virtio *v)
{
	const uint32_t before = interrupts[VECTOR_SERIAL];
	uint8_t iir;

	(void)v;
	ioapic_route(COM1_IRQ, VECTOR_SERIAL);
	out8(COM1_MCR, MCR_OUT2);
	out8(COM1_IER, IER_TX);
	if (!wait_for_interrupt(VECTOR_SERIAL, before))
		return "no interrupt though the transmitter is empty";
	iir = in8(COM1_IIR);
	out8(COM1_IER, 0);
	out8(COM1_MCR, 0);
	WANT((iir & 0xf) == IIR_TX, "IIR does not say why");
	WANT(in8(COM1_IIR) & 1, "IIR says so for ever");
	return NULL;
}

/* Clock --------------------------------------------------------------------------------------- */

static uint8_t clock_before;

static uint8_t clock_get(uint8_t reg)
{
	out8(0x70, reg);
	return in8(0x71);
}

static bool is_bcd(uint8_t v, uint8_t min, uint8_t max)
{
	return (v & 0xf) <= 9 && v >= min && v <= max;
}

static const char *clock_valid(struct virtio *v)
{
	(void)v;
	clock_before = clock_get(0);
	WANT(clock_get(0x0d) & 0x80, "the battery is empty");
	WANT((clock_get(0x0b) & 6) == 2, "not in BCD with 24 hours");
	WANT(is_bcd(clock_get(0), 0, 0x59) && is_bcd(clock_get(2), 0, 0x59) &&
		     is_bcd(clock_get(4), 0, 0x23),
	     "no time of day");
	WANT(is_bcd(clock_get(7), 1, 0x31) && is_bcd(clock_get(8), 1, 0x12) &&
		     is_bcd(clock_get(9), 0, 0x99) && clock_get(0x32) == 0x20,
	     "no date of this century");
	return NULL;
}

/*
 * Runs last, so that hardly anybody waits for the second to end. wait_a_little() has this same
 * clock: turns are counted instead, each of which takes microseconds.
 */
static const char *clock_moves(struct virtio *v)
{
	(void)v;
	for (unsigned int i = 0; clock_get(0) == clock_before; i++)
		WANT(i < 10000000, "it stands still");
	return NULL;
}

static const char *clock_memory(struct virtio *v)
{
	(void)v;
	for (uint8_t reg = 0x40; reg < 0x44; reg++) {
		out8(0x70, reg);
		out8(0x71, (uint8_t)(0xff - reg));
	}
	for (uint8_t reg = 0x40; reg < 0x44; reg++)
		WANT(clock_get(reg) == 0xff - reg, "its memory forgets");
	return NULL;
}

/* The others ---------------------------------------------------------------------------------- */

static const char *power_idle(struct virtio *v)
{
	(void)v;
	WANT(in8(PM_SLEEP_CONTROL) == 0, "sleep control: a bit that is write-only reads as set");
	WANT(in8(PM_SLEEP_STATUS) == 0, "sleep status: woken up without having slept");
	WANT(in8(PM_EVENTS) == 0, "events: somebody has pressed the power button");
	return NULL;
}

static const char *panic_there(struct virtio *v)
{
	(void)v;
	WANT(in8(PVPANIC_PORT) & PVPANIC_PANICKED, "a panic cannot be reported");
	return NULL;
}

static const char *keyboard_idle(struct virtio *v)
{
	(void)v;
	WANT(in8(KBD_STATUS) == 0, "it does not take a command");
	return NULL;
}

static const char *nothing_there(struct virtio *v)
{
	(void)v;
	out32(NOWHERE, 0);
	WANT(in8(NOWHERE) == 0xff && in16(NOWHERE) == 0xffff && in32(NOWHERE) == 0xffffffff,
	     "a port without a chip does not read as all-ones");
	return NULL;
}

const struct check chip_checks[] = {
	{ "serial: the scratch register keeps a byte", serial_scratch },
	{ "serial: it has FIFOs, which are empty", serial_fifo },
	{ "serial: loopback gives back what is sent", serial_loopback },
	{ "serial: an empty transmitter interrupts", serial_interrupt },
	{ "clock: date and time are valid", clock_valid },
	{ "clock: its memory keeps bytes", clock_memory },
	{ "power: its registers are at rest", power_idle },
	{ "pvpanic: it can be told of a panic", panic_there },
	{ "keyboard controller: it takes commands", keyboard_idle },
	{ "ports: nothing answers where nothing is", nothing_there },
	{ 0 },
};

const struct check last_checks[] = {
	{ "clock: the time goes on", clock_moves },
	{ 0 },
};
