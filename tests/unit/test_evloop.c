/*
 * test_evloop.c - src/host/evloop.c: descriptors, timers, and posts from other threads.
 */
#include "fake_kernel.h"
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/evloop.h>

static struct evloop *loop;

static void start(void)
{
	struct err e = { 0 };

	ck_ok(evloop_create(&loop, &e));
}

static void stop(void *arg)
{
	(void)arg;
	evloop_stop(loop);
}

static void run_for(unsigned int ms)
{
	struct ev_timer end = { .fn = stop };

	evloop_timer_set(loop, &end, evloop_now_ns() + ms * NS_PER_MS);
	evloop_run(loop);
}

/* Posts -----------------------------------------------------------------------------------------
 */

#define POSTERS 4
#define POSTS 20000

static struct poster {
	pthread_t thread;
	struct ev_task task;
	unsigned int asked, done; /* atomic: what the thread has added, what the loop has seen */
} posters[POSTERS];

static void on_post(void *arg)
{
	struct poster *p = arg;
	unsigned int sum = 0;

	p->done = __atomic_load_n(&p->asked, __ATOMIC_ACQUIRE);
	for (unsigned int i = 0; i < POSTERS; i++)
		sum += posters[i].done;
	if (sum == POSTERS * POSTS)
		evloop_stop(loop);
}

static void *post_many(void *arg)
{
	struct poster *p = arg;

	for (unsigned int i = 0; i < POSTS; i++) {
		__atomic_add_fetch(&p->asked, 1, __ATOMIC_RELEASE);
		evloop_post(loop, &p->task);
	}
	return NULL;
}

/* If any post were lost between two runs of the mailbox, the loop would never see the last one. */
START_TEST(no_post_of_any_thread_is_lost)
{
	start();
	for (unsigned int i = 0; i < POSTERS; i++) {
		posters[i].task = (struct ev_task){ .fn = on_post, .arg = &posters[i] };
		ck_assert_int_eq(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]),
				 0);
	}
	evloop_run(loop);
	for (unsigned int i = 0; i < POSTERS; i++)
		pthread_join(posters[i].thread, NULL);
	evloop_destroy(loop);
}
END_TEST

static struct ev_task tasks[3];
static char order[16];
static size_t n_order;

static void note(char c)
{
	if (n_order < sizeof(order) - 1)
		order[n_order++] = c;
}

static void note_arg(void *arg)
{
	note(*(const char *)arg);
}

static void note_and_post_third(void *arg)
{
	note_arg(arg);
	evloop_post(loop, &tasks[2]);
}

START_TEST(a_task_posted_by_a_task_runs_in_the_next_round)
{
	start();
	tasks[0] = (struct ev_task){ .fn = note_and_post_third, .arg = "a" };
	tasks[1] = (struct ev_task){ .fn = note_arg, .arg = "b" };
	tasks[2] = (struct ev_task){ .fn = note_arg, .arg = "c" };
	evloop_post(loop, &tasks[0]);
	evloop_post(loop, &tasks[1]);
	evloop_post(loop, &tasks[0]); /* queued already */
	run_for(5);
	ck_assert_str_eq(order, "abc");
	evloop_destroy(loop);
}
END_TEST

static unsigned int n_rounds;

static void post_itself(void *arg)
{
	n_rounds++;
	evloop_post(loop, arg);
}

START_TEST(a_task_that_posts_itself_does_not_starve_timers)
{
	start();
	tasks[0] = (struct ev_task){ .fn = post_itself, .arg = &tasks[0] };
	evloop_post(loop, &tasks[0]);
	run_for(10);
	ck_assert_uint_gt(n_rounds, 10);
	evloop_unpost(loop, &tasks[0]);
	evloop_destroy(loop);
}
END_TEST

static void defer_third(void *arg)
{
	note_arg(arg);
	evloop_defer(loop, &tasks[2]);
}

START_TEST(a_deferred_task_runs_once_behind_all_that_is_ready)
{
	start();
	tasks[0] = (struct ev_task){ .fn = defer_third, .arg = "a" };
	tasks[1] = (struct ev_task){ .fn = defer_third, .arg = "b" };
	tasks[2] = (struct ev_task){ .fn = note_arg, .arg = "c" };
	evloop_post(loop, &tasks[0]);
	evloop_post(loop, &tasks[1]);
	run_for(5);
	ck_assert_str_eq(order, "abc");
	evloop_destroy(loop);
}
END_TEST

static void defer_itself(void *arg)
{
	n_rounds++;
	evloop_defer(loop, arg);
}

