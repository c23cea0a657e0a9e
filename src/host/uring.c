/*
 * uring.c - io_uring in the event loop.
 *
 * Life of a VM: made with the disk that it serves. Requests of one turn of the loop go to the
 * kernel in one system call; the loop wakes up when there are answers, because a ring's file
 * descriptor polls as readable then.
 *
 * io_uring(7), and io_uring_enter(2) for its errors.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>
#include <vmm/host/uring.h>

#define BATCH 32u
#define RETRY_MS 1u /* after the kernel had no memory for a request */
#define INLINE_BYTES (256 * KIB)

struct uring {
	struct io_uring ring;
	struct evloop *loop;
	struct ev_fd ev;
	struct ev_timer retry;
	ev_task_fn settled;
	void *arg;
	unsigned int depth;
	unsigned int n_in_flight; /* asked for, and not yet done */
	bool reaping; /* done() is running: what it asks for is submitted once, afterwards */
};

/* A bad request is answered by its completion; an error here is a shortage that passes. */
void uring_submit(struct uring *u)
{
	if (io_uring_sq_ready(&u->ring) == 0 || u->reaping)
		return;
	io_uring_submit(&u->ring);
	if (io_uring_sq_ready(&u->ring) > 0)
		evloop_timer_set(u->loop, &u->retry, evloop_now_ns() + RETRY_MS * NS_PER_MS);
}

static void submit_again(void *arg)
{
	uring_submit(arg);
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
	uring_submit(u);
	if (done > 0 && u->settled)
		u->settled(u->arg);
}

static void readable(void *arg, uint32_t events)
{
	(void)events;
	reap(arg);
}

/* Linux 5.6 has what we need; earlier ones have a part of it, which is more trouble than use. */
static bool has_all(struct io_uring *ring)
{
	struct io_uring_probe *p = io_uring_get_probe_ring(ring);
	bool all = p && io_uring_opcode_supported(p, IORING_OP_FALLOCATE) &&
		   (ring->features & IORING_FEAT_NODROP);

	io_uring_free_probe(p);
	return all;
}

int uring_create(struct uring **out, struct evloop *l, unsigned int depth, ev_task_fn settled,
		 void *arg, struct err *e)
{
	struct uring *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return err_set(e, -ENOMEM, "io_uring: out of memory");
	*u = (struct uring){ .loop = l, .settled = settled, .arg = arg, .depth = depth };
	u->retry = (struct ev_timer){ .fn = submit_again, .arg = u };
	rc = io_uring_queue_init(depth, &u->ring, IORING_SETUP_CLAMP);
	if (rc < 0) {
		free(u);
		errno = -rc;
		return err_errno(e, "io_uring_setup");
	}
	rc = has_all(&u->ring) ? 0 : -ENOSYS;
	if (rc == 0)
		rc = evloop_add(l, &u->ev, u->ring.ring_fd, EPOLLIN, readable, u);
	if (rc < 0) {
		uring_destroy(u);
		return err_set(e, rc, "io_uring: this kernel's is too old");
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
		struct __kernel_timespec wait = { .tv_nsec = RETRY_MS * NS_PER_MS };
		struct io_uring_cqe *cqe;

		/* Any error passes: it is a signal, or a shortage, and then it is tried again. */
		io_uring_submit(&u->ring);
		io_uring_wait_cqe_timeout(&u->ring, &cqe, &wait);
		reap(u);
	}
}

bool uring_is_idle(const struct uring *u)
{
	return u->n_in_flight == 0;
}
