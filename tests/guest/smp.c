/*
 * smp.c - every CPU that the MADT names starts by INIT and SIPI, is the CPU that it says it is, and
 * sees the topology that was asked for: cpus=N, threads=T per core, cores=C per socket.
 *
 * Source: Intel SDM volume 3, 9.4.4 "MP Initialization Example"; volume 2, CPUID leaf 0xb.
 */
#include "acpi.h"

#define LAPIC 0xfee00000u
#define LAPIC_SVR (LAPIC + 0xf0)
#define LAPIC_ICR_LOW (LAPIC + 0x300)
#define LAPIC_ICR_HIGH (LAPIC + 0x310)
#define ICR_INIT 0x4500u
#define ICR_STARTUP 0x4600u

#define TRAMPOLINE 0x8000u /* a page below 1 MiB that nothing else uses */
#define MAX_CPUS 64

/* smp_ap.S: what a CPU does that has been started. */
extern const uint8_t trampoline[], trampoline_end[];

/* Filled by the CPUs themselves, each at the next free place. */
struct cpu_report {
	uint32_t apic_id; /* CPUID leaf 0xb, EDX */
	uint32_t initial_id; /* CPUID leaf 1, EBX 31:24 */
};
volatile uint32_t n_started;
volatile struct cpu_report report[MAX_CPUS];
volatile uint32_t n_done;

static void lapic_write(uint32_t reg, uint32_t v)
{
	*(volatile uint32_t *)(uintptr_t)reg = v;
}

static void start_cpu(uint32_t apic_id)
{
	const uint32_t before = n_done;

	lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
	lapic_write(LAPIC_ICR_LOW, ICR_INIT);
	for (int i = 0; i < 2 && n_done == before; i++) { /* twice, as the manual has it */
		lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
		lapic_write(LAPIC_ICR_LOW, ICR_STARTUP | TRAMPOLINE >> 12);
		for (int wait = 0; wait < 200000 && n_done == before; wait++)
			__asm__ volatile("pause");
	}
	check(n_done == before + 1, "a CPU does not start");
}

static void check_level(uint32_t index, uint32_t type, uint64_t count)
{
	uint32_t r[4];

	cpuid(0xb, index, r);
	check((r[2] >> 8 & 0xff) == type, "CPUID 0xb: another level was expected");
	check((r[1] & 0xffff) == count, "CPUID 0xb: another number of CPUs was expected");
	check(1u << (r[0] & 31) >= count, "CPUID 0xb: the shift is too small for the level");
}

static void check_topology(void)
{
	const uint64_t threads = option("threads", 1), cores = option("cores", option("cpus", 1));
	uint32_t r[4];

	cpuid(0, 0, r);
	check(r[0] >= 0xb, "no CPUID leaf 0xb");
	check_level(0, 1, threads);
	check_level(1, 2, threads * cores);
	cpuid(0xb, 2, r);
	check((r[2] >> 8 & 0xff) == 0, "CPUID 0xb: a third level");
	check(r[3] == acpi_cpu_id(0), "the first CPU's x2APIC id is not the MADT's");
}

static void check_reports(uint64_t cpus)
{
	for (uint64_t i = 1; i < cpus; i++) {
		uint32_t id = acpi_cpu_id(i), seen = 0;

		for (uint64_t k = 0; k < cpus - 1; k++) {
			if (report[k].apic_id != id)
				continue;
			seen++;
			check(report[k].initial_id == (id & 0xff), "leaf 1 and 0xb disagree");
		}
		check(seen == 1, "a CPU of the MADT was not the one that started");
	}
}

void guest_main(void)
{
	const uint64_t cpus = option("cpus", 1);

	check(acpi_n_cpus() == cpus, "the MADT names another number of CPUs");
	check_topology();
	memcpy((void *)(uintptr_t)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	lapic_write(LAPIC_SVR, 0x1ff);
	for (uint64_t i = 1; i < cpus; i++)
		start_cpu(acpi_cpu_id(i));
	check_reports(cpus);
	put_dec(n_done + 1);
	put(" CPUs run\n");
	power_off();
}
