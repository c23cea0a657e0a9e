/*
 * place_cases.c - buffers and rings where they cannot be: no RAM, half RAM, a device's registers,
 * around the end of all addresses; queues of impossible sizes; notifications of what is not there.
 *
 * Source: VIRTIO 1.2: 2.7 (alignments, sizes), 2.7.10 and 4.1.4.4 notifications. Devices reach RAM
 * only: a buffer in a device's registers is one that is not there.
 */
#include "hostile.h"

#define SIZE 8

/* Addresses, most of them known only when the guest runs. */
enum place {
	LAST_BYTE, /* of RAM: one byte more is none */
	PAST_RAM,
	ACROSS_HOLE,
	IN_HOLE,
	OWN_REGISTERS,
	OTHER_DEVICE,
	LAPIC,
	ECAM,
	ROM,
	END_OF_ADDRESSES,
	WRAPS,
	N_PLACES,
};

static const char *const place_names[N_PLACES] = {
	[LAST_BYTE] = "at-the-last-byte-of-ram",
	[PAST_RAM] = "past-the-end-of-ram",
	[ACROSS_HOLE] = "across-the-hole",
	[IN_HOLE] = "in-the-hole",
	[OWN_REGISTERS] = "in-its-own-registers",
	[OTHER_DEVICE] = "in-another-device",
	[LAPIC] = "in-the-local-apic",
	[ECAM] = "in-the-ecam",
	[ROM] = "in-the-reset-vector",
	[END_OF_ADDRESSES] = "at-the-end-of-addresses",
	[WRAPS] = "around-2^64",
};

/* Where `len` bytes begin that shall be there. Rings want it aligned. */
static uint64_t address(const struct dev *d, enum place p, uint32_t len)
{
	switch (p) {
	case LAST_BYTE:
		return ram_high_end - 16;
	case PAST_RAM:
		return ram_high_end;
	case ACROSS_HOLE:
		return ram_low_end - 16;
	case IN_HOLE:
		return ram_low_end + 0x10000000;
	case OWN_REGISTERS:
		return d->regs;
	case OTHER_DEVICE:
		return devs[d == &devs[0]].regs;
	case LAPIC:
		return 0xfee00000;
	case ECAM:
		return 0xe0000000;
	case ROM:
		return 0xfffffff0;
	case END_OF_ADDRESSES: /* its last byte is the last of all */
		return 0 - (uint64_t)((len + 15) & ~15u);
	case WRAPS:
	case N_PLACES:
		break;
	}
	return UINT64_MAX - 15;
}

static const char *rule_of(enum place p)
{
	return p >= OWN_REGISTERS && p <= ECAM ? "R16" : "R1";
}

static void buffer_cases(const struct dev *d, const struct target *t)
{
	static struct trial x;

	for (enum place p = 0; p < N_PLACES; p++) {
		case_begin(rule_of(p), d, t->name, "buffer-", place_names[p], is(NEEDS_RESET));
		trial_prepare(&x, d, t, 0);
		x.r.desc[0].addr = address(d, p, 64);
		trial_run(&x, 1);
		case_end(d, ring_outcome(&x.r, is(NEEDS_RESET)));
	}
	case_begin("R1", d, t->name, "buffer-", "that-ends-with-ram", trial_used(t, 1));
	trial_prepare(&x, d, t, 0);
	x.r.desc[0].addr = ram_high_end - 64;
	trial_run(&x, 1);
	case_end(d, ring_outcome(&x.r, trial_used(t, 1)));
	case_begin("R6", d, t->name, "buffer-", "of-2^32-1-bytes", is(NEEDS_RESET));
	trial_prepare(&x, d, t, 0);
	x.r.desc[0].len = UINT32_MAX;
	trial_run(&x, 1);
	case_end(d, ring_outcome(&x.r, is(NEEDS_RESET)));
}

/* Rings
 * -------------------------------------------------------------------------------------------- */

static const char *const ring_names[] = { "desc-table-", "avail-ring-", "used-ring-" };

static uint64_t *ring_at(struct ring *r, unsigned int which)
{
	return which == 0 ? &r->desc_at : which == 1 ? &r->avail_at : &r->used_at;
}

static uint32_t ring_bytes(unsigned int which)
{
	return which == 0 ? 16 * SIZE : which == 1 ? 6 + 2 * SIZE : 6 + 8 * SIZE;
}

static void ring_place_cases(const struct dev *d, const struct target *t)
{
	static const uint8_t alignment[] = { 16, 2, 4 };
	static struct trial x;

	for (unsigned int which = 0; which < 3; which++) {
		for (enum place p = 0; p < N_PLACES; p++) {
			case_begin(rule_of(p), d, t->name, ring_names[which], place_names[p],
				   is(NEEDS_RESET));
			trial_prepare(&x, d, t, 0);
			*ring_at(&x.r, which) = address(d, p, ring_bytes(which));
			trial_run(&x, 1);
			case_end(d, ring_outcome(&x.r, is(NEEDS_RESET)));
		}
		case_begin("R3", d, t->name, ring_names[which], "misaligned", is(NEEDS_RESET));
		trial_prepare(&x, d, t, 0);
		*ring_at(&x.r, which) += alignment[which] / 2;
		trial_run(&x, 1);
		case_end(d, ring_outcome(&x.r, is(NEEDS_RESET)));
	}
}