START_TEST(a_task_that_defers_itself_does_not_starve_timers)
{
	start();
	n_rounds = 0;
	tasks[0] = (struct ev_task){ .fn = defer_itself, .arg = &tasks[0] };
	evloop_defer(loop, &tasks[0]);
	run_for(10);
	ck_assert_uint_gt(n_rounds, 10);
	evloop_undefer(loop, &tasks[0]);
	evloop_destroy(loop);
}
END_TEST

/* What was deferred before the loop ran, or by the last one of a turn, does not wait for an event.
 */
START_TEST(the_loop_does_not_wait_while_a_task_is_deferred)
{
	start();
	tasks[0] = (struct ev_task){ .fn = defer_third, .arg = "a" };
	tasks[2] = (struct ev_task){ .fn = stop, .arg = NULL };
	evloop_defer(loop, &tasks[0]);
	evloop_run(loop); /* for ever, if it does */
	ck_assert_str_eq(order, "a");
	evloop_destroy(loop);
}
END_TEST

static void undefer_second(void *arg)
{
	note_arg(arg);
	evloop_undefer(loop, &tasks[1]);
}

START_TEST(an_undeferred_task_never_runs)
{
	start();
	tasks[0] = (struct ev_task){ .fn = undefer_second, .arg = "a" };
	tasks[1] = (struct ev_task){ .fn = note_arg, .arg = "b" };
	evloop_defer(loop, &tasks[0]);
	evloop_defer(loop, &tasks[1]);
	run_for(5);
	ck_assert_str_eq(order, "a");
	evloop_undefer(loop, &tasks[1]); /* not queued: fine */
	evloop_destroy(loop);
}
END_TEST

static void unpost_second(void *arg)
{
	note_arg(arg);
	evloop_unpost(loop, &tasks[1]);
}

START_TEST(an_unposted_task_never_runs)
{
	start();
	tasks[0] = (struct ev_task){ .fn = unpost_second, .arg = "a" };
	tasks[1] = (struct ev_task){ .fn = note_arg, .arg = "b" };
	tasks[2] = (struct ev_task){ .fn = note_arg, .arg = "c" };
	evloop_post(loop, &tasks[0]);
	evloop_post(loop, &tasks[1]);
	evloop_post(loop, &tasks[2]);
	run_for(5);
	ck_assert_str_eq(order, "ac");
	evloop_unpost(loop, &tasks[1]); /* not queued: fine */
	evloop_post(loop, &tasks[1]);
	evloop_post(loop, &tasks[2]);
	evloop_unpost(loop, &tasks[2]); /* the last one: the tail must follow */
	evloop_post(loop, &tasks[0]);
	evloop_unpost(loop, &tasks[1]);
	run_for(5);
	ck_assert_str_eq(order, "aca");
	evloop_destroy(loop);
}
END_TEST

/* Descriptors -----------------------------------------------------------------------------------
 */

static struct ev_fd sources[3];
static int fds[3];
static unsigned int n_calls;

static void read_counter(int fd)
{
	uint64_t n;

	ck_assert_int_eq(read(fd, &n, sizeof(n)), sizeof(n));
}

static void open_ready(void)
{
	for (unsigned int i = 0; i < 3; i++)
		fds[i] = eventfd(1, EFD_NONBLOCK);
}

static void close_all(void)
{
	for (unsigned int i = 0; i < 3; i++) {
		evloop_del(&sources[i]);
		close(fds[i]);
	}
	evloop_destroy(loop);
}

/* Whichever is first ends the two others, closed and all. */
static void end_the_others(void *arg, uint32_t events)
{
	struct ev_fd *self = arg;

	ck_assert_uint_eq(events, EPOLLIN);
	n_calls++;
	for (unsigned int i = 0; i < 3; i++) {
		if (&sources[i] == self)
			continue;
		evloop_del(&sources[i]);
		close(fds[i]);
		fds[i] = -1;
		memset(&sources[i], 0, sizeof(sources[i]));
	}
	read_counter(self->fd);
}

START_TEST(a_source_deleted_by_another_in_the_same_batch_is_not_called)
{
	start();
	open_ready();
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(
			evloop_add(loop, &sources[i], fds[i], EPOLLIN, end_the_others, &sources[i]),
			0);
	run_for(5);
	ck_assert_uint_eq(n_calls, 1);
	for (unsigned int i = 0; i < 3; i++) {
		evloop_del(&sources[i]); /* deleted before: fine */
		if (fds[i] >= 0)
			close(fds[i]);
	}
	evloop_destroy(loop);
}
END_TEST

