/*
 * ring_cases.c - what can be wrong in a ring: every field at every edge, on every queue; chains
 * that loop, tables that lie, buffers where no RAM is.
 *
 * Source: VIRTIO 1.2, 2.7.4 to 2.7.13; 2.7.5.3.1 for indirect descriptors.
 */
#include "hostile.h"

#define SIZE 8
#define LEN 64 /* of each good descriptor */
#define PAGE 4096

/* The trigger of a receive queue makes the host give one frame, one byte, two messages. */
const struct target targets[] = {
	{ "req.", ID_BLK, 0, true, UINT16_MAX, 0, NO_QUEUE },
	{ "rx.", ID_NET, 0, true, 1, 0, 1 },
	{ "tx.", ID_NET, 1, false, UINT16_MAX, 0, NO_QUEUE },
	{ "ctl.", ID_NET, 2, true, UINT16_MAX, F_NET_CTRL_VQ, NO_QUEUE },
	{ "rx.", ID_CONSOLE, 0, true, 1, 0, 1 },
	{ "tx.", ID_CONSOLE, 1, false, UINT16_MAX, 0, NO_QUEUE },
	{ "ctl-rx.", ID_CONSOLE, 2, true, 2, F_CONSOLE_MULTIPORT, 3 },
	{ "ctl-tx.", ID_CONSOLE, 3, false, UINT16_MAX, F_CONSOLE_MULTIPORT, NO_QUEUE },
	{ "req.", ID_RNG, 0, true, UINT16_MAX, 0, NO_QUEUE },
};
const unsigned int n_targets = N_ELEMENTS(targets);

/* Trials
 * ------------------------------------------------------------------------------------------- */

void trial_prepare(struct trial *x, const struct dev *d, const struct target *t, uint64_t features)
{
	x->t = t;
	negotiate(d, F_VERSION_1 | t->features | features);
	ring_init(&x->r, d, t->queue, SIZE);
	if (t->other != NO_QUEUE)
		ring_init(&x->other, d, t->other, SIZE);
	memset(scratch, 0, 2 * SIZE * PAGE);
	for (uint16_t i = 0; i < SIZE; i++) {
		ring_chain(&x->r, i, &(struct piece){ scratch + PAGE * i, LEN, t->writable }, 1);
		x->r.avail[AVAIL_RING + i] = i;
	}
}

void trial_trigger(struct trial *x)
{
	static const uint8_t ready[] = { 0, 0, 0, 0, 0, 0, 1, 0 }; /* VIRTIO_CONSOLE_DEVICE_READY */
	static const uint8_t frame[12 + 32] = { [12 + 6] = 0x02 }, byte = 'x';
	const struct dev *d = x->r.dev;
	struct piece p = { frame, sizeof(frame), false };

	if (x->t->other != NO_QUEUE) {
		if (d->id == ID_CONSOLE && x->t->other == 1)
			p = (struct piece){ &byte, 1, false };
		else if (d->id == ID_CONSOLE)
			p = (struct piece){ ready, sizeof(ready), false };
		ring_chain(&x->other, 0, &p, 1);
		ring_publish(&x->other, 0);
		kick(d, x->t->other);
	}
	kick(d, x->t->queue);
}

void trial_run(struct trial *x, uint16_t idx)
{
	ring_tell(&x->r);
	if (x->t->other != NO_QUEUE)
		ring_tell(&x->other);
	driver_ok(x->r.dev);
	__sync_synchronize();
	x->r.avail[AVAIL_IDX] = idx;
	__sync_synchronize();
	trial_trigger(x);
}

struct outcome trial_used(const struct target *t, uint16_t n)
{
	return n == 0 ? is(NOTHING) : is_n(USED, n < t->at_once ? n : t->at_once);
}

/* Fields
 * ------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint16_t v;
} values[] = {
	{ "0", 0 },
	{ "1", 1 },
	{ "size-1", SIZE - 1 },
	{ "size", SIZE },
	{ "size+1", SIZE + 1 },
	{ "0x7fff", 0x7fff },
	{ "0x8000", 0x8000 },
	{ "0xffff", 0xffff },
};

static struct outcome index_expected(const struct target *t, uint16_t v)
{
	return v > SIZE ? is(NEEDS_RESET) : trial_used(t, v); /* 2.7.13.3.1 */
}

static struct outcome head_expected(const struct target *t, uint16_t v)
{
	return v >= SIZE ? is(NEEDS_RESET) : trial_used(t, 1);
}

/* From descriptor 0 to itself is a loop. */
static struct outcome next_expected(const struct target *t, uint16_t v)
{
	return v == 0 || v >= SIZE ? is(NEEDS_RESET) : trial_used(t, 1);
}

/* With NEXT, descriptor 1 follows: of the target's direction, and readable behind writable is
 * wrong. */
