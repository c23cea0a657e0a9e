/*
 * cpu_checks.c - the CPUs: do they start, take interrupts, and keep time?
 *
 * Source: Intel SDM volume 3, 11.5.4 the local APIC's timer, 11.6.1 messages between processors.
 */
#include "acpi.h"
#include "check.h"
#include "cpu.h"

#define LVT_MASKED 0x10000u
#define LVT_PERIODIC 0x20000u
#define DIVIDE_BY_16 3u
#define ICR_FIXED 0x4000u
#define ICR_TO_OTHERS 0xc0000u

static const char *gate_works(struct virtio *v)
{
	uint64_t val = 0;

	(void)v;
	WANT(ring0(try_rdmsr, 0xc0000080, (uintptr_t)&val), "EFER cannot be read");
	WANT((val & 0x500) == 0x500, "EFER does not say long mode");
	return NULL;
}

static const char *all_start(struct virtio *v)
{
	(void)v;
	WANT(acpi_n_cpus() == option("cpus", 1), "the MADT names another number of CPUs");
	WANT(cpu_start_others() == acpi_n_cpus(), "a CPU does not start");
	tell("CPUs", acpi_n_cpus());
	return NULL;
}

static const char *timer_once(struct virtio *v)
{
	const uint32_t before = interrupts[VECTOR_TIMER];

	(void)v;
	lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_16);
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER);
	lapic_write(LAPIC_TIMER_INITIAL, 10000);
	WANT(wait_for_interrupt(VECTOR_TIMER, before), "no interrupt");
	WANT(lapic_read(LAPIC_TIMER_CURRENT) == 0, "it goes on counting");
	WANT(interrupts[VECTOR_TIMER] == before + 1, "more than one interrupt");
	return NULL;
}

static const char *timer_periodic(struct virtio *v)
{
	bool came = true;

	(void)v;
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER | LVT_PERIODIC);
	lapic_write(LAPIC_TIMER_INITIAL, 50000);
	for (unsigned int i = 0; i < 5; i++)
		came = came && wait_for_interrupt(VECTOR_TIMER, interrupts[VECTOR_TIMER]);
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER | LVT_MASKED);
	lapic_write(LAPIC_TIMER_INITIAL, 0);
	WANT(came, "it does not come again and again");
	return NULL;
}

static uint64_t tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static const char *tsc_goes_on(struct virtio *v)
{
	uint64_t before = tsc();

	(void)v;
	for (unsigned int i = 0; i < 1000; i++) {
		uint64_t now = tsc();

		WANT(now >= before, "it goes back");
		before = now;
	}
	return NULL;
}

/* Every CPU but this one gets the same message at once. */
static const char *ipi_to_all(struct virtio *v)
{
	const uint32_t self = lapic_id(), n = (uint32_t)acpi_n_cpus();
	const uint32_t before = interrupts[VECTOR_IPI], own = ipis[self];
	struct patience p = { 0 };

	(void)v;
	lapic_write(LAPIC_ICR_LOW, VECTOR_IPI | ICR_FIXED | ICR_TO_OTHERS);
	while (interrupts[VECTOR_IPI] - before < n - 1)
		WANT(wait_a_little(&p), "a CPU does not answer");
	WANT(ipis[self] == own, "the sender got it, too");
	return NULL;
}

/* One after the other, this one included: the right one gets it. */
static const char *ipi_to_each(struct virtio *v)
{
	const uint32_t n = (uint32_t)acpi_n_cpus();

	(void)v;
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t id = acpi_cpu_id(i), before = ipis[id], all = interrupts[VECTOR_IPI];
		struct patience p = { 0 };

		lapic_write(LAPIC_ICR_HIGH, id << 24);
		lapic_write(LAPIC_ICR_LOW, VECTOR_IPI | ICR_FIXED);
		while (ipis[id] == before)
			WANT(wait_a_little(&p), "the CPU does not answer");
		WANT(interrupts[VECTOR_IPI] == all + 1, "another CPU got it, too");
	}
	return NULL;
}

const struct check cpu_checks[] = {
	{ "cpu: exceptions at ring 3 reach ring 0", gate_works },
	{ "cpu: every processor starts", all_start },
	{ "cpu: the time stamp counter goes on", tsc_goes_on },
	{ "lapic: the timer comes once", timer_once },
	{ "lapic: the timer comes periodically", timer_periodic },
	{ "lapic: a message reaches all others", ipi_to_all },
	{ "lapic: a message reaches each processor alone", ipi_to_each },
	{ 0 },
};
