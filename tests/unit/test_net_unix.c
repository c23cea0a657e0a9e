/*
 * test_net_unix.c - frames over a unix socket: the format, hostile peers, and peers that come and
 * go.
 */
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/sock.h>
#include <vmm/net/netif.h>

static struct evloop *loop;
static struct err e;
static char folder[] = "/tmp/test_net_unix.XXXXXX", path[64];

/* One end, and what it was told. */
struct end {
	struct netif *n;
	unsigned int n_readable, n_writable, n_link;
};
static struct end one, two;

static void on_readable(void *arg, unsigned int pair)
{
	(void)pair;
	((struct end *)arg)->n_readable++;
}

static void on_writable(void *arg, unsigned int pair)
{
	(void)pair;
	((struct end *)arg)->n_writable++;
}

static void on_link(void *arg)
{
	((struct end *)arg)->n_link++;
}

static const struct netif_events events = { on_readable, on_writable, on_link };

static void setup(void)
{
	log_set_level(LOG_ERROR);
	ck_ok(evloop_create(&loop, &e));
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/net", folder);
}

static void teardown(void)
{
	netif_destroy(one.n);
	netif_destroy(two.n);
	evloop_destroy(loop);
	ck_assert_msg(rmdir(folder) == 0, "something was left behind");
}

/* It outlives the interface. */
static struct net_spec spec = { .kind = NET_UNIX, .target = path, .n_pairs = 1 };

static int open_end(struct end *d)
{
	int rc = netif_open(&d->n, &spec, "net0", loop, &e);

	if (rc == 0) {
		d->n->events = &events;
		d->n->arg = d;
	}
	return rc;
}

static void stop_loop(void *arg)
{
	evloop_stop(arg);
}

/* Runs the loop for a while. */
static void run_ms(unsigned int ms)
{
	struct ev_timer t = { .fn = stop_loop, .arg = loop };

	evloop_timer_set(loop, &t, evloop_now_ns() + ms * NS_PER_MS);
	evloop_run(loop);
}

/* A peer that is not one of ours. */
static int raw_peer(void)
{
	int fd = sock_connect(path);

	ck_assert_int_ge(fd, 0);
	run_ms(5);
	return fd;
}

static enum netif_sent send_bytes(struct end *d, const void *data, size_t len)
{
	uint8_t header[NETIF_HDR_LEN] = { 0 };
	struct iovec iov[3] = { { header, sizeof(header) },
				{ (void *)(uintptr_t)data, len / 2 },
				{ (uint8_t *)(uintptr_t)data + len / 2, len - len / 2 } };

	return d->n->ops->send(d->n, 0, iov, 3);
}

static uint8_t got[NETIF_HDR_LEN + NETIF_FRAME_MAX + 1];

/* One frame into got; its length without header, 0: none. */
static size_t receive(struct end *d)
{
	struct iovec iov[3] = { { got, NETIF_HDR_LEN },
				{ got + NETIF_HDR_LEN, 7 },
				{ got + NETIF_HDR_LEN + 7, NETIF_FRAME_MAX + 1 - 7 } };
	size_t len = d->n->ops->receive(d->n, 0, iov, 3);

	return len ? len - NETIF_HDR_LEN : 0;
}

static void put_raw(int fd, const void *data, size_t len)
{
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
}

static void put_length(int fd, uint32_t len)
{
	uint32_t raw = htonl(len);

	put_raw(fd, &raw, sizeof(raw));
}

