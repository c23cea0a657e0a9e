/*
 * test_bus.c - address -> device: splitting, claiming, and what happens while other threads look.
 */
#include "unit.h"
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include <vmm/bus/bus.h>

#define N_BYTES 64

/* A device of plain bytes that checks what bus.h promises about each access. */
struct ram {
	uint64_t base, len; /* of its range */
	unsigned int widest; /* seen so far */
	uint8_t bytes[N_BYTES];
};

static void check_access(struct ram *r, uint64_t off, unsigned int size)
{
	ck_assert(size == 1 || size == 2 || size == 4 || size == 8);
	ck_assert_uint_eq((r->base + off) % size, 0);
	ck_assert_uint_le(off + size, r->len);
	if (size > r->widest)
		r->widest = size;
}

static uint64_t ram_read(void *p, uint64_t off, unsigned int size)
{
	struct ram *r = p;
	uint64_t val = 0xdead000000000000; /* whatever is above `size` bytes is ignored */

	check_access(r, off, size);
	memcpy(&val, r->bytes + off, size);
	return val;
}

static void ram_write(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	struct ram *r = p;

	check_access(r, off, size);
	ck_assert(size == 8 || val >> (8 * size) == 0);
	memcpy(r->bytes + off, &val, size);
}

static const struct bus_ops ram_ops = { .name = "ram", .read = ram_read, .write = ram_write };

static struct bus *new_bus(uint64_t last)
{
	struct bus *b;
	struct err e;

	ck_ok(bus_create(&b, "port", last, &e));
	return b;
}

static void map_ram(struct bus *b, struct ram *r, uint64_t base, uint64_t len,
		    const struct bus_ops *ops)
{
	struct err e;

	*r = (struct ram){ .base = base, .len = len };
	for (unsigned int i = 0; i < N_BYTES; i++)
		r->bytes[i] = (uint8_t)(base + i + 1);
	ck_ok(bus_map(b, base, len, ops, r, &e));
}

START_TEST(an_access_of_each_size_reaches_the_device_in_one_piece)
{
	struct bus *b = new_bus(0xffff);
	uint64_t val = 0;
	struct ram r;

	map_ram(b, &r, 0x40, 16, &ram_ops);
	for (unsigned int size = 1; size <= 8; size *= 2) {
		bus_read(b, 0x48, &val, size);
		ck_assert_mem_eq(&val, r.bytes + 8, size);
		ck_assert_uint_eq(r.widest, size);
	}
	bus_destroy(b);
}
END_TEST

/* What the 64 addresses below would be if they were plain memory: reads as 0xff where nobody is. */
static void expect(const struct ram *rams, int n, uint8_t want[N_BYTES])
{
	memset(want, 0xff, N_BYTES);
	for (int i = 0; i < n; i++)
		memcpy(want + rams[i].base, rams[i].bytes, rams[i].len);
}

START_TEST(any_length_at_any_address_acts_on_each_byte_alone)
{
	struct bus *b = new_bus(0xffff);
	struct ram rams[5];
	uint8_t want[N_BYTES], got[N_BYTES], put[N_BYTES];

	map_ram(b, &rams[0], 0x08, 3, &ram_ops);
	map_ram(b, &rams[1], 0x0b, 13, &ram_ops); /* next door */
	map_ram(b, &rams[2], 0x1a, 1, &ram_ops); /* behind a hole */
	map_ram(b, &rams[3], 0x1b, 16, &ram_ops);
	map_ram(b, &rams[4], 0x30, 8, &ram_ops);
	for (uint64_t at = 0; at < N_BYTES; at++) {
		for (size_t len = 0; len <= 17 && at + len <= N_BYTES; len++) {
			expect(rams, 5, want);
			memset(got, 0, sizeof(got));
			bus_read(b, at, got, len);
			ck_assert_mem_eq(got, want + at, len);
			ck_assert_uint_eq(got[len], 0); /* not a byte more */

			for (size_t i = 0; i < len; i++) {
				put[i] = (uint8_t)((at + 3 * i + len) / 2); /* never 0xff */
				if (want[at + i] != 0xff)
					want[at + i] = put[i];
			}
			bus_write(b, at, put, len);
			bus_read(b, 0, got, sizeof(got));
			ck_assert_mem_eq(got, want, sizeof(got));
		}
	}
	bus_destroy(b);
}
END_TEST

