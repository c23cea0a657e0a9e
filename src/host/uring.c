/*
 * uring.c - io_uring in the event loop.
 *
 * Life of a VM: made with the disk that it serves. Requests of one turn of the loop go to the
 * kernel in one system call, at the turn's end; what the page cache could answer is there when that
 * comes back. For the rest, the loop wakes up: a ring's file descriptor polls as readable then.
 *
 * What a ring does is done by the kernel, past any filter of system calls. So it is told what it
 * may ever do, before it does anything: see restrict_to_ours().
 *
 * io_uring(7), io_uring_enter(2) for its errors, and IORING_REGISTER_RESTRICTIONS in
 * io_uring_register(2).
 */
#include "uring_private.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>

#define BATCH 32u
#define RETRY_MS 1 /* after the kernel had no memory for a request */
#define INLINE_BYTES (256 * KIB)

/* A bad request is answered by its completion; an error here is a shortage that passes. */
static void submit(struct uring *u)
{
	if (io_uring_sq_ready(&u->ring) == 0 || u->reaping)
		return;
	io_uring_submit(&u->ring);
	if (io_uring_sq_ready(&u->ring) > 0)
		evloop_timer_set(u->loop, &u->retry, evloop_now_ns() + RETRY_MS * NS_PER_MS);
}

static void submit_again(void *arg)
{
	submit(arg);
}

/* What is there now, at most as much as can be in flight, so that the loop gets its turn. */
static void reap(struct uring *u)
{
	struct io_uring_cqe *cqe[BATCH];
	unsigned int n, done = 0;

	u->reaping = true;
	while (done < u->depth && (n = io_uring_peek_batch_cqe(&u->ring, cqe, BATCH)) > 0) {
		for (unsigned int i = 0; i < n; i++) {
			struct uring_op *op = io_uring_cqe_get_data(cqe[i]);
			int result = cqe[i]->res;

			u->n_in_flight--;
			op->done(op, result);
		}
		io_uring_cq_advance(&u->ring, n);
		done += n;
	}
	u->reaping = false;
	submit(u);
	if (u->n_in_flight == 0)
		evloop_unpoll(u->loop, &u->poll);
	if (done > 0 && u->settled)
		u->settled(u->arg);
}

static bool has_answers(void *arg)
{
	const struct uring *u = arg;

	return io_uring_cq_ready(&u->ring) > 0;
}

static void take_answers(void *arg)
{
	reap(arg);
}

static void readable(void *arg, uint32_t events)
{
	(void)events;
	reap(arg);
}

/* At the end of the loop's turn: nobody holds a lock there that done() wants. */
static void turn(void *arg)
{
	struct uring *u = arg;

	submit(u);
	reap(u);
	if (u->n_in_flight > 0 && evloop_polls(u->loop))
		evloop_poll(u->loop, &u->poll);
}

void uring_submit(struct uring *u)
{
	if (!u->reaping)
		evloop_defer(u->loop, &u->turn);
}

static bool has_all(struct io_uring *ring)
{
	struct io_uring_probe *p = io_uring_get_probe_ring(ring);
	bool all = p && io_uring_opcode_supported(p, IORING_OP_FALLOCATE) &&
		   (ring->features & IORING_FEAT_NODROP);

	io_uring_free_probe(p);
	return all;
}

/* liburing 2.3 declares functions for what we need of it, but its shared library lacks them. */
static int change(const struct io_uring *ring, unsigned int what, const void *list, unsigned int n)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, what, list, n) < 0 ? -errno : 0;
}

/*
 * Nothing but what this file submits, for ever: no path is opened by this ring and nothing
 * connected. Of what can be registered only the switch that is used up already is named, because a
 * list without any might be read as having nothing to say about that.
 */