static struct outcome flags_expected(const struct target *t, uint16_t v)
{
	if (v & INDIRECT)
		return is(NEEDS_RESET); /* not with NEXT, or not negotiated */
	if ((v & NEXT) && (v & WRITE) && !t->writable)
		return is(NEEDS_RESET);
	return trial_used(t, 1);
}

static struct outcome always_used(const struct target *t, uint16_t v)
{
	(void)v;
	return trial_used(t, 1);
}

static void set_head(struct ring *r, uint16_t v)
{
	r->avail[AVAIL_RING] = v;
}

static void set_next(struct ring *r, uint16_t v)
{
	r->desc[0].flags |= NEXT;
	r->desc[0].next = v;
}

static void set_flags(struct ring *r, uint16_t v)
{
	r->desc[0].flags = v;
	r->desc[0].next = 1;
}

static void set_len(struct ring *r, uint16_t v)
{
	r->desc[0].len = v;
}

static void set_avail_flags(struct ring *r, uint16_t v)
{
	r->avail[AVAIL_FLAGS] = v;
}

static void set_used_event(struct ring *r, uint16_t v)
{
	r->avail[AVAIL_RING + SIZE] = v;
}

static void set_used_idx(struct ring *r, uint16_t v)
{
	r->used[USED_IDX] = v;
}

static void set_avail_event(struct ring *r, uint16_t v)
{
	r->used[2 + 4 * SIZE] = v;
}

static const struct {
	const char *rule, *name;
	void (*set)(struct ring *r, uint16_t v); /* NULL: it is the index itself */
	struct outcome (*expected)(const struct target *t, uint16_t v);
	uint64_t features;
} fields[] = {
	{ "R2", "avail.idx=", NULL, index_expected, 0 },
	{ "R8", "avail.ring=", set_head, head_expected, 0 },
	{ "R7", "avail.flags=", set_avail_flags, always_used, 0 },
	{ "R7", "used_event=", set_used_event, always_used, F_EVENT_IDX },
	{ "R2", "used.idx=", set_used_idx, always_used, 0 },
	{ "R2", "avail_event=", set_avail_event, always_used, F_EVENT_IDX },
	{ "R8", "desc.next=", set_next, next_expected, 0 },
	{ "R4", "desc.flags=", set_flags, flags_expected, 0 },
	{ "R6", "desc.len=", set_len, always_used, 0 },
};

static void field_cases(const struct dev *d, const struct target *t, unsigned int f)
{
	for (unsigned int i = 0; i < N_ELEMENTS(values); i++) {
		const uint16_t v = values[i].v;
		const struct outcome expected = fields[f].expected(t, v);
		static struct trial x;

		case_begin(fields[f].rule, d, t->name, fields[f].name, values[i].name, expected);
		trial_prepare(&x, d, t, fields[f].features);
		if (fields[f].set)
			fields[f].set(&x.r, v);
		trial_run(&x, fields[f].set ? 1 : v);
		case_end(d, ring_outcome(&x.r, expected));
	}
}

/* Shapes
 * ------------------------------------------------------------------------------------------- */

/* What is written here is the first descriptor, those behind it, or a table in `scratch`. */
static struct desc *const table = (struct desc *)(scratch + 0x20000);

static void loop_of(struct ring *r, uint16_t n, uint32_t len)
{
	for (uint16_t i = 0; i < n; i++) {
		r->desc[i].flags |= NEXT;
		r->desc[i].len = len;
		r->desc[i].next = (uint16_t)((i + 1) % n);
	}
}

static void loop_1(struct ring *r)
{
	loop_of(r, 1, 0);
}

static void loop_2(struct ring *r)
{
	loop_of(r, 2, LEN);
}

static void loop_n(struct ring *r)
{
	loop_of(r, SIZE, LEN);
}

static void full_chain(struct ring *r)
{
	loop_of(r, SIZE, LEN);
	r->desc[SIZE - 1].flags &= (uint16_t)~NEXT;
}

/* A table of n descriptors like the first one, `len` bytes long as the driver says. */
static void indirect(struct ring *r, uint16_t n, uint32_t len)
{
	for (uint16_t i = 0; i < n; i++) {
		table[i] = (struct desc){
			.addr = r->desc[0].addr,
			.len = LEN,
			.flags = (uint16_t)(r->desc[0].flags | (i + 1 < n ? NEXT : 0)),
			.next = (uint16_t)(i + 1),
		};
	}
	r->desc[0].addr = (uintptr_t)table;
	r->desc[0].len = len;
	r->desc[0].flags = INDIRECT;
}

#define INDIRECT_OF(name, n, len)                                                                  \
	static void name(struct ring *r)                                                           \
	{                                                                                          \
		indirect(r, (n), (len));                                                           \
	}
INDIRECT_OF(indirect_good, SIZE, SIZE * 16)
INDIRECT_OF(indirect_long, SIZE + 1, (SIZE + 1) * 16)
INDIRECT_OF(indirect_0, 1, 0)
INDIRECT_OF(indirect_8, 1, 8)
INDIRECT_OF(indirect_15, 1, 15)
INDIRECT_OF(indirect_17, 1, 17)
INDIRECT_OF(indirect_huge, SIZE + 1, 0xfffffff0)

