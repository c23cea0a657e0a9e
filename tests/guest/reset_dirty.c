/*
 * reset_dirty.c - changes what a guest can change of a CPU and of the machine. See reset_clean.c.
 *
 * Source: as reset_facts.c; AMD APM volume 2: 15.5 VMRUN, appendix B the VMCB.
 */
#include "reset.h"
#include "tables.h"

#define CPUID_1_MCA (1u << 14) /* EDX */
#define CPUID_1_MTRR (1u << 12)
#define CPUID_1_PAT (1u << 16)
#define CPUID_1_XSAVE (1u << 26) /* ECX */
#define CPUID_1_AVX (1u << 28)
#define CPUID_7_TSC_ADJUST (1u << 1) /* EBX */
#define CPUID_SVM (1u << 2) /* 80000001.ECX */
#define CPUID_KVM 0x40000001u
#define CR0_MORE 0x50020u /* AM, WP, NE */
#define CR4_MORE 0x688u /* OSXMMEXCPT, OSFXSR, PGE, DE */
#define CR4_OSXSAVE (1ull << 18)
#define EFER_NXE (1u << 11)
#define EFER_SVME (1u << 12)
#define MSR_VM_HSAVE_PA 0xc0010117u

static uint64_t get_cr0(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr0, %0" : "=r"(v));
	return v;
}
static uint64_t get_cr4(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr4, %0" : "=r"(v));
	return v;
}
static void set_cr4(uint64_t v)
{
	__asm__ volatile("mov %0, %%cr4" ::"r"(v));
}

static void dirty_registers(void)
{
	uint64_t pattern = 0x123456789000;

	__asm__ volatile("mov %0, %%dr0" ::"r"(pattern));
	__asm__ volatile("mov %0, %%dr1" ::"r"(pattern + 1));
	__asm__ volatile("mov %0, %%dr2" ::"r"(pattern + 2));
	__asm__ volatile("mov %0, %%dr3" ::"r"(pattern + 3));
	__asm__ volatile("mov %0, %%dr6" ::"r"(0xffff0ffful));
	__asm__ volatile("mov %0, %%dr7" ::"r"(0x455ul)); /* breakpoints that nothing hits */
	__asm__ volatile("mov %0, %%cr2" ::"r"(pattern));
	__asm__ volatile("mov %0, %%cr0" ::"r"(get_cr0() | CR0_MORE));
	set_cr4(get_cr4() | CR4_MORE);
}

static void dirty_fpu(void)
{
	static uint64_t image[64] __attribute__((aligned(16)));
	uint32_t r[4];

	memset(image, 0, sizeof(image));
	for (unsigned int i = 4; i < 52; i++)
		image[i] = 0x3fff800000000000 + i;
	image[0] = 0x27f | 0xffull << 32;
	image[3] = 0x1f00; /* MXCSR: another mask */
	__asm__ volatile("fxrstor64 %0" ::"m"(image));
	cpuid(1, 0, r);
	if (!option("real", 0) || !(r[2] & CPUID_1_XSAVE))
		return;
	set_cr4(get_cr4() | CR4_OSXSAVE);
	__asm__ volatile("xsetbv" ::"a"(r[2] & CPUID_1_AVX ? 7 : 3), "d"(0), "c"(0));
}

static void dirty_mtrrs(void)
{
	static const uint16_t fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
					  0x26b, 0x26c, 0x26d, 0x26e, 0x26f };

	for (uint32_t i = 0; i < (rdmsr(0xfe) & 0xff); i++) {
		wrmsr(0x200 + 2 * i, 0x40000006 + ((uint64_t)i << 20));
		wrmsr(0x201 + 2 * i, 0xfff00800);
	}
	for (uint32_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		wrmsr(fixed[i], 0x0606060606060606);
	wrmsr(0x2ff, 0xc06);
}

