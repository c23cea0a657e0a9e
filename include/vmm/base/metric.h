/*
 * metric.h - named counters: what a device has done so far, for --stats.
 *
 * A counter is a plain uint64_t in the struct of the device that owns it. It may be added to on one
 * thread and read on another, so both are atomic; no order with anything else is promised.
 */
#ifndef VMM_BASE_METRIC_H
#define VMM_BASE_METRIC_H
#include <stdint.h>

static inline void metric_add(uint64_t *m, uint64_t n)
{
	__atomic_fetch_add(m, n, __ATOMIC_RELAXED);
}

static inline uint64_t metric_get(const uint64_t *m)
{
	return __atomic_load_n(m, __ATOMIC_RELAXED);
}

/* Told each counter in turn; name ("read_bytes") is static. */
typedef void (*metric_fn)(void *arg, const char *name, uint64_t value);

#endif
