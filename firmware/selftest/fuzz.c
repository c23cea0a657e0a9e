/*
 * fuzz.c - random accesses from ring 3 to whatever a guest can reach: see fuzz.h.
 *
 * Everything that a step does follows from the seed and the step's number, and hardly anything from
 * what a device has said. So a run can be repeated, and picked up at any step (what the rings were
 * is lost then, until a step starts a device). Words on the command line:
 *
 *	fuzz_from=K	leave out the steps before K
 *	fuzz_msr=0	no MSRs: KVM answers those, and some KVMs end the guest instead
 *	fuzz_trace=1	each step says what it does before it does it
 *
 * What must happen is nothing: each access is answered, and the machine is there afterwards.
 */
#include "fuzz.h"
#include "cpu.h"
#include "virtio.h"

#define TELL_EVERY 1000u
#define COPY_MAX 64u /* bytes */
#define STRING_MAX 3000u /* elements: more than KVM hands out at once */
#define CONFIG_ADDRESS 0xcf8u
#define CONFIG_DATA 0xcfcu
#define ECAM 0xe0000000u
#define PCI_COMMAND 4u
#define PCI_BAR 0x10u
#define N_BARS 6u
#define RAM_MAX 0xc0000000u /* RAM is below; what there is above 4 GiB holds nothing */
#define N_SLOTS 8u /* that are looked at more often than the others */
#define LVT_LINT0 0x350u
#define LVT_MASKED 0x10000u

/* What ends a machine on purpose, and what a terminal would obey: bytes that are never written. */
static const struct {
	uint16_t port;
	uint8_t mask, value; /* never a byte with (byte & mask) == value */
} never[] = {
	{ EXIT_PORT, 0, 0 }, /* any byte is an exit status */
	{ PVPANIC_PORT, 1, 1 }, /* "the guest has panicked" */
	{ PM_SLEEP_CONTROL, 0x3c, 0x34 }, /* SLP_EN with type S5: power off */
	{ PM_SLEEP_CONTROL + 2, 0xff, 1 }, /* the reset register */
	{ 0x64, 0xf1, 0xf0 }, /* keyboard controller: pulse the reset line */
	{ 0x60, 1, 0 }, /* after command 0xd1: pull the reset line */
	{ COM1, 0xe0, 0 }, /* control characters: they end up on the user's terminal */
	{ COM1, 0x80, 0x80 }, /* bytes that are no ASCII, for the same reason */
};

/*
 * Where memory-mapped devices are, or are not: see src/arch/x86_64/memmap.h. The two at the end
 * are KVM's own, and only read: an interrupt of a wrong kind would kill the guest, not the VMM.
 */
static const struct window {
	uint64_t at, len;
	bool read_only;
} windows[] = {
	{ 0xc0000000, 0x30000, false }, /* PCI: the BARs, as they are placed at power-on */
	{ 0xc0000000, 0x20000000, false }, /* all of that window */
	{ ECAM, N_SLOTS << 15, false }, /* configuration of the first slots */
	{ ECAM, 0x101000, false }, /* all of it, and behind it */
	{ 0xe1000000, 0x21000, false }, /* virtio-mmio */
	{ 0xe2000000, 0x1cc00000, false }, /* nobody, up to the I/O APIC */
	{ 0xfed00000, 0x100000, false }, /* a PC's timer, if it had one */
	{ 0xff000000, 0x1000000, false }, /* where a PC has its firmware */
	{ 0xf0000, 0x10000, false }, /* where it has the old one: RAM here */
	{ 0xfec00000, 0x1000, true },      { 0xfee00000, 0x1000, true },
};

static uint8_t scratch[16384] __attribute__((aligned(4096))); /* devices write here at any time */
static uint8_t outgoing[STRING_MAX * 4 + 8]; /* and not here: these bytes have been looked at */
static uint32_t bars[N_SLOTS][N_BARS];
static bool trace;

/* Numbers (splitmix64) ------------------------------------------------------------------------- */

static uint64_t state;

