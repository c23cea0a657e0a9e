/*
 * x86.h - private to src/arch/x86_64: what its files offer to each other.
 */
#ifndef VMM_ARCH_X86_64_X86_H
#define VMM_ARCH_X86_64_X86_H
#include <stdbool.h>
#include <vmm/arch/arch.h>
#include <vmm/arch/bzimage.h>
#include <vmm/boot/elf.h>

enum kernel_how { /* how the first vCPU enters */
		  KERNEL_PVH, /* 32-bit, the PVH note's entry */
		  KERNEL_64, /* a vmlinux at its 64-bit entry, with boot_params */
		  KERNEL_BZIMAGE, /* the bzImage's own decompressor at its 64-bit entry */
};

struct kernel {
	enum boot_mode mode;
	enum image_kind kind;
	enum kernel_how how;
	struct image file; /* as given */
	uint8_t *bytes; /* of a bzImage that we unpack: all of the file, from when it was opened */
	struct kernel_cache *cache; /* for those; may be NULL */
	struct image unpacked; /* fd -1 unless we unpacked it */
	bool has_bz;
	struct bzimage bz;
	struct elf elf; /* of file or unpacked; not for KERNEL_BZIMAGE */
};

/* Memory map, as both boot protocols want it (e820 types). */
#define E820_RAM 1
#define E820_RESERVED 2
#define E820_ACPI 3
#define E820_MAX 16
struct e820_entry {
	uint64_t at, len;
	uint32_t type;
};
unsigned int e820_build(struct e820_entry *map, const struct gmem *m);
/* Bytes of RAM from 0 to the hole below 4 GiB. */
uint64_t e820_low_ram(const struct gmem *m);

struct boot_layout { /* what boot_place() decided */
	gpa_t kernel; /* KERNEL_BZIMAGE: where the protected-mode part goes */
	gpa_t initrd;
	uint64_t initrd_len; /* 0: none */
	gpa_t room_end; /* up to there a kernel may be moved */
	bool kaslr; /* these have been drawn: */
	uint64_t slide, shift; /* bytes; added to its virtual, and to its physical addresses */
};
int boot_place(struct boot_layout *l, const struct arch_boot *b, const struct gmem *m,
	       struct err *e);
int boot_linux_load(struct arch_boot *b, struct boot_layout *l, struct gmem *m, struct err *e);
int boot_pvh_load(struct arch_boot *b, struct boot_layout *l, struct gmem *m, struct err *e);

/* Has this kernel what it takes? Whether its relocations are good, loading shows. */
bool kaslr_can(const struct kernel *k);
/*
 * The vmlinux into RAM: slid, if it can be and the command line does not forbid it; then l->kaslr
 * is set. What keeps it from being slid is logged, and no error.
 */
int kaslr_load(struct arch_boot *b, struct boot_layout *l, struct gmem *m, struct err *e);
/* For tests: draws l->slide and l->shift. */
void kaslr_choose(struct boot_layout *l, const struct arch_boot *b, const uint64_t random[2]);

/* ACPI tables at MAP_ACPI, for b->topology, b->board and b->mmio_slots. */
int acpi_load(const struct arch_boot *b, struct gmem *m, struct err *e);

int cpuid_init(struct kvm_vcpu *v, unsigned int index, const struct cpu_topology *t,
	       const struct kvm_sys *sys, struct err *e);
int msr_init(struct kvm_vcpu *v, struct err *e);
int regs_init_pvh(struct kvm_vcpu *v, const struct arch_boot *b, struct err *e);
int regs_init_64(struct kvm_vcpu *v, const struct arch_boot *b, struct err *e);
/* Entry and argument alone. */
int regs_enter(struct kvm_vcpu *v, const struct arch_boot *b, struct err *e);
/* The GDT and the page tables that regs_init_64() points to. */
int regs_load_tables(struct gmem *m, struct err *e);

/* xAPIC ids end at 254, and 255 addresses all CPUs. */
bool topology_needs_x2apic_ids(const struct cpu_topology *t);

/* Bits of the APIC id that number threads in a core, and cores in a socket. */
unsigned int topology_thread_bits(const struct cpu_topology *t);
unsigned int topology_core_bits(const struct cpu_topology *t);

#endif
