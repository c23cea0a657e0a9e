/*
 * pci_cases.c - configuration space scribbled over, BARs moved to where they cannot be, decoding
 * and bus mastering switched off while queues run, the two ways to configuration space against each
 * other, and MSI-X.
 *
 * Source: PCI Local Bus 3.0: 3.2.2.3.2 configuration mechanism, 6.2.5.1 BARs, 6.8.2 MSI-X; PCI
 * Express Base 5.0, 7.2.2 ECAM; VIRTIO 1.2: 4.1.4.9 the window in configuration space, 4.1.5.1.2
 * vectors.
 */
#include "hostile.h"

#define CONFIG_LEN 256
#define ECAM 0xe0000000u
#define MEMORY 2
#define MASTER 4

static uint32_t saved[CONFIG_LEN / 4];
static struct session s;

static unsigned int find_cap(const struct dev *d, unsigned int id, unsigned int type)
{
	unsigned int cap = pci_get(d->slot, 0x34, 1);

	while (cap && (pci_get(d->slot, cap, 1) != id ||
		       (id == 9 && pci_get(d->slot, cap + 3, 1) != type)))
		cap = pci_get(d->slot, cap + 1, 1);
	return cap;
}

static void save(const struct dev *d)
{
	for (unsigned int i = 0; i < N_ELEMENTS(saved); i++)
		saved[i] = pci_get(d->slot, 4 * i, 4);
}

/* false: something has changed that is read-only. */
static bool restore(const struct dev *d)
{
	const unsigned int window = find_cap(d, 9, 5) + 16;

	for (unsigned int off = 0x10; off < 0x28; off += 4)
		pci_set(d->slot, off, 4, saved[off / 4]);
	for (unsigned int off = 0x28; off < CONFIG_LEN; off += 4) {
		if (off != window)
			pci_set(d->slot, off, 4, saved[off / 4]);
	}
	pci_set(d->slot, 0xc, 4, saved[3]);
	pci_set(d->slot, 4, 2, saved[1]);
	for (unsigned int off = 0; off < CONFIG_LEN; off += 4) {
		/* What the window shows is another register's value. */
		if (off != window && saved[off / 4] != pci_get(d->slot, off, 4))
			return false;
	}
	return true;
}

/* Every byte, and what is read-only is read back as before. */
static void scribble_cases(const struct dev *d)
{
	static const char *const names[] = { "0", "all-ones", "random" };

	for (unsigned int size = 1; size <= 4; size *= 2) {
		for (unsigned int pattern = 0; pattern < 3; pattern++) {
			uint32_t random = 12345;
			bool ids = true;

			case_begin("R9", d, "config.bytes-", decimal(size), names[pattern],
				   is(REFUSED));
			save(d);
			for (unsigned int off = 0; off < CONFIG_LEN; off += size) {
				random = random * 1103515245 + 12345;
				pci_set(d->slot, off, size,
					pattern == 0   ? 0
					: pattern == 1 ? UINT32_MAX
						       : random);
				pci_get(d->slot, off, size);
			}
			/* Ids, class, capabilities: none of them can be written. */
			ids = pci_get(d->slot, 0, 4) == saved[0] &&
			      pci_get(d->slot, 8, 4) == saved[2] &&
			      pci_get(d->slot, 0x2c, 4) == saved[11] &&
			      pci_get(d->slot, 0x34, 1) == (saved[13] & 0xff);
			case_end(d, is(restore(d) && ids ? REFUSED : WRONG));
		}
	}
}

/* BARs
 * --------------------------------------------------------------------------------------------- */

static void put_bar(const struct dev *d, uint64_t at)
{
	pci_set(d->slot, 0x10, 4, (uint32_t)at);
	pci_set(d->slot, 0x14, 4, (uint32_t)(at >> 32));
}

/* The status register, if the BAR is decoded at `at`. */
static bool is_there(const struct dev *d, uint64_t at)
{
	return mem_get(at + (reg_at(d, DEVICE_STATUS) & 0xfff), 1) == S_RUNNING;
}