static uint64_t next(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static uint64_t pick(uint64_t n) /* 0 to n - 1 */
{
	return next() % n;
}

/* Mostly what programs compare with, and addresses of RAM that may be written to. */
static uint64_t value(void)
{
	switch (pick(8)) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return UINT64_C(1) << pick(64);
	case 3:
		return (UINT64_C(1) << pick(64)) - 1;
	case 4:
		return pick(32);
	case 5:
		return (uintptr_t)scratch + pick(sizeof(scratch));
	default:
		return next();
	}
}

static void say(const char *what, uint64_t at, uint64_t size, uint64_t v)
{
	if (!trace)
		return;
	put("\n");
	put(what);
	put(" ");
	put_hex(at);
	put(" size ");
	put_dec(size);
	put(" value ");
	put_hex(v);
	put("\n");
}

/* Ports ---------------------------------------------------------------------------------------- */

static bool is_allowed(uint16_t port, uint8_t byte)
{
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++) {
		if (port == never[i].port && (byte & never[i].mask) == never[i].value)
			return false;
	}
	return true;
}

/* The next byte that may be written there. false: none may. */
static bool allow(uint16_t port, uint8_t *byte)
{
	for (unsigned int i = 0; i < 256; i++, ++*byte) {
		if (is_allowed(port, *byte))
			return true;
	}
	return false;
}

static bool allow_all(uint16_t port, unsigned int size, uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n * size; i++) {
		if (!allow((uint16_t)(port + i % size), &bytes[i]))
			return false;
	}
	return true;
}

static void read_port(uint16_t port, unsigned int size)
{
	say("in", port, size, 0);
	if (size == 1)
		in8(port);
	else if (size == 2)
		in16(port);
	else
		in32(port);
}

static void write_port(uint16_t port, unsigned int size, uint32_t v)
{
	if (!allow_all(port, size, (uint8_t *)&v, 1)) {
		read_port(port, size);
		return;
	}
	say("out", port, size, v);
	if (size == 1)
		out8(port, (uint8_t)v);
	else if (size == 2)
		out16(port, (uint16_t)v);
	else
		out32(port, v);
}

/* At the ports of a device, or just before or behind it, or at any. */
static uint16_t some_port(void)
{
	static const uint16_t devices[] = {
		COM1,           COM1,        0x60,         0x64,
		0x70,           EXIT_PORT,   PVPANIC_PORT, PM_SLEEP_CONTROL,
		CONFIG_ADDRESS, CONFIG_DATA, 0x20,         0x40
	};

	if (pick(4) == 0)
		return (uint16_t)next();
	return (uint16_t)(devices[pick(sizeof(devices) / sizeof(*devices))] + pick(12) - 3);
}

static void port_step(void)
{
	uint16_t port = some_port();
	unsigned int size = 1u << pick(3);
	uint32_t v = (uint32_t)value();

	if (pick(2))
		write_port(port, size, v);
	else
		read_port(port, size);
}

/* down: from the highest address to the lowest. The compiler wants the flag to be clear elsewhere.
 */
#define STRING(insn, reg, at, n, port, down)                                                       \
	__asm__ volatile("test %3, %3\n\t"                                                         \
			 "jz 1f\n\t"                                                               \
			 "std\n"                                                                   \
			 "1:	rep " insn "\n\t"                                                  \
			 "cld"                                                                     \
			 : "+" reg(at), "+c"(n)                                                    \
			 : "d"(port), "r"((uint32_t)(down))                                        \
			 : "memory", "cc")

static void in_string(uint16_t port, unsigned int size, uint8_t *at, size_t n, bool down)
{
	say("rep in", port, size, n);
	if (size == 1)
		STRING("insb", "D", at, n, port, down);
	else if (size == 2)
		STRING("insw", "D", at, n, port, down);
	else
		STRING("insl", "D", at, n, port, down);
}

static void out_string(uint16_t port, unsigned int size, uint8_t *at, size_t n, bool down)
{
	say("rep out", port, size, n);
	if (size == 1)
		STRING("outsb", "S", at, n, port, down);
	else if (size == 2)
		STRING("outsw", "S", at, n, port, down);
	else
		STRING("outsl", "S", at, n, port, down);
}

