/*
 * kernel_cache.h - decompressed kernels, kept in $XDG_CACHE_HOME/vmm (or ~/.cache/vmm).
 *
 * An entry's name is a hash of the compressed payload, so that it is right whatever the image file
 * is called or when it was changed. Entries appear whole or not at all, and any number of VMMs may
 * use the directory at once. The cache is a help, never a need: where it cannot be written (no
 * home, a full disk, a read-only or strange file system) the kernel is decompressed into memory and
 * booted all the same. Main thread, while the machine is built.
 */
#ifndef VMM_BOOT_KERNEL_CACHE_H
#define VMM_BOOT_KERNEL_CACHE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vmm/base/err.h>

/* All entries together; the least recently used go. A larger kernel is never kept. */
#define KERNEL_CACHE_MAX_BYTES (UINT64_C(512) << 20)

/*
 * An open fd (close-on-exec, owned by the caller, position undefined) on the decompressed form of
 * payload[0..len), which must decompress to exactly out_len bytes: taken from the cache, or
 * decompressed now and put there. *hit says which. ERR_IMAGE if the payload is damaged, or of
 * another length than out_len: the text starts with "its ..." and wants the image's name in front.
 * A process with a limit on file sizes (ulimit -f) must ignore SIGXFSZ.
 */
int kernel_cache_get(int *fd, const uint8_t *payload, size_t len, uint64_t out_len, bool *hit,
		     struct err *e);

#endif
