/*
 * worker.h - a few threads for calls that block; the answers arrive on the loop.
 *
 * Loop thread only, but for run().
 */
#ifndef VMM_HOST_WORKER_H
#define VMM_HOST_WORKER_H
#include <vmm/base/err.h>
#include <vmm/host/evloop.h>

struct workers;

struct work { /* embedded in what it works for; not to be touched between post and done */
	int (*run)(struct work *w); /* on one of the threads, beside others; must come to an end */
	void (*done)(struct work *w, int result); /* on the loop, with what run() returned */
	int result;
	struct work *next;
};

/*
 * Room for n threads. settled(arg), if not NULL, is called after one or more done(). Owned by the
 * caller.
 */
int workers_create(struct workers **out, struct evloop *l, unsigned int n, ev_task_fn settled,
		   void *arg, struct err *e);
/* Starts the threads, which receive no signals. Once, before the first post. */
int workers_start(struct workers *ws, struct err *e);
/* Drained, or with nothing posted ever; started or not. NULL is fine. */
void workers_destroy(struct workers *ws);

/* Begins in the order of posting. done() is never called from here. */
void workers_post(struct workers *ws, struct work *w);
/* Returns when everything posted, by done() too, is done. Not from within done(). */
void workers_drain(struct workers *ws);

#endif
