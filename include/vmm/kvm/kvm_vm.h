/*
 * kvm_vm.h - one VM in the kernel: memory slots and interrupt controllers.
 *
 * Source: Linux, Documentation/virt/kvm/api.rst, "VM ioctls". Main thread, except where it says any
 * thread.
 */
#ifndef VMM_KVM_KVM_VM_H
#define VMM_KVM_KVM_VM_H
#include <stdbool.h>
#include <stdint.h>
#include <vmm/base/err.h>
#include <vmm/kvm/kvm_sys.h>

struct kvm_irq_table;

/* What this KVM has for the interrupts and notifications of devices; all of it can be done without.
 */
struct kvm_vm_caps {
	bool irqfd, ioeventfd, ioeventfd_any_length, signal_msi;
	unsigned int max_routes; /* 0: its routes cannot be changed */
};

/* Zeroed but for fd before the first kvm_vm_create(). */
struct kvm_vm {
	int fd; /* -1: none */
	const struct kvm_sys *sys; /* open until the last vCPU has been made */
	struct kvm_vm_caps caps; /* known once there is a VM */
	struct kvm_irq_table *irq_table; /* of kvm_irq.c; may outlive the VM */
};

int kvm_vm_create(struct kvm_vm *vm, const struct kvm_sys *sys, struct err *e);
void kvm_vm_destroy(struct kvm_vm *vm);

/* Guest RAM [gpa, gpa+len) is the memory at host, which outlives the VM. Slots are numbered from 0.
 */
int kvm_vm_add_memory(struct kvm_vm *vm, unsigned int slot, uint64_t gpa, uint64_t len, void *host,
		      struct err *e);

/* 4.24: interrupt controllers in the kernel, one local one for each vCPU made later. */
int kvm_vm_create_irqchip(struct kvm_vm *vm, struct err *e);

/* x86: three pages and one page below 4 GiB that KVM needs on Intel CPUs (4.20, 4.41). */
int kvm_vm_set_tss(struct kvm_vm *vm, uint32_t tss_gpa, uint64_t identity_map_gpa, struct err *e);

/* x86: APIC ids of 32 bits everywhere (7.7); for more than 255 vCPUs. */
int kvm_vm_enable_x2apic_ids(struct kvm_vm *vm, struct err *e);

/* 4.25: drives an input of the interrupt controllers. Any thread. */
void kvm_vm_irq_line(const struct kvm_vm *vm, unsigned int gsi, bool level);

/*
 * The bare ioctls below kvm_irq.h and kvm_ioeventfd.h (4.52, 4.75, 4.71, 4.59), which are what
 * devices use. 0 or -errno; without a VM -EBADF. Any thread.
 */
int kvm_vm_set_routes(const struct kvm_vm *vm, const struct kvm_irq_routing *table);
int kvm_vm_irqfd(const struct kvm_vm *vm, const struct kvm_irqfd *i);
int kvm_vm_signal_msi(const struct kvm_vm *vm, const struct kvm_msi *msi);
int kvm_vm_ioeventfd(const struct kvm_vm *vm, const struct kvm_ioeventfd *i);
/* Finds out. By kvm_vm_create(). */
void kvm_vm_probe(const struct kvm_sys *sys, struct kvm_vm_caps *caps);

#endif
