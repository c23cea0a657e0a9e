/*
 * evloop.h - the event loop: file descriptors, timers, messages from other threads, and polling.
 *
 * A loop runs on one thread; all calls but evloop_post() are for that thread only. Structs are
 * owned by the caller and embedded in what they serve; zeroed means "not armed".
 */
#ifndef VMM_HOST_EVLOOP_H
#define VMM_HOST_EVLOOP_H
#include <stdbool.h>
#include <stdint.h>
#include <vmm/base/err.h>

struct evloop;

typedef void (*ev_fn)(void *arg, uint32_t events); /* EPOLL* bits */
typedef void (*ev_task_fn)(void *arg);

struct ev_fd {
	struct evloop *loop; /* NULL: not registered */
	int fd;
	ev_fn fn;
	void *arg;
};

struct ev_timer { /* set fn and arg once, before it is first armed */
	struct evloop *loop; /* NULL: not armed */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	ev_task_fn fn;
	void *arg;
	struct ev_timer *next;
};

struct ev_task { /* set fn and arg once, before the first post */
	ev_task_fn fn;
	void *arg;
	bool queued; /* guarded by the loop's lock; of one that is deferred: the loop's */
	struct ev_task *next;
};

struct ev_poll { /* set all but the last two once, before it is first polled */
	bool (*look)(void *arg); /* Is there something to do? Often, so without a system call. */
	ev_task_fn serve; /* does it */
	ev_task_fn rest; /* It is not polled any more, and wants to be told again. NULL: it is told
			    anyway. */
	void *arg;
	bool queued; /* the loop's, with next */
	struct ev_poll *next;
};

int evloop_create(struct evloop **out, struct err *e);
void evloop_destroy(struct evloop *l); /* NULL is fine */

/* Runs callbacks until evloop_stop() is called, in one of them or before. */
void evloop_run(struct evloop *l);
void evloop_stop(struct evloop *l);

/* Level-triggered, without EPOLLET. -EPERM: a regular file, which is always ready and cannot be
 * watched. */
int evloop_add(struct evloop *l, struct ev_fd *src, int fd, uint32_t events, ev_fn fn, void *arg);
/* From now on these events; 0: none. On one that is registered. */
void evloop_change(struct ev_fd *src, uint32_t events);
/* Safe inside any callback, and on one that is not registered; fn never runs after. */
void evloop_del(struct ev_fd *src);

/* (Re)arms: fn(arg) runs once, at or after the deadline. */
void evloop_timer_set(struct evloop *l, struct ev_timer *t, uint64_t deadline_ns);
void evloop_timer_cancel(struct ev_timer *t);

/* Any thread: fn(arg) runs once on the loop thread, soon. Posting a queued task again does nothing.
 */
void evloop_post(struct evloop *l, struct ev_task *t);
/* Loop thread: a queued task is forgotten. Needed before the memory of the task goes away. */
void evloop_unpost(struct evloop *l, struct ev_task *t);

/*
 * Loop thread: fn(arg) runs once, when everything that is ready now has had its turn and before the
 * loop waits: for work that costs the same for one and for many. A task is for this or for
 * evloop_post(), not for both. What is deferred meanwhile runs in the next turn.
 */
void evloop_defer(struct evloop *l, struct ev_task *t);
void evloop_undefer(struct evloop *l, struct ev_task *t);

/*
 * Loop thread: what is polled is looked at again and again, for a short time, before the loop waits
 * (eager.h). While evloop_polls() says true, and in no other time, things may be polled: then they
 * need no file descriptor that wakes the loop. Before it waits, all of them rest, and are polled no
 * more. To poll what is polled does nothing, nor does to unpoll what is not. evloop_unpoll() does
 * not call rest(); it is needed before the memory goes away. All three callbacks run on the loop,
 * and may do what any callback may. evloop_may_poll() allows all this, before the loop runs.
 */
void evloop_may_poll(struct evloop *l);
bool evloop_polls(const struct evloop *l);
void evloop_poll(struct evloop *l, struct ev_poll *p);
void evloop_unpoll(struct evloop *l, struct ev_poll *p);

/* Loop thread: a turn of a queue is over, in which n requests of a guest were taken: see
 * patience.h.
 */
void evloop_served(struct evloop *l, unsigned int n);

uint64_t evloop_now_ns(void); /* CLOCK_MONOTONIC, read now */

/*
 * What each thread that works for this loop does first and last, on that thread, by calling
 * evloop_thread_begins() and _ends(): so that those who start threads need not know who else wants
 * a word. Set before there are any. ends() need not return.
 */
void evloop_on_thread(struct evloop *l, ev_task_fn begins, ev_task_fn ends, void *arg);
void evloop_thread_begins(const struct evloop *l);
void evloop_thread_ends(const struct evloop *l);

#endif
