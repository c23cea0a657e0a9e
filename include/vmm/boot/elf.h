/*
 * elf.h - a 64-bit ELF executable as a kernel: checked headers, segments into guest RAM, PVH note.
 *
 * Source: ELF-64 Object File Format 1.5; Xen's docs/misc/pvh.pandoc for XEN_ELFNOTE_PHYS32_ENTRY.
 * Main thread, while the machine is built.
 */
#ifndef VMM_BOOT_ELF_H
#define VMM_BOOT_ELF_H
#include <stdbool.h>
#include <vmm/boot/image.h>

#define ELF_MAX_SEGMENTS 64

struct elf_segment { /* one PT_LOAD with p_memsz > 0 */
	uint64_t off; /* in the file */
	uint64_t file_len;
	gpa_t at; /* p_paddr */
	uint64_t mem_len; /* >= file_len; the rest is zero */
};

struct elf {
	uint64_t entry; /* e_entry, as the file has it (Linux: physical) */
	bool has_pvh;
	uint32_t pvh_entry; /* physical, 32-bit protected mode; only if has_pvh */
	gpa_t lowest, end; /* the segments lie in [lowest, end) */
	uint64_t file_end; /* of the ELF, in the file: something else may follow */
	unsigned int n_segments;
	struct elf_segment segment[ELF_MAX_SEGMENTS]; /* sorted by `at`, not overlapping */
};

/*
 * Reads and checks every header that loading will rely on. e_machine must be `machine` (EM_X86_64,
 * EM_AARCH64), the class 64-bit, the data little-endian, the type ET_EXEC or ET_DYN. Segments that
 * overlap, wrap or reach beyond the file, malformed or endless notes: ERR_IMAGE, with what was
 * found and what was expected; so is an entry outside every segment: of pvh_entry if has_pvh
 * (`entry` may then be a virtual address and is not checked), of `entry` otherwise.
 */
int elf_parse(struct elf *elf, const struct image *img, uint16_t machine, struct err *e);

/* Is this physical address in a segment? */
bool elf_has(const struct elf *elf, uint64_t addr);

#define ELF_MAX_QUIET 16

/* Stretches of the segments' bytes that hardly anybody will write to: of whole pages, ascending. */
struct elf_quiet {
	unsigned int n;
	struct elf_range {
		gpa_t at; /* as linked */
		uint64_t len;
	} range[ELF_MAX_QUIET];
};

/*
 * Brings the segments into RAM, which is all zero, each to `shift` bytes above its address. Copies,
 * but for what is in `quiet`, which is image_map()'s: so the image must be a file of ours if there
 * is any. ERR_IMAGE where a segment lies outside RAM.
 */
int elf_load(const struct elf *elf, const struct image *img, const struct elf_quiet *quiet,
	     struct gmem *m, uint64_t shift, struct err *e);

#endif
