/*
 * test_exits.c - src/arch/x86_64/exits.c: exits and registers in words.
 */
#include "fake_kvm.h"
#include "unit.h"
#include <stdio.h>
#include <vmm/arch/arch.h>
#include <vmm/base/util.h>

static union {
	struct kvm_run run;
	uint8_t page[FAKE_KVM_RUN_SIZE];
} exit_;

static void check(const char *want)
{
	char text[256];

	arch_exit_describe(&exit_.run, text, sizeof(text));
	ck_assert_str_eq(text, want);
	for (size_t size = 1; size < 40; size++) { /* any size of buffer */
		char small[64];

		memset(small, '#', sizeof(small));
		arch_exit_describe(&exit_.run, small, size);
		ck_assert_uint_lt(strlen(small), size);
		ck_assert_int_eq(small[size], '#');
	}
}

START_TEST(port_and_memory_accesses_are_shown_with_their_values)
{
	guest_out(&exit_.run, 0x80, 0x5a);
	check("io out port 0x80 size 1 count 1 value 0x5a");
	guest_print(&exit_.run, "Hello");
	check("io out port 0x3f8 size 1 count 5 value 0x48 (first of several)");
	guest_in(&exit_.run, 0x64);
	exit_.page[exit_.run.io.data_offset] = 0x1c; /* as answered */
	check("io in port 0x64 size 1 count 1 value 0x1c");
	guest_mmio(&exit_.run, 0xfee00000, true, 0x1122334455667788, 8);
	check("mmio write at 0xfee00000 size 8 value 0x1122334455667788");
	guest_mmio(&exit_.run, 0xfee00000, true, 0x1122334455667788, 2);
	check("mmio write at 0xfee00000 size 2 value 0x7788");
	guest_mmio(&exit_.run, 0xd0000000, false, 0xffffffff, 4);
	memset(exit_.run.mmio.data, 0xff, 4);
	check("mmio read at 0xd0000000 size 4 value 0xffffffff");
}
END_TEST

START_TEST(the_ways_to_die_are_named)
{
	guest_exit(&exit_.run, KVM_EXIT_SHUTDOWN);
	check("shutdown (triple fault) (KVM_EXIT 8)");
	guest_exit(&exit_.run, KVM_EXIT_HLT);
	check("hlt (KVM_EXIT 5)");
	guest_exit(&exit_.run, 12345);
	check("exit (KVM_EXIT 12345)");
	guest_exit(&exit_.run, KVM_EXIT_FAIL_ENTRY);
	exit_.run.fail_entry.hardware_entry_failure_reason = 0x80000021;
	check("fail entry: the CPU refused the guest's state, hardware reason 0x80000021");
	guest_exit(&exit_.run, KVM_EXIT_INTERNAL_ERROR);
	exit_.run.internal.suberror = KVM_INTERNAL_ERROR_SIMUL_EX;
	check("internal error 2: two exceptions at once");
	exit_.run.internal.suberror = 77;
	check("internal error 77");
}
END_TEST

START_TEST(a_dump_shows_registers_and_code_or_that_there_is_none)
{
	const uint8_t code[16] = { 0x0f, 0x0b, 0xf4 };
	struct kvm_sys sys;
	struct kvm_vm vm;
	struct kvm_vcpu cpu;
	struct err e = { 0 };
	struct gmem *m;
	char text[1536], small[32];

	fake_kvm_init();
	ck_ok(kvm_sys_open(&sys, &e));
	ck_ok(kvm_vm_create(&vm, &sys, &e));
	ck_ok(kvm_vm_create_irqchip(&vm, &e));
	ck_ok(kvm_vcpu_create(&cpu, &vm, 0, &e));
	ck_ok(gmem_create(&m, &e));
	ck_ok(gmem_add_ram(m, 0, MIB, &e));
	ck_assert(gmem_write(m, 0x7c00, code, sizeof(code)));
	fake_kvm.cpu[0].regs = (struct kvm_regs){ .rip = 0x7c00, .r15 = 0xabc };
	arch_vcpu_dump(&cpu, m, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "rip 0000000000007c00 "));
	ck_assert_ptr_nonnull(strstr(text, "r15 0000000000000abc\n"));
	ck_assert_ptr_nonnull(strstr(text, "code at rip: 0f 0b f4 00"));
	fake_kvm.cpu[0].regs.rip = MIB - 8; /* the code ends where RAM does */
	arch_vcpu_dump(&cpu, m, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "code at rip: not in RAM\n"));
	fake_kvm.cpu[0].regs.rip = UINT64_MAX;
	arch_vcpu_dump(&cpu, m, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "code at rip: not in RAM\n"));
	arch_vcpu_dump(&cpu, m, small, sizeof(small));
	ck_assert_uint_eq(strlen(small), sizeof(small) - 1);
	fake_kvm.fail_at = fake_kvm.n_calls + 1;
	arch_vcpu_dump(&cpu, m, text, sizeof(text));
	ck_assert_str_eq(text, "registers cannot be read\n");
	gmem_destroy(m);
	kvm_vcpu_destroy(&cpu);
	kvm_vm_destroy(&vm);
	kvm_sys_close(&sys);
	fake_kvm_fini();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("exits");

	UNIT_TEST(s, port_and_memory_accesses_are_shown_with_their_values);
	UNIT_TEST(s, the_ways_to_die_are_named);
	UNIT_TEST(s, a_dump_shows_registers_and_code_or_that_there_is_none);
	return s;
}

UNIT_MAIN("exits", suite)
