/*
 * fake_kernel.h - the smallest files that pass for kernels, for tests that need one to open.
 */
#ifndef TESTS_FAKE_KERNEL_H
#define TESTS_FAKE_KERNEL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_KERNEL_AT 0x1000000u /* its one segment: 16 MiB */
#define FAKE_KERNEL_LEN 0x2000u
#define FAKE_KERNEL_ENTRY (FAKE_KERNEL_AT + 0x10)
#define FAKE_KERNEL_PVH_ENTRY (FAKE_KERNEL_AT + 0x20)
#define FAKE_KERNEL_BYTE(i) ((uint8_t)((i)*7 + 1)) /* what the segment holds at i */

/* The path of a new temporary file with these bytes, to be unlinked and freed by the caller. */
char *fake_file(const void *data, size_t len);
/* A vmlinux: an ELF with one segment, with or without a PVH note. */
char *fake_kernel(bool pvh);
/*
 * A Linux with a table of relocations: an ELF as that of fake_kernel(), the words behind it, and,
 * if bz, all that as the payload of a relocatable bzImage.
 */
char *fake_linux(bool bz, bool pvh, const uint32_t *table, size_t n_words);
/* A bzImage without a payload, which can only unpack itself. */
#define FAKE_BZIMAGE_PM_LEN 0x3000u
#define FAKE_BZIMAGE_INIT_SIZE 0x800000u
char *fake_bzimage(uint64_t pref_address, bool relocatable, bool has_64, uint32_t initrd_max);

#endif
