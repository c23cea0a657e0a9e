/*
 * fake_driver.c - see fake_driver.h.
 */
#include "fake_driver.h"
#include <check.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/bug.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>

#define IDLE_NS (2 * NS_PER_MS)
#define PATIENCE_NS (8 * NS_PER_S)

static void on_queue_interrupt(void *arg, unsigned int qi)
{
	((struct fake_driver *)arg)->q[qi].n_interrupts++;
}

static void on_config_interrupt(void *arg)
{
	((struct fake_driver *)arg)->n_config_interrupts++;
}

static int interrupt_fd(void *arg, unsigned int qi)
{
	int fd = ((struct fake_driver *)arg)->interrupt_fd[qi];

	return fd > 0 ? fd : -1;
}

static const struct virtio_transport_ops transport = {
	.queue_interrupt = on_queue_interrupt,
	.queue_interrupt_fd = interrupt_fd,
	.config_interrupt = on_config_interrupt,
};

void fake_driver_init(struct fake_driver *f)
{
	struct err e;

	*f = (struct fake_driver){ .next_free = 4096 };
	VMM_BUG_ON(gmem_create(&f->mem, &e) < 0);
	VMM_BUG_ON(gmem_add_ram(f->mem, 0, FAKE_DRIVER_RAM, &e) < 0);
	VMM_BUG_ON(evloop_create(&f->loop, &e) < 0);
	f->env = (struct device_env){ .loop = f->loop, .mem = f->mem };
}

void fake_driver_fini(struct fake_driver *f)
{
	virtio_dev_destroy(f->v);
	evloop_destroy(f->loop);
	gmem_destroy(f->mem);
}

void fake_driver_attach(struct fake_driver *f, struct virtio_dev *v)
{
	struct err e;

	f->v = v;
	virtio_dev_attach(v, &transport, f);
	ck_assert_int_eq(virtio_dev_start(v, &e), 0);
}

/* RAM ---------------------------------------------------------------------------------------- */

gpa_t fake_driver_alloc(struct fake_driver *f, size_t len)
{
	gpa_t at = f->next_free;

	f->next_free = align_up(at + len, 16);
	ck_assert_msg(f->next_free <= FAKE_DRIVER_RAM, "the test wants more RAM than there is");
	return at;
}

gpa_t fake_driver_put(struct fake_driver *f, const void *data, size_t len)
{
	gpa_t at = fake_driver_alloc(f, len);

	fake_driver_write(f, at, data, len);
	return at;
}

void fake_driver_read(struct fake_driver *f, gpa_t at, void *dst, size_t len)
{
	VMM_BUG_ON(!gmem_read(f->mem, at, dst, len));
}

void fake_driver_write(struct fake_driver *f, gpa_t at, const void *src, size_t len)
{
	VMM_BUG_ON(!gmem_write(f->mem, at, src, len));
}

/* Initialisation ----------------------------------------------------------------------------- */

void fake_driver_negotiate(struct fake_driver *f, uint64_t features)
{
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE;
	uint64_t offered;

	virtio_dev_set_status(f->v, 0);
	ck_assert_uint_eq(virtio_dev_status(f->v), 0);
	virtio_dev_set_status(f->v, status);
	status |= VIRTIO_CONFIG_S_DRIVER;
	virtio_dev_set_status(f->v, status);
	offered = virtio_dev_offered_features(f->v, 0) |
		  (uint64_t)virtio_dev_offered_features(f->v, 1) << 32;
	features = (features | UINT64_C(1) << VIRTIO_F_VERSION_1) & offered;
	virtio_dev_set_driver_features(f->v, 0, (uint32_t)features);
	virtio_dev_set_driver_features(f->v, 1, (uint32_t)(features >> 32));
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	virtio_dev_set_status(f->v, status);
	ck_assert_uint_eq(virtio_dev_status(f->v), status);
}

static void set_address(struct fake_driver *f, unsigned int qi, enum virtio_queue_reg low, gpa_t at)
{
	virtio_dev_queue_set(f->v, qi, low, (uint32_t)at);
	virtio_dev_queue_set(f->v, qi, (enum virtio_queue_reg)(low + 1), (uint32_t)(at >> 32));
}

