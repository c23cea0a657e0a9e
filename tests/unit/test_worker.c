/*
 * test_worker.c - src/host/worker.c: calls that block happen elsewhere, and their answers on the
 * loop.
 */
#include "unit.h"
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/worker.h>

#define MANY 2000

struct job {
	struct work work;
	int n;
	pthread_t ran_on;
	bool done;
};

static struct evloop *loop;
static struct workers *ws;
static struct job jobs[MANY];
static pthread_t loop_thread;
static unsigned int n_done, n_settled, expected;

static int count(struct work *w)
{
	struct job *j = container_of(w, struct job, work);

	j->ran_on = pthread_self();
	return j->n;
}

static void done(struct work *w, int result)
{
	struct job *j = container_of(w, struct job, work);

	ck_assert(pthread_equal(pthread_self(), loop_thread));
	ck_assert(!pthread_equal(j->ran_on, loop_thread));
	ck_assert_int_eq(result, j->n);
	ck_assert(!j->done);
	j->done = true;
	n_done++;
}

static void settled(void *arg)
{
	ck_assert_ptr_eq(arg, &ws);
	n_settled++;
	if (n_done == expected)
		evloop_stop(loop);
}

static void start(unsigned int n)
{
	struct err e;

	loop_thread = pthread_self();
	n_done = n_settled = 0;
	memset(jobs, 0, sizeof(jobs));
	ck_ok(evloop_create(&loop, &e));
	ck_ok(workers_create(&ws, loop, n, settled, &ws, &e));
	ck_ok(workers_start(ws, &e));
}

static void post(unsigned int i, int (*run)(struct work *w))
{
	jobs[i].n = (int)i - 5;
	jobs[i].work = (struct work){ .run = run, .done = done };
	workers_post(ws, &jobs[i].work);
}

static void stop(void)
{
	workers_destroy(ws);
	evloop_destroy(loop);
}

START_TEST(every_answer_arrives_once_and_on_the_loop)
{
	start(4);
	expected = MANY;
	for (unsigned int i = 0; i < MANY; i++)
		post(i, count);
	ck_assert_uint_eq(n_done, 0); /* never from within post */
	evloop_run(loop);
	ck_assert_uint_eq(n_done, MANY);
	ck_assert_uint_le(n_settled, MANY);
	stop();
}
END_TEST

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static int wait_at_gate(struct work *w)
{
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	return count(w);
}

START_TEST(one_that_blocks_does_not_hold_up_the_others)
{
	start(2);
	pthread_mutex_lock(&gate);
	expected = 100;
	for (unsigned int i = 0; i <= 100; i++)
		post(i, i == 0 ? wait_at_gate : count);
	evloop_run(loop);
	ck_assert(!jobs[0].done);
	pthread_mutex_unlock(&gate);
	workers_drain(ws);
	ck_assert(jobs[0].done);
	stop();
}
END_TEST

static void done_posts_the_next(struct work *w, int result)
{
	struct job *j = container_of(w, struct job, work);

	(void)result;
	n_done++;
	if (j + 1 < jobs + 10)
		workers_post(ws, &(j + 1)->work);
}

START_TEST(drain_waits_for_what_answers_have_posted_too)
{
	start(3);
	for (unsigned int i = 0; i < 10; i++)
		jobs[i].work = (struct work){ .run = count, .done = done_posts_the_next };
	workers_post(ws, &jobs[0].work);
	workers_drain(ws);
	ck_assert_uint_eq(n_done, 10);
	workers_drain(ws); /* nothing is nothing */
	stop();
}
END_TEST

static int take_no_signals(struct work *w)
{
	sigset_t blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	count(w);
	return sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGUSR1) ? -5 : -1;
}

START_TEST(workers_receive_no_signals_and_we_still_do)
{
	sigset_t blocked;

	start(1);
	post(0, take_no_signals);
	workers_drain(ws);
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	ck_assert(!sigismember(&blocked, SIGTERM));
	stop();
}
END_TEST

static unsigned int n_threads(void)
{
	DIR *d = opendir("/proc/self/task");
	unsigned int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

START_TEST(there_are_no_threads_before_they_are_started)
{
	unsigned int before = n_threads();
	struct err e;

	ck_ok(evloop_create(&loop, &e));
	ck_ok(workers_create(&ws, loop, 8, settled, &ws, &e));
	ck_assert_uint_eq(n_threads(), before);
	ck_ok(workers_start(ws, &e));
	ck_assert_uint_ge(n_threads(), before + 8);
	workers_destroy(ws);
	ck_ok(workers_create(&ws, loop, 8, settled, &ws, &e));
	stop(); /* nor do they have to be, ever */
}
END_TEST

static int is_named(struct work *w)
{
	char name[16];

	count(w);
	return pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 &&
			       strcmp(name, "vmm-worker") == 0
		       ? -5
		       : -1;
}

START_TEST(workers_have_a_name_without_help_of_proc)
{
	start(1);
	post(0, is_named);
	workers_drain(ws);
	stop();
}
END_TEST

START_TEST(workers_without_work_end_at_once)
{
	for (unsigned int i = 0; i < 50; i++) {
		start(8);
		stop();
	}
	workers_destroy(NULL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker");

	UNIT_TEST(s, every_answer_arrives_once_and_on_the_loop);
	UNIT_TEST(s, one_that_blocks_does_not_hold_up_the_others);
	UNIT_TEST(s, drain_waits_for_what_answers_have_posted_too);
	UNIT_TEST(s, workers_receive_no_signals_and_we_still_do);
	UNIT_TEST(s, there_are_no_threads_before_they_are_started);
	UNIT_TEST(s, workers_have_a_name_without_help_of_proc);
	UNIT_TEST(s, workers_without_work_end_at_once);
	return s;
}

UNIT_MAIN("worker", suite)
