/*
 * kernel_cache.h - decompressed kernels, kept in $XDG_CACHE_HOME/vmm (or ~/.cache/vmm).
 *
 * An entry's name is a hash of the image that it was unpacked from, so that it is right whatever
 * the file is called or when it was changed. Files that have been hashed are remembered. Entries
 * appear whole or not at all, and any number of VMMs may use the directory at once. The cache is a
 * help, never a need: where it cannot be written (no home, a full disk, a read-only or strange file
 * system) the kernel is decompressed into memory and booted all the same. Main thread, while the
 * machine is built.
 *
 * Who unpacks need not be who has the directory: see kernel_cache_let_ask().
 */
#ifndef VMM_BOOT_KERNEL_CACHE_H
#define VMM_BOOT_KERNEL_CACHE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vmm/base/err.h>

/* All entries together; the least recently used go. A larger kernel is never kept. */
#define KERNEL_CACHE_MAX_BYTES (UINT64_C(512) << 20)

struct kernel_cache;

/*
 * Looks for the unpacked form of the file behind fd, an image, by what is remembered of such files.
 * *out: owned by the caller; NULL: out of memory, which is no failure: all other functions take it
 * as "no cache".
 */
void kernel_cache_open(struct kernel_cache **out, int fd);
/* true: there is an entry, and nobody need read the image. */
bool kernel_cache_found(const struct kernel_cache *c);
/* Looks for it by the image's bytes, all of which have been read from fd since the opening. */
void kernel_cache_find(struct kernel_cache *c, int fd, const uint8_t *image, size_t len);
void kernel_cache_close(struct kernel_cache *c);

/* What takes the directory. */
enum kernel_cache_job {
	KERNEL_CACHE_MAKE, /* an empty file with room for size bytes, writable */
	KERNEL_CACHE_KEEP, /* that file is complete: it becomes the entry, which comes back,
			      read-only */
};
/* Does such a job. *give: a descriptor, the caller's. 0 or -errno. */
int kernel_cache_do(struct kernel_cache *c, enum kernel_cache_job job, uint64_t size, int *give);

/* This process will not reach the directory: it asks another one, where kernel_cache_do() runs on
 * its c. */
typedef int (*kernel_cache_ask_fn)(void *arg, enum kernel_cache_job job, uint64_t size, int *give);
void kernel_cache_let_ask(struct kernel_cache *c, kernel_cache_ask_fn ask, void *arg);

struct kernel_cache_payload {
	const uint8_t *data; /* compressed */
	size_t len;
	uint64_t out_len; /* unpacked, by the image's header */
};

/*
 * The entry that was found, if it has out_len bytes: *fd is an open fd (close-on-exec, owned by the
 * caller, position undefined). Otherwise false, and *fd is -1.
 */
bool kernel_cache_take(struct kernel_cache *c, uint64_t out_len, int *fd);

/*
 * Unpacks the payload now, into the cache if that can be: *fd as above. ERR_IMAGE if the payload is
 * damaged, or of another length than out_len: the text starts with "its ..." and wants the image's
 * name in front. A process with a limit on file sizes (ulimit -f) must ignore SIGXFSZ.
 */
int kernel_cache_make(struct kernel_cache *c, int *fd, const struct kernel_cache_payload *p,
		      struct err *e);

#endif
