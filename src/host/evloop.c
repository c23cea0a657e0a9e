/*
 * evloop.c - epoll, a list of timers, a mailbox, and a list of what is looked at before it waits.
 *
 * Life of a VM: the main thread sits in evloop_run() from the moment the vCPUs start until the VM
 * ends. Everything the VMM does for the outside world happens in a callback of this loop; vCPU
 * threads reach it by evloop_post() alone.
 */
#include "poll_list.h"
#include "task_list.h"
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>
#include <vmm/host/eager.h>
#include <vmm/host/eventfd.h>
#include <vmm/host/evloop.h>
#include <vmm/host/patience.h>

#define BATCH 16

struct evloop {
	int epoll_fd;
	bool stopping;
	struct ev_timer *timers; /* soonest first */
	struct epoll_event batch[BATCH]; /* being delivered; evloop_del() strikes entries out */
	int n_batch;
	struct ev_fd wakeup; /* an eventfd that evloop_post() writes to */
	ev_task_fn thread_begins,
		thread_ends; /* set before there are other threads; NULL: nothing */
	void *thread_arg;
	struct task_list deferred;
	struct patience patience;
	struct eager eager;
	struct poll_list polled;
	uint64_t looked_at_fds_ns; /* while it polls */

	pthread_mutex_t lock; /* guards what follows */
	struct task_list posted;
};

uint64_t evloop_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void wake(struct evloop *l)
{
	const uint64_t one = 1;

	/* EAGAIN: the counter is full, so the loop is being woken already. */
	VMM_BUG_ON(write(l->wakeup.fd, &one, sizeof(one)) < 0 && errno != EAGAIN);
}

/* Runs what is in the mailbox now; a task that posts itself again waits its turn behind the fds. */
static void run_tasks(void *arg, uint32_t events)
{
	struct evloop *l = arg;

	(void)events;
	eventfd_take(l->wakeup.fd);
	pthread_mutex_lock(&l->lock);
	for (unsigned int n = task_list_length(&l->posted); n > 0 && l->posted.first; n--) {
		struct ev_task *t = task_list_take(&l->posted);

		pthread_mutex_unlock(&l->lock);
		t->fn(t->arg);
		pthread_mutex_lock(&l->lock);
	}
	if (l->posted.first)
		wake(l);
	pthread_mutex_unlock(&l->lock);
}

int evloop_create(struct evloop **out, struct err *e)
{
	struct evloop *l = calloc(1, sizeof(*l));
	int fd;

	if (!l)
		return err_set(e, -ENOMEM, "event loop: out of memory");
	patience_init(&l->patience);
	eager_init(&l->eager, false);
	task_list_init(&l->deferred);
	task_list_init(&l->posted);
	pthread_mutex_init(&l->lock, NULL);
	l->wakeup.fd = -1;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->epoll_fd < 0 || fd < 0 || evloop_add(l, &l->wakeup, fd, EPOLLIN, run_tasks, l) < 0) {
		err_errno(e, "event loop");
		if (fd >= 0)
			close(fd);
		l->wakeup.fd = -1;
		evloop_destroy(l);
		return e->code;
	}
	*out = l;
	return 0;
}

void evloop_destroy(struct evloop *l)
{
	if (!l)
		return;
	VMM_BUG_ON(l->polled.first);
	if (l->wakeup.fd >= 0)
		close(l->wakeup.fd);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

int evloop_add(struct evloop *l, struct ev_fd *src, int fd, uint32_t events, ev_fn fn, void *arg)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	*src = (struct ev_fd){ .loop = l, .fd = fd, .fn = fn, .arg = arg };
	return 0;
}

void evloop_change(struct ev_fd *src, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	VMM_BUG_ON(epoll_ctl(src->loop->epoll_fd, EPOLL_CTL_MOD, src->fd, &ev) < 0);
}

void evloop_del(struct ev_fd *src)
{
	struct evloop *l = src->loop;

	if (!l)
		return;
	VMM_BUG_ON(epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, src->fd, NULL) < 0);
	for (int i = 0; i < l->n_batch; i++) {
		if (l->batch[i].data.ptr == src)
			l->batch[i].data.ptr = NULL;
	}
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
	bool first;

	pthread_mutex_lock(&l->lock);
	first = !l->posted.first;
	if (t->queued)
		first = false;
	else
		task_list_add(&l->posted, t);
	pthread_mutex_unlock(&l->lock);
	if (first)
		wake(l);
}

