/*
 * gmem.h - the one door to guest RAM.
 *
 * A guest-physical address is a number, never a pointer. Every access is proved to lie inside RAM
 * first; nothing is copied otherwise. The map is built before the first vCPU runs and does not
 * change while one does, so all accessors may be called on any thread without a lock. What the
 * guest writes at the same time is the guest's own business: read once, check, use.
 */
#ifndef VMM_MEM_GMEM_H
#define VMM_MEM_GMEM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <vmm/base/err.h>

typedef uint64_t gpa_t; /* a guest-physical address */
struct gmem;

#define GMEM_MAX_REGIONS 8

/*
 * Owned by the caller until gmem_destroy(), which accepts NULL and unmaps all RAM. What the guest
 * had there no other process gets to see: Linux zeroes each page before it hands it out again.
 */
int gmem_create(struct gmem **out, struct err *e);
void gmem_destroy(struct gmem *m);

/* Adds len zeroed bytes of RAM at base; both multiples of 4096; must not overlap what is there. */
int gmem_add_ram(struct gmem *m, gpa_t base, uint64_t len, struct err *e);

/*
 * All RAM that has been added stays out of swap, or may be merged with equal pages of this host:
 * see host/pages.h. Before any of it is used.
 */
int gmem_lock(struct gmem *m, struct err *e);
int gmem_merge(struct gmem *m, struct err *e);

/*
 * [at, at + len), all zeroes, becomes len bytes of a file, from off on, without copying: see
 * pages_map_file() in host/pages.h for what the file must be. Only while no vCPU runs. false and 0
 * in e->code: it has to be copied, and nothing has changed: not all of this is in one region of
 * RAM, or not in whole pages of 4096, or RAM is locked or merged, or 16 pieces are files already,
 * or the host cannot. Negative: this RAM is lost.
 */
bool gmem_map_file(struct gmem *m, gpa_t at, uint64_t len, int fd, uint64_t off, struct err *e);

/*
 * Back to zeroes, every byte, and no file any more: what a power cycle does. Only while no vCPU
 * runs. Fails if there is no memory to replace a file with.
 */
int gmem_clear(struct gmem *m, struct err *e);

/* Each region once, in the order added: for the kernel's memory slots. Stops at the first non-zero.
 */
typedef int (*gmem_region_fn)(void *arg, unsigned int index, gpa_t base, uint64_t len, void *host);
int gmem_each_region(const struct gmem *m, gmem_region_fn fn, void *arg);

/* Copies. false: not all of [at, at+len) is RAM, and nothing was copied. len 0 is true anywhere. */
bool gmem_read(const struct gmem *m, gpa_t at, void *dst, size_t len);
bool gmem_write(struct gmem *m, gpa_t at, const void *src, size_t len);

/*
 * One aligned access, in the guest's byte order (little-endian), for words that both sides use at
 * the same time: loads acquire, stores release. false: not RAM, or `at` is not a multiple of the
 * width; nothing was done.
 */
bool gmem_load_le16(const struct gmem *m, gpa_t at, uint16_t *out);
bool gmem_load_le32(const struct gmem *m, gpa_t at, uint32_t *out);
bool gmem_load_le64(const struct gmem *m, gpa_t at, uint64_t *out);
bool gmem_store_le16(struct gmem *m, gpa_t at, uint16_t val);
bool gmem_store_le32(struct gmem *m, gpa_t at, uint32_t val);
bool gmem_store_le64(struct gmem *m, gpa_t at, uint64_t val);

/*
 * The same bytes as pieces for readv(2) and its kind, for the kernel to fill or drain. Returns the
 * number of pieces (at most max), -1 when not all of it is RAM or max is too small.
 */
int gmem_iov(const struct gmem *m, gpa_t at, uint64_t len, struct iovec *iov, int max);

#endif
