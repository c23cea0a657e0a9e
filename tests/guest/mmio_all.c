/*
 * mmio_all.c - reads and writes of every size, aligned or not, where no RAM is, at the edges of RAM
 * and of devices, in the ROM area: always answered, all-ones where nobody is, never fatal.
 */
#include "guest.h"

extern uint64_t pml4[512];

static uint64_t high_pdpt[512] __attribute__((aligned(4096)));
static uint64_t high_pd[512] __attribute__((aligned(4096)));

#define HIGH (UINT64_C(1) << 39) /* what is mapped there: 1 GiB from map_high()'s argument on */

static void map_high(uint64_t at)
{
	pml4[HIGH >> 39] = (uintptr_t)high_pdpt | 7;
	for (uint64_t i = 0; i < 512; i++)
		high_pd[i] = (at + (i << 21)) | 0x87;
	high_pdpt[0] = (uintptr_t)high_pd | 7;
}

#define TRY(type, at)                                                                              \
	do {                                                                                       \
		volatile type *p = (volatile type *)(uintptr_t)(at);                               \
		type v = *p;                                                                       \
		*p = (type)0xa5a5a5a5a5a5a5a5;                                                     \
		*p = v;                                                                            \
	} while (0)

static void touch(uint64_t at)
{
	for (uint64_t off = 0; off < 9; off++) {
		TRY(uint8_t, at + off);
		TRY(uint16_t, at + off);
		TRY(uint32_t, at + off);
		TRY(uint64_t, at + off);
	}
}

static void check_empty(uint64_t at)
{
	check(*(volatile uint8_t *)at == 0xff, "1 byte where nobody is: not all-ones");
	check(*(volatile uint16_t *)at == 0xffff, "2 bytes where nobody is: not all-ones");
	check(*(volatile uint32_t *)at == 0xffffffff, "4 bytes where nobody is: not all-ones");
	check(*(volatile uint64_t *)at == UINT64_MAX, "8 bytes where nobody is: not all-ones");
	check(*(volatile uint64_t *)(at + 3) == UINT64_MAX, "8 bytes unaligned: not all-ones");
}

/* Longer than an exit carries, and at no multiple of anything. */
static void strings(uint64_t at)
{
	static uint8_t buffer[4099];
	void *dst = (void *)(at + 5);
	const void *src = buffer;
	size_t n = sizeof(buffer);

	__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(n)::"memory");
	dst = buffer, src = (const void *)(at + 5), n = sizeof(buffer) / 8;
	__asm__ volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(n)::"memory");
	check(buffer[0] == 0xff && buffer[4095] == 0xff, "a string read where nobody is");
}

static void the_rest(void)
{
	const uint64_t ram_end = option("ram", 64) << 20;
	const uint64_t at[] = {
		0xa0000,     0xc0000,         0xf0000,
		0xfff00, /* where a PC has video memory and ROMs */
		ram_end - 4, ram_end,         ram_end + 4096 - 4, /* the end of RAM */
		0xbffffffc,  0xc0000000,      0xd0000001, /* the hole for devices */
		0xfebffffc,  0xfec00ffc,      0xfedffffc,
		0xfee00ffc, /* before, behind the APICs */
		0xfffffff0, /* the reset vector */
		HIGH,        HIGH + 0x3ffff0,
	};

	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++)
		touch(at[i]);
	check_empty(0xd0000000);
	check_empty(HIGH);
	strings(0xd0000000);
	put("all addresses answered\n");
	power_off();
}

void guest_main(void)
{
	map_high(UINT64_C(0x1000000000)); /* 64 GiB: far above RAM */
	ring3(the_rest);
}
