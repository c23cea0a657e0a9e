/*
 * fault.h - makes the n-th call of src/ into the host fail.
 *
 * Not by a double: a copy of libvmm.a in which every name that tests/fault/calls lists is renamed
 * (malloc to fault_malloc) is linked with fault.c, whose functions count, and fail when it is time
 * or call the real thing. So only our own calls fail, not those of the C library, of a sanitizer or
 * of the test. Calls of all threads count together.
 */
#ifndef TESTS_FAULT_FAULT_H
#define TESTS_FAULT_FAULT_H
#include <stdbool.h>

struct fault_seen {
	unsigned int n_calls; /* since fault_arm() */
	const char *failed; /* the name of the call that failed first; NULL: none */
	unsigned long request; /* that of an ioctl, fcntl, prctl or syscall */
	int error; /* the errno that it gave */
};

/*
 * From now on calls count, and the n-th fails; 0: none does. forever: and all of that name after
 * it, as when memory or file descriptors have run out.
 */
void fault_arm(unsigned int n, bool forever);
/* This process will go to jail: fewer calls fail. */
void fault_expect_jail(void);
/* Whether it has been forked from the one that was armed. */
bool fault_is_child(void);
/* Calls work again. What there was. */
struct fault_seen fault_disarm(void);

#endif
