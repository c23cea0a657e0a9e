/*
 * util.h - the few macros and arithmetic helpers that everything uses.
 */
#ifndef VMM_BASE_UTIL_H
#define VMM_BASE_UTIL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

static inline size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* step is a power of two; the caller knows that the result does not overflow. */
static inline uint64_t align_up(uint64_t v, uint64_t step)
{
	return (v + step - 1) & ~(step - 1);
}

static inline uint64_t align_down(uint64_t v, uint64_t step)
{
	return v & ~(step - 1);
}

/*
 * In a loop that waits for another processor: lets the one beside us, of the same core, work. A
 * hint that each architecture has and C has no name for, so it is spelt here, for all layers.
 */
static inline void cpu_relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield");
#endif
}

#endif
