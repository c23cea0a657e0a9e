/*
 * virtio_blk.c - a disk for the guest.
 *
 * Life of a VM: made with its file; then for each request of the driver: queue_ready() takes it out
 * of the ring, checks it, and gives it to the backend (vmm/block/blk.h), which calls back. All of
 * that is on the loop; only reset and a write to the configuration come on a vCPU's thread.
 *
 * Source: VIRTIO 1.2, 5.2 "Block Device". A request is a header of 16 bytes, data, and a byte of
 * status, however the driver cuts them into descriptors (2.7.4: "any layout"). What is wrong with a
 * request is answered by its status; without a place for that, the chain goes back as it is.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/bytes.h>
#include <vmm/base/checked.h>
#include <vmm/base/util.h>
#include <vmm/block/blk.h>
#include <vmm/dev/device.h>
#include <vmm/virtio/virtio_blk.h>
#include <vmm/virtio/virtio_dev.h>

#define SECTOR 512u /* 5.2.6: the unit of all requests, whatever blk_size says */
#define HEADER_LEN 16u /* le32 type, le32 reserved, le64 sector */
#define RANGE_LEN 16u /* le64 sector, le32 num_sectors, le32 flags */
#define MAX_BYTES ((uint64_t)VIRTIO_BLK_SEG_MAX * VIRTIO_BLK_SIZE_MAX)
#define SIZE_CHECK_NS NS_PER_S /* how soon the guest sees that its disk has another size */
#define COMPLAIN_NS (10 * NS_PER_S) /* about the host, at most so often */
#define PENDING 0xff /* no status yet: the backend has the request */

struct virtio_blk {
	struct virtio_dev v;
	struct blk *blk;
	uint8_t id[VIRTIO_BLK_ID_BYTES];

	/* The loop's. */
	struct rate rate;
	struct ev_timer size_timer;
	uint64_t answered; /* queues with an answer that the driver has not been told of */
	uint64_t complain_ns; /* not before */

	/* Guarded by v.lock. */
	struct virtio_blk_config config;
	uint64_t capacity; /* sectors */
	bool waiting; /* for the rate limit */
	bool full; /* MAX_IN_FLIGHT are at the host, and more is in the ring */
	uint64_t in_flight; /* bytes at the host */
	uint64_t n_reads, n_writes, n_flushes, n_discards, n_zeroes, n_read_bytes, n_write_bytes,
		n_errors;
};

struct range { /* of a discard or write-zeroes request; checked */
	uint64_t at, len; /* bytes */
	bool unmap;
};

struct request { /* at the backend; lives until its answer, whatever the driver does meanwhile */
	struct blk_req blk;
	struct virtio_blk *d;
	uint8_t *status; /* in guest RAM; of the checked chain */
	uint32_t written;
	uint16_t qi, head;
	uint64_t bytes;
	uint64_t weight; /* its part of in_flight */
	const struct range *ranges;
	unsigned int n_ranges; /* still to do */
	_Alignas(16) uint8_t more[]; /* pieces or ranges */
};

struct call { /* a request while it is being looked at */
	uint16_t qi;
	struct vchain *c;
	uint32_t type;
	uint64_t sector;
	uint8_t *status;
	size_t room; /* writable bytes in front of the status */
	size_t moved; /* of them */
};

static struct virtio_blk *from(struct virtio_dev *v)
{
	return container_of(v, struct virtio_blk, v);
}

/* 5.2.6.2: without a cache that the driver knows of, a write is done when it is on the disk. */
static bool writes_through(const struct virtio_blk *d)
{
	return !virtio_dev_has(&d->v, VIRTIO_BLK_F_FLUSH) ||
	       (virtio_dev_has(&d->v, VIRTIO_BLK_F_CONFIG_WCE) && !d->config.wce);
}

/* Answers ------------------------------------------------------------------------------------ */

