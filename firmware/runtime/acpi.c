/*
 * acpi.c - finds the tables of acpi.h from the RSDP on, which the start info names.
 */
#include "acpi.h"

#define HEADER 36

static uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t le64(const uint8_t *p)
{
	return le32(p) | (uint64_t)le32(p + 4) << 32;
}

static bool sums_to_zero(const uint8_t *p, uint32_t n)
{
	uint8_t sum = 0;

	while (n-- > 0)
		sum = (uint8_t)(sum + *p++);
	return sum == 0;
}

static bool same(const uint8_t *p, const char *s)
{
	while (*s) {
		if (*p++ != (uint8_t)*s++)
			return false;
	}
	return true;
}

const uint8_t *acpi_table(const char *signature)
{
	const uint8_t *rsdp = (const void *)(uintptr_t)start_info()->rsdp, *xsdt;

	check(rsdp && same(rsdp, "RSD PTR "), "no RSDP");
	check(sums_to_zero(rsdp, 20) && sums_to_zero(rsdp, 36), "the RSDP's checksums");
	xsdt = (const void *)(uintptr_t)le64(rsdp + 24);
	check(same(xsdt, "XSDT") && sums_to_zero(xsdt, le32(xsdt + 4)), "the XSDT");
	for (uint32_t at = HEADER; at < le32(xsdt + 4); at += 8) {
		const uint8_t *t = (const void *)(uintptr_t)le64(xsdt + at);

		if (!same(t, signature))
			continue;
		check(sums_to_zero(t, le32(t + 4)), "a table's checksum");
		return t;
	}
	check(false, "a table is missing");
	return NULL;
}

struct table_reset acpi_reset_register(void)
{
	const uint8_t *fadt = acpi_table("FACP");

	return (struct table_reset){
		.is_port = fadt[116] == 1,
		.port = (uint16_t)le64(fadt + 120),
		.value = fadt[128],
	};
}

/* Local APIC entries are of type 0, local x2APIC entries of type 9. */
static bool madt_cpu(const uint8_t *e, uint32_t *id)
{
	*id = e[0] == 9 ? le32(e + 4) : e[3];
	return (e[0] == 0 && e[4] & 1) || (e[0] == 9 && e[8] & 1);
}

static uint64_t walk(uint64_t stop_at, uint32_t *id)
{
	const uint8_t *madt = acpi_table("APIC");
	uint64_t n = 0;

	for (uint32_t at = HEADER + 8; at + 2 <= le32(madt + 4); at += madt[at + 1]) {
		check(madt[at + 1] >= 2, "an empty entry in the MADT");
		if (madt_cpu(madt + at, id) && n++ == stop_at)
			break;
	}
	return n;
}

uint64_t acpi_n_cpus(void)
{
	uint32_t id;

	return walk(UINT64_MAX, &id);
}

uint32_t acpi_cpu_id(uint64_t index)
{
	uint32_t id = 0;

	check(walk(index, &id) == index + 1, "a CPU is missing in the MADT");
	return id;
}
