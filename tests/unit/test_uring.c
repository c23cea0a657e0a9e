/*
 * test_uring.c - src/host/uring.c over the kernel's io_uring, where the host lets us use it.
 */
#include "../../src/host/uring_private.h"
#include "fake_kernel.h"
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <vmm/base/util.h>

#define DEPTH 64u
#define PIECE 4096u

struct job {
	struct uring_op op;
	struct iovec iov;
	int result;
	bool done;
	uint8_t data[PIECE];
};

static struct evloop *loop;
static struct uring *u;
static struct job jobs[DEPTH];
static unsigned int n_done, n_settled, expected;
static char *path;
static int fd;

static void done(struct uring_op *op, int result)
{
	struct job *j = container_of(op, struct job, op);

	ck_assert(!j->done);
	j->done = true;
	j->result = result;
	n_done++;
}

static void settled(void *arg)
{
	ck_assert_ptr_eq(arg, &u);
	n_settled++;
	if (n_done == expected)
		evloop_stop(loop);
}

/* false: this host forbids it, and there is nothing to test but that it says so. */
static bool start(void)
{
	struct err e;

	n_done = n_settled = 0;
	memset(jobs, 0, sizeof(jobs));
	for (unsigned int i = 0; i < DEPTH; i++) {
		jobs[i].op.done = done;
		jobs[i].iov = (struct iovec){ jobs[i].data, PIECE };
	}
	ck_ok(evloop_create(&loop, &e));
	if (uring_create(&u, loop, DEPTH, settled, &u, &e) < 0) {
		ck_assert(e.code == -EPERM || e.code == -ENOSYS || e.code == -ENOMEM);
		printf("# no io_uring on this host: %s\n", e.text);
		evloop_destroy(loop);
		return false;
	}
	path = fake_file("", 0);
	fd = open(path, O_RDWR);
	return true;
}

static void stop(void)
{
	uring_destroy(u);
	evloop_destroy(loop);
	close(fd);
	unlink(path);
	free(path);
}

static void read_job(unsigned int i, int from, uint64_t at)
{
	const struct uring_data d = { .fd = from, .at = at, .iov = &jobs[i].iov, .n_iov = 1 };

	uring_read(u, &jobs[i].op, &d);
}

static void write_job(unsigned int i, uint64_t at, int flags)
{
	const struct uring_data d = {
		.fd = fd, .flags = flags, .at = at, .iov = &jobs[i].iov, .n_iov = 1
	};

	uring_write(u, &jobs[i].op, &d);
}

static void run(unsigned int n)
{
	expected = n;
	uring_submit(u);
	evloop_run(loop);
}

START_TEST(what_is_written_is_read_again)
{
	if (!start())
		return;
	for (unsigned int i = 0; i < DEPTH; i++) {
		memset(jobs[i].data, (int)i + 1, PIECE);
		write_job(i, i * (uint64_t)PIECE, 0);
	}
	ck_assert_uint_eq(n_done, 0);
	run(DEPTH);
	ck_assert(uring_is_idle(u));
	for (unsigned int i = 0; i < DEPTH; i++) {
		ck_assert_int_eq(jobs[i].result, PIECE);
		jobs[i].done = false;
		memset(jobs[i].data, 0, PIECE);
		read_job(i, fd, (DEPTH - 1 - i) * (uint64_t)PIECE);
	}
	run(2 * DEPTH);
	for (unsigned int i = 0; i < DEPTH; i++) {
		ck_assert_int_eq(jobs[i].result, PIECE);
		ck_assert_uint_eq(jobs[i].data[0], DEPTH - i);
		ck_assert_uint_eq(jobs[i].data[PIECE - 1], DEPTH - i);
	}
	ck_assert_uint_le(n_settled, 2 * DEPTH);
	stop();
}
END_TEST