START_TEST(no_device_sees_an_access_wider_than_it_asked_for)
{
	const struct bus_ops ops[] = {
		{ .name = "1", .max_size = 1, .read = ram_read, .write = ram_write },
		{ .name = "2", .max_size = 2, .read = ram_read, .write = ram_write },
		{ .name = "4", .max_size = 4, .read = ram_read, .write = ram_write },
	};
	const uint64_t val = 0x8877665544332211;

	for (int i = 0; i < 3; i++) {
		struct bus *b = new_bus(0xffff);
		struct ram r;

		map_ram(b, &r, 0, 8, &ops[i]);
		bus_write(b, 0, &val, sizeof(val));
		ck_assert_uint_eq(r.widest, ops[i].max_size);
		ck_assert_mem_eq(r.bytes, &val, sizeof(val));
		bus_destroy(b);
	}
}
END_TEST

START_TEST(a_missing_op_is_as_if_nobody_were_there)
{
	const struct bus_ops none = { .name = "none" };
	struct bus *b = new_bus(0xffff);
	uint64_t val = 0;
	struct ram r;

	map_ram(b, &r, 0x10, 8, &none);
	bus_write(b, 0x10, &val, sizeof(val));
	bus_read(b, 0x10, &val, sizeof(val));
	ck_assert_uint_eq(val, UINT64_MAX);
	bus_destroy(b);
}
END_TEST

START_TEST(what_lies_behind_the_last_address_belongs_to_nobody)
{
	const uint64_t lasts[] = { 0xffff, UINT64_MAX };

	for (int i = 0; i < 2; i++) {
		struct bus *b = new_bus(lasts[i]);
		struct ram low, high;
		uint64_t val = 0;

		map_ram(b, &low, 0, 8, &ram_ops);
		map_ram(b, &high, lasts[i] - 1, 2, &ram_ops);
		high.bytes[0] = 0x11;
		high.bytes[1] = 0x22;
		bus_read(b, lasts[i] - 1, &val, 8);
		ck_assert_uint_eq(val, 0xffffffffffff2211);
		bus_write(b, lasts[i], "\x33\x44\x55\x66", 4);
		ck_assert_uint_eq(high.bytes[1], 0x33);
		ck_assert_uint_eq(low.bytes[0], 1); /* it does not wrap */
		bus_destroy(b);
	}
}
END_TEST

START_TEST(an_access_far_behind_the_last_address_is_answered)
{
	struct bus *b = new_bus(0xffff);
	uint32_t val = 0;

	bus_read(b, 0x10000, &val, 4);
	ck_assert_uint_eq(val, UINT32_MAX);
	val = 0;
	bus_read(b, UINT64_MAX, &val, 4);
	ck_assert_uint_eq(val, UINT32_MAX);
	bus_write(b, UINT64_MAX - 1, &val, 4);
	bus_destroy(b);
}
END_TEST

START_TEST(a_range_that_is_taken_is_refused_and_the_owner_named)
{
	/* Everything that touches [0x20, 0x30) in some way. */
	const struct {
		uint64_t base, len;
	} bad[] = { { 0x20, 0x10 }, { 0x20, 1 }, { 0x2f, 1 },    { 0x28, 4 },
		    { 0x1f, 2 },    { 0x2f, 2 }, { 0x10, 0x30 }, { 0, 0x10000 } };
	struct bus *b = new_bus(0xffff);
	struct ram r, other;
	struct err e;

	map_ram(b, &r, 0x20, 0x10, &ram_ops);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_fails(bus_map(b, bad[i].base, bad[i].len, &ram_ops, &other, &e), -16,
			 ": taken by ram");
	ck_fails(bus_map(b, 0x10, 0x30, &ram_ops, &other, &e), -16, "port 0x20: taken by ram");
	map_ram(b, &other, 0x10, 0x10, &ram_ops);
	map_ram(b, &other, 0x30, 0x10, &ram_ops);
	bus_destroy(b);
}
END_TEST

