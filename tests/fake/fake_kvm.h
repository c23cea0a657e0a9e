/*
 * fake_kvm.h - a double of src/kvm: the guest is a function of the test.
 *
 * Defines everything that kvm_sys.h, kvm_vm.h, kvm_vcpu.h and kvm_state.h declare (fake_kvm_irq.c:
 * interrupts and notifications); kvm_irq.c and kvm_ioeventfd.c are the real ones. Each vCPU's
 * thread calls the guest function where KVM would enter the guest; what that leaves in struct
 * kvm_run is the exit. As with KVM, an access to a port or to memory is half an instruction until
 * the next kvm_vcpu_run(), and a signal or immediate_exit interrupts a vCPU that sits in the guest.
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
#define FAKE_KVM_IRQFDS 64
#define FAKE_KVM_IOEVENTFDS 64
#define FAKE_KVM_MSIS 64
#define FAKE_GUEST_HALTS 1 /* what a guest function returns to sit in the guest until kicked */

/*
 * One stay in the guest of vCPU `id`, on its thread. boot: how many resets there were before; step:
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
	unsigned int insn_len; /* the test's: by so much rip moves when one is finished */
};

/* What the present VM has for interrupts and notifications. Look at it by the functions below. */
struct fake_kvm_irqs {
	struct kvm_irq_routing_entry routes[512];
	unsigned int n_routes; /* 0: KVM's own */
	unsigned int n_updates; /* of all routes */
	struct kvm_irqfd irqfd[FAKE_KVM_IRQFDS];
	unsigned int n_irqfds;
	struct kvm_ioeventfd ioeventfd[FAKE_KVM_IOEVENTFDS];
	unsigned int n_ioeventfds;
	struct kvm_msi
		msi[FAKE_KVM_MSIS]; /* signalled one by one; the last ones, round and round */
	unsigned int n_msis;
	unsigned int n_mistakes; /* what a kernel refuses because it makes no sense */
	unsigned int last_gsi; /* of kvm_vm_irq_line() */
};

struct fake_kvm {
	/* The test's: set before use. */
	fake_guest_fn guest;
	int lacks; /* KVM_CAP_* that kvm_sys_cap() answers with 0 */
	bool no_irqfd, no_ioeventfd, no_any_length, no_signal_msi, no_routing; /* further ones */
	unsigned int max_routes;
	/* Errors (positive) of these calls; 0: they work. refused_msi: an upper half of an address
	 * that no route may have. */
	int irqfd_error, ioeventfd_error, routing_error;
	uint32_t refused_msi;
	unsigned int max_vcpus, max_vcpu_id;
	uint32_t tsc_khz;
	struct kvm_cpuid_entry2 cpuid[64]; /* what this KVM supports */
	unsigned int n_cpuid;
	unsigned int fail_at; /* the n-th call that can fail does; 0: none */

	/* What has happened; guarded by atomic access where threads are involved. */
	unsigned int n_calls; /* that can fail */
	bool failed; /* fail_at was reached */
	unsigned int n_boots; /* VMs made, and put back */
	unsigned int n_made; /* VMs and vCPUs */
	int n_vms, n_vcpus; /* alive */
	bool has_irqchip, x2apic_ids;
	unsigned int n_slots;
	struct {
		uint64_t gpa, len;
	} slot[8];
	unsigned int n_irq_edges; /* kvm_vm_irq_line() with level true */
	struct fake_kvm_irqs irqs; /* guarded by a lock of its own */
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

/* A copy of what there is now. */
struct fake_kvm_irqs fake_kvm_irqs(void);
/*
 * The messages that the guest has got since the last call, by whatever way; the last one is in
 * *last. An irqfd whose GSI has no route is a mistake.
 */
unsigned int fake_kvm_take_msis(struct kvm_msi *last);
/* The edges that pin `gsi` has got since the last call, by irqfd. */
unsigned int fake_kvm_take_pulses(unsigned int gsi);
/* The eventfd behind a guest's write; -1: it would exit. */
int fake_kvm_find_ioeventfd(uint64_t address, uint32_t width, uint64_t value);

/* Between the two files of this double. */
void fake_kvm_forget_irqs(void);
void fake_kvm_check_irqs_are_reset(void); /* what is left of the guest counts as mistakes */
void fake_kvm_line_raised(unsigned int gsi);

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