static uint8_t status_of(int result)
{
	if (result == 0)
		return VIRTIO_BLK_S_OK;
	return result == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

static void account(struct virtio_blk *d, const struct request *r)
{
	switch (r->blk.op) {
	case BLK_READ:
		metric_add(&d->n_reads, 1);
		metric_add(&d->n_read_bytes, r->bytes);
		break;
	case BLK_WRITE:
		metric_add(&d->n_writes, 1);
		metric_add(&d->n_write_bytes, r->bytes);
		break;
	case BLK_FLUSH:
		metric_add(&d->n_flushes, 1);
		break;
	case BLK_DISCARD:
		metric_add(&d->n_discards, 1);
		break;
	case BLK_WRITE_ZEROES:
		metric_add(&d->n_zeroes, 1);
		break;
	}
}

/* The guest sees an I/O error; why, only the host knows. */
static void complain(struct virtio_blk *d, const struct blk_req *b, int result)
{
	static const char *const names[] = { "read", "write", "flush", "discard", "write zeroes" };
	uint64_t now = evloop_now_ns();

	metric_add(&d->n_errors, 1);
	if (now < d->complain_ns)
		return;
	d->complain_ns = now + COMPLAIN_NS;
	log_warn("%s: %s at %" PRIu64 ": %s; the guest gets an I/O error", d->v.name, names[b->op],
		 b->at, strerror(-result));
}

/* The ring may have more for us: every queue gets a turn. */
static void resume(struct virtio_blk *d)
{
	for (unsigned int i = 0; i < d->v.n_queues; i++)
		virtio_dev_kick(&d->v, i);
}

/* The lock is held. */
static void answer(struct request *r, int result)
{
	struct virtio_blk *d = r->d;

	d->in_flight -= r->weight;
	if (d->full) {
		d->full = false;
		resume(d);
	}

	if (result == 0)
		account(d, r);
	else
		complain(d, &r->blk, result);
	/* A driver that has reset the device wants nothing more in its RAM. */
	if (!d->v.resetting)
		__atomic_store_n(r->status, status_of(result), __ATOMIC_RELAXED);
	/* Of a read that failed nobody knows how far it came. */
	virtio_dev_push(&d->v, r->qi, r->head,
			result == 0 || r->blk.op != BLK_READ ? r->written : 0);
	d->answered |= UINT64_C(1) << r->qi;
	free(r);
}

/* false: there is none left. */
static bool submit_range(struct request *r)
{
	if (r->n_ranges == 0)
		return false;
	r->blk.at = r->ranges->at;
	r->blk.len = r->ranges->len;
	r->blk.unmap = r->ranges->unmap;
	r->ranges++;
	r->n_ranges--;
	blk_submit(r->d->blk, &r->blk);
	return true;
}

static void request_done(struct blk_req *b, int result)
{
	struct request *r = container_of(b, struct request, blk);
	struct virtio_dev *v = &r->d->v;

	virtio_dev_lock(v);
	if (result != 0 || v->resetting || !submit_range(r))
		answer(r, result);
	virtio_dev_unlock(v);
}

/* One interrupt for all that came back together. */
static void settled(void *arg)
{
	struct virtio_blk *d = arg;

	virtio_dev_lock(&d->v);
	for (; d->answered; d->answered &= d->answered - 1)
		virtio_dev_flush(&d->v, (unsigned int)__builtin_ctzll(d->answered));
	virtio_dev_unlock(&d->v);
}

/* Requests ----------------------------------------------------------------------------------- */

static struct request *new_request(struct virtio_blk *d, const struct call *x, enum blk_op op,
				   size_t more)
{
	struct request *r = calloc(1, sizeof(*r) + more);

	if (!r)
		return NULL;
	r->blk.op = op;
	r->blk.done = request_done;
	r->d = d;
	r->status = x->status;
	r->qi = x->qi;
	r->head = x->c->head;
	return r;
}

/*
 * 2.7.8.2: so many bytes from the first writable one on are written. The status is the last, so it
 * counts only if everything in front of it is written, too.
 */
static uint32_t written(const struct call *x, size_t moved)
{
	return (uint32_t)(moved == x->room ? moved + 1 : moved);
}

static uint8_t submit(struct request *r, uint64_t weight)
{
	r->weight = weight;
	r->d->in_flight += weight;
	blk_submit(r->d->blk, &r->blk);
	return PENDING;
}

static uint8_t start_data(struct virtio_blk *d, const struct call *x, enum blk_op op, size_t len)
{
	struct request *r;

	if (len % SECTOR || len > MAX_BYTES ||
	    !range_inside(x->sector, len / SECTOR, d->capacity) ||
	    (op == BLK_WRITE && d->blk->info.ro))
		return VIRTIO_BLK_S_IOERR;
	if (len == 0)
		return VIRTIO_BLK_S_OK;
	r = new_request(d, x, op, x->c->n_segs * sizeof(struct iovec));
	if (!r)
		return VIRTIO_BLK_S_IOERR;
	r->blk.iov = (void *)r->more;
	r->blk.n_iov = (unsigned int)(op == BLK_READ ? vchain_iov_writable(x->c, len, r->blk.iov)
						     : vchain_iov_readable(x->c, len, r->blk.iov));
	r->blk.at = x->sector * SECTOR;
	r->blk.len = r->bytes = len;
	r->blk.durable = op == BLK_WRITE && writes_through(d);
	r->written = written(x, op == BLK_READ ? len : 0);
	return submit(r, len);
}

static uint8_t start_flush(struct virtio_blk *d, const struct call *x)
{
	struct request *r;

	if (d->blk->info.ro)
		return VIRTIO_BLK_S_OK;
	r = new_request(d, x, BLK_FLUSH, 0);
	if (!r)
		return VIRTIO_BLK_S_IOERR;
	r->written = written(x, 0);
	return submit(r, 0);
}

/* 5.2.6.2: "discard", "write zeroes". */
static uint8_t read_range(const struct virtio_blk *d, struct vchain *c, enum blk_op op,
			  struct range *out)
{
	uint32_t most =
		op == BLK_DISCARD ? VIRTIO_BLK_MAX_DISCARD_SECTORS : VIRTIO_BLK_MAX_ZERO_SECTORS;
	uint32_t allowed = op == BLK_DISCARD ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	uint8_t raw[RANGE_LEN];
	uint32_t n, flags;
	uint64_t sector;

	vchain_read(c, raw, sizeof(raw));
	sector = load_le64(raw);
	n = load_le32(raw + 8);
	flags = load_le32(raw + 12);
	if (flags & ~allowed)
		return VIRTIO_BLK_S_UNSUPP;
	if (n > most || !range_inside(sector, n, d->capacity))
		return VIRTIO_BLK_S_IOERR;
	*out = (struct range){ sector * SECTOR, (uint64_t)n * SECTOR, flags != 0 };
	return VIRTIO_BLK_S_OK;
}

/* All ranges are checked before the first is touched. */
static uint8_t read_ranges(struct request *r, struct vchain *c, size_t n)
{
	struct range *ranges = (void *)r->more;

	for (size_t i = 0; i < n; i++) {
		uint8_t status = read_range(r->d, c, r->blk.op, &ranges[r->n_ranges]);

		if (status != VIRTIO_BLK_S_OK)
			return status;
		if (ranges[r->n_ranges].len > 0)
			r->n_ranges++;
	}
	r->ranges = ranges;
	return VIRTIO_BLK_S_OK;
}

static uint64_t weight_of_ranges(const struct request *r)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < r->n_ranges; i++)
		sum += r->ranges[i].len;
	return sum;
}

