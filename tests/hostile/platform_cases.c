/*
 * platform_cases.c - ports, addresses without a device, interrupt controllers, and storms of IPIs.
 * Run once, with the entropy device as the one that has to work afterwards.
 *
 * Source: Intel SDM volume 3, chapter 11 "APIC"; the rest is PC tradition. What would end the VM is
 * ends.c's.
 */
#include "hostile.h"

#define PORTS_AT_ONCE 0x1000
#define ICR_INIT 0x4500u

/* Ports that end or reset the VM as they should; COM1, because the host listens there. */
static bool is_spared(unsigned int port, unsigned int size)
{
	static const struct {
		uint16_t first, last;
	} spared[] = {
		{ 0x60, 0x64 },   { 0x92, 0x92 },   { EXIT_PORT, EXIT_PORT }, { 0x3f8, 0x3ff },
		{ 0x505, 0x505 }, { 0x600, 0x60f }, { 0xcf8, 0xcff },
	};

	for (unsigned int i = 0; i < N_ELEMENTS(spared); i++) {
		if (port <= spared[i].last && port + size > spared[i].first)
			return true;
	}
	return false;
}

static void touch_port(uint16_t port)
{
	if (port > 0xfffc) { /* no wider access: the TSS opens nothing beyond 0xffff */
		out8(port, 0xff);
		in8(port);
	} else if (!is_spared(port, 4)) {
		out8(port, 0xff);
		out16(port, 0xffff);
		out32(port, 0x5a5a5a5a);
		in8(port);
		in16(port);
		in32(port);
	}
}

static void port_cases(const struct dev *d)
{
	for (uint32_t from = 0; from < 0x10000; from += PORTS_AT_ONCE) {
		const uint32_t step = from == 0 ? 1 : 16; /* devices are below 0x1000 */

		case_begin("R14", d, "ports-from-", decimal(from), "", is(SURVIVES));
		for (uint32_t port = from; port < from + PORTS_AT_ONCE; port += step)
			touch_port((uint16_t)(port + (step > 1 ? port / 16 % 16 : 0)));
		out8(COM1_FCR, 1);
		case_end(d, is(SURVIVES));
	}
}

static void string_port_cases(const struct dev *d)
{
	static const uint16_t ports[] = {
		0x70, 0x71, 0x80, 0x40, 0x4d0, 0x20, 0xcfc, 0x1234, 0xffff
	};
	static uint8_t buffer[5000];

	for (unsigned int i = 0; i < N_ELEMENTS(ports); i++) {
		case_begin("R14", d, "string-at-port-", decimal(ports[i]), "", is(SURVIVES));
		out32(0xcf8, 0);
		out_bytes(ports[i], buffer, 333);
		in_bytes(ports[i], buffer, sizeof(buffer));
		case_end(d, is(SURVIVES));
	}
}

/* Memory
 * ------------------------------------------------------------------------------------------- */

static void hole_cases(const struct dev *d)
{
	const struct {
		const char *name;
		uint64_t at;
	} places[] = {
		{ "the-pci-window", 0xd8000000 },
		{ "behind-low-ram", ram_low_end + 0x1f000000 },
		{ "behind-high-ram", ram_high_end },
		{ "before-the-io-apic", 0xfebff000 },
		{ "before-the-local-apic", 0xfedff000 },
		{ "behind-the-local-apic", 0xfee01000 },
		{ "before-4-GiB", 0xfffff000 },
		{ "behind-virtio-mmio", 0xe2000000 },
	};

	for (unsigned int i = 0; i < N_ELEMENTS(places); i++) {
		for (unsigned int size = 1; size <= 8; size *= 2) {
			const uint64_t ones = size == 8 ? UINT64_MAX : BIT(8 * size) - 1;
			bool fine = true;

			case_begin("R14", d, places[i].name, ".bytes-", decimal(size),
				   is(ALL_ONES));
			for (unsigned int off = 0; off < 20; off++) {
				mem_set(places[i].at + off, size, 0);
				fine &= mem_get(places[i].at + off, size) == ones;
			}
			case_end(d, is(fine ? ALL_ONES : WRONG));
		}
	}
}

