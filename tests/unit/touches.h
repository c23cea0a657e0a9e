/*
 * touches.h - counts the accesses to some pages of guest RAM, and lets a guest act in between.
 *
 * The pages are taken away, so that each access faults; they come back for one step of the CPU.
 * What a device reads once costs as many touches as one gmem_read() of the same bytes; each one
 * more is a second fetch. `then` runs after each touch, as another vCPU might: so races come at the
 * worst moment, each time. Also told is whether a full barrier was executed between two touches.
 * x86 only. One thread, and no system call may touch the pages.
 */
#ifndef TESTS_UNIT_TOUCHES_H
#define TESTS_UNIT_TOUCHES_H
#include "unit.h"
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <vmm/mem/gmem.h>

#define TRAP_FLAG 0x100 /* in EFLAGS: a SIGTRAP behind the next instruction */
#define TOUCHES_KEPT 64u

static struct {
	uint8_t *pages;
	size_t len;
	void (*then)(void); /* may be NULL */
	volatile unsigned int n;
	volatile bool on, inside; /* an access to the pages */
	volatile bool barrier; /* since the last touch */
	bool barrier_before[TOUCHES_KEPT]; /* each touch */
} touches;

/* A locked instruction, xchg with memory, or mfence: SDM volume 3, 9.2.2. */
static inline bool touches_is_barrier(const uint8_t *code)
{
	if ((*code & 0xf0) == 0x40) /* REX */
		code++;
	return code[0] == 0xf0 || ((code[0] & 0xfe) == 0x86 && code[1] < 0xc0) ||
	       (code[0] == 0x0f && code[1] == 0xae && (code[2] & 0xf8) == 0xf0);
}

static inline void touches_fault(int signo, siginfo_t *info, void *context)
{
	ucontext_t *u = context;

	if ((uintptr_t)info->si_addr - (uintptr_t)touches.pages >= touches.len) {
		signal(signo, SIG_DFL); /* a crash like any other */
		return;
	}
	touches.barrier_before[touches.n % TOUCHES_KEPT] = touches.barrier;
	touches.barrier = false;
	touches.inside = true;
	mprotect(touches.pages, touches.len, PROT_READ | PROT_WRITE);
	u->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

/* Behind each instruction from the first touch to the end. */
static inline void touches_step(int signo, siginfo_t *info, void *context)
{
	ucontext_t *u = context;

	(void)signo, (void)info;
	if (!touches.on) {
		u->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
		return;
	}
	if (touches_is_barrier((const uint8_t *)(uintptr_t)u->uc_mcontext.gregs[REG_RIP]))
		touches.barrier = true;
	if (!touches.inside)
		return;
	touches.inside = false;
	touches.n = touches.n + 1;
	if (touches.then)
		touches.then();
	mprotect(touches.pages, touches.len, PROT_NONE);
}

static inline int touches_find(void *at, unsigned int i, gpa_t base, uint64_t len, void *host)
{
	gpa_t gpa = *(gpa_t *)at;

	(void)i;
	if (gpa < base || gpa - base >= len)
		return 0;
	touches.pages = (uint8_t *)host + (gpa - base);
	return 1;
}

/* From here on; `at` and `len` are whole pages of one region. */
static inline void touches_begin(const struct gmem *m, gpa_t at, size_t len, void (*then)(void))
{
	struct sigaction fault = { .sa_sigaction = touches_fault, .sa_flags = SA_SIGINFO };
	struct sigaction step = { .sa_sigaction = touches_step, .sa_flags = SA_SIGINFO };

	ck_assert_int_eq(gmem_each_region(m, touches_find, &at), 1);
	touches.len = len;
	touches.then = then;
	touches.n = 0;
	touches.barrier = touches.inside = false;
	touches.on = true;
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGTRAP, &step, NULL);
	ck_assert_int_eq(mprotect(touches.pages, len, PROT_NONE), 0);
}

/* How many there were. */
static inline unsigned int touches_end(void)
{
	touches.on = false;
	ck_assert_int_eq(mprotect(touches.pages, touches.len, PROT_READ | PROT_WRITE), 0);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
	return touches.n;
}

/* What reading that many bytes there costs, if they are read once. */
static inline unsigned int touches_of_one_read(const struct gmem *m, gpa_t at, void *buf,
					       size_t len)
{
	touches_begin(m, at & ~(gpa_t)4095, 4096, NULL);
	ck_assert(gmem_read(m, at, buf, len));
	return touches_end();
}

#endif
