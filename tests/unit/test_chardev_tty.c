/*
 * test_chardev_tty.c - a terminal as the console: Ctrl-A, raw mode, and its sure restore.
 *
 * Each test forks a child whose controlling terminal is a pty; the test is the user in front of it.
 */
#include "fake_console.h"
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/emergency.h>
#include <vmm/host/signals.h>

static struct fake_console con;
static int terminal; /* the user's side */
static char screen[16384];
static size_t n_screen;

/* What the terminal shows, until the child is gone or `words` have come. */
static void look(const char *words)
{
	struct pollfd p = { .fd = terminal, .events = POLLIN };

	while (!words || !strstr(screen, words)) {
		ssize_t n;

		ck_assert_msg(poll(&p, 1, 10000) > 0, "waited for \"%s\", got \"%s\"",
			      words ? words : "the end", screen);
		n = read(terminal, screen + n_screen, sizeof(screen) - 1 - n_screen);
		if (n <= 0) {
			ck_assert_msg(!words, "no \"%s\" in \"%s\"", words, screen);
			return;
		}
		n_screen += (size_t)n;
	}
}

static void type(const char *keys)
{
	ck_assert_int_eq(write(terminal, keys, strlen(keys)), (ssize_t)strlen(keys));
}

static void in_terminal(void (*child)(void), pid_t *pid)
{
	*pid = forkpty(&terminal, NULL, NULL, NULL);
	ck_assert_int_ge(*pid, 0);
	if (*pid == 0) {
		child();
		exit(0);
	}
}

