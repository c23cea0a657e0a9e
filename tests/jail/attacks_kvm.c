/*
 * attacks_kvm.c - what KVM offers, and a running VM does not need.
 *
 * Life of a VM: see attack.h. Each request is made of every descriptor: one of them is the VM, or a
 * vCPU, or /dev/kvm.
 */
#include "attack.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>

#define FREE_SLOT 30
#define FAR_ABOVE_RAM (1ull << 36)

static long create_vm(int fd)
{
	long vm = sys(SYS_ioctl, fd, KVM_CREATE_VM, 0);

	if (vm >= 0)
		sys(SYS_close, vm);
	return vm;
}

static long create_vm_anew(void)
{
	long fd = sys(SYS_openat, AT_FDCWD, "/dev/kvm", O_RDWR | O_CLOEXEC), rc;

	if (fd < 0)
		return fd;
	rc = create_vm((int)fd);
	sys(SYS_close, fd);
	return rc;
}

static long create_vm_of_each(void)
{
	return over_fds(create_vm);
}

static long create_vcpu(int fd)
{
	long vcpu = sys(SYS_ioctl, fd, KVM_CREATE_VCPU, 7);

	if (vcpu >= 0)
		sys(SYS_close, vcpu);
	return vcpu;
}

static long create_vcpu_of_each(void)
{
	return over_fds(create_vcpu);
}

/* ENODEV is told by a VM that has no such devices, and by nothing else. */
static long create_device(int fd)
{
	struct kvm_create_device d = { .type = KVM_DEV_TYPE_VFIO, .flags = KVM_CREATE_DEVICE_TEST };
	long rc = sys(SYS_ioctl, fd, KVM_CREATE_DEVICE, &d);

	return rc == -ENODEV ? 0 : rc;
}

static long create_device_of_each(void)
{
	return over_fds(create_device);
}

static void map_at(struct kvm_userspace_memory_region *r, const void *host)
{
	*r = (struct kvm_userspace_memory_region){ .slot = FREE_SLOT,
						   .guest_phys_addr = FAR_ABOVE_RAM,
						   .memory_size = 4096,
						   .userspace_addr = (uintptr_t)host & ~4095ull };
}

/* The slot is free again afterwards. */
static long give_to_guest(int fd, const void *host)
{
	struct kvm_userspace_memory_region r;
	long rc;

	map_at(&r, host);
	rc = sys(SYS_ioctl, fd, KVM_SET_USER_MEMORY_REGION, &r);
	if (rc < 0)
		return rc;
	r.memory_size = 0;
	sys(SYS_ioctl, fd, KVM_SET_USER_MEMORY_REGION, &r);
	return rc;
}

static long give_code(int fd)
{
	return give_to_guest(fd, (const void *)&map_at);
}

static long give_code_to_guest(void)
{
	return over_fds(give_code);
}

static long give_stack(int fd)
{
	char here;

	return give_to_guest(fd, &here);
}

static long give_stack_to_guest(void)
{
	return over_fds(give_stack);
}

static long give_secret(int fd)
{
	struct kvm_userspace_memory_region2 {
		struct kvm_userspace_memory_region r;
		uint64_t offset;
		uint32_t memfd, pad;
		uint64_t pad2[14];
	} r2 = { 0 };
	long rc;

	map_at(&r2.r, &map_at);
	rc = sys(SYS_ioctl, fd, _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2), &r2);
	if (rc < 0)
		return rc;
	r2.r.memory_size = 0;
	sys(SYS_ioctl, fd, _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2), &r2);
	return rc;
}

static long give_by_new_call(void)
{
	return over_fds(give_secret);
}

/* Only KVM says of a request that there is none of it, or one already. */
static long ask(int fd, unsigned long request, const void *arg)
{
	long rc = sys(SYS_ioctl, fd, request, arg);

	return rc == -ENOENT || rc == -EEXIST ? 0 : rc;
}

