/*
 * fuzz_acpi.c - the ACPI tables of any machine (src/arch/x86_64/acpi.c), found and checked as a
 * kernel does it: RSDP, XSDT, what that names, lengths and checksums, each entry of the MADT.
 *
 * With FUZZ_ACPI_DIR in the environment the tables are written there, too, for tests/fuzz/acpi,
 * which shows them to ACPICA's own tools.
 */
#include "../../src/arch/x86_64/memmap.h"
#include "../../src/arch/x86_64/x86.h"
#include "fuzz.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEADER_LEN 36u
#define MADT_ENTRIES 44u

static uint8_t area[MAP_ACPI_END - MAP_ACPI];

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

static void dump(const uint8_t *t, const char *name, size_t len)
{
	const char *dir = getenv("FUZZ_ACPI_DIR");
	char path[256];
	int fd;

	if (!dir)
		return;
	snprintf(path, sizeof(path), "%s/%.4s.dat", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	VMM_BUG_ON(fd < 0 || write(fd, t, len) != (ssize_t)len);
	close(fd);
}

static const uint8_t *table(uint64_t gpa)
{
	const uint8_t *t = area + (gpa - MAP_ACPI);
	uint32_t len;

	FUZZ_CHECK(gpa >= MAP_ACPI && gpa <= MAP_ACPI_END - HEADER_LEN && gpa % 16 == 0);
	len = load_le32(t + 4);
	FUZZ_CHECK(len >= HEADER_LEN && len <= MAP_ACPI_END - gpa && sum(t, len) == 0);
	dump(t, (const char *)t, len);
	return t;
}

/* Each CPU once, with its number; then one I/O APIC; and nothing is left over. */
static void check_madt(const uint8_t *m, const struct cpu_topology *topology)
{
	const uint8_t *end = m + load_le32(m + 4), *p = m + MADT_ENTRIES;
	unsigned int n = 0, io_apics = 0;

	for (; p < end; p += p[1]) {
		FUZZ_CHECK(end - p >= 2 && p[1] >= 8 && p[1] <= end - p);
		if (p[0] == 0)
			FUZZ_CHECK(p[1] == 8 && p[3] == arch_vcpu_id(topology, n++) && p[3] < 255);
		else if (p[0] == 9)
			FUZZ_CHECK(p[1] == 16 && load_le32(p + 4) == arch_vcpu_id(topology, n++));
		else if (p[0] == 1)
			io_apics++;
	}
	FUZZ_CHECK(n == cpu_topology_total(topology) && io_apics == 1);
}

static void check(const struct arch_boot *b, const struct gmem *m)
{
	const uint8_t *x;
	unsigned int n;
	bool madt = false, fadt = false;

	VMM_BUG_ON(!gmem_read(m, MAP_ACPI, area, sizeof(area)));
	FUZZ_CHECK(memcmp(area, "RSD PTR ", 8) == 0 && !sum(area, 20) && !sum(area, 36));
	x = table(load_le64(area + 24));
	FUZZ_CHECK(memcmp(x, "XSDT", 4) == 0);
	n = (load_le32(x + 4) - HEADER_LEN) / 8;
	for (unsigned int i = 0; i < n; i++) {
		const uint8_t *t = table(load_le64(x + HEADER_LEN + 8ul * i));

		if (memcmp(t, "APIC", 4) == 0) {
			check_madt(t, &b->topology);
			madt = true;
		} else if (memcmp(t, "FACP", 4) == 0) {
			FUZZ_CHECK(memcmp(table(load_le64(t + 140)), "DSDT", 4) == 0);
			fadt = true;
		}
	}
	FUZZ_CHECK(madt && fadt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	struct arch_boot b = {
		.topology = { 1 + next_u8(&in) % 16, 1 + next_u16(&in) % 300,
			      1 + next_u8(&in) % 3 },
		.mmio_slots = next_u16(&in),
	};
	uint64_t ram = (64 + next_u16(&in)) * MIB;
	struct gmem *m;
	struct err e;

	arch_board(ram, &b.board);
	VMM_BUG_ON(gmem_create(&m, &e) < 0 || gmem_add_ram(m, 0, MIB, &e) < 0);
	if (acpi_load(&b, m, &e) == 0)
		check(&b, m);
	else
		FUZZ_CHECK(*e.text && cpu_topology_total(&b.topology) > 4096);
	gmem_destroy(m);
	return 0;
}
