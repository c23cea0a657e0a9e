/*
 * io.h - requests on a file that do not keep the loop waiting: by io_uring, or by threads where
 * that is forbidden.
 *
 * Loop thread only. One engine serves all files of one disk.
 */
#ifndef VMM_BLOCK_IO_H
#define VMM_BLOCK_IO_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <vmm/base/err.h>
#include <vmm/block/disk_spec.h>
#include <vmm/host/evloop.h>
#include <vmm/host/uring.h>
#include <vmm/host/worker.h>

struct io;

enum io_kind {
	IO_READ,
	IO_WRITE,
	IO_FDATASYNC,
	IO_FALLOCATE,
	IO_BLKDISCARD, /* of a block device */
};

struct io_req { /* embedded; not to be touched between queue and done, but for what is said here */
	enum io_kind kind;
	int fd;
	int flags; /* READ, WRITE: RWF_*; FALLOCATE: its mode */
	uint64_t at, len; /* bytes; len: FALLOCATE, BLKDISCARD */
	const struct iovec *iov; /* READ, WRITE */
	unsigned int n_iov;
	/* On the loop: bytes moved or 0, or -errno. May queue the same one again. */
	void (*done)(struct io_req *r, int result);

	/* The engine's. */
	union {
		struct uring_op op;
		struct work work;
	};
};

/* depth: how many requests can be in flight. settled(arg) is called after one or more done(). */
struct io_params {
	struct evloop *loop;
	enum disk_engine engine;
	unsigned int depth;
	bool discards; /* there will be BLKDISCARD, which takes a thread in any case */
	ev_task_fn settled;
	void *arg;
};
/* Owned by the caller. */
int io_create(struct io **out, const struct io_params *p, struct err *e);
/* Starts its threads, if it has any: once, before the first request. */
int io_start(struct io *io, struct err *e);
/* Drained, or never used. NULL is fine. */
void io_destroy(struct io *io);

/* done() is never called from here. */
void io_queue(struct io *io, struct io_req *r);
/* Starts what was queued outside of done(). */
void io_submit(struct io *io);
/* Returns when nothing is in flight any more. Not from within done(). */
void io_drain(struct io *io);

#endif
