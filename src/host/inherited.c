/*
 * inherited.c - descriptors that whoever started us has left open, by mistake or to be opened by
 * path (/dev/fd/N).
 *
 * Life of a VM: noted in the first lines of main, closed when everything that has a name has been
 * opened: a guest that breaks out must not find what was never meant for it. Main thread.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <vmm/host/inherited.h>

#define MAX_FD 4096

/* A bit each; beyond these numbers nobody leaves one by mistake. Written before there are threads.
 */
static uint64_t noted[MAX_FD / 64];

static void note(int fd)
{
	if (fd > STDERR_FILENO && fd < MAX_FD)
		noted[fd / 64] |= UINT64_C(1) << fd % 64;
}

void inherited_note(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *entry;

	if (!d) { /* no /proc: by trying */
		for (int fd = 0; fd < MAX_FD; fd++) {
			if (fcntl(fd, F_GETFD) >= 0)
				note(fd);
		}
		return;
	}
	while ((entry = readdir(d))) {
		int fd = atoi(entry->d_name);

		if (fd != dirfd(d))
			note(fd);
	}
	closedir(d);
}

void inherited_close(void)
{
	for (int fd = 0; fd < MAX_FD; fd++) {
		if (noted[fd / 64] == 0) {
			fd += 63 - fd % 64;
			continue;
		}
		if (noted[fd / 64] >> fd % 64 & 1)
			close(fd);
	}
	for (unsigned int i = 0; i < MAX_FD / 64; i++)
		noted[i] = 0;
}
