/*
 * test_vcpu.c - the three states of a vCPU, driven by hand on the fake KVM.
 */
#include "fake_stderr.h"
#include "fake_vm.h"
#include "unit.h"
#include <signal.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/signals.h>

static struct fake_vm vm;
static unsigned int n_entered[4]; /* atomic: stays in the guest, by vCPU */

static void start(fake_guest_fn guest, unsigned int n_cpus)
{
	struct err e = { 0 };

	fake_vm_init(&vm, guest);
	vm.cfg.cpus.cores = n_cpus;
	fake_vm_build(&vm);
	signals_kick_init();
	for (unsigned int i = 0; i < n_cpus; i++)
		ck_ok(vcpu_start(&vm.m->vcpus[i], vm.m, i, &e));
}

static void stop(void)
{
	for (unsigned int i = 0; i < vm.m->n_vcpus; i++)
		vcpu_ask(&vm.m->vcpus[i], VCPU_STOPPED);
	for (unsigned int i = 0; i < vm.m->n_vcpus; i++)
		vcpu_join(&vm.m->vcpus[i]);
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}

static unsigned int entered(unsigned int id)
{
	return __atomic_load_n(&n_entered[id], __ATOMIC_ACQUIRE);
}

static void wait_until_entered(unsigned int id, unsigned int n)
{
	while (entered(id) < n) /* Check's own time limit ends this */
		sched_yield();
}

static int halts(unsigned int id, unsigned int boot, unsigned int step, struct kvm_run *run)
{
	(void)boot, (void)step, (void)run;
	__atomic_add_fetch(&n_entered[id], 1, __ATOMIC_RELEASE);
	return FAKE_GUEST_HALTS;
}

static int reads(unsigned int id, unsigned int boot, unsigned int step, struct kvm_run *run)
{
	(void)boot, (void)step;
	__atomic_add_fetch(&n_entered[id], 1, __ATOMIC_RELEASE);
	return step % 2 ? guest_mmio(run, 0xd0000000, false, 0, 8) : guest_in(run, 0x80);
}

static int dies(unsigned int id, unsigned int boot, unsigned int step, struct kvm_run *run)
{
	(void)boot, (void)step;
	__atomic_add_fetch(&n_entered[id], 1, __ATOMIC_RELEASE);
	return guest_exit(run, KVM_EXIT_SHUTDOWN);
}

START_TEST(a_vcpu_starts_parked_and_enters_the_guest_only_when_asked)
{
	start(halts, 1);
	vcpu_wait(&vm.m->vcpus[0]);
	ck_assert_uint_eq(entered(0), 0);
	vcpu_ask(&vm.m->vcpus[0], VCPU_RUNNING);
	wait_until_entered(0, 1);
	stop();
}
END_TEST

START_TEST(a_halted_vcpu_parks_and_runs_again_any_number_of_times)
{
	struct vcpu *v;

	start(halts, 1);
	v = &vm.m->vcpus[0];
	for (unsigned int i = 1; i <= 200; i++) {
		vcpu_ask(v, VCPU_RUNNING);
		wait_until_entered(0, i);
		vcpu_ask(v, VCPU_PARKED);
		vcpu_wait(v);
		ck_assert_int_eq(v->state, VCPU_PARKED);
		ck_assert_uint_eq(entered(0), i);
	}
	stop();
}
END_TEST

START_TEST(a_parked_vcpu_has_completed_its_access)
{
	static const struct timespec a_moment = { .tv_nsec = 200000 };
	struct vcpu *v;

	start(reads, 1);
	v = &vm.m->vcpus[0];
	for (unsigned int i = 0; i < 300; i++) {
		unsigned int before = entered(0);

		vcpu_ask(v, VCPU_RUNNING);
		if (i % 2)
			wait_until_entered(0, before + 1);
		else
			nanosleep(&a_moment, NULL);
		vcpu_ask(v, VCPU_PARKED);
		vcpu_wait(v);
		ck_assert(!fake_kvm.cpu[0].pending);
		ck_assert_uint_eq(fake_kvm.cpu[0].n_completed, entered(0));
	}
	stop();
}
END_TEST

