/*
 * blk_snapshot.c - a disk whose changes are kept apart and forgotten: a layer over a base that
 * nobody writes to.
 *
 * Life of a VM: made while the machine is built; then each request of the guest, on the loop. The
 * layer is a sparse file without a name, so that it ends with the process however that ends.
 *
 * A bit for each sector of 512 bytes says where the sector is. The smallest thing that a guest can
 * write is a sector, so nothing ever has to be copied up from the base. The map takes 256 KiB for
 * each GiB, and memory only where the guest has written. A bit is set when the write is done: until
 * then, or if it fails, the old data is there.
 */
#include "blk_raw.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>

#define SECTOR 512u
#define BITS 64u

struct blk_snapshot {
	struct blk blk;
	struct blk *base, *layer;
	struct evloop *loop;
	uint64_t *map; /* a bit for each sector that is in the layer */
	size_t map_bytes;
	unsigned int n_in_flight;
	bool draining; /* nobody wants what has not been started yet */
	struct blk_req *answers, **last; /* done without the layer; answered by the task */
	struct ev_task task;
};

struct part { /* of a request: what one of the two files does for it */
	struct blk_req req;
	struct blk_snapshot *s;
	struct blk_req *whole;
	uint64_t at, len; /* of what the part does now */
	struct iovec iov[];
};

/* The map ------------------------------------------------------------------------------------ */

static bool in_layer(const struct blk_snapshot *s, uint64_t sector)
{
	return s->map[sector / BITS] >> sector % BITS & 1;
}

static void set_in_layer(struct blk_snapshot *s, uint64_t at, uint64_t len)
{
	uint64_t i = at / SECTOR, end = i + len / SECTOR;

	while (i < end) {
		uint64_t n = min_u64(BITS - i % BITS, end - i);
		uint64_t ones = n == BITS ? UINT64_MAX : (UINT64_C(1) << n) - 1;

		s->map[i / BITS] |= ones << i % BITS;
		i += n;
	}
}

/* Bytes from `at` on, at most len, that are in the same place as the first. */
static uint64_t run_length(const struct blk_snapshot *s, uint64_t at, uint64_t len)
{
	uint64_t first = at / SECTOR, i = first, end = first + len / SECTOR;
	bool layer = in_layer(s, first);

	while (i < end) {
		uint64_t word = s->map[i / BITS] >> i % BITS;
		uint64_t other = layer ? ~word : word;
		uint64_t left = BITS - i % BITS;
		uint64_t n = other ? (uint64_t)__builtin_ctzll(other) : BITS;

		i += min_u64(n, left);
		if (n < left)
			break;
	}
	return (min_u64(i, end) - first) * SECTOR;
}

/* Requests ----------------------------------------------------------------------------------- */

static void answer(struct blk_snapshot *s, struct blk_req *r, int result)
{
	s->n_in_flight--;
	r->done(r, result);
}

static void answer_later(struct blk_snapshot *s, struct blk_req *r, int result)
{
	r->result = result;
	r->next = NULL;
	*s->last = r;
	s->last = &r->next;
	evloop_post(s->loop, &s->task);
}

/* Moves the first `len` bytes of the whole's pieces over to the part. */
static void take_iov(struct part *p, uint64_t len)
{
	struct blk_req *r = p->whole;

	p->req.iov = p->iov;
	p->req.n_iov = 0;
	while (len > 0 && r->n_iov > 0) {
		struct iovec *v = r->iov;
		size_t n = min_size(v->iov_len, len);

		p->iov[p->req.n_iov++] = (struct iovec){ v->iov_base, n };
		len -= n;
		v->iov_base = (char *)v->iov_base + n;
		v->iov_len -= n;
		if (v->iov_len == 0) {
			r->iov++;
			r->n_iov--;
		}
	}
}

static void issue(struct part *p)
{
	struct blk_snapshot *s = p->s;
	struct blk_req *r = p->whole;
	struct blk *to = s->layer;
	uint64_t len = r->len;

	if (r->op == BLK_READ) {
		len = run_length(s, r->at, r->len);
		to = in_layer(s, r->at / SECTOR) ? s->layer : s->base;
	}
	p->req.at = p->at = r->at;
	p->req.len = p->len = len;
	take_iov(p, len);
	r->at += len;
	r->len -= len;
	blk_submit(to, &p->req);
}

static void part_done(struct blk_req *req, int result)
{
	struct part *p = container_of(req, struct part, req);
	struct blk_snapshot *s = p->s;
	struct blk_req *r = p->whole;

	if (result == 0 && r->len > 0 && s->draining)
		result = -ECANCELED;
	if (result == 0 && r->len > 0) {
		issue(p);
		return;
	}
	if (result == 0 && (r->op == BLK_WRITE || r->op == BLK_WRITE_ZEROES))
		set_in_layer(s, p->at, p->len);
	free(p);
	answer(s, r, result);
}

