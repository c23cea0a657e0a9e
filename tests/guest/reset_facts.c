/*
 * reset_facts.c - what a CPU and the machine look like, as far as a guest can see it. See
 * reset_clean.c.
 *
 * Source: Intel SDM volume 3: 11.5 local APIC, 12.11 MTRRs, 18 debug registers; volume 4, table 2-2
 * MSRs; AMD APM volume 2, appendix A; Linux, Documentation/virt/kvm/x86/msr.rst. 82093AA I/O APIC.
 */
#include "reset.h"

#define CPUID_1_MCA (1u << 14) /* EDX */
#define CPUID_1_MTRR (1u << 12)
#define CPUID_1_PAT (1u << 16)
#define CPUID_1_OSFXSR (1u << 24)
#define CPUID_1_XSAVE (1u << 26) /* ECX */
#define CPUID_7_TSC_ADJUST (1u << 1) /* EBX */
#define CPUID_KVM 0x40000001u
#define CR4_OSFXSR (1ull << 9)
#define CR4_OSXSAVE (1ull << 18)

static void add(struct facts *f, const char *name, uint64_t index, uint64_t value)
{
	check(f->n < MAX_FACTS, "too many facts");
	f->fact[f->n++] = (struct fact){ name, index, value };
}

static void add_msr(struct facts *f, uint32_t index)
{
	add(f, "msr", index, rdmsr(index));
}

void facts_of_entry(struct facts *f)
{
	add(f, "eax", 0, entry.eax);
	add(f, "ebx", 0, entry.ebx);
	add(f, "ecx", 0, entry.ecx);
	add(f, "edx", 0, entry.edx);
	add(f, "esi", 0, entry.esi);
	add(f, "edi", 0, entry.edi);
	add(f, "ebp", 0, entry.ebp);
	add(f, "esp", 0, entry.esp);
	add(f, "eflags", 0, entry.eflags);
	add(f, "cr0", 0, entry.cr0);
	add(f, "cr2", 0, entry.cr2);
	add(f, "cr3", 0, entry.cr3);
	add(f, "cr4", 0, entry.cr4);
	add(f, "efer", 0, entry.efer);
	add(f, "gdt", 0, entry.gdt);
	add(f, "idt", 0, entry.idt);
	add(f, "segment", 0, entry.cs | (uint64_t)entry.ds << 16 | (uint64_t)entry.es << 32);
	add(f, "segment", 1, entry.fs | (uint64_t)entry.gs << 16 | (uint64_t)entry.ss << 32);
	add(f, "tr", 0, entry.tr);
}

