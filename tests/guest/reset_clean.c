/*
 * reset_clean.c - after a reset nothing of the guest before is left, in whatever state it was: each
 * boot prints what CPUs and machine look like before it changes anything, and all print the same.
 *
 * Boot after boot, the guest starts all CPUs, has each print and then change everything that it
 * can, and resets the machine in another way: from the first CPU while the others run; from the
 * second while the first is halted, in x2APIC mode; from inside a guest of its own (SVM only).
 * Which boot this is, the CMOS memory says, which has a battery.
 *
 * real=1: this KVM runs on a real processor, or what passes for one, and has all instructions.
 */
#include "acpi.h"
#include "reset.h"

#define TRAMPOLINE 0x8000u /* a page below 1 MiB that nothing else uses */
#define CMOS_BOOT 0x40
#define STACK 8192u
#define MAX_CPUS 8u

enum order { WAIT, DIRTY_AND_SPIN, DIRTY_AND_RESET };

static struct facts of_machine, of_cpu[MAX_CPUS];
static uint8_t stacks[MAX_CPUS][STACK] __attribute__((aligned(16)));
static volatile uint32_t n_here, n_dirty, order;
static volatile uint64_t ap_tsc;
uint64_t ap_stack;

void ap_main(void);

static uint8_t cmos(uint8_t index)
{
	out8(0x70, index);
	return in8(0x71);
}

static void reset(bool by_acpi)
{
	struct table_reset r = { true, 0x64, 0xfe };

	if (by_acpi)
		r = acpi_reset_register();
	out8(r.port, r.value);
	stop();
}

void ap_main(void)
{
	uint32_t me = n_here + 1;

	ap_tsc = rdtsc();
	facts_of_cpu(&of_cpu[me]);
	n_here = me;
	while (order == WAIT)
		__asm__ volatile("pause");
	dirty_cpu(DIRTY_PAGE + 4096 * me, false);
	__atomic_add_fetch(&n_dirty, 1, __ATOMIC_SEQ_CST);
	while (order != DIRTY_AND_RESET || me != 1)
		__asm__ volatile("pause");
	reset(true);
}

static void start_cpu(uint32_t i)
{
	const uint32_t before = n_here;
	uint64_t tsc = rdtsc();

	ap_stack = (uintptr_t)stacks[i] + STACK;
	mem_set(LAPIC + LAPIC_ICR_HIGH, acpi_cpu_id(i) << 24);
	mem_set(LAPIC + LAPIC_ICR_LOW, 0x4500);
	mem_set(LAPIC + LAPIC_ICR_HIGH, acpi_cpu_id(i) << 24);
	mem_set(LAPIC + LAPIC_ICR_LOW, 0x4600 | TRAMPOLINE >> 12);
	while (n_here == before)
		__asm__ volatile("pause");
	of_cpu[i].fact[of_cpu[i].n++] =
		(struct fact){ "tsc in step", 0, ap_tsc >= tsc && ap_tsc <= rdtsc() };
}

static void start_all(void)
{
	memcpy((void *)(uintptr_t)TRAMPOLINE, ap_trampoline,
	       (size_t)(ap_trampoline_end - ap_trampoline));
	mem_set(LAPIC + LAPIC_SVR, 0x1ff);
	check(acpi_n_cpus() <= MAX_CPUS, "too many CPUs");
	for (uint32_t i = 1; i < acpi_n_cpus(); i++)
		start_cpu(i);
}

static void print(unsigned int boot)
{
	char name[] = "cpu0";

	put("boot ");
	put_dec(boot);
	put("\n");
	facts_print(&of_machine, "machine");
	for (uint32_t i = 0; i < acpi_n_cpus(); i++, name[3]++)
		facts_print(&of_cpu[i], name);
	put("end\n");
}

static void change_all(unsigned int boot)
{
	if (option("msix", 0))
		dirty_msix(0x93);
	order = DIRTY_AND_SPIN;
	while (n_dirty < acpi_n_cpus() - 1)
		__asm__ volatile("pause");
	dirty_machine();
	dirty_cpu(DIRTY_PAGE, boot == 1);
}

void guest_main(void)
{
	unsigned int boot = cmos(CMOS_BOOT);

	facts_of_machine(&of_machine);
	facts_of_entry(&of_cpu[0]);
	facts_of_cpu(&of_cpu[0]);
	out8(0x70, CMOS_BOOT);
	out8(0x71, (uint8_t)(boot + 1));
	start_all();
	print(boot);
	if (boot == 3)
		power_off();
	change_all(boot);
	if (boot == 1 && acpi_n_cpus() > 1) {
		order = DIRTY_AND_RESET;
		stop();
	}
	if (boot == 2)
		reset_from_nested_guest();
	reset(false);
}
