/*
 * kvm_state.h - all that KVM holds of a VM and its vCPUs, taken down when they are new and put back
 * at each reset.
 *
 * Source: Linux, Documentation/virt/kvm/api.rst, the pairs KVM_GET_x and KVM_SET_x. Main thread;
 * while the vCPUs are parked.
 *
 * What is taken down is what KVM itself says a new vCPU is, with what arch_vcpu_init() has set: no
 * list of reset values of ours. A block or an MSR that this KVM does not have is left out when it
 * is found missing, at the first saving; whatever was saved can be put back, in as few calls as
 * there are, without any memory or descriptor being asked for.
 *
 * Time is not put back. The TSCs of all vCPUs go on from when the VM was made, in step, whatever
 * the guest has written to them (Linux: a 0 written to IA32_TIME_STAMP_COUNTER by the host means
 * "as the others"; a KVM without that begins at 0 again, which is what a real reset does). KVM's
 * clock goes on, too, so that it and the TSC stay tied to each other as KVM wants them for its
 * stable clock. A kernel takes what either says when it starts as its zero.
 *
 * What KVM has no way to put back, as of Linux 6.12: a guest that locks SVM away (VM_CR.LOCK) will
 * not have it after the reset either; and on Intel CPUs, what it has written to the four pages that
 * kvm_vm_set_tss() gives to KVM, none of which any memory map calls RAM.
 */
#ifndef VMM_KVM_KVM_STATE_H
#define VMM_KVM_KVM_STATE_H
#include <vmm/base/err.h>
#include <vmm/kvm/kvm_sys.h>
#include <vmm/kvm/kvm_vcpu.h>
#include <vmm/kvm/kvm_vm.h>

struct kvm_vm_state;
struct kvm_vcpu_state;

/*
 * The interrupt controllers, and what this KVM has of vCPUs. Before any vCPU has run. sys is not
 * used later. Owned by the caller.
 */
int kvm_state_save_vm(struct kvm_vm_state **out, const struct kvm_vm *vm, const struct kvm_sys *sys,
		      struct err *e);
/* Devices have been reset. All input lines are low afterwards. */
int kvm_state_restore_vm(const struct kvm_vm_state *s, const struct kvm_vm *vm, struct err *e);
void kvm_state_free_vm(struct kvm_vm_state *s); /* NULL is fine */

/* A vCPU that has not run yet. Owned by the caller; needs `of` only now. */
int kvm_state_save_vcpu(struct kvm_vcpu_state **out, struct kvm_vm_state *of,
			const struct kvm_vcpu *v, struct err *e);
/*
 * After kvm_state_restore_vm(), so that nothing interrupts it any more. May write to guest RAM, as
 * KVM keeps some of the guest's notes there: clear that afterwards.
 */
int kvm_state_restore_vcpu(const struct kvm_vcpu_state *s, const struct kvm_vcpu *v, struct err *e);
void kvm_state_free_vcpu(struct kvm_vcpu_state *s); /* NULL is fine */

#endif
