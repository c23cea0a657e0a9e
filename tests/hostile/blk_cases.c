/*
 * blk_cases.c - requests that no disk can do: sectors that are not there, lengths that are no
 * sectors, headers in pieces, no place for the status, ranges that overflow.
 *
 * Source: VIRTIO 1.2, 5.2.6 "Device Operation". The disks have 2048 sectors; sector 5 is never
 * written, because real.c reads it.
 */
#include "hostile.h"

#define SIZE 64
#define SECTOR 512
#define T_IN 0
#define T_OUT 1
#define T_FLUSH 4
#define T_GET_ID 8
#define T_DISCARD 11
#define T_WRITE_ZEROES 13
#define F_RO BIT(5)

static struct {
	uint32_t type, reserved;
	uint64_t sector;
} header;
static uint8_t data[0x10000], answer;
static struct session s;
static uint64_t capacity;

static struct outcome status_outcome(uint8_t status)
{
	switch (status) {
	case 0:
		return is(OK);
	case 1:
		return is(IOERR);
	case 2:
		return is(UNSUPP);
	default:
		return is_n(WRONG, status);
	}
}

/* A chain, and what its status byte says. */
static struct outcome ask(const struct dev *d, uint32_t type, uint64_t sector,
			  const struct piece *p, unsigned int n)
{
	session_start(&s, d, offered(d) & ~(F_INDIRECT | F_EVENT_IDX), SIZE);
	header.type = type;
	header.sector = sector;
	answer = 0xee;
	if (!ring_request(&s.ring[0], p, n, NULL))
		return is(status(d) & S_NEEDS_RESET ? NEEDS_RESET : NOTHING);
	return status_outcome(answer);
}

static struct outcome transfer(const struct dev *d, uint32_t type, uint64_t sector, uint32_t len)
{
	const struct piece p[] = {
		{ &header, 16, false },
		{ data, len, type != T_OUT },
		{ &answer, 1, true },
	};

	memset(data, 0x77, sizeof(data));
	return ask(d, type, sector, p, 3);
}

/* Sectors and lengths
 * ------------------------------------------------------------------------------ */

static void sector_cases(const struct dev *d)
{
	const struct {
		const char *name;
		uint64_t sector;
		uint32_t sectors;
		bool good;
	} places[] = {
		{ "sector-0", 0, 1, true },
		{ "last-sector", capacity - 1, 1, true },
		{ "last-sector-and-one-more", capacity - 1, 2, false },
		{ "behind-the-last-sector", capacity, 1, false },
		{ "sector-2^32", BIT(32), 1, false },
		{ "sector-2^55", BIT(55), 1, false },
		{ "sector-2^63", BIT(63), 1, false },
		{ "sector-2^63-1", BIT(63) - 1, 2, false },
		{ "sector-2^64-1", UINT64_MAX, 1, false },
		{ "sector-2^64-1-and-one-more", UINT64_MAX, 2, false },
	};
	static const char *const names[] = { "read.", "write." };

	for (uint32_t type = T_IN; type <= T_OUT; type++) {
		const bool ro = type == T_OUT && offered(d) & F_RO;

		for (unsigned int i = 0; i < N_ELEMENTS(places); i++) {
			case_begin("R10", d, names[type], places[i].name, "",
				   is(places[i].good && !ro ? OK : IOERR));
			case_end(d,
				 transfer(d, type, places[i].sector, places[i].sectors * SECTOR));
		}
	}
}

static void length_cases(const struct dev *d)
{
	static const struct {
		const char *name;
		uint32_t len;
		enum what what;
	} lengths[] = {
		{ "length-0", 0, OK },
		{ "length-1", 1, IOERR },
		{ "length-511", 511, IOERR },
		{ "length-512", 512, OK },
		{ "length-513", 513, IOERR },
		{ "length-64-KiB", 0x10000, OK },
		{ "length-2^31", BIT(31), IOERR },
		{ "length-2^32-1", UINT32_MAX, NEEDS_RESET },
	};
	static const char *const names[] = { "read.", "write." };

	for (uint32_t type = T_IN; type <= T_OUT; type++) {
		const bool ro = type == T_OUT && offered(d) & F_RO;

		for (unsigned int i = 0; i < N_ELEMENTS(lengths); i++) {
			enum what what = lengths[i].what;

			if (ro && what == OK)
				what = IOERR;
			case_begin("R10", d, names[type], lengths[i].name, "", is(what));
			case_end(d, transfer(d, type, 64, lengths[i].len));
		}
	}
}

