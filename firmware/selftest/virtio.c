/*
 * virtio.c - see virtio.h: what is the same over PCI and MMIO.
 *
 * Source: VIRTIO 1.2, 2.7 "Split Virtqueues" and 3.1.1 "Driver Requirements: Device
 * Initialization".
 */
#include "virtio.h"
#include "cpu.h"

#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define DESC_INDIRECT 4u

struct desc { /* 2.7.5 */
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct virtq_memory {
	struct desc desc[VIRTQ_SIZE];
	struct { /* 2.7.6: written by us */
		uint16_t flags, idx, ring[VIRTQ_SIZE];
		uint16_t used_event;
	} avail;
	struct { /* 2.7.8: written by the device */
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[VIRTQ_SIZE];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
	/* 2.7.5.3: each request has a table to itself, and takes one descriptor of the queue. */
	struct desc tables[VIRTQ_SIZE][MAX_PIECES] __attribute__((aligned(16)));
} __attribute__((aligned(4096)));

/* One device runs at a time. */
static struct virtq_memory memory[VIRTQ_MAX];

static struct virtio devices[MAX_DEVICES];
static unsigned int n_devices;

struct virtio *virtio_find(unsigned int id)
{
	if (n_devices == 0) {
		n_devices = virtio_pci_scan(devices, MAX_DEVICES);
		n_devices += virtio_mmio_scan(devices + n_devices, MAX_DEVICES - n_devices);
	}
	for (unsigned int i = 0; i < n_devices; i++) {
		if (devices[i].id == id)
			return &devices[i];
	}
	return NULL;
}

/* Initialisation (3.1.1) ------------------------------------------------------------------------
 */

const char *virtio_reset(struct virtio *v)
{
	struct patience p = { 0 };

	v->transport->set_status(v, 0);
	while (v->transport->get_status(v) != 0) {
		if (!wait_a_little(&p))
			return "the reset does not end";
	}
	v->n_queues = 0;
	return NULL;
}

static const char *negotiate(struct virtio *v, uint64_t wanted)
{
	const uint64_t offered = v->transport->get_features(v);

	if (!(offered & F_VERSION_1))
		return "VERSION_1 is not offered";
	v->features = offered & (wanted | F_VERSION_1);
	v->transport->set_features(v, v->features);
	v->transport->set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	if (!(v->transport->get_status(v) & STATUS_FEATURES_OK))
		return "the features are refused that it has offered";
	return NULL;
}

static const char *setup_queue(struct virtio *v, uint16_t index)
{
	struct virtq *q = &v->q[index];
	struct virtq_memory *m = &memory[index];

	memset(m, 0, sizeof(*m));
	*q = (struct virtq){
		.index = index,
		.size = VIRTQ_SIZE,
		.n_free = VIRTQ_SIZE,
		.event_idx = v->features & F_EVENT_IDX,
		.indirect = v->features & F_INDIRECT_DESC,
		.vector = v->vector,
		.memory = m,
	};
	for (uint16_t i = 0; i < VIRTQ_SIZE; i++)
		m->desc[i].next = (uint16_t)(i + 1);
	return v->transport->setup_queue(v, q, (uintptr_t)m->desc, (uintptr_t)&m->avail,
					 (uintptr_t)&m->used);
}

const char *virtio_start(struct virtio *v, uint64_t wanted, uint16_t n_queues)
{
	const char *why = virtio_reset(v);

	if (why)
		return why;
	v->transport->set_status(v, STATUS_ACKNOWLEDGE);
	v->transport->set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	why = negotiate(v, wanted);
	if (!why)
		why = v->transport->setup_interrupts(v);
	for (uint16_t i = 0; i < n_queues && !why; i++)
		why = setup_queue(v, i);
	if (why)
		return why;
	v->n_queues = n_queues;
	v->transport->set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK |
					    STATUS_DRIVER_OK);
	if (!(v->transport->get_status(v) & STATUS_DRIVER_OK))
		return "it does not run";
	return NULL;
}

/* Requests (2.7.13) ------------------------------------------------------------------------------
 */

static void fill(struct desc *d, const struct piece *p, bool last)
{
	d->addr = (uintptr_t)p->at;
	d->len = p->len;
	d->flags = (uint16_t)((p->writable ? DESC_WRITE : 0) | (last ? 0 : DESC_NEXT));
}

/* All pieces in a table, which one descriptor names. */
static void fill_table(struct virtq *q, struct desc *head, const struct piece *pieces,
		       unsigned int n)
{
	struct desc *table = q->memory->tables[head - q->memory->desc];

	for (unsigned int i = 0; i < n; i++) {
		fill(&table[i], &pieces[i], i + 1 == n);
		table[i].next = (uint16_t)(i + 1);
	}
	head->addr = (uintptr_t)table;
	head->len = (uint32_t)(n * sizeof(*table));
	head->flags = DESC_INDIRECT;
}

int virtq_add(struct virtq *q, const struct piece *pieces, unsigned int n)
{
	struct virtq_memory *m = q->memory;
	const unsigned int taken = q->indirect ? 1 : n;
	const uint16_t head = q->free, idx = m->avail.idx;

	if (taken > q->n_free || n > MAX_PIECES)
		return -1;
	if (q->indirect)
		fill_table(q, &m->desc[head], pieces, n);
	for (unsigned int i = 0; i < taken; i++) {
		if (!q->indirect)
			fill(&m->desc[q->free], &pieces[i], i + 1 == n);
		q->free = m->desc[q->free].next;
	}
	q->n_free = (uint16_t)(q->n_free - taken);
	m->avail.ring[idx % q->size] = head;
	/* 2.7.13.3: the device must not see the index before it can see the descriptors. */
	__atomic_store_n(&m->avail.idx, (uint16_t)(idx + 1), __ATOMIC_RELEASE);
	return head;
}

bool virtq_kick(struct virtio *v, struct virtq *q)
{
	struct virtq_memory *m = q->memory;
	const uint16_t now = m->avail.idx, before = q->kicked;
	bool wanted;

	/* 2.7.13.4.1: what the device wants is read after it can see what there is. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	q->kicked = now;
	if (q->event_idx) /* 2.7.10: has the index just passed avail_event? */
		wanted = (uint16_t)(now - *(volatile uint16_t *)&m->used.avail_event - 1) <
			 (uint16_t)(now - before);
	else
		wanted = !(*(volatile uint16_t *)&m->used.flags & 1);
	if (wanted)
		v->transport->notify(v, q->index);
	return wanted;
}

/* The descriptors of a chain go back to the list of free ones. */
static void free_chain(struct virtq *q, uint16_t head)
{
	struct desc *desc = q->memory->desc;
	uint16_t last = head, n = 1;

	for (; desc[last].flags & DESC_NEXT; n++)
		last = desc[last].next;
	desc[last].next = q->free;
	q->free = head;
	q->n_free = (uint16_t)(q->n_free + n);
}

int virtq_take(struct virtq *q, uint32_t *written)
{
	struct virtq_memory *m = q->memory;
	uint16_t head;

	if (__atomic_load_n(&m->used.idx, __ATOMIC_ACQUIRE) == q->seen)
		return -1;
	head = (uint16_t)m->used.ring[q->seen % q->size].id;
	if (written)
		*written = m->used.ring[q->seen % q->size].len;
	q->seen++;
	free_chain(q, head);
	return head;
}

void virtq_want_interrupt(struct virtq *q, uint16_t ahead)
{
	/* 2.7.7: an interrupt when the index goes from used_event to the next. */
	__atomic_store_n(&q->memory->avail.used_event, (uint16_t)(q->seen + ahead - 1),
			 __ATOMIC_SEQ_CST);
}

int virtq_wait(struct virtq *q, uint32_t *written)
{
	struct patience p = { 0 };
	int head;

	while ((head = virtq_take(q, written)) < 0) {
		if (!wait_a_little(&p))
			return -1;
	}
	return head;
}

bool virtq_request(struct virtio *v, struct virtq *q, const struct piece *pieces, unsigned int n,
		   uint32_t *written)
{
	const uint32_t before = interrupts[q->vector];
	int head;

	virtq_want_interrupt(q, 1);
	head = virtq_add(q, pieces, n);
	if (head < 0)
		return false;
	virtq_kick(v, q);
	return wait_for_interrupt(q->vector, before) && virtq_wait(q, written) == head;
}