static long dirty_log(int fd)
{
	const struct kvm_dirty_log d = { .slot = 0 };

	return ask(fd, KVM_GET_DIRTY_LOG, &d);
}

static long dirty_log_of_each(void)
{
	return over_fds(dirty_log);
}

static long assign_device(int fd)
{
	const struct kvm_assigned_pci_dev d = { 0 };

	return sys(SYS_ioctl, fd, KVM_ASSIGN_PCI_DEVICE, &d);
}

static long assign_by_each(void)
{
	return over_fds(assign_device);
}

static long filter_msrs(int fd)
{
	const struct kvm_msr_filter f = { .flags = 0 };

	return ask(fd, KVM_X86_SET_MSR_FILTER, &f);
}

static long filter_msrs_of_each(void)
{
	return over_fds(filter_msrs);
}

static long enable_capability(int fd)
{
	const struct kvm_enable_cap c = { .cap = KVM_CAP_HALT_POLL };

	return ask(fd, KVM_ENABLE_CAP, &c);
}

static long enable_of_each(void)
{
	return over_fds(enable_capability);
}

static long encrypt(int fd)
{
	const uint64_t command[3] = { ~0ull };

	return ask(fd, KVM_MEMORY_ENCRYPT_OP, command);
}

static long encrypt_by_each(void)
{
	return over_fds(encrypt);
}

static long new_timer(int fd)
{
	const struct kvm_pit_config c = { 0 };

	return ask(fd, KVM_CREATE_PIT2, &c);
}

static long timer_of_each(void)
{
	return over_fds(new_timer);
}

static long new_irqchip(int fd)
{
	return ask(fd, KVM_CREATE_IRQCHIP, NULL);
}

static long irqchip_of_each(void)
{
	return over_fds(new_irqchip);
}

static long debug_guest(int fd)
{
	const struct kvm_guest_debug d = { 0 };

	return ask(fd, KVM_SET_GUEST_DEBUG, &d);
}

static long debug_by_each(void)
{
	return over_fds(debug_guest);
}

static long set_msrs(int fd)
{
	const struct kvm_msrs none = { 0 };

	return ask(fd, KVM_SET_MSRS, &none);
}

static long msrs_of_each(void)
{
	return over_fds(set_msrs);
}

static long set_filter_of_events(int fd)
{
	const struct kvm_pmu_event_filter f = { 0 };

	return ask(fd, KVM_SET_PMU_EVENT_FILTER, &f);
}

static long events_of_each(void)
{
	return over_fds(set_filter_of_events);
}

#define KVM(name, got, fn) TRY("kvm-" name, got, "ioctl", 0, fn)

const struct attack attacks_on_kvm[] = {
	KVM("create-vm", "has another VM", create_vm_of_each),
	TRY("kvm-open", "has another VM", "openat", LAYER_FS, create_vm_anew),
	KVM("create-vcpu", "has another vCPU", create_vcpu_of_each),
	KVM("create-device", "may have a device of KVM's", create_device_of_each),
	KVM("map-code", "gives the guest its code", give_code_to_guest),
	KVM("map-stack", "gives the guest its stack", give_stack_to_guest),
	KVM("map-2", "gives the guest its code by the newer call", give_by_new_call),
	KVM("dirty-log", "may read the dirty log", dirty_log_of_each),
	TRY("kvm-assign", "Linux has it no more", "ioctl", NEVER, assign_by_each),
	KVM("msr-filter", "changes what MSRs the guest has", filter_msrs_of_each),
	KVM("enable-cap", "enables a capability", enable_of_each),
	KVM("encrypt", "talks to the security processor", encrypt_by_each),
	KVM("create-pit", "may have a timer", timer_of_each),
	KVM("create-irqchip", "may have interrupt controllers", irqchip_of_each),
	KVM("debug", "debugs the guest", debug_by_each),
	KVM("set-msrs", "sets MSRs", msrs_of_each),
	KVM("pmu-filter", "changes which events are counted", events_of_each),
	{ 0 },
};