START_TEST(sync_and_holes_work)
{
	struct stat st;

	if (!start())
		return;
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	write_job(0, 0, RWF_DSYNC);
	uring_fdatasync(u, &jobs[1].op, fd);
	run(2);
	ck_assert_int_eq(jobs[0].result, PIECE);
	ck_assert_int_eq(jobs[1].result, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_gt(st.st_blocks, 0);
	jobs[0].done = false;
	uring_fallocate(u, &jobs[0].op, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20);
	run(3);
	ck_assert_int_eq(jobs[0].result, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_blocks, 0);
	ck_assert_int_eq(st.st_size, 1 << 20);
	stop();
}
END_TEST

START_TEST(errors_are_answers_like_any_other)
{
	if (!start())
		return;
	read_job(0, -1, 0);
	uring_fdatasync(u, &jobs[1].op, 12345);
	jobs[2].iov.iov_base = (void *)16;
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	read_job(2, fd, 0);
	read_job(3, fd, 1 << 20);
	uring_fallocate(u, &jobs[4].op, fd, 0x4000, 0, 4096);
	run(5);
	ck_assert_int_eq(jobs[0].result, -EBADF);
	ck_assert_int_eq(jobs[1].result, -EBADF);
	ck_assert_int_eq(jobs[2].result, -EFAULT);
	ck_assert_int_eq(jobs[3].result, 0); /* behind the end */
	ck_assert_int_eq(jobs[4].result, -EOPNOTSUPP);
	stop();
}
END_TEST

static unsigned int n_rounds;

static void again(struct uring_op *op, int result)
{
	struct job *j = container_of(op, struct job, op);

	ck_assert_int_eq(result, PIECE);
	n_done++;
	if (++n_rounds < 1000)
		read_job((unsigned int)(j - jobs), fd, 0);
}

START_TEST(drain_waits_for_what_answers_have_asked_for_too)
{
	if (!start())
		return;
	ck_assert_int_eq(ftruncate(fd, PIECE), 0);
	n_rounds = 0;
	for (unsigned int i = 0; i < DEPTH; i++) { /* as many as may be in flight, all the time */
		jobs[i].op.done = again;
		read_job(i, fd, 0);
	}
	uring_drain(u);
	ck_assert(uring_is_idle(u));
	ck_assert_uint_eq(n_rounds, 1000 + DEPTH - 1);
	ck_assert_uint_eq(n_done, n_rounds);
	stop();
}
END_TEST

START_TEST(without_a_submission_nothing_starts_and_one_starts_all)
{
	if (!start())
		return;
	ck_assert_int_eq(ftruncate(fd, PIECE), 0);
	for (unsigned int i = 0; i < 10; i++)
		read_job(i, fd, 0);
	usleep(10000);
	ck_assert_uint_eq(n_done, 0);
	ck_assert(!uring_is_idle(u));
	run(10);
	uring_submit(u); /* of nothing */
	stop();
}
END_TEST

static unsigned int n_after_turn;

static void note_done(void *arg)
{
	(void)arg;
	n_after_turn = n_done;
}

/* An error is there when the submission comes back. The ring was deferred first, and its descriptor
 * is not looked at in between. */
START_TEST(an_answer_that_is_there_at_once_is_told_in_the_turn_that_asks_for_it)
{
	struct ev_task look = { .fn = note_done };

	if (!start())
		return;
	read_job(0, -1, 0);
	uring_submit(u);
	evloop_defer(loop, &look);
	run(1);
	ck_assert_uint_eq(n_after_turn, 1);
	ck_assert_uint_eq(n_settled, 1);
	ck_assert_int_eq(jobs[0].result, -EBADF);
	stop();
}
END_TEST

static struct ev_fd pump;
static int ends[2]; /* of a pipe */
static unsigned int step;

/* Always ready, so that the loop polls. Then something is asked for that comes later. */
static void on_pump(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	if (step == 0 && evloop_polls(loop)) {
		read_job(0, ends[0], 0);
		uring_submit(u);
		step = 1;
	} else if (step == 1 && u->poll.queued) {
		ck_assert_int_eq(write(ends[1], "x", 1), 1);
		step = 2;
	}
}

START_TEST(a_ring_is_polled_while_something_is_in_flight)
{
	if (!start())
		return;
	step = 0;
	ck_assert_int_eq(pipe(ends), 0);
	evloop_may_poll(loop);
	ck_assert_int_eq(evloop_add(loop, &pump, eventfd(1, EFD_CLOEXEC), EPOLLIN, on_pump, NULL),
			 0);
	expected = 1;
	evloop_run(loop);
	ck_assert_uint_eq(step, 2);
	ck_assert_int_eq(jobs[0].result, 1);
	ck_assert(!u->poll.queued);
	evloop_del(&pump);
	close(pump.fd);
	stop();
}
END_TEST

/* A request that uring.c never makes, as one would make it who has got hold of the process. */
static int submit_odd(void (*prepare)(struct io_uring_sqe *sqe), unsigned int flags)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	struct io_uring_cqe *cqe;
	int result;

	prepare(sqe);
	io_uring_sqe_set_flags(sqe, flags);
	io_uring_submit(&u->ring);
	ck_assert_int_eq(io_uring_wait_cqe(&u->ring, &cqe), 0);
	result = cqe->res;
	io_uring_cqe_seen(&u->ring, cqe);
	return result;
}

static struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/tmp/none" };
static struct iovec odd_iov = { &address, 1 };

static void open_at(struct io_uring_sqe *sqe)
{
	io_uring_prep_openat(sqe, AT_FDCWD, "/dev/null", O_RDONLY, 0);
}

static void connect_to(struct io_uring_sqe *sqe)
{
	io_uring_prep_connect(sqe, fd, (struct sockaddr *)&address, sizeof(address));
}

static void read_plain(struct io_uring_sqe *sqe)
{
	io_uring_prep_read(sqe, fd, &address, 1, 0);
}

static void nop(struct io_uring_sqe *sqe)
{
	io_uring_prep_nop(sqe);
}

static void readv_one(struct io_uring_sqe *sqe)
{
	io_uring_prep_readv(sqe, fd, &odd_iov, 1, 0);
}