static int restrict_to_ours(struct io_uring *ring)
{
	struct io_uring_restriction r[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FALLOCATE },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_ASYNC },
		{ .opcode = IORING_RESTRICTION_REGISTER_OP,
		  .register_op = IORING_REGISTER_ENABLE_RINGS },
	};
	int rc = change(ring, IORING_REGISTER_RESTRICTIONS, r, ARRAY_SIZE(r));

	return rc < 0 ? rc : change(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* Linux 5.10 has what we need; earlier ones have a part of it, which is more trouble than use. */
static int make_ring(struct uring *u)
{
	int rc = io_uring_queue_init(u->depth, &u->ring,
				     IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED);

	if (rc < 0)
		return rc == -EINVAL ? -ENOSYS : rc;
	rc = has_all(&u->ring) ? restrict_to_ours(&u->ring) : -ENOSYS;
	if (rc == 0)
		rc = evloop_add(u->loop, &u->ev, u->ring.ring_fd, EPOLLIN, readable, u);
	if (rc < 0)
		io_uring_queue_exit(&u->ring);
	return rc == -EINVAL ? -ENOSYS : rc;
}

int uring_create(struct uring **out, struct evloop *l, unsigned int depth, ev_task_fn settled,
		 void *arg, struct err *e)
{
	struct uring *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return err_set(e, -ENOMEM, "io_uring: out of memory");
	*u = (struct uring){ .loop = l, .settled = settled, .arg = arg, .depth = depth };
	u->turn = (struct ev_task){ .fn = turn, .arg = u };
	u->poll = (struct ev_poll){ has_answers, take_answers, .arg = u };
	u->retry = (struct ev_timer){ .fn = submit_again, .arg = u };
	rc = make_ring(u);
	if (rc < 0) {
		free(u);
		if (rc == -ENOSYS)
			return err_set(e, rc,
				       "io_uring: this kernel has none, or none that can be "
				       "restricted (Linux 5.10)");
		errno = -rc;
		return err_errno(e, "io_uring");
	}
	*out = u;
	return 0;
}

void uring_destroy(struct uring *u)
{
	if (!u)
		return;
	VMM_BUG_ON(u->n_in_flight > 0);
	evloop_del(&u->ev);
	evloop_timer_cancel(&u->retry);
	evloop_undefer(u->loop, &u->turn);
	io_uring_queue_exit(&u->ring);
	free(u);
}

/* The submission ring holds as many as may be in flight, so there is always room in it. */
static struct io_uring_sqe *next(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	VMM_BUG_ON(!sqe || u->n_in_flight >= u->depth);
	u->n_in_flight++;
	return sqe;
}

/*
 * What is in the page cache, or goes there, is copied before the kernel comes back from the
 * submission: fine for little, but much would keep the loop waiting, so that is left to a thread
 * of the kernel's.
 */
static void finish(struct io_uring_sqe *sqe, struct uring_op *op, const struct uring_data *d)
{
	size_t bytes = 0;

	for (unsigned int i = 0; i < d->n_iov; i++)
		bytes += d->iov[i].iov_len;
	if (bytes > INLINE_BYTES)
		io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
	io_uring_sqe_set_data(sqe, op);
}

void uring_read(struct uring *u, struct uring_op *op, const struct uring_data *d)
{
	struct io_uring_sqe *sqe = next(u);

	io_uring_prep_readv2(sqe, d->fd, d->iov, d->n_iov, d->at, d->flags);
	finish(sqe, op, d);
}

void uring_write(struct uring *u, struct uring_op *op, const struct uring_data *d)
{
	struct io_uring_sqe *sqe = next(u);

	io_uring_prep_writev2(sqe, d->fd, d->iov, d->n_iov, d->at, d->flags);
	finish(sqe, op, d);
}

void uring_fdatasync(struct uring *u, struct uring_op *op, int fd)
{
	struct io_uring_sqe *sqe = next(u);

	io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(sqe, op);
}

void uring_fallocate(struct uring *u, struct uring_op *op, int fd, int mode, uint64_t at,
		     uint64_t len)
{
	struct io_uring_sqe *sqe = next(u);

	io_uring_prep_fallocate(sqe, fd, mode, (off_t)at, (off_t)len);
	io_uring_sqe_set_data(sqe, op);
}

void uring_drain(struct uring *u)
{
	while (u->n_in_flight > 0) {
		struct pollfd p = { .fd = u->ring.ring_fd, .events = POLLIN };

		/* Any error passes: it is a signal, or a shortage, and then it is tried again. */
		io_uring_submit(&u->ring);
		poll(&p, 1, RETRY_MS);
		reap(u);
	}
}

bool uring_is_idle(const struct uring *u)
{
	return u->n_in_flight == 0;
}
