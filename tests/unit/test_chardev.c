/*
 * test_chardev.c - src/host/chardev.c over standard input and output, files and nothing.
 *
 * Each test runs in a process of its own and makes descriptors 0 and 1 what its name says.
 */
#include "fake_console.h"
#include "fake_kernel.h"
#include "fake_stderr.h"
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/util.h>

#define LOTS MIB
#define PIPE_BYTES 65536 /* pipe(7) */

static struct fake_console con;
static int to_stdin, from_stdout; /* the host's ends */

static void become(int target, int fd)
{
	ck_assert_int_eq(dup2(fd, target), target);
	close(fd);
}

static void pipes_as_stdio(void)
{
	int in[2], out[2];

	ck_assert(pipe(in) == 0 && pipe(out) == 0);
	become(STDIN_FILENO, in[0]);
	become(STDOUT_FILENO, out[1]);
	to_stdin = fcntl(in[1], F_DUPFD_CLOEXEC, 100);
	from_stdout = fcntl(out[0], F_DUPFD_CLOEXEC, 100);
	close(in[1]);
	close(out[0]);
}

static void sleep_us(long us)
{
	const struct timespec t = { .tv_nsec = us * 1000 };

	nanosleep(&t, NULL);
}

/* Both ways -------------------------------------------------------------------------------------
 */

static void *slow_reader(void *arg)
{
	uint64_t *n = arg;
	uint8_t buf[5000];
	ssize_t got;

	while ((got = read(from_stdout, buf, sizeof(buf))) > 0) {
		ck_assert(is_pattern(buf, *n, (size_t)got));
		*n += (uint64_t)got;
		sleep_us(100);
	}
	return NULL;
}

static void *typist(void *arg)
{
	uint8_t buf[3001];
	uint64_t at = 0;

	(void)arg;
	while (at < LOTS) {
		size_t n = min_size(sizeof(buf), LOTS - at);

		for (size_t i = 0; i < n; i++)
			buf[i] = pattern(at + i);
		ck_assert_int_eq(write(to_stdin, buf, n), (ssize_t)n);
		at += n;
	}
	close(to_stdin);
	return NULL;
}

static bool finished; /* atomic */