static void delete_itself(void *arg, uint32_t events)
{
	(void)events;
	n_calls++;
	evloop_del(arg);
}

START_TEST(a_source_may_delete_itself_and_come_back)
{
	start();
	open_ready();
	for (unsigned int round = 1; round <= 3; round++) {
		ck_assert_int_eq(
			evloop_add(loop, &sources[0], fds[0], EPOLLIN, delete_itself, &sources[0]),
			0);
		run_for(2); /* still readable: it would be called for ever */
		ck_assert_uint_eq(n_calls, round);
		ck_assert_ptr_null(sources[0].loop);
	}
	close_all();
}
END_TEST

static void count_call(void *arg, uint32_t events)
{
	(void)arg, (void)events;
	n_calls++;
}

START_TEST(a_source_is_called_for_the_events_it_asked_for)
{
	int pipe_fds[2];

	start();
	open_ready();
	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(evloop_add(loop, &sources[0], pipe_fds[0], EPOLLIN, count_call, NULL), 0);
	run_for(2);
	ck_assert_uint_eq(n_calls, 0);
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
	run_for(2);
	ck_assert_uint_gt(n_calls, 1); /* level-triggered */
	evloop_del(&sources[0]);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	close_all();
}
END_TEST

START_TEST(an_edge_triggered_source_is_called_once_for_each_write)
{
	const uint64_t one = 1;

	start();
	open_ready();
	ck_assert_int_eq(evloop_add(loop, &sources[0], fds[0], EPOLLIN | EPOLLET, count_call, NULL),
			 0);
	run_for(5);
	ck_assert_uint_eq(n_calls, 1);
	ck_assert_int_eq(write(fds[0], &one, sizeof(one)), sizeof(one));
	run_for(5);
	ck_assert_uint_eq(n_calls, 2);
	close_all();
}
END_TEST

START_TEST(a_regular_file_cannot_be_watched_and_nothing_changes)
{
	char *path = fake_file("x", 1);
	int fd = open(path, O_RDONLY);

	start();
	open_ready();
	ck_assert_int_eq(evloop_add(loop, &sources[0], fd, EPOLLIN, count_call, NULL), -EPERM);
	ck_assert_ptr_null(sources[0].loop);
	ck_assert_int_eq(evloop_add(loop, &sources[0], fds[0], EPOLLIN, count_call, NULL), 0);
	ck_assert_int_eq(evloop_add(loop, &sources[1], fds[0], EPOLLIN, count_call, NULL), -EEXIST);
	ck_assert_ptr_null(sources[1].loop);
	close(fd);
	unlink(path);
	free(path);
	close_all();
}
END_TEST

/* Timers ----------------------------------------------------------------------------------------
 */

static struct ev_timer timers[4];

static void on_timer(void *arg)
{
	struct ev_timer *t = arg;

	ck_assert_ptr_null(t->loop); /* once */
	ck_assert_uint_ge(evloop_now_ns(), t->deadline_ns);
	note((char)('a' + (t - timers)));
}

static void set_timers(uint64_t base)
{
	static const unsigned int after_ms[] = { 6, 2, 4, 2 };

	for (unsigned int i = 0; i < 4; i++) {
		timers[i] = (struct ev_timer){ .fn = on_timer, .arg = &timers[i] };
		evloop_timer_set(loop, &timers[i], base + after_ms[i] * NS_PER_MS);
	}
}

START_TEST(timers_run_in_order_and_never_early)
{
	start();
	set_timers(evloop_now_ns());
	run_for(20);
	ck_assert_str_eq(order, "bdca"); /* equal ones as they were set */
	evloop_destroy(loop);
}
END_TEST

START_TEST(timers_of_the_past_run_at_once)
{
	start();
	set_timers(0);
	run_for(1);
	ck_assert_str_eq(order, "bdca");
	evloop_destroy(loop);
}
END_TEST

START_TEST(a_timer_that_is_cancelled_or_set_again_forgets_its_deadline)
{
	start();
	set_timers(evloop_now_ns());
	evloop_timer_cancel(&timers[1]);
	evloop_timer_cancel(&timers[1]);
	evloop_timer_set(loop, &timers[2], evloop_now_ns() + 9 * NS_PER_MS);
	evloop_timer_set(loop, &timers[3], UINT64_MAX);
	run_for(20);
	ck_assert_str_eq(order, "ac");
	ck_assert_ptr_nonnull(timers[3].loop);
	evloop_destroy(loop);
}
END_TEST