static uint8_t start_ranges(struct virtio_blk *d, const struct call *x, enum blk_op op)
{
	size_t len = vchain_left_readable(x->c), n = len / RANGE_LEN;
	struct request *r;
	uint8_t status;

	if (d->blk->info.ro || n == 0 || len % RANGE_LEN || n > VIRTIO_BLK_MAX_RANGES)
		return VIRTIO_BLK_S_IOERR;
	r = new_request(d, x, op, n * sizeof(struct range));
	if (!r)
		return VIRTIO_BLK_S_IOERR;
	r->blk.durable = op == BLK_WRITE_ZEROES && writes_through(d);
	r->written = written(x, 0);
	status = read_ranges(r, x->c, n);
	if (status != VIRTIO_BLK_S_OK || r->n_ranges == 0) {
		free(r);
		return status;
	}
	if (op == BLK_WRITE_ZEROES) /* what the host may have to write */
		r->weight = weight_of_ranges(r);
	rate_charge(&d->rate, r->weight);
	d->in_flight += r->weight;
	submit_range(r);
	return PENDING;
}

static uint8_t start(struct virtio_blk *d, struct call *x)
{
	switch (x->type) {
	case VIRTIO_BLK_T_IN:
		return start_data(d, x, BLK_READ, x->room);
	case VIRTIO_BLK_T_OUT:
		return start_data(d, x, BLK_WRITE, vchain_left_readable(x->c));
	case VIRTIO_BLK_T_FLUSH:
		return start_flush(d, x);
	case VIRTIO_BLK_T_GET_ID:
		x->moved = vchain_write(x->c, d->id, min_size(sizeof(d->id), x->room));
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_DISCARD:
		if (virtio_dev_has(&d->v, VIRTIO_BLK_F_DISCARD))
			return start_ranges(d, x, BLK_DISCARD);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		if (virtio_dev_has(&d->v, VIRTIO_BLK_F_WRITE_ZEROES))
			return start_ranges(d, x, BLK_WRITE_ZEROES);
		break;
	default:
		break;
	}
	return VIRTIO_BLK_S_UNSUPP;
}

