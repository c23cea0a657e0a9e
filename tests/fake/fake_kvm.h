/*
 * fake_kvm.h - a double of src/kvm: the guest is a function of the test.
 *
 * Defines everything that vmm/kvm/ declares. Each vCPU's thread calls the guest function where KVM
 * would enter the guest; what that leaves in struct kvm_run is the exit. As with KVM, an access to
 * a port or to memory is half an instruction until the next kvm_vcpu_run(), and a signal or
 * immediate_exit interrupts a vCPU that sits in the guest.
 */
#ifndef TESTS_FAKE_KVM_H
#define TESTS_FAKE_KVM_H
#include <stdbool.h>
#include <stdint.h>
#include <vmm/kvm/kvm_sys.h>
#include <vmm/kvm/kvm_vcpu.h>
#include <vmm/kvm/kvm_vm.h>

#define FAKE_KVM_CPUS 8 /* so many vCPUs are remembered; there may be more */
#define FAKE_KVM_RUN_SIZE 8192u
#define FAKE_KVM_CPUID_ENTRIES 512
#define FAKE_GUEST_HALTS 1 /* what a guest function returns to sit in the guest until kicked */

/*
 * One stay in the guest of vCPU `id`, on its thread. boot: how many VMs there were before; step:
 * how many stays of this vCPU since then. 0: an exit, described in run; FAKE_GUEST_HALTS; -errno:
 * KVM_RUN fails.
 */
typedef int (*fake_guest_fn)(unsigned int id, unsigned int boot, unsigned int step,
			     struct kvm_run *run);

struct fake_kvm_cpu { /* what is known of the vCPU with this id, also after its end */
	struct kvm_cpuid2 *cpuid; /* as set last; freed by fake_kvm_fini() */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	unsigned int n_completed; /* port and memory reads that KVM has finished */
	uint64_t completed; /* the value of the last one */
	bool pending; /* one is half done now */
};

struct fake_kvm {
	/* The test's: set before use. */
	fake_guest_fn guest;
	int lacks; /* KVM_CAP_* that kvm_sys_cap() answers with 0 */
	unsigned int max_vcpus, max_vcpu_id;
	uint32_t tsc_khz;
	struct kvm_cpuid_entry2 cpuid[64]; /* what this KVM supports */
	unsigned int n_cpuid;
	unsigned int fail_at; /* the n-th call that can fail does; 0: none */

	/* What has happened; guarded by atomic access where threads are involved. */
	unsigned int n_calls; /* that can fail */
	bool failed; /* fail_at was reached */
	unsigned int n_boots; /* VMs made */
	int n_vms, n_vcpus; /* alive */
	bool has_irqchip, x2apic_ids;
	unsigned int n_slots;
	struct {
		uint64_t gpa, len;
	} slot[8];
	unsigned int n_irq_edges; /* kvm_vm_irq_line() with level true */
	struct fake_kvm_cpu cpu[FAKE_KVM_CPUS];
};
extern struct fake_kvm fake_kvm;

/* A host with everything, an Intel CPU and a guest that halts. */
void fake_kvm_init(void);
void fake_kvm_fini(void);
/* Other sets of supported CPUID leaves. */
void fake_kvm_be_intel(void);
void fake_kvm_be_amd(void);

/* The leaf as the vCPU has got it; NULL: it has not. */
const struct kvm_cpuid_entry2 *fake_kvm_leaf(unsigned int id, uint32_t function, uint32_t index);

/* Exits, for guest functions. Each returns 0. */
int guest_out(struct kvm_run *run, uint16_t port, uint8_t val);
int guest_in(struct kvm_run *run, uint16_t port);
int guest_print(struct kvm_run *run, const char *text); /* rep outsb to COM1 */
int guest_mmio(struct kvm_run *run, uint64_t at, bool write, uint64_t val, uint32_t len);
int guest_exit(struct kvm_run *run, uint32_t reason);

/* Threads and open file descriptors of this process. */
unsigned int count_threads(void);
unsigned int count_fds(void);

#endif
