/*
 * test_machine_reset.c - a reset of a machine: src/machine on a KVM whose guest is below.
 */
#include "fake_kernel.h"
#include "fake_stderr.h"
#include "machine_guest.h"
#include <sched.h>
#include <unistd.h>
#include <vmm/base/util.h>

#define RESETS 40
#define MARK_AT 0x2000000u

static unsigned int n_dirty, n_stale_uart;

GUEST(resets_many_times)
{
	uint64_t mark = 0;

	if (id > 0 && step < 2)
		return guest_in(run, 0x80);
	switch (step) {
	case 0: /* RAM and devices are as after power-on */
		gmem_read(vm.m->mem, MARK_AT, &mark, sizeof(mark));
		n_dirty += mark != 0;
		mark = 1;
		gmem_write(vm.m->mem, MARK_AT, &mark, sizeof(mark));
		return guest_in(run, 0x3ff);
	case 1:
		n_stale_uart += fake_kvm.cpu[0].completed != 0;
		return guest_out(run, 0x3ff, 0x5a);
	case 2:
		if (boot == RESETS)
			return power_off(run);
		return boot % 2 ? reset(run) : guest_out(run, 0x64, 0xfe);
	default:
		return never();
	}
}

START_TEST(a_reset_is_a_power_cycle_that_leaves_nothing_behind)
{
	fake_vm_init(&vm, resets_many_times);
	vm.cfg.cpus.cores = _i ? 3 : 1; /* three do the same: whoever is first resets */
	fake_vm_build(&vm);
	fake_vm_run(&vm);
	ck_assert_int_eq(vm.result.end, END_POWEROFF);
	fake_vm_destroy(&vm);
	ck_assert_uint_eq(fake_kvm.n_boots, RESETS + 1);
	if (_i == 0) {
		ck_assert_uint_eq(n_dirty, 0);
		ck_assert_uint_eq(n_stale_uart, 0);
		ck_assert(!ran_on);
	}
	fake_vm_fini(&vm);
}
END_TEST

GUEST(second_cpu_resets)
{
	if (id == 0)
		return boot == 3 ? power_off(run) : FAKE_GUEST_HALTS;
	return step == 0 && boot < 3 ? reset(run) : FAKE_GUEST_HALTS;
}

START_TEST(any_cpu_can_reset_the_vm_while_others_halt)
{
	fake_vm_init(&vm, second_cpu_resets);
	vm.cfg.cpus.cores = 2;
	ck_assert_int_eq(fake_vm_live(&vm), END_POWEROFF);
	ck_assert_uint_eq(fake_kvm.n_boots, 4);
	fake_vm_fini(&vm);
}
END_TEST

/* First half of --expect's text, and a panic's last line that an orderly reboot follows; then a
 * reset. */
GUEST(speaks_over_a_reset)
{
	(void)id;
	if (boot == 0)
		return step == 0 ? guest_print(run, "foo ---[ end Kernel panic - not syncing "
						    "reboot: Restarting system foo")
				 : reset(run);
	return step == 0 ? guest_print(run, "bar") : FAKE_GUEST_HALTS;
}

START_TEST(what_was_said_before_a_reset_does_not_count_after_it)
{
	fake_vm_init(&vm, speaks_over_a_reset);
	vm.cfg.expect = "foobar";
	vm.cfg.timeout_ns = 900 * NS_PER_MS; /* longer than a panic takes to be believed */
	ck_assert_int_eq(fake_vm_live(&vm), END_TIMEOUT);
	ck_assert(!vm.result.expected);
	fake_vm_fini(&vm);
}
END_TEST

GUEST(resets)
{
	(void)id, (void)boot;
	return step == 0 ? reset(run) : never();
}

START_TEST(under_on_reboot_exit_a_reset_is_the_end)
{
	fake_vm_init(&vm, resets);
	vm.cfg.exit_on_reboot = true;
	ck_assert_int_eq(fake_vm_live(&vm), END_REBOOT);
	ck_assert_uint_eq(fake_kvm.n_boots, 1);
	ck_assert(!ran_on);
	fake_vm_fini(&vm);
}
END_TEST

/* From the second boot on KVM refuses: the n-th of what the reset asks for. */
GUEST(resets_once)
{
	(void)id;
	if (boot == 0 && step == 0)
		return reset(run);
	return boot == 0 ? never() : power_off(run);
}

