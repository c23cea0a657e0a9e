/*
 * relocs.h - the table of places that change with the virtual address of a Linux kernel.
 *
 * Source: Linux, arch/x86/tools/relocs.c, which writes the table, and handle_relocations() in
 * arch/x86/boot/compressed/misc.c, which reads it: see src/arch/x86_64/relocs.c for the format. A
 * kernel has it behind its ELF, in the payload of the same bzImage, if it was built with
 * CONFIG_RANDOMIZE_BASE. Main thread, while the machine is built and at a reset.
 */
#ifndef VMM_ARCH_RELOCS_H
#define VMM_ARCH_RELOCS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vmm/boot/elf.h>

/* Linux has less than one MiB; a larger table is refused. */
#define RELOCS_MAX_BYTES (UINT64_C(16) << 20)

struct reloc_list {
	const uint32_t *site; /* ascending; borrowed from the table */
	size_t n;
};

struct relocs { /* zeroed: none */
	uint32_t *words; /* the whole table, owned */
	/* What to do with the slide there, and how wide the word is. */
	struct reloc_list plus64, minus32, plus32;
};

/* Is there one? Only its first two words are looked at. */
bool relocs_exist(const struct elf *elf, const struct image *img);

/*
 * Reads all of it, and checks that every place is inside the bytes that one of the segments has in
 * the file. ERR_IMAGE with what is wrong, in words that want the image's name in front; -ENOMEM.
 * *r is to be freed in any case.
 */
int relocs_read(struct relocs *r, const struct elf *elf, const struct image *img, struct err *e);
void relocs_free(struct relocs *r);
size_t relocs_count(const struct relocs *r);

/*
 * Adds to *quiet, up to its end, the stretches of whole pages, IMAGE_MIN_MAP bytes and more, in
 * which relocs_apply() changes nothing, of the elf that relocs_read() got. None above 2 GiB, where
 * no kernel runs; none without memory. There, Linux keeps what it hardly ever looks at: type
 * information and tables for stack traces, and what fills up text.
 */
void relocs_find_quiet(const struct relocs *r, const struct elf *elf, struct elf_quiet *quiet);

/*
 * The segments of elf, which was what relocs_read() got, have been loaded `shift` bytes above their
 * addresses, and all of [lowest, end) is RAM there: changes them into those of a kernel that is
 * linked to run `slide` bytes further up. Nothing but the segments is written.
 */
void relocs_apply(const struct relocs *r, const struct elf *elf, struct gmem *m, uint64_t shift,
		  uint64_t slide);

#endif
