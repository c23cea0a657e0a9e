/*
 * test_cpuid.c - APIC ids of all shapes of machines, and what CPUID tells of them.
 */
#include "../../src/arch/x86_64/x86.h"
#include "fake_kvm.h"
#include "unit.h"
#include <errno.h>
#include <vmm/base/util.h>

static struct kvm_sys sys;
static struct kvm_vm vm;
static struct kvm_vcpu cpu;

/* CPUID of the index-th vCPU, to be looked at by leaf(). */
static void describe(struct cpu_topology t, unsigned int index)
{
	struct err e = { 0 };

	ck_ok(kvm_sys_open(&sys, &e));
	ck_ok(kvm_vm_create(&vm, &sys, &e));
	ck_ok(kvm_vm_create_irqchip(&vm, &e));
	ck_ok(kvm_vcpu_create(&cpu, &vm, 0, &e));
	ck_ok(cpuid_init(&cpu, index, &t, &sys, &e));
	kvm_vcpu_destroy(&cpu);
	kvm_vm_destroy(&vm);
	kvm_sys_close(&sys);
}

static const struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
	const struct kvm_cpuid_entry2 *l = fake_kvm_leaf(0, function, index);

	ck_assert_msg(l != NULL, "no leaf %#x.%u", function, index);
	return l;
}

static uint32_t bits(uint32_t v, unsigned int high, unsigned int low)
{
	return v >> low & (uint32_t)((UINT64_C(2) << (high - low)) - 1);
}

/* Topology --------------------------------------------------------------------------------------
 */

static const struct cpu_topology shapes[] = {
	{ 1, 1, 1 }, { 1, 2, 1 },   { 1, 1, 2 },   { 1, 3, 2 },   { 2, 4, 2 },  { 3, 5, 3 },
	{ 8, 1, 1 }, { 1, 255, 1 }, { 1, 256, 1 }, { 1, 300, 1 }, { 2, 96, 2 }, { 64, 3, 1 },
};

START_TEST(ids_are_unique_ascending_and_name_socket_core_and_thread)
{
	const struct cpu_topology *t = &shapes[_i];
	unsigned int thread_bits = topology_thread_bits(t), core_bits = topology_core_bits(t);

	ck_assert_uint_ge(1u << thread_bits, t->threads);
	ck_assert_uint_lt((1u << thread_bits) / 2, t->threads);
	ck_assert_uint_ge(1u << core_bits, t->cores);
	for (unsigned int i = 0; i < cpu_topology_total(t); i++) {
		unsigned int id = arch_vcpu_id(t, i);

		ck_assert_uint_eq(id & ((1u << thread_bits) - 1), i % t->threads);
		ck_assert_uint_eq(id >> thread_bits & ((1u << core_bits) - 1),
				  i / t->threads % t->cores);
		ck_assert_uint_eq(id >> (thread_bits + core_bits), i / (t->threads * t->cores));
		if (i > 0)
			ck_assert_uint_gt(id, arch_vcpu_id(t, i - 1));
	}
}
END_TEST

START_TEST(powers_of_two_leave_no_gaps)
{
	static const struct cpu_topology t = { 4, 8, 2 };

	for (unsigned int i = 0; i < 64; i++)
		ck_assert_uint_eq(arch_vcpu_id(&t, i), i);
}
END_TEST

START_TEST(limits_of_this_kvm_are_named)
{
	struct cpu_topology t = { 1, 16, 1 };
	struct kvm_sys k = { .fd = -1, .max_vcpus = 16, .max_vcpu_id = 16 };
	struct err e = { 0 };

	fake_kvm_init();
	ck_ok(arch_check_topology(&t, &k, &e));
	t.cores = 17;
	ck_fails(arch_check_topology(&t, &k, &e), -EINVAL,
		 "17 CPUs: this host's KVM allows at most 16");
	t = (struct cpu_topology){ 5, 3, 1 };
	ck_fails(arch_check_topology(&t, &k, &e), -EINVAL,
		 "sockets=5,cores=3,threads=1 needs the APIC id 18");
	k = (struct kvm_sys){ .fd = -1, .max_vcpus = 1024, .max_vcpu_id = 4096 };
	t = (struct cpu_topology){ 1, 255, 1 };
	fake_kvm.lacks = KVM_CAP_X2APIC_API;
	ck_ok(arch_check_topology(&t, &k, &e));
	t.cores = 256;
	ck_fails(arch_check_topology(&t, &k, &e), -EINVAL, "KVM_CAP_X2APIC_API");
	fake_kvm.lacks = -1;
	ck_ok(arch_check_topology(&t, &k, &e));
}
END_TEST

/* What every CPU is told --------------------------------------------------------------------------
 */