/* A vCPU: puts when there is room, takes 16 bytes at a time, as a UART does. */
static void *device(void *arg)
{
	uint64_t put = 0, taken = 0;
	uint8_t buf[16];

	(void)arg;
	while (put < LOTS || taken < LOTS) {
		size_t n = chardev_get(con.c, buf, sizeof(buf));

		ck_assert(is_pattern(buf, taken, n));
		taken += n;
		for (unsigned int i = 0; i < 64 && put < LOTS; i++, put++) {
			if (!chardev_put(con.c, pattern(put)))
				break;
		}
		if (n == 0)
			sched_yield();
	}
	__atomic_store_n(&finished, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool is_finished(struct fake_console *f)
{
	(void)f;
	return __atomic_load_n(&finished, __ATOMIC_ACQUIRE);
}

START_TEST(a_megabyte_each_way_passes_unchanged_however_slow_the_reader)
{
	pthread_t reader, writer, cpu;
	uint64_t n_read = 0;

	pipes_as_stdio();
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	con.takes = false;
	ck_assert_int_eq(pthread_create(&reader, NULL, slow_reader, &n_read), 0);
	ck_assert_int_eq(pthread_create(&writer, NULL, typist, NULL), 0);
	ck_assert_int_eq(pthread_create(&cpu, NULL, device, NULL), 0);
	fake_console_until(&con, is_finished);
	pthread_join(cpu, NULL);
	pthread_join(writer, NULL);
	chardev_drain(con.c, 0);
	fake_console_fini(&con);
	close(STDOUT_FILENO);
	pthread_join(reader, NULL);
	ck_assert_uint_eq(n_read, LOTS);
	ck_assert_uint_eq(con.n_watched, LOTS);
}
END_TEST

/* Output ----------------------------------------------------------------------------------------
 */

static uint64_t put_pattern(uint64_t from, uint64_t max)
{
	return fake_console_put(&con, from, max);
}

START_TEST(a_full_ring_says_no_and_tells_when_there_is_room)
{
	uint64_t total;

	pipes_as_stdio();
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	total = put_pattern(0, LOTS);
	ck_assert_uint_eq(total, CHARDEV_OUT_BYTES);
	ck_assert(!chardev_has_room(con.c));
	ck_assert_uint_eq(con.n_room, 0);
	fake_console_run(&con, 20); /* the pipe takes it all */
	ck_assert_uint_eq(con.n_room, 1);
	ck_assert(chardev_has_room(con.c));
	total += put_pattern(total, LOTS);
	fake_console_run(&con, 20);
	ck_assert_uint_eq(total, CHARDEV_OUT_BYTES + PIPE_BYTES);
	ck_assert_uint_eq(con.n_room, 1); /* still nobody has read */
	ck_assert_uint_eq(put_pattern(total, LOTS), 0);
	read_pattern(from_stdout, 0, PIPE_BYTES);
	fake_console_run(&con, 20);
	ck_assert_uint_eq(con.n_room, 2);
	read_pattern(from_stdout, PIPE_BYTES, CHARDEV_OUT_BYTES);
	fake_console_fini(&con);
}
END_TEST

static size_t write_pattern(uint64_t from, size_t n)
{
	static uint8_t buf[2 * CHARDEV_OUT_BYTES];

	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(from + i);
	return chardev_write(con.c, buf, n);
}

START_TEST(writing_in_bulk_is_taken_as_far_as_there_is_room)
{
	uint64_t total;

	pipes_as_stdio();
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	total = write_pattern(0, 0);
	total += write_pattern(total, 1);
	total += write_pattern(total, 29999);
	ck_assert_uint_eq(total, 30000);
	fake_console_run(&con, 20);
	read_pattern(from_stdout, 0, 30000);
	total += write_pattern(total, 60000); /* over the end of the ring */
	total += write_pattern(total, 60000);
	ck_assert_uint_eq(total, 30000 + CHARDEV_OUT_BYTES);
	ck_assert_uint_eq(write_pattern(total, 1), 0);
	ck_assert_uint_eq(con.n_room, 0);
	fake_console_run(&con, 20);
	ck_assert_uint_eq(con.n_room, 1);
	read_pattern(from_stdout, 30000, CHARDEV_OUT_BYTES);
	fake_console_fini(&con);
}
END_TEST

START_TEST(only_terminals_and_ptys_have_a_size)
{
	uint16_t cols, rows;

	pipes_as_stdio();
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	ck_assert(!chardev_winsize(con.c, &cols, &rows));
	chardev_resize(con.c);
	ck_assert_uint_eq(con.n_resized, 0);
	ck_assert(chardev_is_attached(con.c));
	fake_console_fini(&con);
}
END_TEST

START_TEST(a_chardev_is_called_by_its_name)
{
	const struct chardev_watch watch = { 0 };
	struct chardev_spec spec = { .kind = CHARDEV_FILE, .path = "/nonexistent/x" };
	struct chardev *c;
	struct err e = { 0 };

	fake_console_loop(&con);
	ck_fails(chardev_create(&c, con.loop, &spec, &watch, &e), -ENOENT,
		 "--serial file=/nonexistent/x: No such file");
	spec.name = "port agent";
	ck_fails(chardev_create(&c, con.loop, &spec, &watch, &e), -ENOENT,
		 "port agent: file=/nonexistent/x: No such file");
	evloop_destroy(con.loop);
}
END_TEST

START_TEST(a_full_pipe_costs_no_cpu_time)
{
	pipes_as_stdio();
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	for (uint64_t total = 0; total < CHARDEV_OUT_BYTES + PIPE_BYTES;) {
		total += put_pattern(total, LOTS);
		fake_console_run(&con, 5);
	}
	ck_assert_uint_le(fake_console_idle_cost_ms(&con, 200), 50);
	fake_console_fini(&con);
}
END_TEST

START_TEST(draining_ends_at_its_deadline)
{
	uint64_t before, deadline;

	pipes_as_stdio();
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	put_pattern(0, CHARDEV_OUT_BYTES);
	fake_console_run(&con, 20);
	put_pattern(0, CHARDEV_OUT_BYTES);
	before = evloop_now_ns();
	deadline = before + 60 * NS_PER_MS;
	chardev_drain(con.c, deadline);
	ck_assert_uint_ge(evloop_now_ns(), deadline);
	ck_assert_uint_lt(evloop_now_ns() - before, NS_PER_S);
	fake_console_fini(&con);
}
END_TEST

START_TEST(a_reader_that_goes_away_is_told_once_and_the_guest_goes_on)
{
	char text[1024], *first;

	pipes_as_stdio();
	if (_i == 0) /* before we start, or later */
		close(from_stdout);
	stderr_capture();
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	if (_i == 1)
		close(from_stdout);
	for (unsigned int i = 0; i < 5; i++) {
		put_pattern(0, CHARDEV_OUT_BYTES);
		fake_console_run(&con, 10);
		ck_assert(chardev_has_room(con.c));
	}
	stderr_text(text, sizeof(text));
	first = strstr(text, "console output is lost from here on: Broken pipe");
	ck_assert_msg(first != NULL, "%s", text);
	ck_assert(!strstr(first + 20, "lost"));
	chardev_drain(con.c, 0);
	fake_console_fini(&con);
}
END_TEST

START_TEST(pipes_that_cannot_be_reopened_are_never_waited_for)
{
	uint64_t total, before;

	pipes_as_stdio();
	ck_assert_int_eq(fchmod(STDOUT_FILENO, 0), 0);
	ck_assert_int_eq(fchmod(STDIN_FILENO, 0), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	prctl(PR_SET_DUMPABLE, 1); /* or LeakSanitizer cannot look at us */
	ck_assert_int_eq(write(to_stdin, "typed", 5), 5);
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	before = evloop_now_ns();
	for (total = 0; total < CHARDEV_OUT_BYTES + PIPE_BYTES;) {
		total += put_pattern(total, LOTS);
		fake_console_run(&con, 5);
		ck_assert_uint_lt(evloop_now_ns() - before, 5 * NS_PER_S);
	}
	ck_assert_uint_eq(con.n_in, 5);
	read_pattern(from_stdout, 0, PIPE_BYTES);
	fake_console_run(&con, 20);
	read_pattern(from_stdout, PIPE_BYTES, total - PIPE_BYTES);
	fake_console_fini(&con);
}
END_TEST

START_TEST(sockets_as_stdio_work)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(dup2(pair[0], STDIN_FILENO), STDIN_FILENO);
	ck_assert_int_eq(dup2(pair[0], STDOUT_FILENO), STDOUT_FILENO);
	close(pair[0]);
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	ck_assert_int_eq(write(pair[1], "in", 2), 2);
	put_pattern(0, 1000);
	fake_console_run(&con, 20);
	read_pattern(pair[1], 0, 1000);
	ck_assert_uint_eq(con.n_in, 2);
	fake_console_fini(&con);
	ck_assert_int_eq(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

START_TEST(a_socket_of_the_programs_own_talks_both_ways_and_stays_its)
{
	struct chardev_spec spec = { .kind = CHARDEV_SOCKET };
	const struct chardev_watch watch = { 0 };
	struct chardev *c;
	struct err e;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	spec.fd = pair[0];
	fake_console_loop(&con);
	ck_ok(chardev_create(&c, con.loop, &spec, &watch, &e));
	con.c = c;
	chardev_start(c);
	ck_assert_int_eq(write(pair[1], "in", 2), 2);
	put_pattern(0, 1000);
	fake_console_run(&con, 20);
	read_pattern(pair[1], 0, 1000);
	ck_assert_uint_eq(chardev_input(c), 2);
	fake_console_fini(&con);
	ck_assert_int_ge(fcntl(pair[0], F_GETFD), 0);
	ck_assert_int_eq(fcntl(pair[0], F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

START_TEST(without_stdin_and_stdout_the_guest_runs_all_the_same)
{
	fake_console_loop(&con);
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	fake_console_open(&con, CHARDEV_STDIO, NULL);
	for (unsigned int i = 0; i < 3; i++) {
		put_pattern(0, LOTS);
		fake_console_run(&con, 5);
		ck_assert(chardev_has_room(con.c));
	}
	chardev_drain(con.c, 0);
	fake_console_fini(&con);
}
END_TEST

/* Input -----------------------------------------------------------------------------------------
 */

START_TEST(a_file_as_stdin_is_read_to_its_end)
{
	uint8_t text[10000];
	char *path;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = pattern(i);
	path = fake_file(text, sizeof(text));
	become(STDIN_FILENO, open(path, O_RDONLY));
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	fake_console_run(&con, 20);
	ck_assert_uint_eq(con.n_in, FAKE_CONSOLE_KEPT); /* the double takes no more */
	for (size_t at = FAKE_CONSOLE_KEPT; at < sizeof(text);) {
		uint8_t buf[100];
		size_t n = chardev_get(con.c, buf, sizeof(buf));

		ck_assert(memcmp(buf, text + at, n) == 0);
		at += n;
		if (n == 0)
			fake_console_run(&con, 2);
	}
	ck_assert(memcmp(con.in, text, FAKE_CONSOLE_KEPT) == 0);
	ck_assert_uint_le(fake_console_idle_cost_ms(&con, 100), 30);
	fake_console_fini(&con);
	unlink(path);
	free(path);
}
END_TEST

START_TEST(an_end_of_input_costs_no_cpu_time)
{
	pipes_as_stdio();
	if (_i == 0)
		close(to_stdin);
	else
		become(STDIN_FILENO, open("/dev/null", O_RDONLY));
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	ck_assert_uint_le(fake_console_idle_cost_ms(&con, 200), 50);
	ck_assert_uint_eq(con.n_input, 0);
	fake_console_fini(&con);
}
END_TEST

START_TEST(input_is_read_only_as_fast_as_the_device_takes_it)
{
	uint8_t text[20000] = { 0 }, buf[CHARDEV_IN_BYTES];
	int left;

	pipes_as_stdio();
	ck_assert_int_eq(write(to_stdin, text, sizeof(text)), sizeof(text));
	fake_console_init(&con, CHARDEV_STDIO, NULL);
	con.takes = false;
	fake_console_run(&con, 20);
	ck_assert_int_eq(ioctl(to_stdin, FIONREAD, &left), 0);
	ck_assert_int_eq(left, (int)(sizeof(text) - CHARDEV_IN_BYTES));
	ck_assert_uint_eq(con.n_input, 1);
	ck_assert_uint_le(fake_console_idle_cost_ms(&con, 200), 50);
	ck_assert_uint_eq(chardev_get(con.c, buf, 10), 10); /* not yet empty: nothing is read */
	fake_console_run(&con, 20);
	ck_assert_uint_eq(con.n_input, 1);
	ck_assert_uint_eq(chardev_get(con.c, buf, sizeof(buf)), CHARDEV_IN_BYTES - 10);
	ck_assert_uint_eq(chardev_get(con.c, buf, sizeof(buf)), 0);
	fake_console_run(&con, 20);
	ck_assert_uint_eq(con.n_input, 2);
	fake_console_fini(&con);
}
END_TEST

/* Files and nothing -------------------------------------------------------------------------------
 */

START_TEST(a_file_gets_every_byte_and_nothing_of_before)
{
	char *path = fake_file("something longer that was there", 31);
	int fd;

	fake_console_init(&con, CHARDEV_FILE, path);
	for (uint64_t total = 0; total < 3 * CHARDEV_OUT_BYTES;) {
		total += put_pattern(total, 3 * CHARDEV_OUT_BYTES - total);
		fake_console_run(&con, 1);
	}
	chardev_drain(con.c, 0);
	fake_console_fini(&con);
	fd = open(path, O_RDONLY);
	read_pattern(fd, 0, 3 * CHARDEV_OUT_BYTES);
	ck_assert_int_eq(read(fd, &fd, 1), 0);
	unlink(path);
	free(path);
}
END_TEST

START_TEST(a_full_disk_is_told_once_and_the_guest_goes_on)
{
	char text[1024];

	stderr_capture();
	fake_console_init(&con, CHARDEV_FILE, "/dev/full");
	for (unsigned int i = 0; i < 3; i++) {
		put_pattern(0, LOTS);
		fake_console_run(&con, 5);
		ck_assert(chardev_has_room(con.c));
	}
	fake_console_fini(&con);
	stderr_text(text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "lost from here on: No space left on device"));
}
END_TEST

START_TEST(nothing_as_a_console_takes_everything_and_it_is_still_watched)
{
	fake_console_init(&con, CHARDEV_NULL, NULL);
	for (uint64_t total = 0; total < LOTS;) {
		total += put_pattern(total, LOTS - total);
		fake_console_run(&con, 1);
	}
	ck_assert_uint_eq(con.n_watched, LOTS);
	fake_console_fini(&con);
	chardev_destroy(NULL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("chardev");

	UNIT_SLOW(s, a_megabyte_each_way_passes_unchanged_however_slow_the_reader);
	UNIT_TEST(s, a_full_ring_says_no_and_tells_when_there_is_room);
	UNIT_TEST(s, writing_in_bulk_is_taken_as_far_as_there_is_room);
	UNIT_TEST(s, only_terminals_and_ptys_have_a_size);
	UNIT_TEST(s, a_chardev_is_called_by_its_name);
	UNIT_TEST(s, a_full_pipe_costs_no_cpu_time);
	UNIT_TEST(s, draining_ends_at_its_deadline);
	UNIT_LOOP(s, a_reader_that_goes_away_is_told_once_and_the_guest_goes_on, 2);
	UNIT_TEST(s, pipes_that_cannot_be_reopened_are_never_waited_for);
	UNIT_TEST(s, sockets_as_stdio_work);
	UNIT_TEST(s, a_socket_of_the_programs_own_talks_both_ways_and_stays_its);
	UNIT_TEST(s, without_stdin_and_stdout_the_guest_runs_all_the_same);
	UNIT_TEST(s, a_file_as_stdin_is_read_to_its_end);
	UNIT_LOOP(s, an_end_of_input_costs_no_cpu_time, 2);
	UNIT_TEST(s, input_is_read_only_as_fast_as_the_device_takes_it);
	UNIT_TEST(s, a_file_gets_every_byte_and_nothing_of_before);
	UNIT_TEST(s, a_full_disk_is_told_once_and_the_guest_goes_on);
	UNIT_TEST(s, nothing_as_a_console_takes_everything_and_it_is_still_watched);
	return s;
}

UNIT_MAIN("chardev", suite)
