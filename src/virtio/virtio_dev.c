/*
 * virtio_dev.c - the status machine, feature negotiation and notifications of every virtio device.
 *
 * Life of a VM: made while the board is built; from the guest's first look at its registers until
 * the end, by vCPU threads (registers) and the loop (notifications, the host's side).
 *
 * Source: VIRTIO 1.2: 2.1 status, 2.2 features, 2.3 notifications, 2.4 reset, 2.5 configuration
 * space, 3.1 initialisation.
 *
 * A reset stops the queues at once. Chains that are at the host by then (a disk is reading into
 * them) can neither be taken back nor forgotten: until the last one has been pushed, the status
 * does not read 0, and the driver has to wait (2.4.1, 4.1.4.3.2).
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/checked.h>
#include <vmm/base/util.h>
#include <vmm/virtio/virtio_dev.h>

#define RING_FEATURES                                                                              \
	(UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC |          \
	 UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

/* Each notification is told once, and what the counter says interests nobody: it is never read. */
#define KICK_EVENTS (EPOLLIN | EPOLLET)

static bool has_status(const struct virtio_dev *v, uint8_t bits)
{
	return (v->status & bits) == bits;
}

/* Notifications ------------------------------------------------------------------------------ */

bool virtio_dev_queue_runs(const struct virtio_dev *v, unsigned int qi)
{
	return qi < v->n_queues && v->queues[qi].vq.mem && !v->no_dma &&
	       has_status(v, VIRTIO_CONFIG_S_DRIVER_OK) &&
	       !(v->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

void virtio_dev_kick(struct virtio_dev *v, unsigned int qi)
{
	const uint64_t one = 1;

	if (qi >= v->n_queues)
		return;
	/* EAGAIN: the counter is full; the loop is on its way. */
	VMM_BUG_ON(write(v->queues[qi].kick_fd, &one, sizeof(one)) < 0 && errno != EAGAIN);
}

int virtio_dev_kick_fd(const struct virtio_dev *v, unsigned int qi)
{
	VMM_BUG_ON(qi >= v->n_queues);
	return v->queues[qi].kick_fd;
}

static unsigned int index_of(const struct virtio_queue *q)
{
	return (unsigned int)(q - q->dev->queues);
}

/*
 * One turn of a queue: how many chains it took. What the budget leaves undone is done after
 * everybody else's turn. Of a queue that is polled, the driver is not asked to notify.
 */
static unsigned int take_turn(struct virtio_queue *q, bool kicked)
{
	struct virtio_dev *v = q->dev;
	unsigned int qi = index_of(q), n = 0;

	virtio_dev_lock(v);
	q->vq.polled = q->poll.queued;
	if (virtio_dev_queue_runs(v, qi)) {
		v->turn = (int)qi;
		v->budget = VIRTIO_DEV_BUDGET;
		v->ops->queue_ready(v, qi);
		n = VIRTIO_DEV_BUDGET - v->budget;
		v->turn = -1;
		virtio_dev_flush(v, qi);
		if (v->budget == 0)
			virtio_dev_kick(v, qi);
		if (kicked)
			metric_add(&v->n_kicks, 1);
		else if (n > 0)
			metric_add(&v->n_polls, 1);
	}
	virtio_dev_unlock(v);
	evloop_served(v->loop, n);
	return n;
}

/* Polling: what comes goes on to come, so the loop looks at the ring (evloop_poll()). */

static bool queue_look(void *arg)
{
	struct virtio_queue *q = arg;
	bool more;

	virtio_dev_lock(q->dev);
	more = virtio_dev_queue_runs(q->dev, index_of(q)) && virtq_has_more(&q->vq);
	virtio_dev_unlock(q->dev);
	return more;
}

/* It is not polled any more: a last turn asks for notifications, or finds what came without one. */
static void queue_rest(void *arg)
{
	take_turn(arg, false);
}

/* A turn that takes nothing of what is there waits for something else than the driver. */
static void polled_turn(struct virtio_queue *q, bool kicked)
{
	if (take_turn(q, kicked) > 0 || q->lent || !queue_look(q))
		return;
	evloop_unpoll(q->dev->loop, &q->poll);
	queue_rest(q);
}

static void queue_serve(void *arg)
{
	polled_turn(arg, false);
}

static void on_kick(void *arg, uint32_t events)
{
	struct virtio_queue *q = arg;
	struct evloop *l = q->dev->loop;

	(void)events;
	if (q->lent) /* told before it was */
		return;
	if (q->poll.look && evloop_polls(l)) {
		evloop_poll(l, &q->poll);
		polled_turn(q, true);
	} else {
		take_turn(q, true);
	}
}

void virtio_dev_lend_queue(struct virtio_dev *v, unsigned int qi, bool lent)
{
	struct virtio_queue *q = &v->queues[qi];

	if (q->lent == lent)
		return;
	evloop_unpoll(v->loop, &q->poll);
	q->lent = lent;
	evloop_change(&q->kick, lent ? 0 : KICK_EVENTS);
}

void virtio_dev_flush(struct virtio_dev *v, unsigned int qi)
{
	if (v->transport && virtq_wants_interrupt(&v->queues[qi].vq))
		virtio_dev_interrupt(v, qi);
}

void virtio_dev_interrupt(struct virtio_dev *v, unsigned int qi)
{
	if (!v->transport)
		return;
	metric_add(&v->n_interrupts, 1);
	v->transport->queue_interrupt(v->transport_arg, qi);
}

int virtio_dev_interrupt_fd(struct virtio_dev *v, unsigned int qi)
{
	if (!v->transport || !v->transport->queue_interrupt_fd)
		return -1;
	return v->transport->queue_interrupt_fd(v->transport_arg, qi);
}

void virtio_dev_interrupts_changed(struct virtio_dev *v)
{
	if (v->ops->interrupts_changed)
		v->ops->interrupts_changed(v);
}

static void config_interrupt(struct virtio_dev *v)
{
	if (!v->transport || !has_status(v, VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	metric_add(&v->n_interrupts, 1);
	v->transport->config_interrupt(v->transport_arg);
}

void virtio_dev_config_changed(struct virtio_dev *v)
{
	v->config_generation++;
	config_interrupt(v);
}

/* The driver broke the rules: DEVICE_NEEDS_RESET (2.1.1), one line in the log. */
void virtio_dev_break(struct virtio_dev *v, const char *why)
{
	if (v->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	v->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	log_guest(&v->limit, "%s: %s: the device needs a reset", v->name, why);
	if (v->ops->runs_changed)
		v->ops->runs_changed(v);
	config_interrupt(v); /* 2.1.2: only if DRIVER_OK */
}

/* Chains ------------------------------------------------------------------------------------- */

bool virtio_dev_pop(struct virtio_dev *v, unsigned int qi, struct vchain *c)
{
	struct virtq *q = &v->queues[qi].vq;

	if (!virtio_dev_queue_runs(v, qi) || (v->turn == (int)qi && v->budget == 0))
		return false;
	if (virtq_pop(q, c)) {
		if (v->turn == (int)qi)
			v->budget--;
		return true;
	}
	if (q->broken)
		virtio_dev_break(v, q->broken);
	return false;
}

void virtio_dev_unpop(struct virtio_dev *v, unsigned int qi, uint16_t head)
{
	virtq_unpop(&v->queues[qi].vq, head);
	if (v->turn == (int)qi)
		v->budget++;
}

static bool any_in_flight(const struct virtio_dev *v)
{
	for (unsigned int i = 0; i < v->n_queues; i++) {
		if (v->queues[i].vq.n_in_flight > 0)
			return true;
	}
	return false;
}

static void end_reset_if_drained(struct virtio_dev *v)
{
	if (!v->resetting || any_in_flight(v))
		return;
	v->resetting = false;
	v->status = 0;
}

void virtio_dev_push(struct virtio_dev *v, unsigned int qi, uint16_t head, uint32_t written)
{
	struct virtq *q = &v->queues[qi].vq;

	virtq_put(q, head, written);
	virtq_publish(q);
	end_reset_if_drained(v);
}

/* Status ------------------------------------------------------------------------------------- */

static void start(struct virtio_dev *v)
{
	v->status |= VIRTIO_CONFIG_S_DRIVER_OK;
	if (v->driven_ns == 0)
		v->driven_ns = evloop_now_ns();
	for (unsigned int i = 0; i < v->n_queues; i++) {
		struct virtq *q = &v->queues[i].vq;

		if (q->enabled && !virtq_start(q, v->mem, v->features))
			virtio_dev_break(v, q->broken);
	}
	if (v->ops->activate)
		v->ops->activate(v);
	/* A driver may have made chains available before, and need not notify again (3.1.1). */
	for (unsigned int i = 0; i < v->n_queues; i++)
		virtio_dev_kick(v, i);
}

static void reset(struct virtio_dev *v)
{
	if (v->status == 0 &&
	    !v->features) /* as after power-on, but for what the queues were told */
		v->resetting = false;
	else
		v->resetting = true;
	for (unsigned int i = 0; i < v->n_queues; i++)
		virtq_reset(&v->queues[i].vq);
	v->features = 0;
	if (v->ops->reset)
		v->ops->reset(v);
	end_reset_if_drained(v);
}

static bool features_are_fine(const struct virtio_dev *v)
{
	/* 2.2.2, 6.2: nothing that was not offered; no legacy drivers. */
	return !(v->features & ~v->offered) && virtio_dev_has(v, VIRTIO_F_VERSION_1);
}

/* 3.1.1: one bit after the other, and none taken back. */
static bool order_is_kept(uint8_t now, uint8_t next)
{
	static const uint8_t order[] = { VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER,
					 VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_DRIVER_OK };

	if (now & ~next)
		return false;
	for (unsigned int i = 1; i < ARRAY_SIZE(order); i++) {
		if ((next & order[i]) && !(next & order[i - 1]))
			return false;
	}
	return true;
}

static void advance(struct virtio_dev *v, uint8_t next)
{
	uint8_t now = v->status & (uint8_t)~VIRTIO_CONFIG_S_NEEDS_RESET, fresh;

	next &= (uint8_t)~VIRTIO_CONFIG_S_NEEDS_RESET; /* ours alone */
	if (v->resetting || !order_is_kept(now, next)) {
		log_guest(&v->limit, "%s: status %#x after %#x: ignored", v->name, next, v->status);
		return;
	}
	fresh = next & (uint8_t)~now;
	v->status |= fresh & (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			      VIRTIO_CONFIG_S_FAILED);
	if (fresh & VIRTIO_CONFIG_S_FEATURES_OK) {
		if (!features_are_fine(v)) { /* 2.2.2: the driver reads the bit back */
			log_guest(&v->limit, "%s: features %#llx: refused", v->name,
				  (unsigned long long)v->features);
			return;
		}
		v->status |= VIRTIO_CONFIG_S_FEATURES_OK;
	}
	if (fresh & VIRTIO_CONFIG_S_DRIVER_OK)
		start(v);
}

uint8_t virtio_dev_status(struct virtio_dev *v)
{
	uint8_t status;

	virtio_dev_lock(v);
	status = v->status;
	virtio_dev_unlock(v);
	return status;
}

void virtio_dev_set_status(struct virtio_dev *v, uint8_t status)
{
	virtio_dev_lock(v);
	if (status == 0)
		reset(v);
	else
		advance(v, status);
	virtio_dev_unlock(v);
}

void virtio_dev_reset(struct virtio_dev *v)
{
	virtio_dev_set_status(v, 0);
	if (v->ops->drain)
		v->ops->drain(v);
	virtio_dev_lock(v);
	VMM_BUG_ON(any_in_flight(v) || v->resetting);
	virtio_dev_unlock(v);
}

void virtio_dev_allow_dma(struct virtio_dev *v, bool allowed)
{
	virtio_dev_lock(v);
	v->no_dma = !allowed;
	if (v->ops->runs_changed)
		v->ops->runs_changed(v);
	for (unsigned int i = 0; allowed && i < v->n_queues; i++)
		virtio_dev_kick(v, i); /* what was notified meanwhile */
	virtio_dev_unlock(v);
}

/* Features and configuration ----------------------------------------------------------------- */

uint32_t virtio_dev_offered_features(struct virtio_dev *v, uint32_t word)
{
	return word < 2 ? (uint32_t)(v->offered >> (32 * word)) : 0;
}

uint32_t virtio_dev_driver_features(struct virtio_dev *v, uint32_t word)
{
	uint32_t bits;

	virtio_dev_lock(v);
	bits = word < 2 ? (uint32_t)(v->features >> (32 * word)) : 0;
	virtio_dev_unlock(v);
	return bits;
}

void virtio_dev_set_driver_features(struct virtio_dev *v, uint32_t word, uint32_t bits)
{
	virtio_dev_lock(v);
	/* Frozen once they are agreed on (2.2.1). */
	if (word < 2 && !v->resetting && !has_status(v, VIRTIO_CONFIG_S_FEATURES_OK)) {
		v->features &= ~(UINT64_C(0xffffffff) << (32 * word));
		v->features |= (uint64_t)bits << (32 * word);
	}
	virtio_dev_unlock(v);
}

void virtio_dev_config_read(struct virtio_dev *v, uint64_t off, void *dst, uint32_t len)
{
	memset(dst, 0xff, len);
	if (!range_inside(off, len, v->config_len))
		return;
	virtio_dev_lock(v);
	memcpy(dst, v->config + off, len);
	virtio_dev_unlock(v);
}

void virtio_dev_config_write(struct virtio_dev *v, uint64_t off, const void *src, uint32_t len)
{
	if (!range_inside(off, len, v->config_len) || !v->ops->config_write)
		return;
	virtio_dev_lock(v);
	v->ops->config_write(v, (uint32_t)off, src, len);
	virtio_dev_unlock(v);
}

uint8_t virtio_dev_config_generation(struct virtio_dev *v)
{
	uint8_t g;

	virtio_dev_lock(v);
	g = v->config_generation;
	virtio_dev_unlock(v);
	return g;
}

/* Registers of a queue ----------------------------------------------------------------------- */

static gpa_t *address_of(struct virtq *q, enum virtio_queue_reg reg)
{
	switch (reg) {
	case VIRTIO_QUEUE_DESC_LOW:
	case VIRTIO_QUEUE_DESC_HIGH:
		return &q->desc;
	case VIRTIO_QUEUE_AVAIL_LOW:
	case VIRTIO_QUEUE_AVAIL_HIGH:
		return &q->avail;
	case VIRTIO_QUEUE_USED_LOW:
	case VIRTIO_QUEUE_USED_HIGH:
		return &q->used;
	case VIRTIO_QUEUE_MAX_SIZE:
	case VIRTIO_QUEUE_SIZE:
	case VIRTIO_QUEUE_ENABLE:
		break;
	}
	return NULL;
}

static unsigned int shift_of(enum virtio_queue_reg reg)
{
	bool high = reg == VIRTIO_QUEUE_DESC_HIGH || reg == VIRTIO_QUEUE_AVAIL_HIGH ||
		    reg == VIRTIO_QUEUE_USED_HIGH;

	return high ? 32 : 0;
}

static uint32_t queue_get(struct virtq *q, enum virtio_queue_reg reg)
{
	const gpa_t *at = address_of(q, reg);

	if (reg == VIRTIO_QUEUE_MAX_SIZE)
		return q->max_size;
	if (reg == VIRTIO_QUEUE_SIZE)
		return q->size;
	if (reg == VIRTIO_QUEUE_ENABLE)
		return q->enabled;
	return at ? (uint32_t)(*at >> shift_of(reg)) : 0;
}

static void queue_set(struct virtio_dev *v, struct virtq *q, enum virtio_queue_reg reg,
		      uint32_t val)
{
	gpa_t *at = address_of(q, reg);

	if (reg == VIRTIO_QUEUE_ENABLE) {
		q->enabled = val == 1;
	} else if (q->enabled) {
		log_guest(&v->limit, "%s: a queue that is enabled was to be changed", v->name);
	} else if (reg == VIRTIO_QUEUE_SIZE) {
		if (val == 0 || val > q->max_size || (val & (val - 1)))
			log_guest(&v->limit, "%s: queue size %u: ignored", v->name, val);
		else
			q->size = (uint16_t)val;
	} else if (at) {
		*at &= ~((gpa_t)UINT32_MAX << shift_of(reg));
		*at |= (gpa_t)val << shift_of(reg);
	}
}

uint32_t virtio_dev_queue_get(struct virtio_dev *v, uint32_t qi, enum virtio_queue_reg reg)
{
	uint32_t val;

	if (qi >= v->n_queues)
		return 0;
	virtio_dev_lock(v);
	val = queue_get(&v->queues[qi].vq, reg);
	virtio_dev_unlock(v);
	return val;
}

void virtio_dev_queue_set(struct virtio_dev *v, uint32_t qi, enum virtio_queue_reg reg,
			  uint32_t val)
{
	if (qi >= v->n_queues)
		return;
	virtio_dev_lock(v);
	if (v->resetting || has_status(v, VIRTIO_CONFIG_S_DRIVER_OK))
		log_guest(&v->limit, "%s: a queue of a running device was to be changed", v->name);
	else
		queue_set(v, &v->queues[qi].vq, reg, val);
	virtio_dev_unlock(v);
}

/* Making and unmaking ------------------------------------------------------------------------ */

void virtio_dev_attach(struct virtio_dev *v, const struct virtio_transport_ops *ops, void *arg)
{
	virtio_dev_lock(v);
	v->transport = ops;
	v->transport_arg = arg;
	virtio_dev_unlock(v);
}

int virtio_dev_start(struct virtio_dev *v, struct err *e)
{
	return v->ops->start ? v->ops->start(v, e) : 0;
}

void virtio_dev_counters(struct virtio_dev *v, metric_fn fn, void *arg)
{
	virtio_dev_lock(v);
	fn(arg, "kicks", metric_get(&v->n_kicks));
	fn(arg, "polls", metric_get(&v->n_polls));
	fn(arg, "interrupts", metric_get(&v->n_interrupts));
	if (v->ops->counters)
		v->ops->counters(v, fn, arg);
	virtio_dev_unlock(v);
}

static int create_queue(struct virtio_dev *v, unsigned int i, const struct virtio_dev_params *p,
			struct err *e)
{
	struct virtio_queue *q = &v->queues[i];
	int rc;

	*q = (struct virtio_queue){
		.vq = { .size = p->queue_size, .max_size = p->queue_size },
		.dev = v,
	};
	if (p->drained >> i & 1)
		q->poll = (struct ev_poll){ queue_look, queue_serve, queue_rest, .arg = q };
	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->kick_fd < 0)
		return err_errno(e, "%s: eventfd", v->name);
	rc = evloop_add(v->loop, &q->kick, q->kick_fd, KICK_EVENTS, on_kick, q);
	if (rc < 0) {
		close(q->kick_fd);
		return err_set(e, rc, "%s: event loop: %s", v->name, strerror(-rc));
	}
	v->n_queues++;
	return 0;
}

int virtio_dev_init(struct virtio_dev *v, const struct virtio_dev_ops *ops,
		    const struct virtio_dev_params *p, struct err *e)
{
	VMM_BUG_ON(p->n_queues == 0 || p->n_queues > VIRTIO_DEV_MAX_QUEUES);
	VMM_BUG_ON(p->queue_size == 0 || p->queue_size > VIRTQ_MAX_SIZE ||
		   (p->queue_size & (p->queue_size - 1)));
	*v = (struct virtio_dev){
		.ops = ops,
		.name = p->name,
		.mem = p->mem,
		.loop = p->loop,
		.offered = p->features | RING_FEATURES,
		.config = p->config,
		.config_len = p->config_len,
		.turn = -1,
	};
	v->queues = calloc(p->n_queues, sizeof(*v->queues));
	if (!v->queues)
		return err_set(e, -ENOMEM, "%s: out of memory", p->name);
	pthread_mutex_init(&v->lock, NULL);
	for (unsigned int i = 0; i < p->n_queues; i++) {
		if (create_queue(v, i, p, e) < 0) {
			virtio_dev_fini(v);
			return e->code;
		}
	}
	return 0;
}

void virtio_dev_fini(struct virtio_dev *v)
{
	for (unsigned int i = 0; i < v->n_queues; i++) {
		evloop_unpoll(v->loop, &v->queues[i].poll);
		evloop_del(&v->queues[i].kick);
		close(v->queues[i].kick_fd);
	}
	free(v->queues);
	v->queues = NULL;
	v->n_queues = 0;
	pthread_mutex_destroy(&v->lock);
}

void virtio_dev_destroy(struct virtio_dev *v)
{
	if (!v)
		return;
	virtio_dev_reset(v);
	v->ops->destroy(v);
}