static int end_of(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void say(const char *text)
{
	while (*text)
		ck_assert(chardev_put(con.c, (uint8_t)*text++));
}

static bool has_x(struct fake_console *f)
{
	return f->n_keys > 0 && f->keys[f->n_keys - 1] == 'x';
}

static bool is_raw(int fd)
{
	struct termios t;

	ck_assert_int_eq(tcgetattr(fd, &t), 0);
	return !(t.c_lflag & (ICANON | ECHO | ISIG));
}

/* Keys ------------------------------------------------------------------------------------------
 */

static void guest_that_listens(void)
{
	static const char want[] = "ab\x01"
				   "c\x01"
				   "\x03"
				   "d";
	struct termios before, after;

	ck_assert_int_eq(tcgetattr(STDIN_FILENO, &before), 0);
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	ck_assert(is_raw(STDIN_FILENO) && log_is_raw());
	say("ready\r\n");
	fake_console_until(&con, has_x);
	ck_assert_uint_eq(con.n_in, strlen(want));
	ck_assert(memcmp(con.in, want, strlen(want)) == 0);
	ck_assert_uint_eq(con.n_keys, 3);
	ck_assert(memcmp(con.keys, "psx", 3) == 0);
	chardev_drain(con.c, 0);
	fake_console_fini(&con);
	ck_assert(!log_is_raw());
	ck_assert_int_eq(tcgetattr(STDIN_FILENO, &after), 0);
	ck_assert_uint_eq(before.c_lflag, after.c_lflag);
	ck_assert_uint_eq(before.c_iflag, after.c_iflag);
	ck_assert_uint_eq(before.c_oflag, after.c_oflag);
	ck_assert_uint_eq(before.c_cflag, after.c_cflag);
}

START_TEST(ctrl_a_starts_a_command_and_the_terminal_is_given_back_as_it_was)
{
	pid_t pid;

	in_terminal(guest_that_listens, &pid);
	look("ready\r\n");
	type("ab\x01"
	     "a"
	     "c\x01\x01"); /* Ctrl-A a and Ctrl-A Ctrl-A are Ctrl-A for the guest */
	type("\x03"); /* and so is Ctrl-C */
	type("\x01"
	     "h");
	look("this help\r\n");
	type("\x01"); /* the command may come in two pieces */
	usleep(20000);
	type("pd\x01s\x01x");
	look(NULL);
	ck_assert_int_eq(end_of(pid), 0);
	ck_assert(!strchr(screen, '\x03')); /* nothing was echoed */
	close(terminal);
}
END_TEST

static void guest_that_is_started_late(void)
{
	const struct chardev_spec spec = { .kind = CHARDEV_STDIO };
	const struct chardev_watch watch = { 0 };
	struct termios first, t;
	struct evloop *l;
	struct chardev *c;
	struct err e;

	ck_assert_int_eq(tcgetattr(STDIN_FILENO, &first), 0);
	ck_ok(evloop_create(&l, &e));
	ck_ok(chardev_create(&c, l, &spec, &watch, &e));
	t = first;
	t.c_lflag &= ~(tcflag_t)ECHO;
	ck_assert_int_eq(tcsetattr(STDIN_FILENO, TCSANOW, &t), 0);
	chardev_start(c);
	ck_assert(is_raw(STDIN_FILENO));
	chardev_destroy(c);
	evloop_destroy(l);
	ck_assert_int_eq(tcgetattr(STDIN_FILENO, &t), 0);
	ck_assert_uint_eq(t.c_lflag, first.c_lflag);
}

START_TEST(the_terminal_gets_back_the_settings_that_it_was_opened_with)
{
	pid_t pid;

	in_terminal(guest_that_is_started_late, &pid);
	look(NULL);
	ck_assert_int_eq(end_of(pid), 0);
	close(terminal);
}
END_TEST

/* It prints, and never looks at what is typed; commands are heard all the same. */
static void guest_that_does_not_listen(void)
{
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	con.takes = false;
	say("ready\r\n");
	fake_console_until(&con, has_x);
	ck_assert_uint_eq(chardev_input(con.c), CHARDEV_IN_BYTES);
	fake_console_fini(&con);
}

START_TEST(what_is_typed_at_a_guest_that_does_not_listen_has_an_end)
{
	char keys[1001];
	pid_t pid;

	memset(keys, 'k', sizeof(keys) - 1);
	keys[sizeof(keys) - 1] = '\0';
	in_terminal(guest_that_does_not_listen, &pid);
	look("ready\r\n");
	for (unsigned int i = 0; i < 8; i++)
		type(keys);
	type("\x01x");
	look(NULL);
	ck_assert_int_eq(end_of(pid), 0);
	close(terminal);
}
END_TEST

/* In the background -------------------------------------------------------------------------------
 */

static void guest_in_the_background(void)
{
	pid_t pid = fork();

	if (pid > 0) {
		ck_assert_int_eq(end_of(pid), 0);
		return;
	}
	ck_assert_int_eq(setpgid(0, 0), 0);
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	ck_assert(!is_raw(STDIN_FILENO) && !log_is_raw());
	say("ready\n");
	fake_console_run(&con, 50);
	ck_assert_uint_eq(con.n_input, 0);
	fake_console_fini(&con);
}

START_TEST(in_the_background_it_leaves_the_terminal_alone)
{
	pid_t pid;

	in_terminal(guest_in_the_background, &pid);
	look("ready");
	type("abc\n");
	look(NULL);
	ck_assert_int_eq(end_of(pid), 0);
	close(terminal);
}
END_TEST

/* Signals ---------------------------------------------------------------------------------------
 */

static char socket_path[64];

static void guest_that_is_killed(void)
{
	signals_init();
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	emergency_keep_unlink(socket_path);
	say("ready\r\n");
	fake_console_run(&con, 30000);
}

START_TEST(a_fatal_signal_gives_the_terminal_back_and_removes_the_socket)
{
	static const struct {
		int signo;
		bool exits; /* with 128 + signo; otherwise it dies of it */
	} cases[] = { { SIGTERM, true }, { SIGINT, true },   { SIGHUP, true },
		      { SIGQUIT, true }, { SIGABRT, false }, { SIGSEGV, false } };
	int fd, status;
	pid_t pid;

	snprintf(socket_path, sizeof(socket_path), "/tmp/vmm-unit-XXXXXX");
	fd = mkstemp(socket_path);
	in_terminal(guest_that_is_killed, &pid);
	look("ready\r\n");
	ck_assert(is_raw(terminal));
	ck_assert_int_eq(kill(pid, cases[_i].signo), 0);
	status = end_of(pid);
	if (cases[_i].exits)
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 128 + cases[_i].signo);
	else
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == cases[_i].signo);
	ck_assert(!is_raw(terminal));
	ck_assert_int_lt(access(socket_path, F_OK), 0);
	close(fd);
	close(terminal);
}
END_TEST

static void nohup_guest(void)
{
	signal(SIGHUP, SIG_IGN);
	signals_init();
	printf("ready\n");
	fflush(stdout);
	raise(SIGHUP);
	raise(SIGPIPE);
	printf("alive\n");
	fflush(stdout);
}

START_TEST(ignored_signals_stay_ignored)
{
	pid_t pid;

	in_terminal(nohup_guest, &pid);
	look("alive");
	look(NULL);
	ck_assert_int_eq(end_of(pid), 0);
	close(terminal);
}
END_TEST

/* The window ------------------------------------------------------------------------------------
 */

static bool was_resized(struct fake_console *f)
{
	return f->n_resized > 0;
}

static void on_winch(void *arg, int signo)
{
	(void)arg;
	if (signo == SIGWINCH)
		chardev_resize(con.c);
}

