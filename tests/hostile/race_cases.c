/*
 * race_cases.c - a second CPU rewrites what the device is reading: descriptors, tables, indices, at
 * full speed, while the first one notifies and resets.
 *
 * Whatever the device has seen, it is one of two things that were there, and so it uses the chain
 * or needs a reset. Source: VIRTIO 1.2, 2.7; a driver that changes what is available breaks 2.7.13.
 */
#include "hostile.h"

#define ROUNDS 16
#define TRAMPOLINE 0x8000u
#define LAPIC_ICR_LOW 0xfee00300u
#define LAPIC_ICR_HIGH 0xfee00310u
#define ICR_INIT 0x4500u
#define ICR_STARTUP (0x4600u | TRAMPOLINE >> 12)

extern const uint8_t second_begin[], second_end[];
void (*second_fn)(void); /* second.S */
static volatile uint32_t second_runs;
static struct trial x;

/* The second CPU
 * ----------------------------------------------------------------------------------- */

void second_ipi(uint32_t icr_low)
{
	mem_set(LAPIC_ICR_HIGH, 4, 1u << 24); /* APIC id 1 */
	mem_set(LAPIC_ICR_LOW, 4, icr_low);
}

void second_start(void (*fn)(void))
{
	memcpy((void *)(uintptr_t)TRAMPOLINE, second_begin, (size_t)(second_end - second_begin));
	second_fn = fn;
	second_runs = 0;
	mem_set(0xfee000f0, 4, 0x1ff); /* the local APIC is on */
	second_ipi(ICR_INIT);
	for (unsigned int i = 0; i < 2 && !second_runs; i++) {
		second_ipi(ICR_STARTUP);
		for (unsigned int wait = 0; wait < 20000000 && !second_runs; wait++)
			__asm__ volatile("pause");
	}
	check(second_runs, "the second CPU does not start");
}

void second_stop(void)
{
	second_ipi(ICR_INIT); /* it waits for the next start-up IPI now */
}

/* Rewriters: each between what is good and what is not
 * ----------------------------------------------- */

static struct desc *const table = (struct desc *)(scratch + 0x20000);

static void rewrite_addr(void)
{
	x.r.desc[0].addr = 0xfee00000;
	x.r.desc[0].addr = (uintptr_t)scratch;
}

static void rewrite_len(void)
{
	x.r.desc[0].len = UINT32_MAX;
	x.r.desc[0].len = 64;
}

static void rewrite_flags(void)
{
	const uint16_t good = x.t->writable ? WRITE : 0;

	x.r.desc[0].flags = INDIRECT;
	x.r.desc[0].flags = (uint16_t)(good ^ WRITE);
	x.r.desc[0].flags = (uint16_t)(good | NEXT);
	x.r.desc[0].flags = good;
}

static void rewrite_next(void)
{
	x.r.desc[0].flags |= NEXT;
	x.r.desc[0].next = 0xffff;
	x.r.desc[0].next = 0;
	x.r.desc[0].next = 1;
}

static void rewrite_head(void)
{
	x.r.avail[AVAIL_RING] = 0xffff;
	x.r.avail[AVAIL_RING] = 7;
	x.r.avail[AVAIL_RING] = 0;
}

static void rewrite_index(void)
{
	x.r.avail[AVAIL_IDX] = 0x8000;
	x.r.avail[AVAIL_IDX] = 8;
	x.r.avail[AVAIL_IDX] = 1;
}

static void rewrite_table(void)
{
	x.r.desc[0].addr = (uintptr_t)table;
	x.r.desc[0].len = 32;
	x.r.desc[0].flags = INDIRECT;
	table[0] = (struct desc){ (uintptr_t)scratch, 64, x.t->writable ? NEXT | WRITE : NEXT, 1 };
	table[1] = (struct desc){ (uintptr_t)scratch, 64, x.t->writable ? WRITE : 0, 0 };
	table[1] = (struct desc){ UINT64_MAX, 64, INDIRECT, 0 };
	x.r.desc[0].len = 0xfffffff0;
}

static void rewrite_used(void)
{
	x.r.used[USED_IDX] = 0x7fff;
	x.r.used[2] = 0xffff;
	x.r.used[USED_IDX] = 0;
}

static const struct {
	const char *name;
	void (*fn)(void);
} rewriters[] = {
	{ "desc.addr", rewrite_addr },       { "desc.len", rewrite_len },
	{ "desc.flags", rewrite_flags },     { "desc.next", rewrite_next },
	{ "avail.ring", rewrite_head },      { "avail.idx", rewrite_index },
	{ "indirect-table", rewrite_table }, { "used-ring", rewrite_used },
};

static void (*volatile rewriter)(void);

static void rewrite_for_ever(void)
{
	for (;;) {
		second_runs = 1;
		rewriter();
		__asm__ volatile("" ::: "memory");
	}
}

void race_cases(const struct dev *d)
{
	for (unsigned int i = 0; i < n_targets; i++) {
		if (targets[i].id != d->id || d == dev_named("blk-ro"))
			continue;
		for (unsigned int k = 0; k < N_ELEMENTS(rewriters); k++) {
			case_begin("R2", d, targets[i].name, "rewritten-meanwhile.",
				   rewriters[k].name, is(SURVIVES));
			trial_prepare(&x, d, &targets[i], F_INDIRECT);
			rewriter = rewriters[k].fn;
			second_start(rewrite_for_ever);
			for (unsigned int n = 0; n < ROUNDS; n++) {
				trial_prepare(&x, d, &targets[i], F_INDIRECT);
				trial_run(&x, 1 + n % 8);
				ring_outcome(&x.r, is(SURVIVES));
			}
			second_stop();
			case_end(d, is(SURVIVES));
		}
	}
}
