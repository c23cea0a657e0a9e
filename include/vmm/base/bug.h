/*
 * bug.h - the third kind of failure: a mistake of ours.
 *
 * Life of a VM: any time, any thread. Always compiled in; the condition must have no side effects.
 * Never for what a guest, a file, an option or the host can bring about.
 */
#ifndef VMM_BASE_BUG_H
#define VMM_BASE_BUG_H

/* Prints where and what on stderr, then abort(). The handler in host/tty.c restores the terminal.
 */
__attribute__((noreturn, cold)) void vmm_bug(const char *file, int line, const char *what);

#define VMM_BUG_ON(cond)                                                                           \
	do {                                                                                       \
		if (__builtin_expect(!!(cond), 0))                                                 \
			vmm_bug(__FILE__, __LINE__, #cond);                                        \
	} while (0)

#endif