START_TEST(a_range_that_does_not_exist_is_refused)
{
	struct bus *b = new_bus(0xffff);
	struct ram r;
	struct err e;

	ck_fails(bus_map(b, 0x10, 0, &ram_ops, &r, &e), -22, "no such range");
	ck_fails(bus_map(b, 0x10000, 1, &ram_ops, &r, &e), -22, "no such range");
	ck_fails(bus_map(b, 0xffff, 2, &ram_ops, &r, &e), -22, "no such range");
	ck_fails(bus_map(b, 1, UINT64_MAX, &ram_ops, &r, &e), -22, "no such range");
	ck_fails(bus_map(b, 2, UINT64_MAX, &ram_ops, &r, &e), -22, "no such range"); /* ends at 0 */
	ck_fails(bus_map(b, UINT64_MAX, UINT64_MAX, &ram_ops, &r, &e), -22, "no such range");
	ck_ok(bus_map(b, 0, 0x10000, &ram_ops, &r, &e));
	bus_destroy(b);
}
END_TEST

START_TEST(a_range_given_back_is_free_again)
{
	struct bus *b = new_bus(0xffff);
	struct ram rams[16];

	for (int i = 0; i < 16; i++)
		map_ram(b, &rams[i], (uint64_t)(7 * i % 16) * 4, 4, &ram_ops);
	for (int i = 0; i < 16; i += 2)
		bus_unmap(b, (uint64_t)(7 * i % 16) * 4);
	for (int i = 0; i < 16; i++) {
		uint8_t val;

		bus_read(b, (uint64_t)(7 * i % 16) * 4, &val, 1);
		ck_assert_uint_eq(val, i % 2 == 0 ? 0xff : rams[i].bytes[0]);
	}
	for (int i = 0; i < 16; i += 2)
		map_ram(b, &rams[i], (uint64_t)(7 * i % 16) * 4, 4, &ram_ops);
	bus_destroy(b);
}
END_TEST

START_TEST(nothing_is_done_for_a_bus_that_never_was)
{
	bus_destroy(NULL);
}
END_TEST

/* Threads ----------------------------------------------------------------------------------- */

/* A device whose reads wait until the test lets them go. */
struct gate {
	struct bus *b;
	uint64_t base;
	atomic_int n_inside;
	atomic_bool open, unmapped, unmap_inside;
};

static uint64_t gate_read(void *p, uint64_t off, unsigned int size)
{
	struct gate *g = p;

	(void)size;
	if (off == 2)
		return 0x22; /* a register that does not wait */
	if (off == 1) { /* the register by which it removes itself */
		bus_unmap(g->b, g->base);
		g->unmapped = true;
		return 0x11;
	}
	g->n_inside++;
	while (!g->open)
		usleep(100);
	g->n_inside--;
	return 0;
}

static const struct bus_ops gate_ops = { .name = "gate", .max_size = 1, .read = gate_read };

static void *read_gate(void *p)
{
	struct gate *g = p;
	uint8_t val;

	bus_read(g->b, g->base, &val, 1);
	return NULL;
}

static void *unmap_gate(void *p)
{
	struct gate *g = p;
	uint8_t val;

	if (g->unmap_inside) {
		bus_read(g->b, g->base + 1, &val, 1);
	} else {
		bus_unmap(g->b, g->base);
		g->unmapped = true;
	}
	return NULL;
}

/* Two readers are inside; a third thread unmaps, from outside or from inside an op of its own. */
static void unmap_while_read(bool inside)
{
	struct gate g = { .b = new_bus(0xffff), .base = 0x20, .unmap_inside = inside };
	pthread_t readers[2], unmapper;
	struct err e;
	uint8_t val;

	ck_ok(bus_map(g.b, g.base, 3, &gate_ops, &g, &e));
	for (int i = 0; i < 2; i++)
		pthread_create(&readers[i], NULL, read_gate, &g);
	while (g.n_inside < 2)
		usleep(100);
	pthread_create(&unmapper, NULL, unmap_gate, &g);
	do {
		usleep(1000);
		bus_read(g.b, g.base + 2, &val, 1);
	} while (val != 0xff); /* from here on nobody gets in */
	usleep(20000);
	ck_assert(!g.unmapped);
	g.open = true;
	pthread_join(unmapper, NULL);
	ck_assert(g.unmapped);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	bus_destroy(g.b);
}

START_TEST(giving_back_waits_for_the_accesses_under_way)
{
	unmap_while_read(false);
}
END_TEST

