/*
 * clocks.c - a library that is preloaded into a VMM: it notes when KVM_CREATE_VM and the first
 * KVM_RUN are called.
 *
 * Run by watch.c (-p), in whatever VMM is linked to the C library as its own file. It stands in
 * front of that one's ioctl(), and makes no system call of its own once main() runs: where the VMM
 * is in a jail by then, a page that is shared with watch.c is all that it needs, and the clock is
 * read without the kernel.
 */
#include "clocks.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static struct clocks *clocks;
static int (*next)(int fd, unsigned long request, ...);

int ioctl(int fd, unsigned long request, ...);

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv(CLOCKS_VARIABLE);
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	next = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	if (fd < 0)
		return;
	clocks = mmap(NULL, sizeof(*clocks), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (clocks == MAP_FAILED)
		clocks = NULL;
	close(fd);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *argument;
	int result;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	if (!clocks)
		return next(fd, request, argument);
	if (request == KVM_RUN && !clocks->first_run)
		clocks->first_run = now();
	if (request != KVM_CREATE_VM || clocks->create_vm)
		return next(fd, request, argument);
	clocks->create_vm = now();
	result = next(fd, request, argument);
	clocks->create_vm_end = now();
	return result;
}