/* Half of it in RAM, half of it not; half in one device, half in none. */
static void edge_cases(const struct dev *d)
{
	const struct {
		const char *name;
		uint64_t at;
	} edges[] = {
		{ "end-of-low-ram", ram_low_end },
		{ "end-of-high-ram", ram_high_end },
		{ "end-of-the-registers", (d->regs & ~0xfffull) + 0x1000 },
		{ "begin-of-the-registers", d->regs & ~0xfffull },
		{ "end-of-the-ecam", 0xe0100000 },
		{ "begin-of-the-local-apic", 0xfee00000 },
	};

	for (unsigned int i = 0; i < N_ELEMENTS(edges); i++) {
		case_begin("R14", d, "across-the-", edges[i].name, "", is(SURVIVES));
		for (unsigned int size = 2; size <= 8; size *= 2) {
			for (unsigned int off = 1; off < size; off++) {
				mem_get(edges[i].at - off, size);
				mem_set(edges[i].at - off, size, 0);
			}
		}
		case_end(d, is(SURVIVES));
	}
}

/* Interrupt controllers
 * ---------------------------------------------------------------------------- */

static void apic_cases(const struct dev *d)
{
	case_begin("R14", d, "io-apic.scribbled", "", "", is(SURVIVES));
	for (uint32_t i = 0; i < 256; i++) {
		mem_set(0xfec00000, 4, i);
		mem_get(0xfec00010, 4);
		mem_set(0xfec00010, 4, 0xffffffff); /* masked, for the pins that there are */
	}
	case_end(d, is(SURVIVES));
	for (unsigned int size = 1; size <= 8; size *= 2) {
		case_begin("R14", d, "local-apic.read.bytes-", decimal(size), "", is(SURVIVES));
		for (uint32_t off = 0; off < 0x1000; off += 4)
			mem_get(0xfee00000 + off, size);
		case_end(d, is(SURVIVES));
	}
	case_begin("R14", d, "local-apic.reserved-written", "", "", is(SURVIVES));
	for (uint32_t off = 0x400; off < 0x1000; off += 16)
		mem_set(0xfee00000 + off, 4, 0xffffffff);
	case_end(d, is(SURVIVES));
}

static void ipi_cases(const struct dev *d)
{
	static const struct {
		const char *name;
		uint32_t icr, high;
	} storms[] = {
		{ "init-storm", ICR_INIT, 1u << 24 },
		{ "init-deassert-storm", 0x8500, 1u << 24 },
		{ "ipi-to-nobody-storm", 0x4040, 0xfeu << 24 },
		{ "ipi-to-a-stopped-cpu-storm", 0x4040, 1u << 24 },
		{ "nmi-to-a-stopped-cpu-storm", 0x4400, 1u << 24 },
		{ "smi-to-a-stopped-cpu-storm", 0x4200, 1u << 24 },
		{ "reserved-mode-storm", 0x4300, 1u << 24 },
	};

	mem_set(0xfee000f0, 4, 0x1ff);
	for (unsigned int i = 0; i < N_ELEMENTS(storms); i++) {
		case_begin("R15", d, storms[i].name, "", "", is(SURVIVES));
		second_ipi(ICR_INIT);
		for (unsigned int n = 0; n < 1000; n++) {
			mem_set(0xfee00310, 4, storms[i].high);
			mem_set(0xfee00300, 4, storms[i].icr);
		}
		case_end(d, is(SURVIVES));
	}
	/* Each start-up IPI lands on cli; hlt; jmp. */
	case_begin("R15", d, "init-sipi-storm", "", "", is(SURVIVES));
	memcpy((void *)0x9000, "\xfa\xf4\xeb\xfc", 4);
	for (unsigned int n = 0; n < 300; n++) {
		second_ipi(ICR_INIT);
		second_ipi(0x4609);
	}
	second_ipi(ICR_INIT);
	case_end(d, is(SURVIVES));
}

void platform_cases(const struct dev *d)
{
	port_cases(d);
	string_port_cases(d);
	hole_cases(d);
	edge_cases(d);
	apic_cases(d);
	ipi_cases(d);
}