static void check_leaf_1(const struct cpu_topology *t, unsigned int id)
{
	const struct kvm_cpuid_entry2 *l = leaf(1, 0);
	unsigned int n = t->cores * t->threads;

	ck_assert_uint_eq(bits(l->ebx, 31, 24), id & 0xff);
	ck_assert_uint_ge(bits(l->ebx, 23, 16), min_u64(n, 255));
	ck_assert_uint_eq(bits(l->ebx, 15, 0), 0x0800);
	ck_assert_uint_eq(bits(l->edx, 28, 28), n > 1);
	ck_assert_uint_eq(bits(l->ecx, 31, 31), 1); /* a hypervisor */
	ck_assert_uint_eq(bits(l->ecx, 21, 21), 1); /* x2APIC */
	ck_assert_uint_eq(bits(l->ecx, 24, 24), 1); /* TSC deadline */
}

static void check_leaf_b(const struct cpu_topology *t, unsigned int id)
{
	unsigned int thread_bits = topology_thread_bits(t), core_bits = topology_core_bits(t);

	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(leaf(0xb, i)->edx, id);
		ck_assert_uint_eq(bits(leaf(0xb, i)->ecx, 7, 0), i);
		ck_assert_uint_eq(bits(leaf(0xb, i)->ecx, 15, 8), i == 2 ? 0 : i + 1);
		ck_assert_uint_eq(leaf(0xb, i)->flags, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	}
	ck_assert_uint_eq(leaf(0xb, 0)->eax, thread_bits);
	ck_assert_uint_eq(leaf(0xb, 0)->ebx, t->threads);
	ck_assert_uint_eq(leaf(0xb, 1)->eax, thread_bits + core_bits);
	ck_assert_uint_eq(leaf(0xb, 1)->ebx, t->cores * t->threads);
	ck_assert_uint_eq(leaf(0xb, 2)->eax | leaf(0xb, 2)->ebx, 0);
	ck_assert_ptr_null(fake_kvm_leaf(0, 0x1f, 0)); /* the host's own */
	ck_assert_ptr_null(fake_kvm_leaf(0, 0x80000026, 0));
	ck_assert_uint_ge(leaf(0, 0)->eax, 0xb);
}

static void check_intel_caches(const struct cpu_topology *t)
{
	unsigned int thread_bits = topology_thread_bits(t), core_bits = topology_core_bits(t);
	uint32_t in_core = (1u << thread_bits) - 1,
		 in_socket = (1u << (thread_bits + core_bits)) - 1;

	for (uint32_t i = 0; i < 4; i++) {
		uint32_t want = i < 3 ? in_core : in_socket;

		ck_assert_uint_eq(bits(leaf(4, i)->eax, 25, 14), want & 0xfff);
		ck_assert_uint_eq(bits(leaf(4, i)->eax, 31, 26), ((1u << core_bits) - 1) & 0x3f);
	}
	ck_assert_uint_eq(bits(leaf(4, 0)->eax, 13, 0), 0x0121); /* the kind of cache stays */
	ck_assert_uint_eq(leaf(4, 4)->eax, 0);
}

START_TEST(an_intel_cpu_is_told_its_place)
{
	const struct cpu_topology *t = &shapes[_i];
	unsigned int n = cpu_topology_total(t);
	const unsigned int indices[] = { 0, n / 2, n - 1 };

	fake_kvm_init();
	for (unsigned int i = 0; i < ARRAY_SIZE(indices); i++) {
		describe(*t, indices[i]);
		check_leaf_1(t, arch_vcpu_id(t, indices[i]));
		check_leaf_b(t, arch_vcpu_id(t, indices[i]));
		check_intel_caches(t);
	}
	fake_kvm_fini();
}
END_TEST

static void check_amd(const struct cpu_topology *t, unsigned int id)
{
	unsigned int thread_bits = topology_thread_bits(t), core_bits = topology_core_bits(t);
	unsigned int n = t->cores * t->threads;
	const struct kvm_cpuid_entry2 *l = leaf(0x80000008, 0);

	/* NC counts to 256 and stops there: fewer than there are would be a lie, none nonsense. */
	ck_assert_uint_eq(bits(l->ecx, 7, 0), min_u64(n - 1, 255));
	ck_assert_uint_eq(bits(l->ecx, 15, 12), thread_bits + core_bits);
	ck_assert_uint_eq(bits(l->ecx, 31, 16), 0);
	ck_assert_uint_eq(l->eax, 0x3030);
	l = leaf(0x8000001e, 0);
	ck_assert_uint_eq(l->eax, id);
	ck_assert_uint_eq(bits(l->ebx, 7, 0), id >> thread_bits & 0xff);
	ck_assert_uint_eq(bits(l->ebx, 15, 8), t->threads - 1);
	ck_assert_uint_eq(bits(l->ecx, 7, 0), id >> (thread_bits + core_bits) & 0xff);
	ck_assert_uint_eq(bits(leaf(0x80000001, 0)->ecx, 1, 1), n > 1);
	ck_assert_uint_eq(bits(leaf(0x80000001, 0)->ecx, 22, 22), 1);
	ck_assert_uint_eq(bits(leaf(0x8000001d, 0)->eax, 25, 14), (1u << thread_bits) - 1);
	ck_assert_uint_eq(bits(leaf(0x8000001d, 3)->eax, 25, 14),
			  ((1u << (thread_bits + core_bits)) - 1) & 0xfff);
	ck_assert_uint_eq(bits(leaf(0x8000001d, 0)->eax, 31, 26), 0);
	ck_assert_uint_eq(leaf(0x8000001d, 4)->eax, 0);
	ck_assert_ptr_null(fake_kvm_leaf(0, 0x15, 0));
}