/* Is the peer cut off? */
static bool is_closed(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* Who connects, who listens -------------------------------------------------------------------- */

START_TEST(the_first_listens_the_second_connects_and_frames_pass_both_ways)
{
	uint8_t frame[1514];

	setup();
	memset(frame, 0x5a, sizeof(frame));
	ck_ok(open_end(&one));
	ck_assert(!one.n->link_up);
	ck_ok(open_end(&two));
	ck_assert(two.n->link_up);
	run_ms(5);
	ck_assert(one.n->link_up);
	ck_assert_uint_eq(one.n_link, 1);
	ck_assert_int_eq(send_bytes(&one, frame, 60), NETIF_SENT);
	ck_assert_int_eq(send_bytes(&one, frame, 1514), NETIF_SENT);
	ck_assert_int_eq(send_bytes(&two, frame, 14), NETIF_SENT);
	ck_assert_uint_eq(receive(&two), 60);
	ck_assert_uint_eq(receive(&two), 1514);
	ck_assert_mem_eq(got + NETIF_HDR_LEN, frame, 1514);
	ck_assert_uint_eq(receive(&two), 0);
	ck_assert_uint_eq(receive(&one), 14);
	teardown();
}
END_TEST

START_TEST(the_two_ends_have_different_addresses)
{
	uint8_t a[6], b[6];

	setup();
	ck_ok(open_end(&one));
	ck_ok(open_end(&two));
	net_mac(a, one.n->seed);
	net_mac(b, two.n->seed);
	ck_assert(memcmp(a, b, 6) != 0);
	teardown();
}
END_TEST

START_TEST(the_socket_is_for_this_user_alone)
{
	struct stat st;

	setup();
	ck_ok(open_end(&one));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	teardown();
}
END_TEST

/* An ordinary user cannot make links of others, nor does any of his lead to what he may not use. */
START_TEST(root_does_not_connect_where_somebody_elses_link_leads)
{
	char link[sizeof(path) + 8];
	int fd;

	setup();
	ck_ok(open_end(&one));
	snprintf(link, sizeof(link), "%s-link", path);
	ck_assert_int_eq(symlink(path, link), 0);
	fd = sock_connect(link);
	ck_assert_int_ge(fd, 0);
	close(fd);
	if (geteuid() == 0) {
		ck_assert_int_eq(lchown(link, 12345, 12345), 0);
		ck_assert_int_eq(sock_connect(link), -ELOOP);
	}
	unlink(link);
	teardown();
}
END_TEST

START_TEST(a_stale_socket_is_replaced)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	setup();
	memcpy(a.sun_path, path, sizeof(path));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	ck_ok(open_end(&one));
	ck_ok(open_end(&two));
	ck_assert(two.n->link_up);
	teardown();
}
END_TEST

START_TEST(what_is_no_socket_is_left_alone)
{
	setup();
	close(open(path, O_CREAT | O_WRONLY, 0600));
	ck_fails(open_end(&one), -ECONNREFUSED, path);
	ck_assert_int_eq(unlink(path), 0);
	teardown();
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_told)
{
	setup();
	snprintf(path, sizeof(path), "%s/no/net", folder);
	ck_fails(open_end(&one), -ENOENT, path);
	teardown();
}
END_TEST

START_TEST(somebody_elses_socket_is_not_removed_at_the_end)
{
	setup();
	ck_ok(open_end(&one));
	ck_assert_int_eq(unlink(path), 0);
	ck_ok(open_end(&two));
	netif_destroy(one.n);
	one.n = NULL;
	ck_assert_int_eq(access(path, F_OK), 0);
	teardown();
}
END_TEST

START_TEST(of_many_who_start_at_once_one_listens)
{
	unsigned int listeners = 0;

	setup();
	for (unsigned int i = 0; i < 12; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			struct sock_listener l;
			int fd, rc = sock_connect_or_listen(&l, &fd, path, &e);

			usleep(300000); /* nobody leaves before all have come */
			_exit(rc < 0 ? 2 : l.fd >= 0);
		}
	}
	for (unsigned int i = 0; i < 12; i++) {
		int status;

		ck_assert_int_gt(wait(&status), 0);
		ck_assert(WIFEXITED(status));
		/* A backlog of one holds two; the others are told that it is full. */
		listeners += WEXITSTATUS(status) == 1;
	}
	ck_assert_uint_eq(listeners, 1);
	unlink(path);
	teardown();
}
END_TEST

START_TEST(a_second_peer_is_turned_away)
{
	int a, b;

	setup();
	ck_ok(open_end(&one));
	a = raw_peer();
	b = raw_peer();
	ck_assert(!is_closed(a));
	ck_assert(is_closed(b));
	close(a);
	close(b);
	teardown();
}
END_TEST