void fake_driver_setup_queue(struct fake_driver *f, unsigned int qi, uint16_t size)
{
	struct fake_queue *q = &f->q[qi];

	*q = (struct fake_queue){
		.size = size,
		.desc = fake_driver_alloc(f, 16u * size),
		.avail = fake_driver_alloc(f, 6u + 2u * size),
		.used = fake_driver_alloc(f, 6u + 8u * size),
	};
	virtio_dev_queue_set(f->v, qi, VIRTIO_QUEUE_SIZE, size);
	set_address(f, qi, VIRTIO_QUEUE_DESC_LOW, q->desc);
	set_address(f, qi, VIRTIO_QUEUE_AVAIL_LOW, q->avail);
	set_address(f, qi, VIRTIO_QUEUE_USED_LOW, q->used);
	virtio_dev_queue_set(f->v, qi, VIRTIO_QUEUE_ENABLE, 1);
}

void fake_driver_start(struct fake_driver *f, uint64_t features)
{
	uint8_t status;

	fake_driver_negotiate(f, features);
	for (unsigned int qi = 0; qi < f->v->n_queues; qi++)
		fake_driver_setup_queue(
			f, qi, (uint16_t)virtio_dev_queue_get(f->v, qi, VIRTIO_QUEUE_MAX_SIZE));
	status = virtio_dev_status(f->v) | VIRTIO_CONFIG_S_DRIVER_OK;
	virtio_dev_set_status(f->v, status);
	ck_assert_uint_eq(virtio_dev_status(f->v), status);
	fake_driver_idle(f);
}

/* Chains ------------------------------------------------------------------------------------- */

static void write_desc(struct fake_driver *f, gpa_t table, uint16_t i, const struct fake_seg *s,
		       uint16_t flags, uint16_t next)
{
	uint8_t raw[16];

	store_le64(raw, s->at);
	store_le32(raw + 8, s->len);
	store_le16(raw + 12, flags);
	store_le16(raw + 14, next);
	fake_driver_write(f, table + 16ull * i, raw, sizeof(raw));
}

void fake_driver_desc(struct fake_driver *f, unsigned int qi, uint16_t i, gpa_t addr, uint32_t len,
		      uint16_t flags, uint16_t next)
{
	write_desc(f, f->q[qi].desc, i, &(struct fake_seg){ addr, len, false }, flags, next);
}

static uint16_t flags_of(const struct fake_seg *s, bool last)
{
	return (uint16_t)((s->writable ? VRING_DESC_F_WRITE : 0) | (last ? 0 : VRING_DESC_F_NEXT));
}

uint16_t fake_driver_chain(struct fake_driver *f, unsigned int qi, const struct fake_seg *segs,
			   unsigned int n)
{
	struct fake_queue *q = &f->q[qi];
	uint16_t head = q->next_desc;

	for (unsigned int i = 0; i < n; i++) {
		uint16_t at = q->next_desc, next = (uint16_t)((at + 1) % q->size);

		write_desc(f, q->desc, at, &segs[i], flags_of(&segs[i], i == n - 1), next);
		q->next_desc = next;
	}
	return head;
}

uint16_t fake_driver_indirect(struct fake_driver *f, unsigned int qi, const struct fake_seg *segs,
			      unsigned int n)
{
	struct fake_queue *q = &f->q[qi];
	gpa_t table = fake_driver_alloc(f, 16ul * n);
	uint16_t head = q->next_desc;

	for (unsigned int i = 0; i < n; i++)
		write_desc(f, table, (uint16_t)i, &segs[i], flags_of(&segs[i], i == n - 1),
			   (uint16_t)(i + 1));
	fake_driver_desc(f, qi, head, table, 16 * n, VRING_DESC_F_INDIRECT, 0);
	q->next_desc = (uint16_t)((head + 1) % q->size);
	return head;
}

