/*
 * memfd.c - files without a name, for guests that are built in: what loads or opens files reads
 * them like any other.
 *
 * Life of a VM: before it is built. Main thread.
 */
#include "cli.h"
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* A limit on the size of files makes it short. */
static int write_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int cli_memfd(char path[CLI_PATH_MAX], const char *name, const void *data, size_t len, size_t size,
	      struct err *e)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		return err_errno(e, "%s: memfd_create", name);
	if (write_all(fd, data, len) < 0 || ftruncate(fd, (off_t)size) < 0) {
		err_errno(e, "%s: in memory", name);
		close(fd);
		return e->code;
	}
	snprintf(path, CLI_PATH_MAX, "/proc/self/fd/%d", fd);
	return fd;
}