static void guest_in_a_window(void)
{
	struct signals s = { 0 };
	uint16_t cols, rows;
	struct err e = { 0 };

	signals_init();
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	ck_ok(signals_watch(&s, con.loop, on_winch, NULL, &e));
	ck_assert(chardev_winsize(con.c, &cols, &rows));
	ck_assert(cols == 100 && rows == 30);
	say("ready\r\n");
	fake_console_until(&con, was_resized);
	ck_assert(chardev_winsize(con.c, &cols, &rows));
	ck_assert(cols == 120 && rows == 40);
	say("seen\r\n");
	chardev_drain(con.c, 0);
	signals_unwatch(&s);
	raise(SIGWINCH);
	fake_console_fini(&con);
}

START_TEST(the_size_of_the_window_is_known_and_its_changes_are_told)
{
	const struct winsize first = { .ws_col = 100, .ws_row = 30 };
	const struct winsize then = { .ws_col = 120, .ws_row = 40 };
	pid_t pid = forkpty(&terminal, NULL, NULL, &first);

	if (pid == 0) {
		guest_in_a_window();
		exit(0);
	}
	look("ready");
	ck_assert_int_eq(ioctl(terminal, TIOCSWINSZ, &then), 0);
	look("seen");
	look(NULL);
	ck_assert_int_eq(end_of(pid), 0);
	close(terminal);
}
END_TEST

/* Watched signals ---------------------------------------------------------------------------------
 */

static struct evloop *loop;
static int seen[4];
static unsigned int n_seen;
static int another; /* than SIGTERM */

static void on_signal(void *arg, int signo)
{
	(void)arg;
	seen[n_seen++] = signo;
	if (n_seen == 2)
		evloop_stop(loop);
}

static void watch_and_be_killed(void)
{
	struct signals s = { 0 };
	struct err e = { 0 };

	signals_init();
	ck_ok(evloop_create(&loop, &e));
	signals_unwatch(&s); /* not watching: fine */
	ck_ok(signals_watch(&s, loop, on_signal, NULL, &e));
	raise(SIGTERM);
	raise(another);
	evloop_run(loop);
	ck_assert_uint_eq(n_seen, 2);
	ck_assert_int_eq(seen[0] + seen[1], SIGTERM + another);
	signals_unwatch(&s);
	evloop_destroy(loop);
	printf("done\n");
	fflush(stdout);
	raise(SIGTERM);
	printf("not reached\n");
}

START_TEST(watched_signals_are_events_and_later_they_kill_again)
{
	int status;
	pid_t pid;

	another = _i ? SIGUSR1 : SIGPWR;
	in_terminal(watch_and_be_killed, &pid);
	look("done");
	look(NULL);
	status = end_of(pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGTERM);
	close(terminal);
}
END_TEST

static void ask_for_nothing(void)
{
	raise(SIGNALS_KICK); /* even before anything has been set up */
	signals_init();
	raise(SIGUSR1);
	raise(SIGPWR);
	raise(SIGWINCH);
	raise(SIGNALS_KICK);
	signals_kick_init();
	raise(SIGNALS_KICK);
	printf("alive\n");
	fflush(stdout);
}

START_TEST(signals_that_mean_nothing_yet_are_harmless)
{
	pid_t pid;

	in_terminal(ask_for_nothing, &pid);
	look("alive");
	look(NULL);
	ck_assert_int_eq(end_of(pid), 0);
	close(terminal);
}
END_TEST

START_TEST(undoing_twice_undoes_once)
{
	int fd;

	snprintf(socket_path, sizeof(socket_path), "/tmp/vmm-unit-XXXXXX");
	fd = mkstemp(socket_path);
	emergency_keep_unlink(socket_path);
	emergency_undo();
	ck_assert_int_lt(access(socket_path, F_OK), 0);
	close(fd);
	fd = creat(socket_path, 0600);
	emergency_undo();
	ck_assert_int_eq(access(socket_path, F_OK), 0);
	unlink(socket_path);
	close(fd);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("chardev_tty");

	UNIT_TEST(s, ctrl_a_starts_a_command_and_the_terminal_is_given_back_as_it_was);
	UNIT_TEST(s, the_terminal_gets_back_the_settings_that_it_was_opened_with);
	UNIT_TEST(s, what_is_typed_at_a_guest_that_does_not_listen_has_an_end);
	UNIT_TEST(s, in_the_background_it_leaves_the_terminal_alone);
	UNIT_LOOP(s, a_fatal_signal_gives_the_terminal_back_and_removes_the_socket, 6);
	UNIT_TEST(s, ignored_signals_stay_ignored);
	UNIT_TEST(s, the_size_of_the_window_is_known_and_its_changes_are_told);
	UNIT_LOOP(s, watched_signals_are_events_and_later_they_kill_again, 2);
	UNIT_TEST(s, signals_that_mean_nothing_yet_are_harmless);
	UNIT_TEST(s, undoing_twice_undoes_once);
	return s;
}

UNIT_MAIN("chardev_tty", suite)
