/*
 * kvm_ioeventfd.h - a guest's write to an address becomes a count on an eventfd, without an exit.
 *
 * Source: Linux, Documentation/virt/kvm/api.rst, 4.59 KVM_IOEVENTFD. Any thread. Where KVM cannot
 * or will not, the write comes as an exit like any other: so the device behind that address must
 * know it, too, and do the same.
 */
#ifndef VMM_KVM_KVM_IOEVENTFD_H
#define VMM_KVM_KVM_IOEVENTFD_H
#include <stdbool.h>
#include <stdint.h>
#include <vmm/kvm/kvm_vm.h>

struct kvm_ioeventfd_at {
	uint64_t address; /* in memory, not a port */
	uint32_t width; /* of the writes, in bytes; 0: any */
	bool match; /* only writes of `value` count; needs a width */
	uint64_t value;
};

/* true: KVM has it from now on, until del() or the end of the VM. false: writes exit. */
bool kvm_ioeventfd_add(const struct kvm_vm *vm, const struct kvm_ioeventfd_at *at, int fd);
/* Only after an add() that was true, with the same arguments. */
void kvm_ioeventfd_del(const struct kvm_vm *vm, const struct kvm_ioeventfd_at *at, int fd);

#endif
