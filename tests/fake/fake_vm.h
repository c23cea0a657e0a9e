/*
 * fake_vm.h - a whole machine on the fake KVM, with the smallest kernel and no console.
 */
#ifndef TESTS_FAKE_VM_H
#define TESTS_FAKE_VM_H
#include "../../src/machine/machine.h"
#include "fake_kvm.h"

struct fake_vm {
	struct vm_config cfg; /* may be changed before the run */
	struct machine *m;
	struct vm_result result;
	char *kernel; /* the file */
	unsigned int n_fds, n_threads; /* before anything of the VM existed */
};

void fake_vm_init(struct fake_vm *v, fake_guest_fn guest);
void fake_vm_fini(struct fake_vm *v);

/* The steps, each of which must succeed; and all of them. destroy: nothing may be left over. */
void fake_vm_build(struct fake_vm *v);
void fake_vm_run(struct fake_vm *v);
void fake_vm_destroy(struct fake_vm *v);
enum vm_end fake_vm_live(struct fake_vm *v);

/* The process must have at most n threads, now or in a moment. */
void check_threads(unsigned int n);

#endif