/* As the guest has asked for something, each access is its last. */
START_TEST(a_vcpu_that_parks_itself_has_completed_its_access)
{
	start(reads, 1);
	machine_on_event(vm.m, GUEST_RESET, 0);
	vcpu_ask(&vm.m->vcpus[0], VCPU_RUNNING);
	wait_until_entered(0, 1);
	vcpu_wait(&vm.m->vcpus[0]);
	ck_assert(!fake_kvm.cpu[0].pending);
	ck_assert_uint_eq(fake_kvm.cpu[0].n_completed, 1);
	ck_assert_uint_eq(entered(0), 1);
	stop();
}
END_TEST

START_TEST(asking_twice_and_changing_ones_mind_is_fine)
{
	struct vcpu *v;

	start(reads, 1);
	v = &vm.m->vcpus[0];
	for (unsigned int i = 0; i < 300; i++) {
		vcpu_ask(v, VCPU_RUNNING);
		vcpu_ask(v, VCPU_PARKED);
		vcpu_ask(v, VCPU_RUNNING);
		vcpu_ask(v, VCPU_RUNNING);
		vcpu_ask(v, VCPU_PARKED);
		vcpu_ask(v, VCPU_PARKED);
		vcpu_wait(v);
		ck_assert(!fake_kvm.cpu[0].pending);
	}
	stop();
}
END_TEST

START_TEST(a_stopped_vcpu_stays_stopped)
{
	struct vcpu *v;

	stderr_capture();
	start(dies, 1);
	v = &vm.m->vcpus[0];
	vcpu_ask(v, VCPU_RUNNING);
	vcpu_wait(v);
	/* vcpu_ask() may not have been noticed before vcpu_wait(): wait for the end itself. */
	wait_until_entered(0, 1);
	vcpu_wait(v);
	vcpu_ask(v, VCPU_RUNNING);
	vcpu_ask(v, VCPU_PARKED);
	vcpu_wait(v);
	stop();
	ck_assert_uint_eq(entered(0), 1);
}
END_TEST

START_TEST(vcpus_park_without_waiting_for_each_other)
{
	start(reads, 4);
	for (unsigned int round = 0; round < 50; round++) {
		for (unsigned int i = 0; i < 4; i++)
			vcpu_ask(&vm.m->vcpus[i], VCPU_RUNNING);
		for (unsigned int i = 0; i < 4; i++)
			vcpu_ask(&vm.m->vcpus[i], VCPU_PARKED);
		for (unsigned int i = 0; i < 4; i++) {
			vcpu_wait(&vm.m->vcpus[i]);
			ck_assert(!fake_kvm.cpu[i].pending);
		}
	}
	stop();
}
END_TEST

START_TEST(one_that_never_started_can_be_asked_and_joined)
{
	fake_vm_init(&vm, halts);
	fake_vm_build(&vm);
	vcpu_ask(&vm.m->vcpus[0], VCPU_RUNNING);
	vcpu_wait(&vm.m->vcpus[0]);
	vcpu_join(&vm.m->vcpus[0]);
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(a_stray_kick_does_no_harm)
{
	start(halts, 1);
	vcpu_ask(&vm.m->vcpus[0], VCPU_RUNNING);
	wait_until_entered(0, 1);
	for (unsigned int i = 1; i <= 50; i++) {
		/* One that comes when the vCPU is not quite in the guest yet is without effect. */
		while (entered(0) <= i) {
			pthread_kill(vm.m->vcpus[0].thread, SIGNALS_KICK);
			usleep(100);
		}
	}
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("vcpu");

	UNIT_TEST(s, a_vcpu_starts_parked_and_enters_the_guest_only_when_asked);
	UNIT_TEST(s, a_halted_vcpu_parks_and_runs_again_any_number_of_times);
	UNIT_TEST(s, a_parked_vcpu_has_completed_its_access);
	UNIT_TEST(s, a_vcpu_that_parks_itself_has_completed_its_access);
	UNIT_TEST(s, asking_twice_and_changing_ones_mind_is_fine);
	UNIT_TEST(s, a_stopped_vcpu_stays_stopped);
	UNIT_TEST(s, vcpus_park_without_waiting_for_each_other);
	UNIT_TEST(s, one_that_never_started_can_be_asked_and_joined);
	UNIT_TEST(s, a_stray_kick_does_no_harm);
	return s;
}

UNIT_MAIN("vcpu", suite)