static void bar_cases(const struct dev *d)
{
	const struct dev *other = &devs[d == &devs[0]];
	const struct {
		const char *name;
		uint64_t at;
		bool decoded;
	} places[] = {
		{ "to-0", 0, false },
		{ "onto-ram", 0x1000000, false },
		{ "onto-high-ram", BIT(32), false },
		{ "across-the-end-of-ram", ram_low_end - 0x2000, false },
		{ "onto-another-bar", other->regs & ~0xfffull, false },
		{ "onto-the-local-apic", 0xfee00000, false },
		{ "onto-the-io-apic", 0xfec00000, false },
		{ "onto-the-ecam", ECAM, false },
		{ "to-the-end-of-4-GiB", 0xffffc000, false },
		{ "to-the-end-of-addresses", 0xffffffffffffc000, false },
		{ "within-its-window", 0xd0000000, true },
	};

	for (unsigned int i = 0; i < N_ELEMENTS(places); i++) {
		const uint64_t home = d->regs;
		bool fine;

		case_begin("R15", d, "bar.", places[i].name, "",
			   is(places[i].decoded ? KEPT : REFUSED));
		save(d);
		session_start(&s, d, 0, 8);
		put_bar(d, places[i].at);
		kick(d, 0); /* to where nobody is now */
		fine = places[i].decoded ? is_there(d, places[i].at)
					 : mem_get(home + 20, 1) == 0xff;
		restore(d);
		fine = fine && is_there(d, home) && session_works(&s);
		case_end(d, is(!fine ? WRONG : places[i].decoded ? KEPT : REFUSED));
	}
	case_begin("R15", d, "bar.sized-while-it-runs", "", "", is(KEPT));
	save(d);
	session_start(&s, d, 0, 8);
	put_bar(d, UINT64_MAX);
	{
		const uint32_t low = pci_get(d->slot, 0x10, 4);

		restore(d);
		case_end(d, is((low & ~15u) == 0xffffc000 && session_works(&s) ? KEPT : WRONG));
	}
}

static void bar_storm_cases(const struct dev *d)
{
	case_begin("R15", d, "bar.moved-while-queues-run", "", "", is(IGNORED));
	save(d);
	session_start(&s, d, 0, 8);
	for (unsigned int i = 0; i < 200; i++) {
		put_bar(d, 0xd0000000 + 0x4000 * (i % 16));
		mem_set(0xd0000000 + 0x4000 * (i % 16) + (d->notify & 0x3fff), 2, 0);
	}
	restore(d);
	case_end(d, is(session_works(&s) ? IGNORED : WRONG));

	case_begin("R15", d, "command.toggled-while-queues-run", "", "", is(IGNORED));
	session_start(&s, d, 0, 8);
	for (unsigned int i = 0; i < 200; i++) {
		kick(d, i % d->n_queues);
		pci_set(d->slot, 4, 2, i % 4 * 2);
	}
	pci_set(d->slot, 4, 2, MEMORY | MASTER);
	case_end(d, is(session_works(&s) ? IGNORED : WRONG));

	case_begin("R15", d, "command.memory-off", "", "", is(ALL_ONES));
	session_start(&s, d, 0, 8);
	pci_set(d->slot, 4, 2, MASTER);
	{
		const bool gone = status(d) == 0xff;

		kick(d, 0);
		pci_set(d->slot, 4, 2, MEMORY | MASTER);
		case_end(d, is(gone && session_works(&s) ? ALL_ONES : WRONG));
	}
}