/* 5.2.6: the status is the last byte that is ours to write. NULL: there is none. */
static uint8_t *find_status(const struct vchain *c)
{
	for (unsigned int i = c->n_segs; i > c->n_readable; i--) {
		const struct iovec *seg = &c->seg[i - 1];

		if (seg->iov_len > 0)
			return (uint8_t *)seg->iov_base + seg->iov_len - 1;
	}
	return NULL;
}

static void serve(struct virtio_blk *d, uint16_t qi, struct vchain *c)
{
	struct call x = { .qi = qi, .c = c, .status = find_status(c) };
	uint8_t header[HEADER_LEN], status = VIRTIO_BLK_S_IOERR;

	if (!x.status) {
		log_guest(&d->v.limit, "%s: request without a place for its status", d->v.name);
		virtio_dev_push(&d->v, qi, c->head, 0);
		return;
	}
	x.room = vchain_left_writable(c) - 1;
	if (vchain_read(c, header, sizeof(header)) == sizeof(header)) {
		x.type = load_le32(header);
		x.sector = load_le64(header + 8);
		status = start(d, &x);
	}
	if (status == PENDING)
		return;
	__atomic_store_n(x.status, status, __ATOMIC_RELAXED);
	virtio_dev_push(&d->v, qi, c->head, written(&x, x.moved));
}

/* What a request moves, by the driver's own account. */
static uint64_t weight(const struct vchain *c)
{
	uint64_t all = (uint64_t)c->readable + c->writable;

	return all > HEADER_LEN + 1 ? min_u64(all - HEADER_LEN - 1, MAX_BYTES) : 0;
}

static void blk_queue_ready(struct virtio_dev *v, unsigned int qi)
{
	struct virtio_blk *d = from(v);
	struct vchain c;

	while (!d->waiting && !d->full && virtio_dev_pop(v, qi, &c)) {
		uint64_t bytes = weight(&c);

		d->full = d->in_flight > 0 && d->in_flight + bytes > VIRTIO_BLK_MAX_IN_FLIGHT;
		if (!d->full && rate_take(&d->rate, bytes)) {
			serve(d, (uint16_t)qi, &c);
			continue;
		}
		virtio_dev_unpop(v, qi, c.head); /* in the ring it keeps its place */
		d->waiting = !d->full;
	}
	blk_kick(d->blk);
}

static void rate_ready(void *arg)
{
	struct virtio_blk *d = arg;

	virtio_dev_lock(&d->v);
	d->waiting = false;
	virtio_dev_unlock(&d->v);
	resume(d);
}

/* The device --------------------------------------------------------------------------------- */

static void set_capacity(struct virtio_blk *d, uint64_t bytes)
{
	d->capacity = bytes / SECTOR;
	d->config.capacity = htole64(d->capacity);
}

