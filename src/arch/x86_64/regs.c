/*
 * regs.c - the state in which the first vCPU meets the kernel.
 *
 * Life of a VM: the last thing before the vCPU threads start. Main thread.
 * Source: Linux, Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"; Xen,
 * docs/misc/pvh.pandoc, "PVH guest entry" (as x86/HVM direct boot ABI); Intel SDM volume 3, 3.4.5
 * segment descriptors.
 */
#include "memmap.h"
#include "x86.h"
#include <errno.h>

#define CR0_PE 1u
#define CR0_ET (1u << 4)
#define CR0_PG (1u << 31)
#define CR4_PAE (1u << 5)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define APIC_BASE_EXTD (1u << 10)
#define RFLAGS_FIXED 2u /* bit 1 always reads as one; interrupts are off */

#define BOOT_CS 0x10 /* boot.rst: __BOOT_CS and __BOOT_DS */
#define BOOT_DS 0x18
#define BOOT_TR 0x20

#define PAGE_SIZE 4096u
#define PTE_PRESENT 1u
#define PTE_WRITABLE 2u
#define PTE_LARGE (1u << 7)
#define PDE_SPAN (2 * MIB)

/* Flat, 4 GiB, present, ring 0. Types: SDM table 3-1; 11: 32-bit TSS, busy, limit 0x67. */
static struct kvm_segment segment(uint16_t selector, uint8_t type, bool system, bool code64)
{
	return (struct kvm_segment){
		.selector = selector,
		.limit = system ? 0x67 : 0xffffffff,
		.type = type,
		.present = 1,
		.s = !system,
		.db = !system && !code64,
		.l = code64,
		.g = !system,
	};
}

static void set_segments(struct kvm_sregs *s, bool code64)
{
	struct kvm_segment data = segment(BOOT_DS, 3, false, false); /* read, write, accessed */

	s->cs = segment(BOOT_CS, 11, false, code64); /* execute, read, accessed */
	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->tr = segment(BOOT_TR, 11, true, false);
	s->gdt = (struct kvm_dtable){ .base = MAP_GDT, .limit = 5 * 8 - 1 };
	s->idt = (struct kvm_dtable){ 0 };
}

static uint64_t descriptor(const struct kvm_segment *s)
{
	uint64_t limit = s->g ? s->limit >> 12 : s->limit;

	return (limit & 0xffff) | (uint64_t)s->type << 40 | (uint64_t)s->s << 44 |
	       (uint64_t)s->dpl << 45 | (uint64_t)s->present << 47 | (limit >> 16 & 0xf) << 48 |
	       (uint64_t)s->l << 53 | (uint64_t)s->db << 54 | (uint64_t)s->g << 55;
}

/* The 64-bit protocol promises a GDT that holds what the segment registers hold. */
static bool load_gdt(struct gmem *m)
{
	struct kvm_sregs s = { 0 };
	uint64_t gdt[5] = { 0 };

	set_segments(&s, true);
	gdt[BOOT_CS / 8] = descriptor(&s.cs);
	gdt[BOOT_DS / 8] = descriptor(&s.ds);
	gdt[BOOT_TR / 8] = descriptor(&s.tr);
	return gmem_write(m, MAP_GDT, gdt, sizeof(gdt));
}

/* One PML4, one page of pointers, four directories: guest-virtual equals guest-physical up to 4
 * GiB. */
static bool load_page_tables(struct gmem *m)
{
	uint64_t pml4 = MAP_PAGE_TABLES, pdpt = pml4 + PAGE_SIZE, pd = pdpt + PAGE_SIZE;
	uint64_t flags = PTE_PRESENT | PTE_WRITABLE, entry = pdpt | flags;
	uint64_t dir[PAGE_SIZE / 8];

	if (!gmem_write(m, pml4, &entry, sizeof(entry)))
		return false;
	for (uint64_t gib = 0; gib < 4; gib++) {
		entry = (pd + gib * PAGE_SIZE) | flags;
		for (uint64_t i = 0; i < ARRAY_SIZE(dir); i++)
			dir[i] = (gib * GIB + i * PDE_SPAN) | flags | PTE_LARGE;
		if (!gmem_write(m, pdpt + gib * 8, &entry, sizeof(entry)) ||
		    !gmem_write(m, pd + gib * PAGE_SIZE, dir, sizeof(dir)))
			return false;
	}
	return true;
}

int regs_load_tables(struct gmem *m, struct err *e)
{
	if (!load_gdt(m) || !load_page_tables(m))
		return err_set(e, -EFAULT, "no RAM for the first page tables");
	return 0;
}

/* PVH takes its argument from ebx, the 64-bit protocol from rsi; neither looks at the other's. */
int regs_enter(struct kvm_vcpu *v, const struct arch_boot *b, struct err *e)
{
	struct kvm_regs r = {
		.rip = b->entry,
		.rbx = b->argument,
		.rsi = b->argument,
		.rflags = RFLAGS_FIXED,
	};

	return kvm_vcpu_set_regs(v, &r, e);
}

/*
 * A kernel that finds its local APIC in xAPIC mode leaves out the CPUs whose id does not fit there:
 * with such ones firmware would have switched (Intel SDM volume 3, 11.12.1 "Detecting and Enabling
 * x2APIC Mode").
 */
static int set(struct kvm_vcpu *v, const struct arch_boot *b, struct kvm_sregs *s, struct err *e)
{
	if (topology_needs_x2apic_ids(&b->topology))
		s->apic_base |= APIC_BASE_EXTD;
	if (kvm_vcpu_set_sregs(v, s, e) < 0)
		return e->code;
	return regs_enter(v, b, e);
}

int regs_init_pvh(struct kvm_vcpu *v, const struct arch_boot *b, struct err *e)
{
	struct kvm_sregs s;

	if (kvm_vcpu_get_sregs(v, &s) < 0)
		return err_errno(e, "KVM_GET_SREGS");
	set_segments(&s, false);
	s.cr0 = CR0_PE | CR0_ET;
	return set(v, b, &s, e);
}

int regs_init_64(struct kvm_vcpu *v, const struct arch_boot *b, struct err *e)
{
	struct kvm_sregs s;

	if (kvm_vcpu_get_sregs(v, &s) < 0)
		return err_errno(e, "KVM_GET_SREGS");
	set_segments(&s, true);
	s.cr0 = CR0_PE | CR0_ET | CR0_PG;
	s.cr3 = MAP_PAGE_TABLES;
	s.cr4 = CR4_PAE;
	s.efer = EFER_LME | EFER_LMA;
	return set(v, b, &s, e);
}
