/*
 * test_acpi.c - the tables that acpi.c puts into RAM, read as a kernel reads them (ACPI 6.4).
 */
#include "../../src/arch/x86_64/memmap.h"
#include "../../src/arch/x86_64/x86.h"
#include "unit.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <vmm/base/bytes.h>
#include <vmm/dev/acpi_pm.h>

#define AREA (MAP_ACPI_END - MAP_ACPI)

static uint8_t area[AREA];
static uint8_t board_info[64];

static void build(struct cpu_topology t)
{
	struct arch_boot b = { .topology = t, .mmio_slots = 0x8005 };
	struct err e = { 0 };
	struct gmem *m;

	arch_board(64 * MIB, &b.board);
	ck_ok(gmem_create(&m, &e));
	ck_ok(arch_add_ram(m, 64 * MIB, &e));
	ck_ok(acpi_load(&b, m, &e));
	ck_assert(gmem_read(m, MAP_ACPI, area, sizeof(area)));
	ck_assert(gmem_read(m, MAP_BOARD_INFO, board_info, sizeof(board_info)));
	gmem_destroy(m);
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

static const uint8_t *at(uint64_t gpa, const char *signature)
{
	const uint8_t *t;

	ck_assert(gpa >= MAP_ACPI && gpa < MAP_ACPI_END - 36);
	t = area + (gpa - MAP_ACPI);
	ck_assert(memcmp(t, signature, 4) == 0);
	ck_assert_uint_le(gpa + load_le32(t + 4), MAP_ACPI_END);
	ck_assert_uint_eq(sum(t, load_le32(t + 4)), 0);
	ck_assert_uint_eq(gpa % 16, 0);
	return t;
}

static const uint8_t *xsdt(void)
{
	ck_assert(memcmp(area, "RSD PTR ", 8) == 0);
	ck_assert_uint_eq(sum(area, 20), 0);
	ck_assert_uint_eq(sum(area, 36), 0);
	ck_assert_uint_eq(area[15], 2);
	ck_assert_uint_eq(load_le32(area + 16), 0); /* no RSDT */
	ck_assert_uint_eq(load_le32(area + 20), 36);
	return at(load_le64(area + 24), "XSDT");
}

static const uint8_t *table(unsigned int i, const char *signature)
{
	const uint8_t *x = xsdt();

	ck_assert_uint_eq(load_le32(x + 4), 36 + 3 * 8);
	return at(load_le64(x + 36 + 8 * i), signature);
}

static void check_port(const uint8_t *gas, uint16_t port)
{
	ck_assert_uint_eq(gas[0], 1); /* I/O space, 8 bits, byte access */
	ck_assert_uint_eq(gas[1], 8);
	ck_assert_uint_eq(gas[3], 1);
	ck_assert_uint_eq(load_le64(gas + 4), port);
}

START_TEST(the_fadt_describes_a_hardware_reduced_platform)
{
	const uint8_t *f;

	build((struct cpu_topology){ 1, 1, 1 });
	f = table(0, "FACP");
	ck_assert_uint_eq(load_le32(f + 4), 276);
	ck_assert_uint_eq(f[8], 6);
	ck_assert(load_le32(f + 112) & 1u << 20); /* HW_REDUCED_ACPI */
	ck_assert(load_le32(f + 112) & 1u << 10); /* RESET_REG_SUP */
	ck_assert_uint_eq(load_le16(f + 109) & 3, 0); /* no legacy devices, no 8042 */
	ck_assert(load_le16(f + 109) & 4); /* no VGA */
	check_port(f + 116, ACPI_PM_BASE + ACPI_PM_RESET);
	ck_assert_uint_eq(f[128], ACPI_PM_RESET_VALUE);
	check_port(f + 244, ACPI_PM_BASE + ACPI_PM_SLEEP_CONTROL);
	check_port(f + 256, ACPI_PM_BASE + ACPI_PM_SLEEP_STATUS);
	ck_assert_uint_eq(load_le32(f + 36), 0); /* no FACS */
	ck_assert_uint_eq(load_le32(f + 40), load_le64(f + 140));
	at(load_le64(f + 140), "DSDT");
}
END_TEST

/* Every CPU once, in order, by the entry that its id wants; then the I/O APIC. */
static void check_madt(const struct cpu_topology *t)
{
	const uint8_t *m = table(1, "APIC"), *end = m + load_le32(m + 4), *p = m + 44;
	unsigned int n = 0;

	ck_assert_uint_eq(load_le32(m + 36), MAP_LAPIC);
	ck_assert_uint_eq(load_le32(m + 40) & 1, 0); /* no 8259s */
	for (; p < end && p[0] != 1; p += p[1], n++) {
		unsigned int id = arch_vcpu_id(t, n);

		ck_assert_uint_eq(p[0], id < 255 ? 0 : 9);
		ck_assert_uint_eq(p[1], id < 255 ? 8 : 16);
		ck_assert_uint_eq(id < 255 ? p[3] : load_le32(p + 4), id);
		ck_assert_uint_eq(load_le32(id < 255 ? p + 4 : p + 8), 1);
		ck_assert_uint_eq(id < 255 ? p[2] : load_le32(p + 12), n);
	}
	ck_assert_uint_eq(n, cpu_topology_total(t));
	ck_assert(p < end && p[0] == 1 && p[1] == 12);
	ck_assert_uint_eq(load_le32(p + 4), MAP_IOAPIC);
	ck_assert_ptr_eq(p + 12, end);
}

START_TEST(the_madt_names_every_cpu_and_the_io_apic)
{
	static const struct cpu_topology shapes[] = {
		{ 1, 1, 1 },   { 2, 2, 2 },   { 3, 3, 1 },   { 1, 255, 1 },
		{ 1, 256, 1 }, { 2, 100, 2 }, { 8, 128, 2 }, { 16, 128, 2 },
	};

	build(shapes[_i]);
	check_madt(&shapes[_i]);
}
END_TEST

START_TEST(more_cpus_than_there_is_room_for_are_an_error)
{
	struct arch_boot b = { .topology = { 1, 60000, 1 } };
	struct err e = { 0 };
	struct gmem *m;

	ck_ok(gmem_create(&m, &e));
	ck_fails(acpi_load(&b, m, &e), -E2BIG, "no room to describe 60000 CPUs");
	b.topology.cores = 1;
	ck_fails(acpi_load(&b, m, &e), -EFAULT, "no RAM at 0xe0000");
	ck_ok(gmem_add_ram(m, 0, MAP_BOARD_INFO, &e));
	ck_fails(acpi_load(&b, m, &e), -EFAULT, "no RAM at 0xff000");
	gmem_destroy(m);
}
END_TEST

START_TEST(the_mcfg_says_where_configuration_space_is)
{
	const uint8_t *m;

	build((struct cpu_topology){ 1, 1, 1 });
	m = table(2, "MCFG");
	ck_assert_uint_eq(load_le32(m + 4), 60);
	ck_assert_uint_eq(load_le64(m + 44), MAP_ECAM);
	ck_assert_uint_eq(load_le16(m + 52), 0); /* segment */
	ck_assert_uint_eq(m[54], 0); /* first and last bus */
	ck_assert_uint_eq(m[55], 0);
}
END_TEST

/* firmware/dsdt.asl has these offsets. */
START_TEST(what_the_dsdt_reads_is_where_it_reads_it)
{
	build((struct cpu_topology){ 1, 1, 1 });
	ck_assert_uint_eq(load_le32(board_info), MAP_PCI32);
	ck_assert_uint_eq(load_le32(board_info + 4), MAP_PCI32_LEN);
	ck_assert_uint_eq(load_le32(board_info + 8), MAP_ECAM);
	ck_assert_uint_eq(load_le32(board_info + 12), MAP_ECAM_LEN);
	ck_assert_uint_eq(load_le64(board_info + 16), MAP_ABOVE_4G);
	ck_assert_uint_eq(load_le64(board_info + 24), MAP_PCI64_LEN);
	ck_assert_uint_eq(load_le32(board_info + 32), MAP_VIRTIO_MMIO);
	ck_assert_uint_eq(load_le32(board_info + 36), MAP_VIRTIO_MMIO_STRIDE);
	ck_assert_uint_eq(load_le32(board_info + 40), 0x8005);
	for (unsigned int i = 0; i < 16; i++)
		ck_assert_uint_lt(board_info[48 + i], 24);
	ck_assert_uint_eq(board_info[48], 5);
}
END_TEST

static bool overlap(const struct board_range *a, const struct board_range *b)
{
	return a->base < b->base + b->len && b->base < a->base + a->len;
}

START_TEST(no_part_of_the_board_is_in_anothers_place)
{
	static const uint64_t sizes[] = { 64 * MIB,    3 * GIB - 4096, 3 * GIB,  3 * GIB + 4096,
					  4 * GIB + 1, 44 * GIB,       512 * GIB };
	struct board_range r[8];
	struct board b;
	uint32_t lines = 0;

	arch_board(sizes[_i], &b);
	r[0] = (struct board_range){ 0, min_u64(sizes[_i], MAP_HOLE) };
	r[1] = (struct board_range){ MAP_ABOVE_4G, sizes[_i] - r[0].len };
	r[2] = b.pci32;
	r[3] = b.pci64;
	r[4] = b.ecam;
	r[5] = b.mmio;
	r[6] = (struct board_range){ MAP_IOAPIC, 0x1000 };
	r[7] = (struct board_range){ MAP_LAPIC, MAP_ABOVE_4G - MAP_LAPIC };
	for (unsigned int i = 0; i < 8; i++) {
		for (unsigned int k = 0; k < i; k++)
			ck_assert_msg(!overlap(&r[i], &r[k]), "%u and %u", k, i);
	}
	ck_assert_uint_le(b.pci32.base + b.pci32.len, MAP_ABOVE_4G);
	ck_assert_uint_ge(b.n_mmio_slots, 16);
	ck_assert_uint_le(b.n_mmio_slots * b.mmio_stride, b.mmio.len);
	for (unsigned int i = 0; i < b.n_mmio_slots; i++) {
		unsigned int gsi = b.mmio_gsi[i];

		ck_assert_uint_lt(gsi, 24);
		ck_assert(gsi != 4 && gsi != 8 && gsi != ACPI_PM_IRQ); /* COM1, clock */
		ck_assert(!(lines & 1u << gsi));
		lines |= 1u << gsi;
	}
}
END_TEST

START_TEST(the_memory_map_reserves_configuration_space)
{
	struct e820_entry map[E820_MAX];
	struct err e = { 0 };
	bool found = false;
	struct gmem *m;
	unsigned int n;

	ck_ok(gmem_create(&m, &e));
	ck_ok(arch_add_ram(m, _i ? 4 * GIB : 64 * MIB, &e));
	n = e820_build(map, m);
	for (unsigned int i = 0; i < n; i++) {
		ck_assert(i == 0 || map[i - 1].at + map[i - 1].len <= map[i].at);
		if (map[i].at == MAP_ECAM)
			found = map[i].len == MAP_ECAM_LEN && map[i].type == E820_RESERVED;
		if (map[i].at <= MAP_BOARD_INFO && MAP_BOARD_INFO < map[i].at + map[i].len)
			ck_assert_uint_eq(map[i].type, E820_RESERVED);
	}
	ck_assert(found);
	gmem_destroy(m);
}
END_TEST

/* ACPICA's own disassembler understands each table, and finds nothing to warn of. */
static void disassemble(const char *dir, const uint8_t *t)
{
	char path[128], command[512], line[256];
	bool complained = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%.4s.dat", dir, (const char *)t);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(t, 1, load_le32(t + 4), f), load_le32(t + 4));
	fclose(f);
	snprintf(command, sizeof(command), "cd %s && iasl -d %s 2>&1", dir, path);
	f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		complained |=
			strstr(line, "rror") || strstr(line, "arning") || strstr(line, "nvalid");
	ck_assert_int_eq(pclose(f), 0);
	ck_assert_msg(!complained, "iasl complains about %.4s", (const char *)t);
}

START_TEST(the_disassembler_of_acpica_has_nothing_to_say)
{
	char dir[] = "/tmp/vmm-unit-XXXXXX", command[64];
	const uint8_t *f;

	if (system("iasl -v >/dev/null 2>&1") != 0)
		return; /* it comes with the build's own tools, but not with every test host */
	ck_assert_ptr_nonnull(mkdtemp(dir));
	build((struct cpu_topology){ 2, 130, 1 });
	f = table(0, "FACP");
	disassemble(dir, xsdt());
	disassemble(dir, f);
	disassemble(dir, table(1, "APIC"));
	disassemble(dir, table(2, "MCFG"));
	disassemble(dir, at(load_le64(f + 140), "DSDT"));
	snprintf(command, sizeof(command), "rm -r %s", dir);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("acpi");

	UNIT_TEST(s, the_fadt_describes_a_hardware_reduced_platform);
	UNIT_LOOP(s, the_madt_names_every_cpu_and_the_io_apic, 8);
	UNIT_TEST(s, more_cpus_than_there_is_room_for_are_an_error);
	UNIT_TEST(s, the_mcfg_says_where_configuration_space_is);
	UNIT_TEST(s, what_the_dsdt_reads_is_where_it_reads_it);
	UNIT_LOOP(s, no_part_of_the_board_is_in_anothers_place, 7);
	UNIT_LOOP(s, the_memory_map_reserves_configuration_space, 2);
	UNIT_TEST(s, the_disassembler_of_acpica_has_nothing_to_say);
	return s;
}

UNIT_MAIN("acpi", suite)
