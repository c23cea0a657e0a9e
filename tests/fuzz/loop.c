/*
 * loop.c - a double of src/host/evloop.c whose time is made up: nobody ever waits.
 *
 * Where the real loop would sleep until the next timer, the clock jumps there. A loop that has
 * something to do again and again without an end is a device that spins: that is a crash here. What
 * is edge-triggered is an eventfd that nobody reads: it is read here. Between two times at which it
 * would sleep, it polls every other time.
 */
#include "loop.h"
#include "../../src/host/poll_list.h"
#include "../../src/host/task_list.h"
#include "fuzz.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <vmm/host/eventfd.h>

#define MAX_FDS 256u
#define TURN_NS 10000u /* what a round with something to do takes */
#define MAX_TURNS 50000u /* in one evloop_run(): half a second */
#define START_NS (1000 * NS_PER_S)

struct evloop {
	bool stopping;
	struct ev_timer *timers; /* soonest first */
	struct task_list posted, deferred;
	bool polls;
	unsigned int n_sleeps;
	struct poll_list polled;
	struct ev_fd *fd[MAX_FDS];
	bool edge[MAX_FDS];
	struct pollfd poll[MAX_FDS];
	unsigned int n_fds;
};

static uint64_t now_ns = START_NS;

uint64_t evloop_now_ns(void)
{
	return now_ns;
}

void loop_advance(uint64_t ns)
{
	now_ns += ns;
}

int evloop_create(struct evloop **out, struct err *e)
{
	struct evloop *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(e, -ENOMEM, "event loop: out of memory");
	task_list_init(&l->posted);
	task_list_init(&l->deferred);
	*out = l;
	now_ns = START_NS;
	return 0;
}

void evloop_destroy(struct evloop *l)
{
	if (!l)
		return;
	/* What is still known here would call into what is gone. */
	FUZZ_CHECK(l->n_fds == 0 && !l->timers && !l->posted.first && !l->deferred.first &&
		   !l->polled.first);
	free(l);
}

static short as_poll(uint32_t events)
{
	return (short)((events & EPOLLIN ? POLLIN : 0) | (events & EPOLLOUT ? POLLOUT : 0));
}

static unsigned int index_of(const struct evloop *l, const struct ev_fd *src)
{
	unsigned int i = 0;

	while (l->fd[i] != src)
		i++;
	return i;
}

int evloop_add(struct evloop *l, struct ev_fd *src, int fd, uint32_t events, ev_fn fn, void *arg)
{
	VMM_BUG_ON(l->n_fds == MAX_FDS);
	l->fd[l->n_fds] = src;
	l->edge[l->n_fds] = events & EPOLLET;
	l->poll[l->n_fds++] = (struct pollfd){ .fd = fd, .events = as_poll(events) };
	*src = (struct ev_fd){ .loop = l, .fd = fd, .fn = fn, .arg = arg };
	return 0;
}

void evloop_change(struct ev_fd *src, uint32_t events)
{
	src->loop->poll[index_of(src->loop, src)].events = as_poll(events);
}

void evloop_del(struct ev_fd *src)
{
	struct evloop *l = src->loop;
	unsigned int i;

	if (!l)
		return;
	i = index_of(l, src);
	l->n_fds--;
	memmove(&l->fd[i], &l->fd[i + 1], (l->n_fds - i) * sizeof(struct ev_fd *));
	memmove(&l->edge[i], &l->edge[i + 1], (l->n_fds - i) * sizeof(bool));
	memmove(&l->poll[i], &l->poll[i + 1], (l->n_fds - i) * sizeof(struct pollfd));
	src->loop = NULL;
}

void evloop_timer_set(struct evloop *l, struct ev_timer *t, uint64_t deadline_ns)
{
	struct ev_timer **at = &l->timers;

	evloop_timer_cancel(t);
	while (*at && (*at)->deadline_ns <= deadline_ns)
		at = &(*at)->next;
	t->loop = l;
	t->deadline_ns = deadline_ns;
	t->next = *at;
	*at = t;
}

