/*
 * fake_blk.c - see fake_blk.h.
 */
#include "fake_blk.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/util.h>

static struct fake_blk *of(struct blk *b)
{
	return container_of(b, struct fake_blk, blk);
}

static void answer(struct fake_blk *f, unsigned int i, int result)
{
	struct blk_req *r = f->held[i];

	ck_assert_uint_lt(i, f->n_held);
	f->n_held--;
	memmove(&f->held[i], &f->held[i + 1], (f->n_held - i) * sizeof(struct blk_req *));
	r->done(r, result);
}

void fake_blk_answer(struct fake_blk *f, unsigned int i, int result)
{
	answer(f, i, result);
	blk_settled(&f->blk);
}

void fake_blk_answer_all(struct fake_blk *f, int result)
{
	if (f->n_held == 0)
		return;
	while (f->n_held > 0)
		answer(f, 0, result);
	blk_settled(&f->blk);
}

static void answer_task(void *arg)
{
	struct fake_blk *f = arg;

	fake_blk_answer_all(f, f->result);
}

static void submit(struct blk *b, struct blk_req *r)
{
	struct fake_blk *f = of(b);
	uint64_t pieces = 0, most = f->size_told > b->info.size ? f->size_told : b->info.size;

	ck_assert_uint_lt(f->n_held, FAKE_BLK_MAX);
	/* What blk.h promises the backend, whatever the guest has asked for. */
	ck_assert_uint_eq(r->at % 512, 0);
	ck_assert_uint_eq(r->len % 512, 0);
	ck_assert_uint_le(r->at, most);
	ck_assert_uint_le(r->len, most - r->at);
	ck_assert(r->op == BLK_FLUSH || r->len > 0);
	ck_assert(!b->info.ro || r->op == BLK_READ);
	if (r->op == BLK_READ || r->op == BLK_WRITE) {
		for (unsigned int i = 0; i < r->n_iov; i++)
			pieces += r->iov[i].iov_len;
		ck_assert_uint_eq(pieces, r->len);
	}
	r->blk = b;
	f->held[f->n_held++] = r;
	f->n_submitted++;
	if (f->at_once)
		evloop_post(f->loop, &f->task);
}

static void kick(struct blk *b)
{
	of(b)->n_kicks++;
}

static void drain(struct blk *b)
{
	of(b)->n_drains++;
	fake_blk_answer_all(of(b), of(b)->result);
}

static uint64_t size(struct blk *b)
{
	struct fake_blk *f = of(b);

	f->size_told = f->size_told > f->size_now ? f->size_told : f->size_now;
	return f->size_now;
}

static void destroy(struct blk *b)
{
	struct fake_blk *f = of(b);

	ck_assert_uint_eq(f->n_held, 0);
	evloop_unpost(f->loop, &f->task);
	*f->destroyed = true;
	free(f);
}

static const struct blk_ops fake_ops = {
	.submit = submit,
	.kick = kick,
	.drain = drain,
	.size = size,
	.destroy = destroy,
};

struct fake_blk *fake_blk_create(struct evloop *l, bool *destroyed)
{
	struct fake_blk *f = calloc(1, sizeof(*f));

	ck_assert_ptr_nonnull(f);
	f->blk.ops = &fake_ops;
	f->blk.info = (struct blk_info){
		.size = MIB,
		.logical = 512,
		.physical = 4096,
		.best_min = 4096,
		.discard_unit = 4096,
		.zeroes = true,
	};
	f->loop = l;
	f->task = (struct ev_task){ .fn = answer_task, .arg = f };
	f->size_now = f->size_told = MIB;
	f->destroyed = destroyed;
	*destroyed = false;
	return f;
}

void fake_blk_fill(const struct blk_req *r, const void *data, size_t len)
{
	const uint8_t *from = data;

	ck_assert_uint_eq(len, r->len);
	for (unsigned int i = 0; i < r->n_iov; i++) {
		memcpy(r->iov[i].iov_base, from, r->iov[i].iov_len);
		from += r->iov[i].iov_len;
	}
}

void fake_blk_fetch(const struct blk_req *r, void *data, size_t len)
{
	uint8_t *to = data;

	ck_assert_uint_eq(len, r->len);
	for (unsigned int i = 0; i < r->n_iov; i++) {
		memcpy(to, r->iov[i].iov_base, r->iov[i].iov_len);
		to += r->iov[i].iov_len;
	}
}