/* Mostly short. */
static void string_step(void)
{
	uint16_t port = some_port();
	unsigned int size = 1u << pick(3);
	size_t n = pick(64) ? pick(20) : pick(STRING_MAX);
	bool out = pick(2), down = pick(4) == 0;
	uint8_t *at = (out ? outgoing : scratch) + pick(8);
	uint8_t *first = down && n > 0 ? at + (n - 1) * size : at;

	if (!out) {
		in_string(port, size, first, n, down);
		return;
	}
	for (size_t i = 0; i < n * size; i++)
		at[i] = (uint8_t)next();
	if (allow_all(port, size, at, n))
		out_string(port, size, first, n, down);
}

/* Memory --------------------------------------------------------------------------------------- */

static void read_memory(uint64_t at, unsigned int size)
{
	say("read", at, size, 0);
	if (size == 1)
		(void)*(volatile uint8_t *)at;
	else if (size == 2)
		(void)*(volatile uint16_t *)at;
	else if (size == 4)
		(void)*(volatile uint32_t *)at;
	else
		(void)*(volatile uint64_t *)at;
}

static void write_memory(uint64_t at, unsigned int size, uint64_t v)
{
	say("write", at, size, v);
	if (size == 1)
		*(volatile uint8_t *)at = (uint8_t)v;
	else if (size == 2)
		*(volatile uint16_t *)at = (uint16_t)v;
	else if (size == 4)
		*(volatile uint32_t *)at = (uint32_t)v;
	else
		*(volatile uint64_t *)at = v;
}

/* Half of them near the beginning of some page, where registers are. All of it is in the window. */
static uint64_t some_address(const struct window *w, unsigned int len)
{
	uint64_t off = pick(w->len - len + 1);

	if (pick(2))
		off = (off & ~UINT64_C(0xfff)) + pick(128);
	if (pick(2))
		off &= ~UINT64_C(7);
	return w->at + (off <= w->len - len ? off : w->len - len);
}

static const struct window *some_window(void)
{
	return &windows[pick(sizeof(windows) / sizeof(*windows))];
}

static void memory_step(void)
{
	const struct window *w = some_window();
	unsigned int size = 1u << pick(4);
	uint64_t at = some_address(w, size), v = value();

	if (w->read_only || pick(2))
		read_memory(at, size);
	else
		write_memory(at, size, v);
}

static void copy_step(void)
{
	const struct window *w = some_window();
	size_t n = pick(COPY_MAX);
	uint64_t at = some_address(w, COPY_MAX);
	uint8_t *ram = scratch + pick(8);

	if (w->read_only)
		return; /* in pieces that an APIC's registers do not have */
	say("copy", at, n, 0);
	if (pick(2))
		memcpy(ram, (const void *)at, n);
	else
		memcpy((void *)at, ram, n);
}

/* PCI configuration ---------------------------------------------------------------------------- */

static uint32_t config_address(uint64_t slot, uint64_t function, uint64_t reg)
{
	return (uint32_t)(0x80000000 | slot << 11 | function << 8 | (reg & 0xfc));
}

static void config_step(void)
{
	uint64_t slot = pick(4) ? pick(N_SLOTS) : pick(32), function = pick(4) ? 0 : pick(8);
	uint32_t address = config_address(slot, function, pick(256));
	unsigned int size = 1u << pick(3);
	uint16_t port = (uint16_t)(CONFIG_DATA + pick(4));
	uint32_t v = (uint32_t)value();

	if (pick(8) == 0)
		address = (uint32_t)value(); /* switched off, another bus, odd bits */
	write_port(CONFIG_ADDRESS, 4, address);
	if (pick(2))
		write_port(port, size, v);
	else
		read_port(port, size);
}

/* Puts a slot's windows back and switches them on, or soon there would be nothing to be hit. */
static void mend(uint64_t slot)
{
	for (unsigned int i = 0; i < N_BARS; i++) {
		write_port(CONFIG_ADDRESS, 4, config_address(slot, 0, PCI_BAR + 4 * i));
		write_port(CONFIG_DATA, 4, bars[slot][i]);
	}
	write_port(CONFIG_ADDRESS, 4, config_address(slot, 0, PCI_COMMAND));
	write_port(CONFIG_DATA, 2, 6); /* memory, bus master */
}

