/*
 * eventfd.h - the reader's end of an eventfd.
 */
#ifndef VMM_HOST_EVENTFD_H
#define VMM_HOST_EVENTFD_H
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>
#include <vmm/base/bug.h>

/* Has anybody written to it since the last time? From here on, nobody has. fd does not block. Any
 * thread. Source: eventfd(2). */
static inline bool eventfd_take(int fd)
{
	uint64_t n;
	bool any = read(fd, &n, sizeof(n)) > 0;

	VMM_BUG_ON(!any && errno != EAGAIN);
	return any;
}

#endif