/* Without Bus Master Enable nothing is read or written; with it, what was asked for is done. */
static void master_cases(const struct dev *d)
{
	static struct trial x;

	for (unsigned int i = 0; i < n_targets; i++) {
		if (targets[i].id != d->id || targets[i].at_once != UINT16_MAX)
			continue;
		case_begin("R15", d, targets[i].name, "bus-master-off", "", is(NOTHING));
		pci_set(d->slot, 4, 2, MEMORY);
		trial_prepare(&x, d, &targets[i], 0);
		trial_run(&x, 1);
		{
			struct outcome got = ring_quiet(&x.r);

			pci_set(d->slot, 4, 2, MEMORY | MASTER);
			if (got.what == NOTHING && ring_wait(&x.r, 1).what != USED)
				got = is(WRONG);
			case_end(d, got);
		}
	}
}

/* Two ways to one space
 * ---------------------------------------------------------------------------- */

static uint64_t ecam_of(const struct dev *d)
{
	return ECAM + ((uint64_t)d->slot << 15);
}

static void way_cases(const struct dev *d)
{
	const uint64_t ecam = ecam_of(d);
	bool same = true;

	case_begin("spec", d, "ecam.reads-as-by-ports", "", "", is(KEPT));
	for (unsigned int off = 0; off < CONFIG_LEN; off += 4)
		same &= mem_get(ecam + off, 4) == pci_get(d->slot, off, 4);
	case_end(d, is(same ? KEPT : WRONG));

	case_begin("spec", d, "ecam.writes-as-by-ports", "", "", is(KEPT));
	mem_set(ecam + 0xc, 1, 0x40);
	same = pci_get(d->slot, 0xc, 1) == 0x40;
	pci_set(d->slot, 0xc, 1, 0);
	case_end(d, is(same && mem_get(ecam + 0xc, 1) == 0 ? KEPT : WRONG));

	for (unsigned int size = 1; size <= 8; size *= 2) {
		case_begin("R14", d, "ecam.unaligned.bytes-", decimal(size), "", is(SURVIVES));
		save(d);
		for (unsigned int off = 0; off < CONFIG_LEN; off++) {
			mem_get(ecam + off, size);
			if (off >= 0x40)
				mem_set(ecam + off, size, 0x5a5a5a5a5a5a5a5a);
		}
		restore(d);
		case_end(d, is(SURVIVES));
	}
}

static void nobody_cases(const struct dev *d)
{
	const struct {
		const char *name;
		uint64_t at;
	} places[] = {
		{ "behind-256-bytes", ecam_of(d) + CONFIG_LEN },
		{ "end-of-4096-bytes", ecam_of(d) + 0xffc },
		{ "function-1", ecam_of(d) + 0x1000 },
		{ "function-7", ecam_of(d) + 0x7000 },
		{ "slot-31", ECAM + (31ull << 15) },
		{ "bus-1", ECAM + 0x100000 },
	};
	static const uint32_t addresses[] = { 0, 0x80010000, 0x80ff0000, 0x8000f800, 0x80000700 };

	for (unsigned int i = 0; i < N_ELEMENTS(places); i++) {
		case_begin("R8", d, "ecam.", places[i].name, "", is(ALL_ONES));
		mem_set(places[i].at, 4, 0);
		case_end(d, is(mem_get(places[i].at, 4) == UINT32_MAX ? ALL_ONES : WRONG));
	}
	for (unsigned int i = 0; i < N_ELEMENTS(addresses); i++) {
		uint32_t v;

		case_begin("R8", d, "config-address=", decimal(addresses[i]), "", is(ALL_ONES));
		out32(0xcf8, addresses[i]);
		out32(0xcfc, 0);
		v = in32(0xcfc);
		case_end(d, is(v == UINT32_MAX ? ALL_ONES : WRONG));
	}
	case_begin("R14", d, "config-address.by-bytes", "", "", is(REFUSED));
	out32(0xcf8, 0x80000000 | d->slot << 11);
	out8(0xcf8, 0xff);
	out8(0xcfb, 0);
	out16(0xcfa, 0xffff);
	{
		const uint32_t v = in32(0xcf8);

		case_end(d, is(v == (0x80000000 | d->slot << 11) ? REFUSED : KEPT));
	}
}

/* The window (4.1.4.9)
 * ------------------------------------------------------------------------------- */