static void cancel_next_and_come_again(void *arg)
{
	struct ev_timer *t = arg;

	note((char)('a' + (t - timers)));
	evloop_timer_cancel(&timers[1]);
	if (n_order < 3)
		evloop_timer_set(loop, t, evloop_now_ns());
}

START_TEST(a_timer_may_set_itself_and_cancel_others_that_are_due)
{
	start();
	timers[0] = (struct ev_timer){ .fn = cancel_next_and_come_again, .arg = &timers[0] };
	timers[1] = (struct ev_timer){ .fn = on_timer, .arg = &timers[1] };
	evloop_timer_set(loop, &timers[0], 1);
	evloop_timer_set(loop, &timers[1], 2);
	run_for(5);
	ck_assert_str_eq(order, "aaa");
	evloop_destroy(loop);
}
END_TEST

/* Polling ------------------------------------------------------------------------------------ */

static struct ev_fd pump;
static struct ev_timer after; /* once the loop polls; fn: NULL for none */
static struct poller {
	struct ev_poll poll;
	unsigned int n_looks, n_served, n_rests;
	bool (*has)(struct poller *p);
	ev_task_fn on_serve; /* of the poller; NULL: nothing */
} pollers[3];

static bool poller_look(void *arg)
{
	struct poller *p = arg;

	p->n_looks++;
	return p->has && p->has(p);
}

static void poller_serve(void *arg)
{
	struct poller *p = arg;

	p->n_served++;
	if (p->on_serve)
		p->on_serve(p);
}

static void poller_rest(void *arg)
{
	struct poller *p = arg;

	p->n_rests++;
	evloop_stop(loop);
}

static void poll_all(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(pollers); i++) {
		if (pollers[i].poll.look)
			evloop_poll(loop, &pollers[i].poll);
	}
}

static void unpoll_all(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < ARRAY_SIZE(pollers); i++)
		evloop_unpoll(loop, &pollers[i].poll);
}

/* A source that is always ready, so that no wait is long, until the loop polls. */
static void on_pump(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	if (!evloop_polls(loop))
		return;
	evloop_del(&pump);
	close(pump.fd);
	poll_all();
	if (after.fn)
		evloop_timer_set(loop, &after, evloop_now_ns() + NS_PER_MS);
}

static void start_polling(void)
{
	start();
	evloop_may_poll(loop);
	ck_assert_int_eq(evloop_add(loop, &pump, eventfd(1, EFD_CLOEXEC), EPOLLIN, on_pump, NULL),
			 0);
}

static void make_poller(unsigned int i, bool (*has)(struct poller *p), ev_task_fn on_serve)
{
	struct poller *p = &pollers[i];

	*p = (struct poller){ .has = has, .on_serve = on_serve };
	p->poll = (struct ev_poll){ poller_look, poller_serve, poller_rest, .arg = p };
}

static bool at_third_look(struct poller *p)
{
	return p->n_looks == 3;
}

static bool always(struct poller *p)
{
	(void)p;
	return true;
}

START_TEST(what_is_polled_is_served_and_rests_before_the_loop_waits)
{
	start_polling();
	make_poller(0, at_third_look, NULL);
	make_poller(1, NULL, NULL);
	evloop_run(loop);
	ck_assert_uint_eq(pollers[0].n_served, 1);
	ck_assert_uint_gt(pollers[0].n_looks, 3);
	ck_assert_uint_eq(pollers[1].n_served, 0);
	ck_assert_uint_gt(pollers[1].n_looks, 3);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_uint_eq(pollers[i].n_rests, 1);
		ck_assert(!pollers[i].poll.queued);
	}
	ck_assert(!evloop_polls(loop));
	evloop_destroy(loop);
}
END_TEST

START_TEST(a_loop_that_may_not_poll_never_does)
{
	start();
	ck_assert_int_eq(evloop_add(loop, &pump, eventfd(1, EFD_CLOEXEC), EPOLLIN, on_pump, NULL),
			 0);
	run_for(50);
	ck_assert_ptr_eq(pump.loop, loop); /* on_pump() takes it away when the loop polls */
	evloop_del(&pump);
	close(pump.fd);
	evloop_destroy(loop);
}
END_TEST

static void write_once(void *arg)
{
	struct poller *p = arg;
	const uint64_t one = 1;

	if (p->n_served == 1)
		ck_assert_int_eq(write(sources[0].fd, &one, sizeof(one)), sizeof(one));
}

static void stop_for(void *arg, uint32_t events)
{
	(void)events;
	stop(arg);
}

