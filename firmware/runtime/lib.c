/*
 * lib.c - console, ends and command line of the tiny guests.
 */
#include "guest.h"

#define START_INFO_MAGIC 0x336ec578u
#define BP_CMD_LINE_PTR 0x228 /* in boot_params */
#define SLP_EN 0x20u
#define SLP_TYP_S5 (5u << 2)

/* start.S and start64.S know these offsets. */
_Static_assert(offsetof(struct entry_state, eflags) == 32, "eflags");
_Static_assert(offsetof(struct entry_state, cs) == 44, "cs");
_Static_assert(offsetof(struct entry_state, tr) == 56, "tr");
_Static_assert(offsetof(struct entry_state, efer) == 64, "efer");
_Static_assert(offsetof(struct entry_state, rsi) == 72, "rsi");
_Static_assert(offsetof(struct entry_state, gdt) == 80, "gdt");
_Static_assert(offsetof(struct entry_state, cr2) == 96, "cr2");
struct entry_state entry;

void put_char(char c)
{
	while (!(in8(COM1_LSR) & LSR_THRE))
		;
	out8(COM1, (uint8_t)c);
}

void put(const char *s)
{
	while (*s)
		put_char(*s++);
}

static void put_number(uint64_t n, unsigned int base)
{
	char digits[20];
	unsigned int i = 0;

	do
		digits[i++] = "0123456789abcdef"[n % base];
	while (n /= base);
	while (i > 0)
		put_char(digits[--i]);
}

void put_dec(uint64_t n)
{
	put_number(n, 10);
}

void put_hex(uint64_t n)
{
	put("0x");
	put_number(n, 16);
}

void end_with(uint8_t status)
{
	out8(EXIT_PORT, status);
	for (;;)
		;
}

void power_off(void)
{
	out8(PM_SLEEP_CONTROL, SLP_TYP_S5 | SLP_EN);
	for (;;)
		;
}

void check(bool ok, const char *what)
{
	if (ok)
		return;
	put("FAILED: ");
	put(what);
	put("\n");
	end_with(EXIT_FAILED);
}

void exception(uint64_t vector, uint64_t error, uint64_t rip);
void exception(uint64_t vector, uint64_t error, uint64_t rip)
{
	put("EXCEPTION ");
	put_dec(vector);
	put(" error ");
	put_hex(error);
	put(" rip ");
	put_hex(rip);
	put("\n");
	end_with(EXIT_EXCEPTION);
}

const char *command_line(void)
{
	if (entry.ebx && start_info()->magic == START_INFO_MAGIC)
		return (const char *)(uintptr_t)start_info()->cmdline;
	return (const char *)(uintptr_t) *
	       (const uint32_t *)(uintptr_t)(entry.rsi + BP_CMD_LINE_PTR);
}

static unsigned int digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	return c >= 'a' && c <= 'f' ? (unsigned int)(c - 'a' + 10) : 16;
}

static uint64_t number(const char *s)
{
	unsigned int base = 10;
	uint64_t n = 0;

	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	for (; digit(*s) < base; s++)
		n = n * base + digit(*s);
	return n;
}

uint64_t option(const char *name, uint64_t otherwise)
{
	const char *s = command_line();

	while (*s) {
		const char *n = name;

		while (*n && *s == *n)
			s++, n++;
		if (!*n && *s == '=')
			return number(s + 1);
		while (*s && *s != ' ')
			s++;
		while (*s == ' ')
			s++;
	}
	return otherwise;
}

/* The compiler calls these. */

void *memset(void *p, int c, size_t n)
{
	void *to = p;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(c) : "memory");
	return p;
}

void *memcpy(void *dst, const void *src, size_t n)
{
	void *to = dst;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(src), "+c"(n)::"memory");
	return dst;
}
