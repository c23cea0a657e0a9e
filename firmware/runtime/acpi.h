/*
 * acpi.h - just enough ACPI for the tiny guests: every table that is looked at has its checksum
 * tested.
 *
 * Source: ACPI 6.4, 5.2.5 RSDP, 5.2.8 XSDT, 5.2.9 FADT, 5.2.12 MADT.
 */
#ifndef VMM_FIRMWARE_ACPI_H
#define VMM_FIRMWARE_ACPI_H
#include "guest.h"

/* FACP, APIC ... ; a table that is not there ends the guest. */
const uint8_t *acpi_table(const char *signature);

struct table_reset {
	bool is_port;
	uint16_t port;
	uint8_t value;
};
struct table_reset acpi_reset_register(void);

/* Enabled CPUs in the MADT. */
uint64_t acpi_n_cpus(void);
/* The APIC id of the index-th one. */
uint32_t acpi_cpu_id(uint64_t index);

#endif