static void type_cases(const struct dev *d)
{
	static const uint32_t types[] = {
		2, 3, 5, 6, 7, 9, 10, 12, 14, 15, 0x7fffffff, 0x80000000, 0x80000001, 0xffffffff
	};

	for (unsigned int i = 0; i < N_ELEMENTS(types); i++) {
		case_begin("R7", d, "type-", decimal(types[i]), "", is(UNSUPP));
		case_end(d, transfer(d, types[i], 0, SECTOR));
	}
	case_begin("R7", d, "type-flush-with-data", "", "", is(OK));
	case_end(d, transfer(d, T_FLUSH, UINT64_MAX, SECTOR));
	case_begin("R7", d, "type-get-id-of-64-KiB", "", "", is(OK));
	case_end(d, transfer(d, T_GET_ID, UINT64_MAX, sizeof(data)));
	case_begin("R7", d, "type-get-id-of-nothing", "", "", is(OK));
	case_end(d, transfer(d, T_GET_ID, 0, 0));
}

/* Layouts
 * ------------------------------------------------------------------------------------------ */

static void header_cases(const struct dev *d)
{
	struct piece p[40];
	unsigned int n = 0;

	for (; n < 16; n++)
		p[n] = (struct piece){ (uint8_t *)&header + n, 1, false };
	p[n++] = (struct piece){ data, SECTOR, true };
	p[n++] = (struct piece){ &answer, 1, true };
	case_begin("R4", d, "header-in-16-pieces", "", "", is(OK));
	case_end(d, ask(d, T_IN, 0, p, n));

	for (n = 0; n < 32; n++) /* each byte behind an empty descriptor */
		p[n] = (struct piece){ (uint8_t *)&header + n / 2, n % 2, false };
	p[n++] = (struct piece){ data, SECTOR, true };
	p[n++] = (struct piece){ &answer, 1, true };
	case_begin("R4", d, "header-with-empty-pieces", "", "", is(OK));
	case_end(d, ask(d, T_IN, 0, p, n));

	for (uint32_t len = 0; len < 16; len += 5) {
		p[0] = (struct piece){ &header, len, false };
		p[1] = (struct piece){ data, SECTOR, true };
		p[2] = (struct piece){ &answer, 1, true };
		case_begin("R7", d, "header-of-bytes-", decimal(len), "", is(IOERR));
		case_end(d, ask(d, T_IN, 0, p, 3));
	}
	p[0] = (struct piece){ data, SECTOR, true };
	p[1] = (struct piece){ &answer, 1, true };
	case_begin("R7", d, "header-missing", "", "", is(IOERR));
	case_end(d, ask(d, T_IN, 0, p, 2));
}

/* Without a place for it, the chain comes back all the same. */
static void status_place_cases(const struct dev *d)
{
	const struct {
		const char *name;
		struct piece last;
	} places[] = {
		{ "status-missing", { data, 0, false } },
		{ "status-in-a-read-only-buffer", { &answer, 1, false } },
		{ "status-of-length-0", { &answer, 0, true } },
	};

	for (unsigned int i = 0; i < N_ELEMENTS(places); i++) {
		const struct piece p[] = { { &header, 16, false }, places[i].last };

		case_begin("R7", d, places[i].name, "", "", is_n(USED_LEN, 0));
		session_start(&s, d, 0, SIZE);
		header.type = T_IN;
		ring_chain(&s.ring[0], 0, p, 2);
		ring_publish(&s.ring[0], 0);
		kick(d, 0);
		case_end(d, ring_outcome(&s.ring[0], is_n(USED_LEN, 0)));
	}
	case_begin("R7", d, "status-behind-data-in-one-buffer", "", "", is(OK));
	{
		const struct piece p[] = { { &header, 16, false }, { data, SECTOR + 1, true } };
		struct outcome got = ask(d, T_IN, 0, p, 2);

		case_end(d, got.what == WRONG ? status_outcome(data[SECTOR]) : got);
	}
}

/* Discard and write-zeroes
 * ------------------------------------------------------------------------- */

static struct {
	uint64_t sector;
	uint32_t n, flags;
} ranges[40];

static struct outcome ask_ranges(const struct dev *d, uint32_t type, uint32_t bytes)
{
	const struct piece p[] = {
		{ &header, 16, false },
		{ ranges, bytes, false },
		{ &answer, 1, true },
	};

	return ask(d, type, 0, p, 3);
}

