/*
 * test_machine_build.c - what can go wrong while a machine is built, and what it is built of.
 */
#include "fake_kernel.h"
#include "fake_stderr.h"
#include "fake_vm.h"
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/chardev.h>

static struct fake_vm vm;

static void nothing_is_left(void)
{
	ck_assert_int_eq(fake_kvm.n_vms, 0);
	ck_assert_int_eq(fake_kvm.n_vcpus, 0);
	ck_assert_uint_eq(count_fds(), vm.n_fds);
	check_threads(vm.n_threads);
}

START_TEST(whatever_kvm_refuses_is_a_clean_error)
{
	unsigned int n_errors = 0;
	struct err e = { 0 };

	for (unsigned int n = 1;; n++) {
		fake_vm_init(&vm, NULL);
		vm.cfg.cpus = (struct cpu_topology){ 2, 1, 2 };
		fake_kvm.fail_at = n;
		if (machine_build(&vm.m, &vm.cfg, &e) == 0) {
			fake_vm_destroy(&vm);
			fake_vm_fini(&vm);
			if (!fake_kvm.failed)
				break;
			continue; /* something that the machine does without */
		}
		ck_assert(fake_kvm.failed);
		ck_assert_int_eq(e.code, -EIO);
		ck_assert_msg(strstr(e.text, "Input/output error") != NULL, "%s", e.text);
		nothing_is_left();
		fake_vm_fini(&vm);
		n_errors++;
	}
	ck_assert_uint_ge(n_errors, 15);
}
END_TEST

/* config_append() is the last resort of a test for a line that is too long. */
static void too_long(struct vm_config *c)
{
	static char line[4096];
	struct err e;

	memset(line, 'x', sizeof(line) - 1);
	ck_ok(config_append(c, line, &e));
}

static void no_kernel(struct vm_config *c)
{
	c->kernel = "/nonexistent/kernel";
}

static void text_as_kernel(struct vm_config *c)
{
	c->kernel = "/proc/self/status";
}

static void no_initrd(struct vm_config *c)
{
	c->initrd = "/nonexistent/initrd";
}

static void directory_as_initrd(struct vm_config *c)
{
	c->initrd = "/";
}

static void no_console(struct vm_config *c)
{
	c->serial = (struct chardev_spec){ .kind = CHARDEV_FILE, .path = "/nonexistent/console" };
}

static void no_trace(struct vm_config *c)
{
	c->trace_exits = true;
	c->trace_path = "/nonexistent/trace";
}

static void too_many_cpus(struct vm_config *c)
{
	c->cpus.cores = 2000;
}

static void ids_with_gaps(struct vm_config *c)
{
	c->cpus = (struct cpu_topology){ 129, 3, 1 };
	fake_kvm.max_vcpu_id = 512;
}

static void no_x2apic(struct vm_config *c)
{
	c->cpus.cores = 300;
	fake_kvm.lacks = KVM_CAP_X2APIC_API;
}

static void too_little_ram(struct vm_config *c)
{
	c->ram_bytes = 16 * MIB;
}

static void no_leaf_0(struct vm_config *c)
{
	(void)c;
	fake_kvm.n_cpuid = 0;
}

