/*
 * bug.c - how the VMM dies of its own mistakes: one line, then SIGILL.
 *
 * Life of a VM: never, we hope. Any thread.
 */
#include <stdio.h>
#include <vmm/base/bug.h>

void vmm_bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "vmm: BUG at %s:%d: %s\n", file, line, what);
	__builtin_trap(); /* abort() takes system calls, which a thread in the jail has not */
}
