/*
 * arch.c - x86-64's answers to include/vmm/arch/arch.h that need only a few lines.
 *
 * Life of a VM: build.c calls these in order: arch_vm_init, arch_load, arch_vcpu_init for each
 * vCPU; a reset calls arch_load() again. Main thread.
 */
#include "memmap.h"
#include "x86.h"
#include <errno.h>
#include <string.h>

int arch_vm_init(struct kvm_vm *vm, const struct cpu_topology *t, struct err *e)
{
	if (kvm_vm_set_tss(vm, (uint32_t)MAP_TSS, MAP_IDENTITY, e) < 0)
		return e->code;
	if (topology_needs_x2apic_ids(t) && kvm_vm_enable_x2apic_ids(vm, e) < 0)
		return e->code;
	return kvm_vm_create_irqchip(vm, e);
}

static int load_cmdline(const struct arch_boot *b, struct gmem *m, struct err *e)
{
	if (!gmem_write(m, MAP_CMDLINE, b->cmdline, strlen(b->cmdline) + 1))
		return err_set(e, -EFAULT, "no RAM for the command line");
	return 0;
}

/*
 * All the BIOS that there is: a kernel that restarts the machine by jumping to it (Linux does so
 * without reboot=acpi) gets its reset from the keyboard controller.
 */
static int load_reset_vector(struct gmem *m, struct err *e)
{
	static const uint8_t code[] = {
		0xb0, 0xfe, /* mov $0xfe, %al */
		0xe6, 0x64, /* out %al, $0x64 */
		0xf4, /* hlt */
		0xeb, 0xfd, /* jmp to the hlt */
	};

	if (!gmem_write(m, MAP_RESET_VECTOR, code, sizeof(code)))
		return err_set(e, -EFAULT, "no RAM for the reset vector");
	return 0;
}

int arch_load(struct arch_boot *b, struct gmem *m, struct err *e)
{
	struct boot_layout l;
	int rc;

	if (boot_place(&l, b, m, e) < 0)
		return e->code;
	if (b->kernel->how == KERNEL_PVH)
		rc = boot_pvh_load(b, &l, m, e);
	else
		rc = boot_linux_load(b, &l, m, e);
	if (rc < 0)
		return rc;
	if (l.initrd_len > 0 && image_load(b->initrd, 0, l.initrd_len, m, l.initrd, e) < 0)
		return e->code;
	if (load_cmdline(b, m, e) < 0 || load_reset_vector(m, e) < 0)
		return e->code;
	return acpi_load(b, m, e);
}

int arch_vcpu_enter(struct kvm_vcpu *v, const struct arch_boot *b, struct err *e)
{
	return regs_enter(v, b, e);
}

int arch_vcpu_init(struct kvm_vcpu *v, unsigned int index, const struct arch_boot *b,
		   const struct kvm_sys *sys, struct err *e)
{
	if (cpuid_init(v, index, &b->topology, sys, e) < 0 || msr_init(v, e) < 0)
		return e->code;
	if (index > 0)
		return 0; /* waits for INIT and SIPI, as KVM made it */
	return b->kernel->how == KERNEL_PVH ? regs_init_pvh(v, b, e) : regs_init_64(v, b, e);
}
