/*
 * blk_rig.h - a disk over a temporary file, and requests that wait for their answer.
 */
#ifndef TESTS_BLK_RIG_H
#define TESTS_BLK_RIG_H
#include "fake_kernel.h"
#include "unit.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/block/blk.h>

#define RIG_DEPTH 64u

struct rig {
	struct evloop *loop;
	char *path; /* of the file */
	struct disk_spec spec;
	struct blk *blk;
	unsigned int n_settled;
	int result; /* of the last request */
	unsigned int waiting;
};

static inline void rig_settled(void *arg)
{
	struct rig *g = arg;

	g->n_settled++;
	if (g->waiting == 0)
		evloop_stop(g->loop);
}

/* A file of so many bytes of a pattern; not yet open. */
static inline uint8_t rig_byte(uint64_t at)
{
	return (uint8_t)(at >> 9 ^ at * 31);
}

static inline void rig_init(struct rig *g, uint64_t size)
{
	uint8_t *data = malloc(size);
	struct err e;

	for (uint64_t i = 0; i < size; i++)
		data[i] = rig_byte(i);
	*g = (struct rig){ .path = fake_file(data, size) };
	free(data);
	g->spec = (struct disk_spec){ .path = g->path, .queues = 1 };
	ck_ok(evloop_create(&g->loop, &e));
}

static inline void rig_open(struct rig *g)
{
	struct err e;

	ck_ok(blk_open(&g->blk, &g->spec, g->loop, RIG_DEPTH, &e));
	ck_ok(blk_start(g->blk, &e));
	g->blk->settled = rig_settled;
	g->blk->settled_arg = g;
}

static inline void rig_close(struct rig *g)
{
	blk_destroy(g->blk);
	g->blk = NULL;
}

static inline void rig_fini(struct rig *g)
{
	rig_close(g);
	evloop_destroy(g->loop);
	unlink(g->path);
	free(g->path);
}

struct rig_req {
	struct blk_req req;
	struct rig *g;
	bool done;
	int result;
	struct iovec iov[16];
};

static inline void rig_done(struct blk_req *r, int result)
{
	struct rig_req *q = container_of(r, struct rig_req, req);

	ck_assert(!q->done);
	q->done = true;
	q->result = result;
	q->g->waiting--;
}

/* Submits, in pieces of `piece` bytes (0: one). */
static inline void rig_submit(struct rig *g, struct rig_req *q, enum blk_op op, uint64_t at,
			      void *buf, uint64_t len, uint64_t piece)
{
	q->g = g;
	q->done = false;
	q->req.op = op;
	q->req.at = at;
	q->req.len = len;
	q->req.done = rig_done;
	q->req.iov = q->iov;
	q->req.n_iov = 0;
	for (uint64_t i = 0; buf && i < len; i += piece) {
		if (piece == 0 || q->req.n_iov == ARRAY_SIZE(q->iov) - 1)
			piece = len - i;
		q->iov[q->req.n_iov++] =
			(struct iovec){ (uint8_t *)buf + i, min_u64(piece, len - i) };
	}
	g->waiting++;
	blk_submit(g->blk, &q->req);
	ck_assert(!q->done); /* never from within submit */
}

static inline void rig_wait(struct rig *g)
{
	blk_kick(g->blk);
	while (g->waiting > 0) /* drain may have asked the loop to stop before */
		evloop_run(g->loop);
}

/* One request, to its end. */
static inline int rig_do(struct rig *g, enum blk_op op, uint64_t at, void *buf, uint64_t len)
{
	struct rig_req q = { 0 };

	rig_submit(g, &q, op, at, buf, len, 0);
	rig_wait(g);
	return q.result;
}

static inline void rig_check(struct rig *g, uint64_t at, const uint8_t *want, uint64_t len)
{
	uint8_t *got = malloc(len);

	memset(got, 0xee, len);
	ck_assert_int_eq(rig_do(g, BLK_READ, at, got, len), 0);
	for (uint64_t i = 0; i < len; i++) {
		if (got[i] != want[i]) /* Check remembers each assertion: not one for each byte */
			ck_abort_msg("byte %llu is %#x, not %#x", (unsigned long long)(at + i),
				     got[i], want[i]);
	}
	free(got);
}

/* false: this host has no io_uring for us. */
static inline bool rig_has_uring(void)
{
	struct evloop *l;
	struct uring *u;
	struct err e;
	bool has;

	ck_ok(evloop_create(&l, &e));
	has = uring_create(&u, l, 4, NULL, NULL, &e) == 0;
	if (has)
		uring_destroy(u);
	evloop_destroy(l);
	return has;
}

#endif
