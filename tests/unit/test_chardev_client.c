/*
 * test_chardev_client.c - src/host/chardev.c with clients that come and go: unix socket and pty.
 */
#include "fake_console.h"
#include "fake_stderr.h"
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/emergency.h>

static struct fake_console con;
static char dir[64], path[96];

static void make_path(void)
{
	snprintf(dir, sizeof(dir), "/tmp/vmm-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/console", dir);
}

static void remove_path(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void start_unix(void)
{
	make_path();
	fake_console_init(&con, CHARDEV_UNIX, path);
}

static void stop_unix(void)
{
	fake_console_fini(&con);
	ck_assert_int_lt(access(path, F_OK), 0);
	remove_path();
}

static int connect_client(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = 10 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

static uint64_t put(uint64_t from, uint64_t n)
{
	return fake_console_put(&con, from, n);
}

/* Nobody reads: all of it goes, a ringful at a time. */
static void put_unread(uint64_t from, uint64_t n)
{
	for (uint64_t done = 0; done < n;) {
		done += put(from + done, n - done);
		fake_console_run(&con, 1);
	}
}

static void nothing_to_read(int fd)
{
	char c;

	ck_assert_int_lt(recv(fd, &c, 1, MSG_DONTWAIT), 0);
	ck_assert_int_eq(errno, EAGAIN);
}

/* Unix socket -----------------------------------------------------------------------------------
 */

START_TEST(early_output_is_kept_for_the_first_client)
{
	int fd;

	start_unix();
	ck_assert_uint_eq(put(0, 1000), 1000);
	fake_console_run(&con, 5);
	fd = connect_client();
	fake_console_run(&con, 5);
	read_pattern(fd, 0, 1000);
	put(1000, 10);
	fake_console_run(&con, 5);
	read_pattern(fd, 1000, 10);
	ck_assert_uint_eq(con.n_watched, 1010);
	close(fd);
	stop_unix();
}
END_TEST

START_TEST(with_nobody_there_the_newest_64_kib_are_kept)
{
	uint64_t n = 3 * CHARDEV_OUT_BYTES + 12345;
	int fd;

	start_unix();
	put_unread(0, n);
	ck_assert_uint_eq(con.n_watched, n);
	fd = connect_client();
	fake_console_run(&con, 5);
	read_pattern(fd, n - CHARDEV_OUT_BYTES, CHARDEV_OUT_BYTES);
	nothing_to_read(fd);
	close(fd);
	stop_unix();
}
END_TEST

START_TEST(asking_for_room_takes_nothing_away)
{
	int fd;

	start_unix();
	ck_assert_uint_eq(put(0, CHARDEV_OUT_BYTES), CHARDEV_OUT_BYTES);
	fake_console_run(&con, 5);
	for (unsigned int i = 0; i < 100; i++)
		ck_assert(chardev_has_room(con.c));
	fd = connect_client();
	fake_console_run(&con, 5);
	read_pattern(fd, 0, CHARDEV_OUT_BYTES);
	close(fd);
	stop_unix();
}
END_TEST

START_TEST(clients_come_one_after_the_other_and_the_next_gets_what_came_between)
{
	int fd;

	start_unix();
	for (uint64_t i = 0; i < 10; i++) {
		put(i * 200, 100);
		fake_console_run(&con, 3);
		fd = connect_client();
		fake_console_run(&con, 3);
		put(i * 200 + 100, 100);
		fake_console_run(&con, 3);
		read_pattern(fd, i * 200, 200);
		close(fd);
		fake_console_run(&con, 3);
	}
	stop_unix();
}
END_TEST

START_TEST(a_second_client_waits_until_the_first_has_gone)
{
	int first, second;

	start_unix();
	first = connect_client();
	fake_console_run(&con, 3);
	second = connect_client();
	ck_assert_int_eq(write(second, "two", 3), 3);
	ck_assert_int_eq(write(first, "one", 3), 3);
	put(0, 10);
	fake_console_run(&con, 10);
	nothing_to_read(second);
	read_pattern(first, 0, 10);
	close(first);
	fake_console_run(&con, 10);
	put(10, 10);
	fake_console_run(&con, 10);
	read_pattern(second, 10, 10);
	ck_assert_uint_eq(con.n_in, 6);
	ck_assert(memcmp(con.in, "onetwo", 6) == 0);
	close(second);
	stop_unix();
}
END_TEST

START_TEST(a_client_that_does_not_read_gets_everything_in_the_end)
{
	uint64_t total = 0, n;
	int fd;

	start_unix();
	fd = connect_client();
	fake_console_run(&con, 3);
	do { /* until the socket is full, too */
		n = put(total, 10 * MIB);
		total += n;
		fake_console_run(&con, 10);
	} while (n > 0);
	ck_assert(!chardev_has_room(con.c));
	ck_assert_uint_le(fake_console_idle_cost_ms(&con, 100), 30);
	for (uint64_t got = 0; got < total;) {
		n = min_u64(1000, total - got);
		read_pattern(fd, got, n);
		got += n;
		if (got % 10000 == 0)
			fake_console_run(&con, 1);
	}
	ck_assert_uint_ge(con.n_room, 1);
	close(fd);
	stop_unix();
}
END_TEST

/* The device was refused: it must hear of the room that the client's end has made. */
START_TEST(a_client_that_goes_away_with_a_full_ring_does_not_stop_the_guest)
{
	uint64_t n;
	unsigned int before;
	int fd;

	start_unix();
	fd = connect_client();
	fake_console_run(&con, 3);
	do {
		n = put(0, 10 * MIB);
		fake_console_run(&con, 10);
	} while (n > 0);
	before = con.n_room;
	close(fd);
	fake_console_run(&con, 10);
	ck_assert_uint_eq(con.n_room, before + 1);
	ck_assert_uint_eq(put(0, 1000), 1000);
	stop_unix();
}
END_TEST

START_TEST(the_device_hears_of_clients)
{
	int fd;

	start_unix();
	ck_assert(!chardev_is_attached(con.c));
	for (unsigned int i = 0; i < 3; i++) {
		fd = connect_client();
		fake_console_run(&con, 3);
		ck_assert_uint_eq(con.n_attached, 2 * i + 1);
		ck_assert(con.attached && chardev_is_attached(con.c));
		close(fd);
		fake_console_run(&con, 3);
		ck_assert_uint_eq(con.n_attached, 2 * i + 2);
		ck_assert(!con.attached && !chardev_is_attached(con.c));
	}
	stop_unix();
}
END_TEST

START_TEST(writing_in_bulk_with_nobody_there_keeps_the_newest_too)
{
	static uint8_t buf[CHARDEV_OUT_BYTES];
	uint64_t n = 0;
	int fd;

	start_unix();
	while (n < 5 * CHARDEV_OUT_BYTES) {
		size_t some = 1000 + n % 50000;

		for (size_t i = 0; i < some; i++)
			buf[i] = pattern(n + i);
		n += chardev_write(con.c, buf, some);
		fake_console_run(&con, 1);
	}
	fd = connect_client();
	fake_console_run(&con, 5);
	read_pattern(fd, n - CHARDEV_OUT_BYTES, CHARDEV_OUT_BYTES);
	nothing_to_read(fd);
	ck_assert_uint_eq(con.n_watched, n);
	close(fd);
	stop_unix();
}
END_TEST

/* A dead client must not keep an ended VM for ever; a slow one gets what it takes. */
START_TEST(a_client_that_does_not_read_is_not_waited_for_at_the_end)
{
	uint64_t before;
	int fd;

	start_unix();
	fd = connect_client();
	fake_console_run(&con, 3);
	while (put(0, MIB) > 0)
		fake_console_run(&con, 5);
	before = evloop_now_ns();
	chardev_drain(con.c, 0);
	ck_assert_uint_ge(evloop_now_ns() - before, 2 * NS_PER_S);
	ck_assert_uint_lt(evloop_now_ns() - before, 8 * NS_PER_S);
	close(fd);
	stop_unix();
}
END_TEST

static bool has_gone(struct fake_console *f)
{
	return !f->attached;
}

START_TEST(a_client_that_says_no_more_may_still_listen)
{
	int fd;

	start_unix();
	fd = connect_client();
	ck_assert_int_eq(write(fd, "last", 4), 4);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	fake_console_run(&con, 5);
	ck_assert_uint_eq(con.n_in, 4);
	ck_assert(con.attached);
	put(0, 1000);
	fake_console_run(&con, 5);
	read_pattern(fd, 0, 1000);
	ck_assert_uint_le(fake_console_idle_cost_ms(&con, 100), 30);
	close(fd);
	fake_console_until(&con, has_gone);
	fd = connect_client();
	ck_assert_int_eq(write(fd, "next", 4), 4);
	fake_console_run(&con, 5);
	ck_assert_uint_eq(con.n_in, 8);
	close(fd);
	stop_unix();
}
END_TEST

START_TEST(several_sockets_are_removed_each_with_its_own_chardev)
{
	const struct chardev_watch watch = { 0 };
	struct chardev_spec spec = { .kind = CHARDEV_UNIX };
	struct chardev *c[3], *another;
	struct err e = { 0 };
	char paths[3][112];

	start_unix();
	for (unsigned int i = 0; i < 3; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s%u", path, i);
		spec.path = paths[i];
		ck_ok(chardev_create(&c[i], con.loop, &spec, &watch, &e));
	}
	spec.path = paths[0];
	ck_fails(chardev_create(&another, con.loop, &spec, &watch, &e), -EADDRINUSE, paths[0]);
	ck_assert_int_eq(access(paths[0], F_OK), 0); /* the other one's */
	chardev_destroy(c[0]);
	ck_assert_int_lt(access(paths[0], F_OK), 0);
	ck_assert_int_eq(access(paths[2], F_OK), 0);
	ck_assert_int_eq(access(path, F_OK), 0);
	chardev_destroy(c[2]);
	ck_assert_int_lt(access(paths[2], F_OK), 0);
	emergency_undo(); /* somebody dies with the rest open */
	ck_assert_int_lt(access(paths[1], F_OK), 0);
	chardev_destroy(c[1]);
	stop_unix();
}
END_TEST

static int try_unix(struct err *e)
{
	const struct chardev_spec spec = { .kind = CHARDEV_UNIX, .path = path };
	const struct chardev_watch watch = { 0 };
	struct chardev *c;
	int rc = chardev_create(&c, con.loop, &spec, &watch, e);

	if (rc == 0)
		chardev_destroy(c);
	return rc;
}

START_TEST(a_stale_socket_is_replaced_and_a_living_one_is_not)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct err e = { 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	make_path();
	fake_console_loop(&con);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_fails(try_unix(&e), -EADDRINUSE, path);
	ck_assert_int_eq(access(path, F_OK), 0);
	close(fd);
	ck_ok(try_unix(&e));
	ck_assert_int_lt(access(path, F_OK), 0);
	evloop_destroy(con.loop);
	remove_path();
}
END_TEST

START_TEST(a_file_in_the_way_is_left_alone)
{
	struct err e = { 0 };
	char text[6] = "";
	int fd;

	make_path();
	fake_console_loop(&con);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(write(fd, "mine!", 5), 5);
	ck_fails(try_unix(&e), -EADDRINUSE, path);
	ck_assert_int_eq(pread(fd, text, 5, 0), 5);
	ck_assert_str_eq(text, "mine!");
	ck_assert_int_eq(access(path, F_OK), 0);
	close(fd);
	evloop_destroy(con.loop);
	remove_path();
}
END_TEST

START_TEST(only_the_owner_may_connect)
{
	struct stat st;

	start_unix();
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	stop_unix();
}
END_TEST

START_TEST(a_path_that_is_too_long_is_an_error_that_says_so)
{
	const struct chardev_watch watch = { 0 };
	struct chardev_spec spec = { .kind = CHARDEV_UNIX };
	struct chardev *c;
	struct err e = { 0 };
	char text[200];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	spec.path = text;
	fake_console_loop(&con);
	ck_fails(chardev_create(&c, con.loop, &spec, &watch, &e), -ENAMETOOLONG,
		 "longer than 107 bytes");
	spec.path = "/nonexistent/socket";
	ck_fails(chardev_create(&c, con.loop, &spec, &watch, &e), -ENOENT,
		 "--serial unix=/nonexistent/socket");
	evloop_destroy(con.loop);
}
END_TEST

/* Pseudo-terminal -------------------------------------------------------------------------------
 */

static void start_pty(void)
{
	static const char prefix[] = "vmm: console on ";
	char text[256];

	stderr_capture();
	fake_console_init(&con, CHARDEV_PTY, NULL);
	stderr_text(text, sizeof(text));
	ck_assert(strncmp(text, prefix, strlen(prefix)) == 0);
	text[strcspn(text, "\n")] = '\0';
	snprintf(path, sizeof(path), "%.90s", text + strlen(prefix));
}

static int open_pty_client(void)
{
	int fd = open(path, O_RDWR | O_NOCTTY);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static bool watched_all(struct fake_console *f)
{
	return f->n_watched == 1000;
}

static bool has_input(struct fake_console *f)
{
	return f->n_in >= 4;
}

START_TEST(a_pty_keeps_output_until_it_is_opened_and_again_after_it_was_closed)
{
	int fd;

	start_pty();
	put(0, 1000);
	fake_console_until(&con, watched_all);
	fake_console_run(&con, 250);
	for (uint64_t i = 0; i < 3; i++) {
		fd = open_pty_client();
		fake_console_run(&con, 250); /* it looks for clients five times a second */
		ck_assert_uint_eq(con.n_attached, 2 * i + 1);
		read_pattern(fd, i * 1000, 1000);
		con.n_in = 0;
		ck_assert_int_eq(write(fd, "\x01xyz", 4), 4);
		fake_console_until(&con, has_input);
		ck_assert(memcmp(con.in, "\x01xyz", 4) == 0); /* no terminal of ours */
		close(fd);
		fake_console_run(&con, 10);
		put((i + 1) * 1000, 1000);
		fake_console_run(&con, 10);
	}
	ck_assert_uint_eq(con.n_keys, 0);
	ck_assert_uint_le(fake_console_idle_cost_ms(&con, 200), 50);
	fake_console_fini(&con);
}
END_TEST

START_TEST(the_size_of_a_pty_is_what_its_client_has_set)
{
	struct winsize ws = { .ws_col = 132, .ws_row = 43 };
	uint16_t cols = 0, rows = 0;
	int fd;

	start_pty();
	ck_assert(!chardev_winsize(con.c, &cols, &rows));
	fd = open_pty_client();
	ck_assert_int_eq(ioctl(fd, TIOCSWINSZ, &ws), 0);
	ck_assert(chardev_winsize(con.c, &cols, &rows));
	ck_assert(cols == 132 && rows == 43);
	close(fd);
	fake_console_fini(&con);
}
END_TEST

START_TEST(a_pty_passes_bytes_unchanged)
{
	uint8_t all[256], buf[256];
	size_t n = 0;
	int fd;

	start_pty();
	fd = open_pty_client();
	fake_console_run(&con, 250);
	for (unsigned int i = 0; i < 256; i++) {
		all[i] = (uint8_t)i;
		ck_assert(chardev_put(con.c, all[i]));
	}
	fake_console_run(&con, 10);
	while (n < sizeof(buf)) {
		ssize_t got = read(fd, buf + n, sizeof(buf) - n);

		ck_assert_int_gt(got, 0);
		n += (size_t)got;
	}
	ck_assert(memcmp(all, buf, sizeof(all)) == 0);
	ck_assert_int_eq(write(fd, all, sizeof(all)), sizeof(all));
	fake_console_run(&con, 20);
	ck_assert_uint_eq(con.n_in, sizeof(all));
	ck_assert(memcmp(all, con.in, sizeof(all)) == 0);
	close(fd);
	fake_console_fini(&con);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("chardev_client");

	UNIT_TEST(s, early_output_is_kept_for_the_first_client);
	UNIT_TEST(s, with_nobody_there_the_newest_64_kib_are_kept);
	UNIT_TEST(s, asking_for_room_takes_nothing_away);
	UNIT_TEST(s, clients_come_one_after_the_other_and_the_next_gets_what_came_between);
	UNIT_TEST(s, a_second_client_waits_until_the_first_has_gone);
	UNIT_TEST(s, a_client_that_does_not_read_gets_everything_in_the_end);
	UNIT_TEST(s, a_client_that_goes_away_with_a_full_ring_does_not_stop_the_guest);
	UNIT_TEST(s, the_device_hears_of_clients);
	UNIT_TEST(s, writing_in_bulk_with_nobody_there_keeps_the_newest_too);
	UNIT_TEST(s, a_client_that_does_not_read_is_not_waited_for_at_the_end);
	UNIT_TEST(s, a_client_that_says_no_more_may_still_listen);
	UNIT_TEST(s, several_sockets_are_removed_each_with_its_own_chardev);
	UNIT_TEST(s, a_stale_socket_is_replaced_and_a_living_one_is_not);
	UNIT_TEST(s, a_file_in_the_way_is_left_alone);
	UNIT_TEST(s, only_the_owner_may_connect);
	UNIT_TEST(s, a_path_that_is_too_long_is_an_error_that_says_so);
	UNIT_TEST(s, a_pty_keeps_output_until_it_is_opened_and_again_after_it_was_closed);
	UNIT_TEST(s, the_size_of_a_pty_is_what_its_client_has_set);
	UNIT_TEST(s, a_pty_passes_bytes_unchanged);
	return s;
}

UNIT_MAIN("chardev_client", suite)
