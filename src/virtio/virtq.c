/*
 * virtq.c - the device's side of one split virtqueue.
 *
 * Life of a VM: from DRIVER_OK to reset, on the loop thread mostly, with the device's lock held.
 * Each notification of the driver ends in virtq_pop() here, each answer in virtq_put().
 *
 * Source: VIRTIO 1.2, 2.7. What the driver might do to us, and where it ends: a ring outside of RAM
 * in ring_is_ram(); an index that jumps in n_available(); a head twice, or out of range, in
 * virtq_pop(); a loop, a chain that is too long, nested tables in walk(); a buffer outside of RAM,
 * or in the wrong order, in add_segment(). All of them break the queue and nothing else.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>
#include <vmm/base/bug.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>
#include <vmm/virtio/virtq.h>

#define DESC_LEN 16u /* 2.7.5: le64 addr, le32 len, le16 flags, le16 next */
#define RING_HEADER 4u /* of both rings: le16 flags, le16 idx */
#define IDX 2u
#define USED_ELEM_LEN 8u /* 2.7.8: le32 id, le32 len */

struct desc { /* a private copy */
	gpa_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static bool breaks(struct virtq *q, const char *why)
{
	q->broken = why;
	return false;
}

/* Start and reset ---------------------------------------------------------------------------- */

static bool ring_is_ram(const struct virtq *q, gpa_t at, uint64_t len)
{
	struct iovec iov[GMEM_MAX_REGIONS];

	return gmem_iov(q->mem, at, len, iov, GMEM_MAX_REGIONS) >= 0;
}

/* With the event word behind each ring, whether it is used or not. */
static uint64_t avail_len(const struct virtq *q)
{
	return RING_HEADER + 2ull * q->size + 2;
}

static uint64_t used_len(const struct virtq *q)
{
	return RING_HEADER + (uint64_t)q->size * USED_ELEM_LEN + 2;
}

bool virtq_start(struct virtq *q, struct gmem *mem, uint64_t features)
{
	VMM_BUG_ON(q->n_in_flight > 0);
	q->mem = mem;
	q->indirect = features >> VIRTIO_RING_F_INDIRECT_DESC & 1;
	q->event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1;
	if (q->size == 0 || q->size > q->max_size || (q->size & (q->size - 1)))
		return breaks(q, "queue size that is 0, no power of two or too large");
	if (q->desc % 16 || q->avail % 2 || q->used % 4) /* 2.7, table of alignments */
		return breaks(q, "misaligned ring");
	if (!ring_is_ram(q, q->desc, (uint64_t)q->size * DESC_LEN) ||
	    !ring_is_ram(q, q->avail, avail_len(q)) || !ring_is_ram(q, q->used, used_len(q)))
		return breaks(q, "ring outside of RAM");
	return true;
}

bool virtq_rings(const struct virtq *q, void *at[3])
{
	const struct {
		gpa_t at;
		uint64_t len;
	} ring[3] = { { q->desc, (uint64_t)q->size * DESC_LEN },
		      { q->avail, avail_len(q) },
		      { q->used, used_len(q) } };

	if (!q->mem || q->broken)
		return false;
	for (unsigned int i = 0; i < 3; i++) {
		struct iovec piece;

		if (gmem_iov(q->mem, ring[i].at, ring[i].len, &piece, 1) != 1)
			return false;
		at[i] = piece.iov_base;
	}
	/* Who takes it over goes by what is written there, which was the driver's to write. */
	return gmem_store_le16(q->mem, q->used + IDX, q->next_used);
}

/* Who has worked the rings has nothing in flight when it stops: what it took it has put. */
void virtq_goes_on_at(struct virtq *q, uint16_t next_avail)
{
	if (q->mem) /* else it has been reset meanwhile */
		q->next_avail = q->next_used = q->published = q->signalled = next_avail;
}

void virtq_reset(struct virtq *q)
{
	struct virtq fresh = {
		.size = q->max_size,
		.max_size = q->max_size,
		.n_in_flight = q->n_in_flight,
	};

	memcpy(fresh.in_flight, q->in_flight, sizeof(fresh.in_flight));
	*q = fresh;
}

/* Chains in flight --------------------------------------------------------------------------- */

static bool is_in_flight(const struct virtq *q, uint16_t head)
{
	return q->in_flight[head / 64] >> (head % 64) & 1;
}

static void set_in_flight(struct virtq *q, uint16_t head)
{
	q->in_flight[head / 64] |= UINT64_C(1) << (head % 64);
	q->n_in_flight++;
}

static void clear_in_flight(struct virtq *q, uint16_t head)
{
	VMM_BUG_ON(head >= VIRTQ_MAX_SIZE || !is_in_flight(q, head));
	q->in_flight[head / 64] &= ~(UINT64_C(1) << (head % 64));
	q->n_in_flight--;
}

/* From the driver ---------------------------------------------------------------------------- */

static bool read_desc(struct virtq *q, gpa_t table, uint32_t i, struct desc *d)
{
	uint8_t raw[DESC_LEN];

	if (!gmem_read(q->mem, table + (gpa_t)i * DESC_LEN, raw, sizeof(raw)))
		return breaks(q, "descriptor table outside of RAM");
	*d = (struct desc){
		.addr = load_le64(raw),
		.len = load_le32(raw + 8),
		.flags = load_le16(raw + 12),
		.next = load_le16(raw + 14),
	};
	return true;
}

static bool add_segment(struct virtq *q, struct vchain *c, const struct desc *d)
{
	bool writable = d->flags & VRING_DESC_F_WRITE;
	int n;

	/* 2.7.4.2: readable ones first. */
	if (!writable && c->n_segs > c->n_readable)
		return breaks(q, "readable descriptor behind a writable one");
	n = gmem_iov(q->mem, d->addr, d->len, &c->seg[c->n_segs],
		     (int)(VCHAIN_MAX_SEGS - c->n_segs));
	if (n < 0)
		return breaks(q, "buffer outside of RAM");
	c->n_segs = (uint16_t)(c->n_segs + n);
	if (writable) {
		c->writable += d->len;
	} else {
		c->readable += d->len;
		c->n_readable = c->n_segs;
	}
	return true;
}

/*
 * Follows a chain from descriptor i of the table. A step is a descriptor, also one of length 0:
 * more of them than the queue has is a loop, or longer than allowed (2.7.5.2). The one that refers
 * to a table is no part of the chain, and there is only one.
 */
static bool walk(struct virtq *q, struct vchain *c, uint32_t i)
{
	gpa_t table = q->desc;
	uint32_t n = q->size;
	bool nested = false;

	for (unsigned int steps = 0; steps < q->size;) {
		struct desc d;

		if (i >= n)
			return breaks(q, "descriptor index out of range");
		if (!read_desc(q, table, i, &d))
			return false;
		if (d.flags & VRING_DESC_F_INDIRECT) { /* 2.7.5.3.1 */
			if (!q->indirect || nested || (d.flags & VRING_DESC_F_NEXT))
				return breaks(q, "indirect descriptor where none is allowed");
			if (d.len == 0 || d.len % DESC_LEN)
				return breaks(q, "indirect table of odd length");
			table = d.addr;
			n = d.len / DESC_LEN;
			i = 0;
			nested = true;
			continue;
		}
		if (!add_segment(q, c, &d))
			return false;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return true;
		i = d.next;
		steps++;
	}
	return breaks(q, "chain that loops or is longer than the queue");
}

static bool load_avail(struct virtq *q, uint16_t *idx)
{
	return gmem_load_le16(q->mem, q->avail + IDX, idx) || breaks(q, "ring outside of RAM");
}

/* 2.7.10: the driver notifies when it makes the next_avail-th chain available. */
static void want_notification(struct virtq *q)
{
	gpa_t avail_event = q->used + RING_HEADER + (gpa_t)q->size * USED_ELEM_LEN;

	if (q->event_idx)
		gmem_store_le16(q->mem, avail_event, q->next_avail);
	/* Either the driver sees this, or we see its chain (2.7.7.2 has the mirror image). */
	__sync_synchronize();
}

static uint16_t n_available(struct virtq *q)
{
	const bool asks = !q->polled;
	uint16_t idx, n;

	if (!load_avail(q, &idx))
		return 0;
	if (asks && idx == q->next_avail) {
		want_notification(q);
		if (!load_avail(q, &idx))
			return 0;
	}
	n = (uint16_t)(idx - q->next_avail);
	if (n > q->size) {
		breaks(q, "available index that jumps");
		return 0;
	}
	return n;
}

bool virtq_pop(struct virtq *q, struct vchain *c)
{
	uint16_t head;
	gpa_t at;

	if (!q->mem || q->broken || n_available(q) == 0)
		return false;
	at = q->avail + RING_HEADER + 2ull * (q->next_avail % q->size);
	if (!gmem_load_le16(q->mem, at, &head) || head >= q->size)
		return breaks(q, "head out of range");
	if (is_in_flight(q, head))
		return breaks(q, "head that is in use already");
	c->head = head;
	c->n_readable = c->n_segs = 0;
	c->readable = c->writable = 0;
	if (!walk(q, c, head))
		return false;
	c->rd = (struct vcursor){ .end = c->n_readable };
	c->wr = (struct vcursor){ .seg = c->n_readable, .end = c->n_segs };
	set_in_flight(q, head);
	q->next_avail++;
	return true;
}

bool virtq_has_more(const struct virtq *q)
{
	uint16_t idx;

	return q->mem && !q->broken && gmem_load_le16(q->mem, q->avail + IDX, &idx) &&
	       idx != q->next_avail;
}

void virtq_unpop(struct virtq *q, uint16_t head)
{
	clear_in_flight(q, head);
	q->next_avail--;
}

/* To the driver ------------------------------------------------------------------------------ */

void virtq_put(struct virtq *q, uint16_t head, uint32_t written)
{
	gpa_t at;

	clear_in_flight(q, head);
	if (!q->mem)
		return;
	at = q->used + RING_HEADER + (gpa_t)(q->next_used % q->size) * USED_ELEM_LEN;
	/* The place was checked by virtq_start(), and RAM does not move. */
	VMM_BUG_ON(!gmem_store_le32(q->mem, at, head) || !gmem_store_le32(q->mem, at + 4, written));
	q->next_used++;
}

void virtq_publish(struct virtq *q)
{
	if (!q->mem || q->published == q->next_used)
		return;
	VMM_BUG_ON(!gmem_store_le16(q->mem, q->used + IDX, q->next_used));
	q->published = q->next_used;
}

bool virtq_wants_interrupt(struct virtq *q)
{
	uint16_t old = q->signalled, now = q->published, event;

	if (!q->mem || old == now)
		return false;
	q->signalled = now;
	__sync_synchronize(); /* used.idx first, then what the driver says */
	if (q->event_idx) { /* 2.7.7.2; used_event is behind the available ring */
		gpa_t at = q->avail + RING_HEADER + 2ull * q->size;

		return gmem_load_le16(q->mem, at, &event) && vring_need_event(event, now, old);
	}
	return gmem_load_le16(q->mem, q->avail, &event) && !(event & VRING_AVAIL_F_NO_INTERRUPT);
}

/* The bytes of a chain ----------------------------------------------------------------------- */

/* Moves the cursor on by at most len bytes, telling each piece. NULL copy: just moves. */
static size_t advance(const struct vchain *c, struct vcursor *at, size_t len,
		      void (*copy)(void *piece, void *bytes, size_t n), void *bytes)
{
	size_t done = 0;

	while (done < len && at->seg < at->end) {
		const struct iovec *s = &c->seg[at->seg];
		size_t n = min_size(len - done, s->iov_len - at->off);

		if (copy)
			copy((uint8_t *)s->iov_base + at->off, (uint8_t *)bytes + done, n);
		done += n;
		at->off += n;
		if (at->off == s->iov_len) {
			at->seg++;
			at->off = 0;
		}
	}
	return done;
}

static void copy_out(void *piece, void *bytes, size_t n)
{
	memcpy(bytes, piece, n);
	atomic_signal_fence(memory_order_seq_cst); /* read once: the guest may change it */
}

static void copy_in(void *piece, void *bytes, size_t n)
{
	memcpy(piece, bytes, n);
}

size_t vchain_read(struct vchain *c, void *dst, size_t len)
{
	return advance(c, &c->rd, len, copy_out, dst);
}

size_t vchain_write(struct vchain *c, const void *src, size_t len)
{
	return advance(c, &c->wr, len, copy_in, (void *)(uintptr_t)src);
}

size_t vchain_skip_read(struct vchain *c, size_t len)
{
	return advance(c, &c->rd, len, NULL, NULL);
}

size_t vchain_skip_write(struct vchain *c, size_t len)
{
	return advance(c, &c->wr, len, NULL, NULL);
}

static int pieces(const struct vchain *c, struct vcursor at, size_t len, struct iovec *iov)
{
	int n = 0;

	for (; len > 0 && at.seg < at.end; at.seg++, at.off = 0) {
		const struct iovec *s = &c->seg[at.seg];
		size_t part = min_size(len, s->iov_len - at.off);

		iov[n++] = (struct iovec){ (uint8_t *)s->iov_base + at.off, part };
		len -= part;
	}
	return n;
}

int vchain_iov_readable(const struct vchain *c, size_t len, struct iovec *iov)
{
	return pieces(c, c->rd, len, iov);
}

int vchain_iov_writable(const struct vchain *c, size_t len, struct iovec *iov)
{
	return pieces(c, c->wr, len, iov);
}

static size_t left(const struct vchain *c, const struct vcursor *at)
{
	size_t n = 0;

	for (uint16_t i = at->seg; i < at->end; i++)
		n += c->seg[i].iov_len;
	return n - at->off;
}

size_t vchain_left_readable(const struct vchain *c)
{
	return left(c, &c->rd);
}

size_t vchain_left_writable(const struct vchain *c)
{
	return left(c, &c->wr);
}
