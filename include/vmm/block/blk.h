/*
 * blk.h - a disk as the devices see it: asynchronous requests on a range of bytes.
 *
 * Loop thread only. What is behind it is a file or a block device (blk_raw), a temporary layer over
 * another one (blk_snapshot), or a double of a test. The caller has checked each request against
 * info.size, or what size() has told since; the backend answers with 0 or -errno, in any order.
 */
#ifndef VMM_BLOCK_BLK_H
#define VMM_BLOCK_BLK_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <vmm/base/err.h>
#include <vmm/block/disk_spec.h>
#include <vmm/block/io.h>
#include <vmm/host/evloop.h>

enum blk_op {
	BLK_READ,
	BLK_WRITE,
	BLK_FLUSH, /* everything that is done is on stable storage */
	BLK_DISCARD, /* the range is no longer needed; what it reads as is not defined */
	BLK_WRITE_ZEROES, /* the range reads as zeros */
};

struct blk_req { /* embedded; zeroed but for what the caller says */
	/* The caller's. */
	enum blk_op op;
	bool durable; /* WRITE, WRITE_ZEROES: done when it is on stable storage */
	bool unmap; /* WRITE_ZEROES: the space may be given back to the host */
	uint64_t at, len; /* bytes; multiples of 512. len > 0, but for FLUSH */
	struct iovec *iov; /* READ, WRITE: len bytes in all; the backend cuts off what is done */
	unsigned int n_iov;
	void (*done)(struct blk_req *r, int result); /* 0 or -errno; never from within submit */

	/* The backend's. */
	struct blk *blk;
	struct io_req io;
	unsigned int n_tries;
	int result;
	struct blk_req *next;
};

struct blk_info { /* all in bytes */
	uint64_t size; /* when it was opened; see blk_size() */
	uint32_t logical; /* what the smallest request should be a multiple of; at least 512 */
	uint32_t physical; /* what the host can write without reading first; a power of two */
	uint32_t offset; /* where the first physical block begins */
	uint32_t best_min, best; /* good sizes for requests; 0: not known */
	uint32_t discard_unit; /* smallest piece that can be given back; 0: discard is impossible */
	bool zeroes; /* WRITE_ZEROES is possible */
	bool ro;
};

struct blk_ops {
	int (*start)(struct blk *b, struct err *e); /* NULL: it has no threads */
	void (*submit)(struct blk *b, struct blk_req *r);
	void (*kick)(struct blk *b);
	void (*drain)(struct blk *b);
	uint64_t (*size)(struct blk *b); /* NULL: it never changes */
	void (*destroy)(struct blk *b);
};

struct blk { /* embedded as the first member of every backend */
	const struct blk_ops *ops;
	struct blk_info info;
	/* Set by the owner: called after one or more done(). May be NULL. */
	ev_task_fn settled;
	void *settled_arg;
};

/*
 * Opens what the spec says, and locks it: flock(2), exclusive for a writer, shared for a reader.
 * depth: how many requests can be in flight. Errors say what is to be done, but not the path. Owned
 * by the caller.
 */
int blk_open(struct blk **out, const struct disk_spec *spec, struct evloop *l, unsigned int depth,
	     struct err *e);

/* Starts its threads, once, before the first request. */
static inline int blk_start(struct blk *b, struct err *e)
{
	return b->ops->start ? b->ops->start(b, e) : 0;
}

/* Where the file of a snapshot is made: TMPDIR, or /var/tmp. */
const char *blk_temporary_dir(void);

/* Takes a request; it stays the backend's until done(). It may start only with blk_kick(). */
static inline void blk_submit(struct blk *b, struct blk_req *r)
{
	b->ops->submit(b, r);
}

/* Starts what was submitted outside of done(). */
static inline void blk_kick(struct blk *b)
{
	b->ops->kick(b);
}

/* Returns when nothing is in flight any more. Not from within done(). */
static inline void blk_drain(struct blk *b)
{
	b->ops->drain(b);
}

/* The size now: the host may have changed it. 0: it does not say. */
static inline uint64_t blk_size(struct blk *b)
{
	return b->ops->size ? b->ops->size(b) : b->info.size;
}

/* Drained. NULL is fine. */
static inline void blk_destroy(struct blk *b)
{
	if (b)
		b->ops->destroy(b);
}

static inline void blk_settled(struct blk *b)
{
	if (b->settled)
		b->settled(b->settled_arg);
}

#endif
