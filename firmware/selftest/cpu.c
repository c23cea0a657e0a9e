/*
 * cpu.c - see cpu.h.
 */
#include "cpu.h"
#include "acpi.h"

#define IOAPIC 0xfec00000u
#define IOAPIC_INDEX (IOAPIC + 0x00)
#define IOAPIC_DATA (IOAPIC + 0x10)
#define IOAPIC_REDIRECTION 0x10u /* two registers for each line */

#define SVR_ENABLE 0x1ffu /* and 255 as the spurious vector */
#define ICR_INIT 0x4500u
#define ICR_STARTUP 0x4600u
#define TRAMPOLINE 0x8000u /* a page below 1 MiB that nothing else uses */

/* The two 8259A, whose lines are those of the I/O APIC: nothing shall come twice. */
#define PIC_MASK_1 0x21u
#define PIC_MASK_2 0xa1u

#define RTC_INDEX 0x70u
#define RTC_DATA 0x71u
#define SPINS 4096u /* between two looks at the clock */
#define SECONDS 10u
#define SECONDS_LATER 2u /* who has waited in vain once does not wait as long again */

volatile uint32_t interrupts[N_VECTORS];
volatile uint32_t ipis[256];

/* cpu.S */
extern const uint8_t interrupt_handlers[], on_undefined[], on_protection[];
extern const uint8_t trampoline[], trampoline_end[];
volatile uint32_t cpus_started;

/* Interrupt table (SDM 6.14.1) ----------------------------------------------------------------- */

struct gate {
	uint16_t low, selector, flags, middle;
	uint32_t high, reserved;
};
static struct gate idt[N_VECTORS] __attribute__((aligned(16)));

struct __attribute__((packed)) table_pointer {
	uint16_t limit;
	uint64_t base;
};
struct table_pointer idt_pointer64;

/* Where the handlers of firmware/runtime are, for exceptions that are none of ours. */
uint64_t exception_undefined, exception_protection;

static uint64_t set_gate(unsigned int vector, const uint8_t *handler)
{
	struct gate *g = &idt[vector];
	uint64_t before = g->low | (uint64_t)g->middle << 16, at = (uintptr_t)handler;

	*g = (struct gate){
		.low = (uint16_t)at,
		.selector = 0x10, /* KERNEL_CS */
		.flags = 0x8e00, /* present, interrupt gate */
		.middle = (uint16_t)(at >> 16),
	};
	return before;
}

void cpu_init(void)
{
	struct table_pointer old;

	__asm__ volatile("sidt %0" : "=m"(old));
	memcpy(idt, (const void *)(uintptr_t)old.base, old.limit + 1u);
	exception_undefined = set_gate(6, on_undefined);
	exception_protection = set_gate(13, on_protection);
	for (unsigned int i = 32; i < N_VECTORS; i++)
		set_gate(i, interrupt_handlers + (size_t)16 * (i - 32));
	idt_pointer64 = (struct table_pointer){ sizeof(idt) - 1, (uintptr_t)idt };
	__asm__ volatile("lidt %0" ::"m"(idt_pointer64));
	out8(PIC_MASK_1, 0xff);
	out8(PIC_MASK_2, 0xff);
	lapic_write(LAPIC_SVR, SVR_ENABLE);
}

/* Waiting -------------------------------------------------------------------------------------- */

bool wait_a_little(struct patience *p)
{
	static unsigned int most = SECONDS;
	uint8_t now;

	__asm__ volatile("pause" ::: "memory");
	if (++p->spins % SPINS)
		return true;
	out8(RTC_INDEX, 0);
	now = in8(RTC_DATA);
	p->seconds += now != p->last;
	p->last = now;
	if (p->seconds <= most)
		return true;
	most = SECONDS_LATER;
	return false;
}

bool wait_for_interrupt(unsigned int vector, uint32_t before)
{
	struct patience p = { 0 };

	while (interrupts[vector] == before) {
		if (!wait_a_little(&p))
			return false;
	}
	return true;
}

/* Other CPUs (SDM 9.4.4.1) --------------------------------------------------------------------- */

static void send(uint32_t apic_id, uint32_t what)
{
	lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
	lapic_write(LAPIC_ICR_LOW, what);
}

/* The manual wants a second start-up message if the first one had no effect. */
static bool start(uint32_t apic_id)
{
	const uint32_t before = cpus_started;
	struct patience p = { 0 };

	send(apic_id, ICR_INIT);
	send(apic_id, ICR_STARTUP | TRAMPOLINE >> 12);
	while (cpus_started == before) {
		if (!wait_a_little(&p))
			return false;
		if (p.seconds == SECONDS / 2 && p.spins % SPINS == 0)
			send(apic_id, ICR_STARTUP | TRAMPOLINE >> 12);
	}
	return true;
}

unsigned int cpu_start_others(void)
{
	const uint32_t self = lapic_id();
	const uint64_t n = acpi_n_cpus();

	memcpy((void *)(uintptr_t)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	for (uint64_t i = 0; i < n && i < MAX_CPUS; i++) {
		if (acpi_cpu_id(i) != self && !start(acpi_cpu_id(i)))
			break;
	}
	return cpus_started + 1;
}

/* I/O APIC ------------------------------------------------------------------------------------- */

static void ioapic_write(uint32_t reg, uint32_t v)
{
	*(volatile uint32_t *)(uintptr_t)IOAPIC_INDEX = reg;
	*(volatile uint32_t *)(uintptr_t)IOAPIC_DATA = v;
}

void ioapic_route(unsigned int gsi, uint8_t vector)
{
	ioapic_write(IOAPIC_REDIRECTION + 2 * gsi + 1, lapic_id() << 24);
	ioapic_write(IOAPIC_REDIRECTION + 2 * gsi, vector); /* fixed, physical, edge, not masked */
}