static void range_cases(const struct dev *d, uint32_t type, const char *prefix)
{
	const struct {
		const char *name;
		uint64_t sector;
		uint32_t n, flags, bytes;
		enum what what;
	} cases[] = {
		{ "good", 64, 8, 0, 16, OK },
		{ "of-nothing", 64, 0, 0, 16, OK },
		{ "to-the-last-sector", capacity - 8, 8, 0, 16, OK },
		{ "beyond-the-last-sector", capacity - 8, 9, 0, 16, IOERR },
		{ "behind-the-last-sector", capacity, 1, 0, 16, IOERR },
		{ "of-2^32-1-sectors", 0, UINT32_MAX, 0, 16, IOERR },
		{ "that-wraps-bytes", BIT(55), 8, 0, 16, IOERR },
		{ "that-wraps-sectors", UINT64_MAX, 2, 0, 16, IOERR },
		{ "at-2^63", BIT(63), 1, 0, 16, IOERR },
		{ "with-unknown-flags", 64, 8, 0xfffffffe, 16, UNSUPP },
		{ "of-15-bytes", 64, 8, 0, 15, IOERR },
		{ "of-17-bytes", 64, 8, 0, 17, IOERR },
		{ "missing", 64, 8, 0, 0, IOERR },
		{ "33-times", 64, 8, 0, 33 * 16, IOERR },
	};
	const uint64_t feature = type == T_DISCARD ? BIT(13) : BIT(14);

	for (unsigned int i = 0; i < N_ELEMENTS(cases); i++) {
		enum what what = cases[i].what;

		if (!(offered(d) & feature))
			what = UNSUPP;
		case_begin("R10", d, prefix, cases[i].name, "", is(what));
		for (unsigned int k = 0; k < N_ELEMENTS(ranges); k++) {
			ranges[k].sector = cases[i].sector;
			ranges[k].n = cases[i].n;
			ranges[k].flags = cases[i].flags;
		}
		case_end(d, ask_ranges(d, type, cases[i].bytes));
	}
	case_begin("R10", d, prefix, "good-and-one-that-is-not", "",
		   is(offered(d) & feature ? IOERR : UNSUPP));
	ranges[0].n = 8;
	ranges[0].flags = ranges[1].flags = 0;
	ranges[0].sector = 64;
	ranges[1].sector = capacity;
	ranges[1].n = 1;
	case_end(d, ask_ranges(d, type, 32));
}

/* Many at once
 * ------------------------------------------------------------------------------------- */

static void storm(const struct dev *d, uint32_t type, uint32_t len, bool and_reset)
{
	struct ring *r = &s.ring[0];
	const struct piece p[] = {
		{ &header, 16, false },
		{ data, len, true },
		{ &answer, 1, true },
	};

	session_start(&s, d, offered(d) & ~(F_INDIRECT | F_EVENT_IDX), 256);
	header.type = type;
	header.sector = 0;
	for (uint16_t i = 0; i < 85; i++) {
		ring_chain(r, (uint16_t)(3 * i), p, 3);
		ring_publish(r, (uint16_t)(3 * i));
	}
	kick(d, 0);
	if (and_reset)
		reg_set(d, DEVICE_STATUS, 0);
}

static void storm_cases(const struct dev *d)
{
	case_begin("R6", d, "storm.flushes", "", "", is_n(USED, 85));
	storm(d, T_FLUSH, 0, false);
	case_end(d, ring_outcome(&s.ring[0], is_n(USED, 85)));
	case_begin("R6", d, "storm.reads-of-64-KiB", "", "", is_n(USED, 85));
	storm(d, T_IN, sizeof(data), false);
	case_end(d, ring_outcome(&s.ring[0], is_n(USED, 85)));
	case_begin("R15", d, "storm.reset-with-reads-in-flight", "", "", is_n(STATUS, 0));
	for (unsigned int i = 0; i < 10; i++) {
		storm(d, T_IN, sizeof(data), true);
		reset(d);
	}
	case_end(d, is_n(STATUS, status(d)));
	case_begin("R15", d, "storm.reset-with-flushes-in-flight", "", "", is_n(STATUS, 0));
	for (unsigned int i = 0; i < 10; i++) {
		storm(d, T_FLUSH, 0, true);
		reset(d);
	}
	case_end(d, is_n(STATUS, status(d)));
	/* A head that is at the host is in use until it has come back. */
	case_begin("R5", d, "storm.same-head-in-flight", "", "", is(SURVIVES));
	storm(d, T_IN, sizeof(data), false);
	for (unsigned int i = 0; i < 85; i++)
		ring_publish(&s.ring[0], 0);
	kick(d, 0);
	case_end(d, ring_outcome(&s.ring[0], is(SURVIVES)));
}

void blk_cases(const struct dev *d)
{
	capacity = mem_get(d->config, 4);
	sector_cases(d);
	length_cases(d);
	type_cases(d);
	header_cases(d);
	status_place_cases(d);
	range_cases(d, T_DISCARD, "discard.");
	range_cases(d, T_WRITE_ZEROES, "write-zeroes.");
	storm_cases(d);
}
