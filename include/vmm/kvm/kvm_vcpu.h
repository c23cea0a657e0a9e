/*
 * kvm_vcpu.h - one virtual CPU in the kernel.
 *
 * Source: Linux, Documentation/virt/kvm/api.rst, "vcpu ioctls". Calls on one vCPU come from the
 * thread that runs it; while that is parked, or does not exist, from the main thread.
 */
#ifndef VMM_KVM_KVM_VCPU_H
#define VMM_KVM_KVM_VCPU_H
#include <linux/kvm.h>
#include <vmm/base/err.h>
#include <vmm/kvm/kvm_vm.h>

struct kvm_vcpu {
	int fd; /* -1: none */
	struct kvm_run *run; /* shared with the kernel */
	size_t run_size;
};

int kvm_vcpu_create(struct kvm_vcpu *v, const struct kvm_vm *vm, unsigned int id, struct err *e);
void kvm_vcpu_destroy(struct kvm_vcpu *v); /* zeroed with fd -1: fine */

/* 4.10. 0: an exit, see v->run; -EINTR: kicked, and whatever access was pending is complete; else
 * -errno. */
int kvm_vcpu_run(struct kvm_vcpu *v);

/* From any thread: the next or the present KVM_RUN returns -EINTR (with a signal to make it so
 * now). */
void kvm_vcpu_set_immediate_exit(struct kvm_vcpu *v, bool on);

int kvm_vcpu_set_cpuid(struct kvm_vcpu *v, const struct kvm_cpuid2 *c, struct err *e);
int kvm_vcpu_set_msrs(const struct kvm_vcpu *v, const struct kvm_msrs *msrs, struct err *e);
int kvm_vcpu_get_regs(const struct kvm_vcpu *v, struct kvm_regs *r);
int kvm_vcpu_set_regs(struct kvm_vcpu *v, const struct kvm_regs *r, struct err *e);
int kvm_vcpu_get_sregs(const struct kvm_vcpu *v, struct kvm_sregs *s);
int kvm_vcpu_set_sregs(struct kvm_vcpu *v, const struct kvm_sregs *s, struct err *e);
/* Where a guest-virtual address is; -1: not mapped. */
int kvm_vcpu_translate(const struct kvm_vcpu *v, uint64_t gva, uint64_t *gpa);
/* kHz, 0: unknown. */
uint32_t kvm_vcpu_tsc_khz(const struct kvm_vcpu *v);

#endif
