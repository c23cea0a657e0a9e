/*
 * probe.h - how fast this host's KVM runs a kernel's code.
 */
#ifndef VMM_ARCH_PROBE_H
#define VMM_ARCH_PROBE_H
#include <stdint.h>
#include <vmm/base/err.h>
#include <vmm/kvm/kvm_sys.h>

struct probe {
	uint64_t create_vm_ns; /* KVM_CREATE_VM alone */
	uint64_t instructions_per_s; /* at ring 0, by a loop of a few milliseconds at most */
};

/* Makes a VM of one page, runs a counting loop in it at ring 0, throws it away. Main thread. */
int probe_run(struct probe *p, const struct kvm_sys *sys, struct err *e);

#endif
