/*
 * patience.h - may the loop's thread push a vCPU off the processor that they share?
 *
 * Loop thread only. It may, to begin with: then a request is served as soon as the guest has
 * notified it. Where thread and vCPU share a processor, that stops the guest at its first request
 * although it is about to make more, and each costs an exit, an interrupt, and two changes of
 * threads. A patient thread (SCHED_BATCH) gets the processor when the guest waits, and finds all of
 * them. Where a processor is idle there is no difference: the thread runs there at once.
 *
 * Whether patience pays is found out by trying, and it ends as soon as it does not.
 */
#ifndef VMM_HOST_PATIENCE_H
#define VMM_HOST_PATIENCE_H
#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_FIRST 32u /* turns in a row that are busy, before it is tried */
#define PATIENCE_AGAIN                                                                             \
	64u /* as many, after it has brought nothing, which costs little to find out */
#define PATIENCE_MOST 4096u /* at most, after the guest has kept us waiting again and again */
#define PATIENCE_ROUND 8u /* turns until it is judged */
#define PATIENCE_PAYS 3u /* requests a turn, on average */
/* A turn that comes later than this and so much for each of its requests: the guest is quiet, or
 * computes instead of making requests, and keeps the loop waiting. */
#define PATIENCE_QUIET_NS 600000u
#define PATIENCE_EACH_NS 100000u

struct patience {
	bool possible; /* the user has not given the process another policy */
	bool patient;
	unsigned int n_turns, n_requests; /* since the last decision */
	unsigned int wait; /* so many turns until it is tried */
	uint64_t last_ns;
};

/* On a thread that the loop's inherits its policy from. */
void patience_init(struct patience *p);
/* A turn of a queue has ended at now_ns, in which n requests were taken. None: it was no turn. */
void patience_turn(struct patience *p, unsigned int n, uint64_t now_ns);

#endif
