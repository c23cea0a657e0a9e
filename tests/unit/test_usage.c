/*
 * test_usage.c - src/machine/usage.c: what the VM costs its host, by thread, on the fake KVM.
 */
#include "fake_stderr.h"
#include "fake_vm.h"
#include "unit.h"
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/dev/acpi_pm.h>
#include <vmm/host/signals.h>

#define BURN_MS 50u
#define MUCH (64 * MIB)

static struct fake_vm vm;
static bool resting; /* atomic */

static uint64_t thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void burn(void)
{
	uint64_t end = thread_ns() + BURN_MS * NS_PER_MS;

	while (thread_ns() < end)
		;
}

/* vCPU 0 works, then halts; the others halt at once. */
static int works(unsigned int id, unsigned int boot, unsigned int step, struct kvm_run *run)
{
	(void)boot, (void)step, (void)run;
	if (id == 0) {
		burn();
		__atomic_store_n(&resting, true, __ATOMIC_RELEASE);
	}
	return FAKE_GUEST_HALTS;
}

static void start_vcpus(unsigned int n)
{
	struct err e = { 0 };

	fake_vm_init(&vm, works);
	vm.cfg.cpus.cores = n;
	fake_vm_build(&vm);
	signals_kick_init();
	for (unsigned int i = 0; i < n; i++) {
		ck_ok(vcpu_start(&vm.m->vcpus[i], vm.m, i, &e));
		vcpu_ask(&vm.m->vcpus[i], VCPU_RUNNING);
	}
}

static void stop_vcpus(void)
{
	for (unsigned int i = 0; i < vm.m->n_vcpus; i++)
		vcpu_ask(&vm.m->vcpus[i], VCPU_STOPPED);
	for (unsigned int i = 0; i < vm.m->n_vcpus; i++)
		vcpu_join(&vm.m->vcpus[i]);
}

START_TEST(the_time_of_a_vcpu_is_known_while_it_runs_and_after_it_has_ended)
{
	uint64_t ms;

	start_vcpus(2);
	while (!__atomic_load_n(&resting, __ATOMIC_ACQUIRE)) /* Check's own limit ends this */
		usleep(1000);
	ms = usage_vcpu_ms(vm.m, 0);
	ck_assert_uint_ge(ms, BURN_MS);
	ck_assert_uint_lt(usage_vcpu_ms(vm.m, 1), BURN_MS);
	stop_vcpus();
	ck_assert_uint_ge(usage_vcpu_ms(vm.m, 0), ms);
	ck_assert_uint_lt(usage_vcpu_ms(vm.m, 0), 2 * ms + 1000);
	ck_assert_uint_lt(usage_vcpu_ms(vm.m, 1), BURN_MS);
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

static int works_resets_works(unsigned int id, unsigned int boot, unsigned int step,
			      struct kvm_run *run)
{
	(void)id;
	if (step == 0)
		burn();
	if (boot == 0)
		return guest_out(run, ACPI_PM_BASE + ACPI_PM_RESET, ACPI_PM_RESET_VALUE);
	return guest_out(run, ACPI_PM_BASE + ACPI_PM_SLEEP_CONTROL,
			 ACPI_PM_SLP_TYP_S5 << 2 | 1 << 5);
}

START_TEST(a_reset_does_not_close_the_account)
{
	fake_vm_init(&vm, works_resets_works);
	fake_vm_build(&vm);
	fake_vm_run(&vm);
	ck_assert_int_eq(vm.result.end, END_POWEROFF);
	ck_assert_uint_ge(usage_vcpu_ms(vm.m, 0), 2 * BURN_MS);
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

static void *burns(void *arg)
{
	burn();
	return arg;
}

START_TEST(the_loop_and_the_workers_have_times_of_their_own)
{
	struct usage before, after;
	pthread_t t;

	fake_vm_init(&vm, works);
	fake_vm_build(&vm);
	usage_get(vm.m, &before);
	burn();
	usage_get(vm.m, &after);
	ck_assert_uint_ge(after.loop_ms, before.loop_ms + BURN_MS - 1);
	ck_assert_uint_lt(after.worker_ms, before.worker_ms + BURN_MS);
	before = after;
	ck_assert_int_eq(pthread_create(&t, NULL, burns, NULL), 0);
	pthread_join(t, NULL);
	usage_get(vm.m, &after);
	ck_assert_uint_ge(after.worker_ms, before.worker_ms + BURN_MS - 1);
	ck_assert_uint_lt(after.loop_ms, before.loop_ms + BURN_MS);
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(memory_faults_and_switches_are_those_of_the_process)
{
	struct usage before, after;
	uint8_t *p;

	fake_vm_init(&vm, works);
	fake_vm_build(&vm);
	usage_get(vm.m, &before);
	p = mmap(NULL, MUCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(p != MAP_FAILED);
	madvise(p, MUCH, MADV_NOHUGEPAGE); /* refused: the pages are small anyway */
	for (size_t i = 0; i < MUCH; i += 4096)
		p[i] = 1;
	munmap(p, MUCH);
	for (unsigned int i = 0; i < 20; i++)
		usleep(1000);
	usage_get(vm.m, &after);
	ck_assert_uint_ge(after.minor_faults, before.minor_faults + MUCH / 4096);
	ck_assert_uint_ge(after.max_rss_kib, MUCH / KIB);
	ck_assert_uint_ge(after.voluntary_switches, before.voluntary_switches + 20);
	ck_assert_uint_ge(after.user_ms + after.system_ms + 1, after.loop_ms);
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("usage");

	UNIT_TEST(s, the_time_of_a_vcpu_is_known_while_it_runs_and_after_it_has_ended);
	UNIT_TEST(s, a_reset_does_not_close_the_account);
	UNIT_TEST(s, the_loop_and_the_workers_have_times_of_their_own);
	UNIT_TEST(s, memory_faults_and_switches_are_those_of_the_process);
	return s;
}

UNIT_MAIN("usage", suite)
