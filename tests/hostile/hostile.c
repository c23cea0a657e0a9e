/*
 * hostile.c - the hostile driver's main program: finds the devices, and runs the cases one after
 * the other, each with a reset and a real request behind it. See hostile.h.
 *
 * On the command line, groups=MASK picks groups of cases, device=ID devices of that kind; looks=N
 * says how often a device is looked at before one gives up; kernel=1, that the host's kernel works
 * the network's rings: what it does about a case is not ours to say, but that the device works
 * after a reset.
 */
#include "hostile.h"

extern uint64_t pdpt[512];

uint64_t ram_low_end, ram_high_end;
unsigned int most_looks;

static uint64_t high_pd[512] __attribute__((aligned(4096)));

/* Output -----------------------------------------------------------------------------------------
 */

#define FIFO 16

static char line[256];
static size_t line_len;

static void say(const char *text)
{
	while (*text && line_len < sizeof(line))
		line[line_len++] = *text++;
}

/* An exit for each FIFO of the serial port, not for each byte. */
static void say_line(void)
{
	say("\n");
	for (size_t done = 0; done < line_len; done += FIFO) {
		while (!(in8(COM1_LSR) & LSR_THRE))
			;
		out_bytes(COM1, line + done, line_len - done < FIFO ? line_len - done : FIFO);
	}
	line_len = 0;
}

const char *decimal(uint32_t n)
{
	static char text[4][12];
	static unsigned int next;
	char *s = text[next++ % 4] + 11;

	*s = '\0';
	do
		*--s = (char)('0' + n % 10);
	while (n /= 10);
	return s;
}

static void say_outcome(struct outcome o)
{
	static const char *const names[] = {
		[NOTHING] = "nothing",
		[USED] = "used",
		[USED_LEN] = "used-with-len",
		[NEEDS_RESET] = "needs-reset",
		[IGNORED] = "ignored",
		[REFUSED] = "refused",
		[KEPT] = "kept",
		[STATUS] = "status",
		[OK] = "ok",
		[IOERR] = "ioerr",
		[UNSUPP] = "unsupp",
		[ALL_ONES] = "all-ones",
		[SENT] = "sent",
		[DROPPED] = "dropped",
		[SURVIVES] = "survives",
		[WRONG] = "wrong",
	};

	say(names[o.what]);
	if (o.what == USED || o.what == USED_LEN || o.what == STATUS || o.what == WRONG) {
		say(":");
		say(decimal(o.n));
	}
}

static bool kernel_judges(const struct dev *d)
{
	return d->id == ID_NET && option("kernel", 0);
}

void case_begin(const char *rule, const struct dev *d, const char *a, const char *b, const char *c,
		struct outcome expected)
{
	say("case ");
	say(rule);
	say(" ");
	say(d->name);
	say(" ");
	say(a);
	say(b);
	say(c);
	say(" ");
	say_outcome(kernel_judges(d) ? is(SURVIVES) : expected);
	say_line();
}

void case_end(const struct dev *d, struct outcome got)
{
	bool fine = works(d); /* and runs on: the host looks whether its loop comes to rest */

	say("is ");
	say_outcome(kernel_judges(d) && got.what != WRONG ? is(SURVIVES) : got);
	say(fine ? " works" : " broken");
	say_line();
	while (!(in8(COM1_LSR) & LSR_DR)) /* the host looks at the VMM meanwhile */
		;
	in8(COM1);
}

/* Life
 * --------------------------------------------------------------------------------------------- */

static void body(void)
{
	static const struct {
		const char *dev; /* NULL: every one */
		void (*run)(const struct dev *d);
	} groups[] = {
		{ NULL, ring_cases },     { NULL, place_cases },        { NULL, status_cases },
		{ NULL, register_cases }, { "blk", blk_cases },         { "blk-ro", blk_cases },
		{ "net", net_cases },     { "console", console_cases }, { "rng", rng_cases },
		{ NULL, pci_cases },      { NULL, msix_cases },         { "rng", platform_cases },
		{ NULL, race_cases },
	};
	const uint64_t mask = option("groups", UINT64_MAX), id = option("device", 0);

	for (unsigned int i = 0; i < N_ELEMENTS(groups); i++) {
		for (unsigned int k = 0; k < n_devs; k++) {
			if (mask & BIT(i) && (id == 0 || id == devs[k].id) &&
			    (!groups[i].dev || dev_named(groups[i].dev) == &devs[k]))
				groups[i].run(&devs[k]);
		}
	}
	put("done\n");
	power_off();
}

static void find_ram(void)
{
	const struct memmap_entry *e = (const void *)(uintptr_t)start_info()->memmap;

	for (uint32_t i = 0; i < start_info()->memmap_entries; i++) {
		const uint64_t end = e[i].addr + e[i].size;

		if (e[i].type != 1)
			continue;
		if (e[i].addr < BIT(32) && end > ram_low_end)
			ram_low_end = end;
		else if (e[i].addr >= BIT(32))
			ram_high_end = end;
	}
}

void guest_main(void)
{
	most_looks = (unsigned int)option("looks", 100000);
	find_ram();
	check(ram_high_end > BIT(32), "no RAM above 4 GiB: nothing lies across the hole");
	for (uint64_t i = 0; i < N_ELEMENTS(high_pd); i++)
		high_pd[i] = (BIT(32) + (i << 21)) | 0x87;
	pdpt[4] = (uintptr_t)high_pd | 7;
	out8(COM1_FCR, 1); /* FIFOs */
	find_devices();
	check(n_devs > 0, "no devices");
	ring3(body);
}
