/*
 * arch.h - what the machine needs to know of an architecture, and nothing more.
 *
 * Each architecture implements these functions below src/arch/; no other file asks which one it is.
 * All of them run on the main thread while no vCPU thread exists (arch_load() again while they are
 * parked), except arch_exit_describe(), arch_vcpu_pc() and arch_vcpu_dump(), which a vCPU thread
 * calls for itself.
 */
#ifndef VMM_ARCH_ARCH_H
#define VMM_ARCH_ARCH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vmm/base/err.h>
#include <vmm/boot/image.h>
#include <vmm/dev/board.h>
#include <vmm/kvm/kvm_vcpu.h>
#include <vmm/kvm/kvm_vm.h>
#include <vmm/mem/gmem.h>

struct cpu_topology { /* each at least 1 */
	unsigned int sockets, cores, threads; /* per machine, per socket, per core */
};

static inline unsigned int cpu_topology_total(const struct cpu_topology *t)
{
	return t->sockets * t->cores * t->threads;
}

enum boot_mode {
	BOOT_DIRECT, /* what is compressed is unpacked by us */
	BOOT_COMPRESSED, /* the guest runs its own decompressor */
};

/*
 * A kernel: opened by path while there is leave to do so, a few bytes looked at; then, where there
 * need be no paths any more, recognised, checked and, if need be, unpacked. What is below
 * arch_kernel_read() is for one that has been read.
 */
struct kernel;
struct kernel_cache;
int arch_kernel_open(struct kernel **out, const char *path, enum boot_mode mode, struct err *e);
void arch_kernel_close(struct kernel *k); /* NULL is fine */
/* Where its unpacked form is kept; borrowed; NULL: nowhere. */
struct kernel_cache *arch_kernel_cache(const struct kernel *k);
/* It will not be read in this process: gives back the memory for that. */
void arch_kernel_forget(struct kernel *k);
int arch_kernel_read(struct kernel *k, struct err *e);
/* Longest command line that this kernel takes, in bytes without the NUL. */
size_t arch_kernel_cmdline_max(const struct kernel *k);
/* One or several lines for `vmm doctor --kernel`: what the file is, how it would be entered. */
void arch_kernel_describe(const struct kernel *k, char *buf, size_t size);
/* Where the bytes of the unpacked kernel are, for looking into; NULL: only a compressed form is
 * there. */
const struct image *arch_kernel_unpacked(const struct kernel *k);

/* The command line that --append adds to; static. */
const char *arch_default_cmdline(const struct cpu_topology *t);

/* Lays `bytes` of RAM out in the guest's address space. */
int arch_add_ram(struct gmem *m, uint64_t bytes, struct err *e);

/* Where the board has its PCI windows and virtio-mmio slots beside so much RAM. */
void arch_board(uint64_t ram_bytes, struct board *out);

/* -EINVAL, with the limit named, if this KVM cannot have such CPUs. */
int arch_check_topology(const struct cpu_topology *t, const struct kvm_sys *sys, struct err *e);

/* A fresh VM, before its first vCPU: interrupt controllers and what else the hardware wants. */
int arch_vm_init(struct kvm_vm *vm, const struct cpu_topology *t, struct err *e);

/* The number by which KVM and the guest know the index-th vCPU. */
unsigned int arch_vcpu_id(const struct cpu_topology *t, unsigned int index);

struct arch_boot {
	const struct kernel *kernel;
	const struct image *initrd; /* NULL: none */
	const char *cmdline;
	struct cpu_topology topology;
	struct board board;
	uint32_t mmio_slots; /* bit n: there is a virtio-mmio device in slot n */
	uint64_t entry,
		argument; /* out: where the first vCPU starts, and with what in its register */
	bool no_kaslr; /* arch_load()'s own: it could not be done, which has been told */
};

/*
 * Kernel, initrd, command line and description of the hardware into RAM, which is all zero. Again
 * at each reset: the kernel's place, and so the entry, may be another one then, for which there is
 * arch_vcpu_enter().
 */
int arch_load(struct arch_boot *b, struct gmem *m, struct err *e);

/* CPUID and first registers of the index-th vCPU; the first one starts the kernel, the others wait.
 */
int arch_vcpu_init(struct kvm_vcpu *v, unsigned int index, const struct arch_boot *b,
		   const struct kvm_sys *sys, struct err *e);

/* After a reset, the first vCPU: entry and argument as arch_load() has set them, all else put back.
 */
int arch_vcpu_enter(struct kvm_vcpu *v, const struct arch_boot *b, struct err *e);

/* What the exit was, in one line without newline: for --trace and for errors. Any size of buffer.
 */
void arch_exit_describe(const struct kvm_run *run, char *buf, size_t size);

/* The linear address of the next instruction; 0 if KVM does not say. The vCPU's own thread. */
uint64_t arch_vcpu_pc(const struct kvm_vcpu *v);

/* Registers and the bytes at the program counter, several lines. */
void arch_vcpu_dump(const struct kvm_vcpu *v, const struct gmem *m, char *buf, size_t size);

#endif