/* KVM writes to these places from now on, whenever it runs this CPU. */
static void dirty_kvm_msrs(uintptr_t page)
{
	uint32_t r[4];

	cpuid(CPUID_KVM, 0, r);
	if (r[0] >> 3 & 1) {
		wrmsr(0x4b564d00, page + 0x800);
		wrmsr(0x4b564d01, page | 1);
	}
	if (r[0] >> 5 & 1)
		wrmsr(0x4b564d03, (page + 0x400) | 1);
	if (r[0] >> 6 & 1)
		wrmsr(0x4b564d04, (page + 0x600) | 1);
	if (r[0] >> 12 & 1)
		wrmsr(0x4b564d05, 0);
}

static void dirty_msrs(uintptr_t page)
{
	static const uint32_t addresses[] = { 0x175,      0x176,      0xc0000082, 0xc0000083,
					      0xc0000100, 0xc0000101, 0xc0000102 };
	uint32_t one[4], seven[4];

	cpuid(1, 0, one);
	cpuid(7, 0, seven);
	for (uint32_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		wrmsr(addresses[i], 0x7f0000001000 + i);
	wrmsr(0x174, KERNEL_CS);
	wrmsr(0xc0000081, (uint64_t)KERNEL_CS << 32);
	wrmsr(0xc0000084, 0x47700);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE | EFER_SCE);
	if (one[3] & CPUID_1_PAT)
		wrmsr(0x277, 0x0007040600010405);
	if (one[3] & CPUID_1_MTRR)
		dirty_mtrrs();
	if ((one[3] & CPUID_1_MCA) && (rdmsr(0x179) & 0xff) > 3) {
		wrmsr(0x40e, 0x1234); /* MC3_ADDR */
		wrmsr(0x40f, 0x5678); /* MC3_MISC */
	}
	if (seven[1] & CPUID_7_TSC_ADJUST)
		wrmsr(0x3b, 1ull << 52);
	if (option("real", 0)) {
		wrmsr(0x10, 1ull << 53);
		wrmsr(0x1d9, 1); /* last branches are recorded */
	}
	dirty_kvm_msrs(page);
}

/* A timer that runs and has fired, a message that is pending, interrupts that were never taken. */
static void dirty_lapic(bool x2apic)
{
	mem_set(LAPIC + LAPIC_SVR, 0x1f5);
	mem_set(LAPIC + LAPIC_LDR, 0x55000000);
	mem_set(LAPIC + LAPIC_DFR, 0x0fffffff);
	mem_set(LAPIC + LAPIC_LVT_LINT0, 0x10031);
	mem_set(LAPIC + LAPIC_LVT_LINT1, 0x10032);
	mem_set(LAPIC + LAPIC_LVT_ERROR, 0x33);
	mem_set(LAPIC + LAPIC_TIMER_DIVIDE, 0xb);
	mem_set(LAPIC + LAPIC_LVT_TIMER, 0x20041);
	mem_set(LAPIC + LAPIC_TIMER_INITIAL, 20000);
	mem_set(LAPIC + LAPIC_ICR_HIGH, mem_get(LAPIC + LAPIC_ID));
	mem_set(LAPIC + LAPIC_ICR_LOW, 0x4000 | 0x62);
	while (!(mem_get(LAPIC + LAPIC_IRR + 0x20) & 2) || !(mem_get(LAPIC + LAPIC_IRR + 0x30) & 4))
		;
	mem_set(LAPIC + LAPIC_TPR, 0x50);
	if (x2apic)
		wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 1u << 10);
}

void dirty_cpu(uintptr_t page, bool x2apic)
{
	dirty_registers();
	dirty_fpu();
	dirty_msrs(page);
	dirty_lapic(x2apic);
}

