/*
 * rate.c - a limit on bytes and operations a second, with a burst.
 *
 * Life of a VM: asked by a disk or a network card before each request that its guest has made. Loop
 * thread.
 */
#include <vmm/base/util.h>
#include <vmm/host/rate.h>

/* More than this a second, in nanoseconds, does not fit into 64 bits; and no host moves as much. */
#define MOST (16 * GIB)
#define LONGEST_S UINT64_C(1000000000)

static void bucket_init(struct token *t, uint64_t *per_s, uint64_t *burst, uint64_t now_ns)
{
	*per_s = min_u64(*per_s, MOST);
	*burst = min_u64(*burst ? *burst : *per_s, MOST);
	if (*per_s)
		token_init(t, *per_s, *burst, now_ns);
}

void rate_init(struct rate *r, const struct rate_spec *spec, struct evloop *l, ev_task_fn ready,
	       void *arg)
{
	uint64_t now = evloop_now_ns();

	*r = (struct rate){ .spec = *spec, .loop = l, .timer = { .fn = ready, .arg = arg } };
	bucket_init(&r->bytes, &r->spec.bytes_per_s, &r->spec.bytes_burst, now);
	bucket_init(&r->ops, &r->spec.ops_per_s, &r->spec.ops_burst, now);
}

void rate_fini(struct rate *r)
{
	evloop_timer_cancel(&r->timer);
}

/* When so much, or a full bucket if that is less, may be taken. */
static uint64_t when(const struct token *t, uint64_t n, uint64_t now_ns)
{
	return t->per_s ? token_when_ns(t, n, now_ns) : now_ns;
}

/* What a bucket cannot hold is a debt: the bucket is filled from a later moment on. */
static void take(struct token *t, uint64_t n, uint64_t now_ns)
{
	uint64_t debt;

	if (!t->per_s)
		return;
	debt = n - token_take(t, n, now_ns);
	t->at_ns += min_u64(debt / t->per_s, LONGEST_S) * NS_PER_S +
		    debt % t->per_s * NS_PER_S / t->per_s;
}

bool rate_take(struct rate *r, uint64_t bytes)
{
	uint64_t now, at;

	if (!rate_is_limited(r))
		return true;
	now = evloop_now_ns();
	at = max_u64(when(&r->bytes, bytes, now), when(&r->ops, 1, now));
	if (at > now) {
		r->n_waits++;
		if (!r->timer.loop || at < r->timer.deadline_ns)
			evloop_timer_set(r->loop, &r->timer, at);
		return false;
	}
	take(&r->bytes, bytes, now);
	take(&r->ops, 1, now);
	return true;
}

void rate_charge(struct rate *r, uint64_t bytes)
{
	take(&r->bytes, bytes, evloop_now_ns());
}
