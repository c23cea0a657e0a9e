/*
 * eager.c - the loop's thread looks for work instead of waiting for it, while that pays.
 *
 * Life of a VM: allowed while the machine is built, if the host has processors to spare; then
 * around each wait of the loop, on the loop.
 */
#include <sched.h>
#include <vmm/host/eager.h>

bool eager_has_room(unsigned int n)
{
	cpu_set_t set;

	/* EINVAL: the host has more than a set can hold, of which we may have one. */
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return false;
	return (unsigned int)CPU_COUNT(&set) > n;
}

void eager_init(struct eager *e, bool possible)
{
	*e = (struct eager){ .possible = possible, .wait = EAGER_FIRST };
}

void eager_waited(struct eager *e, uint64_t ns)
{
	if (!e->possible)
		return;
	e->n_short = ns <= EAGER_SHORT_NS ? e->n_short + 1 : 0;
	if (e->n_short < e->wait)
		return;
	e->n_short = 0;
	e->on = true;
}

void eager_looked(struct eager *e, bool found)
{
	if (found) {
		e->wait = EAGER_FIRST;
		return;
	}
	e->on = false;
	if (e->wait < EAGER_MOST)
		e->wait *= 2;
}
