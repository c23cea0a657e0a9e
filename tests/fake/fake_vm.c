/*
 * fake_vm.c - see fake_vm.h.
 */
#include "fake_vm.h"
#include "fake_kernel.h"
#include "unit.h"
#include <time.h>
#include <unistd.h>

static void *nothing(void *arg)
{
	return arg;
}

/* A first thread may bring helpers of a sanitizer with it: they are not ours to count. */
static unsigned int usual_threads(void)
{
	pthread_t t;

	ck_assert_int_eq(pthread_create(&t, NULL, nothing, NULL), 0);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	return count_threads();
}

void fake_vm_init(struct fake_vm *v, fake_guest_fn guest)
{
	*v = (struct fake_vm){ .kernel = fake_kernel(true) };
	fake_kvm_init();
	if (guest)
		fake_kvm.guest = guest;
	config_init(&v->cfg);
	v->cfg.kernel = v->kernel;
	v->cfg.ram_bytes = CONFIG_MIN_RAM;
	v->cfg.serial.kind = CHARDEV_NULL;
	v->cfg.start_ns = evloop_now_ns();
	v->n_fds = count_fds();
	v->n_threads = usual_threads();
}

void fake_vm_fini(struct fake_vm *v)
{
	unlink(v->kernel);
	free(v->kernel);
	config_fini(&v->cfg);
	fake_kvm_fini();
}

void fake_vm_build(struct fake_vm *v)
{
	struct err e = { 0 };

	ck_ok(machine_build(&v->m, &v->cfg, &e));
}

void fake_vm_run(struct fake_vm *v)
{
	struct err e = { 0 };

	ck_ok(machine_run(v->m, &v->result, &e));
}

void fake_vm_destroy(struct fake_vm *v)
{
	machine_destroy(v->m);
	ck_assert_int_eq(fake_kvm.n_vms, 0);
	ck_assert_int_eq(fake_kvm.n_vcpus, 0);
	ck_assert_uint_eq(count_fds(), v->n_fds);
	check_threads(v->n_threads);
}

enum vm_end fake_vm_live(struct fake_vm *v)
{
	fake_vm_build(v);
	fake_vm_run(v);
	fake_vm_destroy(v);
	return v->result.end;
}

void check_threads(unsigned int n)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	/* A thread that has been joined may still be listed for a moment. */
	for (unsigned int i = 0; i < 1000 && count_threads() > n; i++)
		nanosleep(&ms, NULL);
	ck_assert_uint_le(count_threads(), n);
}
