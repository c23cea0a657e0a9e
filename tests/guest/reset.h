/*
 * reset.h - what the files of reset_clean share.
 */
#ifndef VMM_TESTS_GUEST_RESET_H
#define VMM_TESTS_GUEST_RESET_H
#include "guest.h"

#define LAPIC 0xfee00000u
#define LAPIC_ID 0x20u
#define LAPIC_TPR 0x80u
#define LAPIC_LDR 0xd0u
#define LAPIC_DFR 0xe0u
#define LAPIC_SVR 0xf0u
#define LAPIC_IRR 0x200u
#define LAPIC_ICR_LOW 0x300u
#define LAPIC_ICR_HIGH 0x310u
#define LAPIC_LVT_TIMER 0x320u
#define LAPIC_LVT_LINT0 0x350u
#define LAPIC_LVT_LINT1 0x360u
#define LAPIC_LVT_ERROR 0x370u
#define LAPIC_TIMER_INITIAL 0x380u
#define LAPIC_TIMER_DIVIDE 0x3e0u
#define IOAPIC 0xfec00000u
#define MSR_APIC_BASE 0x1bu

#define DIRTY_PAGE 0x2000000u /* RAM that nothing else uses: what KVM is asked to write to */
#define MAX_FACTS 400u

/* What a CPU, or the machine, looks like. */
struct facts {
	struct fact {
		const char *name;
		uint64_t index, value;
	} fact[MAX_FACTS];
	unsigned int n;
};

static inline uint32_t mem_get(uint32_t at)
{
	return *(volatile uint32_t *)(uintptr_t)at;
}
static inline void mem_set(uint32_t at, uint32_t v)
{
	*(volatile uint32_t *)(uintptr_t)at = v;
}
static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* reset_facts.c */
void facts_of_entry(struct facts *f); /* the first CPU's registers, as start.S found them */
void facts_of_cpu(struct facts *f); /* this one: before it has changed anything */
void facts_of_machine(struct facts *f);
void facts_print(const struct facts *f, const char *whose); /* those that are not 0 */

/* reset_dirty.c. KVM shall use [page, page+4096) for this CPU. */
void dirty_cpu(uintptr_t page, bool x2apic);
void dirty_machine(void);
/* Enters a guest of this guest, which resets the machine; returns where there is no SVM. */
void reset_from_nested_guest(void);

/* reset_msix.c: the entropy device has sent this vector, which stays pending. */
void dirty_msix(uint8_t vector);

/* reset_ap.S: what a CPU does that has been started: to long mode, then ap_main(). */
extern const uint8_t ap_trampoline[], ap_trampoline_end[];
extern uint64_t ap_stack;

#endif