static void check_size(void *arg)
{
	struct virtio_blk *d = arg;
	uint64_t now = evloop_now_ns(), size = blk_size(d->blk);

	if (size >= SECTOR && size / SECTOR != d->capacity) {
		virtio_dev_lock(&d->v);
		set_capacity(d, size);
		virtio_dev_config_changed(&d->v);
		virtio_dev_unlock(&d->v);
		log_info("%s: has %" PRIu64 " bytes now", d->v.name, size);
	}
	/* Whole seconds, so that all disks wake the process together. */
	evloop_timer_set(d->v.loop, &d->size_timer, (now / SIZE_CHECK_NS + 1) * SIZE_CHECK_NS);
}

static int blk_dev_start(struct virtio_dev *v, struct err *e)
{
	return blk_start(from(v)->blk, e) < 0 ? err_wrap(e, "%s", v->name) : 0;
}

static void blk_activate(struct virtio_dev *v)
{
	/* 5.2.5.2: with CONFIG_WCE but without FLUSH, writeback is 0 to begin with. */
	if (!virtio_dev_has(v, VIRTIO_BLK_F_FLUSH))
		from(v)->config.wce = 0;
}

static void blk_config_write(struct virtio_dev *v, uint32_t off, const void *src, uint32_t len)
{
	struct virtio_blk *d = from(v);
	const uint32_t wce = offsetof(struct virtio_blk_config, wce);

	if (virtio_dev_has(v, VIRTIO_BLK_F_CONFIG_WCE) && off == wce && len == 1)
		d->config.wce = *(const uint8_t *)src != 0;
}

static void blk_reset(struct virtio_dev *v)
{
	from(v)->config.wce = 1;
}

static void blk_drain_all(struct virtio_dev *v)
{
	blk_drain(from(v)->blk);
}

static void blk_counters(struct virtio_dev *v, metric_fn fn, void *arg)
{
	struct virtio_blk *d = from(v);

	fn(arg, "reads", metric_get(&d->n_reads));
	fn(arg, "writes", metric_get(&d->n_writes));
	fn(arg, "flushes", metric_get(&d->n_flushes));
	fn(arg, "discards", metric_get(&d->n_discards));
	fn(arg, "write_zeroes", metric_get(&d->n_zeroes));
	fn(arg, "read_bytes", metric_get(&d->n_read_bytes));
	fn(arg, "write_bytes", metric_get(&d->n_write_bytes));
	fn(arg, "errors", metric_get(&d->n_errors));
	fn(arg, "rate_waits", metric_get(&d->rate.n_waits));
}

static void blk_free(struct virtio_dev *v)
{
	struct virtio_blk *d = from(v);

	evloop_timer_cancel(&d->size_timer);
	rate_fini(&d->rate);
	blk_destroy(d->blk);
	virtio_dev_fini(v);
	free(d);
}

static const struct virtio_dev_ops blk_dev_ops = {
	.type = "virtio-blk",
	.id = VIRTIO_ID_BLOCK,
	.pci_class = { 0x01, 0x80, 0x00 }, /* mass storage, other */
	.start = blk_dev_start,
	.config_write = blk_config_write,
	.activate = blk_activate,
	.queue_ready = blk_queue_ready,
	.reset = blk_reset,
	.drain = blk_drain_all,
	.counters = blk_counters,
	.destroy = blk_free,
};

static uint64_t features_of(const struct blk_info *info, unsigned int queues)
{
	uint64_t f = UINT64_C(1) << VIRTIO_BLK_F_SIZE_MAX | UINT64_C(1) << VIRTIO_BLK_F_SEG_MAX |
		     UINT64_C(1) << VIRTIO_BLK_F_BLK_SIZE | UINT64_C(1) << VIRTIO_BLK_F_TOPOLOGY |
		     UINT64_C(1) << VIRTIO_BLK_F_FLUSH | UINT64_C(1) << VIRTIO_BLK_F_CONFIG_WCE;

	f |= (uint64_t)info->ro << VIRTIO_BLK_F_RO;
	f |= (uint64_t)(queues > 1) << VIRTIO_BLK_F_MQ;
	f |= (uint64_t)(info->discard_unit > 0) << VIRTIO_BLK_F_DISCARD;
	f |= (uint64_t)info->zeroes << VIRTIO_BLK_F_WRITE_ZEROES;
	return f;
}