/* Nobody watches the first one: there is no driver, or its ring is full. */
START_TEST(a_peer_that_went_unnoticed_makes_room_for_the_next)
{
	int a, b;

	setup();
	ck_ok(open_end(&one));
	a = raw_peer();
	one.n->ops->watch(one.n, 0, 0);
	close(a);
	run_ms(5);
	b = raw_peer();
	ck_assert(!is_closed(b));
	ck_assert(one.n->link_up);
	close(b);
	teardown();
}
END_TEST

/* Peers that come and go ----------------------------------------------------------------------- */

START_TEST(a_peer_that_goes_takes_the_link_down_and_the_next_brings_it_up)
{
	setup();
	ck_ok(open_end(&one));
	one.n->ops->watch(one.n, 0, EPOLLIN);
	for (unsigned int i = 0; i < 5; i++) {
		int fd = raw_peer();

		ck_assert(one.n->link_up);
		close(fd);
		run_ms(5);
		if (one.n_readable > 0) /* the device asks, and then it is seen */
			ck_assert_uint_eq(receive(&one), 0);
		run_ms(5);
		ck_assert(!one.n->link_up);
		ck_assert_uint_eq(one.n_link, 2 * (i + 1));
	}
	teardown();
}
END_TEST

START_TEST(the_one_that_connects_comes_back_when_the_other_does)
{
	setup();
	ck_ok(open_end(&one));
	ck_ok(open_end(&two));
	run_ms(5);
	netif_destroy(one.n);
	one.n = NULL;
	ck_assert_uint_eq(receive(&two), 0);
	run_ms(700);
	ck_assert(!two.n->link_up);
	ck_ok(open_end(&one));
	run_ms(700);
	ck_assert(one.n->link_up && two.n->link_up);
	ck_assert_int_eq(send_bytes(&two, path, 60), NETIF_SENT);
	ck_assert_uint_eq(receive(&one), 60);
	teardown();
}
END_TEST

static unsigned int n_asked;

/* Somebody who still has paths: the first time, he cannot. */
static int connect_for(void *arg, unsigned int index)
{
	ck_assert_ptr_eq(arg, &n_asked);
	ck_assert_uint_eq(index, 3);
	return n_asked++ == 0 ? -ECONNREFUSED : sock_connect(path);
}

START_TEST(where_there_are_no_paths_somebody_else_connects)
{
	setup();
	spec.connect = connect_for;
	spec.connect_arg = &n_asked;
	spec.index = 3;
	ck_ok(open_end(&one));
	ck_ok(open_end(&two));
	run_ms(5);
	ck_assert_uint_eq(n_asked, 0); /* the first time it was us */
	netif_destroy(one.n);
	one.n = NULL;
	ck_assert_uint_eq(receive(&two), 0);
	run_ms(700);
	ck_ok(open_end(&one));
	run_ms(1200);
	ck_assert_uint_ge(n_asked, 2);
	ck_assert(one.n->link_up && two.n->link_up);
	teardown();
}
END_TEST

START_TEST(frames_without_a_peer_are_dropped)
{
	setup();
	ck_ok(open_end(&one));
	ck_assert_int_eq(send_bytes(&one, path, 60), NETIF_DROPPED);
	ck_assert_uint_eq(receive(&one), 0);
	teardown();
}
END_TEST

/* The format ----------------------------------------------------------------------------------- */

START_TEST(a_frame_may_come_byte_by_byte)
{
	uint8_t raw[4 + 60] = { 0, 0, 0, 60 };
	int fd;

	setup();
	ck_ok(open_end(&one));
	fd = raw_peer();
	for (unsigned int i = 4; i < sizeof(raw); i++)
		raw[i] = (uint8_t)i;
	for (unsigned int i = 0; i < sizeof(raw); i++) {
		ck_assert_uint_eq(receive(&one), 0);
		put_raw(fd, raw + i, 1);
	}
	memset(got, 0xff, sizeof(got));
	ck_assert_uint_eq(receive(&one), 60);
	ck_assert_mem_eq(got + NETIF_HDR_LEN, raw + 4, 60);
	for (unsigned int i = 0; i < NETIF_HDR_LEN; i++)
		ck_assert_uint_eq(got[i], 0);
	close(fd);
	teardown();
}
END_TEST

