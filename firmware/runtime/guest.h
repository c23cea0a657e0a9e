/*
 * guest.h - what start.S, start64.S and lib.c offer to small guests: those of
 * tests/ and those that ship inside the program.
 *
 * A guest is one file that shows one property. It defines guest_main(), which runs in long mode, at
 * ring 0, with interrupts off, the first 4 GiB mapped one to one. Where KVM is software, ring 0 is
 * interpreted at about a million instructions a second and ring 3 runs at full speed: a guest that
 * computes calls ring3(). One that mostly leaves for the VMM does not: exits from ring 0 are twice
 * as fast there. An exception ends the VM with status EXIT_EXCEPTION.
 */
#ifndef VMM_FIRMWARE_GUEST_H
#define VMM_FIRMWARE_GUEST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COM1 0x3f8u
#define COM1_IER (COM1 + 1)
#define COM1_FCR (COM1 + 2)
#define COM1_IIR (COM1 + 2)
#define COM1_LCR (COM1 + 3)
#define COM1_MCR (COM1 + 4)
#define COM1_LSR (COM1 + 5)
#define LSR_DR 0x01u
#define LSR_THRE 0x20u

#define EXIT_PORT 0xf4u
#define PVPANIC_PORT 0x505u
#define PM_SLEEP_CONTROL 0x600u

#define EXIT_FAILED 1 /* check() */
#define EXIT_EXCEPTION 119

/* How the vCPU was when it came in: stored by start.S before anything else. */
struct entry_state {
	uint32_t eax, ebx, ecx, edx, esi, edi, ebp, esp;
	uint32_t eflags, cr0, cr4;
	uint16_t cs, ds, es, fs, gs, ss, tr, pad;
	uint64_t efer;
	uint64_t rsi; /* start64.S: the address of boot_params */
	uint64_t gdt, idt; /* start.S: limit, then base from bit 16 on; the rest is not written */
	uint32_t cr2, cr3; /* start.S */
};
extern struct entry_state entry;

/* Xen, public/arch-x86/hvm/start_info.h, version 1 */
struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};
struct memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};
static inline const struct start_info *start_info(void)
{
	return (const struct start_info *)(uintptr_t)entry.ebx;
}

void guest_main(void);

/* Runs fn at ring 3, on a stack of its own, with all I/O ports open; it never comes back. */
__attribute__((noreturn)) void ring3(void (*fn)(void));

/* The console, as a driver in good order uses it: waits for the transmitter. */
void put_char(char c);
void put(const char *s);
void put_dec(uint64_t n);
void put_hex(uint64_t n);

__attribute__((noreturn)) void end_with(uint8_t status); /* by the exit port */
__attribute__((noreturn)) void power_off(void);
__attribute__((noreturn)) void stop(void); /* halts for ever */
void check(bool ok, const char *what); /* false: says what, ends with EXIT_FAILED */

void *memset(void *p, int c, size_t n);
void *memcpy(void *dst, const void *src, size_t n);

/* NAME=123 or NAME=0x7b on the command line; otherwise: what it is without that word. */
uint64_t option(const char *name, uint64_t otherwise);
/* The command line, by either protocol. */
const char *command_line(void);

static inline void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}
static inline void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}
static inline void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}
static inline uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint16_t in16(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint32_t in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline void out_bytes(uint16_t port, const void *p, size_t n)
{
	__asm__ volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(port) : "memory");
}
static inline void in_bytes(uint16_t port, void *p, size_t n)
{
	__asm__ volatile("rep insb" : "+D"(p), "+c"(n) : "d"(port) : "memory");
}
static inline void cpuid(uint32_t leaf, uint32_t index, uint32_t out[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
			 : "a"(leaf), "c"(index));
}
static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}
static inline void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" ::"a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(msr));
}

#endif