START_TEST(a_reset_that_the_host_refuses_ends_the_vm_with_a_reason)
{
	unsigned int calls, n_refused = 0;
	char text[4096];

	stderr_capture();
	fake_vm_init(&vm, resets_once);
	vm.cfg.cpus.cores = 2;
	fake_vm_build(&vm);
	calls = fake_kvm.n_calls;
	fake_vm_run(&vm);
	fake_vm_destroy(&vm);
	ck_assert_int_eq(vm.result.end, END_POWEROFF);
	fake_vm_fini(&vm);
	for (unsigned int n = calls + 1;; n++) {
		fake_vm_init(&vm, resets_once);
		vm.cfg.cpus.cores = 2;
		fake_kvm.fail_at = n;
		fake_vm_live(&vm);
		if (!fake_kvm.failed)
			break;
		n_refused += vm.result.end == END_HOST;
		fake_vm_fini(&vm);
	}
	fake_vm_fini(&vm);
	ck_assert_uint_eq(n_refused, 4);
	stderr_text(text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "reset: fake: restore VM: Input/output error"));
	ck_assert_ptr_nonnull(strstr(text, "reset: vCPU 1: fake: restore vCPU: Input/output"));
}
END_TEST

static unsigned int seen_threads[3], seen_fds[3], seen_made[3];

GUEST(looks_around_and_resets)
{
	if (id > 0 || step > 0)
		return FAKE_GUEST_HALTS;
	seen_threads[boot] = count_threads();
	seen_fds[boot] = count_fds();
	seen_made[boot] = fake_kvm.n_made;
	return boot == 2 ? power_off(run) : reset(run);
}