START_TEST(a_device_that_removes_itself_waits_for_the_others_only)
{
	struct gate g = { .b = new_bus(0xffff), .base = 0x20 };
	struct err e;
	uint32_t val;

	ck_ok(bus_map(g.b, g.base, 4, &gate_ops, &g, &e));
	g.open = true;
	bus_read(g.b, g.base, &val, 4);
	/* Byte 1 removed the device: its own answer still counts, the rest finds nobody. */
	ck_assert_uint_eq(val, 0xffff1100);
	ck_ok(bus_map(g.b, g.base, 4, &gate_ops, &g, &e));
	bus_unmap(g.b, g.base);
	bus_destroy(g.b);
	unmap_while_read(true);
}
END_TEST

static uint64_t forward_read(void *p, uint64_t off, unsigned int size)
{
	uint64_t val = 0;

	bus_read(p, off, &val, size);
	return val;
}

START_TEST(an_op_may_use_the_bus_itself)
{
	const struct bus_ops forward = { .name = "forward", .read = forward_read };
	struct bus *b = new_bus(0xffff);
	struct ram r;
	uint32_t val;
	struct err e;

	map_ram(b, &r, 0, 8, &ram_ops);
	ck_ok(bus_map(b, 0x100, 8, &forward, b, &e));
	bus_read(b, 0x104, &val, 4);
	ck_assert_mem_eq(&val, r.bytes + 4, 4);
	bus_destroy(b);
}
END_TEST

struct hammer {
	struct bus *b;
	atomic_bool stop;
};

/* A device that is freed as soon as it is unmapped: an access after that is seen by a sanitizer. */
static uint64_t cell_read(void *p, uint64_t off, unsigned int size)
{
	(void)off, (void)size;
	return atomic_load((atomic_uint *)p);
}

static void cell_write(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	(void)off, (void)size, (void)val;
	atomic_fetch_add((atomic_uint *)p, 1);
}

static const struct bus_ops cell_ops = { .name = "cell", .read = cell_read, .write = cell_write };

static void *hammer(void *p)
{
	struct hammer *h = p;
	uint64_t val = 0;

	for (unsigned int n = 0; !h->stop; n++) {
		bus_read(h->b, n % 48, &val, n % 8 + 1);
		bus_write(h->b, n % 48, &val, (n + 3) % 8 + 1);
	}
	return NULL;
}

START_TEST(ranges_come_and_go_while_threads_use_the_bus)
{
	struct hammer h = { .b = new_bus(0xffff) };
	atomic_uint fixed = 0;
	pthread_t threads[3];
	struct err e;

	ck_ok(bus_map(h.b, 0x10, 8, &cell_ops, &fixed, &e));
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, hammer, &h);
	for (unsigned int n = 0; n < 2000; n++) {
		atomic_uint *cell = malloc(sizeof(*cell));
		uint64_t base = n % 2 ? 0x18 : 0x04, len = n % 12 + 1;

		atomic_init(cell, n);
		ck_ok(bus_map(h.b, base, len, &cell_ops, cell, &e));
		if (n % 16 == 0)
			usleep(100);
		bus_unmap(h.b, base);
		free(cell);
	}
	h.stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_gt(fixed, 0);
	bus_destroy(h.b);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bus");

	UNIT_TEST(s, an_access_of_each_size_reaches_the_device_in_one_piece);
	UNIT_TEST(s, any_length_at_any_address_acts_on_each_byte_alone);
	UNIT_TEST(s, no_device_sees_an_access_wider_than_it_asked_for);
	UNIT_TEST(s, a_missing_op_is_as_if_nobody_were_there);
	UNIT_TEST(s, what_lies_behind_the_last_address_belongs_to_nobody);
	UNIT_TEST(s, an_access_far_behind_the_last_address_is_answered);
	UNIT_TEST(s, a_range_that_is_taken_is_refused_and_the_owner_named);
	UNIT_TEST(s, a_range_that_does_not_exist_is_refused);
	UNIT_TEST(s, a_range_given_back_is_free_again);
	UNIT_TEST(s, nothing_is_done_for_a_bus_that_never_was);
	UNIT_TEST(s, giving_back_waits_for_the_accesses_under_way);
	UNIT_TEST(s, a_device_that_removes_itself_waits_for_the_others_only);
	UNIT_TEST(s, an_op_may_use_the_bus_itself);
	UNIT_TEST(s, ranges_come_and_go_while_threads_use_the_bus);
	return s;
}

UNIT_MAIN("bus", suite)
