/*
 * uart_echo.c - sends back every byte that it receives, then the end: 0x04 (Ctrl-D) powers off.
 *
 * how=0: as simple programs do, one byte at a time by polling LSR. how=1: as drivers do, in bursts
 * out of and into the FIFOs: IIR tells when 14 bytes have come.
 */
#include "guest.h"

#define END 0x04
#define IIR_RX_DATA 0x04 /* the trigger level has been reached */
#define IIR_RX_TIMEOUT 0x0c
#define TRIGGER 14

static uint8_t receive(void)
{
	while (!(in8(COM1_LSR) & LSR_DR))
		;
	return in8(COM1);
}

__attribute__((noreturn)) static void by_bytes(void)
{
	uint8_t byte;

	put("ready\n");
	while ((byte = receive()) != END)
		put_char((char)byte);
	power_off();
}

/* Returns how many bytes are there, at least one. */
static size_t receive_burst(uint8_t *buf)
{
	for (;;) {
		uint8_t id = in8(COM1_IIR) & 0xf;

		if (id == IIR_RX_DATA) {
			in_bytes(COM1, buf, TRIGGER);
			return TRIGGER;
		}
		if (id == IIR_RX_TIMEOUT) {
			*buf = in8(COM1);
			return 1;
		}
	}
}

__attribute__((noreturn)) static void by_bursts(void)
{
	uint8_t buf[TRIGGER];

	put("ready\n");
	out8(COM1_FCR, 0xc7); /* FIFOs on and empty, trigger level 14 */
	out8(COM1_IER, 1); /* received data; OUT2 is off, so no interrupt comes of it */
	for (;;) {
		size_t n = receive_burst(buf);
		bool end = buf[n - 1] == END;

		while (!(in8(COM1_LSR) & LSR_THRE))
			;
		out_bytes(COM1, buf, n - end);
		if (end)
			power_off();
	}
}

void guest_main(void)
{
	if (option("how", 0))
		by_bursts();
	by_bytes();
}
