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

static void build(struct cpu_topology t)
{
	struct err e = { 0 };
	struct gmem *m;

	ck_ok(gmem_create(&m, &e));
	ck_ok(arch_add_ram(m, 64 * MIB, &e));
	ck_ok(acpi_load(&t, m, &e));
	ck_assert(gmem_read(m, MAP_ACPI, area, sizeof(area)));
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

	ck_assert_uint_eq(load_le32(x + 4), 36 + 2 * 8);
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
	struct cpu_topology t = { 1, 60000, 1 };
	struct err e = { 0 };
	struct gmem *m;

	ck_ok(gmem_create(&m, &e));
	ck_fails(acpi_load(&t, m, &e), -E2BIG, "no room to describe 60000 CPUs");
	t.cores = 1;
	ck_fails(acpi_load(&t, m, &e), -EFAULT, "no RAM at 0xe0000");
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
	UNIT_TEST(s, the_disassembler_of_acpica_has_nothing_to_say);
	return s;
}

UNIT_MAIN("acpi", suite)
