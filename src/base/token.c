/*
 * token.c - a token bucket.
 *
 * Life of a VM: wherever something flows no faster than it should. Its owner's thread.
 */
#include <vmm/base/token.h>
#include <vmm/base/util.h>

void token_init(struct token *t, uint64_t per_s, uint64_t burst, uint64_t now_ns)
{
	*t = (struct token){ .burst = burst, .per_s = per_s, .have = burst, .at_ns = now_ns };
}

/* Only whole tokens are counted, and the time that they took, so that no fraction is lost. */
static void refill(struct token *t, uint64_t now_ns)
{
	uint64_t passed = now_ns - t->at_ns, full_ns, n;

	if (now_ns <= t->at_ns)
		return;
	full_ns = (t->burst - t->have) * NS_PER_S / t->per_s + 1;
	if (passed >=
	    full_ns) { /* also keeps the product below from overflowing after a long rest */
		t->have = t->burst;
		t->at_ns = now_ns;
		return;
	}
	n = passed * t->per_s / NS_PER_S;
	t->have += n;
	t->at_ns += n * NS_PER_S / t->per_s;
}

uint64_t token_take(struct token *t, uint64_t want, uint64_t now_ns)
{
	uint64_t n;

	refill(t, now_ns);
	n = min_u64(want, t->have);
	t->have -= n;
	return n;
}

void token_put(struct token *t, uint64_t n)
{
	t->have = min_u64(t->have + n, t->burst);
}

uint64_t token_when_ns(const struct token *t, uint64_t want, uint64_t now_ns)
{
	uint64_t missing = min_u64(want, t->burst);

	if (missing <= t->have)
		return now_ns;
	return max_u64(now_ns, t->at_ns + (missing - t->have) * NS_PER_S / t->per_s + 1);
}
