/*
 * blk_raw.c - a file or a block device as a disk: byte n of the one is byte n of the other.
 *
 * Life of a VM: blk_open() while the machine is built, on the main thread; then each request of the
 * guest, on the loop.
 *
 * Requests go to the kernel as they are, without a copy. Those that break the rules of direct I/O
 * go by way of the page cache, which the kernel keeps in step with the file.
 */
#include "blk_raw.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <vmm/base/util.h>

#define MAX_TRIES 8u /* of a request that the host interrupts */
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

struct blk_raw {
	struct blk blk;
	struct blk_file file;
	struct io *io;
};

static bool is_aligned(const struct blk_req *r, uint32_t align)
{
	uint64_t all = r->at | r->len;

	for (unsigned int i = 0; i < r->n_iov; i++)
		all |= (uintptr_t)r->iov[i].iov_base | r->iov[i].iov_len;
	return all % align == 0;
}

static void issue_data(struct blk_raw *raw, struct blk_req *r)
{
	struct io_req *io = &r->io;

	io->kind = r->op == BLK_READ ? IO_READ : IO_WRITE;
	io->fd = is_aligned(r, raw->file.align) ? raw->file.fd : raw->file.cached_fd;
	io->flags = r->op == BLK_WRITE && r->durable ? RWF_DSYNC : 0;
	io->at = r->at;
	io->iov = r->iov;
	io->n_iov = r->n_iov;
	io_queue(raw->io, io);
}

static void issue_sync(struct blk_raw *raw, struct blk_req *r)
{
	r->io.kind = IO_FDATASYNC;
	io_queue(raw->io, &r->io);
}

static void issue_range(struct blk_raw *raw, struct blk_req *r, enum io_kind kind, int mode)
{
	r->io.kind = kind;
	r->io.flags = mode;
	r->io.at = r->at;
	r->io.len = r->len;
	io_queue(raw->io, &r->io);
}

static void cut(struct blk_req *r, uint64_t n)
{
	r->at += n;
	r->len -= n;
	while (r->n_iov > 0 && n >= r->iov->iov_len) {
		n -= r->iov->iov_len;
		r->iov++;
		r->n_iov--;
	}
	if (n > 0) {
		r->iov->iov_base = (char *)r->iov->iov_base + n;
		r->iov->iov_len -= n;
	}
}

static void data_done(struct blk_raw *raw, struct blk_req *r, uint64_t n)
{
	/* Nothing moved, although there is something to move: behind the end of the file. */
	if (n == 0 || n > r->len) {
		r->done(r, -EIO);
		return;
	}
	cut(r, n);
	if (r->len > 0)
		issue_data(raw, r);
	else
		r->done(r, 0);
}

static void fail(struct blk_raw *raw, struct blk_req *r, int result)
{
	int wanted = r->unmap ? PUNCH : ZERO;

	if ((result == -EINTR || result == -EAGAIN) && r->n_tries++ < MAX_TRIES)
		io_queue(raw->io, &r->io);
	/* Not every file system can do both; a hole reads as zeros, too. */
	else if (result == -EOPNOTSUPP && r->op == BLK_WRITE_ZEROES && r->io.kind == IO_FALLOCATE &&
		 r->io.flags == wanted)
		issue_range(raw, r, IO_FALLOCATE, wanted == PUNCH ? ZERO : PUNCH);
	else
		r->done(r, result);
}

static void io_done(struct io_req *io, int result)
{
	struct blk_req *r = container_of(io, struct blk_req, io);
	struct blk_raw *raw = container_of(r->blk, struct blk_raw, blk);

	if (result < 0)
		fail(raw, r, result);
	else if (io->kind == IO_READ || io->kind == IO_WRITE)
		data_done(raw, r, (uint64_t)result);
	else if (io->kind == IO_FALLOCATE && r->op == BLK_WRITE_ZEROES && r->durable)
		issue_sync(raw, r);
	else
		r->done(r, 0);
}

static int raw_start(struct blk *b, struct err *e)
{
	return io_start(container_of(b, struct blk_raw, blk)->io, e);
}

static void raw_submit(struct blk *b, struct blk_req *r)
{
	struct blk_raw *raw = container_of(b, struct blk_raw, blk);

	r->blk = b;
	r->n_tries = 0;
	r->io.fd = raw->file.fd;
	r->io.done = io_done;
	switch (r->op) {
	case BLK_READ:
	case BLK_WRITE:
		issue_data(raw, r);
		break;
	case BLK_FLUSH:
		issue_sync(raw, r);
		break;
	case BLK_DISCARD:
		issue_range(raw, r, raw->file.is_device ? IO_BLKDISCARD : IO_FALLOCATE, PUNCH);
		break;
	case BLK_WRITE_ZEROES:
		issue_range(raw, r, IO_FALLOCATE, r->unmap ? PUNCH : ZERO);
		break;
	}
}

static void raw_kick(struct blk *b)
{
	io_submit(container_of(b, struct blk_raw, blk)->io);
}

static void raw_drain(struct blk *b)
{
	io_drain(container_of(b, struct blk_raw, blk)->io);
}

static uint64_t raw_size(struct blk *b)
{
	return blk_file_size(&container_of(b, struct blk_raw, blk)->file);
}

static void raw_destroy(struct blk *b)
{
	struct blk_raw *raw = container_of(b, struct blk_raw, blk);

	io_destroy(raw->io);
	blk_file_close(&raw->file);
	free(raw);
}

static const struct blk_ops raw_ops = {
	.start = raw_start,
	.submit = raw_submit,
	.kick = raw_kick,
	.drain = raw_drain,
	.size = raw_size,
	.destroy = raw_destroy,
};

static void settled(void *arg)
{
	blk_settled(arg);
}

int blk_raw_create(struct blk **out, struct blk_file *f, const struct io_params *p, struct err *e)
{
	struct blk_raw *raw = calloc(1, sizeof(*raw));
	struct io_params params = *p;

	if (!raw) {
		blk_file_close(f);
		return err_set(e, -ENOMEM, "out of memory");
	}
	raw->blk.ops = &raw_ops;
	raw->blk.info = f->info;
	raw->file = *f;
	params.discards = f->is_device && f->info.discard_unit > 0;
	params.settled = settled;
	params.arg = &raw->blk;
	if (io_create(&raw->io, &params, e) < 0) {
		raw_destroy(&raw->blk);
		return e->code;
	}
	*out = &raw->blk;
	return 0;
}

const char *blk_temporary_dir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir && *dir ? dir : "/var/tmp";
}

int blk_open(struct blk **out, const struct disk_spec *spec, struct evloop *l, unsigned int depth,
	     struct err *e)
{
	struct io_params p = { .loop = l, .engine = spec->engine, .depth = depth };
	struct blk *b = NULL;
	struct blk_file f;

	if (blk_file_open(&f, spec, e) < 0 || blk_raw_create(&b, &f, &p, e) < 0)
		return e->code;
	if (spec->snapshot && blk_snapshot_create(&b, b, blk_temporary_dir(), &p, e) < 0)
		return e->code;
	*out = b;
	return 0;
}
