/*
 * pages.h - anonymous memory for guest RAM, with guard pages around it; files in it.
 */
#ifndef VMM_HOST_PAGES_H
#define VMM_HOST_PAGES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vmm/base/err.h>

/*
 * Maps len bytes (a multiple of 4096) of zeroed private memory, aligned to 2 MiB, with an
 * inaccessible guard of at least 2 MiB on either side. Nothing is touched or reserved; transparent
 * huge pages are asked for, and the memory is left out of core dumps. It can be read and written,
 * never executed. *out is owned by the caller.
 */
int pages_map(void **out, size_t len, struct err *e);

/*
 * From now on a page that has been touched stays in RAM: nothing of it gets to a swap device
 * (mlock2(2), MLOCK_ONFAULT). Nothing is touched for that. It holds over pages_discard().
 * -ENOMEM, -EPERM: RLIMIT_MEMLOCK does not allow so much.
 */
int pages_lock(void *p, size_t len, struct err *e);

/*
 * Lets KSM merge pages that are equal to other ones of this host, of other processes, too.
 * -EINVAL: a kernel without it.
 */
int pages_merge(void *p, size_t len, struct err *e);

/*
 * [p, p + len), untouched pages of what pages_map() gave, get the bytes of a file from off on, a
 * multiple of 4096: pages which all processes that have this file mapped share, until somebody
 * writes to one and has a copy of his own. The file must neither change nor shrink while they are
 * mapped. true: done. false and 0 in e->code: the host cannot, and all is zeroes there; negative:
 * nor can it bring back what was there.
 */
bool pages_map_file(void *p, size_t len, int fd, uint64_t off, struct err *e);

/* Zeroes again, and no file's. After a failure there may be nothing at all there. */
int pages_unmap_file(void *p, size_t len, struct err *e);

/*
 * Unmaps what pages_map() gave, guards included. NULL is fine. Nobody reads there what was left
 * behind: Linux zeroes a page before another process gets it.
 */
void pages_unmap(void *p, size_t len);

/*
 * Reads as zeros afterwards, as fresh. Every page goes back to the host, but for locked ones on a
 * kernel older than 5.18, which are overwritten instead.
 */
void pages_discard(void *p, size_t len);

#endif