static int snapshot_start(struct blk *b, struct err *e)
{
	struct blk_snapshot *s = container_of(b, struct blk_snapshot, blk);

	return blk_start(s->base, e) < 0 || blk_start(s->layer, e) < 0 ? e->code : 0;
}

static void snapshot_submit(struct blk *b, struct blk_req *r)
{
	struct blk_snapshot *s = container_of(b, struct blk_snapshot, blk);
	struct part *p;

	r->blk = b;
	s->n_in_flight++;
	if (r->op == BLK_FLUSH) { /* nothing of it will be wanted again */
		answer_later(s, r, 0);
		return;
	}
	p = calloc(1, sizeof(*p) + r->n_iov * sizeof(p->iov[0]));
	if (!p) {
		answer_later(s, r, -ENOMEM);
		return;
	}
	p->req = (struct blk_req){ .op = r->op, .unmap = true, .done = part_done };
	p->s = s;
	p->whole = r;
	issue(p);
}

static void snapshot_kick(struct blk *b)
{
	struct blk_snapshot *s = container_of(b, struct blk_snapshot, blk);

	blk_kick(s->base);
	blk_kick(s->layer);
}

static void answer_now(void *arg)
{
	struct blk_snapshot *s = arg;
	struct blk_req *r = s->answers;

	if (!r)
		return;
	s->answers = NULL;
	s->last = &s->answers;
	while (r) {
		struct blk_req *next = r->next;

		answer(s, r, r->result);
		r = next;
	}
	snapshot_kick(&s->blk);
	blk_settled(&s->blk);
}

static void snapshot_drain(struct blk *b)
{
	struct blk_snapshot *s = container_of(b, struct blk_snapshot, blk);

	s->draining = true;
	while (s->n_in_flight > 0) {
		answer_now(s);
		blk_drain(s->base);
		blk_drain(s->layer);
	}
	s->draining = false;
}

static void snapshot_destroy(struct blk *b)
{
	struct blk_snapshot *s = container_of(b, struct blk_snapshot, blk);

	VMM_BUG_ON(s->n_in_flight > 0);
	evloop_unpost(s->loop, &s->task);
	if (s->map)
		munmap(s->map, s->map_bytes);
	blk_destroy(s->layer);
	blk_destroy(s->base);
	free(s);
}

/* No size(): what the host does to the base now is not for this guest. */
static const struct blk_ops snapshot_ops = {
	.start = snapshot_start,
	.submit = snapshot_submit,
	.kick = snapshot_kick,
	.drain = snapshot_drain,
	.destroy = snapshot_destroy,
};

/* A read may have gone on from one file to the other. */
static void file_settled(void *arg)
{
	struct blk_snapshot *s = arg;

	snapshot_kick(&s->blk);
	blk_settled(&s->blk);
}

static int make_map(struct blk_snapshot *s, struct err *e)
{
	void *map;

	s->map_bytes = (s->blk.info.size / SECTOR + BITS - 1) / BITS * sizeof(uint64_t);
	map = mmap(NULL, s->map_bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return err_errno(e, "snapshot: map of %zu bytes", s->map_bytes);
	s->map = map;
	return 0;
}

static int make_layer(struct blk_snapshot *s, const char *dir, const struct io_params *p,
		      struct err *e)
{
	struct blk_file f;

	if (blk_file_temporary(&f, dir, s->blk.info.size, e) < 0 ||
	    blk_raw_create(&s->layer, &f, p, e) < 0)
		return e->code;
	s->blk.info.ro = false;
	s->blk.info.discard_unit = s->layer->info.discard_unit;
	s->blk.info.zeroes = s->layer->info.zeroes;
	s->layer->settled = s->base->settled = file_settled;
	s->layer->settled_arg = s->base->settled_arg = s;
	return 0;
}

int blk_snapshot_create(struct blk **out, struct blk *base, const char *dir,
			const struct io_params *p, struct err *e)
{
	struct blk_snapshot *s = calloc(1, sizeof(*s));

	if (!s) {
		blk_destroy(base);
		return err_set(e, -ENOMEM, "out of memory");
	}
	s->blk.ops = &snapshot_ops;
	s->blk.info = base->info;
	s->blk.info.size = align_down(base->info.size, SECTOR);
	s->base = base;
	s->loop = p->loop;
	s->last = &s->answers;
	s->task = (struct ev_task){ .fn = answer_now, .arg = s };
	if (make_map(s, e) < 0 || make_layer(s, dir, p, e) < 0) {
		snapshot_destroy(&s->blk);
		return e->code;
	}
	*out = &s->blk;
	return 0;
}