START_TEST(an_amd_cpu_is_told_its_place)
{
	const struct cpu_topology *t = &shapes[_i];
	unsigned int last = cpu_topology_total(t) - 1;

	fake_kvm_init();
	fake_kvm_be_amd();
	describe(*t, last);
	check_leaf_1(t, arch_vcpu_id(t, last));
	check_leaf_b(t, arch_vcpu_id(t, last));
	check_amd(t, arch_vcpu_id(t, last));
	fake_kvm_fini();
}
END_TEST

START_TEST(the_clock_is_told_so_that_no_kernel_calibrates)
{
	const struct cpu_topology t = { 1, 1, 1 };
	const struct kvm_cpuid_entry2 *l;

	fake_kvm_init();
	fake_kvm.tsc_khz = 2400123;
	describe(t, 0);
	ck_assert_uint_eq(leaf(0x40000000, 0)->eax, 0x40000010);
	ck_assert_uint_eq(leaf(0x40000000, 0)->ebx, 0x4b4d564b);
	ck_assert_uint_eq(leaf(0x40000010, 0)->eax, 2400123);
	ck_assert_uint_eq(leaf(0x40000010, 0)->ebx, 1000000);
	l = leaf(0x15, 0);
	ck_assert_uint_eq((uint64_t)l->ecx * l->ebx / l->eax, 2400123000u);
	fake_kvm_fini();
}
END_TEST

START_TEST(an_unknown_clock_is_not_told)
{
	const struct cpu_topology t = { 1, 1, 1 };

	fake_kvm_init();
	fake_kvm.tsc_khz = 0;
	fake_kvm.lacks = KVM_CAP_TSC_DEADLINE_TIMER;
	describe(t, 0);
	ck_assert_ptr_null(fake_kvm_leaf(0, 0x15, 0));
	ck_assert_ptr_null(fake_kvm_leaf(0, 0x40000010, 0));
	ck_assert_uint_eq(leaf(0x40000000, 0)->eax, 0x40000001);
	ck_assert_uint_eq(bits(leaf(1, 0)->ecx, 24, 24), 0);
	fake_kvm_fini();
}
END_TEST

START_TEST(an_old_intel_cpu_gets_no_leaf_beyond_its_last)
{
	const struct cpu_topology t = { 1, 2, 1 };

	fake_kvm_init();
	fake_kvm.cpuid[0].eax = 0xa;
	describe(t, 1);
	ck_assert_uint_eq(leaf(0, 0)->eax, 0xb); /* the topology is ours to tell */
	ck_assert_ptr_null(fake_kvm_leaf(0, 0x15, 0));
	fake_kvm_fini();
}
END_TEST

START_TEST(wide_apic_ids_come_with_wide_interrupt_messages)
{
	fake_kvm_init();
	describe((struct cpu_topology){ 1, 255, 1 }, 0);
	ck_assert_uint_eq(bits(leaf(0x40000001, 0)->eax, 15, 15), 0);
	describe((struct cpu_topology){ 1, 256, 1 }, 0);
	ck_assert_uint_eq(bits(leaf(0x40000001, 0)->eax, 15, 15), 1);
	fake_kvm_fini();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("cpuid");

	UNIT_LOOP(s, ids_are_unique_ascending_and_name_socket_core_and_thread, ARRAY_SIZE(shapes));
	UNIT_TEST(s, powers_of_two_leave_no_gaps);
	UNIT_TEST(s, limits_of_this_kvm_are_named);
	UNIT_LOOP(s, an_intel_cpu_is_told_its_place, ARRAY_SIZE(shapes));
	UNIT_LOOP(s, an_amd_cpu_is_told_its_place, ARRAY_SIZE(shapes));
	UNIT_TEST(s, the_clock_is_told_so_that_no_kernel_calibrates);
	UNIT_TEST(s, an_unknown_clock_is_not_told);
	UNIT_TEST(s, an_old_intel_cpu_gets_no_leaf_beyond_its_last);
	UNIT_TEST(s, wide_apic_ids_come_with_wide_interrupt_messages);
	return s;
}

UNIT_MAIN("cpuid", suite)