void evloop_unpost(struct evloop *l, struct ev_task *t)
{
	pthread_mutex_lock(&l->lock);
	task_list_remove(&l->posted, t);
	pthread_mutex_unlock(&l->lock);
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

void evloop_may_poll(struct evloop *l)
{
	eager_init(&l->eager, true);
}

bool evloop_polls(const struct evloop *l)
{
	return l->eager.on;
}

void evloop_poll(struct evloop *l, struct ev_poll *p)
{
	VMM_BUG_ON(!l->eager.on);
	poll_list_add(&l->polled, p);
}

void evloop_unpoll(struct evloop *l, struct ev_poll *p)
{
	poll_list_remove(&l->polled, p);
}

/* Milliseconds that there is nothing to do for us alone: until the first timer, rounded up so that
 * it has passed when we wake; -1: for ever. */
static int wait_ms(const struct evloop *l)
{
	uint64_t now, ms;

	if (l->deferred.first || l->stopping)
		return 0;
	if (!l->timers)
		return -1;
	now = evloop_now_ns();
	if (l->timers->deadline_ns <= now)
		return 0;
	ms = (l->timers->deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
	return (int)min_u64(ms, INT_MAX);
}

static void run_timers(struct evloop *l)
{
	uint64_t now = evloop_now_ns();

	while (l->timers && l->timers->deadline_ns <= now) {
		struct ev_timer *t = l->timers;

		evloop_timer_cancel(t);
		t->fn(t->arg);
	}
}

static void run_deferred(struct evloop *l)
{
	for (unsigned int n = task_list_length(&l->deferred); n > 0 && l->deferred.first; n--) {
		struct ev_task *t = task_list_take(&l->deferred);

		t->fn(t->arg);
	}
}

void evloop_served(struct evloop *l, unsigned int n)
{
	patience_turn(&l->patience, n, evloop_now_ns());
}

void evloop_on_thread(struct evloop *l, ev_task_fn begins, ev_task_fn ends, void *arg)
{
	l->thread_begins = begins;
	l->thread_ends = ends;
	l->thread_arg = arg;
}

void evloop_thread_begins(const struct evloop *l)
{
	if (l->thread_begins)
		l->thread_begins(l->thread_arg);
}

void evloop_thread_ends(const struct evloop *l)
{
	if (l->thread_ends)
		l->thread_ends(l->thread_arg);
}

static void wait_for_fds(struct evloop *l, int ms)
{
	uint64_t since = l->eager.possible && ms != 0 ? evloop_now_ns() : 0;

	l->n_batch = epoll_wait(l->epoll_fd, l->batch, BATCH, ms);
	VMM_BUG_ON(l->n_batch < 0 && errno != EINTR);
	if (since)
		eager_waited(&l->eager, evloop_now_ns() - since);
}

/* Now and then, by time, and not each time that something polled is looked at. */
static bool fds_are_ready(struct evloop *l, uint64_t now_ns)
{
	if (now_ns - l->looked_at_fds_ns < EAGER_FDS_NS)
		return false;
	l->looked_at_fds_ns = now_ns;
	wait_for_fds(l, 0);
	return l->n_batch != 0;
}

/* Until there is something to do, or it has taken too long. */
static bool look_for_long(struct evloop *l)
{
	uint64_t now = evloop_now_ns(), end = now + EAGER_LOOK_NS;

	while (!fds_are_ready(l, now)) {
		if (poll_list_look(&l->polled))
			return true;
		if (now >= end)
			return false;
		cpu_relax();
		now = evloop_now_ns();
	}
	return true;
}

/* Leaves in l->batch what has come by file descriptors. */
static void wait_for_work(struct evloop *l)
{
	if (l->eager.on) {
		bool found;

		if (wait_ms(l) == 0) { /* there is no time to look for */
			poll_list_look(&l->polled);
			wait_for_fds(l, 0);
			return;
		}
		found = look_for_long(l);
		eager_looked(&l->eager, found);
		if (found)
			return;
		poll_list_rest(&l->polled);
	}
	wait_for_fds(l, wait_ms(l));
}

void evloop_run(struct evloop *l)
{
	while (!l->stopping) { /* it may have been asked for before we came here */
		wait_for_work(l);
		for (int i = 0; i < l->n_batch; i++) {
			struct ev_fd *src = l->batch[i].data.ptr;

			if (src)
				src->fn(src->arg, l->batch[i].events);
		}
		l->n_batch = 0;
		run_timers(l);
		run_deferred(l);
	}
	l->stopping = false;
}

void evloop_stop(struct evloop *l)
{
	l->stopping = true;
}
