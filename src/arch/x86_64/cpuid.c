/*
 * cpuid.c - what the guest is told about its CPU.
 *
 * Life of a VM: once for each vCPU, while it is made. Main thread.
 * Source: Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E; Linux,
 * Documentation/virt/kvm/x86/cpuid.rst.
 *
 * The starting point is all that this host's KVM can do. Changed is only what describes this VM and
 * not the host: the topology, the presence of a hypervisor, and the clock.
 */
#include "x86.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/util.h>

#define VENDOR_INTEL_EBX 0x756e6547u /* "Genu" */
#define FEATURE_HTT (1u << 28) /* 1.EDX: more than one logical processor */
#define FEATURE_X2APIC (1u << 21) /* 1.ECX */
#define FEATURE_TSC_DEADLINE (1u << 24) /* 1.ECX: KVM leaves it to us to say */
#define FEATURE_HYPERVISOR (1u << 31) /* 1.ECX */
#define FEATURE_CMP_LEGACY (1u << 1) /* 80000001.ECX: HTT means cores */
#define FEATURE_TOPOEXT (1u << 22) /* 80000001.ECX: 8000001d and 8000001e are there */
#define KVM_CPUID_BASE 0x40000000u
#define KVM_CPUID_FEATURES 0x40000001u
#define KVM_FEATURE_MSI_EXT_DEST_ID (1u << 15) /* EAX: APIC ids past 254 need no IOMMU */
#define KVM_CPUID_TIMING                                                                           \
	0x40000010u /* TSC and APIC timer in kHz; a leaf that hypervisors share                    \
		     */
#define APIC_TIMER_KHZ 1000000u /* KVM's local APIC counts nanoseconds */

struct cpu_view { /* one vCPU's place */
	const struct cpu_topology *t;
	unsigned int apic_id, thread_bits, core_bits;
	unsigned int n; /* logical processors in its socket */
	bool deadline, intel;
	bool large; /* some vCPU has an APIC id past 254 */
	uint32_t tsc_khz;
	uint32_t max_leaf; /* as KVM has it */
};

static uint32_t set_bit_if(uint32_t v, uint32_t bit, bool on)
{
	return on ? v | bit : v & ~bit;
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == function && e->index == index)
			return e;
	}
	return NULL;
}

/* Leaves that describe the host's topology, and that we either write ourselves or leave out. */
static bool is_host_topology(uint32_t function)
{
	return function == 0xb || function == 0x1f || function == 0x80000026;
}

static void drop_host_topology(struct kvm_cpuid2 *c)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->nent; i++) {
		if (!is_host_topology(c->entries[i].function))
			c->entries[kept++] = c->entries[i];
	}
	c->nent = kept;
}

/* Room for what we add is part of the allocation: see cpuid_init(). */
static void add(struct kvm_cpuid2 *c, struct kvm_cpuid_entry2 e)
{
	struct kvm_cpuid_entry2 *old = find(c, e.function, e.index);

	if (old)
		*old = e;
	else
		c->entries[c->nent++] = e;
}

/* Leaf 0xb, one sub-leaf for each level: how far to shift the x2APIC id, how many there are. */
static void add_extended_topology(struct kvm_cpuid2 *c, const struct cpu_view *v)
{
	const struct {
		uint32_t shift, count, type;
	} level[] = {
		{ v->thread_bits, v->t->threads, 1 }, /* SMT */
		{ v->thread_bits + v->core_bits, v->n, 2 }, /* core */
		{ 0, 0, 0 }, /* end */
	};

	for (uint32_t i = 0; i < ARRAY_SIZE(level); i++)
		add(c, (struct kvm_cpuid_entry2){
			       .function = 0xb,
			       .index = i,
			       .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			       .eax = level[i].shift,
			       .ebx = level[i].count,
			       .ecx = i | level[i].type << 8,
			       .edx = v->apic_id,
		       });
}

/* Caches: levels 1 and 2 belong to a core, higher ones to the socket (Intel leaf 4, AMD 8000001d).
 */
static void fix_cache(struct kvm_cpuid_entry2 *e, const struct cpu_view *v)
{
	uint32_t level = e->eax >> 5 & 7;
	uint32_t bits = level <= 2 ? v->thread_bits : v->thread_bits + v->core_bits;

	if ((e->eax & 0x1f) == 0)
		return; /* no more caches */
	e->eax = (e->eax & ~0x03ffc000u) | (((1u << bits) - 1) & 0xfff) << 14;
	if (e->function == 4)
		e->eax = (e->eax & 0x03ffffffu) | (((1u << v->core_bits) - 1) & 0x3f) << 26;
}