START_TEST(a_reset_makes_no_thread_no_descriptor_and_no_vm)
{
	fake_vm_init(&vm, looks_around_and_resets);
	vm.cfg.cpus.cores = 3;
	fake_vm_build(&vm);
	ck_assert_int_eq(vm.m->sys.fd, -1); /* nobody can even ask /dev/kvm */
	fake_vm_run(&vm);
	ck_assert_int_eq(vm.result.end, END_POWEROFF);
	for (unsigned int boot = 0; boot < 3; boot++) {
		ck_assert_uint_eq(seen_threads[boot], seen_threads[0]);
		ck_assert_uint_eq(seen_fds[boot], seen_fds[0]);
		ck_assert_uint_eq(seen_made[boot], 1 + 3);
	}
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(all_threads_begin_with_the_run)
{
	char *path = fake_file("", 0);
	struct err e;

	ck_assert_int_eq(truncate(path, 65536), 0);
	fake_vm_init(&vm, looks_around_and_resets);
	ck_ok(config_add_disk(&vm.cfg, path, &e));
	vm.cfg.disks[0].engine = DISK_ENGINE_THREADS;
	fake_vm_build(&vm);
	ck_assert_uint_le(count_threads(), vm.n_threads);
	fake_vm_run(&vm);
	/* The disk's, and the vCPU's. */
	ck_assert_uint_ge(seen_threads[0], vm.n_threads + 2);
	ck_assert_uint_eq(seen_threads[2], seen_threads[0]);
	fake_vm_destroy(&vm);
	unlink(path);
	free(path);
	fake_vm_fini(&vm);
}
END_TEST

static struct kvm_regs *first_regs(void)
{
	return &fake_kvm.cpu[0].regs;
}

GUEST(changes_its_registers)
{
	(void)id;
	if (step == 0 && boot < 2 && first_regs()->rip == FAKE_KERNEL_PVH_ENTRY) {
		memset(first_regs(), 0xa5, sizeof(*first_regs()));
		memset(&fake_kvm.cpu[0].sregs, 0xa5, sizeof(fake_kvm.cpu[0].sregs));
		return reset(run);
	}
	return boot == 2 ? power_off(run) : FAKE_GUEST_HALTS;
}

START_TEST(after_a_reset_the_kernel_is_entered_as_at_first)
{
	fake_vm_init(&vm, changes_its_registers);
	ck_assert_int_eq(fake_vm_live(&vm), END_POWEROFF);
	ck_assert_uint_eq(first_regs()->rip, FAKE_KERNEL_PVH_ENTRY);
	ck_assert_uint_eq(first_regs()->rflags, 2);
	ck_assert_uint_eq(fake_kvm.cpu[0].sregs.cr0 & 0x80000001, 1); /* PE, no paging */
	fake_vm_fini(&vm);
}
END_TEST

#define PLACES 8
static uint64_t places[PLACES];

GUEST(tells_where_it_starts)
{
	(void)id;
	if (step > 0)
		return never();
	places[boot] = first_regs()->rip;
	ran_on |= places[boot] != vm.m->boot.entry || first_regs()->rsi != vm.m->boot.argument;
	return boot + 1 < PLACES ? reset(run) : power_off(run);
}

START_TEST(a_kernel_that_can_be_anywhere_is_elsewhere_after_a_reset)
{
	static const uint32_t table[] = { 0, 0x80000000u + FAKE_KERNEL_AT, 0 };
	unsigned int n_others = 0;

	fake_vm_init(&vm, tells_where_it_starts);
	unlink(vm.kernel);
	free(vm.kernel);
	vm.cfg.ram_bytes = 1 * GIB; /* hundreds of places */
	vm.cfg.kernel = vm.kernel = fake_linux(false, false, table, ARRAY_SIZE(table));
	ck_assert_int_eq(fake_vm_live(&vm), END_POWEROFF);
	for (int i = 1; i < PLACES; i++)
		n_others += places[i] != places[i - 1];
	ck_assert_uint_gt(n_others, PLACES / 2);
	ck_assert(!ran_on);
	fake_vm_fini(&vm);
}
END_TEST

/* One asks for a reset; another one goes on until it is asked to park for it, and then cannot. */
static bool second_is_in; /* atomic */

GUEST(one_resets_and_one_crashes)
{
	(void)boot;
	while (id == 0 && !__atomic_load_n(&second_is_in, __ATOMIC_ACQUIRE))
		sched_yield();
	if (id == 0)
		return step == 0 ? reset(run) : never();
	__atomic_store_n(&second_is_in, true, __ATOMIC_RELEASE);
	while (__atomic_load_n(&vm.m->vcpus[id].want, __ATOMIC_ACQUIRE) != VCPU_PARKED)
		sched_yield();
	return guest_exit(run, KVM_EXIT_SHUTDOWN);
}

START_TEST(a_cpu_that_crashes_during_a_reset_ends_the_vm)
{
	fake_vm_init(&vm, one_resets_and_one_crashes);
	vm.cfg.cpus.cores = 2;
	stderr_capture();
	vm.n_fds = count_fds();
	ck_assert_int_eq(fake_vm_live(&vm), END_CRASH);
	ck_assert_uint_eq(fake_kvm.n_boots, 1);
	ck_assert(!ran_on);
	fake_vm_fini(&vm);
}
END_TEST

static struct ev_timer timer;

static void in_a_while(void (*fn)(void *))
{
	timer = (struct ev_timer){ .fn = fn };
	evloop_timer_set(vm.m->loop, &timer, evloop_now_ns() + 20 * NS_PER_MS);
}

GUEST(powers_off_after_a_reset)
{
	(void)id, (void)step;
	return boot == 0 ? FAKE_GUEST_HALTS : power_off(run);
}

static bool is_paused;

static void look_if_paused(void *arg)
{
	(void)arg;
	ck_assert_uint_eq(fake_kvm.n_boots, 2);
	pthread_mutex_lock(&vm.m->vcpus[0].lock);
	is_paused = vm.m->paused && vm.m->vcpus[0].state == VCPU_PARKED;
	pthread_mutex_unlock(&vm.m->vcpus[0].lock);
	machine_on_command(&vm.m->watch[WATCH_COM1], 's');
}

/* The guest has asked for it as its last act before the pause. */
static void pause_then_reset(void *arg)
{
	(void)arg;
	machine_on_command(&vm.m->watch[WATCH_COM1], 's');
	machine_on_event(vm.m, GUEST_RESET, 0);
	in_a_while(look_if_paused);
}

START_TEST(a_machine_that_is_reset_while_it_is_paused_stays_so)
{
	fake_vm_init(&vm, powers_off_after_a_reset);
	stderr_capture();
	vm.n_fds = count_fds();
	fake_vm_build(&vm);
	in_a_while(pause_then_reset);
	fake_vm_run(&vm);
	ck_assert(is_paused);
	ck_assert_int_eq(vm.result.end, END_POWEROFF);
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("machine_reset");

	UNIT_LOOP(s, a_reset_is_a_power_cycle_that_leaves_nothing_behind, 2);
	UNIT_TEST(s, any_cpu_can_reset_the_vm_while_others_halt);
	UNIT_TEST(s, what_was_said_before_a_reset_does_not_count_after_it);
	UNIT_TEST(s, under_on_reboot_exit_a_reset_is_the_end);
	UNIT_SLOW(s, a_reset_that_the_host_refuses_ends_the_vm_with_a_reason);
	UNIT_TEST(s, a_reset_makes_no_thread_no_descriptor_and_no_vm);
	UNIT_TEST(s, all_threads_begin_with_the_run);
	UNIT_TEST(s, after_a_reset_the_kernel_is_entered_as_at_first);
	UNIT_TEST(s, a_kernel_that_can_be_anywhere_is_elsewhere_after_a_reset);
	UNIT_TEST(s, a_cpu_that_crashes_during_a_reset_ends_the_vm);
	UNIT_TEST(s, a_machine_that_is_reset_while_it_is_paused_stays_so);
	return s;
}

UNIT_MAIN("machine_reset", suite)
