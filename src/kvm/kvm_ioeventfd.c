/*
 * kvm_ioeventfd.c - a guest's write to an address becomes a count on an eventfd, without an exit.
 *
 * Life of a VM: when a driver starts its device, and when the guest moves the device's registers;
 * on the vCPU thread that does so. Taken back when the device is reset.
 *
 * Source: Linux, Documentation/virt/kvm/api.rst, 4.59 KVM_IOEVENTFD.
 */
#include <string.h>
#include <vmm/base/bug.h>
#include <vmm/base/log.h>
#include <vmm/kvm/kvm_ioeventfd.h>

static struct kvm_ioeventfd describe(const struct kvm_ioeventfd_at *at, int fd)
{
	VMM_BUG_ON(at->match && at->width == 0);
	return (struct kvm_ioeventfd){
		.addr = at->address,
		.len = at->width,
		.fd = fd,
		.datamatch = at->value,
		.flags = at->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0,
	};
}

bool kvm_ioeventfd_add(const struct kvm_vm *vm, const struct kvm_ioeventfd_at *at, int fd)
{
	const struct kvm_ioeventfd i = describe(at, fd);
	int rc;

	if (!vm->caps.ioeventfd || (at->width == 0 && !vm->caps.ioeventfd_any_length))
		return false;
	rc = kvm_vm_ioeventfd(vm, &i);
	if (rc < 0)
		log_debug("KVM_IOEVENTFD at %#llx: %s", (unsigned long long)at->address,
			  strerror(-rc));
	return rc == 0;
}

void kvm_ioeventfd_del(const struct kvm_vm *vm, const struct kvm_ioeventfd_at *at, int fd)
{
	struct kvm_ioeventfd i = describe(at, fd);

	i.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	if (vm->fd >= 0) /* else its VM is gone, and with it all of them */
		(void)kvm_vm_ioeventfd(vm, &i);
}