START_TEST(many_frames_in_one_piece_come_one_by_one)
{
	uint8_t raw[50 * 64] = { 0 };
	int fd;

	setup();
	ck_ok(open_end(&one));
	fd = raw_peer();
	for (unsigned int i = 0; i < 50; i++) {
		raw[64 * i + 3] = 60;
		raw[64 * i + 4] = (uint8_t)i;
	}
	put_raw(fd, raw, sizeof(raw));
	for (unsigned int i = 0; i < 50; i++) {
		ck_assert_uint_eq(receive(&one), 60);
		ck_assert_uint_eq(got[NETIF_HDR_LEN], i);
	}
	ck_assert_uint_eq(receive(&one), 0);
	close(fd);
	teardown();
}
END_TEST

START_TEST(the_largest_frame_passes)
{
	static uint8_t raw[NETIF_FRAME_MAX];
	int fd;

	setup();
	ck_ok(open_end(&one));
	fd = raw_peer();
	for (unsigned int i = 0; i < 10; i++) {
		memset(raw, (int)i, sizeof(raw));
		put_length(fd, NETIF_FRAME_MAX);
		put_raw(fd, raw, sizeof(raw));
		ck_assert_uint_eq(receive(&one), NETIF_FRAME_MAX);
		ck_assert_mem_eq(got + NETIF_HDR_LEN, raw, sizeof(raw));
	}
	close(fd);
	teardown();
}
END_TEST

static const uint32_t lies[] = { 0,          NETIF_FRAME_MAX + 1, 0x10000000, 0x7fffffff,
				 0x80000000, 0xfffffffc,          0xffffffff };

START_TEST(a_length_that_cannot_be_ends_the_connection)
{
	int fd, next;

	setup();
	ck_ok(open_end(&one));
	fd = raw_peer();
	put_length(fd, 60);
	put_raw(fd, path, 60);
	put_length(fd, lies[_i]);
	ck_assert_uint_eq(receive(&one), 60);
	ck_assert_uint_eq(receive(&one), 0);
	ck_assert(is_closed(fd));
	run_ms(5);
	ck_assert(!one.n->link_up);
	next = raw_peer();
	ck_assert(one.n->link_up);
	put_length(next, 60);
	put_raw(next, path, 60);
	ck_assert_uint_eq(receive(&one), 60);
	close(fd);
	close(next);
	teardown();
}
END_TEST

START_TEST(random_bytes_never_do_harm)
{
	uint32_t x = 12345;

	setup();
	ck_ok(open_end(&one));
	for (unsigned int i = 0; i < 100; i++) {
		uint8_t raw[512];
		int fd = raw_peer();

		for (unsigned int j = 0; j < sizeof(raw); j++) {
			x = x * 1103515245 + 12345;
			raw[j] = j % 8 < 2 && i % 2 ? 0 : (uint8_t)(x >> 16);
		}
		put_raw(fd, raw, sizeof(raw));
		while (receive(&one) > 0)
			;
		close(fd);
		receive(&one);
		run_ms(2);
	}
	teardown();
}
END_TEST

START_TEST(an_unfinished_frame_of_a_peer_that_is_gone_is_forgotten)
{
	int fd;

	setup();
	ck_ok(open_end(&one));
	fd = raw_peer();
	put_length(fd, 60);
	put_raw(fd, path, 30);
	ck_assert_uint_eq(receive(&one), 0);
	close(fd);
	ck_assert_uint_eq(receive(&one), 0);
	run_ms(5);
	fd = raw_peer();
	put_length(fd, 20);
	put_raw(fd, path, 20);
	ck_assert_uint_eq(receive(&one), 20);
	close(fd);
	teardown();
}
END_TEST