/* 5.2.4. What belongs to a feature that is not offered is never looked at. */
static void fill_config(struct virtio_blk *d, unsigned int queues)
{
	const struct blk_info *info = &d->blk->info;

	set_capacity(d, info->size);
	d->config.size_max = htole32(VIRTIO_BLK_SIZE_MAX);
	d->config.seg_max = htole32(VIRTIO_BLK_SEG_MAX);
	d->config.blk_size = htole32(info->logical);
	d->config.physical_block_exp = (uint8_t)__builtin_ctz(info->physical / info->logical);
	d->config.alignment_offset = (uint8_t)min_u64(info->offset / info->logical, UINT8_MAX);
	d->config.min_io_size =
		htole16((uint16_t)min_u64(info->best_min / info->logical, UINT16_MAX));
	d->config.opt_io_size = htole32(info->best / info->logical);
	d->config.wce = 1;
	d->config.num_queues = htole16((uint16_t)queues);
	d->config.max_discard_sectors = htole32(VIRTIO_BLK_MAX_DISCARD_SECTORS);
	d->config.max_discard_seg = htole32(VIRTIO_BLK_MAX_RANGES);
	d->config.discard_sector_alignment = htole32(info->discard_unit / SECTOR);
	d->config.max_write_zeroes_sectors = htole32(VIRTIO_BLK_MAX_ZERO_SECTORS);
	d->config.max_write_zeroes_seg = htole32(VIRTIO_BLK_MAX_RANGES);
	d->config.write_zeroes_may_unmap = info->discard_unit > 0;
}

static int init_dev(struct virtio_blk *d, const char *name, const struct device_env *env,
		    unsigned int queues, struct err *e)
{
	const struct virtio_dev_params p = {
		.name = name,
		.mem = env->mem,
		.loop = env->loop,
		.features = features_of(&d->blk->info, queues),
		.config = &d->config,
		.config_len = offsetof(struct virtio_blk_config, max_secure_erase_sectors),
		.n_queues = queues,
		.queue_size = VIRTIO_BLK_QUEUE_SIZE,
		.drained = UINT64_MAX,
	};

	return virtio_dev_init(&d->v, &blk_dev_ops, &p, e);
}

int virtio_blk_create_on(struct virtio_dev **out, struct blk *blk, const struct disk_spec *spec,
			 const char *name, const struct device_env *env, struct err *e)
{
	struct virtio_blk *d = calloc(1, sizeof(*d));
	const char *id = spec->id[0] ? spec->id : name;

	if (!d) {
		blk_destroy(blk);
		return err_set(e, -ENOMEM, "%s: out of memory", name);
	}
	d->blk = blk;
	fill_config(d, spec->queues);
	if (init_dev(d, name, env, spec->queues, e) < 0) {
		blk_destroy(blk);
		free(d);
		return e->code;
	}
	blk->settled = settled;
	blk->settled_arg = d;
	memcpy(d->id, id, min_size(strlen(id), sizeof(d->id)));
	rate_init(&d->rate, &spec->rate, env->loop, rate_ready, d);
	d->size_timer = (struct ev_timer){ .fn = check_size, .arg = d };
	if (blk->ops->size)
		evloop_timer_set(env->loop, &d->size_timer, evloop_now_ns() + SIZE_CHECK_NS);
	*out = &d->v;
	return 0;
}

int virtio_blk_create(struct virtio_dev **out, const struct disk_spec *spec, const char *name,
		      const struct device_env *env, struct err *e)
{
	struct blk *blk;

	if (blk_open(&blk, spec, env->loop, spec->queues * VIRTIO_BLK_QUEUE_SIZE, e) < 0)
		return err_wrap(e, "disk %s", spec->path);
	return virtio_blk_create_on(out, blk, spec, name, env, e);
}
