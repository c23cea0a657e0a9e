/*
 * kvm_sys.h - /dev/kvm: is it there, may we use it, can it do what we need?
 *
 * Source: Linux, Documentation/virt/kvm/api.rst, "System ioctls" (4.1 to 4.4). Main thread.
 */
#ifndef VMM_KVM_KVM_SYS_H
#define VMM_KVM_KVM_SYS_H
#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <vmm/base/err.h>

#define KVM_DEVICE "/dev/kvm"

struct kvm_sys {
	int fd; /* -1: closed */
	size_t run_size; /* bytes of each vCPU's shared struct kvm_run */
	unsigned int max_vcpus;
	unsigned int max_vcpu_id; /* exclusive */
};

struct kvm_cap {
	int number; /* KVM_CAP_* */
	const char *name;
	const char *why; /* what we need it for */
	bool needed; /* false: we do without, more slowly or with less */
};

/* Every capability that the VMM looks at; ends with a NULL name. */
extern const struct kvm_cap kvm_caps[];

/* Opens the device, checks the API version and that no needed capability is missing. Errors say the
 * remedy. */
int kvm_sys_open(struct kvm_sys *k, struct err *e);
/* The same without the check of capabilities, for `vmm doctor`. */
int kvm_sys_open_any(struct kvm_sys *k, struct err *e);
void kvm_sys_close(struct kvm_sys *k);

/* KVM_CHECK_EXTENSION: 0 or less is "no". */
int kvm_sys_cap(const struct kvm_sys *k, int number);

/*
 * What this KVM can offer to guests as CPUID (KVM_GET_SUPPORTED_CPUID). To be freed by the caller.
 */
int kvm_sys_supported_cpuid(const struct kvm_sys *k, struct kvm_cpuid2 **out, struct err *e);

#endif