void evloop_timer_cancel(struct ev_timer *t)
{
	struct ev_timer **at;

	if (!t->loop)
		return;
	for (at = &t->loop->timers; *at != t; at = &(*at)->next)
		;
	*at = t->next;
	t->loop = NULL;
}

void evloop_post(struct evloop *l, struct ev_task *t)
{
	if (!t->queued)
		task_list_add(&l->posted, t);
}

void evloop_unpost(struct evloop *l, struct ev_task *t)
{
	task_list_remove(&l->posted, t);
}

void evloop_defer(struct evloop *l, struct ev_task *t)
{
	if (!t->queued)
		task_list_add(&l->deferred, t);
}

void evloop_undefer(struct evloop *l, struct ev_task *t)
{
	task_list_remove(&l->deferred, t);
}

void evloop_served(struct evloop *l, unsigned int n)
{
	(void)l;
	(void)n;
}

bool evloop_polls(const struct evloop *l)
{
	return l->polls;
}

void evloop_poll(struct evloop *l, struct ev_poll *p)
{
	FUZZ_CHECK(l->polls);
	poll_list_add(&l->polled, p);
}

void evloop_unpoll(struct evloop *l, struct ev_poll *p)
{
	poll_list_remove(&l->polled, p);
}

/* Nothing is left to do. false: nor is there after what is polled has been told. */
static bool sleep_or_rest(struct evloop *l)
{
	bool any = l->polled.first;

	poll_list_rest(&l->polled);
	l->polls = !any && l->n_sleeps++ % 2 == 0;
	return any;
}

/* The bits of poll() are those of epoll. A callback may take others away: each is looked for anew.
 */
static bool run_fds(struct evloop *l)
{
	struct ev_fd *ready[MAX_FDS];
	uint32_t events[MAX_FDS];
	unsigned int n = 0;

	if (l->n_fds == 0 || poll(l->poll, l->n_fds, 0) <= 0)
		return false;
	for (unsigned int i = 0; i < l->n_fds; i++) {
		if (!l->poll[i].revents)
			continue;
		ready[n] = l->fd[i];
		events[n++] = (uint32_t)l->poll[i].revents;
	}
	for (unsigned int i = 0; i < n; i++) {
		for (unsigned int k = 0; k < l->n_fds; k++) {
			if (l->fd[k] != ready[i])
				continue;
			if (l->edge[k])
				eventfd_take(ready[i]->fd);
			ready[i]->fn(ready[i]->arg, events[i]);
			break;
		}
	}
	return true;
}

/* Those that are there now. */
static bool run_tasks(struct task_list *list)
{
	bool any = list->first;

	for (unsigned int n = task_list_length(list); n > 0 && list->first; n--) {
		struct ev_task *t = task_list_take(list);

		t->fn(t->arg);
	}
	return any;
}

static bool run_timers(struct evloop *l)
{
	uint64_t now = now_ns;
	bool any = false;

	while (l->timers && l->timers->deadline_ns <= now) {
		struct ev_timer *t = l->timers;

		evloop_timer_cancel(t);
		t->fn(t->arg);
		any = true;
	}
	return any;
}

bool loop_turn(struct evloop *l)
{
	bool any = run_fds(l);

	any |= run_tasks(&l->posted);
	any |= run_timers(l);
	any |= run_tasks(&l->deferred);
	any |= poll_list_look(&l->polled);
	return any || sleep_or_rest(l);
}

void evloop_run(struct evloop *l)
{
	for (unsigned int turns = 0; !l->stopping; turns++) {
		FUZZ_CHECK(turns < MAX_TURNS); /* it spins */
		if (loop_turn(l)) {
			now_ns += TURN_NS;
			continue;
		}
		VMM_BUG_ON(!l->timers); /* it would wait for ever */
		now_ns = max_u64(now_ns, l->timers->deadline_ns);
	}
	l->stopping = false;
}

void evloop_stop(struct evloop *l)
{
	l->stopping = true;
}

/* A harness has no jail for its threads to enter. */
void evloop_thread_begins(const struct evloop *l)
{
	(void)l;
}

void evloop_thread_ends(const struct evloop *l)
{
	(void)l;
}
