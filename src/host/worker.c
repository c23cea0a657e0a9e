/*
 * worker.c - a few threads for calls that block.
 *
 * Life of a VM: made with the disk that needs them, started with the VM, ended with the disk.
 * Nothing but run() happens on these threads.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/bug.h>
#include <vmm/host/worker.h>

#define STACK_BYTES (256u << 10) /* a sanitizer's frames are large */

struct list {
	struct work *first, **last;
};

struct workers {
	/* The loop's. */
	struct evloop *loop;
	ev_task_fn settled;
	void *arg;
	struct ev_task answer;
	unsigned int n_posted; /* and not yet done */
	unsigned int n_wanted, n_threads; /* threads: that there shall be, that there are */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wanted, answered;
	struct list todo, done;
	unsigned int n_begun; /* threads */
	bool ending;

	pthread_t thread[];
};

static void list_init(struct list *l)
{
	l->first = NULL;
	l->last = &l->first;
}

static void list_add(struct list *l, struct work *w)
{
	w->next = NULL;
	*l->last = w;
	l->last = &w->next;
}

static struct work *list_take(struct list *l)
{
	struct work *w = l->first;

	if (w) {
		l->first = w->next;
		if (!l->first)
			l->last = &l->first;
	}
	return w;
}

static void *run(void *arg)
{
	struct workers *ws = arg;

	/* By itself: to name another thread takes a file in /proc, which may be out of reach. */
	pthread_setname_np(pthread_self(), "vmm-worker");
	evloop_thread_begins(ws->loop);
	pthread_mutex_lock(&ws->lock);
	ws->n_begun++;
	pthread_cond_signal(&ws->answered);
	while (!ws->ending) {
		struct work *w = list_take(&ws->todo);

		if (!w) {
			pthread_cond_wait(&ws->wanted, &ws->lock);
			continue;
		}
		pthread_mutex_unlock(&ws->lock);
		w->result = w->run(w);
		pthread_mutex_lock(&ws->lock);
		list_add(&ws->done, w);
		pthread_cond_signal(&ws->answered);
		evloop_post(ws->loop, &ws->answer);
	}
	pthread_mutex_unlock(&ws->lock);
	evloop_thread_ends(ws->loop);
	return NULL;
}

/* Takes what is there now, so that done() may post more without keeping the loop here. */
static void answer(void *arg)
{
	struct workers *ws = arg;
	struct list now;
	struct work *w;

	pthread_mutex_lock(&ws->lock);
	now = ws->done;
	list_init(&ws->done);
	pthread_mutex_unlock(&ws->lock);
	if (!now.first)
		return;
	while ((w = now.first)) {
		now.first = w->next;
		ws->n_posted--;
		w->done(w, w->result);
	}
	if (ws->settled)
		ws->settled(ws->arg);
}

int workers_create(struct workers **out, struct evloop *l, unsigned int n, ev_task_fn settled,
		   void *arg, struct err *e)
{
	struct workers *ws = calloc(1, sizeof(*ws) + n * sizeof(ws->thread[0]));

	if (!ws)
		return err_set(e, -ENOMEM, "worker threads: out of memory");
	ws->loop = l;
	ws->n_wanted = n;
	ws->settled = settled;
	ws->arg = arg;
	ws->answer = (struct ev_task){ .fn = answer, .arg = ws };
	pthread_mutex_init(&ws->lock, NULL);
	pthread_cond_init(&ws->wanted, NULL);
	pthread_cond_init(&ws->answered, NULL);
	list_init(&ws->todo);
	list_init(&ws->done);
	*out = ws;
	return 0;
}

int workers_start(struct workers *ws, struct err *e)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int rc = 0;

	VMM_BUG_ON(ws->n_threads > 0);
	sigfillset(&all);
	sigdelset(&all, SIGSYS); /* a denied call must be told */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	while (ws->n_threads < ws->n_wanted && rc == 0) {
		rc = pthread_create(&ws->thread[ws->n_threads], &attr, run, ws);
		if (rc == 0)
			ws->n_threads++;
	}
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_mutex_lock(&ws->lock);
	while (ws->n_begun < ws->n_threads)
		pthread_cond_wait(&ws->answered, &ws->lock);
	pthread_mutex_unlock(&ws->lock);
	return rc ? err_set(e, -rc, "worker threads: %s", strerror(rc)) : 0;
}

void workers_destroy(struct workers *ws)
{
	if (!ws)
		return;
	VMM_BUG_ON(ws->n_posted > 0);
	pthread_mutex_lock(&ws->lock);
	ws->ending = true;
	pthread_cond_broadcast(&ws->wanted);
	pthread_mutex_unlock(&ws->lock);
	for (unsigned int i = 0; i < ws->n_threads; i++)
		pthread_join(ws->thread[i], NULL);
	evloop_unpost(ws->loop, &ws->answer);
	pthread_cond_destroy(&ws->wanted);
	pthread_cond_destroy(&ws->answered);
	pthread_mutex_destroy(&ws->lock);
	free(ws);
}

void workers_post(struct workers *ws, struct work *w)
{
	VMM_BUG_ON(ws->n_threads == 0);
	ws->n_posted++;
	pthread_mutex_lock(&ws->lock);
	list_add(&ws->todo, w);
	pthread_cond_signal(&ws->wanted);
	pthread_mutex_unlock(&ws->lock);
}

void workers_drain(struct workers *ws)
{
	while (ws->n_posted > 0) {
		pthread_mutex_lock(&ws->lock);
		while (!ws->done.first)
			pthread_cond_wait(&ws->answered, &ws->lock);
		pthread_mutex_unlock(&ws->lock);
		answer(ws);
	}
}