#define ADD_DR(f, n)                                                                               \
	do {                                                                                       \
		uint64_t dr;                                                                       \
		__asm__ volatile("mov %%dr" #n ", %0" : "=r"(dr));                                 \
		add(f, "dr", n, dr);                                                               \
	} while (0)

static void add_debug_registers(struct facts *f)
{
	ADD_DR(f, 0);
	ADD_DR(f, 1);
	ADD_DR(f, 2);
	ADD_DR(f, 3);
	ADD_DR(f, 6);
	ADD_DR(f, 7);
}

static void add_mtrrs(struct facts *f)
{
	static const uint16_t fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
					  0x26b, 0x26c, 0x26d, 0x26e, 0x26f };
	uint32_t n = 2 * (uint32_t)(rdmsr(0xfe) & 0xff);

	for (uint32_t i = 0; i < n; i++)
		add_msr(f, 0x200 + i);
	for (uint32_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		add_msr(f, fixed[i]);
	add_msr(f, 0x2ff);
}

static void add_kvm_msrs(struct facts *f)
{
	static const struct {
		uint8_t bit, msr;
	} known[] = { { 3, 0 }, { 3, 1 }, { 4, 2 }, { 5, 3 }, { 6, 4 }, { 12, 5 } };
	uint32_t r[4];

	cpuid(CPUID_KVM, 0, r);
	for (uint32_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (r[0] >> known[i].bit & 1)
			add_msr(f, 0x4b564d00 + known[i].msr);
	}
}

static void add_msrs(struct facts *f)
{
	static const uint32_t always[] = {
		MSR_APIC_BASE, 0x174,      0x175,      0x176,      0x1d9,      0xc0000081,
		0xc0000082,    0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102,
	};
	uint32_t one[4], seven[4];

	cpuid(1, 0, one);
	cpuid(7, 0, seven);
	for (uint32_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		add_msr(f, always[i]);
	if (one[3] & CPUID_1_PAT)
		add_msr(f, 0x277);
	if (one[3] & CPUID_1_MTRR)
		add_mtrrs(f);
	for (uint32_t i = 0; (one[3] & CPUID_1_MCA) && i < 4 * (rdmsr(0x179) & 0xff); i++)
		add_msr(f, 0x400 + i);
	if (seven[1] & CPUID_7_TSC_ADJUST)
		add_msr(f, 0x3b);
	add_kvm_msrs(f);
}

/* XMM registers are part of the image only if the CPU is told that somebody saves them. */
static void add_fpu(struct facts *f)
{
	static uint64_t image[64] __attribute__((aligned(16)));
	uint64_t cr4, sum = 0;
	uint32_t r[4];

	cpuid(1, 0, r);
	if (!(r[3] & CPUID_1_OSFXSR))
		return;
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("mov %0, %%cr4" ::"r"(cr4 | CR4_OSFXSR));
	memset(image, 0, sizeof(image));
	__asm__ volatile("fxsave64 %0" : "=m"(image));
	add(f, "fcw fsw ftw", 0, image[0] & 0xffffffffff);
	add(f, "mxcsr", 0, image[3]);
	for (unsigned int i = 4; i < 52; i++)
		sum += image[i];
	add(f, "st xmm", 0, sum);
	if (option("real", 0) && (r[2] & CPUID_1_XSAVE)) {
		__asm__ volatile("mov %0, %%cr4" ::"r"(cr4 | CR4_OSXSAVE));
		__asm__ volatile("xgetbv" : "=a"(r[0]), "=d"(r[1]) : "c"(0));
		add(f, "xcr0", 0, r[0]);
	}
	__asm__ volatile("mov %0, %%cr4" ::"r"(cr4));
}

static void add_lapic(struct facts *f)
{
	static const uint16_t one[] = { 0x20,  0x30,  0x80,  0x90,  0xa0,  0xd0,  0xe0,
					0xf0,  0x280, 0x300, 0x310, 0x320, 0x330, 0x340,
					0x350, 0x360, 0x370, 0x380, 0x390, 0x3e0 };

	for (uint32_t i = 0; i < sizeof(one) / sizeof(one[0]); i++)
		add(f, "lapic", one[i], mem_get(LAPIC + one[i]));
	for (uint32_t at = 0x100; at < 0x280; at += 0x10) /* in service, trigger mode, requested */
		add(f, "lapic", at, mem_get(LAPIC + at));
}

void facts_of_cpu(struct facts *f)
{
	uint64_t cr0, cr8;

	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("mov %%cr8, %0" : "=r"(cr8));
	add(f, "cr0 in long mode", 0, cr0);
	add(f, "cr8", 0, cr8);
	add_debug_registers(f);
	add_fpu(f);
	add_msrs(f);
	add_lapic(f);
	/* Nobody waits for so long: what a guest has added to it is gone. */
	add(f, "tsc beyond 48 bits", 0, rdtsc() >> 48);
}

static void add_pci(struct facts *f)
{
	for (uint32_t slot = 0; slot < 4; slot++) {
		for (uint32_t off = 0; off < 256; off += 4) {
			out32(0xcf8, 0x80000000 | slot << 11 | off);
			if (off == 0 && in32(0xcfc) == 0xffffffff)
				break;
			add(f, "pci", slot << 8 | off, in32(0xcfc));
		}
	}
	out32(0xcf8, 0);
}

void facts_of_machine(struct facts *f)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < 16 + 2 * 24; i++) {
		if (i == 3)
			i = 16; /* ID, version, arbitration; then the entries */
		mem_set(IOAPIC, i);
		add(f, "ioapic", i, mem_get(IOAPIC + 0x10));
	}
	mem_set(IOAPIC, 0);
	add(f, "pic requests", 0, in8(0x20) | in8(0xa0) << 8);
	add(f, "pic masks", 0, in8(0x21) | in8(0xa1) << 8);
	add(f, "pic edge or level", 0, in8(0x4d0) | in8(0x4d1) << 8);
	for (uint16_t i = 1; i < 8; i++)
		add(f, "uart", i, in8((uint16_t)(COM1 + i)));
	add_pci(f);
	for (uint64_t at = 0; at < 64 * 4096; at += 8)
		sum |= *(volatile uint64_t *)(uintptr_t)(DIRTY_PAGE + at);
	add(f, "bits set in RAM", 0, sum);
}

void facts_print(const struct facts *f, const char *whose)
{
	for (unsigned int i = 0; i < f->n; i++) {
		if (f->fact[i].value == 0)
			continue;
		put(whose);
		put(" ");
		put(f->fact[i].name);
		put(" ");
		put_hex(f->fact[i].index);
		put(" = ");
		put_hex(f->fact[i].value);
		put("\n");
	}
}