static void indirect_nested(struct ring *r)
{
	indirect(r, 1, 16);
	table[0] = (struct desc){ (uintptr_t)(table + 1), 16, INDIRECT, 0 };
}

static void indirect_next(struct ring *r)
{
	indirect(r, 1, 16);
	r->desc[0].flags |= NEXT;
	r->desc[0].next = 1;
}

static void indirect_out_of_table(struct ring *r)
{
	indirect(r, 2, 16);
}

static void indirect_loop(struct ring *r)
{
	indirect(r, 2, 32);
	table[1].flags |= NEXT;
	table[1].next = 0;
}

static void indirect_is_ring(struct ring *r)
{
	indirect(r, 1, SIZE * 16);
	r->desc[0].addr = r->desc_at;
}

static void indirect_at_mmio(struct ring *r)
{
	indirect(r, 1, 16);
	r->desc[0].addr = 0xfee00000;
}

static void indirect_past_ram(struct ring *r)
{
	indirect(r, 1, 32);
	memcpy((void *)(ram_high_end - 16), &table[0], 16);
	((struct desc *)(ram_high_end - 16))->flags |= NEXT;
	r->desc[0].addr = ram_high_end - 16;
}

static void indirect_across_hole(struct ring *r)
{
	indirect(r, 1, 16);
	r->desc[0].addr = ram_low_end - 8;
}

static void read_behind_write(struct ring *r)
{
	r->desc[0].flags = NEXT | WRITE;
	r->desc[0].next = 1;
	r->desc[1].flags = 0;
}

static void other_direction(struct ring *r)
{
	r->desc[0].flags ^= WRITE;
}

static void zeros_to_the_end(struct ring *r)
{
	full_chain(r);
	for (uint16_t i = 0; i < SIZE; i++)
		r->desc[i].len = 0;
}

static const struct {
	const char *rule, *name;
	void (*make)(struct ring *r);
	bool good; /* comes back; else the device needs a reset */
	bool indirect; /* negotiated */
} shapes[] = {
	{ "R4", "self-loop-of-zero-length", loop_1, false, false },
	{ "R4", "loop-of-2", loop_2, false, false },
	{ "R4", "loop-of-n", loop_n, false, false },
	{ "R4", "chain-as-long-as-the-ring", full_chain, true, false },
	{ "R4", "chain-of-zero-lengths", zeros_to_the_end, true, false },
	{ "R4", "readable-behind-writable", read_behind_write, false, false },
	{ "R7", "wrong-direction", other_direction, true, false },
	{ "R4", "indirect", indirect_good, true, true },
	{ "R4", "indirect-not-negotiated", indirect_good, false, false },
	{ "R4", "indirect-longer-than-the-ring", indirect_long, false, true },
	{ "R4", "indirect-of-length-0", indirect_0, false, true },
	{ "R4", "indirect-of-length-8", indirect_8, false, true },
	{ "R4", "indirect-of-length-15", indirect_15, false, true },
	{ "R4", "indirect-of-length-17", indirect_17, false, true },
	{ "R4", "indirect-of-length-2^32-16", indirect_huge, false, true },
	{ "R4", "indirect-nested", indirect_nested, false, true },
	{ "R4", "indirect-with-next", indirect_next, false, true },
	{ "R4", "indirect-next-out-of-table", indirect_out_of_table, false, true },
	{ "R4", "indirect-loop", indirect_loop, false, true },
	{ "R4", "indirect-table-is-the-ring", indirect_is_ring, false, true },
	{ "R1", "indirect-in-mmio", indirect_at_mmio, false, true },
	{ "R1", "indirect-past-the-end-of-ram", indirect_past_ram, false, true },
	{ "R1", "indirect-across-the-hole", indirect_across_hole, false, true },
};

static void shape_cases(const struct dev *d, const struct target *t)
{
	for (unsigned int i = 0; i < N_ELEMENTS(shapes); i++) {
		const struct outcome expected = shapes[i].good ? trial_used(t, 1) : is(NEEDS_RESET);
		static struct trial x;

		case_begin(shapes[i].rule, d, t->name, shapes[i].name, "", expected);
		trial_prepare(&x, d, t, shapes[i].indirect ? F_INDIRECT : 0);
		shapes[i].make(&x.r);
		trial_run(&x, 1);
		case_end(d, ring_outcome(&x.r, expected));
	}
}

void ring_cases(const struct dev *d)
{
	for (unsigned int i = 0; i < n_targets; i++) {
		if (targets[i].id != d->id || d == dev_named("blk-ro"))
			continue;
		for (unsigned int f = 0; f < N_ELEMENTS(fields); f++)
			field_cases(d, &targets[i], f);
		shape_cases(d, &targets[i]);
	}
}
