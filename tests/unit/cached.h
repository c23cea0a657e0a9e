/*
 * cached.h - the whole of src/boot/kernel_cache.c as one call, by one process that has the
 * directory.
 */
#ifndef TESTS_UNIT_CACHED_H
#define TESTS_UNIT_CACHED_H
#include <vmm/boot/kernel_cache.h>

/* The image is the payload alone. */
static inline int cached_get(int *fd, const uint8_t *payload, size_t len, uint64_t out_len,
			     bool *hit, struct err *e)
{
	const struct kernel_cache_payload p = { payload, len, out_len };
	struct kernel_cache *c;
	int rc;

	kernel_cache_open(&c, -1);
	kernel_cache_find(c, -1, payload, len);
	*hit = kernel_cache_take(c, out_len, fd);
	rc = *hit ? 0 : kernel_cache_make(c, fd, &p, e);
	kernel_cache_close(c);
	return rc;
}

#endif
