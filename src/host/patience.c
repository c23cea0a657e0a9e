/*
 * patience.c - the loop's thread waits for the guest to finish, while that pays.
 *
 * Life of a VM: made with the event loop; then after each turn of a queue, on the loop.
 *
 * sched(7): a thread of SCHED_BATCH does not preempt when it wakes up, and is SCHED_OTHER's equal
 * in everything else. So it waits until the vCPU's thread sleeps, or the scheduler's tick finds
 * that it has run for long enough. The latter is long for a request: milliseconds.
 */
#include <sched.h>
#include <vmm/host/patience.h>

void patience_init(struct patience *p)
{
	*p = (struct patience){
		.possible = sched_getscheduler(0) == SCHED_OTHER,
		.wait = PATIENCE_FIRST,
	};
}

/* A host that refuses it is not asked again. */
static void be(struct patience *p, bool patient)
{
	const struct sched_param param = { .sched_priority = 0 };

	p->n_turns = p->n_requests = 0;
	if (p->patient == patient)
		return;
	if (sched_setscheduler(0, patient ? SCHED_BATCH : SCHED_OTHER, &param) == 0)
		p->patient = patient;
	else
		p->possible = false;
}

static bool is_quiet(const struct patience *p, unsigned int n, uint64_t now_ns)
{
	return now_ns - p->last_ns > PATIENCE_QUIET_NS + (uint64_t)n * PATIENCE_EACH_NS;
}

void patience_turn(struct patience *p, unsigned int n, uint64_t now_ns)
{
	bool quiet = is_quiet(p, n, now_ns);

	if (n == 0 || !p->possible)
		return;
	p->last_ns = now_ns;
	if (quiet) {
		if (p->patient && p->wait < PATIENCE_MOST)
			p->wait *= 2;
		be(p, false);
		return;
	}
	p->n_turns++;
	p->n_requests += n;
	if (!p->patient) {
		if (p->n_turns >= p->wait)
			be(p, true);
	} else if (p->n_turns >= PATIENCE_ROUND) {
		bool pays = p->n_requests >= PATIENCE_PAYS * p->n_turns;

		p->wait = pays ? PATIENCE_FIRST : PATIENCE_AGAIN;
		be(p, pays);
	}
}
