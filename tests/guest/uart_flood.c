/*
 * uart_flood.c - writes to the serial port without ever asking whether it may: bytes=N (0: for
 * ever).
 *
 * polite=1 asks, as drivers do: then every byte must arrive, however slow the reader is.
 */
#include "guest.h"

#define LINE 64

static uint64_t n_lines;
static bool polite, endless;

static void fill_line(char *line, uint64_t n)
{
	for (int i = 0; i < LINE - 2; i++)
		line[i] = (char)('a' + (n + (uint64_t)i) % 26);
	line[LINE - 2] = '\r';
	line[LINE - 1] = '\n';
}

static void send(const char *line)
{
	if (!polite) {
		out_bytes(COM1, line, LINE);
		return;
	}
	for (int i = 0; i < LINE; i += 16) {
		while (!(in8(COM1_LSR) & LSR_THRE))
			;
		out_bytes(COM1, line + i, 16);
	}
}

static void flood(void)
{
	char line[LINE];

	out8(COM1_FCR, 7); /* FIFOs on: 16 bytes at a time */
	for (uint64_t n = 0; endless || n < n_lines; n++) {
		fill_line(line, n);
		send(line);
	}
	power_off();
}

void guest_main(void)
{
	n_lines = option("bytes", 0) / LINE;
	endless = n_lines == 0;
	polite = option("polite", 0) == 1;
	flood();
}
