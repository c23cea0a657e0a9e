/*
 * kvm_sys.c - the first conversation with the kernel.
 *
 * Life of a VM: before anything is built, on the main thread. What can go wrong here is what a new
 * user meets first, so each failure names its remedy.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/kvm/kvm_sys.h>

#define CPUID_MAX_ENTRIES 512

#define CAP(cap) .number = (cap), .name = #cap
const struct kvm_cap kvm_caps[] = {
	{ CAP(KVM_CAP_USER_MEMORY), .why = "guest RAM out of our own memory", .needed = true },
	{ CAP(KVM_CAP_IRQCHIP), .why = "interrupt controllers inside KVM", .needed = true },
	{ CAP(KVM_CAP_EXT_CPUID), .why = "telling the guest its CPU", .needed = true },
	{ CAP(KVM_CAP_SET_TSS_ADDR), .why = "real mode on Intel CPUs", .needed = true },
	{ CAP(KVM_CAP_SET_IDENTITY_MAP_ADDR), .why = "real mode on Intel CPUs", .needed = true },
	{ CAP(KVM_CAP_IMMEDIATE_EXIT), .why = "stopping a vCPU exactly", .needed = true },
	{ CAP(KVM_CAP_MP_STATE), .why = "starting further vCPUs", .needed = true },
	{ CAP(KVM_CAP_TSC_DEADLINE_TIMER), .why = "a timer that needs no calibration" },
	{ CAP(KVM_CAP_GET_TSC_KHZ), .why = "telling the guest its clock rate" },
	{ CAP(KVM_CAP_X2APIC_API), .why = "more than 255 vCPUs" },
	{ CAP(KVM_CAP_IRQFD), .why = "interrupts from other threads at little cost" },
	{ CAP(KVM_CAP_IRQ_ROUTING), .why = "interrupts of PCI devices at little cost" },
	{ CAP(KVM_CAP_SIGNAL_MSI), .why = "interrupts of PCI devices" },
	{ CAP(KVM_CAP_IOEVENTFD), .why = "device notifications at little cost" },
	{ CAP(KVM_CAP_IOEVENTFD_ANY_LENGTH), .why = "device notifications at even less" },
	{ 0 },
};

static int explain_open(struct err *e)
{
	int code = errno;
	struct stat st;
	const struct group *g;

	if (code == ENOENT || code == ENXIO || code == ENODEV)
		return err_set(e, -code,
			       KVM_DEVICE
			       ": no KVM on this host (%s): load kvm_intel or kvm_amd (sudo "
			       "modprobe), or enable virtualisation in the firmware, or, in a "
			       "VM, ask for nested virtualisation",
			       strerror(code));
	if (code != EACCES && code != EPERM)
		return err_set(e, -code, KVM_DEVICE ": %s", strerror(code));
	g = stat(KVM_DEVICE, &st) == 0 && (st.st_mode & S_IWGRP) && st.st_gid ? getgrgid(st.st_gid)
									      : NULL;
	if (g)
		return err_set(e, -code,
			       KVM_DEVICE ": %s: run 'sudo usermod -aG %s $USER' and log in again",
			       strerror(code), g->gr_name);
	return err_set(e, -code, KVM_DEVICE ": %s: run 'sudo chmod 666 " KVM_DEVICE "'",
		       strerror(code));
}

int kvm_sys_cap(const struct kvm_sys *k, int number)
{
	return ioctl(k->fd, KVM_CHECK_EXTENSION, number);
}

static unsigned int cap_or(const struct kvm_sys *k, int number, unsigned int otherwise)
{
	int v = kvm_sys_cap(k, number);

	return v > 0 ? (unsigned int)v : otherwise;
}

int kvm_sys_open_any(struct kvm_sys *k, struct err *e)
{
	int version, size;

	k->fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
	if (k->fd < 0)
		return explain_open(e);
	errno = 0;
	version = ioctl(k->fd, KVM_GET_API_VERSION, 0);
	size = ioctl(k->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (version < 0 || size < (int)sizeof(struct kvm_run)) {
		err_errno(e, KVM_DEVICE ": is it KVM's?");
		kvm_sys_close(k);
		return e->code;
	}
	if (version != KVM_API_VERSION) {
		kvm_sys_close(k);
		return err_set(e, -ENOTSUP, KVM_DEVICE ": speaks KVM API version %d, we speak %d",
			       version, KVM_API_VERSION);
	}
	k->run_size = (size_t)size;
	/* api.rst 4.4: the fallbacks for kernels that do not say. */
	k->max_vcpus = cap_or(k, KVM_CAP_MAX_VCPUS, cap_or(k, KVM_CAP_NR_VCPUS, 4));
	k->max_vcpu_id = cap_or(k, KVM_CAP_MAX_VCPU_ID, k->max_vcpus);
	return 0;
}

int kvm_sys_open(struct kvm_sys *k, struct err *e)
{
	if (kvm_sys_open_any(k, e) < 0)
		return e->code;
	for (const struct kvm_cap *c = kvm_caps; c->name; c++) {
		if (!c->needed || kvm_sys_cap(k, c->number) > 0)
			continue;
		kvm_sys_close(k);
		return err_set(e, -ENOTSUP,
			       KVM_DEVICE ": this host's KVM lacks %s, needed for %s: a newer "
					  "host kernel has it",
			       c->name, c->why);
	}
	return 0;
}

void kvm_sys_close(struct kvm_sys *k)
{
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
}

int kvm_sys_supported_cpuid(const struct kvm_sys *k, struct kvm_cpuid2 **out, struct err *e)
{
	struct kvm_cpuid2 *c;

	c = calloc(1, sizeof(*c) + CPUID_MAX_ENTRIES * sizeof(c->entries[0]));
	if (!c)
		return err_set(e, -ENOMEM, "CPUID: out of memory");
	c->nent = CPUID_MAX_ENTRIES;
	if (ioctl(k->fd, KVM_GET_SUPPORTED_CPUID, c) < 0) {
		free(c);
		return err_errno(e, "KVM_GET_SUPPORTED_CPUID");
	}
	*out = c;
	return 0;
}