static void window_cases(const struct dev *d)
{
	static const struct {
		const char *name;
		uint8_t bar;
		uint32_t off, len;
		uint32_t expected; /* what is read */
	} windows[] = {
		{ "good", 0, 20, 1, S_RUNNING },
		{ "of-bar-1", 1, 20, 1, UINT32_MAX },
		{ "of-bar-6", 6, 0, 4, UINT32_MAX },
		{ "of-bar-255", 255, 0, 4, UINT32_MAX },
		{ "of-length-0", 0, 20, 0, UINT32_MAX },
		{ "of-length-3", 0, 20, 3, UINT32_MAX },
		{ "of-length-8", 0, 20, 8, UINT32_MAX },
		{ "of-length-2^32-1", 0, 20, UINT32_MAX, UINT32_MAX },
		{ "beyond-the-bar", 0, 0x4000, 4, UINT32_MAX },
		{ "at-2^32-4", 0, 0xfffffffc, 4, UINT32_MAX },
		{ "unaligned", 0, 21, 4, UINT32_MAX },
	};
	const unsigned int cap = find_cap(d, 9, 5);

	for (unsigned int i = 0; i < N_ELEMENTS(windows); i++) {
		const bool good = windows[i].expected != UINT32_MAX;
		uint32_t v;

		case_begin("R8", d, "window.", windows[i].name, "", is(good ? KEPT : ALL_ONES));
		session_start(&s, d, 0, 8);
		pci_set(d->slot, cap + 4, 1, windows[i].bar);
		pci_set(d->slot, cap + 8, 4, windows[i].off);
		pci_set(d->slot, cap + 12, 4, windows[i].len);
		v = pci_get(d->slot, cap + 16, 4);
		if (good)
			v &= 0xff;
		else
			pci_set(d->slot, cap + 16, 4, 0); /* no reset */
		case_end(d, is(v != windows[i].expected || !session_works(&s) ? WRONG
			       : good                                         ? KEPT
									      : ALL_ONES));
	}
}

void pci_cases(const struct dev *d)
{
	if (!d->pci)
		return;
	scribble_cases(d);
	bar_cases(d);
	bar_storm_cases(d);
	master_cases(d);
	way_cases(d);
	nobody_cases(d);
	window_cases(d);
}

/* MSI-X
 * ---------------------------------------------------------------------------------------------- */

static void msix_table_cases(const struct dev *d)
{
	const uint32_t end = 16 * (d->n_queues + 1); /* a vector for each queue, and one */

	for (unsigned int size = 1; size <= 8; size *= 2) {
		bool fine = true;

		case_begin("R9", d, "msix.table-read.bytes-", decimal(size), "",
			   is(size < 4 ? ALL_ONES : KEPT));
		mem_set(d->msix, 4, 0xfee00000);
		for (uint32_t off = 0; size < 4 && off < end; off++)
			fine &= mem_get(d->msix + off, size) == (size == 1 ? 0xff : 0xffff);
		if (size >= 4)
			fine = (uint32_t)mem_get(d->msix, size) == 0xfee00000;
		case_end(d, is(!fine ? WRONG : size < 4 ? ALL_ONES : KEPT));
	}
	case_begin("R8", d, "msix.behind-the-table", "", "", is(ALL_ONES));
	mem_set(d->msix + end, 4, 0x12345678);
	case_end(d, is(mem_get(d->msix + end, 4) == UINT32_MAX ? ALL_ONES : WRONG));
	for (unsigned int size = 1; size <= 8; size *= 2) {
		case_begin("R14", d, "msix.scribbled.bytes-", decimal(size), "", is(SURVIVES));
		for (uint32_t off = 0; off < 0x1000; off += 5)
			mem_set(d->msix + off, size, UINT64_MAX);
		for (uint32_t off = 0; off < 0x1000; off += 7)
			mem_get(d->msix + off, size);
		case_end(d, is(SURVIVES));
	}
}