void fake_driver_publish(struct fake_driver *f, unsigned int qi, uint16_t head)
{
	struct fake_queue *q = &f->q[qi];

	VMM_BUG_ON(!gmem_store_le16(f->mem, q->avail + 4 + 2ull * (q->avail_idx % q->size), head));
	q->avail_idx++;
	VMM_BUG_ON(!gmem_store_le16(f->mem, q->avail + 2, q->avail_idx));
}

uint16_t fake_driver_send(struct fake_driver *f, unsigned int qi, const struct fake_seg *segs,
			  unsigned int n)
{
	uint16_t head = fake_driver_chain(f, qi, segs, n);

	fake_driver_publish(f, qi, head);
	fake_driver_kick(f, qi);
	return head;
}

/* The loop ----------------------------------------------------------------------------------- */

struct wait {
	struct fake_driver *f;
	bool (*done)(void *arg); /* NULL: until the loop is idle */
	void *arg;
	uint64_t deadline_ns;
	uint64_t n_kicks; /* at the last look */
	struct ev_timer timer;
};

/* A queue that has used up its turn has notified itself, and has another one until we look again.
 */
static bool is_busy(struct wait *w)
{
	uint64_t before = w->n_kicks;

	w->n_kicks = w->f->v ? w->f->v->n_kicks : 0;
	return w->n_kicks != before;
}

/* A timer runs behind all fds that are ready: what came up to here has been served. */
static void on_timer(void *arg)
{
	struct wait *w = arg;

	if (w->done ? w->done(w->arg) : !is_busy(w) || evloop_now_ns() >= w->deadline_ns) {
		evloop_stop(w->f->loop);
		return;
	}
	ck_assert_msg(evloop_now_ns() < w->deadline_ns, "the device has not done what it should");
	evloop_timer_set(w->f->loop, &w->timer, evloop_now_ns() + NS_PER_MS);
}

static void run(struct fake_driver *f, bool (*done)(void *arg), void *arg)
{
	struct wait w = { f, done, arg, evloop_now_ns() + PATIENCE_NS, 0, { 0 } };

	is_busy(&w);
	w.timer.fn = on_timer;
	w.timer.arg = &w;
	evloop_timer_set(f->loop, &w.timer, evloop_now_ns() + (done ? 0 : IDLE_NS));
	evloop_run(f->loop);
}

void fake_driver_idle(struct fake_driver *f)
{
	run(f, NULL, NULL);
}

void fake_driver_until(struct fake_driver *f, bool (*done)(void *arg), void *arg)
{
	run(f, done, arg);
}

void fake_driver_kick(struct fake_driver *f, unsigned int qi)
{
	virtio_dev_kick(f->v, qi);
	fake_driver_idle(f);
}

/* The used ring ------------------------------------------------------------------------------ */

uint16_t fake_driver_n_used(struct fake_driver *f, unsigned int qi)
{
	uint16_t idx;

	VMM_BUG_ON(!gmem_load_le16(f->mem, f->q[qi].used + 2, &idx));
	return (uint16_t)(idx - f->q[qi].used_idx);
}

bool fake_driver_take_used(struct fake_driver *f, unsigned int qi, uint32_t *id, uint32_t *len)
{
	struct fake_queue *q = &f->q[qi];
	gpa_t at = q->used + 4 + 8ull * (q->used_idx % q->size);

	if (fake_driver_n_used(f, qi) == 0)
		return false;
	VMM_BUG_ON(!gmem_load_le32(f->mem, at, id) || !gmem_load_le32(f->mem, at + 4, len));
	q->used_idx++;
	return true;
}

struct used_wait {
	struct fake_driver *f;
	unsigned int qi;
};

static bool has_used(void *arg)
{
	const struct used_wait *w = arg;

	return fake_driver_n_used(w->f, w->qi) > 0;
}

void fake_driver_wait_used(struct fake_driver *f, unsigned int qi, uint32_t *id, uint32_t *len)
{
	struct used_wait w = { f, qi };

	fake_driver_until(f, has_used, &w);
	ck_assert(fake_driver_take_used(f, qi, id, len));
}

bool fake_driver_needs_reset(struct fake_driver *f)
{
	return virtio_dev_status(f->v) & VIRTIO_CONFIG_S_NEEDS_RESET;
}