START_TEST(each_obstacle_is_named_and_leaves_nothing_behind)
{
	static const struct {
		void (*set)(struct vm_config *c);
		int code;
		const char *words;
	} cases[] = {
		{ no_kernel, -ENOENT, "/nonexistent/kernel: No such file" },
		{ text_as_kernel, ERR_IMAGE, "not a kernel" },
		{ no_initrd, -ENOENT, "--initrd: /nonexistent/initrd: No such file" },
		{ directory_as_initrd, ERR_IMAGE, "a directory" },
		{ no_console, -ENOENT, "--serial file=/nonexistent/console: No such file" },
		{ no_trace, -ENOENT, "--trace exits=/nonexistent/trace: No such file" },
		{ too_long, -E2BIG, "shorten --append" },
		{ too_many_cpus, -EINVAL, "2000 CPUs: this host's KVM allows at most 1024" },
		{ ids_with_gaps, -EINVAL, "needs the APIC id 514" },
		{ no_x2apic, -EINVAL, "KVM_CAP_X2APIC_API" },
		{ too_little_ram, ERR_IMAGE, "give it more with --mem" },
		{ no_leaf_0, -ENOTSUP, "no leaf 0" },
	};
	struct err e = { 0 };

	ck_assert_int_lt(_i, (int)ARRAY_SIZE(cases));
	fake_vm_init(&vm, NULL);
	cases[_i].set(&vm.cfg);
	ck_fails(machine_build(&vm.m, &vm.cfg, &e), cases[_i].code, cases[_i].words);
	nothing_is_left();
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(ram_reaches_kvm_as_one_slot_below_the_hole_and_one_above_4_gib)
{
	fake_vm_init(&vm, NULL);
	vm.cfg.ram_bytes = 3 * GIB + 128 * MIB; /* nothing of it is touched */
	fake_vm_build(&vm);
	ck_assert_uint_eq(fake_kvm.n_slots, 2);
	ck_assert_uint_eq(fake_kvm.slot[0].gpa, 0);
	ck_assert_uint_eq(fake_kvm.slot[0].len, 3 * GIB);
	ck_assert_uint_eq(fake_kvm.slot[1].gpa, 4 * GIB);
	ck_assert_uint_eq(fake_kvm.slot[1].len, 128 * MIB);
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(only_more_than_255_cpus_need_wide_apic_ids)
{
	static const unsigned int cores[] = { 255, 256, 300 };

	fake_vm_init(&vm, NULL);
	vm.cfg.cpus.cores = cores[_i];
	/* Each vCPU of the fake has a file descriptor. */
	fake_vm_build(&vm);
	ck_assert_int_eq(fake_kvm.n_vcpus, cores[_i]);
	ck_assert(fake_kvm.x2apic_ids == (cores[_i] > 255));
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(the_first_cpu_starts_at_the_pvh_entry_and_the_others_wait)
{
	struct kvm_regs zero = { 0 };
	uint8_t code[4];

	fake_vm_init(&vm, NULL);
	vm.cfg.cpus.cores = 2;
	fake_vm_build(&vm);
	ck_assert_uint_eq(fake_kvm.cpu[0].regs.rip, FAKE_KERNEL_PVH_ENTRY);
	ck_assert_uint_eq(fake_kvm.cpu[0].regs.rflags, 2);
	ck_assert(memcmp(&fake_kvm.cpu[1].regs, &zero, sizeof(zero)) == 0);
	ck_assert(gmem_read(vm.m->mem, FAKE_KERNEL_AT + 5, code, sizeof(code)));
	for (unsigned int i = 0; i < sizeof(code); i++)
		ck_assert_uint_eq(code[i], FAKE_KERNEL_BYTE(i + 5));
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

/* Trace -----------------------------------------------------------------------------------------
 */

static int talks(unsigned int id, unsigned int boot, unsigned int step, struct kvm_run *run)
{
	(void)id, (void)boot;
	switch (step) {
	case 0:
		return guest_in(run, 0x3fd);
	case 1:
		return guest_mmio(run, 0xd0000000, false, 0, 4);
	case 2:
		return guest_mmio(run, 0xd0000004, true, 0x1234, 2);
	case 3:
		return guest_mmio(run, 0xd0000008, true, 0, 200); /* KVM gives 8 at most */
	default:
		return guest_exit(run, KVM_EXIT_SHUTDOWN);
	}
}

static void check_trace(const char *text)
{
	static const char *const lines[] = {
		" vcpu0 io in port 0x3fd size 1 count 1",
		" vcpu0 mmio read at 0xd0000000 size 4",
		" vcpu0 mmio write at 0xd0000004 size 2 value 0x1234",
		" vcpu0 mmio write at 0xd0000008 size 200 value 0",
		" vcpu0 shutdown (triple fault)",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(lines); i++) {
		text = strstr(text, lines[i]);
		ck_assert_msg(text != NULL, "no line \"%s\" in its place", lines[i]);
	}
}

START_TEST(a_trace_has_a_line_for_each_exit)
{
	char *path = fake_file("", 0), text[8192] = "";
	int fd;

	stderr_capture();
	fake_vm_init(&vm, talks);
	vm.cfg.trace_exits = true;
	vm.cfg.trace_path = _i ? path : NULL;
	ck_assert_int_eq(fake_vm_live(&vm), END_CRASH);
	ck_assert_uint_eq(fake_kvm.cpu[0].completed, 0xffffffff); /* nobody is at that address */
	fd = open(path, O_RDONLY);
	if (_i)
		ck_assert_int_gt(read(fd, text, sizeof(text) - 1), 0);
	check_trace(_i ? text : stderr_text(text, sizeof(text)));
	close(fd);
	unlink(path);
	free(path);
	fake_vm_fini(&vm);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("machine_build");

	UNIT_TEST(s, whatever_kvm_refuses_is_a_clean_error);
	UNIT_LOOP(s, each_obstacle_is_named_and_leaves_nothing_behind, 12);
	UNIT_TEST(s, ram_reaches_kvm_as_one_slot_below_the_hole_and_one_above_4_gib);
	UNIT_LOOP(s, only_more_than_255_cpus_need_wide_apic_ids, 3);
	UNIT_TEST(s, the_first_cpu_starts_at_the_pvh_entry_and_the_others_wait);
	UNIT_LOOP(s, a_trace_has_a_line_for_each_exit, 2);
	return s;
}

UNIT_MAIN("machine_build", suite)
