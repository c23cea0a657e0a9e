/*
 * cpu.h - interrupts, timers and the other CPUs, for a guest whose body runs at ring 3.
 *
 * Source: Intel SDM volume 3: 6.10 the IDT, 9.4 starting other processors, 11.5 to 11.8 the local
 * APIC; 82093AA data sheet: the I/O APIC.
 */
#ifndef VMM_FIRMWARE_SELFTEST_CPU_H
#define VMM_FIRMWARE_SELFTEST_CPU_H
#include "guest.h"

#define MAX_CPUS 64u

#define LAPIC 0xfee00000u
#define LAPIC_ID 0x20u
#define LAPIC_VERSION 0x30u
#define LAPIC_SVR 0xf0u
#define LAPIC_ICR_LOW 0x300u
#define LAPIC_ICR_HIGH 0x310u
#define LAPIC_LVT_TIMER 0x320u
#define LAPIC_TIMER_INITIAL 0x380u
#define LAPIC_TIMER_CURRENT 0x390u
#define LAPIC_TIMER_DIVIDE 0x3e0u

/* Vectors. Below 32 are exceptions, which end the guest. */
#define VECTOR_TIMER 32u
#define VECTOR_IPI 33u /* counted by CPU, too */
#define VECTOR_SERIAL 34u
#define VECTOR_DEVICE 35u /* and up: virtio devices, see virtio.c */
#define N_VECTORS 64u /* cpu.S has this number, too */

/* How often each vector has come, on all CPUs together. */
extern volatile uint32_t interrupts[N_VECTORS];
/* How often VECTOR_IPI has come to the CPU with that APIC id. */
extern volatile uint32_t ipis[256];

/* At ring 0, once: the interrupt table and the local APIC of the boot CPU. */
void cpu_init(void);
/* Leaves for ring 3, with interrupts on. */
__attribute__((noreturn)) void cpu_enter_ring3(void (*fn)(void));

static inline uint32_t lapic_read(uint32_t reg)
{
	return *(volatile uint32_t *)(uintptr_t)(LAPIC + reg);
}
static inline void lapic_write(uint32_t reg, uint32_t v)
{
	*(volatile uint32_t *)(uintptr_t)(LAPIC + reg) = v;
}
static inline uint32_t lapic_id(void)
{
	return lapic_read(LAPIC_ID) >> 24;
}

/* Starts every CPU of the MADT but this one: how many run then. They halt, and count interrupts. */
unsigned int cpu_start_others(void);

/* Connects line `gsi`, edge-triggered, to a vector of this CPU. */
void ioapic_route(unsigned int gsi, uint8_t vector);

/*
 * Waiting, which has an end: about ten seconds by the machine's own clock, so that neither a slow
 * host nor a fast one makes a difference.
 *
 *	struct patience p = { 0 };
 *	while (!there)
 *		if (!wait_a_little(&p))
 *			return "it did not come";
 */
struct patience {
	unsigned int spins, seconds;
	uint8_t last;
};
bool wait_a_little(struct patience *p); /* false: long enough */
/* Until a vector has come more often than `before`. false: it has not. */
bool wait_for_interrupt(unsigned int vector, uint32_t before);

/*
 * The gate: calls fn(a, b) at ring 0, with interrupts off. Each instruction there may cost a
 * microsecond. (An undefined instruction is the door: every KVM has that exception.)
 */
uint64_t ring0(uint64_t (*fn)(uint64_t a, uint64_t b), uint64_t a, uint64_t b);
/* For use with it: 1, or 0 if the CPU refuses (#GP). b: where the value is, or goes to. */
uint64_t try_rdmsr(uint64_t msr, uint64_t b);
uint64_t try_wrmsr(uint64_t msr, uint64_t b);

#endif