/* 4.1.5.1.2: a vector that there is not reads back as NO_VECTOR. */
static void vector_cases(const struct dev *d)
{
	const uint32_t vectors[] = { d->n_queues + 1, 64, 0x7ff, 0x7fff, 0xfffe };

	for (unsigned int i = 0; i < N_ELEMENTS(vectors); i++) {
		bool refused;

		case_begin("R8", d, "msix.vector-", decimal(vectors[i]), "", is(REFUSED));
		negotiate(d, F_VERSION_1);
		reg_set(d, QUEUE_SELECT, 0);
		mem_set(d->regs + 26, 2, vectors[i]);
		mem_set(d->regs + 16, 2, vectors[i]);
		refused = mem_get(d->regs + 26, 2) == 0xffff && mem_get(d->regs + 16, 2) == 0xffff;
		case_end(d, is(refused ? REFUSED : KEPT));
	}
}

/* Messages to nowhere: what is fired goes to no CPU, and RAM stays as it is. */
static void message_cases(const struct dev *d)
{
	static const struct {
		const char *name;
		uint32_t low, high, data;
	} messages[] = {
		{ "to-0", 0, 0, 0 },
		{ "to-ram", 0x1000000, 0, 0xffffffff },
		{ "to-the-io-apic", 0xfec00000, 0, 0 },
		{ "to-2^64-4", 0xfffffffc, 0xffffffff, 0xffffffff },
		{ "to-no-cpu", 0xfeeff000, 0, 0x40 },
		{ "of-vector-0", 0xfee00000, 0, 0 },
		{ "of-reserved-mode", 0xfee00000, 0, 0x340 },
	};
	const unsigned int cap = find_cap(d, 0x11, 0);
	volatile uint32_t *ram = (volatile uint32_t *)0x1000000;

	for (unsigned int i = 0; i < N_ELEMENTS(messages); i++) {
		bool fine;

		case_begin("R16", d, "msix.message-", messages[i].name, "", is(IGNORED));
		*ram = 0x11223344;
		session_start(&s, d, 0, 8);
		for (unsigned int v = 0; v <= d->n_queues; v++) {
			mem_set(d->msix + 16 * v, 4, messages[i].low);
			mem_set(d->msix + 16 * v + 4, 4, messages[i].high);
			mem_set(d->msix + 16 * v + 8, 4, messages[i].data);
			mem_set(d->msix + 16 * v + 12, 4, 0);
		}
		for (unsigned int q = 0; q < 4 && q < d->n_queues; q++) {
			reg_set(d, QUEUE_SELECT, q);
			mem_set(d->regs + 26, 2, q);
		}
		pci_set(d->slot, cap + 2, 2, 0x8000);
		fine = session_works(&s) && *ram == 0x11223344;
		pci_set(d->slot, cap + 2, 2, 0);
		case_end(d, is(fine ? IGNORED : WRONG));
	}
}

static void rewrite_case(const struct dev *d)
{
	const unsigned int cap = find_cap(d, 0x11, 0);
	bool fine = true;

	case_begin("R15", d, "msix.rewritten-while-it-fires", "", "", is(IGNORED));
	session_start(&s, d, 0, 8);
	reg_set(d, QUEUE_SELECT, 0);
	mem_set(d->regs + 26, 2, 0);
	for (unsigned int i = 0; i < 30 && fine; i++) {
		mem_set(d->msix, 4, i % 2 ? 0xfeeff000 : 0xfeefe000);
		mem_set(d->msix + 12, 4, i / 2 % 2);
		pci_set(d->slot, cap + 2, 2, i % 4 << 14);
		fine = session_works(&s);
	}
	pci_set(d->slot, cap + 2, 2, 0);
	case_end(d, is(fine ? IGNORED : WRONG));
}

void msix_cases(const struct dev *d)
{
	if (!d->pci)
		return;
	msix_table_cases(d);
	vector_cases(d);
	message_cases(d);
	rewrite_case(d);
}
