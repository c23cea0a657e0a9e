/*
 * ends.c - what ends a VM, or is to be ended from outside: one way for each start, end=N on the
 * command line. tests/hostile/run knows what status each has to end with.
 *
 * Some of it depends on the processor and on KVM, which may refuse to go on; the VMM has to end by
 * itself, or to be ended, in any case.
 */
#include "guest.h"

#define LAPIC_ICR_LOW 0xfee00300u
#define LAPIC_ICR_HIGH 0xfee00310u

static const struct {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed)) nothing;

static void triple_fault(void)
{
	__asm__ volatile("lidt %0; ud2" ::"m"(nothing));
}

static void halt(void)
{
	put("halted\n");
	stop();
}

static void spin(void)
{
	put("spinning\n");
	for (;;)
		__asm__ volatile("");
}

static void spin_at_ring_3(void)
{
	ring3(spin);
}

/* All CPUs: each of the others lands on cli; hlt; jmp. */
static void halt_all(void)
{
	memcpy((void *)0x9000, "\xfa\xf4\xeb\xfc", 4);
	*(volatile uint32_t *)LAPIC_ICR_LOW = 0xc4500; /* INIT, to all but this one */
	*(volatile uint32_t *)LAPIC_ICR_LOW = 0xc4609;
	halt();
}

static void init_myself(void)
{
	put("init\n");
	*(volatile uint32_t *)LAPIC_ICR_LOW = 0x84500;
	*(volatile uint32_t *)LAPIC_ICR_HIGH = 0;
	*(volatile uint32_t *)LAPIC_ICR_LOW = 0x4500;
	stop();
}

static void reset(void)
{
	put("resetting\n");
	for (;;) {
		out8(0x64, 0xfe);
		out8(0x92, 1);
	}
}

static void call(uint64_t at)
{
	((void (*)(void))(uintptr_t)at)();
}

static void jump_to_a_device(void)
{
	call(0xfee00000);
}

static void jump_to_nothing(void)
{
	call(0xd0000000);
}

static void stack_in_a_device(void)
{
	__asm__ volatile("mov %0, %%rsp; push %%rax; push %%rax; ud2" ::"r"(UINT64_C(0xfec00100)));
}

static void tables_in_a_device(void)
{
	__asm__ volatile("mov %0, %%cr3" ::"r"(UINT64_C(0xfee00000)) : "memory");
}

static void tables_nowhere(void)
{
	__asm__ volatile("mov %0, %%cr3" ::"r"(UINT64_C(0xffffff0000)) : "memory");
}

static void idt_in_a_device(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idt = { 0xfff, 0xfec00000 };

	__asm__ volatile("lidt %0; ud2" ::"m"(idt));
}

static void unknown_msrs(void)
{
	for (uint32_t msr = 0xc0010100; msr < 0xc0010200; msr++)
		wrmsr(msr, UINT64_MAX);
	end_with(42);
}

static void apic_base_away(void)
{
	wrmsr(0x1b, 0xd0000000 | 0x900);
	*(volatile uint32_t *)(uintptr_t)0xd0000300 = 0x4500;
	end_with(42);
}

static void string_into_nothing(void)
{
	void *to = (void *)0xfffff000;
	size_t n = 0x1000;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(0) : "memory");
	end_with(42);
}

static void wide_into_a_device(void)
{
	__asm__ volatile("fxsave64 (%0)" ::"r"(UINT64_C(0xd0000000)) : "memory");
	end_with(42);
}

static void locked_into_a_device(void)
{
	__asm__ volatile("lock cmpxchg8b (%0)" ::"r"(UINT64_C(0xd0000000))
			 : "memory", "rax", "rdx");
	end_with(42);
}

static void exit_in_a_storm(void)
{
	for (uint32_t i = 0; i < 2000; i++)
		out8((uint16_t)(i * 7919), (uint8_t)i);
	power_off();
}

static void panic_for_ever(void)
{
	for (;;)
		out8(PVPANIC_PORT, 1);
}

void guest_main(void)
{
	static void (*const ends[])(void) = {
		triple_fault,
		halt,
		spin,
		spin_at_ring_3,
		halt_all,
		init_myself,
		reset,
		jump_to_a_device,
		jump_to_nothing,
		stack_in_a_device,
		tables_in_a_device,
		tables_nowhere,
		idt_in_a_device,
		unknown_msrs,
		apic_base_away,
		string_into_nothing,
		wide_into_a_device,
		locked_into_a_device,
		exit_in_a_storm,
		panic_for_ever,
	};
	const uint64_t n = option("end", 0);

	check(n < sizeof(ends) / sizeof(*ends), "there is no such end");
	ends[n]();
	stop();
}