/* Each where RAM ends exactly, with what the driver knows there. */
static void ring_end_cases(const struct dev *d, const struct target *t)
{
	static const uint32_t bytes[] = { 16 * SIZE, 6 + 2 * SIZE, 8 + 8 * SIZE };
	static struct trial x;

	for (unsigned int which = 0; which < 3; which++) {
		uint64_t at = ram_high_end - bytes[which];

		case_begin("R1", d, t->name, ring_names[which], "that-ends-with-ram",
			   trial_used(t, 1));
		trial_prepare(&x, d, t, 0);
		memcpy((void *)at, (void *)*ring_at(&x.r, which), bytes[which]);
		*ring_at(&x.r, which) = at;
		if (which == 0)
			x.r.desc = (volatile struct desc *)at;
		else if (which == 1)
			x.r.avail = (volatile uint16_t *)at;
		else
			x.r.used = (volatile uint16_t *)at;
		trial_run(&x, 1);
		case_end(d, ring_outcome(&x.r, trial_used(t, 1)));
	}
}

static void overlap_cases(const struct dev *d, const struct target *t)
{
	static const char *const names[] = { "used-over-avail", "used-over-desc", "avail-over-desc",
					     "all-rings-at-0", "used-in-its-own-buffer" };
	static struct trial x;

	for (unsigned int i = 0; i < N_ELEMENTS(names); i++) {
		case_begin("R2", d, t->name, names[i], "", is(SURVIVES));
		trial_prepare(&x, d, t, 0);
		if (i == 0)
			x.r.used_at = x.r.avail_at & ~3ull;
		else if (i == 1)
			x.r.used_at = x.r.desc_at;
		else if (i == 2)
			x.r.avail_at = x.r.desc_at;
		else if (i == 3)
			x.r.desc_at = x.r.avail_at = x.r.used_at = 0x40000;
		else
			x.r.desc[0].addr = x.r.used_at;
		trial_run(&x, 1);
		case_end(d, ring_outcome(&x.r, is(SURVIVES)));
	}
}

/* Sizes, heads, notifications
 * ---------------------------------------------------------------------- */

/* What cannot be is ignored: the queue keeps its largest size (2.7: a power of two, no more than
 * that). */
static void size_cases(const struct dev *d, const struct target *t)
{
	const uint16_t max = d->max_size;
	const struct {
		const char *name;
		uint16_t v;
	} sizes[] = { { "0", 0 },
		      { "3", 3 },
		      { "max-1", (uint16_t)(max - 1) },
		      { "max+1", (uint16_t)(max + 1) },
		      { "2*max", (uint16_t)(2 * max) },
		      { "0x7fff", 0x7fff },
		      { "0x8000", 0x8000 },
		      { "0xffff", 0xffff } };
	static struct trial x;

	for (unsigned int i = 0; i < N_ELEMENTS(sizes); i++) {
		case_begin("R3", d, t->name, "size=", sizes[i].name, trial_used(t, 1));
		trial_prepare(&x, d, t, 0);
		x.r.size = max; /* the rings' places do not depend on it, but the wrap does */
		ring_tell(&x.r);
		reg_set(d, QUEUE_ENABLE, 0);
		reg_set(d, QUEUE_SIZE, sizes[i].v);
		x.r.size = sizes[i].v; /* told again, as wrong as before */
		trial_run(&x, 1);
		x.r.size = max;
		case_end(d, ring_outcome(&x.r, trial_used(t, 1)));
	}
}

static void twice_case(const struct dev *d, const struct target *t)
{
	static struct trial x;

	/* Done with before the second one is looked at, or refused: but never both at once. */
	case_begin("R5", d, t->name, "same-head-twice", "", is(SURVIVES));
	trial_prepare(&x, d, t, 0);
	x.r.avail[AVAIL_RING + 1] = 0;
	trial_run(&x, 2);
	case_end(d, ring_outcome(&x.r, is(SURVIVES)));
	case_begin("R5", d, t->name, "same-head-in-the-whole-ring", "", is(SURVIVES));
	trial_prepare(&x, d, t, 0);
	for (unsigned int i = 0; i < SIZE; i++)
		x.r.avail[AVAIL_RING + i] = 3;
	trial_run(&x, SIZE);
	case_end(d, ring_outcome(&x.r, is(SURVIVES)));
}

static void jump_case(const struct dev *d, const struct target *t)
{
	static struct trial x;

	/* From an index that was good: 1, then far beyond; and one step back. */
	for (unsigned int back = 0; back < 2; back++) {
		case_begin("R2", d, t->name, back ? "avail.idx-goes-back" : "avail.idx-jumps", "",
			   is(NEEDS_RESET));
		trial_prepare(&x, d, t, 0);
		trial_run(&x, 1);
		ring_outcome(&x.r, trial_used(t, 1));
		x.r.avail[AVAIL_IDX] = (uint16_t)(back ? 0 : 1 + SIZE + 1 + SIZE);
		__sync_synchronize();
		trial_trigger(&x);
		case_end(d, ring_outcome(&x.r, is(NEEDS_RESET)));
	}
}

static void disabled_case(const struct dev *d, const struct target *t)
{
	static struct trial x;

	case_begin("R8", d, t->name, "kick-of-a-queue-not-enabled", "", is(NOTHING));
	trial_prepare(&x, d, t, 0);
	if (t->other != NO_QUEUE)
		ring_tell(&x.other);
	driver_ok(d);
	x.r.avail[AVAIL_IDX] = 1;
	trial_trigger(&x);
	case_end(d, ring_quiet(&x.r));
}

void place_cases(const struct dev *d)
{
	for (unsigned int i = 0; i < n_targets; i++) {
		if (targets[i].id != d->id || d == dev_named("blk-ro"))
			continue;
		buffer_cases(d, &targets[i]);
		ring_place_cases(d, &targets[i]);
		ring_end_cases(d, &targets[i]);
		overlap_cases(d, &targets[i]);
		size_cases(d, &targets[i]);
		twice_case(d, &targets[i]);
		jump_case(d, &targets[i]);
		disabled_case(d, &targets[i]);
	}
}
