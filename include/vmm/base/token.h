/*
 * token.h - a token bucket: so much at once, so much a second.
 */
#ifndef VMM_BASE_TOKEN_H
#define VMM_BASE_TOKEN_H
#include <stdint.h>

struct token { /* embedded; guarded by its owner */
	uint64_t burst; /* most that can be saved up */
	uint64_t per_s; /* at least 1 */
	uint64_t have;
	uint64_t at_ns; /* CLOCK_MONOTONIC: up to when `have` is counted */
};

/* Starts full. */
void token_init(struct token *t, uint64_t per_s, uint64_t burst, uint64_t now_ns);

/* How much of `want` may pass now; that much is taken. */
uint64_t token_take(struct token *t, uint64_t want, uint64_t now_ns);

/* Puts back what was taken and not used. */
void token_put(struct token *t, uint64_t n);

/* When there will be `want` (at most the burst): CLOCK_MONOTONIC, now_ns if there is already. */
uint64_t token_when_ns(const struct token *t, uint64_t want, uint64_t now_ns);

#endif
