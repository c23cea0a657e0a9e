/*
 * kvm_vm.c - one VM in the kernel.
 *
 * Life of a VM: made when the board is complete, kept over resets (kvm_state.c puts it back to how
 * it was), closed at the end. Main thread; interrupt lines are driven from any thread.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/kvm/kvm_vm.h>

int kvm_vm_create(struct kvm_vm *vm, const struct kvm_sys *sys, struct err *e)
{
	vm->sys = sys;
	do {
		vm->fd = ioctl(sys->fd, KVM_CREATE_VM, 0);
	} while (vm->fd < 0 && errno == EINTR); /* a signal may interrupt the kernel's set-up */
	if (vm->fd < 0)
		return err_errno(e, "KVM_CREATE_VM");
	kvm_vm_probe(sys, &vm->caps);
	return 0;
}

void kvm_vm_destroy(struct kvm_vm *vm)
{
	if (vm->fd >= 0)
		close(vm->fd);
	vm->fd = -1;
}

int kvm_vm_add_memory(struct kvm_vm *vm, unsigned int slot, uint64_t gpa, uint64_t len, void *host,
		      struct err *e)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)host,
	};

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r) < 0)
		return err_errno(e, "guest RAM of %llu MiB (KVM_SET_USER_MEMORY_REGION)",
				 (unsigned long long)(len / MIB));
	return 0;
}

int kvm_vm_create_irqchip(struct kvm_vm *vm, struct err *e)
{
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return err_errno(e, "KVM_CREATE_IRQCHIP");
	return 0;
}

int kvm_vm_set_tss(struct kvm_vm *vm, uint32_t tss_gpa, uint64_t identity_map_gpa, struct err *e)
{
	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map_gpa) < 0)
		return err_errno(e, "KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)tss_gpa) < 0)
		return err_errno(e, "KVM_SET_TSS_ADDR");
	return 0;
}

int kvm_vm_enable_x2apic_ids(struct kvm_vm *vm, struct err *e)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X2APIC_API,
		.args[0] = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK,
	};

	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap) < 0)
		return err_errno(e, "KVM_CAP_X2APIC_API, needed for more than 255 vCPUs");
	return 0;
}

void kvm_vm_irq_line(const struct kvm_vm *vm, unsigned int gsi, bool level)
{
	struct kvm_irq_level l = { .irq = gsi, .level = level };

	/* It fails only on a VM that the kernel has declared dead; the next KVM_RUN tells. */
	(void)ioctl(vm->fd, KVM_IRQ_LINE, &l);
}

int kvm_vm_set_routes(const struct kvm_vm *vm, const struct kvm_irq_routing *table)
{
	return ioctl(vm->fd, KVM_SET_GSI_ROUTING, table) < 0 ? -errno : 0;
}

int kvm_vm_irqfd(const struct kvm_vm *vm, const struct kvm_irqfd *i)
{
	return ioctl(vm->fd, KVM_IRQFD, i) < 0 ? -errno : 0;
}

/* 4.71 also tells whether the guest has blocked it, which no device needs to know. */
int kvm_vm_signal_msi(const struct kvm_vm *vm, const struct kvm_msi *msi)
{
	return ioctl(vm->fd, KVM_SIGNAL_MSI, msi) < 0 ? -errno : 0;
}

int kvm_vm_ioeventfd(const struct kvm_vm *vm, const struct kvm_ioeventfd *i)
{
	return ioctl(vm->fd, KVM_IOEVENTFD, i) < 0 ? -errno : 0;
}