static void remember_bars(void)
{
	for (unsigned int slot = 0; slot < N_SLOTS; slot++) {
		for (unsigned int i = 0; i < N_BARS; i++) {
			out32(CONFIG_ADDRESS, config_address(slot, 0, PCI_BAR + 4 * i));
			bars[slot][i] = in32(CONFIG_DATA);
		}
	}
}

/* Rings of running devices ----------------------------------------------------------------------
 */

#define KINDS 4u /* of devices: ids 1 to 4 */
#define QUEUES 4u
#define RING_SIZE 16u

static struct virtio *devices[KINDS];
static struct ring { /* VIRTIO 1.2, 2.7 */
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[RING_SIZE];
	struct {
		uint16_t flags, idx, ring[RING_SIZE], event;
	} avail;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[RING_SIZE];
		uint16_t event;
	} used __attribute__((aligned(4)));
} rings[KINDS][QUEUES] __attribute__((aligned(4096)));

static void find_devices(void)
{
	for (unsigned int i = 0; i < KINDS; i++) {
		devices[i] = virtio_find(i + 1);
		if (devices[i])
			devices[i]->features = devices[i]->transport->get_features(devices[i]);
	}
}

/* As a driver does it, but with any features, and without asking whether it has worked. */
static void start_step(void)
{
	uint64_t kind = pick(KINDS), features = next() | F_VERSION_1;
	struct virtio *v = devices[kind];
	const struct virtio_transport *t;

	if (!v)
		return;
	t = v->transport;
	mend(v->slot);
	say("start", kind + 1, 0, features);
	t->set_status(v, 0);
	t->set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	t->set_features(v, v->features & features);
	t->set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	t->setup_interrupts(v);
	for (uint16_t i = 0; i < QUEUES; i++) {
		struct ring *r = &rings[kind][i];
		struct virtq q = { .index = i, .size = RING_SIZE };

		memset(r, 0, sizeof(*r));
		t->setup_queue(v, &q, (uintptr_t)r->desc, (uintptr_t)&r->avail,
			       (uintptr_t)&r->used);
	}
	t->set_status(v,
		      STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

/* Into scratch, which then looks like the head of a request, or to where no RAM of the guest is. */
static void fill_descriptor(struct ring *r, uint64_t i, bool in_ram)
{
	uint64_t at = in_ram ? pick(RAM_MAX) : value(), len = value();

	if (at < RAM_MAX) {
		len %= sizeof(scratch) / 2;
		at = at % (sizeof(scratch) / 2) & ~UINT64_C(7);
		*(uint32_t *)(scratch + at) = (uint32_t)pick(16);
		*(uint64_t *)(scratch + at + 8) = value();
		at += (uintptr_t)scratch + (pick(8) ? 0 : pick(8));
	}
	r->desc[i].addr = at;
	r->desc[i].len = (uint32_t)len;
	r->desc[i].flags = (uint16_t)(pick(16) ? pick(4) : next());
	r->desc[i].next = (uint16_t)(pick(16) ? pick(RING_SIZE) : next());
}

/* The chain of a request as a driver would make it: in order, and first what the device reads. */
static void good_chain(struct ring *r)
{
	bool to_disk = pick(2); /* 5.2.6: header, sectors, status, which is written in any case */
	uint64_t n = 1 + pick(4), n_read = pick(to_disk ? n : n + 1), head = pick(RING_SIZE - 4);

	for (uint64_t i = 0; i < n; i++) {
		fill_descriptor(r, head + i, pick(32));
		r->desc[head + i].flags = (uint16_t)((i + 1 < n) | (i < n_read ? 0 : 2));
		r->desc[head + i].next = (uint16_t)(head + i + 1);
		if (to_disk)
			r->desc[head + i].len = 512u * (uint32_t)pick(8);
	}
	if (to_disk) {
		r->desc[head].len = 16;
		r->desc[head + n - 1].len = 1;
	}
	r->avail.ring[r->avail.idx % RING_SIZE] = (uint16_t)head;
	__atomic_store_n(&r->avail.idx, (uint16_t)(r->avail.idx + 1), __ATOMIC_SEQ_CST);
}

static void bad_chains(struct ring *r)
{
	uint64_t n = pick(4);

	for (uint64_t i = 0; i <= n; i++)
		fill_descriptor(r, pick(RING_SIZE), pick(2));
	for (uint64_t i = 0; i <= n; i++)
		r->avail.ring[pick(RING_SIZE)] = (uint16_t)(pick(32) ? pick(RING_SIZE) : next());
	r->avail.event = (uint16_t)value();
	r->avail.flags = (uint16_t)pick(2);
	__atomic_store_n(&r->avail.idx,
			 (uint16_t)(pick(32) ? r->avail.idx + pick(4) : (uint64_t)next()),
			 __ATOMIC_SEQ_CST);
}

static void ring_step(void)
{
	uint64_t kind = pick(KINDS), queue = pick(2) ? 0 : pick(QUEUES);
	struct ring *r = &rings[kind][queue];
	struct virtio *v = devices[kind];

	if (!v)
		return;
	say("ring", kind + 1, queue, 0);
	if (pick(4))
		good_chain(r);
	else
		bad_chains(r);
	v->transport->notify(v, (uint16_t)(pick(16) ? queue : next()));
}

/* MSRs ----------------------------------------------------------------------------------------- */

/* What is read is written back: anything else could take the ground from under the guest. */
static void msr_step(void)
{
	static const uint32_t bases[] = { 0,          0x170,      0x200,      0x800,
					  0x40000000, 0x4b564d00, 0xc0000080, 0xc0010000 };
	uint32_t msr = pick(4) ? bases[pick(8)] + (uint32_t)pick(256) : (uint32_t)next();
	uint64_t v, write = pick(4) == 0;

	say("msr", msr, 8, write);
	if (ring0(try_rdmsr, msr, (uintptr_t)&v) && write)
		ring0(try_wrmsr, msr, (uintptr_t)&v);
}

/* ---------------------------------------------------------------------------------------------- */

/* A serial port that one can print on, whatever has been written to it. */
static void mend_serial(void)
{
	out8(COM1_LCR, 0x83); /* 8 bits; the divisor: */
	out8(COM1, 1);
	out8(COM1_IER, 0);
	out8(COM1_LCR, 3);
	out8(COM1_MCR, 0);
	out8(COM1_IER, 0);
	out8(COM1_FCR, 0);
}

static void tell_step(const char *what, uint64_t n)
{
	mend_serial();
	put("\nfuzz: ");
	put(what);
	put(" ");
	put_dec(n);
	put("\n");
}

static void step(bool msrs)
{
	switch (pick(16)) {
	case 0:
		string_step();
		break;
	case 1:
		copy_step();
		break;
	case 2:
	case 3:
	case 4:
		config_step();
		break;
	case 5:
		start_step();
		break;
	case 6:
		if (msrs) {
			msr_step();
			break;
		}
		port_step();
		break;
	case 7:
	case 8:
	case 9:
		port_step();
		break;
	case 10:
	case 11:
		ring_step();
		break;
	default:
		memory_step();
		break;
	}
}

static uint32_t bridge_id(void)
{
	out32(CONFIG_ADDRESS, config_address(0, 0, 0));
	return in32(CONFIG_DATA);
}

void fuzz_run(uint64_t seed, uint64_t count)
{
	const uint64_t from = option("fuzz_from", 0);
	const bool msrs = option("fuzz_msr", 1);
	const uint32_t bridge = bridge_id();

	trace = option("fuzz_trace", 0);
	lapic_write(LVT_LINT0, LVT_MASKED); /* the old interrupt controller may do what it wants */
	remember_bars();
	find_devices();
	tell_step("seed", seed);
	for (uint64_t i = from; i < count; i++) {
		if (i % TELL_EVERY == 0)
			tell_step("step", i);
		if (trace) {
			mend_serial();
			put("\n");
			put_dec(i);
		}
		state = seed * 0xd1342543de82ef95 + i * 0xda942042e4dd58b5;
		step(msrs);
	}
	tell_step("steps done", count > from ? count - from : 0);
	check(bridge_id() == bridge, "the host bridge is not what it was");
	check(*(volatile uint32_t *)(uintptr_t)ECAM == bridge, "ports and memory disagree");
	check(*(volatile uint64_t *)(uintptr_t)0xe8000004 == UINT64_MAX, "nobody is not all-ones");
}
