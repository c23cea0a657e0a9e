/*
 * test_stuck.c - a reader that stops or leaves, and signals at a bad moment: the VMM must still be
 * able to end.
 */
#include "fake_console.h"
#include "unit.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/signals.h>

static struct fake_console con;

static bool heard_of_room(struct fake_console *f)
{
	return f->n_room > 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* The client reads nothing until the ring is full and the device was refused; then it leaves. */
START_TEST(a_client_that_leaves_with_a_full_ring_leaves_room)
{
	char path[64];
	int client;

	snprintf(path, sizeof(path), "/tmp/vmm-stuck-%d", (int)getpid());
	fake_console_init(&con, CHARDEV_UNIX, path);
	client = connect_to(path);
	fake_console_run(&con, 20);
	for (unsigned int i = 0; i < 20 && chardev_has_room(con.c); i++) {
		(void)fake_console_put(&con, 0, 4 * CHARDEV_OUT_BYTES);
		fake_console_run(&con, 20);
	}
	ck_assert(!chardev_has_room(con.c));
	con.n_room = 0;
	if (_i == 0)
		shutdown(client, SHUT_WR); /* as nc does at its end of input */
	else
		close(client);
	fake_console_until(&con, heard_of_room);
	ck_assert(chardev_has_room(con.c));
	fake_console_fini(&con);
}
END_TEST

static void fill_stderr(void)
{
	char page[4096] = { 0 };
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	while (write(ends[1], page, sizeof(page)) > 0)
		;
	fcntl(ends[1], F_SETFL, 0);
}

START_TEST(a_stderr_that_nobody_reads_stops_nobody)
{
	struct log_limit limit = { 0 };
	uint64_t before;

	fill_stderr();
	before = evloop_now_ns();
	for (unsigned int i = 0; i < 1000; i++)
		log_guest(&limit, "a line that a guest causes");
	ck_assert_uint_lt(evloop_now_ns() - before, 100 * NS_PER_MS);
	log_error("a line that a person should read");
	ck_assert_uint_lt(evloop_now_ns() - before, NS_PER_S);
}
END_TEST

static int last_signal;

static void on_signal(void *arg, int signo)
{
	last_signal = signo;
	evloop_stop(arg);
}

static void on_late(void *loop)
{
	evloop_stop(loop);
}

/* Runs the loop for a moment after the signal; which one arrived, 0 for none. */
static int watched(int signo)
{
	struct signals s = { 0 };
	struct ev_timer late;
	struct evloop *l;
	struct err e;

	last_signal = 0;
	ck_ok(evloop_create(&l, &e));
	ck_ok(signals_watch(&s, l, on_signal, l, &e));
	late = (struct ev_timer){ .fn = on_late, .arg = l };
	evloop_timer_set(l, &late, evloop_now_ns() + 50 * NS_PER_MS);
	kill(getpid(), signo);
	evloop_run(l);
	evloop_timer_cancel(&late);
	signals_unwatch(&s);
	evloop_destroy(l);
	return last_signal;
}

START_TEST(a_signal_that_was_ignored_does_not_end_the_vm)
{
	signal(SIGHUP, SIG_IGN); /* nohup */
	signals_init();
	ck_assert_int_eq(watched(SIGHUP), 0);
	ck_assert_int_eq(watched(SIGTERM), SIGTERM);
}
END_TEST

START_TEST(the_power_button_is_harmless_while_nobody_watches_it)
{
	signals_init();
	kill(getpid(), SIGPWR);
	ck_assert_int_eq(watched(SIGPWR), SIGPWR);
	kill(getpid(), SIGPWR);
}
END_TEST

START_TEST(signals_that_our_parent_blocked_still_end_us)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signals_init();
	signals_kick_init();
	sigprocmask(SIG_SETMASK, NULL, &all);
	ck_assert(!sigismember(&all, SIGTERM));
	ck_assert(!sigismember(&all, SIGNALS_KICK));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("stuck");

	UNIT_LOOP(s, a_client_that_leaves_with_a_full_ring_leaves_room, 2);
	UNIT_TEST(s, a_stderr_that_nobody_reads_stops_nobody);
	UNIT_TEST(s, a_signal_that_was_ignored_does_not_end_the_vm);
	UNIT_TEST(s, the_power_button_is_harmless_while_nobody_watches_it);
	UNIT_TEST(s, signals_that_our_parent_blocked_still_end_us);
	return s;
}

UNIT_MAIN("stuck", suite)