START_TEST(descriptors_get_their_turn_while_there_is_always_something_polled)
{
	start_polling();
	make_poller(0, always, write_once);
	ck_assert_int_eq(
		evloop_add(loop, &sources[0], eventfd(0, EFD_CLOEXEC), EPOLLIN, stop_for, NULL), 0);
	evloop_run(loop);
	unpoll_all(NULL);
	evloop_del(&sources[0]);
	close(sources[0].fd);
	evloop_destroy(loop);
}
END_TEST

START_TEST(timers_get_their_turn_while_there_is_always_something_polled)
{
	start_polling();
	make_poller(0, always, NULL);
	after.fn = stop;
	evloop_run(loop);
	ck_assert_uint_gt(pollers[0].n_served, 0);
	unpoll_all(NULL);
	evloop_destroy(loop);
}
END_TEST

static void again(void *arg)
{
	evloop_defer(loop, arg);
}

static struct ev_task endless = { .fn = again, .arg = &endless };

static void defer_then_stop(void *arg)
{
	const struct poller *p = arg;

	if (p->n_served == 1)
		evloop_defer(loop, &endless);
	else
		evloop_stop(loop);
}

START_TEST(what_is_polled_gets_its_turn_while_there_is_always_something_deferred)
{
	start_polling();
	make_poller(0, always, defer_then_stop);
	evloop_run(loop);
	ck_assert_uint_eq(pollers[0].n_served, 2);
	unpoll_all(NULL);
	evloop_undefer(loop, &endless);
	evloop_destroy(loop);
}
END_TEST

static void unpoll_all_and_stop(void *arg)
{
	unpoll_all(arg);
	evloop_stop(loop);
}

START_TEST(who_is_served_may_unpoll_itself_and_others)
{
	unsigned int served = 0;

	start_polling();
	for (unsigned int i = 0; i < ARRAY_SIZE(pollers); i++)
		make_poller(i, always, unpoll_all_and_stop);
	evloop_run(loop);
	for (unsigned int i = 0; i < ARRAY_SIZE(pollers); i++) {
		served += pollers[i].n_served;
		ck_assert_uint_eq(pollers[i].n_rests, 0);
	}
	ck_assert_uint_eq(served, 1);
	evloop_destroy(loop);
}
END_TEST

START_TEST(nothing_can_be_destroyed)
{
	evloop_destroy(NULL);
	evloop_timer_cancel(&timers[0]);
	evloop_del(&sources[0]);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("evloop");

	UNIT_TEST(s, no_post_of_any_thread_is_lost);
	UNIT_TEST(s, a_task_posted_by_a_task_runs_in_the_next_round);
	UNIT_TEST(s, a_task_that_posts_itself_does_not_starve_timers);
	UNIT_TEST(s, a_deferred_task_runs_once_behind_all_that_is_ready);
	UNIT_TEST(s, a_task_that_defers_itself_does_not_starve_timers);
	UNIT_TEST(s, the_loop_does_not_wait_while_a_task_is_deferred);
	UNIT_TEST(s, an_undeferred_task_never_runs);
	UNIT_TEST(s, an_unposted_task_never_runs);
	UNIT_TEST(s, a_source_deleted_by_another_in_the_same_batch_is_not_called);
	UNIT_TEST(s, a_source_may_delete_itself_and_come_back);
	UNIT_TEST(s, a_source_is_called_for_the_events_it_asked_for);
	UNIT_TEST(s, an_edge_triggered_source_is_called_once_for_each_write);
	UNIT_TEST(s, a_regular_file_cannot_be_watched_and_nothing_changes);
	UNIT_TEST(s, timers_run_in_order_and_never_early);
	UNIT_TEST(s, timers_of_the_past_run_at_once);
	UNIT_TEST(s, a_timer_that_is_cancelled_or_set_again_forgets_its_deadline);
	UNIT_TEST(s, a_timer_may_set_itself_and_cancel_others_that_are_due);
	UNIT_TEST(s, what_is_polled_is_served_and_rests_before_the_loop_waits);
	UNIT_TEST(s, a_loop_that_may_not_poll_never_does);
	UNIT_TEST(s, descriptors_get_their_turn_while_there_is_always_something_polled);
	UNIT_TEST(s, timers_get_their_turn_while_there_is_always_something_polled);
	UNIT_TEST(s, what_is_polled_gets_its_turn_while_there_is_always_something_deferred);
	UNIT_TEST(s, who_is_served_may_unpoll_itself_and_others);
	UNIT_TEST(s, nothing_can_be_destroyed);
	return s;
}

UNIT_MAIN("evloop", suite)
