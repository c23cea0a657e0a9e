/*
 * io.c - requests on a file: by io_uring, or by threads where that is forbidden.
 *
 * Life of a VM: made when a disk is opened, its threads started with the VM; then for each request
 * of the guest. Loop thread, but for run(), which is on a worker's.
 *
 * io_uring may be missing, or not to be restricted (before Linux 5.10: ENOSYS), or forbidden (a
 * container's seccomp filter, sysctl kernel.io_uring_disabled: EPERM), or there may be no memory
 * for its ring: threads do the same work then.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/block/io.h>

#define THREADS 8u /* a disk's queue is deeper, but few disks are faster than so many callers */

struct io {
	struct uring *uring; /* NULL: workers do everything */
	struct workers *workers; /* may be NULL if there is a ring */
	ev_task_fn settled;
	void *arg;
};

static void workers_settled(void *arg)
{
	struct io *io = arg;

	io_submit(io); /* what done() has asked of the ring */
	io->settled(io->arg);
}

static int create_workers(struct io *io, const struct io_params *p, unsigned int n, struct err *e)
{
	return workers_create(&io->workers, p->loop, n, workers_settled, io, e);
}

static int create_engine(struct io *io, const struct io_params *p, struct err *e)
{
	if (p->engine == DISK_ENGINE_THREADS)
		return create_workers(io, p, THREADS, e);
	if (uring_create(&io->uring, p->loop, p->depth, p->settled, p->arg, e) == 0)
		return p->discards ? create_workers(io, p, 1, e) : 0;
	if (p->engine == DISK_ENGINE_URING)
		return err_wrap(e, "engine=uring");
	log_info("%s; threads do its work", e->text);
	return create_workers(io, p, THREADS, e);
}

int io_create(struct io **out, const struct io_params *p, struct err *e)
{
	struct io *io = calloc(1, sizeof(*io));

	if (!io)
		return err_set(e, -ENOMEM, "out of memory");
	io->settled = p->settled;
	io->arg = p->arg;
	if (create_engine(io, p, e) < 0) {
		io_destroy(io);
		return e->code;
	}
	*out = io;
	return 0;
}

int io_start(struct io *io, struct err *e)
{
	return io->workers ? workers_start(io->workers, e) : 0;
}

void io_destroy(struct io *io)
{
	if (!io)
		return;
	uring_destroy(io->uring);
	workers_destroy(io->workers);
	free(io);
}

/* The system call of the same name, on a worker. */
static int run(struct work *w)
{
	const struct io_req *r = container_of(w, struct io_req, work);
	uint64_t range[2] = { r->at, r->len };
	ssize_t rc = -1;

	switch (r->kind) {
	case IO_READ:
		rc = preadv2(r->fd, r->iov, (int)r->n_iov, (off_t)r->at, r->flags);
		break;
	case IO_WRITE:
		rc = pwritev2(r->fd, r->iov, (int)r->n_iov, (off_t)r->at, r->flags);
		break;
	case IO_FDATASYNC:
		rc = fdatasync(r->fd);
		break;
	case IO_FALLOCATE:
		rc = fallocate(r->fd, r->flags, (off_t)r->at, (off_t)r->len);
		break;
	case IO_BLKDISCARD:
		rc = ioctl(r->fd, BLKDISCARD, range);
		break;
	}
	return rc < 0 ? -errno : (int)rc; /* Linux moves less than 2 GiB in one call */
}

static void work_done(struct work *w, int result)
{
	struct io_req *r = container_of(w, struct io_req, work);

	r->done(r, result);
}

static void op_done(struct uring_op *op, int result)
{
	struct io_req *r = container_of(op, struct io_req, op);

	r->done(r, result);
}

static void queue_on_ring(struct uring *u, struct io_req *r)
{
	const struct uring_data data = {
		.fd = r->fd, .flags = r->flags, .at = r->at, .iov = r->iov, .n_iov = r->n_iov
	};

	r->op.done = op_done;
	switch (r->kind) {
	case IO_READ:
		uring_read(u, &r->op, &data);
		break;
	case IO_WRITE:
		uring_write(u, &r->op, &data);
		break;
	case IO_FDATASYNC:
		uring_fdatasync(u, &r->op, r->fd);
		break;
	case IO_FALLOCATE:
		uring_fallocate(u, &r->op, r->fd, r->flags, r->at, r->len);
		break;
	case IO_BLKDISCARD:
		break;
	}
}

void io_queue(struct io *io, struct io_req *r)
{
	if (io->uring && r->kind != IO_BLKDISCARD) {
		queue_on_ring(io->uring, r);
		return;
	}
	r->work = (struct work){ .run = run, .done = work_done };
	workers_post(io->workers, &r->work);
}

void io_submit(struct io *io)
{
	if (io->uring)
		uring_submit(io->uring);
}

/* What the threads have done may go on in the ring. */
void io_drain(struct io *io)
{
	do {
		if (io->uring)
			uring_drain(io->uring);
		if (io->workers)
			workers_drain(io->workers);
	} while (io->uring && !uring_is_idle(io->uring));
}
