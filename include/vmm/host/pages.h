/*
 * pages.h - anonymous memory for guest RAM, with guard pages around it.
 */
#ifndef VMM_HOST_PAGES_H
#define VMM_HOST_PAGES_H
#include <stddef.h>
#include <vmm/base/err.h>

/*
 * Maps len bytes (a multiple of 4096) of zeroed private memory, aligned to 2 MiB, with an
 * inaccessible guard of at least 2 MiB on either side. Nothing is touched or reserved; transparent
 * huge pages are asked for, and the memory is left out of core dumps. *out is owned by the caller.
 */
int pages_map(void **out, size_t len, struct err *e);

/* Unmaps what pages_map() gave, guards included. NULL is fine. */
void pages_unmap(void *p, size_t len);

/* Gives every page back to the host: reads as zeros afterwards, as fresh. */
void pages_discard(void *p, size_t len);

#endif
