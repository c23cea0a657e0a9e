/*
 * image.h - a file that is to be booted or loaded: opened once, read by position, never trusted.
 *
 * Main thread, while the machine is built and at a reset. Nothing that is not ours is mapped: a
 * file that shrinks under us gives a short read and a clear error, not SIGBUS.
 */
#ifndef VMM_BOOT_IMAGE_H
#define VMM_BOOT_IMAGE_H
#include <stddef.h>
#include <stdint.h>
#include <vmm/base/err.h>
#include <vmm/mem/gmem.h>

enum image_kind {
	IMAGE_UNKNOWN, /* neither of these; image_describe() says what it looks like */
	IMAGE_BZIMAGE, /* "HdrS" at 0x202: Linux, Documentation/arch/x86/boot.rst */
	IMAGE_ELF, /* a vmlinux, or any other freestanding ELF */
};

#define IMAGE_MAX_HOLES 32
#define IMAGE_MIN_MAP (UINT64_C(1) << 20) /* half of a large page; less is copied */

struct image_hole { /* bytes that the file does not have, and that read as zero */
	uint64_t off, len;
};

struct image {
	int fd; /* -1: closed */
	uint64_t size; /* bytes; as it was when opened */
	const uint8_t *bytes; /* all of them, where they were read before; borrowed; NULL: they are
				 in the file */
	unsigned int n_holes; /* image_load() leaves out; 0 unless they have been looked for */
	struct image_hole hole[IMAGE_MAX_HOLES]; /* ascending */
	char name[128]; /* for messages: the path, cut at the front if long */
};

/*
 * Opens a regular file for reading; never waits. The caller closes. Errors name the path; ERR_IMAGE
 * for a directory, pipe or device.
 */
int image_open(struct image *img, const char *path, struct err *e);

/* Takes over an fd that we made ourselves (a decompressed kernel); closes it on failure, too. */
int image_from_fd(struct image *img, int fd, const char *name, struct err *e);

/*
 * Looks for the file's holes, so that loading it does not copy them: the first 32 of at least 64
 * KiB. Where the file system cannot tell, there are none.
 */
void image_find_holes(struct image *img);

/* Zeroed (fd 0 is never an image's) or closed ones are fine. */
void image_close(struct image *img);

/* Reads exactly [off, off+len). ERR_IMAGE "NAME: truncated: ..." if the file has no such bytes. */
int image_read(const struct image *img, uint64_t off, void *dst, size_t len, struct err *e);

/* The same, into guest RAM that is all zero: holes are left out. ERR_IMAGE when [at, at+len) is not
 * all RAM; says both ranges. */
int image_load(const struct image *img, uint64_t off, uint64_t len, struct gmem *m, gpa_t at,
	       struct err *e);

/*
 * The same, but what it can it maps, and does not copy (gmem_map_file()): what fills large pages of
 * the guest by half and more, for there is no large page where a file is. For a file of ours, which
 * nobody changes, and bytes that the guest hardly writes to.
 */
int image_map(const struct image *img, uint64_t off, uint64_t len, struct gmem *m, gpa_t at,
	      struct err *e);

/* Tells the kind by content. An I/O error is reported; a short or empty file is IMAGE_UNKNOWN. */
int image_probe(const struct image *img, enum image_kind *kind, struct err *e);

/* What an unknown file looks like, for the user: "an empty file", "text", "a gzip file", ... */
const char *image_describe(const struct image *img);

#endif