static void fix_leaf_1(struct kvm_cpuid_entry2 *e, const struct cpu_view *v)
{
	uint32_t n = 1u << (v->thread_bits + v->core_bits);

	e->ebx =
		(e->ebx & 0x0000ffff) | (uint32_t)min_u64(n, 255) << 16 | (v->apic_id & 0xff) << 24;
	e->ecx |= FEATURE_HYPERVISOR | FEATURE_X2APIC;
	e->ecx = set_bit_if(e->ecx, FEATURE_TSC_DEADLINE, v->deadline);
	e->edx = set_bit_if(e->edx, FEATURE_HTT, v->n > 1);
}

static void fix_amd(struct kvm_cpuid_entry2 *e, const struct cpu_view *v)
{
	unsigned int bits = v->thread_bits + v->core_bits;

	if (e->function == 0x80000001) {
		e->ecx = set_bit_if(e->ecx, FEATURE_CMP_LEGACY, v->n > 1) | FEATURE_TOPOEXT;
	} else if (e->function == 0x80000008) { /* NC, ApicIdSize */
		e->ecx = (e->ecx & ~0xf0ffu) | (uint32_t)min_u64(v->n - 1, 255) | bits << 12;
	} else if (e->function == 0x8000001e) { /* APIC id; core and its threads; node */
		e->eax = v->apic_id;
		e->ebx = ((v->apic_id >> v->thread_bits) & 0xff) | (v->t->threads - 1) << 8;
		e->ecx = (v->apic_id >> bits) & 0xff;
	}
}

/* With the rates told, a kernel calibrates neither its TSC nor its APIC timer. */
static void add_clock(struct kvm_cpuid2 *c, const struct cpu_view *v)
{
	struct kvm_cpuid_entry2 *base = find(c, KVM_CPUID_BASE, 0);

	if (v->tsc_khz == 0)
		return;
	if (base) {
		base->eax = KVM_CPUID_TIMING;
		add(c, (struct kvm_cpuid_entry2){ .function = KVM_CPUID_TIMING,
						  .eax = v->tsc_khz,
						  .ebx = APIC_TIMER_KHZ });
	}
	/* SDM: TSC = ECX * EBX / EAX; Linux takes ECX for the APIC timer's rate, too. Intel only.
	 */
	if (v->intel && v->max_leaf >= 0x15)
		add(c, (struct kvm_cpuid_entry2){ .function = 0x15,
						  .eax = APIC_TIMER_KHZ,
						  .ebx = v->tsc_khz,
						  .ecx = APIC_TIMER_KHZ * 1000 });
}

static void describe(struct kvm_cpuid2 *c, const struct cpu_view *v)
{
	drop_host_topology(c);
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == 0)
			e->eax = (uint32_t)max_u64(e->eax, 0xb);
		else if (e->function == 1)
			fix_leaf_1(e, v);
		else if (e->function == KVM_CPUID_FEATURES && v->large)
			e->eax |= KVM_FEATURE_MSI_EXT_DEST_ID;
		else if (e->function == 4 || e->function == 0x8000001d)
			fix_cache(e, v);
		else if (!v->intel)
			fix_amd(e, v);
	}
	add_extended_topology(c, v);
	add_clock(c, v);
}

int cpuid_init(struct kvm_vcpu *v, unsigned int index, const struct cpu_topology *t,
	       const struct kvm_sys *sys, struct err *e)
{
	struct cpu_view view = {
		.t = t,
		.apic_id = arch_vcpu_id(t, index),
		.thread_bits = topology_thread_bits(t),
		.core_bits = topology_core_bits(t),
		.n = t->cores * t->threads,
		.large = topology_needs_x2apic_ids(t),
		.deadline = kvm_sys_cap(sys, KVM_CAP_TSC_DEADLINE_TIMER) > 0,
		.tsc_khz = kvm_vcpu_tsc_khz(v),
	};
	const struct kvm_cpuid_entry2 *vendor;
	struct kvm_cpuid2 *c;
	int rc;

	if (kvm_sys_supported_cpuid(sys, &c, e) < 0)
		return e->code;
	vendor = find(c, 0, 0);
	if (!vendor) {
		free(c);
		return err_set(e, -ENOTSUP, "KVM_GET_SUPPORTED_CPUID: no leaf 0");
	}
	view.max_leaf = vendor->eax;
	view.intel = vendor->ebx == VENDOR_INTEL_EBX;
	describe(c, &view);
	rc = kvm_vcpu_set_cpuid(v, c, e);
	free(c);
	return rc;
}
