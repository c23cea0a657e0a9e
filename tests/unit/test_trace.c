/*
 * test_trace.c - src/machine/trace.c: what somebody who watches a VM is told of each exit.
 */
#include "fake_vm.h"
#include "unit.h"
#include <stdio.h>
#include <vmm/base/util.h>
#include <vmm/dev/acpi_pm.h>

#define INSN_LEN 3
#define NOBODY 0xd0000000

static struct fake_vm vm;
static struct exit_seen seen[8];
static char said[ARRAY_SIZE(seen)][80];
static unsigned int n_seen, n_running;

static void note(void *arg, const struct exit_seen *x)
{
	ck_assert_ptr_eq(arg, &vm);
	ck_assert_uint_lt(n_seen, ARRAY_SIZE(seen));
	snprintf(said[n_seen], sizeof(said[0]), "%s", x->what);
	seen[n_seen++] = *x;
}

/* As KVM does: rip is on an instruction that reads, and behind one that writes. */
static int reads_and_writes(unsigned int id, unsigned int boot, unsigned int step,
			    struct kvm_run *run)
{
	struct kvm_regs *regs = &fake_kvm.cpu[id].regs;

	(void)boot;
	fake_kvm.cpu[id].insn_len = INSN_LEN;
	fake_kvm.cpu[id].sregs.cs.base = 0x100000;
	n_running += step > 0 && fake_kvm.cpu[id].pending;
	regs->rip = 0x10 * (step + 1);
	switch (step) {
	case 0:
		return guest_in(run, 0x71);
	case 1:
		return guest_out(run, 0x3f8, 'x');
	case 2:
		return guest_mmio(run, NOBODY, false, 0, 4);
	case 3:
		return guest_mmio(run, NOBODY, true, 0x1234, 2);
	default:
		return guest_out(run, ACPI_PM_BASE + ACPI_PM_SLEEP_CONTROL,
				 ACPI_PM_SLP_TYP_S5 << 2 | 1 << 5);
	}
}

static int triple_fault(unsigned int id, unsigned int boot, unsigned int step, struct kvm_run *run)
{
	(void)boot, (void)step;
	fake_kvm.cpu[id].regs.rip = 0x77;
	return guest_exit(run, KVM_EXIT_SHUTDOWN);
}

static void live(fake_guest_fn guest)
{
	n_seen = n_running = 0;
	fake_vm_init(&vm, guest);
	vm.cfg.on_exit = note;
	vm.cfg.on_exit_arg = &vm;
	fake_vm_live(&vm);
}

START_TEST(each_access_is_told_once_with_value_and_who_has_answered)
{
	static const char *const what[] = {
		"io in port 0x71 size 1 count 1 value ",
		"io out port 0x3f8 size 1 count 1 value 0x78",
		"mmio read at 0xd0000000 size 4 value 0xffffffff",
		"mmio write at 0xd0000000 size 2 value 0x1234",
		"io out port 0x600 size 1 count 1 value 0x34",
	};
	static const char *const who[] = { "rtc-cmos", "uart16550", NULL, NULL, "acpi-pm" };

	live(reads_and_writes);
	ck_assert_int_eq(vm.result.end, END_POWEROFF);
	ck_assert_uint_eq(n_seen, 5);
	for (unsigned int i = 0; i < n_seen; i++) {
		ck_assert(seen[i].is_access);
		ck_assert_msg(strncmp(said[i], what[i], strlen(what[i])) == 0, "%s", said[i]);
		ck_assert_pstr_eq(seen[i].who, who[i]);
	}
	ck_assert(!seen[0].is_write && seen[0].at == 0x71 && seen[0].size == 1);
	ck_assert(seen[1].is_write && seen[1].at == 0x3f8 && seen[1].value == 'x');
	ck_assert(!seen[2].is_write && seen[2].at == NOBODY && seen[2].value == 0xffffffff);
	ck_assert(seen[3].is_write && seen[3].value == 0x1234 && seen[3].size == 2);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(the_address_is_in_the_instruction_wherever_the_counter_stands)
{
	live(reads_and_writes);
	ck_assert_uint_eq(seen[0].pc, 0x100010); /* still on it */
	ck_assert_uint_eq(seen[1].pc, 0x10001f); /* behind it: its last byte */
	ck_assert_uint_eq(seen[2].pc, 0x100030);
	ck_assert_uint_eq(seen[3].pc, 0x10003f);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(watching_completes_each_access_before_the_guest_goes_on)
{
	live(reads_and_writes);
	ck_assert_uint_eq(n_running, 0);
	ck_assert_uint_eq(fake_kvm.cpu[0].n_completed, 2); /* the reads, once each */
	ck_assert_uint_eq(fake_kvm.cpu[0].completed, 0xffffffff);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(the_end_is_told_too)
{
	live(triple_fault);
	ck_assert_int_eq(vm.result.end, END_CRASH);
	ck_assert_uint_eq(n_seen, 1);
	ck_assert(!seen[0].is_access);
	ck_assert_str_eq(said[0], "shutdown (triple fault) (KVM_EXIT 8)");
	ck_assert_uint_eq(seen[0].pc, 0x77);
	fake_vm_fini(&vm);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trace");

	UNIT_TEST(s, each_access_is_told_once_with_value_and_who_has_answered);
	UNIT_TEST(s, the_address_is_in_the_instruction_wherever_the_counter_stands);
	UNIT_TEST(s, watching_completes_each_access_before_the_guest_goes_on);
	UNIT_TEST(s, the_end_is_told_too);
	return s;
}

UNIT_MAIN("trace", suite)