START_TEST(a_ring_opens_nothing_and_connects_to_nobody)
{
	static void (*const odd[])(struct io_uring_sqe *) = { open_at, connect_to, read_plain,
							      nop };

	if (!start())
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(odd); i++)
		ck_assert_int_eq(submit_odd(odd[i], 0), -EACCES);
	ck_assert_int_eq(submit_odd(readv_one, 0), 0);
	ck_assert_int_eq(submit_odd(readv_one, IOSQE_ASYNC), 0);
	ck_assert_int_eq(submit_odd(readv_one, IOSQE_FIXED_FILE), -EACCES);
	ck_assert_int_eq(submit_odd(readv_one, IOSQE_IO_LINK), -EACCES);
	stop();
}
END_TEST

static long register_odd(unsigned int what, const void *list, unsigned int n)
{
	return syscall(SYS_io_uring_register, u->ring.ring_fd, what, list, n);
}

START_TEST(nothing_can_be_registered_with_a_ring)
{
	struct io_uring_restriction more = { .opcode = IORING_RESTRICTION_SQE_OP,
					     .sqe_op = IORING_OP_OPENAT };

	if (!start())
		return;
	ck_assert_ptr_null(io_uring_get_probe_ring(&u->ring));
	ck_assert_int_lt(register_odd(IORING_REGISTER_RESTRICTIONS, &more, 1), 0);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(io_uring_register_files(&u->ring, &fd, 1), -EACCES);
	ck_assert_int_eq(io_uring_register_buffers(&u->ring, &odd_iov, 1), -EACCES);
	ck_assert_int_eq(io_uring_register_eventfd(&u->ring, fd), -EACCES);
	ck_assert_int_eq(io_uring_register_personality(&u->ring), -EACCES);
	ck_assert_int_lt(register_odd(IORING_REGISTER_ENABLE_RINGS, NULL, 0), 0);
	stop();
}
END_TEST

/* Another user, without any power, in namespaces of its own where the host lets us have some. */
static void become_nobody(void)
{
	const int away = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

	if (geteuid() == 0) {
		if (unshare(away) < 0)
			printf("# no namespaces on this host\n");
		ck_assert_int_eq(setgroups(0, NULL), 0);
		ck_assert_int_eq(setresgid(65534, 65534, 65534), 0);
		ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	} else if (unshare(CLONE_NEWUSER | away) < 0) {
		printf("# no namespaces on this host\n");
	}
}

START_TEST(a_ring_outlives_the_power_of_its_process)
{
	static uint8_t large[1 << 20];
	struct iovec iov = { large, sizeof(large) };
	struct uring_data d = { .iov = &iov, .n_iov = 1 };

	if (!start())
		return;
	unlink(path); /* while we may */
	become_nobody();
	memset(large, 1, sizeof(large));
	d.fd = fd;
	uring_write(u, &jobs[0].op, &d); /* large: left to a thread of the kernel's */
	uring_drain(u);
	read_job(1, fd, sizeof(large) - PIECE);
	uring_fdatasync(u, &jobs[2].op, fd);
	uring_fallocate(u, &jobs[3].op, fd, FALLOC_FL_KEEP_SIZE, 0, sizeof(large));
	uring_drain(u);
	ck_assert_int_eq(jobs[0].result, sizeof(large));
	ck_assert_int_eq(jobs[1].result, PIECE);
	ck_assert_uint_eq(jobs[1].data[PIECE - 1], 1);
	ck_assert_int_eq(jobs[2].result, 0);
	ck_assert_int_eq(jobs[3].result, 0);
	stop();
}
END_TEST

START_TEST(a_host_that_refuses_a_ring_is_an_error_and_nothing_is_left)
{
	struct rlimit before, none;
	struct err e;
	int rc;

	ck_ok(evloop_create(&loop, &e));
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	rc = uring_create(&u, loop, DEPTH, NULL, NULL, &e);
	ck_assert_int_lt(rc, 0);
	ck_assert_ptr_nonnull(strstr(e.text, "io_uring: "));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	evloop_destroy(loop);
	uring_destroy(NULL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("uring");

	UNIT_TEST(s, what_is_written_is_read_again);
	UNIT_TEST(s, sync_and_holes_work);
	UNIT_TEST(s, errors_are_answers_like_any_other);
	UNIT_TEST(s, drain_waits_for_what_answers_have_asked_for_too);
	UNIT_TEST(s, without_a_submission_nothing_starts_and_one_starts_all);
	UNIT_TEST(s, an_answer_that_is_there_at_once_is_told_in_the_turn_that_asks_for_it);
	UNIT_TEST(s, a_ring_is_polled_while_something_is_in_flight);
	UNIT_TEST(s, a_ring_opens_nothing_and_connects_to_nobody);
	UNIT_TEST(s, nothing_can_be_registered_with_a_ring);
	UNIT_TEST(s, a_ring_outlives_the_power_of_its_process);
	UNIT_TEST(s, a_host_that_refuses_a_ring_is_an_error_and_nothing_is_left);
	return s;
}

UNIT_MAIN("uring", suite)
