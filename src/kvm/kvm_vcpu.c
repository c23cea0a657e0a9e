/*
 * kvm_vcpu.c - one virtual CPU in the kernel.
 *
 * Life of a VM: made and given its first state on the main thread; from then on its own thread
 * calls in here, mostly kvm_vcpu_run(), and at a reset, while that is parked, the main thread.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vmm/kvm/kvm_vcpu.h>

int kvm_vcpu_create(struct kvm_vcpu *v, const struct kvm_vm *vm, unsigned int id, struct err *e)
{
	v->run_size = vm->sys->run_size;
	v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id);
	if (v->fd < 0)
		return err_errno(e, "vCPU %u (KVM_CREATE_VCPU)", id);
	v->run = mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED) {
		err_errno(e, "vCPU %u: mapping its shared page", id);
		v->run = NULL;
		kvm_vcpu_destroy(v);
		return e->code;
	}
	return 0;
}

void kvm_vcpu_destroy(struct kvm_vcpu *v)
{
	if (v->run)
		munmap(v->run, v->run_size);
	if (v->fd >= 0)
		close(v->fd);
	*v = (struct kvm_vcpu){ .fd = -1 };
}

int kvm_vcpu_run(struct kvm_vcpu *v)
{
	return ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
}

void kvm_vcpu_set_immediate_exit(struct kvm_vcpu *v, bool on)
{
	__atomic_store_n(&v->run->immediate_exit, on, __ATOMIC_SEQ_CST);
}

int kvm_vcpu_set_cpuid(struct kvm_vcpu *v, const struct kvm_cpuid2 *c, struct err *e)
{
	return ioctl(v->fd, KVM_SET_CPUID2, c) < 0 ? err_errno(e, "KVM_SET_CPUID2") : 0;
}

int kvm_vcpu_set_msrs(const struct kvm_vcpu *v, const struct kvm_msrs *msrs, struct err *e)
{
	int done = ioctl(v->fd, KVM_SET_MSRS, msrs);

	if (done < 0)
		return err_errno(e, "KVM_SET_MSRS");
	if ((unsigned int)done < msrs->nmsrs)
		return err_set(e, -ENOTSUP, "KVM_SET_MSRS: this KVM refuses MSR %#x",
			       msrs->entries[done].index);
	return 0;
}

int kvm_vcpu_get_regs(const struct kvm_vcpu *v, struct kvm_regs *r)
{
	return ioctl(v->fd, KVM_GET_REGS, r);
}

int kvm_vcpu_set_regs(struct kvm_vcpu *v, const struct kvm_regs *r, struct err *e)
{
	return ioctl(v->fd, KVM_SET_REGS, r) < 0 ? err_errno(e, "KVM_SET_REGS") : 0;
}

int kvm_vcpu_get_sregs(const struct kvm_vcpu *v, struct kvm_sregs *s)
{
	return ioctl(v->fd, KVM_GET_SREGS, s);
}

int kvm_vcpu_set_sregs(struct kvm_vcpu *v, const struct kvm_sregs *s, struct err *e)
{
	return ioctl(v->fd, KVM_SET_SREGS, s) < 0 ? err_errno(e, "KVM_SET_SREGS") : 0;
}

int kvm_vcpu_translate(const struct kvm_vcpu *v, uint64_t gva, uint64_t *gpa)
{
	struct kvm_translation t = { .linear_address = gva };

	if (ioctl(v->fd, KVM_TRANSLATE, &t) < 0 || !t.valid)
		return -1;
	*gpa = t.physical_address;
	return 0;
}

uint32_t kvm_vcpu_tsc_khz(const struct kvm_vcpu *v)
{
	int khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);

	return khz > 0 ? (uint32_t)khz : 0;
}
