/*
 * checked.h - arithmetic that reports overflow; for every sum with a foreign number in it.
 *
 * Each returns false when the true result does not fit; *out is then not to be used.
 */
#ifndef VMM_BASE_CHECKED_H
#define VMM_BASE_CHECKED_H
#include <stdbool.h>
#include <stdint.h>

static inline bool checked_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

static inline bool checked_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

/* Is [at, at+len) inside [0, size)? An empty range at the very end is. */
static inline bool range_inside(uint64_t at, uint64_t len, uint64_t size)
{
	return at <= size && len <= size - at;
}

#endif
