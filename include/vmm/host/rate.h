/*
 * rate.h - a limit on bytes and operations a second, with a burst, that says when it is time again.
 *
 * Loop thread only. Zeroed means "no limit".
 */
#ifndef VMM_HOST_RATE_H
#define VMM_HOST_RATE_H
#include <stdbool.h>
#include <stdint.h>
#include <vmm/base/token.h>
#include <vmm/host/evloop.h>

struct rate_spec { /* 0: no limit; a burst of 0 is what passes in one second */
	uint64_t bytes_per_s, bytes_burst;
	uint64_t ops_per_s, ops_burst;
};

struct rate { /* embedded */
	struct rate_spec spec;
	struct token bytes, ops;
	struct evloop *loop;
	struct ev_timer timer;
	uint64_t n_waits; /* how often rate_take() has said no */
};

/* ready(arg) runs on the loop once after each rate_take() that said no, when it would say yes. */
void rate_init(struct rate *r, const struct rate_spec *spec, struct evloop *l, ev_task_fn ready,
	       void *arg);
void rate_fini(struct rate *r); /* forgets a timer that is armed; zeroed is fine */

/*
 * May one operation of so many bytes pass now? true: it is accounted for. One that is larger than
 * the burst passes when the bucket is full, and what it takes too much is waited for afterwards.
 */
bool rate_take(struct rate *r, uint64_t bytes);

/* Bytes that an operation which has passed turns out to move as well: those behind it wait for
 * them. */
void rate_charge(struct rate *r, uint64_t bytes);

/* Is a limit set at all? */
static inline bool rate_is_limited(const struct rate *r)
{
	return r->spec.bytes_per_s || r->spec.ops_per_s;
}

#endif