/* A peer that does not read -------------------------------------------------------------------- */

START_TEST(a_peer_that_does_not_read_is_waited_for_and_gets_all_in_the_end)
{
	static uint8_t frame[60000];
	unsigned int sent = 0, received = 0;

	setup();
	ck_ok(open_end(&one));
	ck_ok(open_end(&two));
	run_ms(5);
	for (unsigned int round = 0; round < 5; round++) {
		do {
			memset(frame, (int)sent, sizeof(frame));
		} while (send_bytes(&one, frame, sizeof(frame)) == NETIF_SENT && ++sent < 1000);
		ck_assert_uint_lt(sent, 1000); /* bounded */
		one.n_writable = 0;
		one.n->ops->watch(one.n, 0, EPOLLOUT);
		run_ms(20);
		ck_assert_uint_eq(one.n_writable, 0); /* and no busy loop */
		while (receive(&two) > 0) {
			memset(frame, (int)received++, sizeof(frame));
			ck_assert_mem_eq(got + NETIF_HDR_LEN, frame, sizeof(frame));
			run_ms(1); /* the rest of a frame goes out by itself */
		}
		ck_assert_uint_eq(received, sent);
		ck_assert_uint_gt(one.n_writable, 0);
		one.n->ops->watch(one.n, 0, 0);
	}
	teardown();
}
END_TEST

START_TEST(a_peer_that_goes_while_we_wait_frees_us)
{
	static uint8_t frame[60000];
	int fd;

	setup();
	ck_ok(open_end(&one));
	fd = raw_peer();
	while (send_bytes(&one, frame, sizeof(frame)) == NETIF_SENT)
		;
	one.n->ops->watch(one.n, 0, EPOLLOUT);
	close(fd);
	run_ms(10);
	ck_assert(!one.n->link_up);
	ck_assert_int_eq(send_bytes(&one, frame, 60), NETIF_DROPPED);
	teardown();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("net_unix");

	UNIT_TEST(s, the_first_listens_the_second_connects_and_frames_pass_both_ways);
	UNIT_TEST(s, the_two_ends_have_different_addresses);
	UNIT_TEST(s, the_socket_is_for_this_user_alone);
	UNIT_TEST(s, root_does_not_connect_where_somebody_elses_link_leads);
	UNIT_TEST(s, a_stale_socket_is_replaced);
	UNIT_TEST(s, what_is_no_socket_is_left_alone);
	UNIT_TEST(s, a_folder_that_is_not_there_is_told);
	UNIT_TEST(s, somebody_elses_socket_is_not_removed_at_the_end);
	UNIT_TEST(s, of_many_who_start_at_once_one_listens);
	UNIT_TEST(s, a_second_peer_is_turned_away);
	UNIT_TEST(s, a_peer_that_went_unnoticed_makes_room_for_the_next);
	UNIT_TEST(s, a_peer_that_goes_takes_the_link_down_and_the_next_brings_it_up);
	UNIT_TEST(s, the_one_that_connects_comes_back_when_the_other_does);
	UNIT_TEST(s, where_there_are_no_paths_somebody_else_connects);
	UNIT_TEST(s, frames_without_a_peer_are_dropped);
	UNIT_TEST(s, a_frame_may_come_byte_by_byte);
	UNIT_TEST(s, many_frames_in_one_piece_come_one_by_one);
	UNIT_TEST(s, the_largest_frame_passes);
	UNIT_LOOP(s, a_length_that_cannot_be_ends_the_connection, ARRAY_SIZE(lies));
	UNIT_TEST(s, random_bytes_never_do_harm);
	UNIT_TEST(s, an_unfinished_frame_of_a_peer_that_is_gone_is_forgotten);
	UNIT_TEST(s, a_peer_that_does_not_read_is_waited_for_and_gets_all_in_the_end);
	UNIT_TEST(s, a_peer_that_goes_while_we_wait_frees_us);
	return s;
}

UNIT_MAIN("net_unix", suite)