static void dirty_pics(void)
{
	static const struct {
		uint16_t port;
		uint8_t val;
	} writes[] = {
		{ 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 4 },     { 0x21, 1 },
		{ 0xa0, 0x11 }, { 0xa1, 0x28 }, { 0xa1, 2 },     { 0xa1, 1 },
		{ 0x21, 0xa5 }, { 0xa1, 0x5a }, { 0x4d0, 0x20 }, { 0x4d1, 0x0e },
	};

	for (unsigned int i = 0; i < sizeof(writes) / sizeof(writes[0]); i++)
		out8(writes[i].port, writes[i].val);
}

/* COM1's line goes up, and stays so. */
void dirty_machine(void)
{
	dirty_pics();
	mem_set(IOAPIC, 0);
	mem_set(IOAPIC + 0x10, 5u << 24);
	for (uint32_t pin = 0; pin < 24; pin++) {
		mem_set(IOAPIC, 0x11 + 2 * pin);
		mem_set(IOAPIC + 0x10, mem_get(LAPIC + LAPIC_ID));
		mem_set(IOAPIC, 0x10 + 2 * pin);
		mem_set(IOAPIC + 0x10, (0x80 + pin) | (pin % 2 ? 0 : 1u << 15));
	}
	out8(COM1_LCR, 3);
	out8(COM1_MCR, 0xb);
	out8(COM1 + 7, 0x77);
	out8(COM1_IER, 2);
	for (uint32_t at = 0; at < 64 * 4096; at += 8)
		*(volatile uint64_t *)(uintptr_t)(DIRTY_PAGE + at) = 0x5a5a5a5a;
}

/* A guest of the guest ------------------------------------------------------------------------ */

static uint8_t vmcb[4096] __attribute__((aligned(4096)));
static uint8_t host_save[4096] __attribute__((aligned(4096)));
static uint8_t nested_stack[4096] __attribute__((aligned(16)));

static void vmcb_set(unsigned int at, unsigned int size, uint64_t v)
{
	memcpy(vmcb + at, &v, size);
}

static void vmcb_segment(unsigned int at, uint16_t selector, uint16_t attributes)
{
	vmcb_set(at, 2, selector);
	vmcb_set(at + 2, 2, attributes);
	vmcb_set(at + 4, 4, UINT32_MAX);
}

/* Nothing that this one does is intercepted: its write to the port is for the outermost host. */
static void nested_main(void)
{
	out8(0x64, 0xfe);
	for (;;)
		__asm__ volatile("hlt");
}

static void fill_vmcb(void)
{
	uint64_t cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	vmcb_set(0x010, 4, 1); /* VMRUN is always intercepted */
	vmcb_set(0x058, 4, 1); /* ASID */
	vmcb_segment(0x400, KERNEL_DS, 0xc93);
	vmcb_segment(0x410, KERNEL_CS, 0xa9b);
	vmcb_segment(0x420, KERNEL_DS, 0xc93);
	vmcb_segment(0x430, KERNEL_DS, 0xc93);
	vmcb_set(0x4d0, 8, rdmsr(MSR_EFER));
	vmcb_set(0x548, 8, get_cr4());
	vmcb_set(0x550, 8, cr3);
	vmcb_set(0x558, 8, get_cr0());
	vmcb_set(0x560, 8, 0x400);
	vmcb_set(0x568, 8, 0xffff0ff0);
	vmcb_set(0x570, 8, 2);
	vmcb_set(0x578, 8, (uintptr_t)nested_main);
	vmcb_set(0x5d8, 8, (uintptr_t)nested_stack + sizeof(nested_stack) - 8);
	vmcb_set(0x668, 8, 0x0007040600070406); /* PAT */
}

void reset_from_nested_guest(void)
{
	uint32_t r[4];

	cpuid(0x80000001, 0, r);
	if (!(r[2] & CPUID_SVM))
		return;
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, (uintptr_t)host_save);
	fill_vmcb();
	__asm__ volatile("vmrun %%rax" ::"a"(vmcb) : "memory");
	check(false, "the guest of the guest has come back");
}
